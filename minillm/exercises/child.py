"""The process in which a student's file runs: one line of JSON for each property.

`python -m minillm.exercises.child REQUEST`, started by `judge.py`. Lines go to the
stdout that this process was given; what the student prints goes to stderr.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from minillm.exercises import earlier
from minillm.exercises.judging import refuse_processes, verdicts
from minillm.exercises.student import load
from minillm.exercises.table import exercise_of

FILE_SIZE = 16 * 2**20  # bytes that may be written into a file: printing has an end


def run(request: dict, tell: Callable[[dict], None]) -> None:
    """Check the properties from number `request["skip"]` on."""
    import hypothesis.extra.numpy  # noqa: F401  its time is not the student's

    exercise, path = exercise_of(request["name"]), Path(request["file"])
    earlier.use({name: Path(file) for name, file in request["earlier"].items()})
    process = os.getpid()
    tell({"ready": True})
    for verdict in verdicts(
        exercise,
        lambda: load(exercise.name, path),
        path,
        seeds=request["seeds"],
        skip=request["skip"],
    ):
        if os.getpid() != process:  # a copy that the student's code has made
            os._exit(0)
        tell(vars(verdict))


def limit(memory: int, seconds: int) -> None:
    """The address space of this process, its time, and the size of its files, where the
    system keeps such limits (Linux does; macOS not all, Windows none). The time is for
    a loop without end whose judge was killed."""
    try:
        import resource
    except ImportError:
        return
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: FILE_SIZE,
    }
    for what, n in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (n, resource.getrlimit(what)[1]))


def main() -> None:
    # Of its own: nothing that the student prints gets between the lines.
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(record: dict) -> None:
        lines.write(json.dumps(record) + "\n")
        lines.flush()

    request = json.loads(sys.argv[1])
    limit(request["memory"], request["cpu_seconds"])
    sys.addaudithook(refuse_processes)
    run(request, tell)
    sys.stdout.flush()
    os._exit(0)  # whatever the student has registered for the end


if __name__ == "__main__":
    main()
