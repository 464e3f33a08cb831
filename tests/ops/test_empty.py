"""Axes of length 0: nothing comes out of nothing, and zeros of a sum over nothing."""

import contextlib
import itertools

import numpy as np
import pytest

from minillm import Tensor, backend, ops
from minillm.ops import IGNORED

SHAPES = [(0,), (0, 3), (3, 0), (0, 0), (2, 0, 3), (2, 3, 0)]


@pytest.fixture(params=["faster", "plain"], autouse=True)
def body(request):
    plain = request.param == "plain"
    with backend.plain() if plain else contextlib.nullcontext():
        yield


def run(op, *arrays, **settings) -> Tensor:
    """The value; every gradient is of its argument's shape, and finite."""
    leaves = [None if x is None else Tensor(x, requires_grad=True) for x in arrays]
    value = op(*leaves, **settings)
    value.sum().backward()
    for leaf in leaves:
        assert leaf is None or leaf.grad.shape == leaf.shape
        assert leaf is None or np.isfinite(leaf.grad).all()
    assert np.isfinite(value.numpy()).all()
    return value


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_goes_along_axes(shape):
    x, width = np.ones(shape), shape[-1]
    for axis in range(-len(shape), len(shape)):
        for along in (ops.softmax, ops.log_softmax):
            assert run(along, x, axis=axis).shape == shape
        total = run(ops.sum, x, axis=axis)
        assert total.shape == x.sum(axis).shape
        assert not total.numpy().any()
        assert run(ops.cumsum, x, axis=axis).shape == shape
    ones = np.ones(width)
    assert run(ops.layer_norm, x, ones, ones).shape == shape
    for m in (0, 4):
        y = run(ops.linear, x, np.ones((width, m)), np.ones(m))
        assert y.shape == (*shape[:-1], m)
    assert run(ops.embedding, np.ones((4, width)), ids=x.astype(int)).size == 0
    nothing = np.full(shape[:-1], IGNORED)
    assert run(ops.cross_entropy, x, targets=nothing).item() == 0
    for vocab_size in (0, 5):
        weight = np.ones((vocab_size, width))
        loss = run(ops.linear_cross_entropy, x, weight, targets=nothing)
        assert loss.item() == 0


@pytest.mark.parametrize(
    ("batch", "n_queries", "n_keys", "width"),
    list(itertools.product((0, 2), (0, 3), (0, 4), (0, 4))),
)
def test_attention_and_lstm(batch, n_queries, n_keys, width):
    q, kv = np.ones((batch, n_queries, width)), np.ones((batch, n_keys, 2 * width))
    k, v = np.split(kv, 2, axis=-1)
    for causal in (False, True):
        seen = np.ones((n_queries, n_keys), bool)
        for mask in (None, seen, np.zeros(seen.shape)):
            y = run(ops.attention, q, k, v, causal=causal, mask=mask)
            assert y.shape == q.shape
            if not n_keys:
                assert not y.numpy().any()
    assert run(ops.cross_attention, q, kv, n_heads=2).shape == q.shape
    packed = np.ones((batch, n_queries, 3 * width))
    assert run(ops.self_attention, packed, n_heads=2, causal=True).shape == q.shape
    x, bias = np.ones((batch, n_keys, n_queries)), np.ones(4 * width)
    weights = np.ones((n_queries, 4 * width)), bias, np.ones((width, 4 * width))
    state = np.ones((batch, width))
    assert run(ops.lstm, x, *weights, state, state).shape == (batch, n_keys, width)
    assert run(ops.lstm, x, *weights, None, None).shape == (batch, n_keys, width)


@pytest.mark.parametrize("axis", [0, -2, (0, 1), None])
def test_the_largest_of_nothing_is_refused_with_the_shape(axis):
    for name in ("max", "min"):
        op, told = getattr(ops, name), rf"{name} of an array of shape \(0, 3\) along"
        with pytest.raises(ValueError, match=told):
            op(np.ones((0, 3)), axis=axis)
        assert run(op, np.ones((0, 3)), axis=1).shape == (0,)


@pytest.mark.parametrize("axis", [0, -2, (0, 1), None])
def test_the_variance_of_nothing_is_refused_with_the_shape(axis):
    for op in (ops.var, ops.std):
        with pytest.raises(ValueError, match=r"variance of 0 numbers \(shape \(0, 3\)"):
            op(np.ones((0, 3)), axis=axis)
        assert run(op, np.ones((0, 3)), axis=1).shape == (0,)


def test_the_logarithm_of_a_sum_over_nothing_is_minus_infinity():
    x = Tensor(np.ones((0, 3)), requires_grad=True)
    y = ops.logsumexp(x, axis=0)
    assert y.numpy().tolist() == [-np.inf] * 3
    y.backward(np.ones(3))
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("subscripts", ["ij,jk", "ij,jk->", "ij,jk->ijk", "ij,jj->ji"])
@pytest.mark.parametrize("sides", [(0, 2, 2), (2, 0, 0), (0, 0, 0)])
def test_einsum(subscripts, sides):
    i, j, k = sides
    expected = np.einsum(subscripts, np.ones((i, j)), np.ones((j, k)))
    y = run(ops.einsum, np.ones((i, j)), np.ones((j, k)), subscripts=subscripts)
    np.testing.assert_array_equal(y.numpy(), expected)
