"""Element-wise arithmetic, with broadcasting, and the matrix product.

Each rule ignores broadcasting in its pullbacks: `@op` sums a gradient over the axes
along which its argument was stretched (`unbroadcast` in `backend/pullbacks.py`).
"""

from minillm.backend import xp
from minillm.ops import checks
from minillm.tensor import op


@op
def add(x, y):
    """x + y, element by element."""
    return x + y, lambda g: g, lambda g: g


@op
def sub(x, y):
    """x − y, element by element."""
    return x - y, lambda g: g, lambda g: -g


@op
def mul(x, y):
    """x · y, element by element."""
    return x * y, lambda g: g * y, lambda g: g * x


@op
def div(x, y):
    """x / y, element by element."""
    q = x / y

    def pull_y(g):  # not by x / y²: the square may overflow where q does not
        return quotient(-g * xp.where(g == 0, 1, q), y)

    return q, lambda g: quotient(g, y), pull_y


@op
def neg(x):
    """−x."""
    return -x, lambda g: -g


@op(check=checks.inner_lengths_agree)
def matmul(x, y):
    """Matrix product over the last two axes, the others broadcast.

    (..., n, k) @ (..., k, m) -> (..., n, m); a vector on either side counts as one row
    or one column.
    """
    rows = x[None, :] if x.ndim == 1 else x
    columns = y[:, None] if y.ndim == 1 else y

    def restore(g):  # the gradient as a matrix again
        if x.ndim == 1:
            g = xp.expand_dims(g, -2 if y.ndim > 1 else -1)
        return xp.expand_dims(g, -1) if y.ndim == 1 else g

    def pull_x(g):
        gx = restore(g) @ columns.swapaxes(-1, -2)
        return gx[..., 0, :] if x.ndim == 1 else gx

    def pull_y(g):
        gy = rows.swapaxes(-1, -2) @ restore(g)
        return gy[..., 0] if y.ndim == 1 else gy

    return x @ y, pull_x, pull_y


def quotient(g, d):
    """g / d, and 0 where g is 0, even for d = 0: a gradient that `where` cut off stays
    0 on its way back through sqrt, log or a division at their poles."""
    return g / xp.where(g == 0, 1, d)
