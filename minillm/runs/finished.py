"""A run that is finished already: nothing is trained, and its record is returned."""

from pathlib import Path

from minillm.errors import UsageError, option
from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus, read_corpus
from minillm.learning.flat import FlatParameters
from minillm.nn import Module
from minillm.runs import checkpoint, lock
from minillm.runs.own_run import check_same
from minillm.runs.record import code
from minillm.runs.resume import differences, holds_nothing_yet, refuse_imported
from minillm.runs.run import checkpoint_of, read_record, read_tokenizer
from minillm.text import OBJECTIVES
from minillm.visible import warn


def finished_already(
    config: TrainConfig,
    resume: bool,
    text: EncodedCorpus | None,
    model: Module | None,
    reporter,
    draw: bool,
) -> dict | None:
    """The record of this very run, if `out` holds it and it is done; else None.

    Where it does, the user is told, a `model` of one's own gets the weights, and with
    `draw` a curve that is missing is drawn.

    With `resume`, a finished run without its last checkpoint counts as unfinished: it
    goes back to the checkpoint before and finishes again.

    Raises UsageError where the folder holds anything else, or where this run is
    unfinished and nobody asked to resume it; DataError where it is to be resumed and
    its tokenizer is missing or damaged.
    """
    folder = None if config.out is None else Path(config.out)
    if folder is None or not _holds_run(folder):
        return None
    record = read_record(folder)
    refuse_imported(folder, record)
    check_same(folder, record, model)
    for name, old, new in differences(record, config):
        raise UsageError(
            f"{folder}: already holds another run, with {name} {old} instead of {new}: "
            f"choose another {option('out')}"
        )
    if resume:
        read_tokenizer(folder)  # without it no run is of use
    if not _is_done(folder, record, resume):
        lock.refuse_held(folder)
        if resume:
            return None
        raise _unfinished(folder, record["status"])
    text = text or read_corpus(config.data, OBJECTIVES[config.objective].kind)
    if record["data"]["sha256"] != text.sha256:
        raise UsageError(
            f"{folder}: already holds a run on another text, or {config.data} has "
            f"changed since, or an earlier minillm read it otherwise: choose another "
            f"{option('out')}"
        )
    if draw and not (folder / "loss.svg").exists():
        from minillm.runs.curve import draw_curve

        draw_curve(folder, record)  # it was killed, or the disk was full
    note = _note(folder, record)
    if model is not None:
        checkpoint.load(checkpoint_of(folder), FlatParameters(model))
        note += "; its weights are in the model now"
    if reporter is None:
        warn(note)
    else:
        reporter.note(note)
    return record


def _holds_run(folder: Path) -> bool:
    """Whether a run lies there, not nothing. Raises UsageError for anything else."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, not a folder")
    if not folder.exists() or holds_nothing_yet(folder):
        return False
    if not (folder / "run.json").exists():
        raise UsageError(
            f"{folder}: is not empty and holds no run: choose another {option('out')}"
        )
    return True


def _is_done(folder: Path, record: dict, resume: bool) -> bool:
    """Whether the run has taken all its steps; where it is to be resumed, with the
    checkpoint of the last one."""
    if record["status"] != "finished":
        return False
    last = checkpoint.at(folder / checkpoint.FOLDER, record["options"]["steps"])
    return not resume or checkpoint.is_whole(last)


def _unfinished(folder: Path, status: str) -> UsageError:
    another = f"choose another {option('out')}"
    way = f"add {option('resume', True)} to go on with it, or {another}"
    if status == "diverged":
        way = f"{another}, with a smaller {option('lr')}"
    return UsageError(f"{folder}: holds this run, {status}: {way}")


def _note(folder: Path, record: dict) -> str:
    other = record["versions"].get("code") not in (None, code())
    by = ", by another version of minillm's code" if other else ""
    way = f"choose another {option('out')}"
    if not record["options"].get("base"):  # fine-tuning takes the place of no run
        way += f", or {option('overwrite', True)}"
    return f"{folder}: finished already{by}: nothing trained; {way}"
