"""Begin a run, or go on with it: its folder is locked, its weights are in place."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from minillm import backend
from minillm.errors import UsageError, option
from minillm.files import (
    remove_files,
    remove_folder,
    sweep,
    writing,
)
from minillm.learning.config import OWN, TrainConfig
from minillm.learning.learner import Learner
from minillm.runs import branching, checkpoint
from minillm.runs.begun_before import check_reading
from minillm.runs.lock import locked
from minillm.runs.logbook import Logbook
from minillm.runs.record import new_record
from minillm.runs.run import read_record
from minillm.runs.warm_start import warm_start

# What a run, and fine-tuning, write into its folder beside the checkpoints.
FILES = (
    *("run.json", "metrics.jsonl", "tokenizer.json", "diverged.json", "loss.svg"),
    "finetune.json",
)


@contextlib.contextmanager
def open_logbook(
    learner: Learner, sources: dict, reporter, resume: bool, replaces: bool = False
) -> Iterator[Logbook]:
    """The logbook of a run whose next step may come: with `resume` of the run in `out`,
    else of a new one, which with `replaces` takes the place of the one there. Its
    folder is locked for the length of the block.

    Raises UsageError or DataError.
    """
    config = learner.config
    run_before = config.out if resume else config.start
    record = new_record(learner, sources)
    if run_before:
        check_bodies(Path(run_before))
        check_reading(run_before, record)
    stem = None
    if not resume:
        stem = branching.stem_of(config) if config.start else None
        warm_start(learner)
    # All that may refuse the run stands above: nothing is removed for one that fails.
    if replaces:
        remove_run(Path(config.out))
    folder = Path(config.out) if resume else new_folder(config)
    record["options"]["out"] = str(folder)
    with locked(folder), contextlib.closing(reporter):
        sweep(folder)
        book = Logbook(folder, record, learner, reporter)
        if not resume:
            _write_new_run(book, stem)
        if resume or stem:
            book.go_on()
        with book.recording_divergence():
            yield book


def check_bodies(path: Path) -> None:
    """UsageError where a run was begun without faster bodies and would go on with them,
    or the other way round: they round otherwise."""
    plain = read_record(path).get("plain", False)
    if plain != backend.runs_plain():
        began, way = ("with", "set it") if plain else ("without", "unset it")
        raise UsageError(
            f"{path}: was begun {began} MINILLM_PLAIN=1, which changes roundings: "
            f"{way} to go on with it"
        )


def _write_new_run(book: Logbook, stem: Path | None) -> None:
    """Write what a run begins with. Raises UsageError where there is one already."""
    if (book.folder / "run.json").exists():
        raise UsageError(
            f"{book.folder}: another process has begun a run here meanwhile: choose "
            f"another {option('out')}"
        )
    book.write_first_record()
    if stem:
        branching.copy_stem(stem, book.folder)


def remove_run(folder: Path) -> None:
    """Remove a run, and nothing else that lies in its folder."""
    with locked(folder):
        checkpoints = folder / checkpoint.FOLDER
        for path in [*checkpoints.glob("step-*")]:
            remove_folder(path, checkpoint.NAMES)
        remove_files(checkpoints, ())
        remove_files(folder, FILES)


def new_folder(config: TrainConfig) -> Path:
    """Make the folder of a new run: `out`, or one of its own under runs/."""
    if config.out is not None:
        path = Path(config.out)
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
        return path
    shape = config.size or f"{config.n_layers}x{config.d_model}"
    if config.arch == OWN:
        shape = OWN
    runs = Path("runs")
    with writing(runs):
        runs.mkdir(exist_ok=True)
    for i in itertools.count(1):
        path = runs / f"{shape}-{config.objective}-{i}"
        with writing(path), contextlib.suppress(FileExistsError):
            path.mkdir()  # fails where another process was quicker
            return path
