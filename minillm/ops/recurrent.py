"""Long short-term memory (Hochreiter & Schmidhuber 1997), over a whole sequence."""

from minillm.backend import joint, xp
from minillm.tensor import op


def _fits(x, weight, hidden, cell) -> None:
    width = weight.shape[0]
    if weight.shape != (width, 4 * width) or x.ndim != 3 or x.shape[2] != 4 * width:
        raise ValueError(
            f"lstm: x of shape {x.shape} and weight of shape {weight.shape}, but "
            f"(B, T, 4D) and (D, 4D) are needed"
        )
    for state in (hidden, cell):
        if state is not None and state.shape != (x.shape[0], width):
            raise ValueError(
                f"lstm: a state of shape {state.shape} for {x.shape[0]} sequences of "
                f"width {width}"
            )


@op(check=_fits)
def lstm(x, weight, hidden, cell):
    """The hidden state after each token; see `step` for what happens at one.

    x (B, T, 4D) is what each token says to the gates, weight (D, 4D) what the hidden
    state says; hidden and cell (B, D) are the state at the start, None for zeros
    -> (B, T, D)

    Backward goes through time from the last token to the first: the state's gradient
    comes from the token itself and from all that follow.
    """
    length, width = x.shape[1], len(weight)
    zeros = xp.zeros((len(x), width), x.dtype)
    hiddens = [zeros if hidden is None else hidden]
    cells = [zeros if cell is None else cell]
    gates = []
    for t in range(length):
        h, c, *now = step(x[:, t] + hiddens[t] @ weight, cells[t])
        hiddens.append(h)
        cells.append(c)
        gates.append(now)

    def pullback(g):
        gh = gc = zeros
        gx = xp.empty_like(x)
        for t in reversed(range(length)):
            i, f, o, new, shown = gates[t]
            gh = gh + g[:, t]
            gc = gc + gh * o * (1 - shown * shown)
            gz = [
                gc * new * i * (1 - i),
                gc * cells[t] * f * (1 - f),
                gh * shown * o * (1 - o),
                gc * i * (1 - new * new),
            ]
            gx[:, t] = xp.concatenate(gz, -1)
            gh = gx[:, t] @ weight.T
            gc = gc * f
        # One product for all tokens is quicker than a sum of one for each.
        came_in = xp.stack(hiddens[:-1], 1).reshape(-1, width)
        return gx, came_in.T @ gx.reshape(-1, 4 * width), gh, gc

    return xp.stack(hiddens[1:], 1), joint(pullback)


def step(z, cell):
    """One token: the cell forgets a part, takes in something new, and shows a part.

    z (B, 4D) holds the input, forget and output gates and the new content, side by
    side, before their sigmoids and tanh; cell (B, D). The forget gate is that of Gers,
    Schmidhuber & Cummins 2000.

    Returns hidden and cell after the token, the three gates, the new content, and what
    the cell has to show; all (B, D).
    """
    width = cell.shape[-1]
    gates = 0.5 * xp.tanh(0.5 * z[:, : 3 * width]) + 0.5  # sigmoid, without overflow
    i, f, o = gates[:, :width], gates[:, width : 2 * width], gates[:, 2 * width :]
    new = xp.tanh(z[:, 3 * width :])
    cell = f * cell + i * new
    shown = xp.tanh(cell)
    return o * shown, cell, i, f, o, new, shown
