"""Report of a series: its sizes, its laws, the prediction of the held-out model."""

from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from minillm.errors import DivergedError, MinillmError
from minillm.laws.fitting import fit
from minillm.laws.law import LawFit
from minillm.series.branches import Lengths
from minillm.series.ladder import FEWEST_WIDTHS
from minillm.series.plan import Plan
from minillm.series.points import Size, points_of, sizes_of, unfit
from minillm.series.series_text import TOKENS
from minillm.text import generated

# How parameters can be counted. The law is fitted with the first.
COUNTS = ("non_embedding", "matrices_and_head", "total")


class Findings:
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
        self.lengths = Lengths(plan, self.points, every_length, COUNTS[0])
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
        """The law of the losses for each way of counting parameters.

        Least squares of the relative error, in which a median of more seeds weighs
        more.
        """
        loss = [size.loss for size in self.fitted]
        sigma = [size.loss / len(size.losses) ** 0.5 for size in self.fitted]
        return {
            way: fit(
                {"N": _counted(self.fitted, way), "loss": loss, "sigma": sigma},
                loss="lsq",
                sigma="sigma",
            )
            for way in COUNTS
        }

    @property
    def law(self) -> LawFit:
        return self.laws[COUNTS[0]]

    @cached_property
    def powers(self) -> dict[str, LawFit]:
        """y = a·xⁿ + b for every size there is: accuracy levels off, costs do not.
        None of decoding where the models continue no text."""
        trained = _counted(self.sizes, COUNTS[0])
        accuracy = [size.accuracy for size in self.sizes]
        training = [size.train_seconds for size in self.sizes]
        decoding = {
            point["parameters"][COUNTS[0]]: point["seconds_per_token"]
            for point in self.decoding
            if point["seconds_per_token"] is not None
        }
        name = "decode_seconds_per_token"
        columns = {"N": list(decoding), name: list(decoding.values())}
        return {
            "accuracy": fit(
                {"N": trained, "accuracy": accuracy}, y="accuracy", ceiling=True
            ),
            **({name: fit(columns, y=name)} if decoding else {}),
            "train_seconds": fit(
                {"N": trained, "train_seconds": training}, y="train_seconds"
            ),
        }

    def prediction(self, way: str = COUNTS[0]) -> dict:
        """The held-out model by the law of the others, beside what was measured.

        Errors are |predicted/measured − 1|, None where its run is missing; `interval95`
        is that of the curve.
        """
        law = self.laws[way]
        n = next(
            point["parameters"][way]
            for point in self.decoding
            if point["width"] == self.plan.ladder.held_out
        )
        measured = self.held_out.loss if self.held_out else None

        def error(law: LawFit) -> float | None:
            return abs(law.predict(n) / measured - 1) if measured else None

        return {
            "parameters": n,
            "predicted": law.predict(n),
            "interval95": [float(end) for end in law.band(n)],
            "measured": measured,
            "relative_error": error(law),
            "pure_power_relative_error": error(law.without_floor),
        }

    def truth(self) -> dict | None:
        """The entropy of a text whose law is known, beside what the laws say of it.

        `floor` is the loss of an ideal model of this context: windows begin in the
        middle of a word, so it lies above the `entropy`. Nats per character, so for
        models of characters only. E of the law of size is the floor after so many
        tokens; that of size and tokens estimates the ideal model's.
        """
        known = generated(self.plan.data)
        if known is None or self.plan.tokenizer != "chars":
            return None
        floor = known.floor(self.plan.ladder.context)
        laws = {"law": self.law, "law_of_size_and_tokens": self.lengths.of_both}
        found = {name: law.parameters["E"] for name, law in laws.items() if law}
        return {
            "entropy": known.entropy,
            "floor": floor,
            "E": found,
            "relative_error": {name: abs(e / floor - 1) for name, e in found.items()},
        }

    def warnings(self) -> list[str]:
        """What the reader should know, the law's own doubts last."""
        left_out = [
            f"run {bad['run']} is left out: {bad['reason']}" for bad in self.excluded
        ]
        doubts = [*self.law.warnings, *self.lengths.warnings()]
        return [*self.plan.warnings, *left_out, *dict.fromkeys(doubts)]

    def to_json(self) -> dict:
        """What `minillm scale --json` prints, but for `figures` and `seconds`."""
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
            **self.lengths.to_json(),
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
        data = next(iter(self.records.values()))["data"]["name"]
        title = (
            f"{short(self.plan.tokens)} tokens of {data} for each {self.plan.arch}\n"
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
        if self.lengths.of_both:
            figures["size_and_tokens"] = draw_law(self.lengths.of_both, labels=LABELS)
        return [
            save(figure, folder / f"{name}{suffix}").resolve()
            for name, figure in figures.items()
            for suffix in (".png", ".svg")
        ]


def _counted(sizes: list[Size], way: str) -> list[int]:
    return [size.parameters[way] for size in sizes]
