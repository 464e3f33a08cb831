"""A run is a folder: what can be read back from it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minillm.errors import DataError, UsageError
from minillm.models import LanguageModel, ModelConfig, build
from minillm.text import Tokenizer, load_tokenizer
from minillm.training.config import TrainConfig
from minillm.training.flat import FlatParameters
from minillm.training.run_folder import checkpoint


@dataclass(frozen=True)
class Run:
    """A trained model with its tokenizer, its options and its whole record."""

    path: Path
    record: dict
    config: TrainConfig
    model: LanguageModel
    tokenizer: Tokenizer

    @property
    def labels(self) -> list[str]:
        """The classes that a classifier tells apart, in the order of its logits."""
        return self.record["data"].get("labels", [])


def load_run(path) -> Run:
    """Read a run folder: its record, its tokenizer, its newest whole checkpoint. Or
    give the folder of another of its checkpoints.

    Raises DataError where something is missing or damaged.
    """
    record = read_record(path)
    chosen, path = checkpoint_of(path), folder_of(path)
    config = TrainConfig.from_json(record["options"])
    shape = ModelConfig.from_json(record["model"])
    model = build(shape, np.random.default_rng(0))
    checkpoint.load(chosen, FlatParameters(model))
    tokenizer = load_tokenizer(path / "tokenizer.json")
    if tokenizer.vocab_size != shape.vocab_size:
        raise DataError(
            f"{path}: tokenizer.json has {tokenizer.vocab_size} tokens, the model "
            f"{shape.vocab_size}: one of them belongs to another run"
        )
    return Run(path, record, config, model, tokenizer)


def folder_of(path) -> Path:
    """The folder of the run that a path means: it is one, or one of its checkpoints."""
    path = Path(path)
    return path.parent.parent if path.parent.name == checkpoint.FOLDER else path


def checkpoint_of(path) -> Path:
    """The checkpoint that a path means: it is one, or a run, whose newest whole one is
    meant. Raises DataError where there is none or it is not whole."""
    path = Path(path)
    if path.parent.name == checkpoint.FOLDER:
        if not checkpoint.is_whole(path):
            raise DataError(f"{path}: is no whole checkpoint")
        return path
    newest = checkpoint.latest(path / checkpoint.FOLDER)
    if newest is None:
        raise DataError(
            f"{path}: no whole checkpoint in it: was it trained to the end?"
        )
    return newest


def read_record(path) -> dict:
    """The run.json of a run, or of the one a checkpoint is of. Raises DataError."""
    path = folder_of(path)
    file = path / "run.json"
    if not path.is_dir():
        raise DataError(f"{path}: there is no such run")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: holds no run: there is no run.json in it") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from None
    try:
        TrainConfig.from_json(record["options"])
        ModelConfig.from_json(record["model"])
        missing = {"status", "sources", "data"} - set(record)
    except (KeyError, TypeError, UsageError) as error:
        missing = {str(error)}
    if missing:
        raise DataError(f"{file}: not the record of a run ({min(missing)})")
    return record
