"""Hypothesis strategies for the inputs of ops.

Hypothesis comes with the extra `test`; it is imported when a strategy is asked for.
"""

import math
from typing import TYPE_CHECKING

from minillm.errors import MinillmError, install
from minillm.testing.choices import Choices

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from minillm.testing.table import Row


def shapes(
    *, min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4
) -> "SearchStrategy":
    """Shapes of arrays, () among them."""
    return _numpy().array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side
    )


def broadcastable_shapes(
    n: int = 2, *, max_dims: int = 3, max_side: int = 4
) -> "SearchStrategy":
    """n shapes that broadcast together: axes missing in front, axes of length 1."""
    together = _numpy().mutually_broadcastable_shapes(
        num_shapes=n, max_dims=max_dims, max_side=max_side
    )
    return together.map(lambda found: found.input_shapes)


def arrays(
    shape=None,
    *,
    low: float = -2.0,
    high: float = 2.0,
    away_from_zero: float = 0.0,
    distinct: bool = False,
) -> "SearchStrategy":
    """float64 arrays of a shape, or of shapes drawn from a strategy.

    All numbers are multiples of 1/512: exact in float32 too, and two that differ do so
    by more than the step of a central difference. Keep `away_from_zero` for functions
    with a kink there; ask for `distinct` numbers where ties have no gradient.
    """
    steps = _strategies().integers(math.ceil(low * 512), math.floor(high * 512))
    elements = steps.map(lambda n: n / 512).filter(lambda x: abs(x) >= away_from_zero)
    return _numpy().arrays(
        "float64",
        shapes() if shape is None else shape,
        elements=elements,
        unique=distinct,
    )


def axes(ndim: int) -> "SearchStrategy":
    """What `axis` may be for an array of so many axes: None, one, several; negative."""
    st = _strategies()
    several = _numpy().valid_tuple_axes(ndim, min_size=1) if ndim else st.just(())
    one = st.integers(-ndim, ndim - 1) if ndim else st.none()
    return st.none() | one | several


def token_ids(vocab_size: int, shape=None) -> "SearchStrategy":
    """int32 arrays of ids from 0 to vocab_size − 1."""
    elements = _strategies().integers(0, vocab_size - 1)
    return _numpy().arrays(
        "int32", shapes() if shape is None else shape, elements=elements
    )


def masks(shape=None) -> "SearchStrategy":
    """Boolean arrays."""
    return _numpy().arrays("bool", shapes() if shape is None else shape)


def cases(row: "Row") -> "SearchStrategy":
    """The inputs of a row of the table: (arrays, settings)."""
    st = _strategies()

    @st.composite
    def draw_case(draw):
        return row.draw(Choices(lambda low, high: draw(st.integers(low, high))))

    return draw_case()


def _strategies():
    try:
        import hypothesis.strategies
    except ModuleNotFoundError:
        raise MinillmError(
            f"this needs Hypothesis: {install('test')}; check_gradients works without "
            f"it"
        ) from None
    return hypothesis.strategies


def _numpy():
    _strategies()
    import hypothesis.extra.numpy

    return hypothesis.extra.numpy
