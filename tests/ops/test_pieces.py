"""Bodies that work on a piece at a time, or take a shortcut: the same in every piece,
and where the shortcut ends."""

import math

import numpy as np
import pytest

from minillm import Tensor, backend, ops
from minillm.backend import cpu, cpu_attention, cpu_lstm
from minillm.ops import IGNORED

RANDOM = np.random.default_rng(0)
START = RANDOM.bit_generator.state
normal = RANDOM.standard_normal


@pytest.fixture(autouse=True)
def seeded():
    """The same numbers in each test, whichever are run."""
    RANDOM.bit_generator.state = START


@pytest.fixture
def alone(monkeypatch):
    """The bodies may not leave the work to the definitions."""

    def refuse(name):
        raise AssertionError(f"the body of {name} has given up")

    for room in (cpu, cpu_attention):
        monkeypatch.setattr(room, "definition_of", refuse)


def value_and_gradients(op, arrays, dtype, settings) -> list[np.ndarray]:
    leaves = [Tensor(x.astype(dtype), requires_grad=True) for x in arrays]
    value = op(*leaves, **settings)
    y = value.numpy().copy()
    g = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    g_before = g.copy()
    value.backward(g)
    # Nothing that others may hold is written to.
    np.testing.assert_array_equal(value.numpy(), y)
    np.testing.assert_array_equal(g, g_before)
    for leaf, x in zip(leaves, arrays, strict=True):
        np.testing.assert_array_equal(leaf.numpy(), x.astype(dtype))
    return [y, *(leaf.grad for leaf in leaves)]


def compare(op, *arrays, dtype=np.float64, roundings=1000, **settings) -> None:
    """Body and definition, each result beside its own largest number."""
    found = value_and_gradients(op, arrays, dtype, settings)
    with backend.plain():
        expected = value_and_gradients(op, arrays, dtype, settings)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype == dtype
        largest = np.abs(b).max(initial=0)
        atol = roundings * np.finfo(dtype).eps * largest
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
# Masks that leave every query something, with every way to broadcast.
SEEN = np.random.default_rng(2).random((3, 2, 20, 20)) < 0.6
SEEN[..., 0] = True
MASKS = {
    "none": None,
    "padding": SEEN[:, :1, :1],
    "the same for all heads": SEEN[:, :1],
    "the same for all": SEEN[0, 0],
    "one for each head": SEEN[:1],
    "of everything": SEEN,
    "added": normal((20, 20)),
    "added, −∞": np.where(SEEN[:, :1], normal((3, 1, 20, 20)), -math.inf),
    "added, far below": np.where(SEEN, 0, -1e9),
}


@BOTH
@pytest.mark.parametrize("block", [1, 3, 7, 64])
@pytest.mark.parametrize("room", [1, 2 * 20 * 20, 2 * 2 * 20 * 20, 10**6])
def test_attention_is_the_same_in_any_pieces_and_blocks(
    alone, monkeypatch, room, block, dtype
):
    monkeypatch.setattr(cpu_attention, "ROOM", room)
    monkeypatch.setattr(cpu_attention, "BLOCK", block)
    rng = np.random.default_rng(3)
    q, k = rng.standard_normal((2, 3, 2, 20, 4))
    v = rng.standard_normal((3, 2, 20, 5))
    for causal in (False, True):
        for mask in MASKS.values():
            compare(ops.attention, q, k, v, dtype=dtype, causal=causal, mask=mask)
        settings = {"n_heads": 2, "causal": causal, "mask": MASKS["padding"]}
        compare(ops.self_attention, rng.standard_normal((3, 20, 24)), **settings)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_self_attention_with_every_mask(alone, n_heads, name):
    mask = MASKS[name]
    if mask is not None and mask.ndim == 4 and mask.shape[1] == 2 and n_heads != 2:
        mask = mask[:, :1]
    for causal in (False, True):
        settings = {"n_heads": n_heads, "causal": causal, "mask": mask}
        compare(ops.self_attention, normal((3, 20, 24)), **settings)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("room", [1, 10**6])
@pytest.mark.parametrize("n_keys", [2, 7, 20])
def test_cross_attention_with_every_mask(alone, monkeypatch, n_keys, room, name):
    monkeypatch.setattr(cpu_attention, "ROOM", room)
    mask = None if MASKS[name] is None else MASKS[name][..., :n_keys]
    q, kv = normal((3, 20, 8)), normal((3, n_keys, 16))
    compare(ops.cross_attention, q, kv, n_heads=2, mask=mask)


@pytest.mark.parametrize("room", [1, 10**6])
@pytest.mark.parametrize("leading", [(), (1,), (5,), (2, 3, 2)])
@pytest.mark.parametrize("n_queries", [1, 2, 7, 8, 9, 20])
def test_fewer_queries_than_keys_and_any_leading_axes(
    alone, monkeypatch, n_queries, leading, room
):
    monkeypatch.setattr(cpu_attention, "ROOM", room)
    monkeypatch.setattr(cpu_attention, "BLOCK", 4)
    q = normal((*leading, n_queries, 4))
    k, v = normal((*leading, 20, 4)), normal((*leading, 20, 3))
    for causal in (False, True):
        compare(ops.attention, q, k, v, causal=causal)
        compare(ops.attention, q, k, v, causal=causal, mask=SEEN[0, 0, :n_queries])


def test_more_queries_than_keys(alone):
    compare(ops.attention, normal((2, 9, 4)), normal((2, 5, 4)), normal((2, 5, 3)))


@BOTH
def test_more_queries_than_keys_of_which_the_first_see_none(dtype):
    arrays = normal((2, 9, 4)), normal((2, 5, 4)), normal((2, 5, 3))
    compare(ops.attention, *arrays, dtype=dtype, causal=True)


def test_leading_axes_that_broadcast():
    arrays = normal((2, 3, 9, 4)), normal((3, 9, 4)), normal((2, 1, 9, 3))
    compare(ops.attention, *arrays, causal=True)


@BOTH
def test_high_scores_are_shifted_and_take_no_other_way(alone, dtype):
    """All near 1000, where exp would overflow: one number is taken off them all.

    A rounding of 1000 is a thousand of the weights'.
    """
    q = np.full((2, 20, 4), 10.0) + normal((2, 20, 4)) / 20
    k = np.full((2, 20, 4), 50.0) + normal((2, 20, 4)) / 20
    for causal in (False, True):
        settings = {"dtype": dtype, "roundings": 1e5, "causal": causal}
        compare(ops.attention, q, k, normal((2, 20, 3)), **settings)


@BOTH
@pytest.mark.parametrize("factor", [1, 10, 100, 1000])
@pytest.mark.parametrize("block", [4, 64])
def test_scores_of_which_some_are_far_above_others(monkeypatch, block, factor, dtype):
    """Of another sequence, of another query, and of a key that lies in the future."""
    monkeypatch.setattr(cpu_attention, "BLOCK", block)
    q, k, v = normal((3, 3, 20, 4))
    for place in [(0,), (slice(None), 3), (slice(None), 19)]:
        far = k.copy()
        far[place] *= factor
        # Where all weight is on one key, the gradient of a score is a difference of
        # numbers that are almost the same: it is the weights that are compared.
        for causal in (False, True):
            found = ops.attention(q.astype(dtype), far.astype(dtype), v, causal=causal)
            with backend.plain():
                expected = ops.attention(q, far, v, causal=causal)
            tolerance = 1e3 * factor * np.finfo(dtype).eps
            np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=tolerance)
        compare(ops.attention, q, far, v, causal=True)


def test_a_query_that_sees_nothing_among_others_that_do():
    q, k, v = normal((3, 3, 20, 4))
    for nobody in [(1, 4), (1,), (slice(None), 0)]:
        mask = SEEN[:, 0].copy()
        mask[nobody] = False
        for given in (mask, np.where(mask, 0.5, -math.inf)):
            compare(ops.attention, q, k, v, mask=given)
            y = ops.attention(q, k, v, mask=given).numpy()
            assert not y[nobody].any()


def test_nan_stays_in_its_sequence():
    q, k, v = normal((3, 3, 20, 4))
    q[1, 3] = math.nan
    y = ops.attention(q, k, v, causal=True).numpy()
    wrong = np.zeros((3, 20), bool)
    wrong[1, 3] = True
    np.testing.assert_array_equal(np.isnan(y).any(-1), wrong)


def test_attention_of_no_sequences_at_all():
    for leading in [(0,), (0, 2), (2, 0)]:
        compare(ops.attention, *np.zeros((3, *leading, 5, 4)), causal=True)


KEPT = {
    "all": np.ones((4, 9), bool),
    "some": np.random.default_rng(4).random((4, 9)) < 0.5,
    "the first": np.arange(36).reshape(4, 9) < 11,
    "the last": np.arange(36).reshape(4, 9) >= 11,
    "one": np.arange(36).reshape(4, 9) == 17,
    "none": np.zeros((4, 9), bool),
}
# Logits of 30 entries, one row at a time, a few, all.
IN_PIECES = pytest.mark.parametrize("logits", [1, 30, 150, 10**6])


def some_targets(kept: str) -> np.ndarray:
    ids = np.random.default_rng(5).integers(0, 30, (4, 9)).astype(np.int32)
    return np.where(KEPT[kept], ids, IGNORED)


@BOTH
@IN_PIECES
@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("n_targets", [None, 3])
def test_the_projected_loss_in_any_pieces(monkeypatch, kept, logits, n_targets, dtype):
    monkeypatch.setattr(cpu, "LOGITS", logits)
    settings = {"targets": some_targets(kept), "n_targets": n_targets}
    x, weight = normal((4, 9, 6)), normal((30, 6))
    compare(ops.linear_cross_entropy, x, weight, dtype=dtype, **settings)


@IN_PIECES
@pytest.mark.parametrize("far", [0, 30, -30, 300, -300, 3000])
def test_the_projected_loss_of_logits_far_from_zero(monkeypatch, logits, far):
    """All of them, and all of one row: exp of none may overflow or vanish."""
    monkeypatch.setattr(cpu, "LOGITS", logits)
    x, weight = normal((4, 9, 6)), normal((30, 6))
    weight[:, 0] = 1
    for rows in (slice(None), 2):
        shifted = x.copy()
        shifted[rows, :, 0] += far
        settings = {"targets": some_targets("some")}
        compare(ops.linear_cross_entropy, shifted, weight, **settings)


@BOTH
@IN_PIECES
@pytest.mark.parametrize("below", [15, 40, 50, 200, 2000])
def test_a_target_far_below_the_largest_logit(monkeypatch, logits, below, dtype):
    """Its loss is that distance, and its row pulls at two tokens only."""
    monkeypatch.setattr(cpu, "LOGITS", logits)
    x = np.zeros((3, 30), dtype)
    x[:, 7] = below
    x[1] = 0
    x[2] -= below / 2
    leaves = [Tensor(x, requires_grad=True), Tensor(np.eye(30, dtype=dtype))]
    targets = np.array([3, 3, 3])
    loss = ops.linear_cross_entropy(*leaves, targets=targets, n_targets=1)
    loss.backward()
    expected = 2 * below + math.log(30) + 2 * math.log1p(29 * math.exp(-below))
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    pull = np.zeros(30)
    pull[[3, 7]] = -1, 1
    np.testing.assert_allclose(leaves[0].grad[0], pull, atol=1e-5)
    np.testing.assert_allclose(leaves[0].grad[2], pull, atol=1e-5)
    even = np.full(30, 1 / 30)
    even[3] -= 1
    np.testing.assert_allclose(leaves[0].grad[1], even, atol=1e-6)


def test_a_loss_of_nan_is_nan():
    x = normal((4, 6))
    x[2] = math.nan
    loss = ops.linear_cross_entropy(x, normal((30, 6)), targets=np.arange(4))
    assert math.isnan(loss.item())


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_gelu_in_any_pieces(monkeypatch, chunk):
    monkeypatch.setattr(cpu, "CHUNK", chunk)
    for dtype in (np.float32, np.float64):
        for form in ("tanh", "erf"):
            compare(ops.gelu, 3 * normal((5, 9)), dtype=dtype, form=form)


@BOTH
@pytest.mark.parametrize("chunk", [1, 60, 10_000])
def test_an_lstm_in_any_pieces_with_a_state_and_without(monkeypatch, chunk, dtype):
    monkeypatch.setattr(cpu_lstm, "PIECE", chunk)  # a token, two, and all seven
    arrays = normal((2, 7, 4)), normal((4, 12)), normal(12), normal((3, 12))

    def from_nothing(*arrays):
        return ops.lstm(*arrays, None, None)

    compare(ops.lstm, *arrays, normal((2, 3)), normal((2, 3)), dtype=dtype)
    compare(from_nothing, *arrays, dtype=dtype)


@BOTH
@pytest.mark.parametrize(
    ("small", "forwards", "backwards"),
    [(1, 1, 1), (30, 8, 1), (32, 4, 4), (40, 4, 4), (100, 2, 2), (400, 1, 1)],
)
def test_an_lstm_by_products_in_parts(monkeypatch, small, forwards, backwards, dtype):
    """Of 16 × 4 by 2 and, backwards, 4 × 16 by 2. More than 8 parts are none, and so
    are parts that would still be too large."""
    parts, in_parts = [], cpu_lstm._in_parts

    def noted(weights, batch):
        multiply, cut = in_parts(weights, batch)
        parts.append(len(cut) if cut.ndim == 3 else 1)
        return multiply, cut

    monkeypatch.setattr(cpu_lstm, "_in_parts", noted)
    monkeypatch.setattr(cpu_lstm, "SMALL", small)
    arrays = normal((2, 7, 6)), normal((6, 16)), normal(16), normal((4, 16))
    states = normal((2, 4)), normal((2, 4))
    for can, expected in ((True, [forwards, backwards]), (False, [1, 1])):
        monkeypatch.setattr(cpu_lstm, "has_small_products", lambda can=can: can)
        parts.clear()
        compare(ops.lstm, *arrays, *states, dtype=dtype)
        assert parts == expected


@BOTH
@pytest.mark.parametrize("shape", [(6,), (1, 6), (3, 5, 6), (0, 6)])
def test_linear_and_layer_norm_with_and_without_a_bias(shape, dtype):
    x, weight, gain, bias = normal(shape), normal((6, 4)), normal(6), normal(6)

    def plain_linear(x, w):
        return ops.linear(x, w, None)

    def plain_norm(x, gain):
        return ops.layer_norm(x, gain, None, eps=0.1)

    compare(ops.linear, x, weight, bias[:4], dtype=dtype)
    compare(plain_linear, x, weight, dtype=dtype)
    compare(ops.layer_norm, x, gain, bias, dtype=dtype)
    compare(plain_norm, x, gain, dtype=dtype)
    compare(ops.layer_norm, 1e-3 * x, gain, bias, dtype=dtype)  # where eps counts
