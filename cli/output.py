"""Output of every command: the answer on stdout, notes and the next step on stderr."""

import math
import shlex
from pathlib import Path

import click
from click.core import ParameterSource

from minillm import visible

LONG = 300  # characters of a command: a longer one is not typed again


def print_json(record: dict) -> None:
    """One JSON object on one line. What is not a finite number becomes null."""
    visible.print_json(_plain(record))


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
    out = console()
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for head, column in zip(heads, zip(*rows, strict=True), strict=True):
        figures = all(str(cell)[:1].isdigit() for cell in column)
        side = "right" if figures else "left"
        table.add_column(out.fit(head), overflow="fold", justify=side)
    for row in rows:
        table.add_row(*(out.fit(str(cell)) for cell in row))
    anywhere = out.options.update(width=10_000)
    least = Measurement.get(out, anywhere, table).minimum + len(heads)  # and gaps
    out.width = max(out.width, least)
    out.print(table)


def evaluation_rows(result: dict, unit: str) -> list[list[str]]:
    """The figures of an evaluation, as rows for `print_table`; `unit` is the loss's."""
    rows = [[f"validation loss ({unit})", f"{result['val_loss']:.4f}"]]
    # Only what means something for the objective is there.
    for name, label, form in (
        ("val_perplexity", "validation perplexity", ".2f"),
        ("val_bits_per_byte", "validation bits per byte", ".3f"),
        ("val_accuracy", "validation accuracy", ".1%"),
        ("val_next_sentence_accuracy", "next-sentence accuracy", ".1%"),
    ):
        if result.get(name) is not None:
            rows.append([label, format(result[name], form)])
    return rows


def console(stderr: bool = False):
    """Rich on stdout or stderr: see `visible.console`."""
    return visible.console(stderr=stderr)


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


def say_next_with(option: str) -> None:
    """The running command with one option more, or that alone where it is long."""
    command = f"{again()} {option}"
    say_next(command if len(command) <= LONG else f"add {option} to this command")


def say_next_of(record: dict, run: str) -> None:
    """What to do with a run in the folder `run`, with a word of its own text."""
    from minillm.models import continues_text
    from minillm.text import OBJECTIVES

    # A prompt ends in its last word, a gap stands where the next would.
    word = record["data"].get("beginning") or "The "
    config = record["config"]
    ask = OBJECTIVES[config["objective"]].ask
    if config["objective"] == "clm" and not continues_text(config["arch"]):
        ask = "minillm eval {run}"
    if config.get("pooling", "text") != "text" and config["objective"] == "mlm":
        ask = 'minillm embed {run} "TEXT"'  # a sentence encoder
    command = ask.format(
        run=shlex.quote(run),
        prompt=shlex.quote(word.rstrip()),
        gap=shlex.quote(f"{word}[MASK]"),
    )
    say_next(command)


def note(text: str | None) -> None:
    """Something the user should know, on stderr; nothing for an empty text."""
    if text:
        click.echo(f"note: {text}", err=True)


def note_lost(tokenizer, what: str, *texts: str) -> None:
    """Note which share of these texts, called `what`, a model has no token for."""
    note(tokenizer.lost(texts).note(what))


def say_notes(notes: list[str]) -> None:
    """How what was given was read, on stderr."""
    for line in notes:
        note(line)


def print_warnings(result: dict) -> None:
    """What is doubtful about a result, a line each, on stdout."""
    for warning in result["warnings"]:
        click.echo(f"warning: {warning}")


def say_plot(plot: str | None, name: str) -> None:
    """The file that a figure was written to, or how to have it drawn as `name`."""
    if plot:
        click.echo(plot)
    else:
        say_next_with(f"--plot {name}")


def left_out(excluded: list[dict]) -> str:
    """How many rows of a table were left out, and why."""
    from minillm.laws.runs_table import left_out

    names = f": {left_out(excluded)}" if excluded else ""
    return f"{len(excluded)} left out{names}"


def say_next(command: str) -> None:
    """The next command worth typing, on stderr."""
    click.echo(f"next: {command}", err=True)
