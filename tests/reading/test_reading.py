"""The door for reading: what is read, what is refused, and in which words."""

import os
import socket
import threading
from pathlib import Path

import pytest

from minillm import reading
from minillm.errors import DataError
from minillm.json_files import (
    Damaged,
    distinct,
    read_json,
    read_lines,
    read_settings,
)
from minillm.kinds import NUMBER
from minillm.reading import Missing, read_bytes

POSIX = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
FINE = [
    (b"{}", {}),
    (b"\xef\xbb\xbf[1, 2.5, true, null]", [1, 2.5, True, None]),
    ('{"海": "\\ud83d\\ude00"}'.encode(), {"海": "😀"}),
    (b"[" * 50 + b"]" * 50, None),
    (b"9" * 100, int("9" * 100)),
]
# (what it is, the bytes, what is said of it)
WRONG = [
    ("nothing", b"", "line 1, not JSON (Expecting value)"),
    ("cut off", b'{"a":\n1', "line 2, not JSON (Expecting ',' delimiter)"),
    ("no UTF-8", b'{\n"\xff"}', "line 2, not UTF-8 (byte 0xff)"),
    ("a hundred thousand deep", b"[" * 100_000, "not JSON (nested too deeply)"),
    ("51 deep", b"[" * 51 + b"]" * 51, "not JSON (nested more than 50 deep)"),
    ("a key twice", b'{"a": 1, "a": 1}', "not JSON (the key 'a' is there twice)"),
    ("NaN", b"[NaN]", "not JSON (a number that is not finite, nan)"),
    ("minus infinity", b"[-Infinity]", "not JSON (a number that is not finite, -inf)"),
    ("1e999", b"1e999", "not JSON (a number that is not finite, inf)"),
    (
        "101 digits",
        b"1" + b"0" * 100 + b"0",
        "not JSON (a number of more than 100 digits)",
    ),
    ("5,000 digits", b"9" * 5_000, "not JSON (Exceeds the limit"),
    ("half a character", b'"\\ud800"', "not JSON (half a character, '\\ud800')"),
    ("half a key", b'{"\\udfff": 1}', "not JSON (half a character, '\\udfff')"),
]


def test_a_key_twice_among_many_is_found_at_once():
    pairs = [(f"{i}", 0) for i in range(200_000)]
    with pytest.raises(ValueError, match="the key '199999' is there twice"):
        distinct([*pairs, pairs[-1]])


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.json"


@pytest.mark.parametrize(("content", "value"), FINE)
def test_json_is_read(file, content, value):
    file.write_bytes(content)
    found = read_json(file)
    assert value is None or found == value


@pytest.mark.parametrize(
    ("content", "says"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_what_is_no_json_is_refused(file, content, says):
    file.write_bytes(content)
    with pytest.raises(Damaged) as caught:
        read_json(file)
    assert str(caught.value).startswith(f"{file}: cannot be read: {says}")


def device(path):
    path.symlink_to("/dev/zero")


def listening(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@POSIX
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "a pipe"),
        (device, "a device"),
        (os.mkdir, "a folder"),
        (listening, "a socket"),
    ],
)
def test_what_is_no_file_is_not_waited_for(tmp_path, monkeypatch, make, kind):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    path = Path("a.json")
    make(path)
    for read in (read_json, lambda path: list(read_lines(path))):
        with pytest.raises(DataError, match=rf"^a\.json: is {kind}, not a file$"):
            read(path)


def test_what_is_not_there_is_missing(tmp_path):
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(Missing, match="No such file"):
            read_json(path)


def test_a_file_has_a_largest_size(file):
    file.write_bytes(b"12345")
    assert read_bytes(file, 5) == b"12345"
    with pytest.raises(DataError, match=r"5 bytes are too many: .* at most 4$"):
        read_bytes(file, 4)


@pytest.mark.skipif(os.name == "nt", reason="blocks are not told there")
def test_a_file_of_holes_is_not_read(file):
    with file.open("wb") as opened:
        opened.write(b"one line\n")
        opened.truncate(1 << 33)
    with pytest.raises(DataError, match=r"8,589,934,592 bytes, of which only .* holes"):
        read_bytes(file, reading.TEXT)


def test_lines_are_read_but_for_one_that_a_crash_has_cut_off(file):
    file.write_bytes(b'{"a": 1}\r\n\n{"a": 2}\n{"a": "\xe6')
    assert list(read_lines(file)) == [{"a": 1}, {"a": 2}]
    file.write_bytes(b'{"a": 1}\n{"a":\n{"a": 3}\n')
    with pytest.raises(Damaged, match=r"a\.json: cannot be read: line 2, not JSON"):
        list(read_lines(file))
    file.write_bytes(b'{"a": 1}\n{"a": "x"}\n')
    with pytest.raises(Damaged, match=r"a\.json: line 2: a must be .*, got .x."):
        list(read_lines(file, {"a": NUMBER}))


DOTS = ".".join("a" * 102)


@pytest.mark.parametrize(
    "text",
    [
        f"{DOTS} = 1",
        f"[{DOTS}]",
        f"a = {{{DOTS} = 1}}",
        f'"\\"".{DOTS}."" = 1',
        f'x = ["""\'a"""", {{{DOTS} = 1}}, ""]',
        f'x = ["""\n\' """, {{{DOTS} = 1}}, "\'"]',
    ],
)
def test_a_key_of_a_hundred_parts_is_refused(tmp_path, text):
    """Its time grows with the square of them."""
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(Damaged, match="a line of more than 100 dots"):
        read_settings(file)


def test_dots_in_a_text_are_no_key(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text(f'a = """\n{DOTS}"""\nb = \'{DOTS}\' # {DOTS}\nc = "{DOTS}"')
    values = read_settings(file)
    assert values == dict.fromkeys("abc", DOTS)


@POSIX
def test_a_setting_may_come_through_a_pipe_that_somebody_writes_into(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=["a = 1"])
    writer.start()
    assert read_settings(path) == {"a": 1}
    writer.join()


@POSIX
def test_a_pipe_that_nobody_writes_into_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "PATIENCE", 0.05)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a pipe, and nothing comes through it"):
        read_bytes(tmp_path / "pipe", 9, pipe=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs Unix")
def test_a_pipe_that_took_the_place_of_a_file_is_not_waited_for(file, monkeypatch):
    os.mkfifo(file)
    monkeypatch.setattr(reading, "check_file", lambda *_: None)
    assert read_bytes(file, 100) == b""
