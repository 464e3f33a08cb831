"""`minillm exercises`: a folder of exercises cut from the engine, and their marks."""

import importlib.util
import shlex
from pathlib import Path

import click

from minillm.errors import MinillmError
from minillm_cli import common, output

folder = click.option(
    "--folder", metavar="DIR", default=".", help="Where the exercises are.  [.]"
)

PRINTED = 20  # lines that a student's code has printed


@click.group(invoke_without_command=True, epilog="Example:  minillm exercises start ex")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Write parts of the engine yourself, and have them checked."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    elif importlib.util.find_spec("hypothesis") is None:
        raise MinillmError(
            "exercises are checked with Hypothesis: pip install 'minillm-lab[course]'"
        )


@command.command(epilog="Example:  minillm exercises start ex")
@click.argument("dir")
@click.option("--course", metavar="FILE", help="A course file.  [all exercises]")
@common.shared
def start(dir: str, course: str | None, json: bool) -> None:
    """Make a folder of exercises, or add what is missing in one."""
    from minillm.exercises import folder as folders
    from minillm.exercises.course import Course, read_course

    chosen = read_course(Path(course)) if course else Course()
    started = folders.start(Path(dir), chosen)
    if json:
        record = {"folder": dir, "written": started.written, "kept": started.kept}
        return output.print_json(record)
    click.echo(f"{dir}: {len(started.written)} files written")
    if started.kept:
        output.note(f"kept as they are: {', '.join(started.kept)}")
    output.say_next(f"minillm exercises next --folder {shlex.quote(dir)}")


@command.command(epilog="Example:  minillm exercises check softmax")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every exercise of the folder.")
@click.option("--alone", is_flag=True, help="Earlier exercises from the engine.")
@folder
@common.shared
def check(
    names: tuple[str, ...], every: bool, alone: bool, folder: str, json: bool
) -> None:
    """Check exercises: what holds, what does not, and the smallest case that fails.

    NAME is an exercise's name, number or file. Without one, every exercise that is
    begun is checked. Exit code 1 where one does not pass.
    """
    from minillm.exercises import folder as folders
    from minillm.exercises import marking

    where = Path(folder)
    course = folders.open_folder(where)
    wanted = marking.chosen(where, course, names, every)
    marks = []
    for mark in marking.marks(where, course, wanted, alone=alone):
        marks.append(mark)
        if not json:
            show_mark(mark)
    if json:
        output.print_json(marking.to_json(marks))
    elif len(marks) > 1:
        got = sum(mark.points for mark in marks)
        of = sum(mark.of for mark in marks)
        click.echo(f"\n{got:g} of {of:g} points")
    failed = [mark.name for mark in marks if not mark.passed]
    if failed:
        if not json:
            output.say_next(f"minillm exercises hint {failed[0]}")
        raise MinillmError(
            f"{len(failed)} of {len(marks)} exercises do not pass: {', '.join(failed)}"
        )


def show_mark(mark) -> None:
    """A line for the exercise, and one for each property that does not hold."""
    passed = "passed" if mark.passed else "FAILED"
    click.echo(f"{passed}  {mark.name}: {mark.points:g} of {mark.of:g} points")
    told = None
    for verdict in mark.verdicts:
        if verdict.passed:
            if not mark.passed:
                click.echo(f"  ok      {verdict.name}")
        elif verdict.message == told:
            click.echo(f"  failed  {verdict.name}: the same")
        else:
            told = verdict.message
            lines = told.splitlines() or [""]
            click.echo(f"  failed  {verdict.name} ({verdict.kind}): {lines[0]}")
            for line in lines[1:]:
                click.echo(f"        {line}")
    for line in mark.printed.splitlines()[:PRINTED]:
        click.echo(f"  printed: {line}")
    if mark.uses:
        click.echo(f"  with your own {', '.join(mark.uses)}")
