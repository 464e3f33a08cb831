"""Results of a series: its sizes, its laws, the prediction of the held-out model."""

from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from minillm.errors import DivergedError, MinillmError
from minillm.laws.fitting import fit
from minillm.laws.held_out import predict_held_out
from minillm.laws.law import LawFit
from minillm.series.branches import Branches
from minillm.series.ladder import FEWEST_WIDTHS
from minillm.series.model_settings import written
from minillm.series.plan import Plan
from minillm.series.points import Size, fit_medians, points_of, sizes_of, unfit
from minillm.series.series_text import TOKENS
from minillm.text import generated

# Ways of counting parameters. The law is fitted with the first.
COUNTS = ("non_embedding", "matrices_and_head", "total")


class Results:
    """The laws of a series, from the records of its finished runs.

    records: {name of a run: its record}. excluded: [{"run": name, "reason": text}].
    decoding: see `time_decoding`. Raises DivergedError or MinillmError where too few
    sizes are left for a law.
    """

    def __init__(
        self, plan: Plan, records: dict, excluded: list[dict], decoding: list[dict]
    ):
        self.plan = plan
        self.decoding = decoding
        every = points_of(plan, records)
        bad = unfit(every)
        self.points = [point for point in every if point.name not in bad]
        self.excluded = [*excluded, *({"run": n, "reason": r} for n, r in bad.items())]
        self.records = {point.name: point.record for point in every}
        every_length = sizes_of(self.points)
        self.branches = Branches(plan, self.points, every_length, COUNTS[0])
        self.sizes = [size for size in every_length if size.tokens == plan.tokens]
        self.fitted = [size for size in self.sizes if not size.held_out]
        self.held_out = next((size for size in self.sizes if size.held_out), None)
        if len(self.fitted) < FEWEST_WIDTHS:
            reasons = "; ".join(
                f"{bad['run']}: {bad['reason']}" for bad in self.excluded
            )
            diverged = any("diverged" in bad["reason"] for bad in self.excluded)
            raise (DivergedError if diverged else MinillmError)(
                f"only {len(self.fitted)} sizes are left, a law needs {FEWEST_WIDTHS} "
                f"({reasons})" + ("" if diverged else ": start the series again")
            )

    @cached_property
    def laws(self) -> dict[str, LawFit]:
        """The law of the losses for each way of counting parameters."""
        return {
            way: fit_medians(self.fitted, {"N": _counted(self.fitted, way)})
            for way in COUNTS
        }

    @property
    def law(self) -> LawFit:
        return self.laws[COUNTS[0]]

    @cached_property
    def powers(self) -> dict[str, LawFit]:
        """y = a·xⁿ + b of every size: accuracy levels off, costs do not. None of
        decoding where the models continue no text."""
        trained = _counted(self.sizes, COUNTS[0])
        tables = {
            "accuracy": (trained, [size.accuracy for size in self.sizes]),
            "decode_seconds_per_token": decoding_speeds(self.decoding),
            "train_seconds": (trained, [size.train_seconds for size in self.sizes]),
        }
        return {
            name: fit_by_size(name, *table) for name, table in tables.items() if table
        }

    def prediction(self, way: str = COUNTS[0]) -> dict:
        """The held-out model by the law of the others, see `HeldOut.to_json`."""
        n = next(
            point["parameters"][way]
            for point in self.decoding
            if point["width"] == self.plan.ladder.held_out
        )
        measured = self.held_out.loss if self.held_out else None
        return predict_held_out(self.laws[way], n, measured).to_json()

    def truth(self) -> dict | None:
        """The entropy of a text whose law is known, beside the floors of the laws.

        `floor` is the loss of an ideal model of this context: windows begin in the
        middle of a word, so it lies above the `entropy`. Both are in nats per
        character, for models of characters only. E of the law of size is the floor
        after so many tokens; that of size and tokens estimates the ideal model's.
        """
        known = generated(self.plan.data)
        if known is None or self.plan.tokenizer != "chars":
            return None
        floor = known.floor(self.plan.ladder.context)
        laws = {"law": self.law, "law_of_size_and_tokens": self.branches.of_both}
        found = {name: law.parameters["E"] for name, law in laws.items() if law}
        return {
            "entropy": known.entropy,
            "floor": floor,
            "E": found,
            "relative_error": {name: abs(e / floor - 1) for name, e in found.items()},
        }

    def warnings(self) -> list[str]:
        """All warnings, those about the laws last."""
        left_out = [
            f"run {bad['run']} is left out: {bad['reason']}" for bad in self.excluded
        ]
        of_laws = [*self.law.warnings, *self.branches.warnings()]
        return [*self.plan.warnings, *left_out, *dict.fromkeys(of_laws)]

    def to_json(self) -> dict:
        """The record of `minillm scale --json`, without `figures` and `seconds`."""
        return {
            "preset": self.plan.ladder.name,
            "arch": self.plan.arch,
            "tokens": self.plan.tokens,
            "parameters_counted": COUNTS[0],
            "loss_unit": "nats/token",
            "runs": list(self.records.values()),
            "sizes": [asdict(size) for size in self.sizes],
            "law": {**self.law.to_json(), "excluded": self.excluded},
            "held_out": self.prediction(),
            "counting": {
                way: {
                    "E": law.parameters["E"],
                    "A": law.parameters["A"],
                    "alpha": law.parameters["alpha"],
                    "interval95": law.interval95,
                    "held_out": self.prediction(way),
                }
                for way, law in self.laws.items()
            },
            "laws": {
                name: {**law.as_power(), "warnings": law.warnings}
                for name, law in self.powers.items()
            },
            "truth": self.truth(),
            **self.branches.to_json(),
            "decoding": self.decoding,
            "warnings": self.warnings(),
        }

    def draw(self, folder: Path) -> list[Path]:
        """Write law and power_laws as PNG and SVG; returns their absolute paths."""
        from minillm.figures import save, short
        from minillm.laws.law_figure import LABELS, draw_law, draw_power_laws

        held_out = None
        if self.held_out:
            held_out = self.held_out.parameters[COUNTS[0]], self.held_out.loss
        repeats = {
            size.parameters[COUNTS[0]]: size.losses
            for size in self.fitted
            if len(size.losses) > 1
        }
        low, high = self.law.interval95["alpha"]
        chosen = written(self.plan.ladder.model)
        chosen = f" ({', '.join(chosen)})" if chosen else ""
        data = next(iter(self.records.values()))["data"]["name"]
        title = (
            f"{short(self.plan.tokens)} tokens of {data} for each {self.plan.arch}"
            f"{chosen}\n"
            f"α = {self.law.parameters['alpha']:.2f}, "
            f"95 % interval {low:.2f} to {high:.2f}"
        )
        unit = TOKENS.get(self.plan.tokenizer, "token")
        law = draw_law(
            self.law,
            repeats=repeats,
            held_out=held_out,
            title=title,
            labels=LABELS,
            y_label=f"validation loss (nats/{unit})",
        )
        powers = draw_power_laws(self.powers, labels=LABELS)
        figures = {"law": law, "power_laws": powers}
        if self.branches.of_both:
            figures["size_and_tokens"] = draw_law(self.branches.of_both, labels=LABELS)
        return [
            save(figure, folder / f"{name}{suffix}").resolve()
            for name, figure in figures.items()
            for suffix in (".png", ".svg")
        ]


def decoding_speeds(decoding: list[dict]) -> tuple[list, list] | None:
    """Sizes N, and the seconds per token of each; None where nothing was timed."""
    timed = {
        point["parameters"][COUNTS[0]]: point["seconds_per_token"]
        for point in decoding
        if point.get("seconds_per_token") is not None
    }
    return (list(timed), list(timed.values())) if timed else None


def fit_by_size(name: str, sizes: list, values: list) -> LawFit:
    """The law of a measure by size: accuracy levels off at a ceiling."""
    return fit({"N": sizes, name: values}, y=name, ceiling=name == "accuracy")


def _counted(sizes: list[Size], way: str) -> list[int]:
    return [size.parameters[way] for size in sizes]
