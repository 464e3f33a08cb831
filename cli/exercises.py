"""`minillm exercises`: a folder of exercises cut from the engine, and their marks."""

import importlib.util
import shlex
from pathlib import Path

import click

import minillm
from minillm.errors import MinillmError, install
from minillm_cli import common, lecturers, output

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
            f"exercises are checked with Hypothesis: {install('course')}"
        )


@command.command(epilog="Example:  minillm exercises start ex")
@click.argument("dir")
@lecturers.course_file
@common.shared
def start(dir: str, course: str | None, json: bool) -> None:
    """Make a folder of exercises, or add what is missing in one."""
    from minillm.exercises import folder as folders

    started = folders.start(Path(dir), lecturers.course_of(course))
    if json:
        record = {"folder": dir, "written": started.written, "kept": started.kept}
        return output.print_json(record)
    click.echo(f"{dir}: {len(started.written)} files written")
    output.note(f"the engine, to read, is in {Path(minillm.__file__).parent}")
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


@command.command(epilog="Example:  minillm exercises next")
@folder
@common.shared
def next(folder: str, json: bool) -> None:
    """Say which exercise comes next: the first that does not pass yet."""
    from minillm.exercises import folder as folders
    from minillm.exercises import marking
    from minillm.exercises.table import exercise_of, file_name

    where = Path(folder)
    course = folders.open_folder(where)
    name = marking.first_open(where, course)
    record = {"name": name, "title": None, "file": None}
    if name:
        path = str(where / file_name(name))
        record |= {"title": exercise_of(name).title, "file": path}
    if json:
        return output.print_json(record)
    if name is None:
        return click.echo(f"all {len(course.names)} exercises pass")
    click.echo(f"{record['file']}: {record['title']}")
    output.say_next(f"minillm exercises check {name}{at(folder)}")


@command.command(epilog="Example:  minillm exercises hint softmax --step 2")
@click.argument("name")
@click.option(
    "--step", metavar="N", type=int, default=1, help="1, 2, or 3, which says most.  [1]"
)
@common.shared
def hint(name: str, step: int, json: bool) -> None:
    """Give a hint, in three steps."""
    from minillm.exercises.folder import hint
    from minillm.exercises.table import named

    name = named(name)
    text = hint(name, step)
    if json:
        return output.print_json({"name": name, "step": step, "hint": text})
    click.echo(text)
    if step < 3:
        output.say_next(f"minillm exercises hint {name} --step {step + 1}")


@command.command(epilog="Example:  minillm exercises show softmax")
@click.argument("name")
@common.shared
def show(name: str, json: bool) -> None:
    """Show an exercise: its task, and what its check looks at."""
    from minillm.exercises.cutting import task_of
    from minillm.exercises.table import exercise_of, named, number_of

    exercise = exercise_of(named(name))
    properties = [
        {"name": each.name, "points": each.points, "says": each.says}
        for each in exercise.properties
    ]
    if json:
        record = {"name": exercise.name, "number": number_of(exercise.name)}
        record |= {"title": exercise.title, "task": task_of(exercise)}
        record |= {"builds_on": exercise.builds_on, "properties": properties}
        return output.print_json(record)
    click.echo(task_of(exercise))
    output.print_table(
        ["points", "property", "what must hold"],
        [[each["points"], each["name"], each["says"]] for each in properties],
    )


@command.command(epilog="Example:  minillm exercises reset softmax")
@click.argument("name")
@folder
@common.shared
def reset(name: str, folder: str, json: bool) -> None:
    """Put the blank file of an exercise back; yours is kept beside it."""
    from minillm.exercises import folder as folders
    from minillm.exercises.table import file_name, named

    where, name = Path(folder), named(name)
    folders.open_folder(where)
    copy = folders.reset(where, name)
    if json:
        return output.print_json({"file": where / file_name(name), "kept": copy})
    click.echo(where / file_name(name))
    if copy:
        output.note(f"yours is kept as {copy}")


@command.command(epilog="Example:  minillm exercises watch")
@folder
@common.shared
def watch(folder: str, json: bool) -> None:
    """Check an exercise each time its file is saved, until Ctrl-C."""
    from minillm.exercises import folder as folders
    from minillm.exercises import marking
    from minillm.exercises.watching import saved

    where = Path(folder)
    course = folders.open_folder(where)
    output.note("waiting for a file to be saved; Ctrl-C ends this")
    for name in saved(where, course.names):
        marks = [*marking.marks(where, course, [name])]
        if json:
            output.print_json(marking.to_json(marks))
        else:
            show_mark(marks[0])


for each in (lecturers.solve, lecturers.pack, lecturers.grade):
    command.add_command(each)


def at(folder: str) -> str:
    """The option that names the folder, where it is not this one."""
    return "" if folder == "." else f" --folder {shlex.quote(folder)}"


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
