"""Findings of a series, and its limits, in sentences to quote."""

import numpy as np

from minillm.figures import short
from minillm.laws.bootstrap import ends95
from minillm.laws.held_out import HeldOut
from minillm.laws.law import LawFit
from minillm.studies.advice.compute_optimal import Law
from minillm.studies.report.laws import Laws
from minillm.studies.run_folders import Series


def title(series: Series) -> str:
    n = len({run.size for run in series.runs if run.finished})
    return f"{_texts(series)}: {n} {_plural(n, 'size')} of {_model(series)}"


def findings(series: Series, laws: Laws) -> list[str]:
    """The laws with their numbers and intervals, a sentence or two each."""
    return [
        *_law(series, laws),
        *_held_out(laws.held_out),
        *_both(series, laws),
        *_truth(series),
        *_tokens(series),
        *_powers(laws),
    ]


def not_shown(series: Series, laws: Laws) -> list[str]:
    """Conclusions that a reader might draw, and that the runs do not show."""
    return [
        *_lengths(series, laws),
        *_noise(series, laws),
        *_prediction(laws),
        *_rates(series),
        *_theory(series),
        *_elsewhere(series),
    ]


def formula(law: LawFit) -> str:
    """The law with its numbers: 1.53 + 53.9·N^(−0.531)."""
    found = law.parameters
    parts = [f"{found['E']:.3f}"] if found.get("E") else []
    pairs = (("A", "alpha"), ("B", "beta"))
    for name, (amplitude, exponent) in zip(law.variables, pairs, strict=False):
        power = f"{-found[exponent]:.3f}".replace("-", "−")
        parts.append(f"{found[amplitude]:.4g}·{name}^({power})")
    return " + ".join(parts)


def interval(ends, digits: int = 3) -> str:
    return "{} to {}".format(*(f"{end:.{digits}f}".replace("-", "−") for end in ends))


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _law(series: Series, laws: Laws):
    law = laws.size
    if law is None:
        return
    points = series.points_of_size
    seeds = sum(len(point.losses) for point in points)
    yield (
        f"From N = {short(points[0].size)} to {short(points[-1].size)} non-embedding "
        f"parameters, each {_model(series)} trained on {short(points[0].tokens)} "
        f"tokens of {_texts(series)}, the validation loss follows L(N) = "
        f"{formula(law)} nats per token ({len(points)} sizes, {seeds} "
        f"{_plural(seeds, 'run')})."
    )
    low, high = law.interval95["alpha"]
    alpha = law.parameters["alpha"]
    yield (
        f"The exponent is α = {alpha:.3f}, 95 % interval {interval((low, high))}: by "
        f"this law, twice the parameters remove {percent(1 - 2**-alpha, 0)} of the "
        f"loss above the floor ({percent(1 - 2**-low, 0)} to "
        f"{percent(1 - 2**-high, 0)})."
    )
    if law.form.floor:
        verdict = law.floor_verdict
        yield f"{verdict[0].upper()}{verdict[1:]}."


def _held_out(found: HeldOut | None):
    if found is None:
        return
    pure = f"a power law without a floor is {percent(found.pure_error, 2)} off"
    if found.pure == found.predicted:
        pure = "the law has no floor"
    yield (
        f"A model of {short(found.size)} parameters, {found.beyond:.2g} times the "
        f"largest one in the fit and not part of it, was predicted to reach "
        f"{found.predicted:.4f} (95 % band of the curve {interval(found.band, 4)}) and "
        f"measured {found.measured:.4f}: {percent(found.error, 2)} off; {pure}."
    )


def _both(series: Series, laws: Laws):
    law = laws.both
    if law is None:
        return
    lengths = sorted({point.tokens for point in series.points_of_both})
    yield (
        f"Over size and length ({len(lengths)} lengths, {short(lengths[0])} to "
        f"{short(lengths[-1])} tokens), L(N, D) = {formula(law)}; α has the 95 % "
        f"interval {interval(law.interval95['alpha'])}, β "
        f"{interval(law.interval95['beta'])}."
    )
    best, samples = Law.of(law.parameters), Law.resamples(law)
    if best.alpha > 0 and best.beta > 0:
        known = ""
        if np.all(samples.alpha > 0) and np.all(samples.beta > 0):
            ends = interval(ends95(samples.size_exponent), 2)
            known = f" (95 % interval {ends} of the exponent)"
        yield (
            f"By this law the compute-optimal size grows as "
            f"C^{best.size_exponent:.2f}{known}, where C = 6ND training FLOPs."
        )


def _tokens(series: Series):
    """L(D) of the widest model, as `scale` states it."""
    law = series.scale.get("law_of_tokens") or {}
    found, ends = law.get("parameters") or {}, law.get("interval95") or {}
    if {"E", "A", "alpha"} <= set(found) and "alpha" in ends and series.points:
        size = series.points[-1].size
        yield (
            f"The loss of the largest model in the fit, N = {short(size)}, falls with "
            f"tokens as L(D) = {found['E']:.3f} + {found['A']:.4g}·D^"
            f"(−{found['alpha']:.3f}); 95 % interval of the exponent "
            f"{interval(ends['alpha'])}."
        )


def _truth(series: Series):
    """The floors beside the entropy of a generated text, as `scale` states them."""
    truth = series.scale.get("truth") or {}
    names = {"law": "L(N)", "law_of_size_and_tokens": "L(N, D)"}
    for name, floor in (truth.get("E") or {}).items():
        yield (
            f"The text's law is known: its entropy is {truth['entropy']:.4f} "
            f"nats/character, and an ideal model that sees no more than this context "
            f"loses {truth['floor']:.4f}. The floor of {names.get(name, name)} is "
            f"{floor:.4f}, {percent(truth['relative_error'][name])} off."
        )


def _theory(series: Series):
    if _texts(series).startswith("“facts"):
        yield (
            "The exponents are measured, not predicted: an ideal memoriser of `facts` "
            "has exponents in closed form, but transformers come out steeper while "
            "they catch up with it."
        )


def _powers(laws: Laws):
    whats = {
        "train_seconds": "The seconds of training grow",
        "decode_seconds_per_token": "The seconds to write one token grow",
    }
    for name, law in laws.powers.items():
        power = law.as_power()
        ends = interval(power["interval95"]["n"], 2)
        if name in whats:
            fixed = f", beside {_seconds(power['b'])} that any size takes"
            yield (
                f"{whats[name]} as N^{power['n']:.2f} (95 % interval {ends} of the "
                f"exponent){fixed if power['b'] else ''}{_scatter(law)}."
            )
        else:
            ends = power["interval95"]["b"]
            end = "where it levels off is not shown"
            if ends[1] <= 1:
                end = (
                    f"a curve that levels off at {percent(power['b'])} (95 % interval "
                    f"{percent(ends[0])} to {percent(ends[1])}) describes it"
                )
            yield (
                f"The next-token accuracy goes from {percent(law.y.min())} to "
                f"{percent(law.y.max())}; {end}."
            )


def _seconds(value: float) -> str:
    written = short(value)
    return f"{written} s" if written[-1].isdigit() else f"{written}s"


def _scatter(law: LawFit) -> str:
    """A clause for points that lie far from their law."""
    worst = float(np.abs(law.off).max())
    return f"; points lie up to {percent(worst, 0)} from it" if worst > 0.05 else ""


def _lengths(series: Series, laws: Laws):
    lengths = {point.tokens for point in series.points}
    if laws.size is not None:
        yield (
            f"The floor E of L(N) is L∞(D), that of an endlessly large model after D = "
            f"{short(series.points_of_size[0].tokens)} tokens, not the entropy of the "
            f"text."
        )
    if laws.size is not None and len(lengths) == 1:
        yield (
            f"One length: every model read {short(next(iter(lengths)))} tokens. How "
            f"the loss falls with more text, and how best to share compute between "
            f"size and text, is not shown."
        )
    elif laws.both is not None:
        seen = laws.both.noise.seen
        known = "allow for it" if seen else "do not: the sizes are too few to show it"
        yield (
            f"Points of one run at several lengths share its seed and its luck: they "
            f"are not independent. The intervals of L(N, D) {known}."
        )


def _noise(series: Series, laws: Laws):
    if laws.size is None:
        return
    once = [point for point in series.points_of_size if len(point.losses) == 1]
    if once and len(once) == len(series.points_of_size):
        yield (
            "One seed: each size was trained once. How much of a difference between "
            "two sizes is luck is not shown."
        )
    elif once:
        yield (
            f"{len(once)} of {len(series.points_of_size)} sizes were trained once: how "
            f"much luck is in those points is not shown."
        )


def _prediction(laws: Laws):
    if laws.size is not None and laws.held_out is None:
        yield "No model was held out: whether the law predicts anything is not shown."
    elif laws.held_out:
        yield (
            f"One prediction, {laws.held_out.beyond:.2g} times beyond the data: what "
            f"lies farther out is not shown."
        )


def _rates(series: Series):
    if series.rate_checks:
        widths = {run.get("config", "d_model") for run in series.rate_checks}
        yield (
            f"The learning rate was checked at the widths "
            f"{' and '.join(map(str, sorted(widths)))} alone, and at "
            f"{short(series.rate_checks[0].tokens)} tokens."
        )
    elif series.fitted:
        yield (
            "No size was tried at other learning rates: part of what looks like size "
            "may be a rate that suits one better than another."
        )


def _elsewhere(series: Series):
    kinds = {run.get("data", "tokenizer", "kind") for run in series.fitted} - {None}
    if not series.fitted:
        return
    several = set(series.several)
    found = [
        ("architecture", _model(series)),
        ("text", _texts(series)),
        ("tokenizer", " and ".join(sorted(kinds)) or "unnamed"),
    ]
    if "objectives" in several:
        names = {run.get("config", "objective") for run in series.fitted} - {None}
        found.append(("objective", " and ".join(sorted(names))))
    said = ", ".join(
        f"{f'several {kind}s' if f'{kind}s' in several else f'one {kind}'} ({names})"
        for kind, names in found
    )
    if several:
        yield f"{said[0].upper()}{said[1:]}: each has a law of its own."
    else:
        yield f"{said[0].upper()}{said[1:]} and one recipe: another has another law."


def _texts(series: Series) -> str:
    runs = series.fitted or series.runs
    names = dict.fromkeys(run.get("data", "name") for run in runs)
    return " and ".join(f"“{name}”" for name in names if name) or "an unnamed text"


def _model(series: Series) -> str:
    """The names of the trained architectures."""
    names = dict.fromkeys(run.arch for run in series.fitted or series.runs)
    return " and ".join(name for name in names if name) or "model"


def _plural(n: int, word: str) -> str:
    return word if n == 1 else word + "s"
