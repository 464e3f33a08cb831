"""Long short-term memory (Hochreiter & Schmidhuber 1997), over a whole sequence."""

from minillm.backend import cpu_lstm, joint, xp  # noqa: F401  (registers its body)
from minillm.backend.arrays import as_rows
from minillm.ops.elementwise import sigmoid
from minillm.ops.neural import linear
from minillm.tensor import op


def _fits(x, weight, bias, recurrent, hidden, cell) -> None:
    width = recurrent.shape[0]
    fits = recurrent.shape == (width, 4 * width) and x.ndim == 3
    if not fits or weight.shape != (x.shape[2], 4 * width):
        raise ValueError(
            f"lstm: x of shape {x.shape}, weight of shape {weight.shape} and recurrent "
            f"of shape {recurrent.shape}, but (B, T, N), (N, 4D) and (D, 4D) are needed"
        )
    if bias is not None and bias.shape != (4 * width,):
        raise ValueError(f"lstm: a bias of shape {bias.shape}, not {(4 * width,)}")
    for state in (hidden, cell):
        if state is not None and state.shape != (x.shape[0], width):
            raise ValueError(
                f"lstm: a state of shape {state.shape} for {x.shape[0]} sequences of "
                f"width {width}"
            )


@op(check=_fits)
def lstm(x, weight, bias, recurrent, hidden, cell):
    """The hidden state after each token; see `step` for what happens at one.

    x (B, T, N) are the tokens; weight (N, 4D) and bias (4D,), or None, make of each
    what it says to the gates, recurrent (D, 4D) what the hidden state says; hidden and
    cell (B, D) are the state at the start, None for zeros -> (B, T, D)

    Backward goes through time from the last token to the first: the state's gradient
    comes from the token itself and from all that follow.
    """
    said, pull_x, pull_weight, pull_bias = linear.rule(x, weight, bias)
    batch, length, width = len(x), x.shape[1], len(recurrent)
    # The first axis is time: what belongs to one token lies together.
    z = xp.empty((length, batch, 4 * width), x.dtype)
    hiddens = xp.zeros((length + 1, batch, width), x.dtype)
    cells = xp.zeros((length + 1, batch, width), x.dtype)
    if hidden is not None:
        hiddens[0] = hidden
    if cell is not None:
        cells[0] = cell
    for t in range(length):
        z[t] = said[:, t] + hiddens[t] @ recurrent
        hiddens[t + 1], cells[t + 1] = step(z[t], cells[t])

    def pullback(g):
        # For all tokens at once: how far each z moves the cell or the hidden state.
        gates, pull_gates = sigmoid.rule(z[..., : 3 * width])
        i, f, o = _thirds(gates)
        new, shown = xp.tanh(z[..., 3 * width :]), xp.tanh(cells[1:])
        slopes = pull_gates(xp.concatenate([new, cells[:-1], shown], -1))
        slopes = xp.concatenate([slopes, i * (1 - new * new)], -1)
        cell_to_hidden = o * (1 - shown * shown)
        gh = gc = xp.zeros_like(cells[0])
        gz = xp.empty_like(z)
        for t in reversed(range(length)):
            gh = gh + g[:, t]
            gc = gc + gh * cell_to_hidden[t]
            gz[t] = xp.concatenate([gc, gc, gh, gc], -1) * slopes[t]
            gh = gz[t] @ recurrent.T
            gc = gc * f[t]
        # One product for all tokens is quicker than a sum of one for each.
        g_recurrent = as_rows(hiddens[:-1]).T @ as_rows(gz)
        gz = gz.swapaxes(0, 1)
        g_bias = None if bias is None else pull_bias(gz)
        return pull_x(gz), pull_weight(gz), g_bias, g_recurrent, gh, gc

    return hiddens[1:].swapaxes(0, 1), joint(pullback)


def step(z, cell):
    """One token: the cell forgets a part, takes in something new, and shows a part.

    z (B, 4D) holds the input, forget and output gates and the new content, side by
    side, before their sigmoids and tanh; cell (B, D). The forget gate is that of Gers,
    Schmidhuber & Cummins 2000.

    Returns hidden and cell after the token, (B, D).
    """
    width = cell.shape[-1]
    gates, _ = sigmoid.rule(z[:, : 3 * width])
    i, f, o = _thirds(gates)
    cell = f * cell + i * xp.tanh(z[:, 3 * width :])
    return o * xp.tanh(cell), cell


def _thirds(gates):
    """Input, forget and output gate, which lie side by side."""
    width = gates.shape[-1] // 3
    return gates[..., :width], gates[..., width : 2 * width], gates[..., 2 * width :]
