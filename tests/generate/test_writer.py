"""What `generate` takes beside a run: a model in memory, ours or one's own."""

import numpy as np
import pytest

from minillm import fill, generate
from minillm.errors import UsageError
from minillm.generation import Dialogue, stream
from minillm.models import ModelConfig, build
from minillm.nn import Embedding, Module
from minillm.text import MASK, train_tokenizer

TEXT = "the sea and a lamp of all books, she read."
TOKENIZER = train_tokenizer("chars", TEXT)
V = TOKENIZER.vocab_size


class Bigram(Module):
    """Counts how often it is asked, and keeps the longest text that it was shown."""

    def __init__(self, vocab: int = V):
        self.table = Embedding(vocab, vocab, init=7)
        self.asked, self.longest = 0, 0

    def logits(self, ids):
        self.asked += 1
        self.longest = max(self.longest, ids.shape[1])
        return self.table(ids) * 20.0


class Called(Module):
    def __init__(self):
        self.table = Embedding(V, V, init=7)

    def __call__(self, ids):
        return self.table(ids) * 20.0


def gpt(arch: str = "gpt", context: int = 16, vocab: int = V):
    shape = ModelConfig(vocab, 2, 16, 2, context, arch=arch, tied=True)
    return build(shape, np.random.default_rng(0))


def test_a_bigram_writes_what_its_table_says():
    model = Bigram()
    likeliest = model.table.weight.numpy().argmax(-1)
    last, expected = TOKENIZER.encode("t")[0], []
    for _ in range(9):
        last = likeliest[last]
        expected.append(last)
    text = generate(model, "t", tokenizer=TOKENIZER, temperature=0, max_tokens=9)
    assert text == TOKENIZER.decode(expected)
    assert model.asked == 9


def test_a_model_that_is_called_writes_as_one_with_logits():
    options = {"tokenizer": TOKENIZER, "seed": 3, "top_k": 5, "max_tokens": 30}
    assert generate(Called(), "the", **options) == generate(Bigram(), "the", **options)


@pytest.mark.parametrize("arch", ["gpt", "lstm"])
def test_ours_in_memory_use_their_cache_and_write_the_same_without(arch, monkeypatch):
    model, options = gpt(arch), {"tokenizer": TOKENIZER, "max_tokens": 40}
    slow = generate(model, "the sea", cached=False, **options)
    monkeypatch.setattr(type(model), "hidden", None)  # only `decode` is left
    assert generate(model, "the sea", **options) == slow


def test_an_encoder_decoder_in_memory_answers():
    from minillm.text import SEQ2SEQ_SPECIALS, SEQ2SEQ_TEMPLATE

    tokenizer = train_tokenizer(
        "chars", TEXT, specials=SEQ2SEQ_SPECIALS, template=SEQ2SEQ_TEMPLATE
    )
    model = gpt("encdec", vocab=tokenizer.vocab_size)
    text = generate(model, "the sea", tokenizer=tokenizer, max_tokens=5)
    assert isinstance(text, str)


@pytest.mark.parametrize(("context", "seen"), [(None, 34), (5, 5)])
def test_a_context_bounds_what_is_read_again_for_each_token(context, seen):
    model = Bigram()
    generate(model, "the sea", tokenizer=TOKENIZER, max_tokens=28, context=context)
    assert model.longest == seen


def test_a_model_says_its_own_context():
    model = Bigram()
    model.context = 6
    generate(model, "the sea", tokenizer=TOKENIZER, max_tokens=20)
    assert model.longest == 6
    with pytest.raises(UsageError, match="context 7 is longer than the model's, 6"):
        generate(model, "the", tokenizer=TOKENIZER, context=7)


def test_one_s_own_take_every_way_of_writing():
    model, given = Bigram(), {"tokenizer": TOKENIZER, "max_tokens": 12}
    one = generate(model, "the", **given)
    assert "".join(stream(model, "the", **given)) == one
    assert generate(model, ["the", "a"], **given)[0] == one
    assert generate(model, "the", n=2, **given)[0] == one
    found = generate(model, "the", beams=3, n=3, **given)
    assert len({*found}) == 3
    assert generate(model, "the", stop=one[4], **given) == one[: one.index(one[4])]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: generate(Bigram(), "a"), "Bigram needs a tokenizer="),
        (lambda: generate(gpt(), "a"), "GPT needs a tokenizer="),
        (
            lambda: generate(Bigram(), "a", tokenizer="chars"),
            "needs a tokenizer= .*, got str",
        ),
        (
            lambda: generate("runs/a", "a", tokenizer=TOKENIZER),
            "tokenizer= goes with a model: a run has its own",
        ),
        (
            lambda: generate(Bigram(V + 1), "a", tokenizer=TOKENIZER),
            f"Bigram has logits of {V + 1} tokens, the tokenizer has {V}",
        ),
        (
            lambda: generate(gpt(vocab=V + 1), "a", tokenizer=TOKENIZER),
            f"GPT has logits of {V + 1} tokens, the tokenizer has {V}",
        ),
        (
            lambda: generate(gpt(), "a", tokenizer=TOKENIZER, context=4),
            "context= is for a module of your own: this model reads 16",
        ),
        (
            lambda: generate(Bigram(), "a", tokenizer=TOKENIZER, context=0),
            "context must be at least 1 token, got 0",
        ),
        (
            lambda: generate(gpt("encoder"), "a", tokenizer=TOKENIZER),
            "Encoder: is a masked model.* cannot continue a text",
        ),
        (
            lambda: generate(3, "a", tokenizer=TOKENIZER),
            "a run, the path of one or a model writes, not int",
        ),
        (lambda: fill(Bigram(), "a [MASK]"), "Bigram needs a tokenizer="),
        (
            lambda: fill(gpt(), "a [MASK]", tokenizer=TOKENIZER),
            "GPT: is a causal model.* cannot fill gaps",
        ),
    ],
)
def test_what_does_not_write_is_said_in_one_line(call, words):
    with pytest.raises(UsageError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_model_without_logits_is_said_in_one_line():
    class Loss(Module):
        def __init__(self):
            self.table = Embedding(V, 3)

        def loss(self, batch):
            return (self.table(batch.ids) ** 2).mean()

    with pytest.raises(UsageError, match="Loss gives no logits"):
        generate(Loss(), "a", tokenizer=TOKENIZER)


@pytest.mark.parametrize("kind", [Bigram, lambda vocab: gpt("encoder", vocab=vocab)])
def test_a_model_in_memory_fills_a_gap(kind):
    tokenizer = train_tokenizer("chars", TEXT, specials=(MASK,))
    model = kind(tokenizer.vocab_size)
    (found,) = fill(model, "the [MASK]ea", top=2, tokenizer=tokenizer)
    assert len(found) == 2


def test_a_run_of_ones_own_talks():
    from minillm.generation.writer import open_writer

    run = open_writer(Bigram(), TOKENIZER)
    talk = Dialogue(run, template="the {user} a {assistant} ", max_tokens=5)
    assert "".join(talk.reply("sea"))
    assert talk.turns
