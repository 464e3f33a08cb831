"""Each neural op against torch.nn.functional: values and gradients."""

import numpy as np
import pytest

from minillm import Tensor, ops

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.peers

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 5, 8))
TARGETS = RNG.integers(0, 8, (3, 5))
TARGETS[0, :3] = -1
IDS = RNG.integers(0, 6, (3, 5))
MASK = RNG.random((3, 1, 5, 5)) < 0.6
MASK[..., 0] = True  # PyTorch gives NaN where a query may see nothing
ADDED = np.where(MASK, RNG.standard_normal((5,)), -np.inf)


def heads(x):
    """(3, 5, 24) -> q, k, v of shape (3, 2, 5, 4)"""
    parts = x.reshape(3, 5, 3, 2, 4)
    return [parts[:, :, i].transpose(1, 2) for i in range(3)]


def their_self_attention(x, **settings):
    y = F.scaled_dot_product_attention(*heads(x), **settings)
    return y.transpose(1, 2).reshape(3, 5, 8)


def their_cross_attention(x, source, **settings):
    """Three queries of two heads for the five keys of `source`."""
    q = x.reshape(3, 3, 2, 4).transpose(1, 2)
    k, v = (part.reshape(3, 5, 2, 4).transpose(1, 2) for part in source.chunk(2, -1))
    y = F.scaled_dot_product_attention(q, k, v, **settings)
    return y.transpose(1, 2).reshape(3, 3, 8)


def their_lstm(x, weight, bias, recurrent, hidden, cell):
    """Its gates lie in another order, and it has a second bias."""
    order = [0, 1, 3, 2]  # input, forget, new content, output
    named = {
        "weight_ih_l0": weight.T.reshape(4, 8, 5)[order].reshape(32, 5),
        "weight_hh_l0": recurrent.T.reshape(4, 8, 8)[order].reshape(32, 8),
        "bias_ih_l0": bias.reshape(4, 8)[order].reshape(32),
        "bias_hh_l0": torch.zeros_like(bias),
    }
    layer = torch.nn.LSTM(5, 8, batch_first=True, dtype=x.dtype)
    state = hidden[None], cell[None]
    return torch.func.functional_call(layer, named, (x, state))[0]


def weights(*shape):
    return RNG.standard_normal(shape)


QKV = [weights(3, 2, 5, 4) for _ in range(3)]
CASES = {
    "linear": (
        [X, weights(8, 4), weights(4)],
        ops.linear,
        lambda x, w, b: F.linear(x, w.T, b),
    ),
    "linear without bias": (
        [X, weights(8, 4)],
        lambda x, w: ops.linear(x, w, None),
        lambda x, w: F.linear(x, w.T),
    ),
    "embedding": (
        [weights(6, 4)],
        lambda table: ops.embedding(table, ids=IDS),
        lambda table: F.embedding(torch.tensor(IDS), table),
    ),
    "layer_norm": (
        [X, weights(8), weights(8)],
        ops.layer_norm,
        lambda x, gain, bias: F.layer_norm(x, (8,), gain, bias),
    ),
    "relu": ([X], ops.relu, F.relu),
    "sigmoid": ([X], ops.sigmoid, torch.sigmoid),
    "gelu": ([X], ops.gelu, lambda x: F.gelu(x, approximate="tanh")),
    "gelu by erf": ([X], lambda x: ops.gelu(x, form="erf"), F.gelu),
    "softmax": ([X], ops.softmax, lambda x: F.softmax(x, -1)),
    "softmax along axis 1": (
        [X],
        lambda x: ops.softmax(x, axis=1),
        lambda x: F.softmax(x, 1),
    ),
    "log_softmax": ([X], ops.log_softmax, lambda x: F.log_softmax(x, -1)),
    "attention": (QKV, ops.attention, F.scaled_dot_product_attention),
    "causal attention": (
        QKV,
        lambda *qkv: ops.attention(*qkv, causal=True),
        lambda *qkv: F.scaled_dot_product_attention(*qkv, is_causal=True),
    ),
    "attention with a boolean mask": (
        QKV,
        lambda *qkv: ops.attention(*qkv, mask=MASK),
        lambda *qkv: F.scaled_dot_product_attention(*qkv, torch.tensor(MASK)),
    ),
    "attention with an additive mask": (
        QKV,
        lambda *qkv: ops.attention(*qkv, mask=ADDED),
        lambda *qkv: F.scaled_dot_product_attention(
            *qkv, torch.tensor(ADDED, dtype=qkv[0].dtype)
        ),
    ),
    "attention with a bias that learns": (
        [*QKV, weights(2, 1, 5)],
        lambda *qkvb: ops.attention(*qkvb, causal=True),
        lambda q, k, v, bias: F.scaled_dot_product_attention(
            q, k, v, bias + torch.full((5, 5), -torch.inf).triu(1).to(q.dtype)
        ),
    ),
    "self_attention": (
        [weights(3, 5, 24)],
        lambda x: ops.self_attention(x, n_heads=2, causal=True),
        lambda x: their_self_attention(x, is_causal=True),
    ),
    "cross_attention": (
        [weights(3, 3, 8), weights(3, 5, 16)],
        lambda x, source: ops.cross_attention(
            x, source, n_heads=2, mask=MASK[:, :, :1]
        ),
        lambda x, source: their_cross_attention(
            x, source, attn_mask=torch.tensor(MASK[:, :, :1])
        ),
    ),
    "lstm": (
        [
            *(weights(3, 5, 5), weights(5, 32), weights(32), weights(8, 32)),
            *(weights(3, 8), weights(3, 8)),
        ],
        ops.lstm,
        their_lstm,
    ),
    "cross_entropy": (
        [X],
        lambda x: ops.cross_entropy(x, targets=TARGETS),
        lambda x: F.cross_entropy(
            x.reshape(-1, 8), torch.tensor(TARGETS.ravel()), ignore_index=-1
        ),
    ),
    "linear_cross_entropy": (
        [X, weights(8, 8)],
        lambda x, w: ops.linear_cross_entropy(x, w, targets=TARGETS),
        lambda x, w: F.cross_entropy(
            (x @ w.T).reshape(-1, 8), torch.tensor(TARGETS.ravel()), ignore_index=-1
        ),
    ),
}


Y = RNG.standard_normal((5, 1))
PLACES = RNG.integers(0, 5, (3, 7, 8))
TIES = RNG.integers(-2, 3, (3, 5, 8)).astype(float)  # many equal numbers
POWERS = np.array([0.0, 1.0, 2.5])
CASES |= {
    "abs": ([TIES], ops.abs, torch.abs),
    "sin": ([X], ops.sin, torch.sin),
    "cos": ([X], ops.cos, torch.cos),
    "log1p": ([X**2], ops.log1p, torch.log1p),
    "maximum": ([TIES, np.ones(8)], ops.maximum, torch.maximum),
    "minimum": ([TIES, np.ones(8)], ops.minimum, torch.minimum),
    "clip": ([TIES], lambda x: x.clip(-1, 1), lambda x: x.clamp(-1, 1)),
    "clip from below": ([X], lambda x: x.clip(0), lambda x: x.clamp(min=0)),
    "pow": ([X**2 + 0.1, Y], lambda x, y: x**y, lambda x, y: x**y),
    "powers of 0": ([np.zeros(3), POWERS], ops.pow, torch.pow),
    "2 ** x": ([X], lambda x: 2**x, lambda x: 2**x),
    "silu": ([X], ops.silu, F.silu),
    "softplus": ([X], ops.softplus, F.softplus),
    "min": ([TIES], lambda x: x.min((1, 2)), lambda x: x.amin((1, 2))),
    "var": ([X], lambda x: x.var(1), lambda x: x.var(1, correction=0)),
    "var by n - 1": ([X], lambda x: x.var((0, 2), ddof=1), lambda x: x.var((0, 2))),
    "std": ([X], lambda x: x.std(), lambda x: x.std(correction=0)),
    "logsumexp": ([X], lambda x: x.logsumexp(1), lambda x: x.logsumexp(1)),
    "cumsum": ([X], lambda x: x.cumsum(1), lambda x: x.cumsum(1)),
    "stack": (
        [X, X + 1],
        lambda *xs: ops.stack(xs, axis=2),
        lambda *xs: torch.stack(xs, 2),
    ),
    "split": (
        [X],
        lambda x: x.split(4, axis=2)[1] * x.split([2], 2)[0],
        lambda x: x.split(2, 2)[1] * x.split((2, 6), 2)[0],
    ),
    "squeeze": ([Y], lambda y: y.squeeze(1), lambda y: y.squeeze(1)),
    "pad": (
        [X],
        lambda x: x.pad(((0, 0), (1, 2), (3, 0)), 7.0),
        lambda x: F.pad(x, (3, 0, 1, 2), value=7.0),
    ),
    "broadcast_to": (
        [Y],
        lambda y: y.broadcast_to((3, 5, 8)),
        lambda y: y.broadcast_to((3, 5, 8)),
    ),
    "take_along_axis": (
        [X],
        lambda x: x.take_along_axis(PLACES, 1),
        lambda x: x.gather(1, torch.tensor(PLACES)),
    ),
    "tril": ([X], lambda x: x.tril(-1), lambda x: x.tril(-1)),
    "einsum": (
        [X, weights(8, 5), weights(5)],
        lambda *xs: ops.einsum("bti,ij,j->bj", *xs),
        lambda *xs: torch.einsum("bti,ij,j->bj", *xs),
    ),
    "einsum of diagonals": (
        [weights(4, 5, 5), weights(1, 5)],
        lambda *xs: ops.einsum("...ii,ki->i...", *xs),
        lambda *xs: torch.einsum("...ii,ki->i...", *xs),
    ),
}


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("name", CASES)
def test_an_op_is_pytorchs(name, dtype, rtol):
    arrays, our_op, their_op = CASES[name]
    ours = [Tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    y, z = our_op(*ours), their_op(*theirs)
    g = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    y.backward(g)
    z.backward(torch.tensor(g))
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol, rtol)
    for ours_x, theirs_x in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(ours_x.grad, theirs_x.grad.numpy(), rtol, rtol)
