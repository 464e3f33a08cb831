"""Constant factors between a wrong gradient and the right one."""

import itertools
import math
from fractions import Fraction

import numpy as np

from minillm.testing.jacobians import Jacobian

EXACT = 1e-6  # to which part of itself a factor is known


def factor_of(jacobian: Jacobian) -> float | None:
    """The c for which `pulled` is c times `measured` wherever that is known."""
    clear = jacobian.clear
    if not clear.any():
        return None
    ratios = jacobian.pulled[clear] / jacobian.measured[clear]
    c = float(np.median(ratios))
    if c == 0 or not np.isfinite(c) or not jacobian.equals(jacobian.pulled / c):
        return None
    # One wrong slope alone is always a multiple of the right one.
    return c if clear.sum() >= 3 or fraction(c) else None


def fraction(c: float) -> str | None:
    """A simple fraction in words: −1, 2, 1/3."""
    simple = Fraction(c).limit_denominator(64)
    near = abs(float(simple) - c) <= EXACT * abs(c)
    if not near or min(abs(simple.numerator), simple.denominator) > 4:
        return None
    return str(simple).replace("-", "−")


def lengths_of(c: float, lengths: dict[int, str]) -> str | None:
    """Which length n makes |c| n, 1/n, √n or 1/√n: in words, or None; or of
    two lengths n/m."""
    for n, whose in lengths.items():
        forms = {"n": n, "1/n": 1 / n, "√n": math.sqrt(n), "1/√n": 1 / math.sqrt(n)}
        for form, number in forms.items():
            if n > 1 and abs(number - abs(c)) <= EXACT * abs(c):
                return f"{form} with n = {n}, {whose}"
    for n, m in itertools.permutations(lengths, 2):
        if min(n, m) > 1 and abs(n / m - abs(c)) <= EXACT * abs(c):
            return f"{n}/{m}, {lengths[n]} by {lengths[m]}"
    return None


def setting_of(c: float, settings: dict) -> str | None:
    """Which number among the settings, or which of 1/s, 1 − s, 1/(1 − s), |c| is."""
    for name, s in settings.items():
        if isinstance(s, bool) or not isinstance(s, (int, float)) or s in (-1, 0, 1):
            continue
        forms = {name: s, f"1/{name}": 1 / s}
        forms |= {f"(1 − {name})": 1 - s, f"1/(1 − {name})": 1 / (1 - s)}
        for form, number in forms.items():
            if abs(abs(number) - abs(c)) <= EXACT * abs(c):
                return form
    return None


def along_rows(jacobian: Jacobian) -> str | None:
    """The axis for each index of which there is a factor of its own."""
    clear = jacobian.clear
    if not jacobian.is_whole or not clear.any():
        return None
    with np.errstate(all="ignore"):
        ratios = jacobian.pulled[clear] / jacobian.measured[clear]
    places = jacobian.indices(clear)
    elements = np.nonzero(clear)[1]
    for what, shape, index in zip(
        ("the value", "the argument"),
        (jacobian.value_shape, jacobian.x_shape),
        places,
        strict=True,
    ):
        for axis, length in enumerate(shape):
            parts = [index[:, axis] == i for i in range(length)]
            several = all(len({*elements[part]}) > 1 for part in parts)
            if length > 1 and several and all(_is_constant(ratios[p]) for p in parts):
                return f"axis {axis} of {what}"
    return None


def _is_constant(ratios: np.ndarray) -> bool:
    """Several, and all the same."""
    if ratios.size < 3 or not np.isfinite(ratios).all():
        return False
    return bool(np.ptp(ratios) <= EXACT * np.abs(ratios).max() and ratios[0])
