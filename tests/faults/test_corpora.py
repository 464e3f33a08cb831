"""Texts as they come: what is no text is refused in a line, what is odd trains."""

import pytest

LINE = "She read all the books of the sea. 她读海。\n"

# (what is wrong, the bytes of the file, exit code, what the user sees)
TEXTS = [
    ("empty", b"", 3, r"text\.txt: holds no text"),
    ("nothing but white space", b" \t\r\n\n" * 500, 3, "holds no text"),
    ("shorter than a context", b"A short one.", 3, "text"),
    ("in Latin-1", "café au lait. ".encode("latin-1") * 99, 3, "not UTF-8.*0xe9"),
    ("in UTF-16", (LINE * 99).encode("utf-16"), 3, "UTF-16"),
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
    [row[1:] for row in TEXTS],
    ids=[row[0] for row in TEXTS],
)
def test_a_text_is(sees, here, quick, content, code, says):
    (here / "text.txt").write_bytes(content)
    sees(*quick, "--data", "text.txt", "--out", "run", code=code, says=says)
    assert (here / "run" / "run.json").exists() == (code == 0)
