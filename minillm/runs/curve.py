"""The learning curve of a run, drawn from its metrics.jsonl."""

from pathlib import Path

import numpy as np

from minillm.errors import DataError
from minillm.figures import COLOURS
from minillm.files import replacing
from minillm.json_files import read_lines
from minillm.kinds import COUNT, NUMBER
from minillm.runs import metrics
from minillm.runs.line_chart import Line, line_chart
from minillm.text import OBJECTIVES

DRAWN = {**metrics.KIND, "tokens": COUNT, "loss": NUMBER}


def draw_curve(folder: Path, record: dict, to: Path | None = None) -> Path:
    """Draw loss.svg into the folder of a finished run, or its curve to another place;
    returns its path. `record` is that of the run.

    Raises DataError where the disk refuses: the run is finished all the same.
    """
    picture, path = curve_of(folder, record), to or folder / "loss.svg"
    try:
        with replacing(path) as temporary:
            temporary.write_text(picture, encoding="utf-8")
    except DataError as error:
        raise DataError(f"{error}; the run is finished") from None
    return path


def curve_of(folder: Path, record: dict) -> str:
    """The learning curve of a run, finished or not, as SVG. Raises DataError."""
    lines = list(read_lines(folder / "metrics.jsonl", DRAWN))
    tokens = np.array([line["tokens"] for line in lines])
    loss = np.array([line["loss"] for line in lines])
    validated = [line for line in lines if "val_loss" in line]
    last = (record["results"] or {}).get("val_loss")  # none before the end
    return line_chart(
        [
            Line(tokens, loss, COLOURS["sky"], width=0.8, opacity=0.6),
            Line(tokens, _smooth(loss), COLOURS["blue"], "training"),
            Line(
                np.array([line["tokens"] for line in validated]),
                np.array([line["val_loss"] for line in validated]),
                COLOURS["red"],
                "validation" if last is None else f"validation {last:.3f}",
                dots=True,
            ),
        ],
        title=f"{folder.name}: {record['data']['name']}",
        x_label="tokens seen",
        y_label=f"loss ({OBJECTIVES[record['options']['objective']].loss_unit})",
    )


def _smooth(loss: np.ndarray) -> np.ndarray:
    """The mean over a window that grows with the step, as the log axis shrinks it."""
    sums = np.concatenate([[0.0], np.cumsum(loss)])
    i = np.arange(len(loss))
    half = np.maximum(1, i // 12)
    first, last = np.maximum(0, i - half), np.minimum(len(loss), i + half + 1)
    return (sums[last] - sums[first]) / (last - first)
