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
    """Read a run folder: its record, its tokenizer, its newest checkpoint.

    Raises DataError where something is missing or damaged.
    """
    path = Path(path)
    record = read_record(path)
    newest = checkpoint.trained(path / "checkpoints")
    config = TrainConfig.from_json(record["options"])
    shape = ModelConfig.from_json(record["model"])
    model = build(shape, np.random.default_rng(0))
    checkpoint.load(newest, FlatParameters(model))
    tokenizer = load_tokenizer(path / "tokenizer.json")
    if tokenizer.vocab_size != shape.vocab_size:
        raise DataError(
            f"{path}: tokenizer.json has {tokenizer.vocab_size} tokens, the model "
            f"{shape.vocab_size}: one of them belongs to another run"
        )
    return Run(path, record, config, model, tokenizer)


def hashes(record: dict) -> dict:
    """Of what a run's steps depend on beside its options."""
    data = record["data"]
    return {
        "data_sha256": data["sha256"],
        "tokenizer_sha256": data["tokenizer"]["sha256"],
    }


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
        missing = {"status"} - set(record)
        dict.items(record["sources"])
        hashes(record)
    except (KeyError, TypeError, UsageError) as error:
        missing = {str(error)}
    if missing:
        raise DataError(f"{file}: not the record of a run ({min(missing)})")
    return record
