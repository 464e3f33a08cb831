"""A prompt that ends in white space: the first token begins with it."""

import numpy as np
import pytest

import minillm
from minillm.generation import Dialogue, generate, stream
from minillm.generation.beams import log_softmax
from minillm.generation.prompt import begin, encode_prompt
from minillm.runs.train import train
from minillm.text import train_tokenizer

# Words behind spaces, indents, line ends, and a blank that BPE knows by its bytes.
LINES = "def sea(lamp):\n    return lamp\n\n\tThe lamp  was lit.\r\n　灯 lamp\n"


@pytest.fixture(scope="module")
def coder(tmp_path_factory):
    """A model that knows these lines by heart."""
    folder = tmp_path_factory.mktemp("coder")
    (folder / "lines.txt").write_text(LINES * 300, encoding="utf-8", newline="")
    shape = {"size": "pico", "width": 32, "context": 32, "batch": 16, "vocab": 300}
    options = {"steps": 250, "lr": 0.02, "device": "cpu", "workers": "1"}
    out = str(folder / "run")
    train(**shape, **options, data=str(folder / "lines.txt"), out=out, draw=False)
    return minillm.load_run(out)


# Behind all white space between two words, or behind the first of it.
PLACES = [
    i
    for i in range(12, len(LINES))
    if LINES[i - 1].isspace() and not (LINES[i].isspace() and LINES[i - 2].isspace())
]


@pytest.mark.parametrize("place", PLACES, ids=lambda i: repr(LINES[i - 4 : i]))
@pytest.mark.parametrize("options", [{"temperature": 0}, {"beams": 2}])
def test_a_text_goes_on_as_it_was_learned(coder, place, options):
    prompt = LINES * 2 + LINES[:place]
    text = generate(coder, prompt, max_tokens=12, **options)
    expected = LINES[place:] + LINES
    assert len(text) > 5
    assert expected.startswith(text)


@pytest.mark.parametrize(
    ("prompt", "kept", "owed"),
    [
        ("The lamp", "The lamp", ""),
        ("The lamp ", "The lamp", " "),
        ("The lamp  ", "The lamp ", " "),
        ("sea:\n    ", "sea:\n   ", " "),
        ("sea:\n", "sea:", "\n"),
        ("sea:\n\n", "sea:\n", "\n"),
        ("sea\r\n", "sea\r", "\n"),
        ("sea\t", "sea", "\t"),
        (" ", "\n", " "),  # after nothing a text begins as after a line's end
        ("", "\n", ""),
    ],
)
def test_the_last_white_space_is_left_to_the_first_token(coder, prompt, kept, owed):
    opening = encode_prompt(coder, prompt)
    np.testing.assert_array_equal(opening.ids, coder.tokenizer.encode(kept))
    assert opening.owed == owed
    decoder, _ = begin(coder, [prompt, "x"])
    can = np.isfinite(decoder.logits())
    begins = [
        coder.tokenizer.token_bytes(i).startswith(owed.encode())
        for i in range(coder.tokenizer.vocab_size)
    ]
    np.testing.assert_array_equal(can[0], begins)
    assert can[1].all()


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0},
        {"seed": 3, "top_k": 2, "n": 3},
        {"top_p": 0.9},
        {"min_p": 0.2, "repetition_penalty": 1.3},
        {"temperature": 3, "n": 2, "stop": ["lamp"]},
        {"beams": 3, "n": 2},
    ],
)
def test_all_ways_to_write_agree(coder, options):
    prompts = ["The ", "The", "def sea(lamp):\n", " ", "", "sea\n\n    "]
    options |= {"max_tokens": 9}
    together = generate(coder, prompts, **options)
    assert together == [generate(coder, each, **options) for each in prompts]
    assert together == generate(coder, prompts, cached=False, **options)
    if "n" not in options:
        assert together == ["".join(stream(coder, p, **options)) for p in prompts]


def test_the_white_space_is_no_token_of_the_text(coder):
    for prompt in ("def sea(lamp):\n", "def sea(lamp):", "The "):
        one = generate(coder, prompt, max_tokens=1, temperature=0)
        two = generate(coder, prompt, max_tokens=2, temperature=0)
        assert one
        assert two.startswith(one) and len(two) > len(one)
        assert generate(coder, prompt, max_tokens=0) == ""


def test_a_space_makes_the_next_word_likely(coder):
    """What was learned is " lit", and " " is a token that no word follows."""
    prompt = LINES * 2 + LINES[: LINES.index("lit")]
    tokenizer = coder.tokenizer
    decoder, _ = begin(coder, [prompt])
    first = tokenizer.encode(" lit")[0]
    assert log_softmax(decoder.logits())[0, first] > np.log(0.5)
    split = coder.model(tokenizer.encode(prompt)[None, -30:]).numpy()[0, -1]
    assert log_softmax(split)[tokenizer.encode("lit")[0]] < np.log(0.5)


@pytest.mark.parametrize("kind", ["chars", "bytes"])
@pytest.mark.parametrize("text", ["a ", "a\n", " ", "", "a\n    "])
def test_what_is_a_token_by_itself_is_read(kind, text):
    tokenizer = train_tokenizer(kind, "a \n")
    assert tokenizer.open_end(text) == (text, "")


def test_wordpiece_begins_a_word_after_white_space(tmp_path):
    (tmp_path / "a.txt").write_text("lamp la mp " * 1_500, encoding="utf-8")
    shape = {"size": "pico", "width": 32, "context": 16, "batch": 32, "vocab": 12}
    options = {"steps": 60, "lr": 0.03, "device": "cpu", "workers": "1"}
    out, data = str(tmp_path / "run"), str(tmp_path / "a.txt")
    train(**shape, **options, tokenizer="wordpiece", data=data, out=out, draw=False)
    for prompt in ("lamp la ", "lamp la\n", "lamp la  "):
        for seed in range(5):
            text = generate(out, prompt, max_tokens=4, temperature=3, seed=seed)
            assert text and not text[0].isspace()
        assert generate(out, prompt, beams=2, max_tokens=1) == "m"
        opens = begin(minillm.load_run(out), [prompt])[0].logits()[0]
        tokens = [
            minillm.load_run(out).tokenizer.decode([i]) for i in range(len(opens))
        ]
        can = {token for token, z in zip(tokens, opens, strict=True) if np.isfinite(z)}
        assert can and not any(token.startswith("##") for token in can)


def test_a_template_may_end_in_white_space_before_the_reply(coder):
    talk = Dialogue(coder, template="def {user}\n{assistant}\n\n", temperature=0)
    reply = "".join(talk.reply("sea(lamp):"))
    assert reply.startswith("return lamp")
