"""Tables of a report."""

import numpy as np

from minillm.figures import short
from minillm.laws.law import LawFit
from minillm.studies.report import html
from minillm.studies.report.findings import formula, interval, percent
from minillm.studies.report.laws import Laws
from minillm.studies.run_folders import RunRead, Series


def constants(law: LawFit, y: str) -> str:
    rows = [
        [name, f"{value:.4g}", *(f"{end:.4g}" for end in law.interval95[name])]
        for name, value in law.parameters.items()
    ]
    heads = ["unknown", "value", "95 % from", "to"]
    caption = f"{law.law}; {y} = {formula(law)}, in nats per token"
    return html.table(heads, rows, caption)


def influence(law: LawFit) -> str:
    """The change of the unknowns without each point."""
    rows = []
    for point in law.influence:
        change = point["change"]
        if change is not None:
            cells = [f"{change[name]:+.3g}" for name in sorted(change)]
            rows.append([short(point["N"]), f"{point['loss']:.4f}", *cells])
    if not rows:
        return ""
    names = sorted(next(p["change"] for p in law.influence if p["change"]))
    heads = ["N", "loss", *(f"change of {name}" for name in names)]
    caption = "How the law changes without a point, the most influential first"
    return html.table(heads, rows, caption)


def powers(laws: Laws) -> str:
    rows = []
    for name, law in laws.powers.items():
        power = law.as_power()
        ends = interval(power["interval95"]["n"])
        numbers = [f"{power[key]:.4g}" for key in "anb"]
        rows.append([name, *numbers, ends, str(law.n)])
    heads = ["y", "a", "n", "b", "95 % of n", "points"]
    return html.table(heads, rows, "y = a·N^n + b")


def sizes(series: Series, laws: Laws) -> str:
    """A row for each size and length: the measured loss beside the law."""
    held_out = {run.name for run in series.held_out}
    groups = {}
    for run in [*series.fitted, *series.held_out]:
        key = (run.size, run.tokens, run.name in held_out)
        groups.setdefault(key, []).append(run)
    rows = []
    for (size, tokens, held), runs in sorted(groups.items(), key=lambda item: item[0]):
        first = runs[0]
        loss = float(np.median([run.loss for run in runs]))
        law = _law_at(series, laws, size, tokens)
        rows.append(
            [
                " × ".join(
                    str(first.get("config", k)) for k in ("n_layers", "d_model")
                ),
                short(size),
                short(tokens),
                f"{len(runs)}{' held out' if held else ''}",
                f"{loss:.4f}",
                "–" if law is None else f"{law:.4f}",
                "–" if law is None else f"{100 * (loss / law - 1):+.2f} %",
                _median(runs, "val_accuracy", percent),
                _median(runs, "val_bits_per_byte", "{:.3f}".format),
                _median(runs, "seconds", "{:.0f}".format),
            ]
        )
    heads = ["shape", "N", "D", "runs", "loss", "by the law", "above it", "accuracy"]
    heads += ["bits/byte", "seconds"]
    caption = "Medians over seeds; shape: layers × width; loss in nats per token"
    if laws.both is not None:
        caption += "; the law: L(N) at the longest, L(N, D) below"
    return html.table(heads, rows, caption)


def _law_at(series: Series, laws: Laws, size: int, tokens: int) -> float | None:
    if laws.size is not None and tokens == series.points_of_size[0].tokens:
        return laws.size.predict(size)
    return None if laws.both is None else laws.both.predict(size, tokens)


def _median(runs: list[RunRead], key: str, write) -> str:
    values = [run.get("results", key) for run in runs]
    known = [value for value in values if value is not None]
    return write(float(np.median(known))) if known else "–"


def rates(series: Series) -> str:
    """Runs at other learning rates, beside the run of the same size and length at the
    usual one."""
    rows = []
    for check in series.rate_checks:
        same = [
            run
            for run in series.runs
            if run.finished
            and run not in series.rate_checks
            and (run.size, run.tokens, run.get("seed"))
            == (check.size, check.tokens, check.get("seed"))
        ]
        if same:
            factor = check.get("options", "lr") / same[0].get("options", "lr")
            change = f"{100 * (check.loss / same[0].loss - 1):+.2f} %"
            row = [short(check.size), short(check.tokens), f"{factor:.3g}"]
            rows.append([*row, f"{check.loss:.4f}", f"{same[0].loss:.4f}", change])
    heads = ["N", "D", "times the rate", "loss", "at the rule's rate", "change"]
    return html.table(heads, rows)
