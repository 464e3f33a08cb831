"""Runs that begin with the weights of another: pre-train, then fine-tune."""

from dataclasses import fields, replace

from minillm.errors import DataError, UsageError, option
from minillm.learning.config import DEFAULT, OF_SHAPE, TrainConfig
from minillm.learning.data import EncodedCorpus
from minillm.learning.flat import FlatParameters
from minillm.learning.learner import Learner
from minillm.learning.settings import word
from minillm.runs.run import checkpoint_of, read_record
from minillm.weights import copy_arrays, read_arrays

# What a run takes over from the one it builds on, whose weights would not fit else.
SHAPE = {*OF_SHAPE, "size", "tokenizer", "vocab"} - {"init"}


def shaped(config: TrainConfig, sources: dict | None = None) -> TrainConfig:
    """The configuration with the shape of its base, where it has one.

    Raises UsageError where it asks for another shape: what `sources` says was given, or
    what is not as usual. DataError for a base that is no run.
    """
    if config.base is None:
        return config
    options = read_record(config.base)["options"]
    usual = {field.name: field.default for field in fields(TrainConfig)}
    for name in SHAPE:
        asked = getattr(config, name)
        given = asked != usual[name] or (sources or {}).get(name, DEFAULT) != DEFAULT
        if given and asked != options[name]:
            has = "none set" if options[name] is None else options[name]
            raise UsageError(
                f"{option(word(name), asked)}: the run {config.base} has {has}, "
                f"and its weights fit no other"
            )
    return replace(config, **{name: options[name] for name in SHAPE})


def warm_start(learner: Learner) -> None:
    """Begin with the weights of the run that `base` names, if it does. Raises
    DataError."""
    config = learner.config
    if config.base and not config.fresh:
        check_labels(config.base, learner.text)
        copy_weights(config.base, learner.work.flat)


def check_labels(path: str, text: EncodedCorpus) -> None:
    """DataError where a classifier would go on with other labels than it knows."""
    known = read_record(path)["data"].get("labels")
    if known and text.labels and known != list(text.labels):
        raise DataError(
            f"{text.name}: its labels are {', '.join(text.labels)}, and those that "
            f"{path} knows {', '.join(known)}: begin with the run that one began with"
        )


def copy_weights(path: str, flat: FlatParameters) -> None:
    """Begin with the weights of the run at `path`.

    A classifier takes those of its body; what a model has beside them (a new output)
    keeps the weights that it drew, and what the other has beside them is left out.
    Raises DataError where nothing fits.
    """
    chosen = checkpoint_of(path)
    arrays = read_arrays(chosen / "model.safetensors")
    places = {
        name.removeprefix("body."): place
        for name, place in flat.views(flat.data).items()
    }
    arrays = {name.removeprefix("body."): array for name, array in arrays.items()}
    common = set(places) & set(arrays)
    if not common:
        raise DataError(f"{path}: its weights have no name in common with this model's")
    copy_arrays(
        {name: arrays[name] for name in common},
        {name: places[name] for name in common},
        chosen,
    )
