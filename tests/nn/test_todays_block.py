"""RMS norm, rotary positions, gated feed-forward, grouped queries: each by itself, in
every architecture that can have it, and all together."""

import math

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.models import ModelConfig, build, count, usual
from minillm.nn import CrossAttention, LayerNorm, MultiHeadAttention, RMSNorm
from minillm.text import Batch

VOCAB, CONTEXT, LENGTH = 11, 9, 6
SHAPE = {"vocab_size": VOCAB, "context": CONTEXT}
SHAPE |= {"n_layers": 2, "d_model": 16, "n_heads": 4}
PARTS = {
    "rms": {"norm_kind": "rms"},
    "rotary": {"positions": "rotary"},
    "swiglu": {"activation": "swiglu"},
    "relu2": {"activation": "relu2"},
    "grouped": {"n_kv_heads": 2},
    "one head of keys": {"n_kv_heads": 1},
    "qk_norm": {"qk_norm": True},
    "gelu_erf": {"activation": "gelu_erf"},
    "eps": {"norm_eps": 0.1, "qk_norm": True},
    "base": {"positions": "rotary", "rope_base": 7.0},
    "width": {"d_ff": 13, "activation": "swiglu"},
}
PARTS["all"] = {
    name: value
    for part in ("rms", "rotary", "swiglu", "grouped", "qk_norm")
    for name, value in PARTS[part].items()
}
EACH_PART = pytest.mark.parametrize("part", PARTS)
ARCHS = ["gpt", "encoder", "bert", "encdec"]
TRANSFORMERS = pytest.mark.parametrize("arch", ARCHS)
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, VOCAB, (3, LENGTH))


def shape(part: str, arch: str = "gpt", **settings) -> ModelConfig:
    chosen = usual(arch) | PARTS[part] | settings
    return ModelConfig(**{**SHAPE, **chosen}, arch=arch)


def make(part: str, arch: str = "gpt", dtype=np.float64, **settings):
    return build(shape(part, arch, **settings), np.random.default_rng(1), dtype)


def batch() -> Batch:
    """With a source, which all but an encoder–decoder leave alone."""
    targets = np.where(RNG.random(IDS.shape) < 0.3, -1, IDS)
    mask = np.arange(LENGTH) < np.array([[6], [4], [6]])
    source = RNG.integers(0, VOCAB, (3, 5))
    return Batch(IDS, targets, int((targets >= 0).sum()), mask=mask, source=source)


EACH_PAIR = pytest.mark.parametrize(
    ("part", "arch"),
    [  # the blocks of an encoder are those of a GPT, those of BERT too
        pytest.param(part, arch, marks=() if every_day else pytest.mark.slow)
        for part in PARTS
        for arch in ARCHS
        for every_day in [arch == "gpt" or part == "all"]
    ],
)


@EACH_PAIR
def test_the_gradient_of_every_parameter(part, arch, check_loss):
    """Of one layer: half the parameters, in half the time each."""
    check_loss(make(part, arch, n_layers=1), batch())


@pytest.mark.slow
@TRANSFORMERS
def test_the_gradient_of_two_layers(arch, check_loss):
    check_loss(make("all", arch), batch())


@EACH_PART
def test_with_a_cache_as_without(part):
    model = make(part)
    cache = model.new_cache(3)
    for begin, end in ((0, 1), (1, 4), (4, 5), (5, 6)):
        found = model.decode(IDS[:, begin:end], cache)
        expected = model(IDS[:, :end]).numpy()[:, -1]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@EACH_PART
def test_padding_on_the_left_changes_nothing(part):
    model = make(part)
    padding = np.array([0, 2, 3])
    cache = model.new_cache(3, padding)
    together = [model.decode(IDS[:, :4], cache), model.decode(IDS[:, 4:], cache)]
    for row, n in enumerate(padding):
        whole = model(IDS[row : row + 1, n:]).numpy()[0]
        np.testing.assert_allclose(together[0][row], whole[3 - n], rtol=1e-9)
        np.testing.assert_allclose(together[1][row], whole[-1], rtol=1e-9)


@EACH_PART
def test_padding_on_the_right_changes_nothing(part):
    model = make(part)
    mask = np.arange(LENGTH) < np.array([[6], [4], [5]])
    padded = model(IDS, mask=mask).numpy()
    for row, n in enumerate(mask.sum(1)):
        alone = model(IDS[row : row + 1, :n]).numpy()[0]
        np.testing.assert_allclose(padded[row, :n], alone, rtol=1e-9, atol=1e-12)


@EACH_PART
def test_an_encoder_decoder_writes_as_it_reads(part):
    model = make(part, "encdec")
    source = RNG.integers(0, VOCAB, (3, 5))
    given = model.conditioned(source)
    cache = given.new_cache(3)
    for t in range(4):
        found = given.decode(IDS[:, t : t + 1], cache)
        expected = model(IDS[:, : t + 1], source).numpy()[:, -1]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_cache_of_grouped_queries_holds_the_heads_of_keys_alone():
    one, all_heads = make("grouped").new_cache(3)[0], make("rms").new_cache(3)[0]
    assert one.k.shape == one.v.shape == (3, 2, CONTEXT, 4)
    assert 2 * one.k.nbytes == all_heads.k.nbytes


def test_groups_are_heads_of_keys_that_stand_there_more_than_once():
    """The weights of a grouped model, its keys' and values' columns repeated, in one
    without groups."""
    grouped = make("grouped").blocks[0].attention
    whole = MultiHeadAttention(16, 4, init=0, causal=True, bias=True)
    for name in ("weight", "bias"):
        packed = getattr(grouped.qkv, name).numpy()
        q, k, v = np.split(packed, [16, 24], -1)
        k, v = (
            np.repeat(x.reshape(*x.shape[:-1], 2, 4), 2, -2).reshape(*x.shape[:-1], 16)
            for x in (k, v)
        )
        getattr(whole.qkv, name).data = np.concatenate([q, k, v], -1)
        getattr(whole.out, name).data = getattr(grouped.out, name).data
    x = make("grouped").tokens(IDS)
    np.testing.assert_allclose(whole(x).numpy(), grouped(x).numpy(), rtol=1e-12)


def test_rotary_positions_have_no_table():
    assert make("rotary").positions is None
    without, learned = count.parameters(shape("rotary")), count.parameters(shape("rms"))
    assert learned["embedding"] - without["embedding"] == CONTEXT * 16


def test_each_norm_has_the_eps_of_the_model():
    norms = [m for m in make("eps").modules() if isinstance(m, (LayerNorm, RMSNorm))]
    assert {norm.eps for norm in norms} == {0.1}
    for layer in LayerNorm(16, init=0, eps=0.1), RMSNorm(16, init=0, eps=0.1):
        x = np.tile([1.0, -1.0], 8)
        np.testing.assert_allclose(layer(x).numpy(), x / 1.1**0.5, rtol=1e-6)


def test_rotary_positions_turn_by_powers_of_their_base():
    layer = MultiHeadAttention(4, 1, init=0, rotary=True, rope_base=16.0)
    q = layer.queries_keys_values(np.ones((1, 3, 4), np.float32)).numpy()[0, :, :4]
    for pair, frequency in ((q[:, 0::2], 1), (q[:, 1::2], 16**-0.5)):
        begin, end = (complex(*pair[place]) for place in (0, 2))
        assert abs(end - begin * np.exp(2j * frequency)) < 1e-6


def test_gelu_by_erf_is_everywhere_where_gelu_is():
    x = np.linspace(-3, 3, 16)
    exact = [0.5 * z * (1 + math.erf(z / math.sqrt(2))) for z in x]
    eye = np.eye(16)
    layer = make("gelu_erf").blocks[0].feed_forward
    layer.up.weight.data = layer.down.weight.data = eye
    layer.up.bias.data = layer.down.bias.data = 0 * x
    np.testing.assert_allclose(layer(x).numpy(), exact, rtol=1e-7)
    transform = make("gelu_erf", "bert").transform
    transform.dense.weight.data, transform.norm = eye, lambda x: x
    np.testing.assert_allclose(transform(x).numpy(), exact, rtol=1e-7)


@EACH_PART
@TRANSFORMERS
def test_parameters_are_counted_exactly(part, arch):
    total = sum(p.size for p in make(part, arch).parameters())
    assert count.parameters(shape(part, arch))["total"] == total


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"n_kv_heads": 3},
            r"^4 heads cannot share 3 heads of keys and values .* of 4$",
        ),
        ({"n_kv_heads": 8}, r"^4 heads cannot share 8 "),
        ({"n_kv_heads": 0}, "^n_kv_heads must be from 1 to"),
        ({"n_kv_heads": 2.0}, "^n_kv_heads must be a whole number"),
        ({"norm_kind": "batch"}, "^norm_kind must be one of layer, rms, got 'batch'"),
        ({"activation": "silu"}, "^activation must be one of gelu, .*_erf, got 'silu'"),
        ({"norm_eps": 0}, "^norm_eps must be above 0 and below 1, got 0$"),
        ({"norm_eps": 1}, "^norm_eps must be above 0 and below 1"),
        ({"norm_eps": "1e-5"}, "^norm_eps must be above 0 and below 1, got '1e-5'"),
        ({"rope_base": -1.0, "positions": "rotary"}, "^rope_base must be above 0 and"),
        ({"rope_base": float("nan")}, "^rope_base must be above 0 and finite"),
        ({"rope_base": 500.0}, "^rope_base 500.0: positions learned turn nothing$"),
        ({"pooling": "max"}, "^pooling must be one of text, mean, cls, got 'max'"),
        ({"positions": "alibi"}, "^positions must be one of .*, rotary, got 'alibi'"),
    ],
)
def test_what_is_no_model(settings, message):
    with pytest.raises(UsageError, match=message):
        shape("rms", **settings)


@pytest.mark.parametrize("layer", [MultiHeadAttention, CrossAttention])
def test_a_layer_refuses_unequal_groups(layer):
    with pytest.raises(UsageError, match="4 heads cannot share 3 heads"):
        layer(16, 4, n_kv_heads=3, init=0)


@pytest.mark.parametrize("part", ["grouped", "qk_norm", "width"])
def test_an_lstm_has_no_heads(part):
    names = r"^(n_kv_heads 2|qk_norm True|activation swiglu): arch lstm"
    with pytest.raises(UsageError, match=names):
        build(shape(part, "lstm"), RNG)


def test_normalised_queries_and_keys_do_not_see_a_factor():
    """Ten times as large, they give the same scores, and values stay as they are."""
    layer = make("qk_norm").blocks[0].attention
    x = make("qk_norm").tokens(IDS) * 10
    before = layer.queries_keys_values(x).numpy()
    layer.qkv.weight.data[:, :32] *= 10
    layer.qkv.bias.data[:32] *= 10
    after = layer.queries_keys_values(x).numpy()
    np.testing.assert_allclose(after, before, rtol=1e-3)  # eps, beside small vectors
    unit = before[..., :32].reshape(3, LENGTH, 8, 4)
    np.testing.assert_allclose((unit**2).mean(-1), 1, rtol=1e-3)
    np.testing.assert_array_equal(after[..., 32:], before[..., 32:])
