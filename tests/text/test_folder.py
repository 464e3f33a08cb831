"""The files below a folder: links out of it are refused, other files said."""

import gzip
import os
import zipfile

import pytest

from minillm.errors import DataError, UsageError
from minillm.text import load_corpus
from minillm.text.data_spec import following
from minillm.text.sources.folder import files_below

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


@pytest.fixture
def place(tmp_path):
    """A folder of three texts beside one that is private."""
    for path in ("in/a/1", "in/a/2", "in/3", "in/.h/hidden", "out/diary", "out/d/x"):
        file = tmp_path / f"{path}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{path} is a text.\n")
    return tmp_path


def names(folder, **options) -> list[str]:
    found = files_below(folder, **options)
    return sorted(path.relative_to(folder).as_posix() for path in found)


OUT = {
    "a file": {"link": "../out/diary.txt"},
    "an absolute path": {"link": "{place}/out/diary.txt"},
    "a folder": {"link": "../out"},
    "a chain": {"a/one": "../two", "two": "../out/diary.txt"},
    "a folder in a folder": {"a/link": "../../out/d"},
    "the folder above": {"link": ".."},
    "nothing": {"link": "../nowhere"},
    "a folder of a name that begins alike": {"link": "../in2"},
}


@pytest.mark.parametrize("links", OUT.values(), ids=OUT)
def test_a_link_out_of_the_folder_is_refused_by_name(place, links):
    (place / "in2").mkdir()
    for name, target in links.items():
        (place / "in" / name).symlink_to(target.format(place=place))
    with pytest.raises(
        DataError, match=r"leads out of .*; give data=.*:links=follow'"
    ) as error:
        load_corpus(place / "in")
    assert any(str(place / "in" / name) in str(error.value) for name in links)
    if links != OUT["nothing"]:
        assert set(names(place / "in", follow_links=True)) >= {"3.txt", "a/1.txt"}
        load_corpus(f"{place / 'in'}:links=follow")


IN = {
    "a file": ({"link.txt": "a/1.txt"}, ["link.txt"]),
    "a folder": ({"link": "a"}, []),
    "itself": ({"link": "."}, []),
    "a hidden folder": ({"link": ".h"}, ["link/hidden.txt"]),
    "a chain": ({"one": "a/two", "a/two": "../3.txt"}, ["a/two", "one"]),
    "out and in again": ({"link": "../in/a/1.txt"}, ["link"]),
    "a hidden link": ({".link": "../out/diary.txt"}, []),
}


@pytest.mark.parametrize(("links", "more"), IN.values(), ids=IN)
@pytest.mark.parametrize("follow", [False, True])
def test_a_link_that_stays_in_the_folder_is_read_once(place, links, more, follow):
    for name, target in links.items():
        (place / "in" / name).symlink_to(target)
    expected = sorted(["3.txt", "a/1.txt", "a/2.txt", *more])
    assert names(place / "in", follow_links=follow) == expected


def test_links_are_followed_where_that_is_asked_for(place):
    (place / "in" / "link").symlink_to("../out")
    (place / "out" / "back").symlink_to("../in")
    found = names(place / "in", follow_links=True)
    assert found == ["3.txt", "a/1.txt", "a/2.txt", "link/d/x.txt", "link/diary.txt"]


def test_the_folder_itself_may_be_a_link(place, monkeypatch):
    (place / "link").symlink_to("in")
    assert names(place / "link") == ["3.txt", "a/1.txt", "a/2.txt"]
    monkeypatch.chdir(place / "link")
    assert load_corpus(".").sha256 == load_corpus(place / "in").sha256


def test_what_follows_links_may_name_columns_too(place):
    (place / "in" / "link").symlink_to("../out")
    data = f"{place / 'in'}:text=body"
    for how in (following(data), following(following(data)), f"{data},links=follow"):
        assert how == f"{data},links=follow"
        assert load_corpus(how).note == "a folder of 5 text files"
    assert following("stdlib") == "stdlib"


def test_links_that_are_neither_followed_nor_refused_are_a_mistake(place):
    with pytest.raises(
        UsageError, match="links=yes is not understood; give links=foll"
    ):
        load_corpus(f"{place / 'in'}:links=yes")


# Files that are no text

PICTURE = b"\x89PNG\r\n\x1a\n\0\0"
NO_TEXTS = {
    "b.png": (PICTURE, "a picture"),
    "c.pdf": (b"%PDF-1.7\n", "a PDF"),
    "d.parquet": (b"PAR1\0\xff", "Parquet"),
    "e.bin": (b"\0\1\2\xff", "binary"),
    "f.xls": (b"\xd0\xcf\x11\xe0\0", "an old Office file"),
    "g.docx": (b"PK\x03\x04\0 word/document.xml", "a Word document"),
    "h.npy": (b"\x93NUMPY\1\0", "a NumPy array"),
}


def told_of(names) -> str:
    listed = ", ".join(f"{name} ({NO_TEXTS[name][1]})" for name in names)
    return f"left out as no text, {len(NO_TEXTS)}: {listed}"


def test_files_that_are_no_text_are_left_out_and_said_once(place):
    alone = load_corpus(place / "in")
    with zipfile.ZipFile(place / "in.zip", "w") as packed:
        for name, (content, _) in NO_TEXTS.items():
            (place / "in" / name).write_bytes(content)
            packed.writestr(name, content)
        for path in alone_paths(place / "in"):
            packed.write(place / "in" / path, path)
    for data in (place / "in", place / "in.zip"):
        corpus = load_corpus(data)
        assert corpus.sha256 == alone.sha256
        assert corpus.notes == (f"{data}: {told_of(NO_TEXTS)}",)


def alone_paths(folder) -> list[str]:
    return [name for name in names(folder) if name.endswith(".txt")]


def test_a_folder_without_any_text_is_refused(tmp_path):
    (tmp_path / "b.png").write_bytes(PICTURE)
    with pytest.raises(
        DataError, match=r"no file in it holds text; b\.png \(a picture"
    ):
        load_corpus(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("café".encode("latin-1"), "caf.*not UTF-8: byte 0xe9 at offset 3"),
        (b"PK\x03\x04\0\xff", "is packed in a way that is not read: unpack it"),
        (bytes(257) + b"ustar", "is packed"),
    ],
)
def test_what_may_be_a_text_is_not_passed_over(place, content, words):
    (place / "in" / "caf").write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_corpus(place / "in")


def test_a_packed_file_of_a_folder_is_read(place):
    alone = load_corpus(place / "in").n_bytes
    (place / "in" / "b.txt.gz").write_bytes(gzip.compress(b"twelve bytes"))
    assert load_corpus(place / "in").n_bytes == alone + len(b"\ntwelve bytes")
