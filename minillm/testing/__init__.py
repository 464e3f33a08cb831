"""Checks of gradients for anyone to import: an op of your own is tested in three lines.

    from minillm.testing import check_gradients

    check_gradients(my_op, np.random.default_rng(0).normal(size=(2, 3)))

So is a function of another project that has a gradient of its own: `op(rule)` makes an
op of a function on arrays that returns its value and one pullback for each of them.

`arrays`, `shapes` and the other strategies need Hypothesis (the extra `test`, or
`course`); nothing else here does.
"""

from minillm.testing.bodies import check_body
from minillm.testing.faults import KINDS, CheckError, UndecidedError
from minillm.testing.gradients import check_gradients
from minillm.testing.strategies import (
    arrays,
    axes,
    broadcastable_shapes,
    cases,
    masks,
    shapes,
    token_ids,
)
from minillm.testing.table import TABLE, Row, gradcheck
from minillm.testing.types import check_types

__all__ = [
    "KINDS",
    "TABLE",
    "CheckError",
    "Row",
    "UndecidedError",
    "arrays",
    "axes",
    "broadcastable_shapes",
    "cases",
    "check_body",
    "check_gradients",
    "check_types",
    "gradcheck",
    "masks",
    "shapes",
    "token_ids",
]
