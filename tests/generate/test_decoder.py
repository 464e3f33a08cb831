"""The decoder: the cache, padding on the left, the end of the context."""

import numpy as np
import pytest

from minillm import backend
from minillm.generation import Decoder, Sampling, draw_tokens
from minillm.models import ModelConfig, build

CONTEXT = 12  # of the fixture `model`
LENGTHS = [1, 5, CONTEXT - 1, CONTEXT, CONTEXT + 1, 40]


def prompts_of(lengths) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(30, size=length) for length in lengths]


def continue_ids(
    model, prompts, n_tokens, sampling=None, cached=True, **options
) -> list[list[int]]:
    new = [[] for _ in range(len(prompts) * options.get("n", 1))]
    sampling = sampling or Sampling(0)
    decoder = Decoder(model, prompts, cached=cached)
    for row, token in draw_tokens(
        decoder, max_tokens=n_tokens, sampling=sampling, **options
    ):
        new[row].append(token)
    return new


def by_hand(model, ids, n: int) -> list[int]:
    """Greedy decoding that computes every column anew. When the context is full, it
    goes on with its later half."""
    seen, visible = list(ids), list(ids)[-CONTEXT:]
    for _ in range(n):
        if len(visible) > CONTEXT:
            visible = seen[-CONTEXT // 2 :]
        token = int(model(np.array([visible])).numpy()[0, -1].argmax())
        seen.append(token)
        visible.append(token)
    return seen[len(ids) :]


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("length", LENGTHS)
def test_greedy_tokens_are_those_found_by_hand(model, length, cached):
    (ids,) = prompts_of([length])
    (new,) = continue_ids(model, [ids], 3 * CONTEXT, cached=cached)
    assert new == by_hand(model, ids, 3 * CONTEXT)
    assert len(set(new)) > 3


@pytest.mark.parametrize("sampling", [Sampling(0), Sampling(1.0, top_k=9, top_p=0.95)])
@pytest.mark.parametrize("lengths", [LENGTHS, [7, 7, 7], [1, 12]])
def test_a_batch_gives_the_tokens_of_each_prompt_alone(model, lengths, sampling):
    prompts = prompts_of(lengths)
    options = {"sampling": sampling, "n": 2, "seed": 5}
    together = continue_ids(model, prompts, 3 * CONTEXT, **options)
    assert together == continue_ids(
        model, prompts, 3 * CONTEXT, cached=False, **options
    )
    alone = [continue_ids(model, [ids], 3 * CONTEXT, **options) for ids in prompts]
    assert together == [row for rows in alone for row in rows]
    assert len({tuple(row) for row in together}) >= 2


def test_rows_that_end_leave_the_others_alone(model):
    prompts = prompts_of(LENGTHS)
    whole = continue_ids(model, prompts, 3 * CONTEXT)
    counts = [0] * len(prompts)
    wanted = [30, 3, 36, 1, 17, 3]

    def ended(row):
        counts[row] += 1
        return counts[row] == wanted[row]

    short = continue_ids(model, prompts, 3 * CONTEXT, ended=ended)
    assert short == [row[:n] for row, n in zip(whole, wanted, strict=True)]


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
@pytest.mark.parametrize("arch", ["gpt", "llama", "lstm"])
def test_logits_with_padding_are_those_without(arch, norm, positions):
    shape = {"arch": arch, "norm": norm, "positions": positions}
    config = ModelConfig(30, 2, 16, 2, CONTEXT, **shape)
    model = build(config, np.random.default_rng(1), dtype=np.float64)
    prompts = prompts_of([3, 9, 1])
    cached, plain = (Decoder(model, prompts, cached=c) for c in (True, False))
    for step in range(6):
        np.testing.assert_allclose(cached.logits(), plain.logits(), rtol=1e-9)
        for each in (cached, plain):
            each.append([step, 2, 3])
            if step == 2:
                each.logits()
                each.select([1, 0, 0])


def test_reading_costs_one_column_a_token(model, monkeypatch):
    shapes = []
    decode = type(model).decode

    def counted(self, ids, cache):
        shapes.append(ids.shape)
        return decode(self, ids, cache)

    monkeypatch.setattr(type(model), "decode", counted)
    continue_ids(model, prompts_of([5, 2]), 4, n=3)
    assert shapes == [(2, 5), (6, 1)]  # the second is captured, and repeated
    shapes.clear()
    with backend.observed(lambda name, body: body):
        continue_ids(model, prompts_of([5, 2]), 4, n=3)
    assert shapes == [(2, 5), (6, 1), (6, 1), (6, 1)]


def test_a_context_of_one_still_writes():
    config = ModelConfig(30, 2, 16, 2, context=1)
    tiny = build(config, np.random.default_rng(0))
    assert [len(row) for row in continue_ids(tiny, [[1, 2], [3]], 5)] == [5, 5]


def test_a_longer_answer_begins_with_the_shorter(model):
    assert (
        continue_ids(model, [[1, 2]], 20)[0][:7] == continue_ids(model, [[1, 2]], 7)[0]
    )
    assert continue_ids(model, [[1, 2]], 0) == [[]]
