"""Settle and resume: the settings of a run, and what its folder holds already.

Its weights and its step are read by `Logbook.go_on`.
"""

from pathlib import Path

from minillm.errors import DataError, UsageError, option
from minillm.files import is_temporary
from minillm.learning.config import DEFAULT, TrainConfig, recorded, translated
from minillm.learning.data import EncodedCorpus, read_corpus
from minillm.learning.settings import word
from minillm.nn import Module
from minillm.runs import checkpoint, lock
from minillm.runs.own_run import check_same, with_given
from minillm.runs.record import IMPORTED
from minillm.runs.run import folder_of, read_record, read_tokenizer
from minillm.runs.warm_start import shaped
from minillm.text import OBJECTIVES

# The only options that may differ when a run is repeated or resumed, since they change
# no result beyond rounding. Any other, as `lr`, is refused. The text is known by its
# hash, wherever it lies.
FREE = {"out", "device", "workers", "keep", "save_every", "data", "start", "branch"}


def settle(
    config: TrainConfig,
    sources: dict | None = None,
    resume: bool = False,
    model: Module | None = None,
) -> tuple[TrainConfig, dict]:
    """Every setting of a run, and where each came from: those it was begun with where
    it is resumed, the shape of the run it builds on, and all defaults written out; of
    a `model` of one's own, no shape.

    Raises UsageError or DataError.
    """
    sources = translated(sources or sources_of(config))
    if resume:
        config, sources = resumed(config, sources, model)
    else:
        config = shaped(config, sources)
        config = with_given(config, model)
    return config.resolve(), sources


def sources_of(config: TrainConfig) -> dict:
    """Where each option came from, for a configuration made in Python."""
    return {
        name: DEFAULT if value == getattr(TrainConfig, name) else "argument"
        for name, value in config.to_json().items()
    }


def resumed(
    config: TrainConfig, sources: dict, model: Module | None = None
) -> tuple[TrainConfig, dict]:
    """The options of the run in `config.out` and where they came from.

    Settings that are given now must agree with them, except those in FREE. Raises
    UsageError or DataError.
    """
    if config.out is None:
        raise UsageError(f"{option('resume')} needs {option('out')}: which run?")
    path = Path(config.out)
    if folder_of(path) != path:
        raise UsageError(
            f"{option('out', path)}: a run goes on where its newest checkpoint is: say "
            f"{option('out', folder_of(path))}"
        )
    if path.is_dir() and holds_nothing_yet(path):
        raise DataError(
            f"{path}: holds no run yet: begin it without {option('resume', True)}"
        )
    record = read_record(path)
    asked = {
        name: value
        for name, value in config.to_json().items()
        if sources.get(name, DEFAULT) != DEFAULT
    }
    _refuse_imported(path, record)
    options = dict(record["options"])
    # A size stands for layers, width and heads: the recorded ones are dropped.
    if "size" in asked:
        options |= dict.fromkeys(("n_layers", "d_model", "n_heads"))
    if "tokens" in asked:
        options["steps"] = None
    options |= {**asked, "out": config.out}
    config = TrainConfig.from_json(options).resolve()
    for name, old, new in differences(record, config):
        way = f"leave it out, or train another run in another {option('out')}"
        if name == "steps":
            way = _longer(record, config)
        raise UsageError(
            f"{config.out}: cannot go on with {name} {new}: this run has {old}: {way}"
        )
    check_same(path, record, model)
    return config, {**record["sources"], **{name: sources[name] for name in asked}}


def _refuse_imported(path: Path, record: dict) -> None:
    """UsageError for a run of weights from elsewhere: it has no steps to go on with."""
    if record["status"] == IMPORTED:
        raise UsageError(
            f"{path}: holds weights from elsewhere: begin another run with them: "
            f"{option('base', path)} and another {option('out')}"
        )


def _longer(record: dict, config: TrainConfig) -> str:
    """How to train on beyond the end of a run: it is planned for its number of steps,
    over which the rate falls."""
    run, branch = config.out, record["options"].get("branch")
    start = f", or {option('start', run)} where its cooldown began" if branch else ""
    return (
        f"leave it out, or begin another run with its weights: "
        f"{option('base', run)}{start}, "
        f"another {option('out')}, and no {option('resume', True)}"
    )


def finished_record(
    config: TrainConfig,
    resume: bool,
    text: EncodedCorpus | None,
    model: Module | None = None,
) -> dict | None:
    """The record of this very run, if `out` holds it and it is done; else None.

    With `resume`, a finished run without its last checkpoint counts as unfinished: it
    goes back to the checkpoint before and finishes again.

    Raises UsageError where the folder holds anything else, or where this run is
    unfinished and nobody asked to resume it; DataError where it is to be resumed and
    its tokenizer is missing or damaged.
    """
    if config.out is None:
        return None
    path = Path(config.out)
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: is a file, not a folder")
    if not path.exists() or holds_nothing_yet(path):
        return None
    if not (path / "run.json").exists():
        raise UsageError(
            f"{path}: is not empty and holds no run: choose another {option('out')}"
        )
    record = read_record(path)
    _refuse_imported(path, record)
    check_same(path, record, model)
    for name, old, new in differences(record, config):
        raise UsageError(
            f"{path}: already holds another run, with {name} {old} instead of {new}: "
            f"choose another {option('out')}"
        )
    if resume:
        read_tokenizer(path)  # without it no run is of use
    last = checkpoint.at(path / checkpoint.FOLDER, config.steps)
    is_finished = record["status"] == "finished"
    if not is_finished or (resume and not checkpoint.is_whole(last)):
        with lock.locked(path):  # or it says who is at work on it
            pass
        if resume:
            return None
        another = f"choose another {option('out')}"
        way = f"add {option('resume', True)} to go on with it, or {another}"
        if record["status"] == "diverged":
            way = f"{another}, with a smaller {option('lr')}"
        raise UsageError(f"{path}: holds this run, {record['status']}: {way}")
    text = text or read_corpus(config.data, OBJECTIVES[config.objective].kind)
    if record["data"]["sha256"] != text.sha256:
        raise UsageError(
            f"{path}: already holds a run on another text, or {config.data} has "
            f"changed since, or an earlier minillm read it otherwise: choose another "
            f"{option('out')}"
        )
    return record


def holds_nothing_yet(path: Path) -> bool:
    """Whether a folder is empty, or as a run leaves it that is killed before its
    run.json is there."""
    names = {item.name for item in path.iterdir() if not is_temporary(item)}
    return names <= {lock.NAME} or names == {lock.NAME, "tokenizer.json"}


def differences(record: dict, config: TrainConfig) -> list[tuple]:
    """(setting in the command's word, recorded value, this value) where a configuration
    differs from a recorded one in what decides the result.

    What a record does not name is as it was before the setting was there: its default.
    """
    before = TrainConfig.from_json(recorded(record["options"])).to_json()
    return [
        (word(name), before[name], value)
        for name, value in config.to_json().items()
        if name not in FREE and before[name] != value
    ]
