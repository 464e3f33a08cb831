"""RMS norm, rotary positions, gated feed-forward, grouped queries: each by itself, in
every architecture that can have it, and all together."""

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.models import ModelConfig, build, count, usual
from minillm.nn import CrossAttention, MultiHeadAttention
from minillm.text import Batch

VOCAB, CONTEXT, LENGTH = 11, 9, 6
PARTS = {
    "rms": {"norm_kind": "rms"},
    "rotary": {"positions": "rotary"},
    "swiglu": {"activation": "swiglu"},
    "relu2": {"activation": "relu2"},
    "grouped": {"n_kv_heads": 2},
    "one head of keys": {"n_kv_heads": 1},
    "qk_norm": {"qk_norm": True},
}
PARTS["all"] = {
    name: value
    for part in ("rms", "rotary", "swiglu", "grouped", "qk_norm")
    for name, value in PARTS[part].items()
}
EACH_PART = pytest.mark.parametrize("part", PARTS)
TRANSFORMERS = pytest.mark.parametrize("arch", ["gpt", "encoder", "bert", "encdec"])
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, VOCAB, (3, LENGTH))


def shape(part: str, arch: str = "gpt", **settings) -> ModelConfig:
    chosen = usual(arch) | PARTS[part] | settings
    return ModelConfig(VOCAB, 2, 16, 4, CONTEXT, arch=arch, **chosen)


def make(part: str, arch: str = "gpt", dtype=np.float64, **settings):
    return build(shape(part, arch, **settings), np.random.default_rng(1), dtype)


def batch() -> Batch:
    """With a source, which all but an encoder–decoder leave alone."""
    targets = np.where(RNG.random(IDS.shape) < 0.3, -1, IDS)
    mask = np.arange(LENGTH) < np.array([[6], [4], [6]])
    source = RNG.integers(0, VOCAB, (3, 5))
    return Batch(IDS, targets, int((targets >= 0).sum()), mask=mask, source=source)


@TRANSFORMERS
@EACH_PART
def test_the_gradient_of_every_parameter(part, arch, check_loss):
    check_loss(make(part, arch), batch())


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
        ({"activation": "silu"}, "^activation must be one of gelu, swiglu, relu2, got"),
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


@pytest.mark.parametrize("part", ["grouped", "qk_norm"])
def test_an_lstm_has_no_heads(part):
    with pytest.raises(UsageError, match=r"^(n_kv_heads 2|qk_norm True): arch lstm"):
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
