"""A file of a corpus: JSON gives its texts, and what is read as it stands is said."""

import json

import pytest

from minillm.errors import DataError
from minillm.text import load_corpus
from minillm.text.text_file import read_lines

WORDS = "一二三 words and more words of it. " * 9
TEXTS = [f"{i}: {WORDS}" for i in range(30)]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name: str, content: str) -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
        return name

    return write


def lines(records) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def learnt(corpus) -> list[str]:
    """The texts of both parts."""
    return sorted(corpus.documents("train") + corpus.documents("val"))


JSON = "JSON, each text by itself"
JOINED = "(joined by a line break)"
RECORDS = {
    "texts": ([{"text": text} for text in TEXTS], TEXTS, ""),
    "strings": (TEXTS, TEXTS, ""),
    "texts with other keys": (
        [{"id": 1, "text": text, "url": "u"} for text in TEXTS],
        TEXTS,
        "; text from text; not read: id, url",
    ),
    "titles": (
        [{"title": "T", "text": text} for text in TEXTS],
        [f"T\n{text}" for text in TEXTS],
        f"; text from title + text {JOINED}",
    ),
    "texts of other names": (
        [{"content": text} for text in TEXTS],
        TEXTS,
        "",
    ),
    "paragraphs": (
        [{"text": [text, "b"]} for text in TEXTS],
        [f"{t}\nb" for t in TEXTS],
        "",
    ),
    "instructions": (
        [{"instruction": "a", "input": "", "output": text} for text in TEXTS],
        [f"a\n{text}" for text in TEXTS],
        f"; text from instruction + input + output {JOINED}",
    ),
    "conversations": (
        [
            {
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": t},
                ]
            }
            for t in TEXTS
        ],
        [f"a\n{text}" for text in TEXTS],
        f"; text from messages.before + messages.last {JOINED}",
    ),
}


@pytest.mark.parametrize(("records", "texts", "told"), RECORDS.values(), ids=RECORDS)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.ndjson", "array.json"])
def test_each_text_of_a_json_file_is_a_document(write, name, records, texts, told):
    content = json.dumps(records) if name == "array.json" else lines(records)
    corpus = load_corpus(write(name, content))
    assert learnt(corpus) == sorted(texts)
    assert corpus.notes == (f"{name}: {JSON}{told}",)
    assert corpus.note == f"a file of {len(texts)} texts"
    assert not set(corpus.documents("train")) & set(corpus.documents("val"))


def test_a_folder_reads_the_texts_of_its_json_files(write):
    for name, half in (("f/a.jsonl", TEXTS[:15]), ("f/b.jsonl", TEXTS[15:])):
        write(name, lines({"text": text} for text in half))
    write("f/c.txt", "more")
    corpus = load_corpus("f")
    assert learnt(corpus) == sorted([*TEXTS, "more"])
    assert corpus.notes == (f"f, a.jsonl, b.jsonl: {JSON}",)


def test_objects_without_a_text_are_left_out_and_said(write):
    records = [{"text": text} for text in TEXTS]
    records[3:3] = [{"text": None}, {"text": " "}, {"other": "a"}, {"text": 5}, 7]
    corpus = load_corpus(write("a.jsonl", lines(records)))
    assert learnt(corpus) == sorted(TEXTS)
    (told,) = corpus.notes
    assert "; left out without a text: line 4, 5, 6, 7, 8" in told


UNCHANGED = {
    "a.jsonl": (
        lines([{"a": 1, "b": "x"}] * 99),
        "its keys are a, b), read as it stan",
    ),
    "b.json": (
        "// no JSON\n" * 99,
        "JSON without a text that is known, read as it sta",
    ),
    "c.json": (
        json.dumps({"n": list(range(999))}),
        "its keys are n), read as it stands",
    ),
    "d.csv": (
        "text,label\n" + "a,b\n" * 99,
        "a table, read as it stands; FILE:text=NAME",
    ),
    "e.html": ("<!DOCTYPE html>" + "<p>a</p>\n" * 99, "HTML, read with its tags"),
    "f.txt": ("  <html>" + "<p>a</p>\n" * 99, "HTML, read with its tags"),
    "g.txt": (
        lines([{"text": "a"}] * 99),
        "looks like JSON, read as it stands; a name",
    ),
    "h.rtf": ("{\\rtf1" + "a \\par\n" * 99, "RTF, read with its commands"),
    "i.ipynb": ("no notebook\n" * 99, "no notebook that is known, read as it stands"),
    "j.ipynb": ("[1, 2]" + "\n" * 99, "no notebook that is known, read as it stands"),
}


@pytest.mark.parametrize(("name"), UNCHANGED)
def test_what_is_read_as_it_stands_says_what_it_looks_like(write, name):
    content, words = UNCHANGED[name]
    corpus = load_corpus(write(name, content))
    assert corpus.train + corpus.val == content
    (told,) = corpus.notes
    assert told.startswith(f"{name}: ")
    assert words in told


def test_a_plain_text_is_read_without_a_word(write):
    assert load_corpus(write("a.txt", WORDS)).notes == ()
    assert load_corpus(write("a.py", "x = {}\n" * 99)).notes == ()


@pytest.mark.parametrize("source", ["x = 1\ny = 2", ["x = 1\n", "y = 2"]])
@pytest.mark.parametrize("form", ["new", "old"])
def test_of_a_notebook_what_was_typed_is_read(write, source, form):
    cells = [{"cell_type": "code", "source": source, "outputs": ["iVBORw0KGgo"]}] * 40
    book = {"cells": cells, "nbformat": 4}
    if form == "old":
        cells = [{"input": source, "outputs": []}] * 40
        book = {"worksheets": [{"cells": cells}], "nbformat": 3}
    corpus = load_corpus(write("a.ipynb", json.dumps(book)))
    assert corpus.train + corpus.val == "\n".join(["x = 1\ny = 2\n"] * 40)
    assert corpus.notes == ("a.ipynb: a notebook: what was typed, not what came out",)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (lines({"text": text} for text in TEXTS) + '{"text": "a', 31),
        (json.dumps(TEXTS)[:-1], 1),
        (lines([{"text": "a"}]) + '{"text": "\\ud800"}', 2),
    ],
)
def test_json_that_breaks_off_is_refused_with_its_line(write, content, line):
    name = write("a.jsonl", content)
    with pytest.raises(DataError, match=rf"a\.jsonl, line {line}: "):
        load_corpus(name)


def test_a_column_can_be_asked_for(write):
    table = "id,body,by\n" + "".join(
        f'{i},"{text}",me\n' for i, text in enumerate(TEXTS)
    )
    records = lines({"id": 1, "msg": text} for text in TEXTS)
    for name, content, told in (
        ("a.csv:text=body", table, "text from body; not read: id, by"),
        ("a.tsv:text=2", table.replace(",", "\t"), "text from body; not read: id, by"),
        ("a.jsonl:text=msg", records, f"{JSON}; text from msg; not read: id"),
    ):
        path = write(name.partition(":")[0], content)
        corpus = load_corpus(name)
        assert learnt(corpus) == sorted(TEXTS) or name == "a.tsv:text=2"
        assert corpus.notes == (f"{path}: {told}",) or name == "a.tsv:text=2"
        with pytest.raises(DataError, match=r"line 1: no column 'x'|line 1: no 'x'"):
            load_corpus(f"{path}:text=x")


# A text a line

LINES = {
    "a.txt": ("a\n\nb\n", {1: "a", 3: "b"}, None),
    "a.csv": (
        "label,text\nx,a\n\ny,b\n",
        {2: "a", 4: "b"},
        "text from text; not read: lab",
    ),
    "b.csv": (
        "id,sentence\n1,a\n2,b\n",
        {2: "a", 3: "b"},
        "text from sentence; not read",
    ),
    "c.csv": ("a,b\nc,d\n", {1: "a,b", 2: "c,d"}, "a table, read as it stands"),
    "d.csv": ('a,"b\nc,d\n', {1: 'a,"b', 2: "c,d"}, "a table, read as it stands"),
    "a.jsonl": (lines([{"text": "a"}, {"text": "b"}]), {1: "a", 2: "b"}, JSON),
    "a.json": ('["a", " ", "b"]', {1: "a", 2: "b"}, JSON),
    "b.jsonl": (lines([{"x": 1}]), {1: '{"x": 1}'}, "read as it stands"),
    "c.jsonl": (
        lines([{"title": "t", "text": "a", "label": 1}]),
        {1: "a"},
        "text from text; not read: title, label",
    ),
    "d.jsonl": (
        lines([{"premise": "a", "hypothesis": "b", "label": 1}]),
        {1: "a\nb"},
        f"text from premise + hypothesis {JOINED}; not read: label",
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_a_table_of_texts_to_label_gives_the_texts_that_were_learnt(write, name):
    content, texts, words = LINES[name]
    notes = []
    assert read_lines(write(name, content), notes.append) == texts
    assert len(notes) == (words is not None)
    assert (words or "") in "".join(notes)
    assert read_lines(name) == texts
