"""`minillm exercises pack`, `grade` and `solve`: what a lecturer needs."""

from pathlib import Path

import click

from minillm.errors import UsageError
from minillm_cli import common, output

course_file = click.option(
    "--course", metavar="FILE", help="A course file.  [all exercises]"
)


def course_of(file: str | None):
    from minillm.exercises.course import Course, read_course

    return read_course(Path(file)) if file else Course()


@click.command(epilog="Example:  minillm exercises pack --course course.toml out")
@click.argument("dir")
@course_file
@common.shared
def pack(dir: str, course: str | None, json: bool) -> None:
    """Write starter.zip for students, and autograder.zip for Gradescope."""
    from minillm.exercises.archives import pack

    paths = pack(course_of(course), Path(dir))
    if json:
        return output.print_json({"files": paths})
    for path in paths:
        click.echo(path)


@click.command(epilog="Example:  minillm exercises grade submissions --out marks.csv")
@click.argument("folder")
@course_file
@click.option(
    "--out", metavar="FILE", type=common.WRITTEN, help="The table (CSV).  [stdout]"
)
@common.shared
def grade(folder: str, course: str | None, out: str | None, json: bool) -> None:
    """Mark many submissions, a folder or a .zip each: a row of a CSV for each.

    Their code runs on this machine with your rights: this is no sandbox.
    """
    from minillm import files
    from minillm.exercises.submissions import grade, table

    chosen = course_of(course)
    graded = []
    for each in grade(Path(folder), chosen):
        graded.append(each)
        told = each.error or f"{each.points:g} of {chosen.of:g} points"
        click.echo(f"{each.name}: {told}", err=True)
    if out:
        with files.replacing(Path(out), through=True) as temporary:
            temporary.write_text(table(graded, chosen), encoding="utf-8")
    if json:
        records = [each.to_json(chosen) for each in graded]
        return output.print_json({"submissions": records, "of": chosen.of})
    click.echo(out if out else table(graded, chosen).rstrip("\n"))


@click.command(epilog="Example:  minillm exercises solve --all solved")
@click.argument("names", metavar="[NAME]... DIR", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every exercise.")
@common.shared
def solve(names: tuple[str, ...], every: bool, json: bool) -> None:
    """Put solutions into a folder of exercises, a new one or one not begun."""
    from minillm.exercises import folder as folders
    from minillm.exercises.table import SHEETS, named

    *chosen, dir = names or [""]
    if not dir or bool(chosen) == every:
        raise UsageError("give a NAME, or several, or --all, and then the DIR")
    wanted = [*SHEETS] if every else [named(name) for name in chosen]
    paths = folders.solve(Path(dir), wanted)
    if json:
        return output.print_json({"files": paths})
    for path in paths:
        click.echo(path)
