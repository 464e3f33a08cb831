"""A run is a folder: what can be read back from it."""

import hashlib
import importlib
import math
import os
import shlex
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

from minillm.errors import DataError, UsageError, brief
from minillm.json_files import read_json
from minillm.kinds import check
from minillm.learning.config import OWN, TrainConfig, recorded, translated
from minillm.learning.flat import FlatParameters
from minillm.models import ModelConfig, build, count
from minillm.nn import Blank, Module
from minillm.reading import TOKENIZER, Missing, read_bytes
from minillm.runs import checkpoint
from minillm.runs.own_run import MODEL, check_same
from minillm.runs.record import (
    FORMAT,
    KIND,
    NEEDED,
    NEEDED_OF_FINISHED,
    NEEDED_OF_OURS,
    model_of,
)
from minillm.runs.run_record import RunRecord
from minillm.text import OBJECTIVES, Tokenizer, load_tokenizer

# What reads a folder that is no run, but has such a file, as a run.
READERS = {"config.json": ("minillm.hub.importing", "read_folder")}
# Numbers in the table of sinusoids: no weight in a file stands for them.
MOST_POSITIONS = 1 << 26


@dataclass(frozen=True)
class Run:
    """A trained model with its tokenizer, its options and its whole record."""

    path: Path
    record: RunRecord
    config: TrainConfig
    model: Module
    tokenizer: Tokenizer

    def __repr__(self) -> str:
        loss = (self.record.get("results") or {}).get("val_loss")
        told = "" if loss is None else f", validation loss {loss:.4f}"
        return f"Run({str(self.path)!r}: {model_of(self.record)}{told})"

    def _repr_html_(self) -> str:
        return self.record.page(self.path)

    @property
    def labels(self) -> list[str]:
        """The classes that a classifier tells apart, in the order of its logits."""
        return self.record["data"].get("labels", [])


def load_run(path, model: Module | None = None) -> Run:
    """Read a run folder: its record, its tokenizer, its newest checkpoint. Or give the
    folder of another of its checkpoints, or one that Hugging Face's `transformers`
    saved (`read_folder`).

    `model` is what a run of a model of one's own needs: one of the same class and
    shapes, which is given the trained weights.

    Raises DataError where something is missing or damaged, and UsageError for a model
    that does not fit.
    """
    if reader := _reader(path):
        return reader(path)
    record = read_record(path)
    check_same(path, record, model)
    chosen, path = checkpoint_of(path), folder_of(path)
    config = TrainConfig.from_json(record["options"])
    if model is None:
        shape = ModelConfig.from_json(record["model"])
        model = build(shape, Blank)
    checkpoint.load(chosen, FlatParameters(model))
    return Run(path, RunRecord(record), config, model, read_tokenizer(path))


def _reader(path) -> Callable[[Path], Run] | None:
    """What reads a folder that is no run."""
    if os.path.exists(Path(path, "run.json")):  # False of a name that is too long, too
        return None
    for file, (module, name) in READERS.items():
        if os.path.isfile(Path(path, file)):
            return getattr(importlib.import_module(module), name)
    return None


def open_run(
    run: Run | str,
    objectives: Container[str] = OBJECTIVES,
    task: str = "",
    own: bool = False,
) -> Run:
    """The run itself, or that of a path, if it was trained with one of `objectives`,
    and is not of a model of one's own unless `own` says so.

    Raises UsageError for any other: it cannot do the `task`.
    """
    run = run if isinstance(run, Run) else load_run(run)
    if run.config.arch == OWN and not own:
        raise UsageError(
            f"{run.path}: is of a model of your own: it cannot {task or 'do this'}"
        )
    if run.config.objective not in objectives:
        kind = OBJECTIVES[run.config.objective].model
        raise UsageError(f"{run.path}: is {kind}: it cannot {task}")
    return run


def refuse_sentence_encoder(run: Run, task: str) -> None:
    """UsageError for a run whose model gives vectors of texts, and predicts no token:
    it cannot do the `task`."""
    if getattr(getattr(run.model, "config", None), "encodes_sentences", False):
        raise UsageError(
            f"{run.path}: is a sentence encoder, which predicts no tokens: it cannot "
            f"{task}; `minillm embed` and `search` use it, and `finetune` makes a "
            f"classifier of it"
        )


def read_tokenizer(path) -> Tokenizer:
    """What turned text into numbers in a run, or in the one a checkpoint is of.

    Raises DataError for a damaged tokenizer.json, and for another one than the run was
    trained with: of other size, or of the same, whose ids mean other words.
    """
    path, record = folder_of(path), read_record(path)
    file = path / "tokenizer.json"
    tokenizer = load_tokenizer(file)
    vocab_size = record["model"]["vocab_size"]
    if tokenizer.vocab_size != vocab_size:
        raise DataError(
            f"{path}: tokenizer.json has {tokenizer.vocab_size} tokens, the model "
            f"{vocab_size}: one of them belongs to another run"
        )
    trained_with = hashes(record)["tokenizer_sha256"]
    if hashlib.sha256(read_bytes(file, TOKENIZER)).hexdigest() != trained_with:
        raise DataError(
            f"{file}: is not what this run was trained with (another sha256): it was "
            f"changed, or belongs to another run"
        )
    about = record["data"]["tokenizer"]
    tokenizer.begin = about.get("begin") or tokenizer.begin
    tokenizer.roles = {name: tuple(ids) for name, ids in about.get("roles", {}).items()}
    if any(i >= vocab_size for ids in tokenizer.roles.values() for i in ids):
        raise DataError(f"{path}: run.json names a token beyond the {vocab_size}")
    return tokenizer


def hashes(record: dict) -> dict:
    """The hashes of what a run's steps depend on beside its options."""
    data = record["data"]
    return {
        "data_sha256": data["sha256"],
        "tokenizer_sha256": data["tokenizer"]["sha256"],
    }


def folder_of(path) -> Path:
    """The folder of the run that a path means: it is one, or one of its checkpoints."""
    path = Path(path)
    return path.parent.parent if path.parent.name == checkpoint.FOLDER else path


def checkpoint_of(path) -> Path:
    """The checkpoint that a path means: it is one, or a run, whose newest is meant.

    Raises DataError for a missing or damaged one.
    """
    path = Path(path)
    numbers = _numbers(read_record(path))
    if path.parent.name != checkpoint.FOLDER:
        return checkpoint.trained(path / checkpoint.FOLDER, numbers)
    if not checkpoint.is_whole(path, numbers):
        raise DataError(f"{path}: is no whole checkpoint")
    checkpoint.check_total(path, numbers)
    return path


def _numbers(record: dict) -> int:
    """How many a run's weights are."""
    if record["config"]["arch"] == OWN:
        return sum(map(math.prod, record["model"]["shapes"].values()))
    return count.parameters(ModelConfig.from_json(record["model"]))["total"]


def read_record(path) -> dict:
    """The run.json of a run, or of the one a checkpoint is of. Raises DataError."""
    path = folder_of(path)
    file = path / "run.json"
    if os.path.isfile(path):
        raise DataError(f"{brief(path)}: is a file, and a run is a folder")
    if not os.path.isdir(path):  # or its name is too long
        raise DataError(f"{brief(path)}: there is no such run")
    try:
        record = read_json(file)
    except Missing:
        if _reader(path):
            raise DataError(
                f"{path}: is no run, but a folder of another library: make a run of it "
                f"(minillm import {shlex.quote(str(path))} RUN)"
            ) from None
        raise DataError(f"{path}: holds no run: there is no run.json in it") from None
    try:
        _check(record)
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: not the record of a run ({error})") from None
    return record | {
        "options": recorded(record["options"]),
        "sources": translated(record["sources"]),
    }


def is_unfinished(path) -> bool:
    """Whether a run lies there that was stopped, and can go on."""
    begun = Path(path, "run.json").exists()
    return begun and read_record(path)["status"] in ("running", "interrupted")


def _check(record: dict) -> None:
    """Raises TypeError or ValueError for what is no record of a run."""
    check(record, KIND)
    if (record.get("format") or 1) > FORMAT:
        raise ValueError(f"a later minillm wrote it, in format {record['format']}")
    check(record, NEEDED)
    if record["status"] == "finished":
        check(record, NEEDED_OF_FINISHED)
    is_own = record["config"]["arch"] == OWN
    if is_own:
        check(record["model"], MODEL, "model")
    elif record["status"] == "finished":
        check(record, NEEDED_OF_OURS)
    config = TrainConfig.from_json(recorded(record["options"]))
    if (config.arch == OWN) != is_own:
        raise ValueError("its arch is not that of its options")
    if is_own:
        return
    shape = ModelConfig.from_json(record["model"])
    if shape != config.shape(shape.vocab_size, shape.n_classes):
        raise ValueError("its model is not that of its options")
    check_positions(shape)
    n_labels = len(record["data"].get("labels") or ())
    if n_labels != shape.n_classes:
        raise ValueError(f"{n_labels} labels for {shape.n_classes} classes")


def check_positions(shape: ModelConfig) -> None:
    """ValueError for a table of sines for which no file must be as large."""
    table = shape.context * shape.d_model
    if shape.positions == "sinusoidal" and table > MOST_POSITIONS:
        raise ValueError(f"its context of {shape.context:,} tokens is too long")
