"""Resume: whether a run begins, goes on or replaces another, and with which settings.

The weights and the step that it goes on from are read by `Logbook.go_on`.
"""

from dataclasses import replace
from pathlib import Path

from minillm.errors import DataError, UsageError, option
from minillm.files import holds_only, is_temporary, leads_away
from minillm.learning.config import DEFAULT, TrainConfig, recorded, translated
from minillm.learning.settings import word
from minillm.nn import Module
from minillm.runs import checkpoint, lock
from minillm.runs.own_run import check_same, with_given
from minillm.runs.record import IMPORTED
from minillm.runs.run import folder_of, is_unfinished, read_record
from minillm.runs.warm_start import shaped

# The only options that may differ when a run is repeated or resumed, since they change
# no result beyond rounding. Any other, as `lr`, is refused. The text is known by its
# hash, wherever it lies.
FREE = {"out", "device", "workers", "keep", "save_every", "data", "start", "branch"}


def settle(
    config: TrainConfig,
    sources: dict | None = None,
    resume: bool | str = False,
    overwrite: bool = False,
    model: Module | None = None,
) -> tuple[TrainConfig, dict, bool, bool]:
    """Every setting of a run, where each came from, whether it goes on with the run in
    `out`, and whether it replaces that one.

    A run goes on with the settings it was begun with. Another one has the shape of the
    run it builds on, and all defaults written out; of a `model` of one's own, no shape.
    `resume` is "auto" to go on if the run in `out` is unfinished. Raises UsageError or
    DataError.
    """
    replaces = overwrite and _may_be_removed(config, resume)
    sources = translated(sources) if sources else sources_of(config)
    if resume == "auto":
        resume = config.out is not None and is_unfinished(config.out)
    if resume:
        config, sources = resumed(config, sources, model)
    else:
        config = shaped(config, sources)
        config = with_given(config, model)
        config = _at_its_rate(config, replaces)
    return config.resolve(), sources, resume, replaces


def _at_its_rate(config: TrainConfig, replaces: bool) -> TrainConfig:
    """The configuration with the learning rate of the run that it repeats or branches
    off, where none is named: the rule for it may have changed since."""
    run = config.start
    if config.out and not replaces and (Path(config.out) / "run.json").exists():
        run = config.out
    if run is None or config.lr is not None:
        return config
    return replace(config, lr=read_record(run)["options"].get("lr"))


def _may_be_removed(config: TrainConfig, resume: bool | str) -> bool:
    """Whether there is a run in `out`, which a new one may take the place of.

    Raises UsageError where that cannot be meant, DataError where something else lies
    among its checkpoints.
    """
    if config.out is None:
        raise UsageError(f"{option('overwrite')} needs {option('out')}: which run?")
    if resume:
        raise UsageError(
            f"{option('overwrite')} or {option('resume')}: a run cannot do both"
        )
    folder = Path(config.out)
    if not (folder / "run.json").exists():
        return False
    if config.start and Path(config.start).resolve() == folder.resolve():
        raise UsageError(
            f"{option('overwrite', True)} would remove the "
            f"{option('start', config.start)}"
        )
    checkpoints = folder / checkpoint.FOLDER
    if checkpoints.is_dir() and leads_away(checkpoints):
        raise DataError(f"{checkpoints}: leads elsewhere: remove it yourself")
    for path in checkpoints.glob("step-*"):
        if not holds_only(path, checkpoint.NAMES):
            raise DataError(f"{path}: holds something else: move it away")
    return True


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
    refuse_imported(path, record)
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


def refuse_imported(path: Path, record: dict) -> None:
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
