"""A recurrent block: long short-term memory around a residual path."""

import numpy as np

from minillm.backend import kernel, xp
from minillm.nn.block import Residual
from minillm.nn.cache import LSTMState
from minillm.nn.config import ModelConfig
from minillm.nn.init import Init, Initializer, initializer
from minillm.nn.layers import Linear, new_norm
from minillm.nn.module import Module
from minillm.nn.noise import Noise
from minillm.ops import lstm
from minillm.ops.recurrent import step
from minillm.tensor import Tensor


class LSTM(Module):
    """Long short-term memory: gates from x and from the hidden state before it.

    The gates always have a bias. The forget gate's starts at 1, so that at first a cell
    keeps most of what it holds and gradients reach far back (Gers et al. 2000).
    """

    def __init__(self, width: int, *, init: Init = None):
        init = initializer(init)
        self.input = Linear(width, 4 * width, init=init)
        # One bias for each gate, of which the second is the forget gate's.
        self.input.bias = init.made(
            (4 * width,), lambda shape: np.repeat([0, 1, 0, 0], width)
        )
        self.recurrent = init.matrix(width, 4 * width)

    def __call__(self, x: Tensor) -> Tensor:  # (B, T, D) -> (B, T, D)
        return lstm(x, self.input.weight, self.input.bias, self.recurrent, None, None)

    def new_cache(self, batch: int, padding: np.ndarray | None = None) -> LSTMState:
        """An empty state. `padding`: see `Cache`."""
        width, dtype = self.recurrent.shape[0], self.recurrent.dtype
        return LSTMState(batch, width, dtype, padding)

    def decode(self, x: Tensor, state: LSTMState) -> Tensor:
        """The same for tokens that follow those in the state; carries it on. No
        gradient.   (B, t, D) -> (B, t, D)"""
        z = self.input(x).data
        return Tensor(lstm_onwards(z, self.recurrent.data, state=state))


@kernel
def lstm_onwards(z, weight, *, state: LSTMState):
    """The hidden state after each of the tokens that follow those in a state, which it
    carries on.   z (B, t, 4D), weight (D, 4D), the op's `recurrent` -> (B, t, D)"""
    after = []
    for t in range(z.shape[1]):
        state.carry_on(*step(z[:, t] + state.hidden @ weight, state.cell))
        after.append(state.hidden)
    return xp.stack(after, 1)


class RecurrentBlock(Residual):
    """An LSTM on a residual path."""

    def __init__(self, config: ModelConfig, init: Initializer):
        super().__init__(config)
        self.norm = new_norm(config, init)
        self.lstm = LSTM(config.d_model, init=init)

    def __call__(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        # (B, T, D) -> (B, T, D)
        return self.around(self.lstm, x, self.norm, noise)

    def decode(self, x: Tensor, state: LSTMState) -> Tensor:
        """The block for tokens that follow those in the state."""
        return self.around(lambda h: self.lstm.decode(h, state), x, self.norm)
