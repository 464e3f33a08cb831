"""Compare runs: the settings that differ, and the results."""

from pathlib import Path

from minillm.learning.config import recorded
from minillm.studies.run_folders import RunRead, read_run
from minillm.text import OBJECTIVES

# Folder and checkpoints of a run have no effect on its training.
NOT_COMPARED = {"out", "eval_every", "save_every", "keep", "start", "branch"}
# May differ along a series of sizes: the size, and settings that follow from it.
OF_SIZE = {
    *("size", "n_layers", "d_model", "n_heads", "lr", "min_lr", "seed", "warmup"),
    *("steps", "tokens", "workers", "device"),
}
RESULTS = (
    "val_loss",
    "train_loss",
    "val_bits_per_byte",
    "val_accuracy",
    "tokens",
    "steps",
    "seconds",
    "tokens_per_second",
    "peak_memory_bytes",
)


def compare_runs(paths: list[Path], *, plot: str | Path | None, x: str) -> dict:
    """The records of run folders side by side; see `compare`."""
    runs = [read_run(path) for path in paths]
    names = told_apart(paths)
    in_bytes, warnings = _unit(runs)
    if plot:
        from minillm.figures import save
        from minillm.studies.compare.comparison_figures import MOST_CURVES, draw_curves

        if len(runs) > MOST_CURVES:
            warnings.append(
                f"the picture shows the first {MOST_CURVES} of {len(runs):,} runs: "
                f"more cannot be told apart"
            )
        figure = draw_curves(
            dict(zip(names, runs, strict=True)), x=x, in_bytes=in_bytes
        )
        plot = str(save(figure, plot).resolve())
    return {
        "runs": [
            _summary(run, name, path, in_bytes)
            for run, name, path in zip(runs, names, paths, strict=True)
        ],
        "unit": "bits/byte" if in_bytes else loss_unit(runs),
        "differences": differences(runs),
        "figure": plot or None,
        "warnings": warnings,
    }


def loss_unit(runs: list[RunRead]) -> str:
    """The unit of the runs' losses; "nats" for runs with different units."""
    objectives = [run.get("options", "objective") or "clm" for run in runs]
    known = [OBJECTIVES.get(objective) for objective in objectives]
    units = {each and each.loss_unit for each in known}
    return (units.pop() if len(units) == 1 else None) or "nats"


def differences(runs: list[RunRead]) -> dict[str, list]:
    """{setting: [its value in each run, or None]} of the settings that differ."""
    found = {}
    settings = [_settings(run) for run in runs]
    for name in dict.fromkeys(name for each in settings for name in each):
        values = [each.get(name) for each in settings]
        if any(value != values[0] for value in values):
            found[name] = values
    return found


def differences_besides_size(runs: list[RunRead]) -> dict[str, list]:
    """`differences` without size, settings that follow from it, and versions."""
    return {
        name: values
        for name, values in differences(runs).items()
        if name not in OF_SIZE and not name.startswith("version")
    }


def tokenizers(runs: list[RunRead]) -> set:
    return {run.get("data", "tokenizer", "sha256") for run in runs}


def _settings(run: RunRead) -> dict:
    """Options, text and device of a run, by name."""
    options = recorded(run.get("options") or run.get("config") or {})
    return {
        **{name: v for name, v in options.items() if name not in NOT_COMPARED},
        "data": run.get("data", "name"),
        "data_sha256": _short(run.get("data", "sha256")),
        "tokenizer": run.get("data", "tokenizer", "kind"),
        "vocab": run.get("data", "tokenizer", "vocab_size"),
        "tokenizer_sha256": _short(run.get("data", "tokenizer", "sha256")),
        "device": run.get("device"),
        "workers": "{n} {kind}".format(**run.get("workers") or {"n": "", "kind": ""}),
        **{f"version_{k}": v for k, v in (run.get("versions") or {}).items()},
    }


def _short(sha256: str | None) -> str | None:
    return sha256 and sha256[:12]


def _unit(runs: list[RunRead]) -> tuple[bool, list[str]]:
    """Whether to compare in bits per byte, and warnings about the comparison."""
    warnings = []
    if len({run.get("config", "objective") for run in runs}) > 1:
        warnings.append(
            "the runs have different objectives: their losses answer different "
            "questions and cannot be compared"
        )
    if len({run.get("data", "sha256") for run in runs}) > 1:
        warnings.append(
            "the runs read different texts: a lower loss may only mean an easier text"
        )
    for run in runs:
        if not run.finished:
            warnings.append(
                f"{run.name} is not finished (status {run.get('status')}): it has no "
                f"validation loss"
            )
    if len(tokenizers(runs)) == 1:
        return False, warnings
    if any(run.finished and run.bits_per_nat is None for run in runs):
        warnings.append(
            "the runs have different tokenizers and no bits per byte: their losses per "
            "token cannot be compared"
        )
        return False, warnings
    warnings.append(
        "the runs have different tokenizers, whose tokens are not equally long: "
        "losses are compared in bits per byte"
    )
    return True, warnings


def _summary(run: RunRead, name: str, path: Path, in_bytes: bool) -> dict:
    unit = run.bits_per_nat if in_bytes else 1.0
    results = {key: run.get("results", key) for key in RESULTS}
    for key in ("val_loss", "train_loss"):
        loss = run.get("results", key)
        results[key] = None if None in (loss, unit) else loss * unit
    return {
        "name": name,
        "path": str(path),
        "status": run.get("status"),
        "arch": run.arch,
        "shape": [run.get("config", k) for k in ("n_layers", "d_model", "n_heads")],
        "parameters": run.size,
        "seed": run.get("seed"),
        "flops": run.flops,
        **results,
        "tokens": run.seen,
    }


def told_apart(paths: list[Path]) -> list[str]:
    """The shortest ends of the paths that differ."""
    parts = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names
