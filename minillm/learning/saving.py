"""A Learner's state in one file: weights, moments, and the step that comes next."""

from pathlib import Path

from minillm.errors import DataError
from minillm.files import replacing
from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import Optimizer
from minillm.learning.worker import Workplace
from minillm.weights import fill, read_about, write_arrays


def save(path: str | Path, work: Workplace, next_step: int) -> None:
    """Write it. Raises DataError where the disk refuses."""
    with replacing(Path(path)) as temporary:
        write_arrays(temporary, _arrays(work), {"next": str(next_step)})


def load(path: str | Path, work: Workplace) -> int:
    """Copy what `save` wrote into the weights and moments; returns the next step.

    Raises DataError for any other file, and changes nothing then.
    """
    path, steps = Path(path), work.config.steps
    number = read_about(path).get("next", "")
    if not number.isdecimal():
        raise DataError(f"{path}: was not written by Learner.save")
    if int(number) > steps:
        raise DataError(
            f"{path}: is of step {number}, beyond the {steps} of this configuration"
        )
    fill(_arrays(work), path)
    return int(number)


def _arrays(work: Workplace) -> dict:
    weights = work.flat.views(work.flat.data).items()
    return {
        **{f"model.{name}": view for name, view in weights},
        **moments(work.flat, work.optimizer),
    }


def moments(flat: FlatParameters, optimizer: Optimizer) -> dict:
    """The optimizer's moments by name, as views: {"m.blocks.0…": array, …}."""
    return {
        f"{kind}.{name}": view
        for kind, buffer in optimizer.state.items()
        for name, view in flat.views(buffer).items()
    }
