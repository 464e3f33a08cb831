"""AdamW, on slices of the flat parameter buffer, and the clipping of gradients.

What a CPU runs in place of `adamw` is in `backend/cpu.py`.
"""

import functools
import math
from collections.abc import Callable

from minillm.backend import kernel, of, to_numpy, xp
from minillm.errors import UsageError
from minillm.learning.flat import FlatParameters
from minillm.learning.settings import check_settings


class Optimizer:
    """What optimizers have in common: a loop of one's own needs `step`, `zero_grad` and
    `lr`; a Learner hands over flat parameters and calls `update` for each of its parts.

    parameters: a module, its tensors, or FlatParameters. All their arrays become views
    of one buffer, and all gradients views of another (`flat.py`). Matrices and
    embeddings lie first: weight decay acts on these, not on gains and biases.
    """

    def __init__(self, parameters, *, lr: float, weight_decay: float):
        check_settings(lr=lr, weight_decay=weight_decay)
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = 0  # of `step`
        self.state = {}
        self.loop = None  # the OwnLoop, where a loop of one's own calls `step`
        if isinstance(parameters, FlatParameters):
            self.flat = parameters
        else:
            from minillm.learning.own_loop import OwnLoop  # opened for such a loop

            self.loop = OwnLoop(parameters)
            self.flat = self.loop.flat

    def step(self) -> None:
        """Move all parameters by their gradients."""
        loop = self._own_loop()
        self.steps += 1
        whole = slice(0, self.flat.size)
        self.update(whole, loop.gradient, lr=self.lr, step=self.steps, scale=1.0)

    def zero_grad(self) -> None:
        """Set all gradients to zero: backward adds to what is there."""
        self._own_loop().gradient[...] = 0

    def _own_loop(self):
        """With what somebody put beside its buffers in them."""
        if self.loop is None:
            raise UsageError(
                "an optimizer of FlatParameters has no gradients of its own: call "
                "`update` with them, or make it of a module"
            )
        self.loop.gather()
        return self.loop

    def update(self, part: slice, grad, *, lr: float, step: int, scale) -> None:
        """Move a part of the parameters. `step` is from 1, as in Adam's corrections;
        the gradient is multiplied by `scale` first: a number, or on a GPU an array of
        one number, where 0 means that nothing moves."""
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
        check_settings(below=1, beta1=beta1, beta2=beta2)
        check_settings(eps=eps)
        super().__init__(parameters, lr=lr, weight_decay=weight_decay)
        self.settings = {"beta1": beta1, "beta2": beta2, "eps": eps}
        self.state = {"m": self.flat.zeros(), "v": self.flat.zeros()}

    def update(self, part: slice, grad, *, lr: float, step: int, scale) -> None:
        for piece, decay in by_decay(part, self.flat.n_decayed, self.weight_decay):
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


def unless_diverged(step: Callable) -> Callable:
    """The step itself where `scale` is a plain number, as on any CPU. On a GPU it is an
    array, which is 0 once a run has diverged: then nothing moves."""

    @functools.wraps(step)
    def run(*arrays, scale, **settings):
        if of(scale) is None:  # a plain number
            return step(*arrays, scale=scale, **settings)
        from minillm.learning.unread import step_or_stay  # opened for a GPU only

        return step_or_stay(step, arrays, scale, settings)

    return run


@kernel
@unless_diverged
def adamw(data, grad, m, v, *, lr, beta1, beta2, eps, weight_decay, step, scale):
    """One AdamW step (Loshchilov & Hutter 2019, alg. 2), in place on data, m and v."""
    g = grad * scale
    m += (1 - beta1) * (g - m)
    v += (1 - beta2) * (g * g - v)
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    data -= lr * (m_hat / (xp.sqrt(v_hat) + eps) + weight_decay * data)


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


def by_decay(part: slice, n_decayed: int, weight_decay: float):
    """Cut a part of the buffer where decay ends: (slice, its decay)."""
    boundary = min(max(n_decayed, part.start), part.stop)
    pieces = (
        (slice(part.start, boundary), weight_decay),
        (slice(boundary, part.stop), 0.0),
    )
    return [(piece, decay) for piece, decay in pieces if piece.start < piece.stop]
