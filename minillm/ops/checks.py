"""Checks of an op's arguments, before it runs: an error then shows the shapes.

`@op(check=...)` calls these with the op's own arguments, whichever body runs. Shapes
are always known on the host. Ids and targets are looked at only where they lie on the
host: reading them would stop a GPU, which wraps an id that is out of range silently.
"""

import numpy as np

from minillm.backend.arrays import heads_a_group
from minillm.text.batch import IGNORED


def linear_fits(x, weight, bias) -> None:
    if weight.ndim != 2 or x.shape[-1:] != weight.shape[:1]:
        raise ValueError(
            f"linear: x of shape {x.shape} does not fit weight of shape {weight.shape}"
        )


def inner_lengths_agree(x, y) -> None:
    left, right = np.shape(x), np.shape(y)
    if not left or not right:
        wrong = "each needs at least one axis"
    elif left[-1] != right[-2:][0]:  # of a vector, its only length
        wrong = f"the inner lengths {left[-1]} and {right[-2:][0]} differ"
    else:
        return
    raise ValueError(f"matmul of shapes {left} and {right}: {wrong}")


def one_exponent(x, *, exponent) -> None:
    if np.size(exponent) != 1:
        shape = np.shape(exponent)
        raise TypeError(
            f"power: the exponent is one number, not an array of {shape}: pow(x, y) "
            f"takes one for each element"
        )


def condition_comes_last(x, y, *, condition) -> None:
    """NumPy has it first: its order would take the numbers of y for a condition."""
    dtype = getattr(condition, "dtype", None) or np.asarray(condition).dtype
    if dtype.kind not in ("b" if isinstance(condition, (int, float)) else "biu"):
        raise TypeError(
            f"where(x, y, condition): the condition comes last, a boolean array, not "
            f"one of {dtype}"
        )


def one_axis(x, *, axis: int = -1) -> None:
    _axis_exists(x, axis)


def axes_exist(x, *, axis=None, keepdims=False) -> None:
    if axis is not None:
        for one in axis if isinstance(axis, tuple) else (axis,):
            _axis_exists(x, one)


def something_to_choose(x, *, axis=None, keepdims=False, what="max") -> None:
    axes_exist(x, axis=axis)
    along = range(x.ndim) if axis is None else axis
    along = along if isinstance(along, (tuple, range)) else (along,)
    if 0 in [x.shape[one] for one in along]:
        raise ValueError(
            f"{what} of an array of shape {x.shape} along axis {axis}: there are no "
            f"numbers to choose from"
        )


def every_axis_once(x, *, axes: tuple | None = None) -> None:
    if axes is None:
        return
    if sorted(axis % max(x.ndim, 1) for axis in axes) != list(range(x.ndim)) or any(
        not -x.ndim <= axis < x.ndim for axis in axes
    ):
        raise ValueError(
            f"transpose of an array of shape {x.shape}: axes {tuple(axes)} do not name "
            f"each of its {x.ndim} axes once"
        )


def joined(*arrays, axis: int = 0) -> None:
    shapes = [getattr(x, "shape", ()) for x in arrays]
    what = f"concatenate of shapes {', '.join(map(str, shapes))} along axis {axis}"
    if not arrays:
        raise ValueError(f"{what}: nothing to join")
    ndim = len(shapes[0])
    if not isinstance(axis, int):
        raise TypeError(f"{what}: one whole number is needed as the axis")
    if not -ndim <= axis < ndim:
        raise ValueError(f"{what}: there is no such axis")
    others = {_without(shape, axis % ndim) for shape in shapes}
    if len(others) > 1 or any(len(shape) != ndim for shape in shapes):
        raise ValueError(f"{what}: all other lengths must agree")


def ids_in_table(table, *, ids) -> None:
    whole_numbers(ids, 0, table.shape[0], f"ids for a table of shape {table.shape}")


def targets_fit(logits, *, targets, n_targets=None) -> None:
    what = f"targets for logits of shape {logits.shape}"
    _targets(targets, logits.shape[:-1], logits.shape[-1], what)


def targets_fit_projection(x, weight, *, targets, n_targets=None) -> None:
    what = f"targets for x of shape {x.shape} and weight of shape {weight.shape}"
    if weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear_cross_entropy: x of shape {x.shape} does not fit weight of shape "
            f"{weight.shape}"
        )
    _targets(targets, x.shape[:-1], weight.shape[0], what)


def heads_can_turn(x, *, cos, sin, n_turned=None) -> None:
    shape = (*x.shape[1:2], 1, x.shape[-1] // 2)
    if x.ndim != 4 or x.shape[-1] % 2:
        wrong = "(B, T, n, d) is needed, d even"
    elif any(f.shape not in (shape, (x.shape[0], *shape)) for f in (cos, sin)):
        wrong = f"cos {cos.shape} and sin {sin.shape} are not of {shape}"
    elif n_turned is not None and not 0 <= n_turned <= x.shape[2]:
        wrong = f"it has no {n_turned} heads to turn"
    else:
        return
    raise ValueError(f"rotary of shape {x.shape}: {wrong}")


def rate_is_a_fraction(x, *, rate, key, first_row=0) -> None:
    if not 0 <= rate < 1:
        raise ValueError(f"dropout rate {rate}: at least 0 and less than 1 is needed")


def queries_fit_keys(
    q, k, v, bias=None, *, causal=False, mask=None, rate=0.0, key=0, first_row=0
) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2:
        wrong = "each needs two axes or more"
    elif q.shape[-1] != k.shape[-1]:
        wrong = "queries and keys differ in width"
    elif k.shape[-2] != v.shape[-2]:
        wrong = "keys and values differ in number"
    elif heads_a_group(q, k) == 1 and len({*q.shape[-3:-2], *k.shape[-3:-2], 1}) > 2:
        wrong = "the heads of queries are no multiple of those of keys"
    else:
        rate_is_a_fraction(q, rate=rate, key=key)
        of_keys = k.shape[: -2 if heads_a_group(q, k) == 1 else -3]
        axes = (1,) * (k.ndim - len(of_keys))
        _bias_fits(bias, (*q.shape[:-1], k.shape[-2]), (*of_keys, *axes))
        return _mask_fits(mask)
    raise ValueError(f"attention of q {q.shape}, k {k.shape}, v {v.shape}: {wrong}")


def heads_fit(qkv, bias=None, *, n_heads, n_kv_heads=None, mask=None, **others):
    _groups_fit("self_attention", n_heads, n_kv_heads)
    if qkv.ndim != 3 or qkv.shape[-1] % (n_heads + 2 * (n_kv_heads or n_heads)):
        needed = "(B, T, 3D) is needed, D"
        if n_kv_heads not in (None, n_heads):
            needed = f"with {n_kv_heads} of keys and of values (B, T, D + 2Gd), D"
        raise ValueError(
            f"self_attention of shape {qkv.shape}: {needed} a multiple of {n_heads} "
            f"heads"
        )
    rate_is_a_fraction(qkv, rate=others.get("rate", 0.0), key=0)
    _bias_fits(bias, (len(qkv), n_heads, qkv.shape[1], qkv.shape[1]))
    _mask_fits(mask)


def kv_fits(q, kv, bias=None, *, n_heads, n_kv_heads=None, mask=None, **others):
    _groups_fit("cross_attention", n_heads, n_kv_heads)
    width = q.shape[-1]
    of_keys = width // n_heads * (n_kv_heads or n_heads)
    shape_of_kv = (*q.shape[:1], *kv.shape[1:2], 2 * of_keys)
    if q.ndim != 3 or kv.shape != shape_of_kv or width % n_heads:
        needed = "2D" if n_kv_heads in (None, n_heads) else f"{2 * of_keys}"
        raise ValueError(
            f"cross_attention of shapes {q.shape} and {kv.shape}: (B, T, D) and "
            f"(B, S, {needed}) are needed, D a multiple of {n_heads} heads"
        )
    rate_is_a_fraction(q, rate=others.get("rate", 0.0), key=0)
    _bias_fits(bias, (len(q), n_heads, q.shape[1], kv.shape[1]))
    _mask_fits(mask)


def _groups_fit(name: str, n_heads, n_kv_heads) -> None:
    if n_heads % (n_kv_heads or n_heads):
        raise ValueError(
            f"{name}: {n_heads} heads cannot share {n_kv_heads} of keys and values"
        )


def _bias_fits(bias, *shapes: tuple) -> None:
    """The scores have the shape to which these broadcast, and keep it."""
    if bias is None:
        return
    if not hasattr(bias, "shape"):
        raise TypeError(
            f"a bias of {bias!r:.60}: an array is needed, one number a score"
        )
    try:
        scores = np.broadcast_shapes(*shapes)
        if np.broadcast_shapes(bias.shape, scores) == scores:
            return
    except ValueError:
        pass
    raise ValueError(f"a bias of shape {bias.shape} for scores of shape {shapes[0]}")


def _mask_fits(mask) -> None:
    if mask is None:
        return
    kind = getattr(mask, "dtype", type(mask))
    if getattr(kind, "kind", "O") not in "bf":
        raise TypeError(
            f"a mask of {kind}: an array is needed, boolean (True: may look) or "
            f"floating-point (added to the scores)"
        )


def _axis_exists(x, axis) -> None:
    whole = isinstance(axis, (int, np.integer))
    if not whole or not -x.ndim <= axis < x.ndim:
        what = f"axis {axis!r:.60} of an array of shape {x.shape}"
        if not whole:
            raise TypeError(f"{what}: a whole number is needed")
        raise ValueError(what)


def _targets(targets, shape: tuple, vocab_size: int, what: str) -> None:
    whole_numbers(targets, IGNORED, vocab_size, what)
    if np.shape(targets) != shape:
        raise ValueError(f"{what}: their shape is {np.shape(targets)}, not {shape}")


def whole_numbers(array, low: int, high: int, what: str) -> None:
    if isinstance(array, int):  # one number is as good as an array without axes
        array = np.asarray(array)
    if getattr(array, "dtype", np.dtype(object)).kind not in "iu":
        raise TypeError(
            f"{what}: an array of whole numbers is needed, not {array!r:.60}"
        )
    if isinstance(array, np.ndarray) and array.size:
        smallest, largest = array.min(), array.max()
        if smallest < low or largest >= high:
            bad = smallest if smallest < low else largest
            raise IndexError(
                f"{what}: {bad} in an array of shape {array.shape} is not from {low} "
                f"to {high - 1}"
            )


def _without(shape: tuple, axis: int) -> tuple:
    return shape[:axis] + shape[axis + 1 :]
