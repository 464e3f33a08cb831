"""Which ops run their faster body, in every architecture and size: none falls back to
its definition unseen."""

from dataclasses import replace

import numpy as np
import pytest

from minillm import backend
from minillm.backend import cpu, cpu_attention
from minillm.models import ARCHITECTURES, SIZES, ModelConfig, build, usual
from minillm.text import Batch

# Those that have none, since a definition is as fast: one pass over few numbers, or, as
# swiglu, as fast in pieces as whole.
PLAIN = {"add", "mul", "reshape", "transpose", "getitem", "concatenate"}
PLAIN |= {"swiglu", "relu", "tanh"}
FAST = {
    "gpt": {"layer_norm", "gelu", "self_attention"},
    "llama": {"rms_norm", "rotary", "self_attention"},
    "lstm": {"layer_norm", "lstm"},
    "encoder": {"layer_norm", "gelu", "self_attention"},
    "bert": {"layer_norm", "gelu", "self_attention"},
    "encdec": {"layer_norm", "gelu", "self_attention", "cross_attention"},
}
EACH_SIZE = pytest.mark.parametrize(
    "size",
    [
        *("pico", "nano", "micro", "tiny"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in list(SIZES)[4:]),
    ],
)


@pytest.fixture
def ran(monkeypatch):
    """(with a faster body, without one): the names of the ops that ran. A body that
    hands an input on to its definition is an error."""

    def refuse(name):
        raise AssertionError(f"the body of {name} fell back to its definition")

    for module in (cpu, cpu_attention):
        monkeypatch.setattr(module, "definition_of", refuse)
    fast, plain = set(), set()

    def look_on(name, body):
        (plain if body is backend.definition_of(name) else fast).add(name)
        return body

    with backend.observed(look_on):
        yield fast, plain


def shape_of(size: str, arch: str, **settings) -> ModelConfig:
    """One layer: all others are alike."""
    s = SIZES[size]
    sides = 1, s.d_model, s.n_heads, s.context
    return ModelConfig(50, *sides, arch=arch, **usual(arch), **settings)


def test_every_architecture_and_size_is_here():
    assert set(FAST) == set(ARCHITECTURES)
    assert list(SIZES)[:4] == ["pico", "nano", "micro", "tiny"]


def step(config: ModelConfig) -> None:
    """Forward and backward, of a batch with padding."""
    rng = np.random.default_rng(0)
    model = build(config, rng)
    ids = rng.integers(0, 50, (2, config.context), dtype=np.int32)
    mask = np.arange(config.context) < np.array([[config.context], [9]])
    masked = ARCHITECTURES[config.arch].objectives[0] == "mlm"
    targets = np.where(rng.random(ids.shape) < (0.15 if masked else 1), ids, -1)
    batch = Batch(ids, targets, int((targets >= 0).sum()), mask=mask, source=ids)
    model.loss(replace(batch, source_mask=mask)).backward()


@EACH_SIZE
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_step_runs_faster_bodies(arch, size, ran):
    step(shape_of(size, arch))
    fast, plain = ran
    expected = {"linear", "embedding", "linear_cross_entropy"}
    if arch == "bert":  # whose output has a bias
        expected = expected - {"linear_cross_entropy"} | {"cross_entropy"}
    if arch == "lstm":  # the op has its input map within it
        expected.remove("linear")
    assert fast == expected | FAST[arch]
    assert plain <= PLAIN


@EACH_SIZE
@pytest.mark.parametrize("arch", ["gpt", "llama", "encoder", "bert", "encdec"])
def test_so_do_grouped_queries(arch, size, ran):
    step(shape_of(size, arch, n_kv_heads=1))
    fast, plain = ran
    assert fast >= FAST[arch]
    assert plain <= PLAIN


@EACH_SIZE
@pytest.mark.parametrize(
    ("arch", "n_kv_heads"),
    [("gpt", None), ("gpt", 1), ("llama", None), ("llama", 1), ("lstm", None)],
)
def test_so_does_writing(arch, size, n_kv_heads, ran):
    config = shape_of(size, arch, n_kv_heads=n_kv_heads)
    model = build(config, np.random.default_rng(0))
    cache = model.new_cache(2, np.array([0, 3]))
    model.decode(np.ones((2, 5), int), cache)
    model.decode(np.ones((2, 1), int), cache)
    fast, plain = ran
    attends, kernel = {"attention"}, "cached_attention"
    if arch == "lstm":
        attends, kernel = set(), "lstm_onwards"
    others = FAST[arch] - {"self_attention", "lstm"}  # of whole sequences
    assert fast == {"linear", "embedding", *attends, *others}
    assert plain <= PLAIN | {kernel}
