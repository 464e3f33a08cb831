"""Layers against their formulas, and the rule by which weights are drawn."""

import math

import numpy as np
import pytest

from minillm import Tensor, ops
from minillm.errors import UsageError
from minillm.models import build
from minillm.nn import (
    LSTM,
    Block,
    CrossAttention,
    DecoderBlock,
    Embedding,
    FeedForward,
    Initializer,
    KeyValueCache,
    LayerNorm,
    Linear,
    ModelConfig,
    MultiHeadAttention,
    RMSNorm,
    seed,
)
from minillm.nn.positions import rotations
from minillm.testing import check_gradients

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 8))


@pytest.fixture
def init():
    return Initializer(np.random.default_rng(1), "fan_in", dtype=np.float64)


def parameters_of(layer, *names):
    return [vars(layer)[name].numpy() for name in names]


def test_linear(init):
    layer = Linear(8, 5, init=init)
    w, b = parameters_of(layer, "weight", "bias")
    np.testing.assert_allclose(layer(Tensor(X)).numpy(), X @ w + b)


def test_embedding(init):
    layer = Embedding(7, 4, init=init)
    ids = np.array([[6, 0]])
    np.testing.assert_array_equal(layer(ids).numpy(), layer.weight.numpy()[ids])


@pytest.mark.parametrize(
    ("activation", "f"),
    [
        ("relu2", lambda up, _: np.maximum(up, 0) ** 2),
        ("swiglu", lambda up, gate: gate / (1 + np.exp(-gate)) * up),
    ],
)
def test_the_other_activations_of_a_feed_forward(activation, f, init):
    layer = FeedForward(8, 24, activation=activation, init=init)
    up = layer.up(Tensor(X)).numpy()
    gate = layer.gate and layer.gate(Tensor(X)).numpy()
    expected = f(up, gate) @ layer.down.weight.numpy() + layer.down.bias.numpy()
    np.testing.assert_allclose(layer(Tensor(X)).numpy(), expected)


def test_an_unknown_activation(init):
    with pytest.raises(UsageError, match=r"activation must be one of gelu, .* 'swish'"):
        FeedForward(8, 24, activation="swish", init=init)


def test_a_gated_feed_forward_has_about_as_many_parameters():
    sizes = [(8, 24), (16, 48), (32, 88), (128, 344), (768, 2048)]
    for d_model, width in sizes:
        shape = ModelConfig(9, 1, d_model, 2, 8, activation="swiglu")
        assert shape.feed_forward_width == width
    own = ModelConfig(9, 1, 8, 2, 8, activation="swiglu", d_ff=20)
    assert own.feed_forward_width == 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activation", "swiglu"),
        ("activation", "relu2"),
        ("positions", "rotary"),
        ("d_ff", 20),
    ],
)
def test_an_lstm_has_no_heads_and_no_feed_forward(name, value):
    config = ModelConfig(9, 1, 8, 2, 8, arch="lstm", **{name: value})
    with pytest.raises(UsageError, match=f"^{name} {value}: arch lstm has no heads"):
        build(config, RNG)


def test_a_rotary_score_depends_on_the_distance_alone():
    """q and k of one vector each, at every position."""
    q, k = RNG.standard_normal((2, 6))
    length = 7
    turns = rotations(length, 6)
    each = np.stack([np.tile(q, (length, 1)), np.tile(k, (length, 1))], 1)[None]
    turned = ops.rotary(Tensor(each), **turns).numpy()[0]
    scores = turned[:, 0] @ turned[:, 1].T
    for distance in range(-length + 1, length):
        np.testing.assert_allclose(np.ptp(np.diagonal(scores, distance)), 0, atol=1e-14)
    assert abs(scores[0, 0] - q @ k) < 1e-14
    assert np.ptp(scores[0]) > 0.1


def test_rotary_positions_go_on_after_a_cache_and_after_padding():
    whole = rotations(9, 4)
    np.testing.assert_array_equal(rotations(4, 4, begin=5)["cos"], whole["cos"][5:])
    padded = rotations(9, 4, padding=np.array([0, 2]))["sin"]
    np.testing.assert_array_equal(padded[0], whole["sin"])
    np.testing.assert_array_equal(padded[1, 2:], whole["sin"][:7])
    assert not padded[1, :2].any()


def test_a_head_of_odd_width_has_no_pairs_to_turn():
    with pytest.raises(UsageError, match=r"width 12 / 4 has 3: choose an even one"):
        ModelConfig(9, 1, 12, 4, 8, positions="rotary")
    with pytest.raises(ValueError, match=r"rotary of shape .*: .* is needed, d even"):
        ops.rotary(np.ones((1, 2, 3, 5)), **rotations(2, 4))
    with pytest.raises(ValueError, match=r"cos \(2, 1, 2\) and .* not of \(3, 1, 2\)"):
        ops.rotary(np.ones((1, 3, 3, 4)), **rotations(2, 4))
    with pytest.raises(ValueError, match="it has no 4 heads to turn"):
        ops.rotary(np.ones((1, 2, 3, 4)), **rotations(2, 4), n_turned=4)


def test_rms_norm(init):
    layer = RMSNorm(8, init=init)
    layer.gain.data[:] = np.arange(8)
    y = layer(Tensor(X)).numpy()[..., 1:] / np.arange(1, 8)
    unit = X / np.sqrt((X**2).mean(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, unit[..., 1:])


def test_layer_norm(init):
    y = LayerNorm(8, init=init)(Tensor(X)).numpy()
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-14)
    np.testing.assert_allclose(y.var(-1), 1, rtol=1e-3)


def test_feed_forward(init):
    layer = FeedForward(8, 16, init=init)
    hidden = ops.gelu(layer.up(Tensor(X)))
    np.testing.assert_allclose(layer(Tensor(X)).numpy(), layer.down(hidden).numpy())


@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_attention_is_attention_in_each_head(init, causal):
    layer = MultiHeadAttention(8, 2, init=init, causal=causal)
    packed = layer.qkv(Tensor(X)).numpy()
    q, k, v = (packed[..., i * 8 : (i + 1) * 8] for i in range(3))
    heads = [
        ops.attention(*(part[..., h : h + 4] for part in (q, k, v)), causal=causal)
        for h in (0, 4)
    ]
    joined = np.concatenate([head.numpy() for head in heads], -1)
    np.testing.assert_allclose(layer(Tensor(X)).numpy(), layer.out(joined).numpy())


def test_attention_over_padding_is_attention_without_it(init):
    layer = MultiHeadAttention(8, 2, init=init, causal=False)
    mask = np.array([True, True, False])[None, None, None, :]
    padded = layer(Tensor(X), mask).numpy()[:, :2]
    np.testing.assert_allclose(padded, layer(Tensor(X[:, :2])).numpy())


def shape(norm: str) -> ModelConfig:
    return ModelConfig(1, 1, 8, 2, 8, d_ff=16, norm=norm)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_block_puts_the_norm_where_it_is_asked_to(init, norm):
    block = Block(shape(norm), init, causal=True)
    x = Tensor(X)
    if norm == "pre":
        h = x + block.attention(block.norm1(x))
        expected = h + block.feed_forward(block.norm2(h))
    else:
        h = block.norm1(x + block.attention(x))
        expected = block.norm2(h + block.feed_forward(h))
    np.testing.assert_allclose(block(x).numpy(), expected.numpy())


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_gradient_of_a_block(init, norm):
    block = Block(shape(norm), init, causal=True)
    check_gradients(block, X)


def test_cross_attention_with_every_head_is_the_ops_formula(init):
    layer = CrossAttention(8, 2, init=init)
    source = np.random.default_rng(3).standard_normal((2, 5, 8))
    q, kv = layer.q(Tensor(X)).numpy(), layer.kv(Tensor(source)).numpy()
    k, v = kv[..., :8], kv[..., 8:]
    heads = [
        ops.attention(*(part[..., h : h + 4] for part in (q, k, v))).numpy()
        for h in (0, 4)
    ]
    expected = layer.out(Tensor(np.concatenate(heads, -1)))
    np.testing.assert_allclose(
        layer(Tensor(X), Tensor(source)).numpy(), expected.numpy()
    )


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_decoder_block_looks_at_its_source_in_between(init, norm):
    block = DecoderBlock(shape(norm), init, causal=True)
    x, source = Tensor(X), Tensor(X[:, :2] + 1)
    if norm == "pre":
        h = x + block.attention(block.norm1(x))
        h = h + block.cross(block.cross_norm(h), source)
        expected = h + block.feed_forward(block.norm2(h))
    else:
        h = block.norm1(x + block.attention(x))
        h = block.cross_norm(h + block.cross(h, source))
        expected = block.norm2(h + block.feed_forward(h))
    np.testing.assert_allclose(block(x, source).numpy(), expected.numpy())
    check_gradients(block, X, source.numpy())


def test_decoding_token_by_token_is_attention_at_once(init):
    layer = MultiHeadAttention(8, 2, init=init, causal=True)
    cache = KeyValueCache(2, 2, 3, 4, np.float64)
    parts = [layer.decode(Tensor(X[:, t : t + 1]), cache).numpy() for t in range(3)]
    np.testing.assert_allclose(np.concatenate(parts, 1), layer(Tensor(X)).numpy())
    assert cache.length == 3


def test_decoding_with_one_head_leaves_the_cache_as_it_was(init):
    """One key of one head lies in memory as its transpose does: whoever scales that
    "copy" scales the cache."""
    layer = MultiHeadAttention(8, 1, init=init, causal=True)
    cache = KeyValueCache(1, 1, 3, 8, np.float64)
    x = X[:1]
    parts = [layer.decode(Tensor(x[:, t : t + 1]), cache).numpy() for t in range(3)]
    np.testing.assert_allclose(np.concatenate(parts, 1), layer(Tensor(x)).numpy())


@pytest.mark.parametrize(
    ("rule", "sd", "table_sd"), [("gpt2", 0.02, 0.02), ("fan_in", 0.05, 0.3)]
)
def test_weights_are_drawn_by_the_rule(rule, sd, table_sd):
    init = Initializer(np.random.default_rng(0), rule, n_layers=8, embedding_sd=0.3)
    assert init.matrix(400, 300).numpy().std() == pytest.approx(sd, rel=0.02)
    residual = init.matrix(400, 300, into_residual=True).numpy()
    assert residual.std() == pytest.approx(sd / math.sqrt(16), rel=0.02)
    assert init.table(500, 200).numpy().std() == pytest.approx(table_sd, rel=0.02)
    assert init.output_table(300, 400).numpy().std() == pytest.approx(sd, rel=0.02)


def test_weights_of_one_seed_are_the_same_in_both_types():
    drawn = [
        Initializer(np.random.default_rng(5), dtype=dtype).matrix(3, 4).numpy()
        for dtype in (np.float32, np.float64)
    ]
    assert [a.dtype for a in drawn] == [np.float32, np.float64]
    np.testing.assert_array_equal(drawn[0], drawn[1].astype(np.float32))


def test_layers_draw_their_weights_by_themselves():
    seed(7)
    first, second = Linear(2, 64), Linear(2, 64)
    assert not np.array_equal(first.weight.numpy(), second.weight.numpy())
    seed(7)
    assert np.array_equal(Linear(2, 64).weight.numpy(), first.weight.numpy())
    rng = np.random.default_rng(3)
    for layer in (Linear(2, 64, init=3), Linear(2, 64, init=rng)):
        expected = Initializer(np.random.default_rng(3)).matrix(2, 64)
        np.testing.assert_array_equal(layer.weight.numpy(), expected.numpy())
    x = Tensor(np.ones((1, 5, 64), np.float32))
    for layer in (MultiHeadAttention(64, 4), FeedForward(64, 128), LayerNorm(64)):
        assert layer(x).shape == x.shape
    assert Embedding(7, 64)(np.array([3])).shape == (1, 64)
    assert LSTM(64)(x).shape == x.shape
    attention = MultiHeadAttention(64, 4, init=3)  # one stream for both matrices
    assert not np.array_equal(
        attention.qkv.weight.numpy()[:, :64], attention.out.weight.numpy()
    )


@pytest.mark.parametrize(
    ("rule", "sd"),
    [("kaiming", math.sqrt(2 / 200)), ("xavier", math.sqrt(2 / 500)), ("gpt2", 0.02)],
)
def test_rules_by_name(rule, sd):
    weights = Linear(200, 300, init=rule).weight.numpy()
    assert weights.std() == pytest.approx(sd, rel=0.02)


def test_a_rule_that_is_not_there_is_one_line():
    with pytest.raises(UsageError, match="init must be one of gpt2, fan_in, kaiming"):
        Linear(2, 3, init="kaimig")


def test_a_layer_without_weights_is_one_line():
    with pytest.raises(UsageError, match=r"shape \(0, 3\) holds no weights"):
        Linear(0, 3)
