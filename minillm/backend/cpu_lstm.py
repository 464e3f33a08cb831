"""NumPy's faster body of the LSTM: few calls for each token, nothing computed twice.

A step of an LSTM is a small product and a dozen passes over some thousand numbers,
which a core's first cache holds: what it costs is calls. So each token gets as few as
can be, all into memory that is there already, and what backward can do for several
tokens at once, it does.
"""

import numpy as np

from minillm.backend.arrays import as_rows
from minillm.backend.cpu import CHUNK
from minillm.backend.products import matmul
from minillm.backend.pullbacks import joint
from minillm.backend.registry import faster


@faster("lstm")
def lstm(x, weight, hidden, cell):
    """The first axis is time in all that is kept.

    The product is that with −weight, and x is taken off: −z is what exp wants. With it
    tanh gives minus the new content, so that its share is taken off the cell too.
    """
    batch, length, width = len(x), x.shape[1], len(weight)
    shape = (length, batch, width)
    z = np.empty((length, batch, 4 * width), x.dtype)  # becomes the gates
    minus_new, shown = np.empty(shape, x.dtype), np.empty(shape, x.dtype)
    work = np.empty(shape[1:], x.dtype)
    hiddens, cells = (np.zeros((length + 1, *shape[1:]), x.dtype) for _ in range(2))
    if hidden is not None:
        hiddens[0] = hidden
    if cell is not None:
        cells[0] = cell
    gates = _quarters(z)
    minus = np.negative(weight, dtype=x.dtype)
    one = np.array(1, x.dtype)  # an array: a number would become one in each call
    before = zip(hiddens[:-1], cells[:-1], strict=True)
    after = zip(hiddens[1:], cells[1:], strict=True)
    by_time = x.swapaxes(0, 1)
    steps = zip(z, by_time, *gates, minus_new, shown, strict=True)
    with np.errstate(over="ignore"):  # as in `sigmoid`
        for (h, c), (next_h, next_c), step in zip(before, after, steps, strict=True):
            z_t, x_t, i_t, f_t, o_t, new_t, minus_new_t, shown_t = step
            np.dot(h, minus, out=z_t)
            np.subtract(z_t, x_t, out=z_t)
            np.tanh(new_t, out=minus_new_t)
            # Of all four quarters, which lie in one piece: quicker than of three.
            np.exp(z_t, out=z_t)
            np.add(z_t, one, out=z_t)
            np.divide(one, z_t, out=z_t)
            np.multiply(i_t, minus_new_t, out=work)
            np.multiply(f_t, c, out=next_c)
            np.subtract(next_c, work, out=next_c)
            np.tanh(next_c, out=shown_t)
            np.multiply(o_t, shown_t, out=next_h)

    def pullback(g):
        gz = np.empty_like(z)
        gh, gc, work = (np.zeros(shape[1:], x.dtype) for _ in range(3))
        columns = np.ascontiguousarray(weight.T, x.dtype)
        g_by_time = g.swapaxes(0, 1)
        i, f, o, _ = gates
        some = max(1, CHUNK // max(1, batch * 4 * width))
        slopes = np.empty_like(z[:some])
        of_cell = np.empty_like(shown[:some])
        for end in range(length, 0, -some):
            piece = slice(max(0, end - some), end)
            n = end - piece.start
            # How far each z moves the cell, and o's the hidden state. The slope of a
            # gate y is y·(1 − y), that of tanh 1 − tanh².
            s_i, s_f, s_o, s_new = _quarters(slopes[:n])
            shows = of_cell[:n]
            taken = np.multiply(i[piece], minus_new[piece], out=shows)
            np.subtract(i[piece], 1, out=s_i)
            s_i *= taken
            np.multiply(taken, minus_new[piece], out=s_new)
            np.subtract(i[piece], s_new, out=s_new)
            np.subtract(1, f[piece], out=s_f)
            s_f *= np.multiply(f[piece], cells[piece], out=shows)
            np.subtract(1, o[piece], out=s_o)
            s_o *= hiddens[1:][piece]
            np.multiply(hiddens[1:][piece], shown[piece], out=shows)
            np.subtract(o[piece], shows, out=shows)
            by_gate = (n, batch, 4, width)
            steps = zip(
                g_by_time[piece][::-1],
                shows[::-1],
                slopes[:n].reshape(by_gate)[::-1],
                s_o[::-1],
                gz[piece][::-1],
                gz[piece].reshape(by_gate)[::-1],
                _quarters(gz[piece])[2][::-1],
                f[piece][::-1],
                strict=True,
            )
            for g_t, shows_t, slopes_t, s_o_t, gz_t, by_gate_t, gz_o, f_t in steps:
                np.add(gh, g_t, out=gh)
                np.multiply(gh, shows_t, out=work)
                np.add(gc, work, out=gc)
                np.multiply(slopes_t, gc[:, None], out=by_gate_t)
                np.multiply(s_o_t, gh, out=gz_o)
                np.dot(gz_t, columns, out=gh)
                np.multiply(gc, f_t, out=gc)
        g_weight = matmul(as_rows(hiddens[:-1]).T, as_rows(gz))
        # One copy here saves `linear` three.
        return np.ascontiguousarray(gz.swapaxes(0, 1)), g_weight, gh, gc

    return hiddens[1:].swapaxes(0, 1), joint(pullback)


def _quarters(z):
    """Input, forget and output gate, and the new content: views of (..., 4D)."""
    width = z.shape[-1] // 4
    return [z[..., n * width : (n + 1) * width] for n in range(4)]
