"""Texts as they come: what is no text is refused in a line, what is odd trains."""

import json
import lzma
import os
from pathlib import Path

import pytest

from minillm.text.table_files.columns import BadRow
from minillm.text.table_files.delimited import read_cells

LINE = "She read all the books of the sea. 她读海。\n"

# (what is wrong, the bytes of the file, exit code, what the user sees)
TEXTS = [
    ("empty", b"", 3, r"text\.txt: holds no text"),
    ("nothing but white space", b" \t\r\n\n" * 500, 3, "holds no text"),
    ("shorter than a context", b"A short one.", 3, "text"),
    ("in Latin-1", "café au lait. ".encode("latin-1") * 99, 3, "not UTF-8.*0xe9"),
    ("in UTF-16", (LINE * 99).encode("utf-16"), 0, ""),
    ("in UTF-32", (LINE * 99).encode("utf-32"), 0, ""),
    ("in UTF-16 without its mark", ("a line\n" * 99).encode("utf-16-le"), 3, "UTF-16"),
    ("of half a character in UTF-16", b"\xff\xfea", 3, "not UTF-16: byte 0x61 at off"),
    (
        "packed by xz",
        lzma.compress(LINE.encode()),
        3,
        "text.txt: is packed.* unpack it",
    ),
    ("packed by 7z", b"7z\xbc\xaf\x27\x1c" + bytes(99), 3, "is packed"),
    ("with a UTF-8 mark", b"\xef\xbb\xbf" + (LINE * 99).encode(), 0, ""),
    ("with a half surrogate pair", b"one \xed\xa0\x80 two\n" * 99, 3, "not UTF-8"),
    ("with NUL", b"one\0two " * 300, 0, ""),
    ("with line ends of Windows", LINE.encode().replace(b"\n", b"\r\n") * 99, 0, ""),
    ("a million empty lines", b"\n" * 1_000_000 + LINE.encode() * 9, 0, ""),
    ("a line of two megabytes", b"word " * 400_000, 0, ""),
    ("the names of special tokens", b"<|end|> [MASK] [PAD] [CLS] </s>\n" * 99, 0, ""),
]


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        pytest.param(
            *row[1:],
            id=row[0],
            marks=pytest.mark.slow if len(row[1]) > 1_000_000 else (),
        )
        for row in TEXTS
    ],
)
def test_a_text_is(sees, here, quick, content, code, says):
    (here / "text.txt").write_bytes(content)
    options = ["--data", "text.txt", "--out", "run", "--steps", "1"]
    sees(*quick, *options, code=code, says=says)
    assert (here / "run" / "run.json").exists() == (code == 0)


OBJECTIVES = ["clm", "mlm", "mlm+nsp"]
TINY = "One. Two.\n\nThree. Four.\n"
EMPTY_LINES = "\n" * 100_000
DOCUMENTS = "Snow fell. No boat came.\n\nRain fell. A boat came.\n\n" * 50

# (what is wrong, the text, what "clm" and "mlm" say, what "mlm+nsp" says)
PARTS = [
    ("too short for a part to train on", "ab" * 10, "the training text", "training"),
    ("too short for one to validate", TINY, "the validation text", "the training part"),
    ("one document of one line", "word " * 500, "", "two documents of two sentences"),
    (
        "very many empty lines at first",
        EMPTY_LINES + DOCUMENTS,
        "",
        "the training part",
    ),
    ("very many empty lines at last", DOCUMENTS + EMPTY_LINES, "", "validation part"),
]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("text", "says", "of_pairs"),
    [row[1:] for row in PARTS],
    ids=[row[0] for row in PARTS],
)
def test_an_objective_trains_or_says_which_part_lacks_what(
    sees, here, quick, objective, text, says, of_pairs
):
    (here / "text.txt").write_text(text)
    says = of_pairs if objective == "mlm+nsp" else says
    options = ["--data=text.txt", "--out=run", "--steps=1", f"--objective={objective}"]
    says = f"text.txt: .*{says}" if says else ""
    sees(*quick, *options, code=3 if says else 0, says=says)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_folder_of_one_file_is_cut_like_the_file(sees, here, quick, objective):
    (here / "texts").mkdir()
    (here / "texts" / "a.txt").write_text("One line. Another one.\n" * 99)
    options = ["--data=texts", "--out=run", "--steps=1", f"--objective={objective}"]
    alone = objective == "mlm+nsp"
    says = "texts: .*needs? two documents" if alone else ""
    sees(*quick, *options, code=3 if alone else 0, says=says)


@pytest.mark.parametrize("objective", ["mlm", "mlm+nsp"])
def test_a_batch_in_which_nothing_was_hidden_has_a_loss_of_zero(
    sees, here, quick, objective
):
    """One token a step, of which 85 in a hundred are not chosen; or one pair of two."""
    (here / "text.txt").write_text(DOCUMENTS)
    context = 1 if objective == "mlm" else 5
    options = [f"--objective={objective}", f"--context={context}", "--batch=1"]
    options += ["--data=text.txt", "--out=run", "--steps=20", "--eval-every=5"]
    sees(*quick, *options, code=0)
    lines = (here / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) >= 5
    assert all(isinstance(loss, float) and loss >= 0 for loss in losses)
    if objective == "mlm":
        assert 0 in losses


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs Unix")
def test_a_device_without_an_end_is_not_read(sees, here, quick):
    (here / "zero.tsv").symlink_to("/dev/zero")
    for data, objective in (("/dev/zero", "clm"), ("zero.tsv", "seq2seq")):
        options = [f"--data={data}", f"--objective={objective}", "--out=run"]
        sees(*quick, *options, code=3, says=f"{data}: is a device, not a file")


@pytest.mark.skipif(os.name == "nt", reason="its paths are short")
def test_folders_without_end_are_refused(sees, here, monkeypatch):
    for _ in range(300):
        os.mkdir("f")
        monkeypatch.chdir("f")
    Path("a.txt").write_text(LINE, "utf-8")
    monkeypatch.chdir(here)
    sees("data", "show", "f", code=3, says="f: more than 200 folders in folders")


def test_a_row_of_too_many_cells():
    with pytest.raises(BadRow, match="10,001 cells, more than a row has: 10,000"):
        read_cells("\t" * 10_000, ".tsv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs Unix")
def test_a_pipe_in_a_folder_is_not_waited_for(sees, here, quick):
    (here / "texts").mkdir()
    (here / "texts" / "a.txt").write_text("One line. Another one.\n" * 99)
    os.mkfifo(here / "texts" / "pipe")
    says = "texts/pipe: is a pipe or a device"
    sees(*quick, "--data=texts", "--out=run", code=3, says=says)
