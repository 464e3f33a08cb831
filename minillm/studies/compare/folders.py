"""Compare folders of runs, or folders of series.

compare(["runs/a", "runs/b"])["differences"]    # {"lr": [0.01, 0.003], …}
compare(["runs/gpt", "runs/lstm"])["series"]    # [{"arch": "gpt", "law": …}, …]
"""

from pathlib import Path

from minillm.errors import UsageError
from minillm.studies.compare.compare_runs import compare_runs
from minillm.studies.compare.compare_series import compare_series
from minillm.studies.run_folders import read_run


def compare(folders: list, *, plot: str | Path | None = None, x: str | None = None):
    """Two or more run folders side by side, or two or more series, as a dict.

    For runs: `runs`: name, path, status, architecture, parameters, FLOPs and results of
    each; `unit`: that of `val_loss` and `train_loss` here, nats/token, or bits/byte
    where tokenizers differ; `differences`: {setting: [its value in each run]};
    `figure`; `warnings`. plot: a file for the learning curves over x (`tokens`, the
    default, `seconds` or `flops`).

    For series: `series`: architecture, text, tokens, `law` (as `fit`) and `held_out` of
    each; `at`: the losses by the laws at one size; `differences`, `figure` and
    `warnings` again. plot: a file for the loss against parameters, with every law.

    Raises UsageError and DataError.
    """
    if isinstance(folders, str | Path):
        raise UsageError(f"compare takes a list of folders, got {str(folders)!r}")
    paths = [Path(folder) for folder in folders]
    if len(paths) < 2:
        raise UsageError("give at least two folders to compare")
    series = [is_series(path) for path in paths]
    if not any(series):
        return compare_runs(paths, plot=plot, x=x or "tokens")
    if not all(series):
        run = paths[series.index(False)]
        read_run(run)  # raises its own error for no run
        raise UsageError(
            f"{run} is no series, but {paths[series.index(True)]} is: give runs alone, "
            f"or folders of `minillm scale` alone"
        )
    if x:
        raise UsageError(f"x {x!r} is for runs: laws are drawn over parameters")
    return compare_series(paths, plot=plot)


def is_series(folder: Path) -> bool:
    """Whether a folder is one of `scale`."""
    return any((folder / name).exists() for name in ("scale.json", "plan.json"))
