"""The architectures: who sees whom, and what they compute alike."""

import numpy as np
import pytest

from minillm import backend, models
from minillm.errors import UsageError
from minillm.models import ModelConfig, build, count, usual
from minillm.nn.config import DESIGN
from minillm.text import OBJECTIVES, Batch

VOCAB, LENGTH = 11, 6
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, VOCAB, (3, LENGTH))


def model(arch="gpt", dtype=np.float64, **settings):
    settings = {"embedding_sd": 0.5, **settings}
    if arch == "llama":
        settings = usual(arch) | settings
    if usual(arch)["tied"]:
        settings["tied"] = True
    config = ModelConfig(VOCAB, 2, 8, 2, 8, arch=arch, **settings)
    return build(config, np.random.default_rng(1), dtype)


ARCHITECTURES = pytest.mark.parametrize(
    "arch", ["gpt", "llama", "encoder", "lstm", "bert"]
)
MASKED = pytest.mark.parametrize("arch", ["encoder", "bert"])
CAUSAL = pytest.mark.parametrize("arch", ["gpt", "llama", "lstm"])
VARIANTS = pytest.mark.parametrize(
    "settings",
    [
        {},
        {"norm": "post"},
        {"positions": "sinusoidal"},
        {"bias": False, "tied": False},
    ],
    ids=str,
)


def changed_positions(m, t: int) -> np.ndarray:
    """Where the output changes when token t does."""
    other = IDS.copy()
    other[:, t] = (other[:, t] + 1) % VOCAB
    return (np.abs(m(other).numpy() - m(IDS).numpy()) > 1e-9).any((0, 2))


@VARIANTS
@pytest.mark.parametrize("t", range(LENGTH))
@CAUSAL
def test_a_causal_model_sees_the_past_and_only_the_past(arch, settings, t):
    changed = changed_positions(model(arch, **settings), t)
    assert changed.tolist() == [False] * t + [True] * (LENGTH - t)


@VARIANTS
@pytest.mark.parametrize("t", [0, 3, LENGTH - 1])
@MASKED
def test_a_masked_model_sees_both_sides(arch, settings, t):
    assert changed_positions(model(arch, **settings), t).all()


def test_the_loss_at_a_position_sends_no_gradient_into_its_future():
    m = model()
    targets = np.full_like(IDS, -1)
    targets[:, 2] = 1
    m.loss(Batch(IDS, targets, len(IDS))).backward()
    used = np.abs(m.positions.grad).max(-1) > 0
    assert used.tolist() == [True] * 3 + [False] * 5


@ARCHITECTURES
def test_the_rows_of_a_batch_do_not_see_each_other(arch):
    m = model(arch)
    together = m(IDS).numpy()
    for row in range(len(IDS)):
        np.testing.assert_allclose(m(IDS[row : row + 1]).numpy()[0], together[row])


@ARCHITECTURES
def test_what_padding_holds_changes_nothing(arch):
    m = model(arch)
    mask = np.ones(IDS.shape, bool)
    mask[:, 4:] = False
    other = IDS.copy()
    other[:, 4:] = 0
    found = [m(ids, mask=mask).numpy()[:, :4] for ids in (IDS, other)]
    np.testing.assert_allclose(*found, atol=1e-12)


@pytest.mark.parametrize("arch", models.ARCHITECTURES)
def test_every_architecture_can_be_built_counted_and_trained_for_something(arch):
    m = model(arch, **usual(arch))
    counted, built = (
        count.parameters(m.config)["total"],
        sum(p.size for p in m.parameters()),
    )
    assert counted == built
    objectives = models.ARCHITECTURES[arch].objectives
    assert objectives
    assert set(objectives) <= set(OBJECTIVES)


@ARCHITECTURES
def test_only_what_continues_a_text_decodes_with_a_cache(arch):
    m = model(arch)
    assert m.continues_text == (arch in ("gpt", "llama", "lstm"))
    assert m.continues_text == hasattr(m, "new_cache") == hasattr(m, "decode")


@CAUSAL
@VARIANTS
def test_decoding_with_a_cache_is_the_same_as_without(arch, settings):
    m = model(arch, **settings)
    cache = m.new_cache(3)
    expected = m(IDS).numpy()
    np.testing.assert_allclose(m.decode(IDS[:, :2], cache), expected[:, 1])
    for t in range(2, LENGTH):
        np.testing.assert_allclose(m.decode(IDS[:, t : t + 1], cache), expected[:, t])


@ARCHITECTURES
@pytest.mark.parametrize("dropped", [3, 17], ids=["many targets", "few"])
def test_the_loss_is_the_mean_over_the_kept_targets(arch, dropped):
    m = model(arch)
    targets = IDS.copy()
    targets.ravel()[:dropped] = -1
    logits = m(IDS).numpy()
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    chosen = np.take_along_axis(p, np.maximum(targets, 0)[..., None], -1)[..., 0]
    expected = -np.log(chosen)[targets >= 0].mean()
    n = int((targets >= 0).sum())
    assert m.loss(Batch(IDS, targets, n)).item() == pytest.approx(expected)


@MASKED
def test_a_batch_with_nothing_chosen_is_legal(arch):
    m = model(arch)
    loss = m.loss(Batch(IDS, np.full_like(IDS, -1), 0))
    loss.backward()
    assert loss.item() == 0
    assert not any(p.grad.any() for p in m.parameters() if p.grad is not None)


def test_one_seed_gives_one_model_in_both_types():
    a, b = model(dtype=np.float32), model(dtype=np.float64)
    np.testing.assert_allclose(a(IDS).numpy(), b(IDS).numpy(), rtol=1e-4, atol=1e-5)


@ARCHITECTURES
@VARIANTS
@pytest.mark.parametrize("n_classes", [0, 3])
def test_parameters_are_counted_before_a_model_is_built(arch, settings, n_classes):
    m = model(arch, **settings, n_classes=n_classes)
    counted = count.parameters(m.config)
    assert counted["total"] == sum(p.size for p in m.parameters())
    tables = {"tokens.weight", "positions", "segments.weight", "head", "output_bias"}
    others = [
        p
        for name, p in m.named_parameters()
        if name.removeprefix("body.") not in tables
    ]
    assert counted["non_embedding"] == sum(p.size for p in others)
    matrices = sum(p.size for p in others if p.ndim == 2)
    head = 0 if n_classes else VOCAB * 8
    assert counted["matrices_and_head"] == matrices + head


def products_of(op: str, arrays, settings) -> float:
    """Multiply-adds of an op's matrix products, forward; where it looks at the past
    only, half of a square."""
    match op:
        case "linear":
            return arrays[0].size * arrays[1].shape[1]
        case "linear_cross_entropy":
            return arrays[0].size * len(arrays[1])
        case "lstm":
            _, weight, _, recurrent, *_ = arrays
            return arrays[0][..., 0].size * (weight.size + recurrent.size)
        case "self_attention":
            share = 0.5 if settings["causal"] else 1
            n_heads, n_kv_heads = settings["n_heads"], settings["n_kv_heads"]
            queries = arrays[0].size * n_heads / (n_heads + 2 * n_kv_heads)
            return share * 2 * queries * arrays[0].shape[1]
        case "cross_attention":
            return 2 * arrays[0].size * arrays[1].shape[1]
    assert op in ("embedding", "cross_entropy", *NORMS, *ONE_BY_ONE), op
    return 0


NORMS = ("layer_norm", "rms_norm")
ONE_BY_ONE = (
    "add",
    "mul",
    "getitem",
    "reshape",
    "transpose",
    "rotary",
    "gelu",
    "swiglu",
)


@pytest.mark.parametrize("arch", ["gpt", "llama", "encoder", "lstm", "bert", "encdec"])
def test_the_flops_are_those_of_the_products_that_run(arch):
    """Forward a multiply-add is two, and each takes two more backward."""
    config = ModelConfig(VOCAB, 2, 8, 2, 20, arch=arch, **usual(arch))
    m = build(config, np.random.default_rng(0))
    ids = RNG.integers(0, VOCAB, (3, 20))
    masked = arch in ("encoder", "bert")
    targets = np.where(np.arange(20) < 3, ids, -1) if masked else ids  # 15 % of them
    ran = []

    def look_on(name, body):
        def run(*arrays, **settings):
            ran.append(products_of(name, arrays, settings))
            return body(*arrays, **settings)

        return run

    with backend.observed(look_on):
        m.loss(Batch(ids, targets, int((targets >= 0).sum()), source=ids))
    each = 6 * sum(ran) / ids.size
    assert count.flops_per_token(config) == pytest.approx(each, abs=0.5)


@CAUSAL
def test_sequences_of_different_lengths_are_decoded_beside_each_other(arch):
    m = model(arch)
    padding = np.array([0, 2, 3])
    cache = m.new_cache(3, padding)
    together = m.decode(IDS, cache)
    for row, n in enumerate(padding):
        alone = m.decode(IDS[row : row + 1, n:], m.new_cache(1))
        np.testing.assert_allclose(together[row], alone[0])
    for layer in cache:
        layer.select([2, 2, 0])
    following = m.decode(IDS[:, :1], cache)
    alone = m.new_cache(1)
    m.decode(IDS[2:, 3:], alone)
    expected = m.decode(IDS[1:2, :1], alone)
    np.testing.assert_allclose(following[1], expected[0])


@pytest.mark.parametrize("bad", [VOCAB, -1])
def test_ids_outside_the_vocabulary(bad):
    ids = IDS.copy()
    ids[0, 0] = bad
    with pytest.raises(UsageError, match=f"token id {bad} is outside .* of {VOCAB}"):
        model()(ids)


def test_a_sequence_longer_than_the_context():
    with pytest.raises(UsageError, match=r"9 tokens is longer than .* context of 8"):
        model()(np.zeros((1, 9), int))
    m = model()
    cache = m.new_cache(1)
    m.decode(np.zeros((1, 8), int), cache)
    with pytest.raises(UsageError, match="9 tokens"):
        m.decode(np.zeros((1, 1), int), cache)


def test_what_is_usual_for_an_architecture():
    assert usual("gpt") == {name: getattr(ModelConfig, name) for name in DESIGN}
    assert usual("bert") == {**usual("gpt"), "norm": "post", "tied": True}
    with pytest.raises(UsageError, match=r"arch must be one of .*, got 'elmo'"):
        usual("elmo")


@pytest.mark.parametrize("arch", ["bert", "encdec"])
def test_an_output_table_of_its_own_unless_it_is_tied(arch):
    for tied in (True, False):
        model = build(ModelConfig(VOCAB, 2, 8, 2, 8, arch=arch, tied=tied), RNG)
        assert (model.head is model.tokens.weight) == tied
        assert model.head.shape == (VOCAB, 8)
