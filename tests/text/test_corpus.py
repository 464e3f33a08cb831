import hashlib
import os
import re
import subprocess
import sys

import pytest

from minillm.errors import DataError
from minillm.text.corpus import load_corpus
from minillm.text.sources import stdlib


def lines(n: int, word: str = "line") -> str:
    return "".join(f"{word} {i}\n" for i in range(n))


def write(path, content: str | bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


# A file


def test_a_file_gives_its_last_tenth_cut_at_a_line(tmp_path):
    text = lines(10_000)
    corpus = load_corpus(str(write(tmp_path / "text.txt", text)))
    assert corpus.train + corpus.val == text
    assert corpus.val.startswith("line ")
    assert 0.09 < len(corpus.val) / len(text) <= 0.10
    assert corpus.name == "text.txt"
    assert corpus.sha256 == hashlib.sha256(text.encode("utf-8")).hexdigest()
    assert corpus.n_bytes == len(text)


def test_a_small_file_gives_a_larger_share(tmp_path):
    corpus = load_corpus(write(tmp_path / "small.txt", lines(200)))
    assert 0.15 < len(corpus.val) / len(corpus.train + corpus.val) <= 0.25


def test_a_large_file_gives_no_more_than_a_million_characters(tmp_path):
    corpus = load_corpus(write(tmp_path / "large.txt", "0123456789abcde\n" * 700_000))
    assert 990_000 < len(corpus.val) <= 1_000_000


def test_text_without_lines_is_cut_between_two_characters(tmp_path):
    text = "灯塔图书馆🗼" * 5_000
    corpus = load_corpus(write(tmp_path / "one-line.txt", text))
    assert corpus.train + corpus.val == text
    assert len(corpus.val) == 4_096
    assert corpus.n_bytes == len(text.encode("utf-8"))
    assert corpus.sha256 == hashlib.sha256(text.encode("utf-8")).hexdigest()


def test_line_endings_stay_and_a_byte_order_mark_goes(tmp_path):
    text = lines(100).replace("\n", "\r\n")
    corpus = load_corpus(write(tmp_path / "dos.txt", b"\xef\xbb\xbf" + text.encode()))
    assert corpus.train + corpus.val == text


def test_printing_a_corpus_does_not_print_its_text(tmp_path):
    corpus = load_corpus(write(tmp_path / "text.txt", lines(100)))
    assert len(repr(corpus)) < 300


@pytest.mark.parametrize("content", [b"", b" \n\t\r\n", "\u3000\n".encode()])
def test_a_file_without_text_is_refused(tmp_path, content):
    path = write(tmp_path / "blank.txt", content)
    with pytest.raises(DataError, match=r"blank\.txt: holds no text"):
        load_corpus(path)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_is_not_utf8_is_refused_with_file_and_offset(tmp_path, mark):
    path = write(tmp_path / "latin.txt", mark + b"caf\xe9 au lait")
    with pytest.raises(
        DataError, match=rf"latin\.txt.*0xe9 at offset {len(mark) + 3};"
    ):
        load_corpus(path)


@pytest.mark.parametrize("name", ["no/such/file.txt", "stdlibs", ""])
def test_a_missing_file_is_refused_and_the_names_told(name):
    with pytest.raises(DataError, match=r"stdlib, tinyshakespeare") as caught:
        load_corpus(name)
    assert repr(name) in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(("name", "meant"), [("stdlb", "stdlib"), ("fakts", "facts")])
def test_the_nearest_name_is_told_for_a_mistyped_one(name, meant):
    with pytest.raises(DataError, match=f"'{name}': .* did you mean '{meant}'"):
        load_corpus(name)


# A folder


def test_a_folder_gives_whole_files_to_either_side(tmp_path):
    texts = [lines(100, f"file{i}") for i in range(40)]
    for i, text in enumerate(texts):
        write(tmp_path / f"{i % 3}" / f"{i}.txt", text)
    corpus = load_corpus(tmp_path)
    in_train = [text in corpus.train for text in texts]
    in_val = [text in corpus.val for text in texts]
    assert all(a != b for a, b in zip(in_train, in_val, strict=True))
    assert 4 <= sum(in_val) <= 6
    assert corpus.name == tmp_path.name


def test_a_folder_is_read_in_the_order_of_the_hashes_of_its_paths(tmp_path):
    paths = [f"{i % 3}/{i}.txt" for i in range(30)]
    for path in paths:
        write(tmp_path / path, f"<{path}>" * 50)
    corpus = load_corpus(tmp_path)
    read = re.findall(r"<(.*?)>", corpus.train)[::50]
    assert len(read) > 20
    by_hash = sorted(read, key=lambda path: hashlib.sha256(path.encode()).digest())
    assert read == by_hash


def test_hidden_and_blank_files_do_not_count(tmp_path):
    write(tmp_path / "seen.txt", lines(100))
    write(tmp_path / "blank.txt", "\n\n")
    write(tmp_path / ".DS_Store", b"\xff\xfe")
    write(tmp_path / ".git" / "object", b"\xff\xfe")
    corpus = load_corpus(tmp_path)
    assert corpus.train + corpus.val == lines(100)


def test_a_folder_of_one_file_is_cut_like_a_file(tmp_path):
    write(tmp_path / "only.txt", lines(5_000))
    corpus = load_corpus(tmp_path)
    assert corpus.train + corpus.val == lines(5_000)
    assert len(corpus.val) >= 4_000


@pytest.mark.parametrize("name", "abcdefgh")
def test_one_giant_file_does_not_go_to_validation(tmp_path, name):
    write(tmp_path / name, lines(10_000))
    for i in range(10):
        write(tmp_path / f"{i}.txt", lines(150, f"file{i}"))
    corpus = load_corpus(tmp_path)
    assert "line 9999\n" in corpus.train
    assert 0 < len(corpus.val) < len(corpus.train) / 4


def test_a_folder_without_text_is_refused(tmp_path):
    with pytest.raises(DataError, match="no file in it holds text"):
        load_corpus(tmp_path)


def test_a_file_of_a_folder_that_is_not_utf8_is_named(tmp_path):
    write(tmp_path / "good.txt", lines(10))
    write(tmp_path / "deep" / "latin.txt", b"caf\xe9")
    with pytest.raises(DataError, match=r"latin\.txt.*0xe9 at offset 3"):
        load_corpus(tmp_path)


# A name of the catalogue


def test_the_bilingual_sample_needs_no_download():
    corpus = load_corpus("bilingual")
    assert "lighthouse" in corpus.train
    assert "守塔人" in corpus.train
    assert len(corpus.val) > 1_000


def test_a_name_goes_before_a_path(tmp_path, monkeypatch):
    write(tmp_path / "bilingual", lines(100))
    monkeypatch.chdir(tmp_path)
    assert "lighthouse" in load_corpus("bilingual").train
    assert "line 0" in load_corpus("./bilingual").train


# The standard library


@pytest.fixture(scope="module")
def default():
    return load_corpus("stdlib")


def test_stdlib_is_some_ten_million_characters(default):
    assert 4_000_000 < default.n_bytes < 20_000_000
    assert default.note == f"Python {sys.version.split()[0]} standard library"
    both = (default.train + default.val).encode("utf-8")
    assert default.n_bytes == len(both)
    assert default.sha256 == hashlib.sha256(both).hexdigest()


def test_stdlib_gives_two_to_five_percent_to_validation(default):
    assert 200_000 < len(default.val) < 600_000
    assert 0.02 < len(default.val) / (len(default.train) + len(default.val)) < 0.05


def test_stdlib_gives_every_document_to_one_side_only(default):
    documents = stdlib.standard_library()
    texts = [text for text in documents.values() if len(text) > 500]
    in_val = [text in default.val for text in texts]
    assert sum(in_val) > 15
    for text, validated in zip(texts, in_val, strict=True):
        assert (text in default.train) != validated
        assert not validated or 1_000 <= len(text) <= 50_000


def test_stdlib_leaves_tests_packages_and_tables_out():
    documents = stdlib.standard_library()
    folders = {folder for path in documents for folder in path.split("/")[:-1]}
    assert not folders & {"test", "tests", "idle_test", "site-packages", "encodings"}
    assert not any("_sysconfigdata" in path for path in documents)
    assert "argparse.py" in documents
    digits = sum(sum(map(text.count, "0123456789")) for text in documents.values())
    assert digits < 0.02 * sum(map(len, documents.values()))


def test_stdlib_holds_the_prose_of_the_language_reference(default):
    assert "Assert statements are a convenient way to insert debugging" in default.train
    topics = {
        text
        for path, text in stdlib.standard_library().items()
        if path.startswith("pydoc_data/topics/")
    }
    assert len(topics) > 50
    assert not any(text in default.val for text in topics)


def test_stdlib_is_the_same_in_another_process(default):
    code = "from minillm.text.corpus import load_corpus as l; print(l('stdlib').sha256)"
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", code]
    other = subprocess.check_output(command, env=environment, text=True)
    assert other.strip() == default.sha256


def test_line_endings_of_windows_do_not_change_the_default_corpus(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(stdlib, "FEWEST_CHARACTERS", 1)
    monkeypatch.setattr(stdlib.sysconfig, "get_path", lambda name: str(tmp_path))
    write(tmp_path / "package" / "module.py", "x = 1\r\ny = 2\r\n")
    write(tmp_path / "broken.py", b"\xff\xff")
    documents = stdlib.standard_library()
    assert documents["package/module.py"] == "x = 1\ny = 2\n"
    assert "broken.py" not in documents


def test_a_python_without_sources_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(stdlib.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(DataError, match="ships without the sources"):
        load_corpus("stdlib")


def test_a_name_too_long_for_a_path_is_no_corpus():
    with pytest.raises(DataError, match="no such file or folder"):
        load_corpus("x" * 5000)
