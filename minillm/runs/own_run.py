"""Runs of a model of one's own: only who wrote it can make it again."""

import dataclasses
from pathlib import Path

from minillm.errors import UsageError, option
from minillm.kinds import COUNT
from minillm.learning.config import OF_OURS, OWN, TrainConfig
from minillm.learning.own_model import with_model
from minillm.nn import Module

# What run.json says of such a model.
MODEL = {
    "class": str,
    "vocab_size": COUNT,
    "context": COUNT,
    "shapes": {str: [COUNT]},
}


def with_given(config: TrainConfig, model: Module | None) -> TrainConfig:
    """The settings of a run that trains the model which is given, if one is.

    Raises UsageError where only one of the two is there, or a shape is asked for too.
    """
    if model is None or _is_resolved_default(config):
        return with_model(config, model)
    if config.arch not in (None, OWN):
        raise UsageError(
            f"arch {config.arch} beside model=, which is of a class of your own: leave "
            f"one of them out"
        )
    asked = {name: getattr(config, name) for name in OF_OURS}
    # `resolve` refuses what is asked of a shape.
    return dataclasses.replace(with_model(config, model), **asked)


def _is_resolved_default(config: TrainConfig) -> bool:
    """Whether `resolve` has filled in a shape that nobody asked for."""
    usual = TrainConfig(objective=config.objective).resolve()
    return all(
        getattr(config, name) == getattr(usual, name) for name in ("arch", *OF_OURS)
    )


def check_same(path: Path, record: dict, model: Module | None) -> None:
    """UsageError where the run at `path` is not of a model like this one: of the same
    class, with parameters of the same names and shapes."""
    if record["config"]["arch"] != OWN:
        if model is not None:
            raise UsageError(
                f"{path}: is of arch {record['config']['arch']}, and of no model of "
                f"your own: choose another {option('out')}, or leave out model="
            )
        return
    known = record["model"]
    if model is None:
        raise UsageError(
            f"{path}: is of a model of your own, {known['class']}, whose code no file "
            f"holds: in Python, `load_run` and `train` take it as model="
        )
    if not isinstance(model, Module):
        raise UsageError(
            f"model must be a minillm.nn.Module, got {type(model).__name__}"
        )
    name = type(model).__name__
    shapes = {key: list(p.shape) for key, p in model.named_parameters()}
    if name != known["class"]:
        raise UsageError(f"{path}: is of a model {known['class']}, got {name}")
    for key in sorted({*shapes, *known["shapes"]}):
        here, there = shapes.get(key), known["shapes"].get(key)
        if here != there:
            raise UsageError(
                f"{path}: {key} of {name} has shape {there} there, and {here} here "
                f"(None: no such parameter)"
            )
