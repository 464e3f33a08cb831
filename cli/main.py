"""The command `minillm`: find the subcommand, run it, turn an error into its exit code.

0 done, 1 failure, 2 usage, 3 bad data or checkpoint, 4 device or memory, 5 diverged,
130 interrupted, 143 terminated.
"""

import errno
import importlib
import os
import re
import time
import traceback

import click

import minillm
from minillm import launcher
from minillm.errors import (
    DataError,
    DeviceError,
    Interrupted,
    MinillmError,
    UsageError,
    command_line,
    shortened,
)
from minillm_cli import common, signals, streams

# `minillm --help` shows these without importing what the commands need.
SECTIONS = {
    "Train and use models": {
        "notebooks": "Lay down three notebooks for a course.",
        "demo": "Let a small model learn a task whose best answer is known.",
        "train": "Train a language model on a text.",
        "generate": "Continue a text with a trained model, or answer one.",
        "chat": "Talk with a trained model, a line for each turn.",
        "fill": "Fill the gaps in a text with a masked model.",
        "finetune": "Teach a trained model a task, and measure it.",
        "classify": "Say which class a text is of.",
        "embed": "Give a vector for each text: like texts, like vectors.",
        "search": "Find the lines of a file that are most like a query.",
        "eval": "Measure a trained model's loss on a text.",
        "export": "Write a trained model as a Hugging Face folder.",
        "import": "Make a run of a Hugging Face folder.",
        "compare": "Put runs, or the laws of series, side by side.",
        "sizes": "Show the named sizes and what each one costs.",
        "data": "List, download and look into corpora.",
    },
    "Measure how loss falls with size": {
        "scale": "Train a series of sizes and fit the law of their losses.",
        "report": "Write a page about a series: its laws, curves and doubts.",
        "fit": "Fit a scaling law to a table of measurements.",
        "isoflop": "Find the best model size of each compute budget.",
        "plan": "Advise on model size and tokens, from a fitted law.",
        "emergence": "Measure the runs of a series on `facts` in two ways.",
        "validate": "Check the scaling laboratory where the truth is known.",
    },
    "Look into the engine and the machine": {
        "attention": "Draw what each head of a trained transformer looks at.",
        "graph": "Draw the graph of an expression, or of one model step.",
        "exercises": "Write parts of the engine yourself, and have them checked.",
        "gradcheck": "Check the gradient of every op against differences.",
        "doctor": "Show what this machine offers for training.",
        "bench": "Measure the speed of a size, alone or against other engines.",
        "completion": "Print the completion script of a shell.",
    },
}
HALF = re.compile("[\ud800-\udfff]")  # of a pair of UTF-16: no character by itself
FIRST = 1.0  # seconds that other ranks leave to rank 0, which may fail alike
RANKS = ("train", "scale")  # that may be started by mpiexec
COMMANDS = {name: help for part in SECTIONS.values() for name, help in part.items()}


class Commands(click.Group):
    """The subcommands, each imported from its own file when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"minillm_cli.{name}").command
        command.help = command.help or COMMANDS[name]  # `python -OO` has no docstrings
        return command

    def format_commands(self, ctx, formatter: click.HelpFormatter) -> None:
        for title, part in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(part.items()))


@click.command(
    cls=Commands,
    commands=dict.fromkeys(COMMANDS),  # for "Did you mean ...?"
    invoke_without_command=True,
    context_settings={
        "auto_envvar_prefix": "MINILLM",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 88,
        "color": True,  # or click takes escapes out of what is piped, and says nothing
    },
    epilog="Example:  minillm train --size nano",
)
@click.version_option(
    minillm.__version__, prog_name="minillm", allow_from_autoenv=False
)
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Train small language models and measure how their loss falls with size."""
    name = ctx.invoked_subcommand
    _, n = launcher.place()
    if n > 1 and name not in RANKS:
        raise launcher.everywhere(
            UsageError(
                f"{n} processes were started together, and each would {name or 'help'} "
                f"by itself: only {' and '.join(RANKS)} share their work"
            )
        )
    if name is None:
        click.echo(ctx.get_help())


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    with signals.put_back():
        return answer(argv)


def answer(argv: list[str] | None = None) -> int:
    """The same as the last thing that a process does: in the end it ignores signals."""
    with streams.ready(), command_line():
        try:
            signals.heard()
            code = commands.main(argv, "minillm", standalone_mode=False) or 0
            signals.ignored()
        except BaseException as error:
            signals.ignored()
            if os.environ.get("MINILLM_TRACEBACK"):
                traceback.print_exc()
            code, message = explain(error)
            rank, n = launcher.place()
            alone = n > 1 and not launcher.is_everywhere(error)
            if alone:
                time.sleep(FIRST if rank else 0)  # if rank 0 fails too, it speaks
                message = f"rank {rank}: {message or 'ended'}"
            if message and (alone or rank == 0):
                line = "minillm: " + " ".join(message.split())
                click.echo(shortened(line), err=True, color=True)
            if alone:
                launcher.abort(code)
        return code


def explain(error: BaseException) -> tuple[int, str]:
    """The exit code of an error, and the line that tells the user about it."""
    match error:
        case MinillmError() | Interrupted():
            return error.exit_code, str(error)
        case click.UsageError():
            return UsageError.exit_code, _usage_message(error)
        case click.ClickException():
            return error.exit_code, error.format_message()
        case click.Abort() if error.__cause__:  # click's wrapping of the next two
            return explain(error.__cause__)
        case KeyboardInterrupt():
            return 130, "interrupted"
        case signals.Terminated():
            return 143, "terminated"
        case SystemExit():  # from click or rich: a pipe's reader has gone, for one
            return int(error.code or 0), ""
        case MemoryError():
            return (
                DeviceError.exit_code,
                f"out of memory: {error or 'try a smaller size'}",
            )
        case FileNotFoundError() if error.filename:
            return DataError.exit_code, f"{error.filename}: no such file"
        case ValueError() if "embedded null" in str(error):
            return UsageError.exit_code, "the name of a file cannot hold a zero byte"
        case UnicodeEncodeError() if HALF.search(error.object):
            return UsageError.exit_code, f"{error.object!a} is no name in UTF-8"
        case PermissionError() if error.filename:
            return (
                DataError.exit_code,
                f"{error.filename}: {error.strerror}: change its permissions or choose "
                f"another place",
            )
        case OSError() if error.filename:
            return DataError.exit_code, f"{error.filename}: {error.strerror}"
        case OSError() if error.errno == errno.ENOMEM:  # of a fork, or shared memory
            return explain(MemoryError("try a smaller size, or fewer --workers"))
        case OSError() if error.errno in (errno.ENOSPC, errno.EIO):
            return 1, f"standard output: {error.strerror}: what was to be said is lost"
    from minillm.backend.cuda import of_device

    if of_device(error):
        return DeviceError.exit_code, f"the device failed: {error}"
    kind = type(error).__name__
    told = "; ".join([str(error), *getattr(error, "__notes__", ())])
    return 1, f"{kind}: {told} (to see where: MINILLM_TRACEBACK=1 minillm ...)"


def _usage_message(error: click.UsageError) -> str:
    message, ctx = error.format_message(), error.ctx
    param = getattr(error, "param", None)
    if param:
        message += common.place_of(ctx, param.name)
    if message[-1:] not in ".?!":
        message += "."
    return f"{message} See `{ctx.command_path if ctx else 'minillm'} --help`."
