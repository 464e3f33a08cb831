"""What is wrong with a gradient: looked for in Jacobians, said with its evidence.

A diagnosis says only what was seen: that the gradient is everywhere −1 × what was
measured, say. Where nothing fits for certain, the table of slopes has to do.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from minillm.backend.arrays import SINGLE
from minillm.testing import factors, supports
from minillm.testing.jacobians import (
    WHOLE,
    Jacobian,
    chosen_columns,
    chosen_rows,
    element_name,
    measured,
)

FEW = 4  # rows of the table


def explain(check, i: int, worst: int) -> tuple[str, str]:
    """(kind, lines that say why) for input i of a check, wrong at the flat index
    `worst`: a sentence, if a kind is recognised, and a table of slopes."""
    try:
        with np.errstate(all="ignore"):
            jacobian = _jacobian(check, i, worst)
            kind, says = next(_kinds(check, i, jacobian), ("wrong", ""))
            return kind, f"\n  {says}" * bool(says) + _table(check, i, jacobian)
    except Exception as error:  # a rule may not be made for every g
        return "wrong", f"\n  No diagnosis: {type(error).__name__}: {error}"


def _jacobian(check, i: int, worst: int) -> Jacobian:
    x, rng = check.inputs[i], np.random.default_rng(0)
    columns = chosen_columns(x.size, worst, rng)
    slopes, doubts = measured(check.alone(i), x, check.value, columns)
    rows = chosen_rows(slopes, rng)
    pulled = []
    for row in rows:
        g = np.zeros(check.value.shape)
        g.flat[row] = 1
        pulled.append(check.pulled(g)[i].ravel()[columns])
    shapes = check.value.shape, x.shape
    return Jacobian(rows, columns, slopes, doubts, np.stack(pulled), *shapes)


def _kinds(check, i: int, jacobian: Jacobian) -> Iterator[tuple[str, str]]:
    """Every kind that fits, the surest first."""
    yield from _of_g(check, i, jacobian)
    yield from _swapped(check, i, jacobian)
    yield from _factor(check, i, jacobian)
    yield from _transposed(check, i, jacobian)
    yield from _support(check, i, jacobian)
    if (axis := factors.along_rows(jacobian)) is not None:
        yield "scale", f"Each index of {axis} has a factor of its own."
    wrong = ~jacobian.agrees(jacobian.pulled).all(0)
    if 0 < wrong.sum() <= len(wrong) // 4:
        names = [check.element_name(i, c) for c in jacobian.columns[wrong][:3]]
        says = f"Wrong are only {wrong.sum()} of {len(wrong)} elements: "
        yield "elements", says + ", ".join(names) + " …" * bool(wrong.sum() > 3)


def _of_g(check, i: int, jacobian: Jacobian) -> Iterator[tuple[str, str]]:
    """A pullback is linear in g: what other ones of it show."""
    gradient, size = check.gradients[i], np.abs(check.gradients[i]).max()
    other, turned = (
        check.pulled(g)[i] for g in (np.flip(-0.7 * check.u), -2 * check.u)
    )
    if not any(g.any() for g in (gradient, jacobian.pulled, other, turned)):
        if check.reached[i]:
            yield "zero", "The gradient is 0 everywhere."
        else:
            name = check.input_name(i)
            says = f"No gradient arrives at {name}: the value does not come from it by"
            yield "zero", f"{says} recorded ops (its grad is None)."
    elif gradient.any() and np.array_equal(other, gradient):
        yield (
            "ignores g",
            "The gradient does not depend on g: another g gives the same.",
        )
    elif is_single(gradient) and not is_single(check.u):
        yield "float32", "Every number of the gradient is one of float32."
    elif not np.abs(turned + 2 * gradient).max() <= 1e-9 * size:
        yield "nonlinear", "The gradient is not linear in g: −2 g gives another one."


def _swapped(check, i: int, jacobian: Jacobian) -> Iterator[tuple[str, str]]:
    x = check.inputs[i]
    for j, y in enumerate(check.inputs):
        if j == i or y is None or y.shape != x.shape or np.array_equal(x, y):
            continue
        slopes, doubts = measured(check.alone(j), y, check.value, jacobian.columns)
        other = replace(jacobian, slopes=slopes, doubts=doubts)
        # Of slopes that are alike, a factor says more.
        same = np.ptp(np.abs(other.measured[other.clear])) if other.clear.any() else 0
        if other.equals(jacobian.pulled) and same > 1e-6 * other.size:
            one, two = check.input_name(i), check.input_name(j)
            yield "swapped", f"The gradient of {one} is what that of {two} should be."


def _factor(check, i: int, jacobian: Jacobian) -> Iterator[tuple[str, str]]:
    c = factors.factor_of(jacobian)
    if c is None:
        return
    n = int(jacobian.clear.sum())
    says = f"The gradient is everywhere {factors.fraction(c) or f'{c:.6g}'} × "
    says += f"the differences ({n} slope{'s' * (n > 1)} compared)"
    if abs(c + 1) <= factors.EXACT:
        yield "sign", f"{says}: a sign is missing, or one too many."
        return
    # Where each number depends on one element alone, no length can be the reason.
    alone = (jacobian.clear.sum(0) <= 1).all() and (jacobian.clear.sum(1) <= 1).all()
    source = factors.setting_of(c, check.settings)
    if source is None and not alone:
        source = factors.lengths_of(c, _lengths(check, i))
    # A 2 comes from a square or a root as well.
    sure = source and factors.fraction(abs(c)) not in ("2", "1/2")
    why = f"; {abs(c):.6g} is {'' if sure else 'also '}{source}" if source else ""
    yield "scale" if sure else "factor", f"{says}{why}."


def _lengths(check, i: int) -> dict[int, str]:
    found = {}
    for what, shape in (
        *((check.input_name(j), x.shape) for j, x in _first(i, check.inputs)),
        ("the value", check.value.shape),
    ):
        for axis, n in enumerate(shape):
            found.setdefault(n, f"the length of axis {axis} of {what}")
        found.setdefault(int(np.prod(shape, dtype=int)), f"the size of {what}")
    return found


def _first(i: int, inputs: list) -> list:
    """The inputs, this one first."""
    several = [(j, x) for j, x in enumerate(inputs) if x is not None]
    return sorted(several, key=lambda one: one[0] != i)


def _transposed(check, i: int, jacobian: Jacobian) -> Iterator[tuple[str, str]]:
    if not jacobian.is_whole:
        return
    slopes = jacobian.measured
    shape = check.inputs[i].shape
    if len(shape) > 1 and shape[-1] == shape[-2] > 1:
        turned = np.swapaxes(slopes.reshape(-1, *shape), -1, -2).reshape(slopes.shape)
        if _agree(jacobian, turned):
            # The sum over an axis, say, has one axis less to be turned.
            one_less = len(check.value.shape) < len(shape)
            yield (
                "wrong axis" if one_less else "transposed",
                "The gradient is that of the differences, transposed (the last two "
                "axes change places).",
            )
    square = slopes.shape[0] == slopes.shape[1] > 1
    if square and _agree(jacobian, slopes.T):
        says = "The pullback multiplies g by the Jacobian, not by its transpose"
        yield "transposed", says + " (axes are turned once too often or too seldom)."


def _agree(jacobian: Jacobian, turned: np.ndarray) -> bool:
    """Whether the pullback has these slopes, which are other ones than the right."""
    allowed = 1e-6 * jacobian.size + 2 * jacobian.doubt.max(initial=0)
    if not np.isfinite(allowed) or np.abs(turned - jacobian.measured).max() <= allowed:
        return False
    return bool((np.abs(jacobian.pulled - turned) <= allowed).all())


def _support(check, i: int, jacobian: Jacobian) -> Iterator[tuple[str, str]]:
    missing, extra = supports.missing(jacobian), supports.extra(jacobian)
    if missing.any() and extra.any() and (says := supports.wrong_axes(jacobian)):
        yield "wrong axis", f"{says[0].upper()}{says[1:]}."
    for kind, chosen, other, says in (
        (
            "missing terms",
            missing,
            extra,
            "depends on {}, but the pullback has 0 there",
        ),
        (
            "extra terms",
            extra,
            missing,
            "does not depend on {}, but it gets a gradient",
        ),
    ):
        if chosen.any() and not other.any():
            row, column = (places[0] for places in np.nonzero(chosen))
            value = element_name("value", check.value.shape, jacobian.rows[row])
            x = check.element_name(i, jacobian.columns[column])
            yield (
                kind,
                f"{value} {says.format(x)} ({chosen.sum()} such places).",
            )


def is_single(array: np.ndarray) -> bool:
    """Whether all numbers fit into float32, and some need more than a few digits."""
    some = array[(array != 0) & np.isfinite(array)]
    with np.errstate(all="ignore"):
        fits = np.array_equal(some.astype(SINGLE), some)
        long = np.frexp(some)[0] * 4096 % 1 != 0
    return bool(fits and long.sum() >= 2)


def _table(check, i: int, jacobian: Jacobian) -> str:
    """Ours, differences, ratio, for the elements that are most wrong."""
    u = check.u.ravel()
    ours = check.gradients[i].ravel()[jacobian.columns]
    theirs, doubt = u @ jacobian.slopes, np.abs(u) @ jacobian.doubts
    error = np.nan_to_num(np.abs(ours - theirs), nan=np.inf)
    worst = np.argsort(-error, kind="stable")[:FEW]
    lines = [f"\n  {'':<12} {'pullback':>14} {'differences':>14} {'ratio':>10}"]
    for k in sorted(worst):
        if not error[k] > doubt[k]:
            continue
        ratio = f"{ours[k] / theirs[k]:.6g}" if abs(theirs[k]) > doubt[k] else "–"
        name = check.element_name(i, jacobian.columns[k])
        lines.append(f"\n  {name:<12} {ours[k]:>14.6g} {theirs[k]:>14.6g} {ratio:>10}")
    return "".join(lines) if len(lines) > 1 else ""


def of_shape(check, i: int, gradient: np.ndarray) -> tuple[str, str]:
    """(kind, sentence) for a gradient of input i whose shape does not fit."""
    x = check.inputs[i]
    if x.size > WHOLE:
        return "shape", ""
    slopes, doubts = measured(check.alone(i), x, check.value, np.arange(x.size))
    u = check.u.ravel()
    right = (u @ slopes).reshape(x.shape)
    allowed = 1e-6 * np.abs(right).max(initial=0) + (np.abs(u) @ doubts).max(initial=0)

    def is_right(array) -> bool:
        return array.shape == x.shape and bool((np.abs(array - right) <= allowed).all())

    if not np.isfinite(allowed) or np.abs(right).max(initial=0) <= 100 * allowed:
        return "shape", ""
    if is_right(gradient.T):
        return "transposed", "Its transpose would be right."
    for axis in range(gradient.ndim):
        for keep in (False, True):
            if is_right(gradient.sum(axis, keepdims=keep)):
                return "unbroadcast", f"Summed over axis {axis} it would be right."
    return "shape", ""
