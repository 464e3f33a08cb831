"""Characters without a token are told by every command that reads a text, once."""

import json

import pytest

from minillm_cli.main import main

SHAPE = ["--layers", "1", "--width", "16", "--context", "16", "--batch", "8"]
SHORT = [*SHAPE, "--steps", "2", "--device", "cpu", "--workers", "1"]
ENGLISH = "the sea is wide and she read of a lamp.\n" * 60
CHINESE = "灯塔很亮，她读着书。\n" * 60
MASKED = ["--objective", "mlm", "--arch", "bert"]
ANSWERING = ["--objective", "seq2seq"]
TOLD = "the model has no token for {} of the characters of {} ("


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of texts, and of runs that know the English letters."""
    folder = tmp_path_factory.mktemp("lost")
    rows = "".join(f"灯{i},{'甲' if i % 2 else '乙'}\n" for i in range(40))
    seas = ["the" + " sea" * (i + 1) for i in range(40)]
    pairs, plain = (
        "".join(f"{sea}\t{target}\n" for sea in seas) for target in ("灯灯灯", "wide")
    )
    for name, content in {
        "en.txt": ENGLISH,
        "zh.txt": CHINESE,
        "labels.csv": "text,label\n" + rows,
        "pairs.tsv": "source\ttarget\n" + pairs,
        "plain.tsv": "source\ttarget\n" + plain,
    }.items():
        (folder / name).write_text(content, encoding="utf-8")
    for name, argv in {
        "chars": ["--data", "en.txt", "--tokenizer", "chars"],
        "bytes": ["--data", "en.txt", "--tokenizer", "bytes"],
        "words": ["--data", "en.txt", "--tokenizer", "wordpiece", *MASKED],
        "pairs": ["--data", "plain.tsv", "--tokenizer", "chars", *ANSWERING],
    }.items():
        argv = [str(folder / a) if a.endswith((".txt", ".tsv")) else a for a in argv]
        assert main(["train", *SHORT, *argv, "--out", str(folder / name)]) == 0
    return folder


@pytest.mark.parametrize(
    ("argv", "share", "what"),
    [
        (
            ["train", "--base", "chars", "--data", "zh.txt", "--steps", "1"],
            "90.9%",
            "zh.txt",
        ),
        (
            ["finetune", "chars", "--data", "labels.csv", "--epochs", "1"],
            "100.0%",
            "labels.csv",
        ),
        (
            ["finetune", "pairs", "--task", "seq2seq", "--data", "pairs.tsv"],
            "3.4%",
            "pairs.tsv",
        ),
        (["eval", "chars", "--data", "zh.txt"], "90.9%", "zh.txt"),
        (["eval", "words", "--data", "zh.txt"], "100.0%", "zh.txt"),
        (["search", "chars", "--corpus", "zh.txt", "lamp"], "100.0%", "the corpus"),
        (["search", "chars", "--corpus", "en.txt", "灯"], "100.0%", "the query"),
        (["embed", "chars", "lamp", "灯塔很亮"], "50.0%", "the texts"),
        (["generate", "chars", "a 灯塔"], "50.0%", "the prompt"),
        (["generate", "pairs", "a 灯塔"], "50.0%", "the source"),
        (["fill", "words", "lamp 灯 [MASK]"], "20.0%", "the text"),
        (["attention", "chars", "lamp灯塔海海", "--json"], "50.0%", "the text"),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, list) else None,
)
def test_the_share_is_told_once(minillm, place, monkeypatch, argv, share, what):
    monkeypatch.chdir(place)
    out = f"out-{'-'.join(argv[:2])}"
    extra = {"train": ["--out", out], "finetune": ["--out", out, "--device", "cpu"]}
    code, _, err = minillm(*argv, *extra.get(argv[0], []))
    assert code == 0
    assert TOLD.format(share, what) in err
    assert err.count("has no token") == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["eval", "bytes", "--data", "zh.txt"],
        ["search", "bytes", "--corpus", "zh.txt", "灯"],
        ["generate", "bytes", "灯"],
        ["eval", "chars", "--data", "en.txt"],
        ["embed", "chars", "the lamp"],
        ["fill", "words", "the [MASK]"],
    ],
    ids=lambda argv: "-".join(argv[:2]),
)
def test_where_nothing_is_lost_nothing_is_told(minillm, place, monkeypatch, argv):
    monkeypatch.chdir(place)
    code, _, err = minillm(*argv)
    assert (code, err) == (0, "")


def test_bits_per_byte_are_none_where_characters_are_lost(minillm, place, monkeypatch):
    monkeypatch.chdir(place)
    record = json.loads(minillm("eval", "chars", "--data", "zh.txt", "--json")[1])
    assert record["val_bits_per_byte"] is None
    assert record["lost"] == pytest.approx(10 / 11)
    assert record["val_perplexity"] > 1
    record = json.loads(minillm("eval", "chars", "--json")[1])
    assert (record["val_bits_per_byte"] > 0, record["lost"]) == (True, 0)
    argv = ["train", *SHORT, "--data", "en.txt", "--tokenizer", "chars", "--vocab", "2"]
    code, out, err = minillm(*argv, "--out", "two", "--json")
    record = json.loads(out)
    assert record["results"]["val_bits_per_byte"] is None
    lost = 1 - ENGLISH.count(" ") / len(ENGLISH)
    assert record["data"]["lost"]["train"] == pytest.approx(lost, abs=0.01)
    assert TOLD.format(f"{lost:.1%}", "en.txt") in err
    assert "bits" not in err
    # what is not in the training part alone is lost of the other too
    (place / "both.txt").write_text(ENGLISH * 4 + CHINESE, encoding="utf-8")
    code, out, err = minillm(*argv[:-2], "--data", "both.txt", "--out", "b", "--json")
    record = json.loads(out)
    assert (record["data"]["lost"]["train"], code) == (0, 0)
    assert record["data"]["lost"]["val"] > 0
    assert record["results"]["val_bits_per_byte"] is None
    assert "no token for" in err


@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_no_hint_ends_in_a_space(minillm, place, monkeypatch, objective):
    monkeypatch.chdir(place)
    argv = ["train", *SHORT, "--data", "en.txt", "--objective", objective]
    told = minillm(*argv, "--out", f"hint-{objective}")[2].splitlines()[-1]
    if objective == "clm":
        assert told == "next: minillm generate hint-clm the"
    else:
        assert told == "next: minillm fill hint-mlm 'the [MASK]'"
