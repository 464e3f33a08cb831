"""CUDA's faster bodies of what is element-wise: a formula in `xp` as one kernel.

On a GPU each op of `xp` is a launch with its own way through memory; GELU's definition
takes nine. `fused` hands the whole formula to `cupy.fuse`. A number that changes from
call to call is given as float32: a Python float would be a double, at which most GPUs
are slow.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

from minillm.backend import switch
from minillm.backend.arrays import SINGLE
from minillm.backend.cuda_bodies import contiguous, fits
from minillm.backend.pullbacks import joint
from minillm.backend.registry import definition_of, faster
from minillm.backend.switch import xp

C = math.sqrt(2 / math.pi)
CUBIC = 0.044715


def fused(formula: Callable) -> Callable:
    """The formula, compiled on the device in charge with the first call. Arrays that it
    changes in place are changed."""

    @functools.cache
    def compiled(device):
        return device.fuse(formula)

    return lambda *arguments: compiled(switch.current())(*arguments)


def singles(*numbers) -> list:
    """Numbers as float32; one that lies on the device stays there."""
    return [n if switch.of(n) else SINGLE.type(n) for n in numbers]


@fused
def gelu_and_slope(x):
    squared = xp.minimum(x * x, 100)  # see the definition
    t = xp.tanh(C * x * (1 + CUBIC * squared))
    slope = C * (1 + 3 * CUBIC * squared)
    return 0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope


@faster("gelu", "cuda")
def gelu(x, *, form="tanh"):
    """Value and slope at once."""
    if form != "tanh" or not fits(x):
        return definition_of("gelu")(x, form=form)
    y, slope = gelu_and_slope(x)
    return y, lambda g: g * slope


@fused
def swiglu_value(gate, up):
    return gate / (1 + xp.exp(-gate)) * up


@fused
def swiglu_gradients(g, gate, up):
    share = 1 / (1 + xp.exp(-gate))
    return g * up * share * (1 + gate * (1 - share)), g * gate * share


@faster("swiglu", "cuda")
def swiglu(gate, up):
    """silu(gate) · up in one kernel, both gradients in another."""
    if not fits(gate, up):
        return definition_of("swiglu")(gate, up)
    return swiglu_value(gate, up), joint(lambda g: swiglu_gradients(g, gate, up))


@fused
def silu_value(x):
    return x / (1 + xp.exp(-x))


@fused
def silu_gradient(g, x):
    share = 1 / (1 + xp.exp(-x))
    return g * share * (1 + x * (1 - share))


@faster("silu", "cuda")
def silu(x):
    """x·σ(x) in one kernel, its gradient in another."""
    if not fits(x):
        return definition_of("silu")(x)
    return silu_value(x), lambda g: silu_gradient(g, x)


@fused
def turn(x, others, cos, sin, signs, are_turned):
    cos, sin = cos.astype(SINGLE), sin.astype(SINGLE)
    return xp.where(are_turned, x * cos + signs * others * sin, x)


@faster("rotary", "cuda")
def rotary(x, *, cos, sin, n_turned=None):
    """One kernel: each number with the other one of its pair, (B, T, n, 2, d/2)."""
    if not fits(x):
        return definition_of("rotary")(x, cos=cos, sin=sin, n_turned=n_turned)
    pairs = (*x.shape[:-1], 2, x.shape[-1] // 2)
    angles = cos[..., None, :], sin[..., None, :]
    of_heads = x.shape[2], x.shape[2] if n_turned is None else n_turned
    signs, are_turned = _which_turn(switch.current(), *of_heads)

    def turned(x, signs):
        x = contiguous(x).reshape(pairs)
        y = turn(x, x[..., ::-1, :], *angles, signs, are_turned)
        return y.reshape(*pairs[:-2], -1)

    return turned(x, signs), lambda g: turned(g, signs[::-1])  # back: + is −


@functools.lru_cache(maxsize=8)  # models turn few numbers of heads
def _which_turn(device, n: int, n_turned: int) -> tuple:
    """The sign of each half's sine, and which of n heads turn: (2, 1), (n, 1, 1)"""
    are_turned = np.arange(n)[:, None, None] < n_turned
    return device.asarray(np.array([[-1], [1]], SINGLE)), device.asarray(are_turned)


@fused
def move_by_adam(data, grad, m, v, size, root, decay, scale, rest1, rest2, eps):
    moves = scale > 0  # see `step_or_stay` in `learning/unread.py`
    g = xp.where(moves, grad * scale, 0)
    m += xp.where(moves, rest1, 0) * (g - m)
    v += xp.where(moves, rest2, 0) * (g * g - v)
    move = size * m / (xp.sqrt(v) * root + eps) + decay * data
    data -= xp.where(moves, move, 0)


@faster("adamw", "cuda")
def adamw(data, grad, m, v, *, lr, beta1, beta2, eps, weight_decay, step, scale):
    """One pass over all four arrays."""
    size, root = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
    numbers = (size, root, lr * weight_decay, scale, 1 - beta1, 1 - beta2, eps)
    move_by_adam(data, grad, m, v, *singles(*numbers))


@fused
def move_down(data, grad, lr, decay, scale):
    data -= xp.where(scale > 0, lr * scale * grad + decay * data, 0)


@faster("sgd", "cuda")
def sgd(data, grad, *, lr, weight_decay, scale):
    """One pass over both arrays."""
    move_down(data, grad, *singles(lr, lr * weight_decay, scale))


@fused
def scale_of(loss, squared_norm, before, clip):
    norm = xp.sqrt(squared_norm)
    scale = xp.minimum(clip / xp.maximum(norm, 1e-30), 1)
    return xp.where(xp.isfinite(loss + norm) & (before > 0), scale, 0)


@faster("checked_scale", "cuda")
def checked_scale(loss, squared_norm, before, figures, *, clip):
    """One kernel for the number, one for each figure."""
    figures[0] = loss
    figures[1] = squared_norm
    (most,) = singles(clip if clip > 0 else math.inf)
    return scale_of(loss, squared_norm, before, most)


@fused
def move_with_momentum(data, grad, velocity, lr, momentum, of_g, of_v, decay, scale):
    g = grad * scale
    velocity *= momentum
    velocity += g
    data -= lr * (of_g * g + of_v * velocity) + decay * data


@faster("sgd_momentum", "cuda")
def sgd_momentum(data, grad, velocity, *, lr, momentum, nesterov, weight_decay, scale):
    """One pass over all three arrays."""
    parts = (1, momentum) if nesterov else (0, 1)  # of g and velocity in the move
    numbers = (lr, momentum, *parts, lr * weight_decay, scale)
    move_with_momentum(data, grad, velocity, *singles(*numbers))
