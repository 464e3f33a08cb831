"""NumPy's faster bodies of what Llama's block has and GPT's has not."""

import numpy as np

from minillm.backend.arrays import as_rows
from minillm.backend.pullbacks import joint
from minillm.backend.registry import faster


@faster("rms_norm")
def rms_norm(x, gain, *, eps=1e-5):
    """As `layer_norm`, without the mean: 1.5 × its definition, a step of tiny llama
    gains 1 %."""
    rows = as_rows(x)
    width = max(rows.shape[1], 1)
    average = np.full(rows.shape[1], 1 / width, rows.dtype)
    mean_square = np.einsum("nd,nd->n", rows, rows) / width
    inverse_rms = (1 / np.sqrt(mean_square + eps))[:, None]
    unit = rows * inverse_rms

    def pullback(g):
        g = as_rows(g)
        gx = g * gain
        product = gx * unit
        mean_product = (product @ average)[:, None]
        gx -= np.multiply(unit, mean_product, out=product)
        gx *= inverse_rms
        g_gain = np.ones(len(g), g.dtype) @ np.multiply(g, unit, out=product)
        return gx.reshape(x.shape), g_gain

    return (unit * gain).reshape(x.shape), joint(pullback)


@faster("rotary")
def rotary(x, *, cos, sin, n_turned=None):
    """A sequence at a time; whole rows of heads in two of three passes, since loops
    over half a head are short: 1.8 × its definition, a step of tiny llama gains 3 %."""
    n_turned = x.shape[2] if n_turned is None else n_turned
    factors = []  # of the numbers themselves, and of the others of their pairs
    for halves in ((cos, cos), (-sin, sin)):
        both = np.concatenate(halves, -1).astype(x.dtype)
        wide = (*both.shape[:-2], n_turned, both.shape[-1])
        wide = np.ascontiguousarray(np.broadcast_to(both, wide))
        factors.append(np.broadcast_to(wide, (len(x), *wide.shape[-3:])))

    def turned(x, sign):
        y = np.empty_like(x, order="C")
        y[:, :, n_turned:] = x[:, :, n_turned:]
        for one, out, of_own, of_other in zip(x, y, *factors, strict=True):
            one, out = one[:, :n_turned], out[:, :n_turned]
            np.multiply(one, of_own, out=out)
            halves = (*one.shape[:-1], 2, one.shape[-1] // 2)
            others = one.reshape(halves)[..., ::-1, :]
            others = (others * of_other.reshape(halves)).reshape(one.shape)
            if sign > 0:
                out += others
            else:
                out -= others
        return y

    return turned(x, 1), lambda g: turned(g, -1)
