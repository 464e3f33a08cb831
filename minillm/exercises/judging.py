"""Whether the properties of an exercise hold for a student's module, and what if not.

Whatever the student's code raises becomes a Failure with a kind.
"""

import contextlib
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from minillm.exercises.cases import THOROUGH, Search, shown_case, smallest_failure
from minillm.exercises.exercise import Exercise, Failure, Property, Student, Verdict
from minillm.testing import CheckError

LONG = 3000  # characters of a message
# Of these the inputs say nothing.
WITHOUT_CASE = ("unsolved", "absent", "exit", "process")
STARTS = {
    *("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system"),
    *("subprocess.Popen", "os.startfile"),
}


def verdicts(
    exercise: Exercise,
    make: Callable[[], Student],
    path: Path,
    *,
    seeds: Iterable[int] = (0,),
    skip: int = 0,
    search: Search = THOROUGH,
) -> Iterator[Verdict]:
    """A verdict for each property from number `skip` on, as they come.

    `make` makes the student's module of the file at `path`, or raises.
    """
    student = attempt(make, path)
    for each in exercise.properties[skip:]:
        if isinstance(student, Failure):
            yield Verdict(each.name, False, student.kind, str(student)[:LONG])
        else:
            yield judged(each, student, path, seeds, search)


def judged(
    one: Property,
    student: Student,
    path: Path,
    seeds: Iterable[int],
    search: Search = THOROUGH,
) -> Verdict:
    """Whether a property holds for every seed."""

    def run(case: dict) -> Failure | None:
        before = {name: _contents(value) for name, value in case.items()}
        np.random.seed(0)  # for a student who draws
        found = attempt(lambda: one.check(student, **case), path)
        for name, value in case.items():
            if _contents(value) != before[name]:
                return Failure("write", f"it writes into its argument {name}")
        return found if isinstance(found, Failure) else None

    for seed in seeds:
        if one.inputs is None:
            failure, case = run({}), {}
        else:
            answer = smallest_failure(
                *(run, one.inputs), seed=seed, examples=one.examples, search=search
            )
            failure, case = answer or (None, {})
        if failure is not None:
            message = str(failure)[:LONG]
            if case and failure.kind not in WITHOUT_CASE:
                message += f"\n  smallest case found: {shown_case(case)}"
            return Verdict(one.name, False, failure.kind, message)
    return Verdict(one.name, True)


def attempt(function: Callable, path: Path):
    """What the function returns, or a Failure for whatever it raises."""
    try:
        with _running(), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("default")  # told, and no error
            return function()
    except Failure as failure:
        return failure
    except CheckError as error:
        return Failure(error.kind, str(error))
    except NotImplementedError as error:
        return Failure("unsolved", f"not solved yet: {error}".rstrip(": "))
    except MemoryError as error:
        return Failure("memory", f"out of memory: {error}{_line(error, path)}")
    except SystemExit as error:
        return Failure("exit", f"it ends the process{_line(error, path)}")
    except Exception as error:
        told = "; ".join([str(error), *getattr(error, "__notes__", ())])
        return Failure("error", f"{type(error).__name__}: {told}{_line(error, path)}")


def _line(error: BaseException, path: Path) -> str:
    """Where in the student's file it was raised."""
    frames = [
        each
        for each in traceback.extract_tb(error.__traceback__)
        if each.filename == str(path)
    ]
    if not frames:
        return ""
    return f"\n  {path.name}, line {frames[-1].lineno}: {frames[-1].line}"


def _contents(value):
    return value.tobytes() if isinstance(value, np.ndarray) else None


_on = [False]  # whether the student's code runs


@contextlib.contextmanager
def _running() -> Iterator[None]:
    _on[0] = True
    try:
        yield
    finally:
        _on[0] = False


def refuse_processes(event: str, _arguments: tuple) -> None:
    """An audit hook: the student's code starts no other process."""
    if _on[0] and event in STARTS:
        raise Failure("process", f"it starts another process ({event})")
