"""Control characters of a text, a label or a name: a terminal shows them, and what is
piped is the same to the last byte."""

import json
import os
import re
import sys

import pytest

from minillm.visible import fit_for_xml, visible, visible_json

pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")

EVIL = "red \x1b[31m title \x1b]0;x\x07 c1 \x9b31m bidi \u202eabc\u2069 del \x7f\r"
SHOWN = r"red \x1b[31m title \x1b]0;x\x07 c1 \x9b31m bidi \u202eabc\u2069 del \x7f\x0d"
# What Rich and Python's input() have to say to a terminal: bold, colours of its own,
# the place of the cursor.
OWN = re.compile(
    r"\x1b\[(0|1|2|3\d;?|9\d|[\d;]*m)*m|\x1b\[\d*[ABCDGJK]|\x1b\[\?\d+[hl]|\r"
)


def on_a_terminal(*argv: str, typed: str = "") -> tuple[int, str]:
    """The exit code of a command, and all that its terminal was sent."""
    process, terminal = pty.fork()
    if not process:
        os.execv(sys.executable, [sys.executable, "-m", "minillm", *argv])
    if typed:
        os.write(terminal, typed.encode())
    sent = b""
    try:
        while part := os.read(terminal, 1 << 16):
            sent += part
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return code, sent.decode("utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory, request):
    """A folder with texts and labels that hold escapes, and a run that learned one."""
    from minillm import train

    folder = tmp_path_factory.mktemp("evil")
    (folder / "evil.txt").write_text(f"{EVIL}\n" * 300, encoding="utf-8", newline="\n")
    rows = [
        f"text {i} \x1b[31m\t{'good' if i % 2 else EVIL.strip()}" for i in range(40)
    ]
    (folder / "rows.tsv").write_text("\n".join(rows), encoding="utf-8", newline="\n")
    options = {"layers": 1, "width": 16, "context": 16, "batch": 4, "steps": 40}
    options |= {"tokenizer": "chars", "device": "cpu", "workers": "1"}
    data = str(folder / "evil.txt")
    train(data=data, out=str(folder / "run\x1b[31m"), **options, draw=False)
    return folder


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


RUN = "run\x1b[31m"
# (the command, what is typed, exit code, whether it has something to show)
COMMANDS = [
    (["data", "show", "evil.txt"], "", 0, True),
    (["data", "show", "rows.tsv"], "", 0, True),
    (["data", "show", "evil.txt", "--json"], "", 0, False),
    (["generate", RUN, EVIL, "--max-tokens=9"], "", 0, True),
    (["generate", RUN, EVIL, "--max-tokens=9", "--stream"], "", 0, True),
    (["search", RUN, "red", "--corpus", "evil.txt"], "", 0, True),
    (["eval", RUN], "", 0, True),
    (["compare", RUN, RUN], "", 0, True),
    (["chat", RUN, "--max-tokens=9"], "a\n\x04", 0, False),
    (["finetune", RUN, "--data=rows.tsv", "--epochs=1", "--out=tuned"], "", 0, True),
    (["classify", "tuned", "text 1"], "", 0, True),
    (["generate", "no such \x1b[31m \x9b", "x"], "", 3, True),
    (["train", "--data", "no such \x1b]0;x\x07"], "", 3, True),
    (["generate", RUN, "x", "--no-such\x1b[31m"], "", 2, True),
]
SLOW = "search", "eval", "finetune", "classify"


@pytest.mark.parametrize(
    ("argv", "typed", "code", "shows"),
    [
        pytest.param(
            *row,
            id=" ".join(row[0][:2]).replace("\x1b", ""),
            marks=pytest.mark.slow if row[0][0] in SLOW else (),
        )
        for row in COMMANDS
    ],
)
def test_a_terminal_obeys_no_text(here, argv, typed, code, shows):
    got, sent = on_a_terminal(*argv, typed=typed)
    assert got == code, sent
    # What was typed comes back as it is: that is the terminal's own doing.
    left = OWN.sub("", sent).replace("\n", "").replace("\x04", "").replace("\x08", "")
    assert visible(left) == left
    assert "\x1b[31m" not in sent
    assert not shows or re.search(r"\\x(1b|9b|0d|07)", sent), sent


def test_what_is_piped_is_the_same_to_the_last_byte(here, spawn):
    out = spawn("data", "show", "evil.txt").stdout.decode("utf-8")
    assert out.split("\n\n")[-1].startswith(f"{EVIL}\n{EVIL}\n") or f"{EVIL}\n" in out
    written = spawn("generate", RUN, EVIL, "--max-tokens=1").stdout.decode("utf-8")
    assert written.startswith(EVIL)
    record = json.loads(spawn("data", "show", "evil.txt", "--json").stdout)
    assert record["beginning"].startswith(f"{EVIL}\n")


def test_json_on_a_terminal_is_json(here):
    _, sent = on_a_terminal("data", "show", "evil.txt", "--json")
    assert json.loads(sent)["beginning"].startswith(f"{EVIL}\n")


def test_characters_and_their_codes():
    assert visible(EVIL) == SHOWN
    assert visible("a\tb\n海 é 😀 \u200d") == "a\tb\n海 é 😀 \u200d"
    assert fit_for_xml("\ud800 \ufffe \x00 <") == r"\ud800 \ufffe \x00 <"
    assert json.loads(visible_json(json.dumps(EVIL, ensure_ascii=False))) == EVIL
    marks = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u2066\u2067\u2068"
    assert not set(marks) & set(visible(marks))
