"""The learning curve of a run, drawn from its metrics.jsonl."""

from pathlib import Path

import numpy as np

from minillm.errors import DataError, UsageError
from minillm.figures import COLOURS, new_figure, save, style
from minillm.json_files import read_lines
from minillm.kinds import COUNT, NUMBER
from minillm.runs import metrics
from minillm.text import OBJECTIVES

DRAWN = {**metrics.KIND, "tokens": COUNT, "loss": NUMBER}


def draw_curve(folder: Path, record: dict, to: Path | None = None) -> Path:
    """Draw loss.svg into the folder of a finished run, or its curve to another place;
    returns its path. `record` is that of the run.

    Raises DataError where the disk refuses: the run is finished all the same.
    """
    figure = curve_of(folder, record)
    try:
        return save(figure, to or folder / "loss.svg")
    except UsageError as error:  # the place was nobody's choice
        raise DataError(f"{error}; the run is finished") from None


def curve_of(folder: Path, record: dict):
    """A matplotlib Figure of the learning curve of a run, finished or not. Raises
    DataError."""
    lines = list(read_lines(folder / "metrics.jsonl", DRAWN))
    tokens = np.array([line["tokens"] for line in lines])
    loss = np.array([line["loss"] for line in lines])
    with style():
        figure, axes = new_figure()
        axes.plot(tokens, loss, color=COLOURS["sky"], linewidth=0.8, alpha=0.6)
        axes.plot(tokens, _smooth(loss), color=COLOURS["blue"], label="training")
        validated = [line for line in lines if "val_loss" in line]
        last = (record["results"] or {}).get("val_loss")  # none before the end
        axes.plot(
            [line["tokens"] for line in validated],
            [line["val_loss"] for line in validated],
            "o-",
            color=COLOURS["red"],
            label="validation" if last is None else f"validation {last:.3f}",
        )
        axes.set_xscale("log")
        axes.set_xlabel("tokens seen")
        objective = OBJECTIVES[record["options"]["objective"]]
        axes.set_ylabel(f"loss ({objective.loss_unit})")
        axes.set_title(f"{folder.name}: {record['data']['name']}")
        axes.legend()
    return figure


def _smooth(loss: np.ndarray) -> np.ndarray:
    """The mean over a window that grows with the step, as the log axis shrinks it."""
    sums = np.concatenate([[0.0], np.cumsum(loss)])
    i = np.arange(len(loss))
    half = np.maximum(1, i // 12)
    first, last = np.maximum(0, i - half), np.minimum(len(loss), i + half + 1)
    return (sums[last] - sums[first]) / (last - first)
