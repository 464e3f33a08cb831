"""Attention maps: the weights themselves, their tokens, what is read off them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from minillm import ops
from minillm.errors import UsageError
from minillm.generation import generate
from minillm.inspect import attention_maps
from minillm.inspect.attention import AttentionMap, in_parts, watched
from minillm.inspect.attention.heads import even_reading, most_decided, readings
from minillm.inspect.attention.maps import token_labels
from minillm.learning.config import TrainConfig
from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import AdamW
from minillm.models import ModelConfig, build, usual
from minillm.runs.run import Run
from minillm.tensor import Tensor
from minillm.testing import TABLE
from minillm.text import (
    BERT_TEMPLATE,
    EOS,
    IGNORED,
    PAIR_SPECIALS,
    SEQ2SEQ_SPECIALS,
    SEQ2SEQ_TEMPLATE,
    Batch,
    train_tokenizer,
)

CONTEXT, LAYERS, HEADS = 24, 2, 3
FRAMES = {
    "bert": (PAIR_SPECIALS, BERT_TEMPLATE),
    "encdec": (SEQ2SEQ_SPECIALS, SEQ2SEQ_TEMPLATE),
}


def make_run(arch: str, kind: str = "bytes", n_classes: int = 0, **settings) -> Run:
    """An untrained run in memory, of strong opinions."""
    specials, template = FRAMES.get(arch, ((), None))
    tokenizer = train_tokenizer(
        kind, "the keeper read 守塔人\n" * 99, specials=specials, template=template
    )
    config = ModelConfig(
        tokenizer.vocab_size,
        LAYERS,
        12,
        HEADS,
        CONTEXT,
        arch=arch,
        n_classes=n_classes,
        **{**usual(arch), **settings},
    )
    model = build(config, np.random.default_rng(0))
    for name, p in model.named_parameters():
        if name.endswith(("qkv.weight", "q.weight", "kv.weight")):
            p.data *= 5
    config = TrainConfig(objective="seq2seq" if arch == "encdec" else "clm")
    return Run(Path(f"runs/{arch}"), {}, config, model, tokenizer)


# ------------------------------------------------------------------------ weights


@pytest.mark.parametrize("arch", ["gpt", "llama", "encoder", "bert", "encdec"])
def test_the_weights_of_a_query_sum_to_one_and_none_is_negative(arch):
    maps = attention_maps(make_run(arch), "a keeper", "b" if arch == "encdec" else None)
    for each in maps:
        assert each.weights.shape == (HEADS, len(each.queries), len(each.keys))
        assert each.weights.min() >= 0
        assert np.allclose(each.weights.sum(-1), 1, atol=1e-6)
    assert [each.layer for each in in_parts(maps)[0]] == list(range(LAYERS))


def test_a_causal_model_does_not_look_ahead_and_an_encoder_does():
    (gpt, *_), (encoder, *_) = (
        attention_maps(make_run(arch), "the keeper") for arch in ("gpt", "encoder")
    )
    future = np.triu(np.ones((10, 10), bool), 1)
    assert gpt.causal
    assert not gpt.weights[:, future].any()
    assert not encoder.causal
    assert (encoder.weights[:, future] > 0).all()


def numpy_gpt(run: Run, ids: np.ndarray) -> list[np.ndarray]:
    """The weights of each layer, head by head and query by query, from the model's
    parameters alone.   [(H, T, T)]"""
    p = {name: t.numpy().astype(float) for name, t in run.model.named_parameters()}
    width = p["tokens.weight"].shape[1] // HEADS

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        sd = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred / sd * p[f"{name}.gain"] + p[f"{name}.bias"]

    def linear(x, name):
        return x @ p[f"{name}.weight"] + p[f"{name}.bias"]

    def gelu(x):
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    x = p["tokens.weight"][ids] + p["positions"][: len(ids)]
    found = []
    for i in range(LAYERS):
        q, k, v = np.split(
            linear(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attention.qkv"), 3, -1
        )
        weights = np.zeros((HEADS, len(ids), len(ids)))
        mixed = np.zeros_like(v)
        for h in range(HEADS):
            columns = slice(h * width, (h + 1) * width)
            for t in range(len(ids)):
                scores = k[: t + 1, columns] @ q[t, columns] / np.sqrt(width)
                e = np.exp(scores - scores.max())
                weights[h, t, : t + 1] = e / e.sum()
                mixed[t, columns] = weights[h, t] @ v[:, columns]
        found.append(weights)
        x = x + linear(mixed, f"blocks.{i}.attention.out")
        hidden = gelu(
            linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.feed_forward.up")
        )
        x = x + linear(hidden, f"blocks.{i}.feed_forward.down")
    return found


def test_the_weights_are_those_that_numpy_computes_from_the_parameters():
    run = make_run("gpt")
    text = "the keeper"
    expected = numpy_gpt(run, run.tokenizer.encode(text))
    for each, weights in zip(attention_maps(run, text), expected, strict=True):
        assert np.abs(each.weights - weights).max() < 1e-5


@pytest.mark.parametrize("name", ["self_attention", "cross_attention"])
def test_the_values_by_the_weights_are_what_the_op_returns(name):
    """Whatever the mask, and whichever body runs."""
    for arrays, settings in TABLE[name].examples(20):
        op = getattr(ops, name)
        settings["rate"] = 0.0
        *arrays, bias = arrays
        with watched() as found:
            y = op(*map(Tensor, arrays), bias, **settings).numpy()
        n_heads, n_kv_heads = settings["n_heads"], settings["n_kv_heads"]
        n_kv_heads = n_kv_heads or n_heads
        width = y.shape[-1] // n_heads
        values = arrays[-1][..., -n_kv_heads * width :]
        for h in range(n_heads):
            shared = h * n_kv_heads // n_heads
            of_head = values[..., shared * width : (shared + 1) * width]
            expected = found[0].weights[:, h] @ of_head
            columns = slice(h * width, (h + 1) * width)
            assert np.allclose(y[..., columns], expected, atol=1e-10)


def test_who_is_watched_computes_the_same_and_who_is_not_leaves_no_trace():
    run = make_run("gpt")
    ids = run.tokenizer.encode("the keeper")[None]
    batch = Batch(ids, ids, ids.size)
    losses = []
    for watcher in (None, watched()):
        run.model.zero_grad()
        if watcher is None:
            loss = run.model.loss(batch)
        else:
            with watcher as found:
                loss = run.model.loss(batch)
        loss.backward()
        losses.append(
            (loss.item(), run.model.blocks[0].attention.qkv.weight.grad.copy())
        )
    assert losses[0][0] == losses[1][0]
    assert np.array_equal(losses[0][1], losses[1][1])
    assert len(found) == LAYERS
    run.model.loss(batch)
    assert len(found) == LAYERS


# ------------------------------------------------------------------ frames and tokens


def test_bert_reads_a_text_in_its_frame():
    run = make_run("bert")
    assert attention_maps(run, "ab")[0].keys == ["[CLS]", "a", "b", "[SEP]"]
    pair = attention_maps(run, "ab", "c")[0]
    assert pair.queries == pair.keys == ["[CLS]", "a", "b", "[SEP]", "c", "[SEP]"]


def test_the_second_text_of_a_pair_is_in_its_own_segment():
    run = make_run("bert")
    pair = attention_maps(run, "ab", "c")[0].weights
    ids, segments = run.tokenizer.frame(*map(run.tokenizer.encode, ("ab", "c")), room=9)
    for given, same in ((segments, True), (0 * segments, False)):
        with watched() as found:
            run.model.hidden(ids[None], segments=given[None])
        assert np.array_equal(found[0].weights[0], pair) == same


def test_an_encoder_decoder_has_three_parts():
    maps = attention_maps(make_run("encdec"), "abc", "守")
    source, target = ["a", "b", "c", "[EOS]"], ["[BOS]", "e5", "ae", "88"]
    assert [
        (part[0].part, part[0].causal, part[0].queries, part[0].keys)
        for part in in_parts(maps)
    ] == [
        ("encoder", False, source, source),
        ("decoder", True, target, target),
        ("cross", False, target, source),
    ]
    assert [each.layer for each in maps] == 3 * list(range(LAYERS))


def test_each_part_of_an_encoder_decoder_has_the_weights_of_its_own_layers():
    run = make_run("encdec")
    block = run.model.decoder[1]
    block.cross.q.weight.data[...] = 0  # and all scores with it
    block.cross.q.bias.data[...] = 0
    encoder, decoder, cross = in_parts(attention_maps(run, "abc", "xyz"))
    assert np.allclose(cross[1].weights, 1 / 4)
    for each in (*encoder, *decoder, cross[0]):
        assert np.ptp(each.weights[:, -1]) > 0.05


def test_what_an_encoder_decoder_is_not_told_to_write_it_writes_itself():
    run = make_run("encdec", "chars")
    written = generate(run, "the book")
    assert written
    maps = attention_maps(run, "the book")
    expected = attention_maps(run, "the book", written[: CONTEXT - 1])
    for each, other in zip(maps, expected, strict=True):
        assert each.queries == other.queries
        assert np.array_equal(each.weights, other.weights)
    assert len(maps[-1].queries) == min(len(written), CONTEXT - 1) + 1


def test_an_encoder_decoder_may_have_nothing_to_write():
    run = make_run("encdec", "chars")
    end = run.model.tokens.weight.data[run.tokenizer.specials[EOS]]
    end *= 50
    run.model.decoder[-1].norm2.bias.data[...] = end
    assert generate(run, "the book") == ""
    assert attention_maps(run, "the book")[-1].queries == ["[BOS]"]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("bpe", ["[CLS]", "the", "[MASK]", "␣read", "[SEP]", "[MASK]", "[SEP]"]),
        ("wordpiece", ["[CLS]", "the", "[MASK]", "read", "[SEP]", "[MASK]", "[SEP]"]),
    ],
)
def test_a_gap_is_one_token_where_the_model_knows_it(kind, keys):
    run = make_run("bert", kind)
    assert attention_maps(run, "the [MASK] read", "[MASK]")[0].keys == keys
    assert attention_maps(make_run("gpt"), "[MASK]")[0].keys == list("[MASK]")


def test_a_classifier_shows_its_body():
    for arch in ("gpt", "encoder", "bert"):
        maps = attention_maps(make_run(arch, n_classes=3), "ab")
        assert len(maps) == LAYERS


def test_a_layer_and_a_head_are_chosen():
    run = make_run("gpt")
    every = attention_maps(run, "abc")
    assert [each.layer for each in attention_maps(run, "abc", layer=1)] == [1]
    (one,) = attention_maps(run, "abc", layer=1, head=2)
    assert one.heads == [2]
    assert np.array_equal(one.weights, every[1].weights[2:])


def test_nothing_in_a_label_is_invisible():
    run = make_run("gpt")
    ids = run.tokenizer.encode("a \n\t\x00守é")
    labels = token_labels(run.tokenizer, ids)
    assert labels == ["a", "␣", "↵", "⇥", r"\x00", "e5", "ae", "88", "c3", "a9"]


def test_labels_of_subwords():
    bpe = make_run("gpt", "bpe").tokenizer
    assert token_labels(bpe, bpe.encode("the keeper 守塔人")) == [
        "the",
        "␣keeper",
        "␣守塔人",
    ]
    joined = b"".join(
        bytes.fromhex(label) for label in token_labels(bpe, bpe.encode("龘"))
    )
    assert joined == "龘".encode()
    pieces = make_run("bert", "wordpiece").tokenizer
    labels = token_labels(pieces, pieces.encode("keeperer 守Z"))
    assert labels[0] == "keeper"
    assert labels[1].startswith("##")
    assert labels[-2:] == ["守", "[UNK]"]


def test_a_long_label_loses_its_end():
    text = "internationalisation"
    bpe = train_tokenizer("bpe", f"{text} " * 99, vocab_size=400)
    assert token_labels(bpe, bpe.encode(text)) == ["internation…"]


# ------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arch", "arguments", "words"),
    [
        ("lstm", {}, "runs/lstm: is an LSTM, which has no attention"),
        ("gpt", {"text": ""}, "has no tokens"),
        ("gpt", {"text": "a" * 25}, "25 tokens, special ones included, and runs/gpt"),
        ("bert", {"text": "a" * 23}, "25 tokens"),
        ("encdec", {"text_b": "b" * 24}, "25 tokens"),
        ("gpt", {"text": "a\ud800"}, "not valid Unicode"),
        ("gpt", {"layer": 2}, "layer 2: runs/gpt has the layers 0 to 1"),
        ("gpt", {"layer": -1}, "layer -1"),
        ("gpt", {"head": 3}, "head 3: runs/gpt has the heads 0 to 2"),
        ("gpt", {"text_b": "b"}, "reads one text, not two"),
        ("encoder", {"text_b": "b"}, "reads one text, not two"),
        ("bert", {"text_b": ""}, "'' has no tokens"),
        ("encdec", {"text": "a" * 24}, "25 tokens"),
    ],
)
def test_what_has_no_maps_is_one_line(arch, arguments, words):
    with pytest.raises(UsageError) as caught:
        attention_maps(make_run(arch), **{"text": "a", **arguments})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wordpiece_reads_nothing_in_white_space():
    with pytest.raises(UsageError, match="has no tokens"):
        attention_maps(make_run("bert", "wordpiece"), " \n ")


# ------------------------------------------------------------------------- readings


def made(weights, part="self", causal=False) -> AttentionMap:
    """One layer of one head."""
    weights = np.array(weights, float)
    queries, keys = (["a"] * n for n in weights.shape)
    return AttentionMap(part, 0, [0], weights[None], queries, keys, causal)


@pytest.mark.parametrize(
    ("offset", "name"), [(-1, "previous"), (0, "itself"), (1, "next")]
)
def test_a_head_that_looks_at_one_neighbour_is_named_after_it(offset, name):
    weights = np.eye(5, k=offset)
    weights[weights.sum(1) == 0] = 0.2  # whose neighbour is not there
    (row,) = readings(made(weights))
    assert row["mostly"] == name
    assert row[name] == 1
    assert row["distance"] == pytest.approx(
        {-1: (4 + 2) / 5, 0: 0, 1: (4 + 2) / 5}[offset]
    )


def test_ends_are_named_too():
    first, last = np.zeros((2, 5, 5))
    first[:, 0] = last[:, -1] = 1
    assert readings(made(first))[0]["mostly"] == "first"
    assert readings(made(last))[0]["mostly"] == "last"
    assert readings(made(last[:3], "cross"))[0] == {
        "head": 0,
        "first": 0,
        "last": 1,
        "mostly": "last",
    }


def test_half_of_the_weight_is_not_most_of_it():
    weights = np.full((2, 2), 0.5)
    assert readings(made(weights))[0]["mostly"] is None


def test_the_first_query_of_a_causal_map_does_not_count():
    causal = made([[1, 0, 0], [1, 0, 0], [0, 1, 0]], causal=True)
    (row,) = readings(causal)
    assert row == {
        "head": 0,
        "distance": 1,
        "first": 0.5,
        "previous": 1,
        "itself": 0,
        "mostly": "previous",
    }


def test_a_single_token_has_nothing_to_be_read():
    for causal in (True, False):
        (row,) = readings(made([[1.0]], causal=causal))
        assert row["previous"] is None
    assert attention_maps(make_run("gpt"), "a")[0].weights.tolist() == 3 * [[[1.0]]]


def test_a_head_that_looks_evenly_reads_as_the_even_one():
    run = make_run("gpt")
    run.model.blocks[0].attention.qkv.weight.data[...] = 0
    even = attention_maps(run, "abcdef", layer=0, head=0)[0]
    (row,) = readings(even)
    for name, value in even_reading(even).items():
        assert row[name] == pytest.approx(value)
    assert even_reading(even)["itself"] == pytest.approx(
        np.mean([1 / n for n in range(2, 7)])
    )


def test_the_most_decided_head_is_found():
    run = make_run("gpt")
    maps = attention_maps(run, "abcdef")
    sharp = np.eye(6)[[0, 0, 0, 0, 0, 0]]
    weights = maps[1].weights.copy()
    weights[2] = sharp
    maps[1] = dataclasses.replace(maps[1], weights=weights)
    assert most_decided(maps) == (1, 2)


def test_a_head_that_has_to_say_the_previous_token_learns_to_look_at_it():
    """In one layer of one head there is no other way to know what came before."""
    model = build(ModelConfig(8, 1, 16, 1, 10), np.random.default_rng(0))
    flat = FlatParameters(model)
    gradient = flat.zeros()
    flat.collect_gradients(model, gradient)
    optimizer = AdamW(flat)
    rng = np.random.default_rng(0)
    for step in range(1, 301):
        ids = rng.integers(0, 8, (16, 10), dtype=np.int32)
        targets = np.roll(ids, 1, axis=1)
        targets[:, 0] = IGNORED
        gradient[...] = 0
        model.loss(Batch(ids, targets, 16 * 9)).backward()
        optimizer.update(slice(0, flat.size), gradient, lr=0.01, step=step, scale=1.0)
    with watched() as found:
        model.hidden(ids[:1])
    (row,) = readings(made(found[0].weights[0, 0], causal=True))
    assert row["mostly"] == "previous"
    assert row["previous"] > 0.9
