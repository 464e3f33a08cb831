"""The tokenizer.json of a run, damaged or exchanged: no command goes on with it."""

import json
import os

import pytest

from minillm.text import train_tokenizer

TEXT = "She read all the books of the sea. 她读海。\n" * 200
COMMANDS = [
    ["generate", "run", "She"],
    ["eval", "run"],
    ["train", "--base=run", "--data=text.txt", "--out=new"],
]


def with_keys(**keys):
    return lambda text: json.dumps({**json.loads(text), **keys})


def other(kind: str, **keys):
    """A new tokenizer of this kind, as tokenizer.json."""

    def written(_):
        train_tokenizer(kind, TEXT).save("other.json")
        with open("other.json", encoding="utf-8") as file:
            return json.dumps({**json.load(file), **keys})

    return written


DAMAGED = r"run/tokenizer.json: cannot be read: "
FOREIGN = r"run/tokenizer.json: not a tokenizer of minillm"
SIZE = r"tokenizer.json has [0-9]+ tokens, the model 256: one of them belongs to anoth"
CHANGED = r"run/tokenizer.json: is not what this run was trained with .*changed, or bel"
UNIGRAM = {"model": {"type": "Unigram"}, "decoder": {"type": "ByteLevel"}}
HUGE = [{"id": 10**9, "content": "[X]", "special": True}]

# (what is wrong, what the file becomes, what the user sees)
FILES = [
    ("empty", lambda text: "", DAMAGED),
    ("truncated", lambda text: text[: len(text) // 2], DAMAGED),
    ("NUL", lambda text: "\0" * 99, DAMAGED),
    ("half a character", lambda text: b"\xff\xfe" + text.encode(), DAMAGED),
    ("deeply nested", lambda text: '{"kind":' * 99_999, DAMAGED),
    ("a list", lambda text: "[]", FOREIGN),
    ("a number that is none", lambda text: "1e999", DAMAGED),
    ("specials of numbers", with_keys(specials=[1, 2]), FOREIGN),
    ("a special twice", with_keys(specials=["[X]", "[X]"]), FOREIGN),
    ("a template of another type", with_keys(template="[X] $A"), FOREIGN),
    (
        "a template without its special",
        with_keys(template={"single": "[X] $A"}),
        FOREIGN,
    ),
    ("half a surrogate pair", with_keys(specials=["\ud800"]), DAMAGED),
    ("100,000 specials", with_keys(specials=[f"[{i}]" for i in range(100_000)]), SIZE),
    ("of another kind", other("chars"), SIZE),
    ("of Hugging Face, no bpe", lambda text: json.dumps(UNIGRAM), FOREIGN),
    ("with an id of a thousand million", other("bpe", added_tokens=HUGE), FOREIGN),
    ("without merges", other("bpe", model=None), FOREIGN),
    ("with one byte more", lambda text: text + "\n", CHANGED),
]


@pytest.mark.parametrize(
    ("make", "says"), [row[1:] for row in FILES], ids=[row[0] for row in FILES]
)
def test_a_tokenizer_is_refused_that_is(sees, here, run, make, says):
    file = run / "tokenizer.json"
    content = make(file.read_text(encoding="utf-8"))
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    for command in COMMANDS:
        sees(*command, code=3, says=says)
    assert not (here / "new").exists()


def test_another_tokenizer_of_the_same_size_is_noticed(sees, here, quick, run):
    """Its ids mean other characters, and nothing would look wrong but the loss."""
    for name, text in (("a", "abcd\n"), ("b", "efgh\n")):
        (here / f"{name}.txt").write_text(text * 200)
        options = [f"--data={name}.txt", f"--out={name}", "--tokenizer=chars"]
        sees(*quick, *options, "--steps=1", code=0)
    os.replace("b/tokenizer.json", "a/tokenizer.json")
    sees("generate", "a", "abc", code=3, says="a/tokenizer.json: is not what this run")


def test_a_tokenizer_of_a_gigabyte_is_not_read(minillm, run):
    with open(run / "tokenizer.json", "wb") as file:
        file.truncate(1 << 30)  # which takes no room on the disk
    code, _, err = minillm("generate", "run", "She")
    assert code == 3
    assert "run/tokenizer.json: 1,073,741,824 bytes are too many" in err


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_tokenizer_without_an_end_is_not_read(sees, run, make):
    (run / "tokenizer.json").unlink()
    make(run / "tokenizer.json")
    sees(
        "generate",
        "run",
        "She",
        code=3,
        says=r"run/tokenizer\.json: is a (pipe|device), not a file",
    )


def test_an_error_does_not_quote_a_whole_file(sees, run):
    settings = {"kind": "bytes", "specials": [], "template": {"single": "$A " * 10_000}}
    (run / "tokenizer.json").write_text(json.dumps(settings), "utf-8")
    _, err = sees("embed", "run", "a", code=3, says="run/tokenizer.json: not a token")
    assert len(err) < 2_100
