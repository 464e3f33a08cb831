"""Profile of a training step: its seconds op by op, forward and backward."""

import time
from collections import defaultdict

from minillm import backend
from minillm.backend import faster_names, joint
from minillm.figures import COLOURS, new_figure, style

BETWEEN = "between the ops"


class Profile:
    """Adds up the time in every body and pullback while it is entered.

    On a GPU it waits after each: the sum is then longer than an undisturbed step.
    """

    def __init__(self):
        self.seconds = defaultdict(float)  # (op, "forward" | "backward") -> seconds
        self.calls = defaultdict(int)  # op -> forward calls
        self.total = 0.0

    def __enter__(self) -> "Profile":
        self._observed = backend.observed(self._watched)
        self._observed.__enter__()
        self._begun = time.perf_counter()
        return self

    def __exit__(self, *error):
        self.total += time.perf_counter() - self._begun
        self._observed.__exit__(*error)

    def rows(self, steps: int) -> list[dict]:
        """One row for each op, the longest first, in seconds a step; last the time
        between the ops: recording, ordering, adding up gradients, making the batch."""
        faster = faster_names(backend.current().kind)
        rows = [
            {
                "op": name,
                "body": "faster" if name in faster else "definition",
                "calls": self.calls[name] / steps,
                "forward_seconds": self.seconds[name, "forward"] / steps,
                "backward_seconds": self.seconds[name, "backward"] / steps,
            }
            for name in self.calls
        ]
        rows.sort(key=_total, reverse=True)
        between = self.total / steps - sum(map(_total, rows))
        rows.append(
            {
                "op": BETWEEN,
                "body": "",
                "calls": 0,
                "forward_seconds": between,
                "backward_seconds": 0.0,
            }
        )
        for row in rows:
            row["share"] = _total(row) * steps / self.total
        return rows

    def _watched(self, name, body):
        def run(*arrays, **settings):
            self.calls[name] += 1
            result = self._timed(name, "forward", body, *arrays, **settings)
            if not isinstance(result, tuple):  # a kernel's answer
                return result
            value, *pullbacks = result
            return value, *(self._pullback(name, pullback) for pullback in pullbacks)

        return run

    def _pullback(self, name, pullback):
        if isinstance(pullback, joint):
            return joint(self._pullback(name, pullback.pullback))
        return lambda g: self._timed(name, "backward", pullback, g)

    def _timed(self, name, direction, function, *arrays, **settings):
        begun = time.perf_counter()
        result = function(*arrays, **settings)
        backend.current().synchronize()
        self.seconds[name, direction] += time.perf_counter() - begun
        return result


def _total(row: dict) -> float:
    return row["forward_seconds"] + row["backward_seconds"]


def draw_profile(profile: dict):
    """A matplotlib Figure of the result of `measure.profile`: a bar for each op,
    forward and backward; write it with `minillm.figures.save`."""
    rows = [
        row for row in profile["rows"] if row["share"] >= 0.002 or row["op"] == BETWEEN
    ][::-1]
    names = [row["op"] for row in rows]
    forward = [row["forward_seconds"] * 1e3 for row in rows]
    backward = [row["backward_seconds"] * 1e3 for row in rows]
    with style():
        figure, axes = new_figure(6.6, 1.3 + 0.32 * len(rows))
        axes.barh(names, forward, color=COLOURS["blue"], label="forward")
        axes.barh(
            names, backward, left=forward, color=COLOURS["orange"], label="backward"
        )
        axes.barh(BETWEEN, forward[names.index(BETWEEN)], color=COLOURS["grey"])
        for row, f, b in zip(rows, forward, backward, strict=True):
            axes.annotate(
                f"{row['share']:.0%}",
                (f + b, row["op"]),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
            )
        axes.margins(x=0.1)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("milliseconds a step, one worker")
        axes.set_title(
            f"Where the time goes: {profile['n_layers']} × {profile['d_model']}, "
            f"{profile['batch']} × {profile['context']} tokens"
        )
        axes.legend(loc="lower right")
    return figure
