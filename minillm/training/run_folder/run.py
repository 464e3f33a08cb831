"""A run is a folder: what can be read back from it."""

import hashlib
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
    """Read a run folder: its record, its tokenizer, its newest whole checkpoint.

    Raises DataError where something is missing or damaged.
    """
    path = Path(path)
    record = read_record(path)
    newest = checkpoint.latest(path / "checkpoints")
    if newest is None:
        raise DataError(
            f"{path}: no whole checkpoint in it: was it trained to the end?"
        )
    config = TrainConfig.from_json(record["options"])
    shape = ModelConfig.from_json(record["model"])
    model = build(shape, np.random.default_rng(0))
    checkpoint.load(newest, FlatParameters(model))
    return Run(path, record, config, model, read_tokenizer(path, record))


def read_tokenizer(path: Path, record: dict) -> Tokenizer:
    """What turned text into numbers in the run at `path`.

    Raises DataError for a damaged tokenizer.json, and for another one than the run was
    trained with: of other size, or of the same, whose ids mean other words.
    """
    file = path / "tokenizer.json"
    tokenizer = load_tokenizer(file)
    vocab_size = record["model"]["vocab_size"]
    if tokenizer.vocab_size != vocab_size:
        raise DataError(
            f"{path}: tokenizer.json has {tokenizer.vocab_size} tokens, the model "
            f"{vocab_size}: one of them belongs to another run"
        )
    trained_with = record["data"].get("tokenizer", {}).get("sha256")
    if hashlib.sha256(file.read_bytes()).hexdigest() != trained_with:
        raise DataError(
            f"{file}: is not what this run was trained with (another sha256): it was "
            f"changed, or belongs to another run"
        )
    return tokenizer


def read_record(path: Path) -> dict:
    """A run folder's run.json. Raises DataError."""
    file = path / "run.json"
    if not path.is_dir():
        raise DataError(f"{path}: there is no such run")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: holds no run: there is no run.json in it") from None
    except (OSError, ValueError, RecursionError) as error:
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
