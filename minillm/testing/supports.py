"""Which numbers of a value depend on which elements, as measured and in a pullback."""

import numpy as np

from minillm.testing.jacobians import Jacobian


def missing(jacobian: Jacobian) -> np.ndarray:
    """Places where the value has a slope for certain and the pullback has none."""
    return jacobian.clear & (np.abs(jacobian.pulled) <= 1e-12 * _largest(jacobian))


def extra(jacobian: Jacobian) -> np.ndarray:
    """Places where the pullback has a slope and the value has none for certain."""
    return jacobian.none & (np.abs(jacobian.pulled) > 1e-4 * _largest(jacobian))


def wrong_axes(jacobian: Jacobian) -> str | None:
    """How the axes of x go with those of the value, if it is not so in the pullback."""
    if not jacobian.is_whole:
        return None
    here = _pairs(jacobian, jacobian.clear)
    there = _pairs(jacobian, np.abs(jacobian.pulled) > 1e-12 * _largest(jacobian))
    if not here - there or not there - here:
        return None
    return f"{_in_words(here - there)}; in the pullback {_in_words(there - here)}"


def _largest(jacobian: Jacobian) -> float:
    return float(np.abs(jacobian.pulled).max(initial=0)) or jacobian.size


def _pairs(jacobian: Jacobian, support: np.ndarray) -> set[tuple[int, int]]:
    """(axis of x, axis of the value) with the same index wherever there is a slope."""
    of_value, of_x = jacobian.indices(support)
    return {
        (a, b)
        for a, n in enumerate(jacobian.x_shape)
        for b, m in enumerate(jacobian.value_shape)
        if n == m > 1 and len(of_x) >= n and (of_x[:, a] == of_value[:, b]).all()
    }


def _in_words(pairs: set) -> str:
    return " and ".join(
        f"axis {a} of the argument goes with axis {b} of the value"
        for a, b in sorted(pairs)
    )
