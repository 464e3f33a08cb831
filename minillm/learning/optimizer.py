"""AdamW and gradient descent, on slices of the flat parameter buffer."""

import math
import numbers
from collections.abc import Iterator

from minillm.backend import kernel, of, to_numpy, xp
from minillm.errors import UsageError
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


class Optimizer:
    """What optimizers have in common: a loop of one's own needs `step`, `zero_grad` and
    `lr`; a Learner hands over flat parameters and calls `update` for each of its parts.

    parameters: a module, its tensors, or FlatParameters. Their arrays and
    gradients become views of one buffer each. Decay acts on matrices and embeddings
    only, not on gains and biases.
    """

    def __init__(self, parameters, *, lr: float, weight_decay: float):
        _check(lr=lr, weight_decay=weight_decay)
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = 0  # of `step`
        self.state = {}
        self.gradient = None
        if isinstance(parameters, FlatParameters):
            self.flat = parameters
        else:
            if isinstance(parameters, Iterator):
                parameters = [*parameters]  # they are walked twice
            self.flat = FlatParameters(parameters)
            self.gradient = self.flat.zeros()
            self.flat.collect_gradients(parameters, self.gradient)

    def step(self) -> None:
        """Move all parameters by their gradients."""
        self.flat.gather()
        self.steps += 1
        whole = slice(0, self.flat.size)
        self.update(whole, self.gradient, lr=self.lr, step=self.steps, scale=1.0)

    def zero_grad(self) -> None:
        """Set all gradients to zero: backward adds to what is there."""
        self.flat.gather()
        self.gradient[...] = 0

    def update(self, part: slice, grad, *, lr: float, step: int, scale) -> None:
        """Move a part of the parameters. `step` is from 1, as in Adam's corrections;
        the gradient is multiplied by `scale` first: a number, or one on the device, of
        which 0 says that nothing may move."""
        raise NotImplementedError


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

        optimizer = AdamW(model, lr=3e-3)

    The moments are corrected for their start at zero from step 1 on.
    """

    def __init__(
        self,
        parameters,
        *,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        _check(below=1, beta1=beta1, beta2=beta2)
        _check(eps=eps)
        super().__init__(parameters, lr=lr, weight_decay=weight_decay)
        self.settings = {"beta1": beta1, "beta2": beta2, "eps": eps}
        self.state = {"m": self.flat.zeros(), "v": self.flat.zeros()}

    def update(self, part: slice, grad, *, lr: float, step: int, scale) -> None:
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


class SGD(Optimizer):
    """Gradient descent with decoupled weight decay, and momentum if it is asked for:
    v = momentum · v + g, and −lr · v, or with `nesterov` −lr · (g + momentum · v)
    (Sutskever et al. 2013, section 2)."""

    def __init__(
        self,
        parameters,
        *,
        lr: float = 0.1,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        _check(below=1, momentum=momentum)
        if nesterov and not momentum:
            raise UsageError("nesterov=True needs a momentum above 0")
        super().__init__(parameters, lr=lr, weight_decay=weight_decay)
        self.momentum = momentum
        self.nesterov = nesterov
        self.state = {"velocity": self.flat.zeros()} if momentum else {}

    def update(self, part: slice, grad, *, lr: float, step: int, scale) -> None:
        for piece, decay in _by_decay(part, self.flat.n_decayed, self.weight_decay):
            data, g = self.flat.data[piece], grad[piece]
            if not self.momentum:
                sgd(data, g, lr=lr, weight_decay=decay, scale=scale)
                continue
            sgd_momentum(
                data,
                g,
                self.state["velocity"][piece],
                lr=lr,
                momentum=self.momentum,
                nesterov=self.nesterov,
                weight_decay=decay,
                scale=scale,
            )


@kernel
def adamw(data, grad, m, v, *, lr, beta1, beta2, eps, weight_decay, step, scale):
    """One AdamW step (Loshchilov & Hutter 2019, alg. 2), in place on data, m and v.

    `moves` is 1; it is 0 where a run on a GPU has diverged (`scaled`).
    """
    moves, g = scaled(grad, scale)
    m += moves * (1 - beta1) * (g - m)
    v += moves * (1 - beta2) * (g * g - v)
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    data -= moves * lr * (m_hat / (xp.sqrt(v_hat) + eps) + weight_decay * data)


@kernel
def sgd(data, grad, *, lr, weight_decay, scale):
    """One step of gradient descent, in place on data."""
    moves, g = scaled(grad, scale)
    data -= moves * lr * (g + weight_decay * data)


@kernel
def sgd_momentum(data, grad, velocity, *, lr, momentum, nesterov, weight_decay, scale):
    """One step of gradient descent with momentum, in place on data and velocity."""
    g = grad * scale
    velocity *= momentum
    velocity += g
    move = g + momentum * velocity if nesterov else velocity
    data -= lr * (move + weight_decay * data)


def scaled(grad, scale):
    """(1, or 0 where nothing may move; the gradient times its scale). On a GPU the
    scale of a run that has diverged is 0; its gradient may be NaN, and so is 0 · NaN.
    """
    if of(scale) is None:  # a plain number
        return 1, grad * scale
    moves = (scale > 0).astype(grad.dtype)
    return moves, xp.where(scale > 0, grad * scale, 0)


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


def _check(*, below: float = math.inf, **settings) -> None:
    for name, value in settings.items():
        if not isinstance(value, numbers.Real) or not 0 <= value < below:
            end = "finite" if below == math.inf else f"below {below}"
            raise UsageError(
                f"{name} must be a number of at least 0 and {end}, got {value!r:.60}"
            )


def _by_decay(part: slice, n_decayed: int, weight_decay: float):
    """Cut a part of the buffer where decay ends: (slice, its decay)."""
    boundary = min(max(n_decayed, part.start), part.stop)
    pieces = (
        (slice(part.start, boundary), weight_decay),
        (slice(boundary, part.stop), 0.0),
    )
    return [(piece, decay) for piece, decay in pieces if piece.start < piece.stop]
