"""Gradient descent, and with momentum, on slices of the flat parameter buffer."""

from minillm.backend import kernel
from minillm.errors import UsageError
from minillm.learning.optimizer import Optimizer, by_decay, unless_diverged
from minillm.learning.settings import check_settings


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
        check_settings(below=1, momentum=momentum)
        if nesterov and not momentum:
            raise UsageError("nesterov=True needs a momentum above 0")
        super().__init__(parameters, lr=lr, weight_decay=weight_decay)
        self.momentum = momentum
        self.nesterov = nesterov
        self.state = {"velocity": self.flat.zeros()} if momentum else {}

    def update(self, part: slice, grad, *, lr: float, step: int, scale) -> None:
        for piece, decay in by_decay(part, self.flat.n_decayed, self.weight_decay):
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
@unless_diverged
def sgd(data, grad, *, lr, weight_decay, scale):
    """One step of gradient descent, in place on data."""
    data -= lr * (grad * scale + weight_decay * data)


@kernel
def sgd_momentum(data, grad, velocity, *, lr, momentum, nesterov, weight_decay, scale):
    """One step of gradient descent with momentum, in place on data and velocity."""
    g = grad * scale
    velocity *= momentum
    velocity += g
    move = g + momentum * velocity if nesterov else velocity
    data -= lr * (move + weight_decay * data)
