"""`minillm generate`: its settings, its streams, its one object."""

import json

import pytest

from minillm_cli.common import unescaped


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    from minillm import train

    out = str(tmp_path_factory.mktemp("runs") / "bytes")
    options = {"size": "pico", "data": "bilingual", "device": "cpu", "workers": "1"}
    train(**options, tokenizer="bytes", lr=0.02, steps=150, out=out)
    return out


@pytest.fixture(scope="module")
def agreeing(tmp_path_factory) -> str:
    """An encoder–decoder of context 8 that has learned to answer "好的" to anything."""
    from minillm import train
    from minillm.learning.data import EncodedCorpus
    from minillm.text import SEQ2SEQ_SPECIALS, SEQ2SEQ_TEMPLATE, train_tokenizer

    options = {"specials": SEQ2SEQ_SPECIALS, "template": SEQ2SEQ_TEMPLATE}
    tokenizer = train_tokenizer("bytes", "", **options)
    pairs = [tuple(map(tokenizer.encode, (letter, "好的"))) for letter in "abcd"]
    facts = {"name": "pairs", "sha256": "", "n_bytes": 0, "note": "", "val_bytes": 0}
    text = EncodedCorpus(**facts, tokenizer=tokenizer, train=pairs, val=pairs)
    out = str(tmp_path_factory.mktemp("runs") / "agreeing")
    options = {"size": "pico", "context": 8, "device": "cpu", "workers": "1"}
    train(**options, objective="seq2seq", steps=60, lr=0.01, text=text, out=out)
    return out


ARGUMENTS = ["灯", "--max-tokens", "60"]


def test_settings_arrive(minillm, run):
    free = minillm("generate", run, *ARGUMENTS)[1]
    for option in (
        ["--temperature", "2"],
        ["--top-k", "1"],
        ["--top-p", "0.1"],
        ["--min-p", "0.9"],
        ["--repetition-penalty", "3"],
        ["--seed", "1"],
        ["--beams", "3"],
    ):
        code, out, err = minillm("generate", run, *ARGUMENTS, *option)
        assert (code, err) == (0, "")
        assert out.startswith("灯")
        assert out != free


def test_characters_that_the_model_does_not_know_are_named(minillm, tmp_path):
    from minillm import train

    out = str(tmp_path / "chars")
    options = {
        "size": "pico",
        "data": "facts:records=2000",
        "tokenizer": "chars",
        "steps": 1,
    }
    train(**options, device="cpu", workers="1", out=out)
    for option in ([], ["--stream"]):
        code, _, err = minillm("generate", out, "1灯=灯x", *option)
        assert code == 0
        told = "60.0% of the characters of the prompt ('灯' 'x'): "
        assert err.startswith(f"note: the model has no token for {told}")
    assert minillm("generate", out, "17=")[2] == ""


@pytest.mark.parametrize("option", [[], ["--stream"]])
def test_a_line_end_may_be_typed_as_a_stop_text(minillm, run, option):
    argv = ["generate", run, "The", "--max-tokens", "200", "--temperature", "1.5"]
    whole = minillm(*argv, *option)[1]
    assert whole.count("\n") > 1
    typed = minillm(*argv, *option, "--stop", r"\n")[1]
    assert typed == minillm(*argv, *option, "--stop", "\n")[1]
    assert typed == whole.partition("\n")[0] + "\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(r"\n", "\n"), (r"a\tb", "a\tb"), (r"\\n", r"\n"), ("\n", "\n"), (r"\d", r"\d")],
)
def test_what_a_stop_text_means(typed, meant):
    assert unescaped(typed) == meant


def test_fewer_different_texts_than_asked_for_are_told(minillm, run):
    argv = ["generate", run, "The", "--beams", "3", "--n", "3", "--max-tokens", "0"]
    code, out, err = minillm(*argv)
    assert (code, out) == (0, "The\n")
    assert err == "note: 1 of 3: the search found no more texts\n"


def test_texts_that_cannot_differ_are_told(minillm, run, agreeing):
    told = "note: the likeliest text is always the same: add --beams or --temperature\n"
    argv = ["generate", run, *ARGUMENTS, "--n", "2"]
    assert minillm(*argv, "--temperature", "0")[2] == told
    assert minillm(*argv)[2] == ""
    argv = ["generate", agreeing, "a", "--n", "2"]
    assert minillm(*argv)[2] == told
    for option in (["--temperature", "2"], ["--beams", "2"]):
        assert minillm(*argv, *option)[2] == ""
    assert minillm("generate", agreeing, "a")[2] == ""


def test_a_stream_prints_the_same_text(minillm, run):
    whole = minillm("generate", run, *ARGUMENTS)
    assert minillm("generate", run, *ARGUMENTS, "--stream") == whole


def test_several_continuations_are_numbered_and_listed(minillm, run):
    out = minillm("generate", run, *ARGUMENTS, "--n", "3")[1]
    assert all(f"--- {number}\n灯" in out for number in (1, 2, 3))
    out = minillm("generate", run, *ARGUMENTS, "--n", "3", "--json")[1]
    record = json.loads(out)
    assert record["text"] == record["texts"][0]
    assert len(record["texts"]) == 3


def test_stop_texts_may_be_several(minillm, run):
    argv = ["generate", run, "The", "--json", "--temperature", "0"]
    whole = json.loads(minillm(*argv)[1])["text"]
    cut = json.loads(minillm(*argv, "--stop", "§", "--stop", whole[5:7])[1])["text"]
    assert cut == whole[: whole.index(whole[5:7])]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--stream", "--json"], "--stream"),
        (["--stream", "--n", "2"], "--stream"),
        (["--stream", "--beams", "2"], "--stream"),
        (["--beams", "2", "--min-p", "0.5"], "leave out min_p, or"),
        (["--top-p", "0"], "top_p"),
        (["--top-p", "2", "--stream"], "top_p"),
        (["--stop", ""], "stop text"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(minillm, run, argv, words):
    code, out, err = minillm("generate", run, "The", *argv)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("option", ["--json", "--stream", "--temperature=0"])
def test_a_prompt_longer_than_the_context_is_said_and_continued(minillm, run, option):
    for length, note in [(64, ""), (65, "not the first 1 of this prompt")]:
        code, out, err = minillm("generate", run, "a" * length, option)
        assert code == 0
        assert len(out) > length + 10
        assert note in err if note else err == ""


def test_an_answer_is_printed_without_its_source(minillm, agreeing):
    assert minillm("generate", agreeing, "abc") == (0, "好的\n", "")
    assert minillm("generate", agreeing, "abc", "--stream") == (0, "好的\n", "")
    assert minillm("generate", agreeing, "", "--beams", "2") == (0, "好的\n", "")
    out = minillm("generate", agreeing, "b", "--beams", "2", "--n", "2")[1]
    assert out.startswith("--- 1\n好的\n--- 2\n")
    record = json.loads(minillm("generate", agreeing, "a", "--n", "3", "--json")[1])
    assert (record["prompt"], record["text"]) == ("a", record["texts"][0])
    assert len(record["texts"]) == 3


def test_half_a_character_of_an_answer_is_not_printed(minillm, agreeing):
    for option in ([], ["--stream"], ["--beams", "1"]):
        done = minillm("generate", agreeing, "a", "--max-tokens", "5", *option)
        assert done == (0, "好\n", "")


@pytest.mark.parametrize("option", ["--json", "--stream", "--temperature=1"])
def test_a_source_longer_than_the_context_is_said_and_cut(minillm, agreeing, option):
    for length, note in [(7, ""), (9, "not the last 2 of this source")]:
        code, out, err = minillm("generate", agreeing, "a" * length, option)
        assert (code, "好" in out) == (0, True)
        assert note in err if note else err == ""
