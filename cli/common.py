"""Options of every command: --json, --config, and where a value came from."""

import functools
import math
import os
import re
import shlex
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from minillm import json_files
from minillm.errors import DataError, UsageError, nearest
from minillm.files import is_ours
from minillm.reading import Missing

SOURCES = {
    ParameterSource.COMMANDLINE: "command line",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "file",
    ParameterSource.DEFAULT: "default",
}
ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}


class Quantity(click.ParamType):
    """A number above 0, which may end in one of some units: 300M, 20m."""

    def __init__(self, name: str, units: dict[str, float]):
        self.name = name
        self.units = {"": 1, **units}

    def convert(self, value, param, ctx):
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z]?)", value)
        try:
            number = float(found[1]) * self.units[found[2]]
        except (TypeError, ValueError, KeyError):
            units = ", ".join(unit for unit in self.units if unit)
            self.fail(f"{value!r} is no {self.name} (a number, and one of {units})")
        if not 0 < number < math.inf:
            self.fail(f"{value!r} must be more than 0, and finite")
        return number


NUMBER = Quantity("number", {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12})
TIME = Quantity("time", {"s": 1, "m": 60, "h": 3600, "d": 86400})


# In the folder of a run, or of a series.
RECORDS = ("run.json", "metrics.jsonl", "tokenizer.json", "plan.json", "scale.json")


def _is_record(path: Path) -> bool:
    """Whether this is a file that a run or a series cannot do without."""
    beside = [path.with_name(name).exists() for name in ("run.json", "plan.json")]
    return (path.name in RECORDS and any(beside)) or any(
        folder.name == "checkpoints" and folder.with_name("run.json").exists()
        for folder in path.absolute().parents
    )


def _is_file(value, path: str) -> bool:
    """Whether a parameter names this very file. A folder is refused by the command."""
    try:
        named = isinstance(value, str) and os.path.isfile(path)
        return named and os.path.samefile(value, path)
    except (OSError, ValueError):  # it names none
        return False


class Written(click.ParamType):
    """The name of a file that the command writes. What minillm did not write itself is
    replaced only if the name is not from a configuration, which may be anybody's; what
    the command is given to read, and the records of a run, never are."""

    name = "file"

    def check(self, ctx: click.Context, param: click.Parameter) -> None:
        """Raises UsageError, with the way out."""
        path, source = ctx.params[param.name], ctx.get_parameter_source(param.name)
        if path == "":
            raise UsageError(f"{param.opts[0]} is empty: name a file, or leave it out")
        if path is None or not os.path.lexists(path):
            return
        option = f"{param.opts[0]} {shlex.quote(path)}"
        others = [value for name, value in ctx.params.items() if name != param.name]
        read = [ctx.meta.get("config")]
        for value in others:
            read += value if isinstance(value, tuple) else [value]
        if any(_is_file(each, path) for each in read):
            raise UsageError(f"{option}: is what is read: choose another name")
        if _is_record(Path(path)):
            raise UsageError(f"{option}: is part of a run: choose another name")
        if source is ParameterSource.DEFAULT_MAP and not is_ours(Path(path)):
            raise UsageError(
                f"{option}: is there, and minillm did not write it: to replace it, say "
                f"{option} on the command line"
            )


WRITTEN = Written()


def sampling(function):
    """Add the settings of `minillm.generation.Sampling`."""
    options = [
        click.option(
            "--temperature",
            metavar="T",
            type=float,
            help="Below 1: likelier tokens more; 0: likeliest.  [0.8]",
        ),
        click.option(
            "--top-k", metavar="K", type=int, help="Only the K likeliest tokens."
        ),
        click.option(
            "--top-p",
            metavar="P",
            type=float,
            help="Only the likeliest, P of all together.",
        ),
        click.option(
            "--min-p",
            metavar="P",
            type=float,
            help="Only those P times as likely as the first.",
        ),
        click.option(
            "--repetition-penalty",
            metavar="X",
            default=1.0,
            help="Above 1: what has occurred is rarer.  [1]",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def stop(function):
    """Add --stop, which may be given several times."""
    return click.option(
        "--stop",
        metavar="TEXT",
        multiple=True,
        callback=lambda ctx, param, texts: tuple(map(unescaped, texts)),
        help=r"End before this text; \n ends a line.",
    )(function)


def unescaped(text: str) -> str:
    r"""A text as it is meant: \n typed for a line end, \t for a tab, \\ for \."""
    return re.sub(r"\\([nt\\])", lambda found: ESCAPES[found[1]], text)


def texts(function):
    """Add the argument TEXT... and --file, which `given_texts` reads."""
    function = click.option(
        "--file",
        metavar="FILE",
        help="More texts, one a line; blank lines count as none.",
    )(function)
    return click.argument("texts", metavar="[TEXT]...", nargs=-1)(function)


def given_texts(texts: tuple[str, ...], file: str | None) -> list[str]:
    """The texts of a command line, and then the lines of a file that are not blank.

    Raises UsageError where there is neither, DataError for a file without text.
    """
    from minillm.text.text_file import read_lines
    from minillm_cli.output import note

    if not texts and file is None:
        raise UsageError("give a TEXT, or several, or a --file with one a line")
    return [*texts, *(() if file is None else read_lines(file, note).values())]


def follow_links(function):
    """Add --follow-links to a command with --data, or with DATA."""

    @functools.wraps(function)
    def command(*args, data: str | None, follow_links: bool, **kwargs):
        from minillm.text.data_spec import following

        data = following(data) if data and follow_links else data
        return function(*args, data=data, **kwargs)

    return click.option(
        "--follow-links", is_flag=True, help="Follow links out of a folder."
    )(command)


decimal = click.option(
    "--decimal",
    metavar=".|,",
    type=click.Choice([".", ","]),
    help="The table's decimal mark.  [as each column shows]",
)


def shared(function):
    """Add --config and --json, which every command has, below its own options; and say
    where a setting was given that turns out to make no sense."""

    @functools.wraps(function)
    def command(*args, **kwargs):
        ctx = click.get_current_context()
        try:
            for param in ctx.command.params:
                if param.type is WRITTEN:
                    WRITTEN.check(ctx, param)
            return function(*args, **kwargs)
        except UsageError as error:
            message = str(error)
            name = message.partition(" ")[0].lstrip("-").replace("-", "_")
            error.args = (message + place_of(ctx, name),)
            raise

    command = click.option(
        "--json", is_flag=True, help="Print one JSON object on stdout."
    )(command)
    return click.option(
        "--config",
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        help="Take options from a TOML file or a run.json.",
    )(command)


def sources() -> dict[str, str]:
    """Where each parameter of the running command got its value from.

    The command line wins over the environment (MINILLM_<COMMAND>_<OPTION>), that over
    the --config file, and that over the default.
    """
    ctx = click.get_current_context()
    return {
        name: SOURCES.get(ctx.get_parameter_source(name), "default")
        for name in ctx.params
    }


def place_of(ctx: click.Context, name: str) -> str:
    """The place in the environment or in a file that a parameter's value is from, in
    brackets; nothing where it is from elsewhere, or there is no such parameter."""
    match ctx.get_parameter_source(name):
        case ParameterSource.ENVIRONMENT:
            return f" (environment: {ctx.auto_envvar_prefix}_{name.upper()})"
        case ParameterSource.DEFAULT_MAP:
            return f" (file: {ctx.meta['config']})"
    return ""


def _read_config(ctx: click.Context, _, file: str | None) -> None:
    """Make a file's values the defaults of the command. Unknown keys are an error."""
    if file is None:
        return
    from minillm.learning.settings import word

    known = {_key(p): p for p in ctx.command.params if p.name not in ("config", "help")}
    values = {}
    for key, value in read_settings(Path(file)).items():
        name = word(key.replace("-", "_"))
        if name not in known:
            raise UsageError(f"{file}: unknown key {key!r}{_nearest(name, known)}")
        if known[name].name in values:
            raise UsageError(f"{file}: {name} is given twice, once as {key}")
        if value is not None:
            values[known[name].name] = _checked(ctx, known[name], value, file, key)
    ctx.default_map = values
    ctx.meta["config"] = file


def read_settings(file: Path) -> dict[str, Any]:
    """The options in a TOML file, or those that a run.json was made with.

    A run's own folder is left out: a second run needs a folder of its own.
    """
    try:
        values = json_files.read_settings(file)
    except Missing:
        raise DataError(f"{file}: no such configuration file") from None
    except DataError as error:
        reason = str(error).removeprefix(f"{file}: ")
        reason = reason.removeprefix("cannot be read: ")
        raise DataError(
            f"{file}: cannot be read as a configuration: {reason}"
        ) from None
    if not isinstance(values, dict):
        raise DataError(f"{file}: holds no table of options")
    if isinstance(values.get("options"), dict):
        values = {k: v for k, v in values["options"].items() if k != "out"}
    return values


def _key(param: click.Parameter) -> str:
    """What a parameter is called in a file: its long option, or an argument's name."""
    flags = [flag for flag in param.opts if flag.startswith("--")]
    name = flags[0] if flags else param.name
    return name.lstrip("-").replace("-", "_")


def _nearest(name: str, known) -> str:
    return nearest(name, known) or f" (known: {', '.join(known)})"


def _checked(ctx, param: click.Parameter, value, file: str, key: str):
    """A file's value in the form that click reads from a command line."""
    items = value if isinstance(value, list) else [value]
    many = param.multiple or param.nargs != 1
    flag = getattr(param, "is_flag", False)
    if isinstance(value, list) != many or any(
        isinstance(item, (dict, list)) or isinstance(item, bool) != flag
        for item in items
    ):
        raise UsageError(f"{file}: {key} = {value!r} is not what {key} takes")
    text = [item if flag else str(item) for item in items]
    try:
        param.type_cast_value(ctx, text if many else text[0])
    except click.UsageError as error:
        raise UsageError(f"{file}: {key}: {error.message}") from None
    return text if many else text[0]
