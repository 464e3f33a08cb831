"""NumPy's faster body of the LSTM: few calls for each token, nothing computed twice.

A step of an LSTM is a small product and a dozen passes over some thousand numbers,
which a core's first cache holds: what it costs is calls. So each token gets as few as
can be, all into memory that is there already, and what backward can do for several
tokens at once, it does.

From token to token everything lies as (T, numbers, B), the sequences last: what belongs
to a token is one piece of memory, and so is each of its gates, and two that lie side by
side. A call is up to twice as quick on a piece as on a part of each row. The products
of all tokens at once take rows instead, (T, B, numbers): from one to the other it is a
copy of each token by itself, within the first cache.
"""

import numpy as np

from minillm.backend.products import SMALL, has_small_products, matmul
from minillm.backend.pullbacks import joint
from minillm.backend.registry import faster

# Numbers of all gates that backward works on at a time. A quarter of them, or all of a
# sequence, are no quicker, up to 1.03 × slower; all take more memory.
PIECE = 131_072
MOST_PARTS = 8  # of a product: with more, packing costs less


@faster("lstm")
def lstm(x, weight, bias, recurrent, hidden, cell):
    """One product a token, of the recurrent weights: those of x are multiplied with all
    tokens at once. Beside x stands a 1, for the bias."""
    (batch, length, n_in), width, dtype = x.shape, len(recurrent), x.dtype
    x_by_time = np.ones((length, batch, n_in + 1), dtype)
    x_by_time[..., :-1] = x.swapaxes(0, 1)
    x_by_time = x_by_time.reshape(length * batch, n_in + 1)
    maps = np.empty((n_in + 1, 4 * width), dtype)
    maps[:-1] = weight
    maps[-1] = 0 if bias is None else bias
    maps[:, : 3 * width] *= -1  # exp wants −z
    weights = recurrent.T.astype(dtype, order="C")
    weights[: 3 * width] *= -1
    multiply, weights = _in_parts(weights, batch)
    # Input, forget and output gate, the new content, and the cell before the token.
    kept = np.empty((length + 1, 5 * width, batch), dtype)
    kept[-1] = 0
    said = matmul(x_by_time, maps).reshape(length, batch, 4 * width)
    kept[:-1, : 4 * width] = said.swapaxes(1, 2)
    del said
    f, o, new, cells = (kept[:, n * width : (n + 1) * width] for n in range(1, 5))
    cells[0] = 0 if cell is None else cell.T
    hiddens = np.empty((length + 1, width, batch), dtype)
    hiddens[0] = 0 if hidden is None else hidden.T
    shown = np.empty((length, width, batch), dtype)
    work = np.empty((2 * width, batch), dtype)
    from_before = np.empty((4 * width, batch), dtype)
    by_part = from_before.reshape(*weights.shape[:-1], batch)
    taken, left = work[:width], work[width:]
    one = np.array(1, dtype)  # an array: a number would become one in each call
    i_and_f, new_and_cell = kept[:, : 2 * width], kept[:, 3 * width :]
    steps = zip(
        hiddens[:-1],
        *(kept[:-1, : 4 * width], kept[:-1, : 3 * width], new[:-1], o[:-1]),
        *(i_and_f[:-1], new_and_cell[:-1]),
        *(cells[1:], shown, hiddens[1:]),
        strict=True,
    )
    with np.errstate(over="ignore"):  # as in `sigmoid`
        for h, z, gates, new_t, o_t, i_f, new_c, next_c, shown_t, next_h in steps:
            multiply(weights, h, out=by_part)
            np.add(z, from_before, out=z)
            np.exp(gates, out=gates)
            np.add(gates, one, out=gates)
            np.divide(one, gates, out=gates)
            np.tanh(new_t, out=new_t)
            np.multiply(i_f, new_c, out=work)
            np.add(taken, left, out=next_c)
            np.tanh(next_c, out=shown_t)
            np.multiply(o_t, shown_t, out=next_h)

    def pullback(g):
        gz = np.empty((length, batch, 4 * width), dtype)
        g_state, work = np.zeros((2, 2 * width, batch), dtype)
        gh, gc = g_state[:width], g_state[width:]
        multiply, weights = _in_parts(recurrent.astype(dtype, copy=False), batch)
        gh_by_part = gh.reshape(*weights.shape[:-1], batch)
        by_output, left = work[:width], work[width:]
        g_by_time = np.ascontiguousarray(g.transpose(1, 2, 0))
        some = max(1, min(length, PIECE // max(1, 4 * width * batch)))
        some_slopes = np.empty((some, 4 * width, batch), dtype)
        some_factors = np.empty((some, 3 * width, batch), dtype)
        for end in range(length, 0, -some):
            piece = slice(max(0, end - some), end)
            n = end - piece.start
            slopes, factors = some_slopes[:n], some_factors[:n]
            # How far each z moves the cell. The slope of a gate y is y·(1 − y), that of
            # tanh 1 − tanh².
            gates, of_gates = kept[piece, : 3 * width], slopes[:, : 3 * width]
            np.subtract(one, gates, out=of_gates)
            of_gates *= gates
            of_gates[:, : 2 * width] *= new_and_cell[piece]
            of_new = slopes[:, 3 * width :]
            np.multiply(new[piece], new[piece], out=of_new)
            np.subtract(one, of_new, out=of_new)
            of_new *= kept[piece, :width]
            # How far the hidden state moves with the cell, the next cell with this one,
            # and the hidden state with the z of o.
            shows, of_o = factors[:, :width], factors[:, 2 * width :]
            np.multiply(shown[piece], shown[piece], out=shows)
            np.subtract(one, shows, out=shows)
            shows *= o[piece]
            factors[:, width : 2 * width] = f[piece.start + 1 : end + 1]
            np.multiply(of_gates[:, 2 * width :], shown[piece], out=of_o)
            backwards = (
                g_by_time[piece],
                *(factors[:, : 2 * width], of_o),
                *(slopes.reshape(n, 4, width, batch), slopes[:, 2 * width : 3 * width]),
                slopes,
            )
            steps = zip(*(each[::-1] for each in backwards), strict=True)
            for g_t, factors_t, of_o_t, by_gate_t, gz_o, gz_t in steps:
                np.add(gh, g_t, out=gh)
                np.multiply(g_state, factors_t, out=work)
                np.add(by_output, left, out=gc)
                np.multiply(by_gate_t, gc, out=by_gate_t)  # the slopes become gz
                np.multiply(of_o_t, gh, out=gz_o)
                multiply(weights, gz_t, out=gh_by_part)
            gz[piece] = slopes.swapaxes(1, 2)
        rows = length * batch
        gz = gz.reshape(rows, 4 * width)
        before = np.ascontiguousarray(hiddens[:-1].swapaxes(1, 2)).reshape(rows, width)
        gx = matmul(gz, weight.astype(dtype, copy=False).T)
        gx = gx.reshape(length, batch, n_in).swapaxes(0, 1)
        g_maps = matmul(x_by_time.T, gz)
        return (
            np.ascontiguousarray(gx),
            g_maps[:-1],
            g_maps[-1],
            matmul(before.T, gz),
            gh.T,
            (gc * f[0]).T,
        )

    return np.ascontiguousarray(hiddens[1:].transpose(2, 0, 1)), joint(pullback)


def _in_parts(weights, batch: int):
    """How to multiply weights by (columns, batch), and the weights: (rows, columns), or
    (n, rows / n, columns), each part for a SMALL product, where OpenBLAS has such: 1.8
    × as quick for 512 × 257 by 8. A column's numbers lie side by side there (1.05 ×).
    """
    n, size = 1, weights.size * batch
    while size > n * SMALL and len(weights) % (2 * n) == 0:
        n *= 2
    if size > n * SMALL or n > MOST_PARTS or not has_small_products():
        return np.dot, weights
    by_column = weights.reshape(n, len(weights) // n, weights.shape[1]).swapaxes(1, 2)
    parts = np.ascontiguousarray(by_column).swapaxes(1, 2)
    return (np.dot, parts[0]) if n == 1 else (np.matmul, parts)
