"""AdamW and plain gradient descent, on slices of the flat parameter buffer."""

import math

from minillm.backend import kernel, to_numpy, xp
from minillm.learning.config import TrainConfig
from minillm.learning.flat import FlatParameters


def new_optimizer(config: TrainConfig, flat: FlatParameters) -> "AdamW | SGD":
    """The optimizer that a configuration names."""
    if config.optimizer == "sgd":
        return SGD(flat, weight_decay=config.weight_decay)
    return AdamW(
        flat,
        beta1=config.beta1,
        beta2=config.beta2,
        weight_decay=config.weight_decay,
    )


def moments(flat: FlatParameters, optimizer: "AdamW | SGD") -> dict:
    """The optimizer's moments by name, as views: {"m.blocks.0…": array, …}."""
    return {
        f"{kind}.{name}": view
        for kind, buffer in optimizer.state.items()
        for name, view in flat.views(buffer).items()
    }


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    The moments are corrected for their start at zero from step 1 on. Decay acts on
    matrices and embeddings only, not on gains and biases.
    """

    def __init__(
        self,
        flat: FlatParameters,
        *,
        beta1: float = 0.9,
        beta2: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        self.flat = flat
        self.settings = {"beta1": beta1, "beta2": beta2, "eps": eps}
        self.weight_decay = weight_decay
        self.state = {"m": flat.zeros(), "v": flat.zeros()}

    def update(self, part: slice, grad, *, lr: float, step: int, scale) -> None:
        """Move a part of the parameters. `step` counts from 1; the gradient is
        multiplied by `scale` first."""
        for piece, decay in _by_decay(part, self.flat.n_decayed, self.weight_decay):
            adamw(
                self.flat.data[piece],
                grad[piece],
                self.state["m"][piece],
                self.state["v"][piece],
                lr=lr,
                weight_decay=decay,
                step=step,
                scale=scale,
                **self.settings,
            )


class SGD:
    """Plain gradient descent with decoupled weight decay. It has no state."""

    def __init__(self, flat: FlatParameters, *, weight_decay: float = 0.0):
        self.flat = flat
        self.weight_decay = weight_decay
        self.state = {}

    def update(self, part: slice, grad, *, lr: float, step: int, scale) -> None:
        for piece, decay in _by_decay(part, self.flat.n_decayed, self.weight_decay):
            data = self.flat.data[piece]
            sgd(data, grad[piece], lr=lr, weight_decay=decay, scale=scale)


@kernel
def adamw(data, grad, m, v, *, lr, beta1, beta2, eps, weight_decay, step, scale):
    """One AdamW step, in place on data, m and v."""
    g = grad * scale
    m += (1 - beta1) * (g - m)
    v += (1 - beta2) * (g * g - v)
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    data -= lr * (m_hat / (xp.sqrt(v_hat) + eps) + weight_decay * data)


@kernel
def sgd(data, grad, *, lr, weight_decay, scale):
    """One step of gradient descent, in place on data."""
    data -= lr * (grad * scale + weight_decay * data)


@kernel
def squared_norm(grad):
    """Σ g²."""
    return (grad * grad).sum()


def clip_scale(norm: float, clip: float) -> float:
    """What to multiply a gradient by so that its norm is at most `clip` (0: no limit).

    Pascanu et al. 2013, algorithm 1.
    """
    return min(1.0, clip / norm) if clip > 0 and norm > 0 else 1.0


def global_norm(parts) -> float:
    """The norm of a gradient from the squared norms of its parts."""
    return math.sqrt(sum(to_numpy(part).item() for part in parts))


def _by_decay(part: slice, n_decayed: int, weight_decay: float):
    """Cut a part of the buffer where decay ends: (slice, its decay)."""
    boundary = min(max(n_decayed, part.start), part.stop)
    pieces = (
        (slice(part.start, boundary), weight_decay),
        (slice(boundary, part.stop), 0.0),
    )
    return [(piece, decay) for piece, decay in pieces if piece.start < piece.stop]
