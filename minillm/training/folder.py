"""A run is a folder: where a run writes, and what can be read back from it."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minillm.errors import DataError, UsageError
from minillm.models import ModelConfig, build
from minillm.text import Tokenizer, load_tokenizer
from minillm.training import checkpoint
from minillm.training.config import TrainConfig
from minillm.training.flat import FlatParameters

# What a run may be repeated or resumed with: it changes no result beyond rounding.
FREE = {"out", "device", "workers", "keep", "save_every"}


@dataclass(frozen=True)
class Run:
    """A trained model with its tokenizer and its record."""

    path: Path
    record: dict
    model: object
    tokenizer: Tokenizer


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
    try:
        shape = ModelConfig.from_json(record["model"])
    except (KeyError, TypeError, UsageError) as error:
        raise DataError(f"{path / 'run.json'}: not a run's record ({error})") from None
    model = build(shape, np.random.default_rng(0))
    checkpoint.load(newest, FlatParameters(model))
    tokenizer = load_tokenizer(path / "tokenizer.json")
    if tokenizer.vocab_size != shape.vocab_size:
        raise DataError(
            f"{path}: tokenizer.json has {tokenizer.vocab_size} tokens, the model "
            f"{shape.vocab_size}: one of them belongs to another run"
        )
    return Run(path, record, model, tokenizer)


def read_record(path: Path) -> dict:
    """A run folder's run.json. Raises DataError."""
    file = path / "run.json"
    if not path.is_dir():
        raise DataError(f"{path}: there is no such run")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: holds no run: there is no run.json in it") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from None
    if not isinstance(record, dict) or not isinstance(record.get("options"), dict):
        raise DataError(f"{file}: not a run's record")
    return record


def claim(config: TrainConfig, resume: bool) -> tuple[Path, dict | None]:
    """The folder a run writes to, and the record that is in it already.

    Without `out` a new folder under `runs/`. A folder that holds the same run is handed
    back with its record; one that holds anything else raises UsageError.
    """
    if config.out is None:
        if resume:
            raise UsageError("--resume needs --out: which run?")
        return _new_folder(config), None
    path = Path(config.out)
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: is a file, not a folder")
    if not path.exists() or not any(path.iterdir()):
        if resume:
            raise DataError(f"{path}: there is no run to resume")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{path}: cannot be made ({error.strerror})") from None
        return path, None
    if not (path / "run.json").exists():
        raise UsageError(f"{path}: is not empty and holds no run: choose another --out")
    record = read_record(path)
    differences = changed(config, record["options"])
    if differences:
        name, old, new = differences[0]
        raise UsageError(
            f"{path}: already holds another run, with {name} {old} instead of {new}: "
            f"choose another --out"
        )
    if not resume and record["status"] != "finished":
        raise UsageError(
            f"{path}: holds this run, unfinished: add --resume to go on with it"
        )
    return path, record


def changed(config: TrainConfig, options: dict) -> list[tuple]:
    """(setting, recorded value, this value) where a configuration differs from a
    recorded one in what decides the result."""
    return [
        (name, options.get(name), value)
        for name, value in config.to_json().items()
        if name not in FREE and options.get(name) != value
    ]


def _new_folder(config: TrainConfig) -> Path:
    shape = config.size or f"{config.layers}x{config.width}"
    for i in itertools.count(1):
        path = Path("runs") / f"{shape}-{config.objective}-{i}"
        try:
            path.mkdir(parents=True)  # fails where another process was quicker
        except FileExistsError:
            continue
        return path
