"""The purpose of a run: what it was trained for, and so what it can be asked."""

from collections.abc import Sequence

from minillm.errors import UsageError
from minillm.runs.run import Run, load_run
from minillm.text import OBJECTIVES


def open_run(run: Run | str, objectives: Sequence[str], task: str) -> Run:
    """The run itself, or that of a path, if it was trained with one of `objectives`.

    Raises UsageError for any other: it cannot do the `task`.
    """
    run = run if isinstance(run, Run) else load_run(run)
    if run.config.objective not in objectives:
        kind = OBJECTIVES[run.config.objective].model
        raise UsageError(f"{run.path}: is {kind}: it cannot {task}")
    return run
