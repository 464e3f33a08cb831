"""A captured step writes what the model would: the same tokens, and close logits."""

import threading

import numpy as np
import pytest

from minillm import Tensor, backend
from minillm.errors import UsageError
from minillm.generation import Decoder, Sampling, draw_tokens
from minillm.generation.beams import beam_search
from minillm.models import ModelConfig, build, usual
from minillm.models.next_token import NextToken

VOCAB, CONTEXT = 30, 14
TODAY = {"norm_kind": "rms", "positions": "rotary", "activation": "swiglu"}
KINDS = {
    "gpt": ("gpt", {}),
    "llama": ("llama", {}),
    "today's block": ("gpt", {**TODAY, "n_kv_heads": 2, "qk_norm": True}),
    "relu², post-norm": ("gpt", {"activation": "relu2", "norm": "post"}),
    "no bias": ("gpt", {"bias": False, "positions": "sinusoidal"}),
    "lstm": ("lstm", {}),
    "encdec": ("encdec", {}),
    "encdec of today": ("encdec", {**TODAY, "n_kv_heads": 1}),
}
EACH_KIND = pytest.mark.parametrize("kind", KINDS)
PROMPTS = {
    "one": [[3, 7, 1]],
    "a batch": [[3, 7, 1], [2, 2, 9], [11, 0, 5]],
    "of different lengths": [[3], [2, 2, 9, 4], [11, 0]],
}
EACH_PROMPT = pytest.mark.parametrize("prompts", PROMPTS.values(), ids=PROMPTS)


def make(kind: str, n: int = 1, dtype=np.float32):
    """An untrained model of strong opinions, with n sources where it reads some."""
    arch, settings = KINDS[kind]
    chosen = usual(arch) | settings | {"init": "fan_in"}
    config = ModelConfig(VOCAB, 2, 16, 4, CONTEXT, arch=arch, **chosen)
    model = build(config, np.random.default_rng(0), dtype)
    model.tokens.weight.data *= 5
    if arch != "encdec":
        return model
    source = np.random.default_rng(1).integers(0, VOCAB, (n, 5))
    return model.conditioned(source, np.arange(5) < 3 + np.arange(n)[:, None] % 3)


def counted(model, monkeypatch) -> list:
    """The shapes of the ids that the model decodes by itself."""
    shapes, decode = [], type(model).decode

    def look_on(self, ids, cache):
        shapes.append(ids.shape)
        return decode(self, ids, cache)

    monkeypatch.setattr(type(model), "decode", look_on)
    return shapes


def by_the_model(monkeypatch) -> None:
    """Let no step be captured from now on."""
    monkeypatch.setattr(
        NextToken, "decode", lambda self, ids: self.model.decode(ids, self.cache)
    )


@EACH_KIND
@EACH_PROMPT
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_logits_are_those_of_the_model(kind, prompts, dtype, monkeypatch):
    n = len(prompts)
    model = make(kind, n, dtype)
    width = max(map(len, prompts))
    padding = np.array([width - len(ids) for ids in prompts])
    block = np.array([[0] * (width - len(ids)) + ids for ids in prompts])
    padding = padding if padding.any() else None
    own = model.new_cache(n, padding)
    following = NextToken(model, model.new_cache(n, padding))
    shapes = counted(model, monkeypatch)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    rng = np.random.default_rng(2)
    ids, before = block, []
    for _ in range(9):
        before.append((following.decode(ids), model.decode(ids, own)))
        ids = rng.integers(0, VOCAB, (n, 1))
    for found, expected in before:  # each is an array of its own
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    assert following.problem is None
    assert len(shapes) == 9 + 2  # the prompt, and the step that is captured


WAYS = {
    "greedy": {"sampling": Sampling(0)},
    "sampled": {"sampling": Sampling(1.2), "seed": 3},
    "several of each": {"sampling": Sampling(1.2, top_k=9), "seed": 4, "n": 3},
    "to the end": {"sampling": Sampling(0), "max_tokens": 3 * CONTEXT},
}


@EACH_KIND
@EACH_PROMPT
@pytest.mark.parametrize("way", WAYS)
def test_the_same_tokens_captured_cached_and_plain(kind, prompts, way, monkeypatch):
    model = make(kind, len(prompts))
    options = {"max_tokens": 9} | WAYS[way]

    def write(cached: bool) -> list:
        decoder = Decoder(model, prompts, cached=cached)
        # Rows end at different times: steps of fewer rows are captured then.
        lengths = [0] * len(prompts) * options.get("n", 1)

        def ended(row):
            lengths[row] += 1
            return row % 2 == 1 and lengths[row] == 4

        return list(draw_tokens(decoder, ended=ended, **options))

    captured, uncached = write(True), write(False)
    with backend.plain():
        plain = write(True)
    by_the_model(monkeypatch)
    cached = write(True)
    assert captured == cached == uncached == plain


@EACH_KIND
def test_the_same_beams_captured_cached_and_plain(kind, monkeypatch):
    model = make(kind)

    def search(cached: bool) -> list:
        decoder = Decoder(model, [[3, 7, 1]], cached=cached)
        found = beam_search(
            decoder, beams=4, n=2, max_tokens=8, ended=lambda ids: ids[-1] == 5
        )
        return [each.ids for each in found]

    captured, uncached = search(True), search(False)
    by_the_model(monkeypatch)
    assert captured == search(True) == uncached


def test_beams_go_on_with_the_step_that_was_captured(monkeypatch):
    """As many as before are exchanged in their places."""
    model = make("gpt")
    shapes = counted(model, monkeypatch)
    beam_search(Decoder(model, [[3, 7, 1]]), beams=4, max_tokens=8)
    assert shapes == [(1, 3), (4, 1)]


def begun(kind: str = "gpt", n: int = 2):
    """A step that has been captured, and a cache as far on for the model itself."""
    model = make(kind, n)
    following, own = NextToken(model, model.new_cache(n)), model.new_cache(n)
    for ids in (np.array([[3, 7], [2, 9]][:n]), np.full((n, 1), 4)):
        following.decode(ids)
        model.decode(ids, own)
    return model, following, own


def agree(model, following, own, ids=8) -> np.ndarray:
    ids = np.full((len(own[0].k), 1), ids)
    expected = model.decode(ids, own)
    np.testing.assert_allclose(following.decode(ids), expected, rtol=1e-5, atol=1e-5)
    return expected


def test_weights_that_are_written_into_and_replaced(monkeypatch):
    model, following, own = begun()
    before = agree(model, following, own)
    weight = model.blocks[1].feed_forward.up.weight
    weight.data *= 2
    shapes = counted(model, monkeypatch)
    written = agree(model, following, own)
    assert len(shapes) == 1  # not captured anew
    weight.data = -weight.data
    replaced = agree(model, following, own)
    assert len(shapes) == 3
    model.blocks[0].norm1.gain.data = np.full(16, 2, np.float64)  # another type
    agree(model, following, own)
    agree(model, following, own)
    assert np.abs(before - written).max() > 1e-3 < np.abs(written - replaced).max()


@pytest.mark.parametrize("kind", ["gpt", "lstm", "encdec"])
@pytest.mark.parametrize("rows", [[1, 1], [1, 0], [1], [0, 1, 1]])
def test_other_sequences(kind, rows):
    model, following, own = begun(kind)
    for layer in (*following.cache, *own):
        layer.select(np.array(rows))
    for _ in range(2):
        ids = np.arange(len(rows))[:, None]
        expected = model.decode(ids, own)
        found = following.decode(ids)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_sequences_of_sources_keep_their_masks():
    """Exchanged in each layer's cache once, and in nothing of the caller's."""
    model = make("encdec", 3)
    mask = model.memory_mask.copy()
    decoder = Decoder(model, [[1], [2], [3]])
    decoder.logits()
    decoder.append([4, 5, 6])
    decoder.logits()
    decoder.select([2, 0, 1])
    decoder.append([7, 8, 9])
    found = decoder.logits()
    np.testing.assert_array_equal(model.memory_mask, mask)
    alone = Decoder(decoder.model, decoder.sequences, cached=False).logits()
    np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-5)


def test_where_ops_are_watched_the_model_decodes():
    model, following, own = begun()
    ran = []

    def look_on(name, body):
        ran.append(name)
        return body

    with backend.observed(look_on):
        following.decode(np.array([[1], [2]]))
    assert "cached_attention" in ran
    model.decode(np.array([[1], [2]]), own)
    agree(model, following, own)
    ran.clear()
    with backend.observed(look_on), pytest.raises(UsageError, match="context of 14"):
        following.decode(np.zeros((2, 15), int))


@pytest.mark.parametrize("mode", [backend.plain, backend.debug])
def test_plain_and_debug_mode_run_the_model(mode, monkeypatch):
    model, following, own = begun()
    shapes = counted(model, monkeypatch)
    with mode():
        following.decode(np.array([[1], [2]]))
    assert shapes == [(2, 1)]
    model.decode(np.array([[1], [2]]), own)
    agree(model, following, own)


@pytest.mark.parametrize("bad", [VOCAB, -1])
def test_what_is_refused(bad):
    model, following, own = begun()
    with pytest.raises(UsageError, match=f"token id {bad} is outside"):
        following.decode(np.array([[1], [bad]]))
    with pytest.raises(TypeError, match="an array of whole numbers"):
        following.decode(np.array([[1.5], [2.0]]))
    for ids in range(CONTEXT - 3):
        agree(model, following, own, ids)
    with pytest.raises(UsageError, match="longer than the model's context of 14"):
        following.decode(np.array([[1], [2]]))


def test_two_threads_with_a_step_each():
    model = make("llama")
    alone = [Decoder(model, [[i]]) for i in range(4)]
    together = [Decoder(model, [[i]]) for i in range(4)]
    options = {"max_tokens": 40, "sampling": Sampling(0)}
    expected = [list(draw_tokens(each, **options)) for each in alone]
    found = [None] * 4

    def write(i):
        found[i] = list(draw_tokens(together[i], **options))

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == expected


def test_a_model_of_ones_own_that_cannot_be_captured():
    """It takes its position from a slice, which a repetition would not move."""
    model = make("gpt")

    class Sliced(type(model)):
        def embed(self, ids, columns=None):
            begin = 0 if columns is None else columns.cache.length
            return self.tokens(ids) + self.positions[begin : begin + ids.shape[1]]

    own = object.__new__(Sliced)
    vars(own).update(vars(model))
    following, cache = NextToken(own, own.new_cache(1)), model.new_cache(1)
    for ids in ([[3, 7]], [[4]], [[5]], [[6]]):
        expected = model.decode(np.array(ids), cache)
        np.testing.assert_allclose(following.decode(ids), expected, rtol=1e-5)
    assert "a part of what is given" in following.problem


def test_half_precision_is_decoded_by_the_model():
    model = make("gpt")
    for p in model.parameters():
        p.data = p.data.astype(np.float16)
    following, own = NextToken(model, model.new_cache(1)), model.new_cache(1)
    for ids in ([[3, 7]], [[4]], [[5]]):
        expected = model.decode(np.array(ids), own)
        np.testing.assert_array_equal(following.decode(ids), expected)
    assert "half precision" in following.problem


def test_a_large_score_does_not_overflow():
    """The largest of a row is taken off before exp."""
    model, following, own = begun()
    for block in model.blocks:
        block.attention.qkv.weight.data *= 60
    assert np.isfinite(agree(model, following, own)).all()


def test_gradients_are_recorded_as_before():
    model, following, own = begun()
    agree(model, following, own)
    loss = (model.tokens.weight * Tensor(np.ones(16))).sum()
    loss.backward()
    assert model.tokens.weight.grad.all()
