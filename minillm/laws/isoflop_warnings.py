"""Warnings about isoFLOP profiles and their laws: one sentence each."""

import numpy as np

from minillm.laws.isoflop_profile import AROUND_MINIMUM


def isoflop_warnings(found) -> list[str]:
    """All warnings about an IsoFlop: about each budget, the laws, the envelope."""
    warnings = []
    for profile, record in zip(found.profiles, found.budgets, strict=True):
        warnings += [
            f"C = {profile.flops:.3g}: {warning}"
            for warning in _of_budget(profile, record, found.names["N"])
        ]
    warnings += _of_laws(found)
    if found.envelope:
        warnings += [f"envelope: {warning}" for warning in found.envelope.warnings]
    return warnings


def _of_budget(profile, record: dict, name: str):
    if profile.opens_downward:
        yield (
            "the parabola opens downward, so there is no minimum; the budget is left "
            f"out of the laws: add sizes at both ends, or repeat the runs ({name} = "
            f"{profile.sizes[0]:.3g} to {profile.sizes[-1]:.3g})"
        )
        return
    if profile.at_edge:
        small = profile.at_edge == "small"
        yield (
            f"the minimum is at the {'smallest' if small else 'largest'} {name} "
            f"({profile.sizes[0 if small else -1]:.3g}) or beyond; the budget is left "
            f"out of the laws: add {'smaller' if small else 'larger'} models"
        )
        return
    if profile.too_deep:
        yield (
            "the parabola's minimum lies over 10 % under every run; the budget is left "
            f"out of the laws: add sizes near {name} = {profile.n_opt:.3g}"
        )
        return
    if len(profile.sizes) < AROUND_MINIMUM:
        yield (
            f"{len(profile.sizes)} sizes, where the parabola should have "
            f"{AROUND_MINIMUM}: add sizes near {name} = {profile.n_opt:.3g}"
        )
    n, loss = profile.n[profile.near], profile.loss[profile.near]
    if n.max() < 2 * n.min():
        yield (
            f"the sizes of the parabola span a factor of {n.max() / n.min():.2g}; "
            f"under 2 its bend is hard to see: add smaller and larger {name}"
        )
    error = np.abs(loss / profile.predict(n) - 1)
    if error.max() > 0.02:
        yield (
            f"the run of {name} = {n[error.argmax()]:.3g} lies "
            f"{100 * error.max():.1f} % off the parabola: repeat it with another seed"
        )
    interval = record["interval95"]
    if interval and interval[1] > 4 * interval[0]:
        yield (
            f"{name} is best anywhere from {interval[0]:.3g} to {interval[1]:.3g}: the "
            "profile is flat beside the noise of the losses; add seeds, or sizes "
            "further from the minimum"
        )
    spline = record["spline"]["N_opt"]
    if max(profile.n_opt / spline, spline / profile.n_opt) > 1.5:
        yield (
            f"the parabola finds {name} = {profile.n_opt:.3g} best, the spline "
            f"{spline:.3g}: add sizes between, or seeds"
        )


def _of_laws(found):
    used = [profile.flops for profile in found.used]
    if len(used) < 2:
        yield (
            f"{len(used)} of {len(found.profiles)} budgets have a minimum inside: no "
            "power law follows; add budgets, or sizes at both ends"
        )
        return
    if len(used) == 2:
        yield "two budgets lie on any power law: add a third to test it"
    if max(used) < 10 * min(used):
        yield (
            f"the budgets span a factor of {max(used) / min(used):.2g}; under 10 the "
            "exponents are loose: add smaller or larger budgets"
        )
    if found.noise is None:
        yield (
            "three runs for each budget leave no noise to be seen, so there are no "
            "intervals: add sizes or seeds"
        )
        return
    scatter = found.scatter()
    # With few budgets, and a noise known from few runs, chance alone may look like 2.
    if scatter is not None and scatter > 1 + 2.5 / np.sqrt(len(used) - 2):
        yield (
            f"the optima scatter {scatter:.1f} times as much about their power law as "
            "the noise of the losses explains, and the intervals are widened by that: "
            "look for what differs between the budgets (rates, batch, schedule)"
        )
