"""What every command shares: --json, --config, where a value came from, printing."""

import difflib
import functools
import json
import math
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from minillm.errors import DataError, UsageError

SOURCES = {
    ParameterSource.COMMANDLINE: "command line",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "file",
    ParameterSource.DEFAULT: "default",
}
MOST_BYTES = 1 << 20  # of a configuration: a run.json has some thousands


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


def texts(function):
    """Add the argument TEXT... and --file, which `given_texts` reads."""
    function = click.option("--file", metavar="FILE", help="More texts, one a line.")(
        function
    )
    return click.argument("texts", metavar="[TEXT]...", nargs=-1)(function)


def given_texts(texts: tuple[str, ...], file: str | None) -> list[str]:
    """The texts of a command line, and then the lines of a file that are not blank.

    Raises UsageError where there is neither, DataError for a file without text.
    """
    from minillm.tasks.lines import read_lines

    if not texts and file is None:
        raise UsageError("give a TEXT, or several, or a --file with one a line")
    return [*texts, *(() if file is None else read_lines(file).values())]


def shared(function):
    """Add --config and --json, which every command has, below its own options; and say
    where a setting was given that turns out to make no sense."""

    @functools.wraps(function)
    def command(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except UsageError as error:
            ctx, told = click.get_current_context(), str(error)
            name = told.partition(" ")[0].lstrip("-").replace("-", "_")
            raise UsageError(told + place_of(ctx, name)) from error

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
    brackets; nothing where it is from elsewhere, or there is none of this name."""
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
    known = {_key(p): p for p in ctx.command.params if p.name not in ("config", "help")}
    values = {}
    for key, value in read_settings(Path(file)).items():
        name = key.replace("-", "_")
        if name not in known:
            raise UsageError(f"{file}: unknown key {key!r}{_nearest(name, known)}")
        if value is not None:
            values[known[name].name] = _checked(ctx, known[name], value, file, key)
    ctx.default_map = values
    ctx.meta["config"] = file


def read_settings(file: Path) -> dict[str, Any]:
    """The options in a TOML file, or those that a run.json was made with.

    A run's own folder is left out: a second run needs a folder of its own.
    """
    try:
        with file.open("rb") as opened:  # a pipe is welcome; /dev/zero has no end
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        text = content.decode("utf-8")
        values = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise DataError(f"{file}: no such configuration file") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
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
    near = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {near[0]!r}?" if near else f" (known: {', '.join(known)})"


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


def print_json(record: dict) -> None:
    """One JSON object on one line. What is not a finite number becomes null."""
    click.echo(json.dumps(_plain(record), ensure_ascii=False, allow_nan=False))


def _plain(value):
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # a NumPy array or scalar
        return _plain(value.tolist())
    return str(value) if isinstance(value, Path) else value


def print_table(heads: list[str], rows: list[list], title: str | None = None) -> None:
    """A table on stdout, at least as wide as its words. A column of figures stands to
    the right."""
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table

    if title:
        click.echo(f"\n{title}")
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for head, column in zip(heads, zip(*rows, strict=True), strict=True):
        figures = all(str(cell)[:1].isdigit() for cell in column)
        table.add_column(head, overflow="fold", justify="right" if figures else "left")
    for row in rows:
        table.add_row(*map(str, row))
    out = console()
    anywhere = out.options.update(width=10_000)
    least = Measurement.get(out, anywhere, table).minimum + len(heads)  # and gaps
    out.width = max(out.width, least)
    out.print(table)


def evaluation_rows(result: dict, unit: str) -> list[list[str]]:
    """The figures of an evaluation, as rows for `print_table`; `unit` is the loss's."""
    rows = [[f"validation loss ({unit})", f"{result['val_loss']:.4f}"]]
    # Only what means something for the objective is there.
    for name, told, form in (
        ("val_perplexity", "validation perplexity", ".2f"),
        ("val_bits_per_byte", "validation bits per byte", ".3f"),
        ("val_accuracy", "validation accuracy", ".1%"),
        ("val_next_sentence_accuracy", "next-sentence accuracy", ".1%"),
    ):
        if result.get(name) is not None:
            rows.append([told, format(result[name], form)])
    return rows


def console(stderr: bool = False):
    """Rich on stdout or stderr, printing text as it is: no markup, no highlighting."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def again() -> str:
    """The running command with what it was given on the command line."""
    ctx = click.get_current_context()
    words = ctx.command_path.split()
    for param in ctx.command.params:
        if ctx.get_parameter_source(param.name) is not ParameterSource.COMMANDLINE:
            continue
        value = {**ctx.meta, **ctx.params}[param.name]
        values = value if isinstance(value, tuple) else [value]
        option = [param.opts[0]] if isinstance(param, click.Option) else []
        for one in values:
            words += option if one is True else [*option, str(one)]
    return shlex.join(words)


def say_next_of(record: dict, run: str) -> None:
    """What to do with a run in the folder `run`, with a word of its own text."""
    from minillm.models import continues_text
    from minillm.text import OBJECTIVES

    word = record["data"].get("beginning") or "The "
    config = record["config"]
    ask = OBJECTIVES[config["objective"]].ask
    if config["objective"] == "clm" and not continues_text(config["arch"]):
        ask = "minillm eval {run}"
    command = ask.format(
        run=shlex.quote(run), prompt=shlex.quote(word), gap=shlex.quote(f"{word}[MASK]")
    )
    say_next(command)


def note_unknown(tokenizer, *texts: str) -> None:
    """Note on stderr which characters of these texts a model has no token for."""
    if unknown := tokenizer.unknown("".join(texts)):
        shown = " ".join(map(repr, unknown[:10])) + (" ..." if unknown[10:] else "")
        click.echo(
            f"note: the model has no token for {shown}: it reads one and the same for "
            f"all that it does not know",
            err=True,
        )


def say_next(command: str) -> None:
    """The next command worth typing, on stderr."""
    click.echo(f"next: {command}", err=True)
