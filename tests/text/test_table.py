"""Tables: what a file may look like, what is refused, and which rows are held out."""

import csv
import hashlib
import io
import json
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.errors import DataError, UsageError
from minillm.text import load_table
from minillm.text.data_spec import Source
from minillm.text.table_files.rows import read_rows

GREETINGS = [
    ("good morning", "早上好"),
    ("good night", "晚安"),
    ("thank you", "谢谢"),
    ("see you", "再见"),
    ("you're welcome", "不客气"),
]
OPINIONS = [
    ("a fine book", "good"),
    ("I slept well", "good"),
    ("很好看", "good"),
    ("never again", "bad"),
    ("无聊", "bad"),
]


@pytest.fixture
def write(tmp_path):
    """A function that writes a file: its path."""

    def write(name: str, content: str | bytes):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rows(path, kind: str = "pairs") -> list[tuple[str, str]]:
    table = load_table(path, kind)
    return sorted(table.train + table.val)


def cells(pairs, delimiter: str = "\t") -> str:
    return "".join(f"{first}{delimiter}{second}\n" for first, second in pairs)


def objects(pairs, first: str = "source", second: str = "target") -> str:
    return "".join(
        json.dumps({first: a, second: b}, ensure_ascii=False) + "\n" for a, b in pairs
    )


# Formats


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", cells(GREETINGS)),
        ("a.TSV", "source\ttarget\n" + cells(GREETINGS)),
        ("a.csv", cells(GREETINGS, ",")),
        ("a.csv", cells(GREETINGS, ";")),
        ("a.csv", cells(GREETINGS, ", ")),
        ("a.csv", "Source; Target\n" + cells(GREETINGS, "; ")),
        ("a.csv", "target,source\n" + cells([pair[::-1] for pair in GREETINGS], ",")),
        ("a.csv", "id,answer,question\n" + cells((f"7,{b}", a) for a, b in GREETINGS)),
        ("a.tsv", "\n" + cells(GREETINGS) + "\n  \n"),
        ("a.tsv", cells(GREETINGS).rstrip()),
        ("a.tsv", cells([(a, f" {b}\t\t") for a, b in GREETINGS])),
        ("a.jsonl", objects(GREETINGS)),
        ("a.jsonl", "\n" + objects(GREETINGS, "Question", " answer ").rstrip()),
        ("a.jsonl", objects(GREETINGS, "document", "summary")),
    ],
)
def test_every_format_gives_the_same_rows(write, name, content, mark, ending):
    if name.endswith("csv") and content.startswith("id"):
        content = content.replace("\t", ",")
    path = write(name, mark + content.replace("\n", ending).encode())
    assert rows(path) == sorted(GREETINGS)


def test_the_same_rows_have_the_same_hash(write):
    tables = [
        load_table(write("a.tsv", cells(GREETINGS)), "pairs"),
        load_table(write("b.csv", "x,target,src\n" + cells(
            (f"1,{b}", a) for a, b in GREETINGS).replace("\t", ",")), "pairs"),
        load_table(write("c.jsonl", objects(GREETINGS)), "pairs"),
    ]  # fmt: skip
    assert len({table.sha256 for table in tables}) == 1
    table = tables[0]
    texts = [text for row in table.train + table.val for text in row]
    digest = hashlib.sha256("".join(f"{text}\0" for text in texts).encode())
    assert table.sha256 == digest.hexdigest()
    assert table.n_bytes == len("".join(texts).encode())
    assert (table.name, table.note) == ("a.tsv", "5 pairs")


def test_printing_a_table_does_not_print_its_rows(write):
    path = write("a.tsv", cells([(f"{i}", "x" * 100) for i in range(50)]))
    assert len(repr(load_table(path, "pairs"))) < 300


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20
).filter(str.strip)


@given(
    pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=5, max_size=9),
    delimiter=st.sampled_from([",", ";"]),
    header=st.booleans(),
)
def test_what_the_csv_module_writes_is_read_back(
    pairs, delimiter, header, tmp_path_factory
):
    names = {"source", "target", "text", "label"}
    pairs = [(f"{i}{a}", b) for i, (a, b) in enumerate(pairs)]
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter)
    if header:
        writer.writerow(["target", "extra", "source"])
        writer.writerows((b, "", a) for a, b in pairs)
    else:
        pairs[0] = (pairs[0][0], "first")  # not by chance the name of a column
        writer.writerows(pairs)
    assert not names & {a for a, _ in pairs}
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(file.getvalue().encode())
    assert rows(path) == sorted((a.strip(), b.strip()) for a, b in pairs)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=5, max_size=9))
def test_what_the_json_module_writes_is_read_back(tmp_path_factory, pairs):
    pairs = [(f"{i}{a}", b) for i, (a, b) in enumerate(pairs)]
    path = tmp_path_factory.getbasetemp() / "written.jsonl"
    path.write_bytes(objects(pairs).encode())
    assert rows(path) == sorted((a.strip(), b.strip()) for a, b in pairs)


def test_cells_in_quotes_may_hold_anything(write):
    content = 'source,target\r\n"a, ""b""\r\nc","\u2028,;\t"\r\n' + cells(
        GREETINGS, ","
    )
    assert ('a, "b"\r\nc', "\u2028,;\t".strip()) in rows(write("a.csv", content))


def test_a_semicolon_in_a_text_is_no_delimiter(write):
    pairs = [(f"one; two {i}", "x") for i in range(9)]
    assert rows(write("a.csv", cells(pairs, ","))) == pairs


def test_a_comma_in_a_text_is_no_delimiter(write):
    pairs = [(f"one{', two' * (i % 3)} {i}", "x") for i in range(9)]
    assert rows(write("a.csv", cells(pairs, ";"))) == sorted(pairs)


@pytest.mark.parametrize("title", ["", "Mine\n", "Mine, of 2026\n"])
def test_a_comma_in_every_row_is_no_delimiter(write, title):
    pairs = [(f"one, two {i}", "x") for i in range(9)]
    content = title + "source;target\n" + cells(pairs, ";")
    assert rows(write("a.csv", content)) == pairs


QUOTES = [
    [('"Hello," she said.', "早")],
    [('"I know.', '"Je sais.'), ('I saw it."', "Je l'ai vu.\"")],
    [('5" pipe', '"')],
]


@pytest.mark.parametrize("pairs", QUOTES)
def test_quotes_of_a_tsv_are_plain_characters(write, pairs):
    assert rows(write("a.tsv", cells(pairs + GREETINGS))) == sorted(pairs + GREETINGS)


def test_a_tsv_whose_cells_are_all_in_quotes_is_read_without_them(write):
    content = '"so ""quoted"""\t"two\nlines"\n' + cells(GREETINGS)
    assert ('so "quoted"', "two\nlines") in rows(write("a.tsv", content))


def test_labels_of_json_may_be_numbers_and_booleans(write):
    labels = [True, False, 1, 1.5, "1"] * 2
    texts = ((f"{i}", label) for i, label in enumerate(labels))
    table = load_table(write("a.jsonl", objects(texts, "text", "label")), "labels")
    counts = Counter(label for _, label in table.train + table.val)
    assert counts == {"true": 2, "false": 2, "1": 4, "1.5": 2}
    assert table.note == "10 texts in 4 classes"


README = (Path(__file__).parents[2] / "data" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("greetings.tsv", "pairs"),
        ("questions.csv", "pairs"),
        ("summaries.jsonl", "pairs"),
        ("opinions.csv", "labels"),
    ],
)
def test_the_examples_of_the_readme_are_what_they_say(tmp_path, name, kind):
    block = re.search(
        rf"{kind}`[^\n]*(?:\n[^\n]+)*{name}.*?\n\n(.*?)\n\n", README, re.S
    )
    lines = [line.removeprefix("    ") for line in block[1].split("\n")]
    path = tmp_path / name
    path.write_text("\n".join(lines), encoding="utf-8")
    found, notes = read_rows(Source(str(path)), kind)
    assert notes == []
    assert len(found) == (3 if name.endswith("jsonl") else 2)
    assert len({second for _, second in found}) == len(found)
    assert any(
        character > "\u4e00" for row in found for text in row for character in text
    )


# What is refused


@pytest.mark.parametrize(
    ("name", "content", "line", "words"),
    [
        ("a.tsv", "a\tb\nc\n", 2, "too few cells, 1, for source and target"),
        ("a.tsv", "a\nb\n", 1, r"too few cells, 1.*put '\\t' between"),
        ("a.csv", "a b\nc d\n", 1, "put ',' between"),
        ("a.csv", "source;target\na;b\nc\n", 3, "put ';' between"),
        ("a.csv", "a,b\nc,d,e\n", 2, "3 cells, and 2 in the first row; put quotes"),
        ("a.csv", "a,b\n\nc,\n", 3, "the target is empty"),
        ("a.tsv", "a\tb\n \tc\n", 2, "the source is empty"),
        ("a.csv", 'a,b\n"c\nd",""\ne,f\n', 2, "the target is empty"),
        ("a.csv", 'a,b\nc,d\n"e,f\n\n\n', 3, r'broken quotes.*"so ""quoted"" here"'),
        ("a.csv", 'a,b\n"c" d,e\n', 2, "broken quotes"),
        ("a.csv", 'a,b\n"' + "c" * 200_000 + '",d\n', 2, "more than 131,072"),
        ("a.csv", "a,b\0\n", 1, "the target holds a NUL byte"),
        ("a.tsv", "x\tsource\na\tb\n", 1, "one column only; name source and target"),
        ("a.csv", "text,label\na,b\n", 1, "those of labels, not of pairs"),
        ("a.jsonl", '\n["a", "b"]\n', 2, 'no JSON object; write {"source": "..."'),
        ("a.jsonl", '"a"', 1, "no JSON object"),
        ("a.jsonl", "a\tb\n", 1, r"not JSON \(Expecting value\); write"),
        ("a.jsonl", '{"source": "a", "target": "b"\n', 1, "not JSON"),
        ("a.jsonl", '{"source": "a", "tagret": "b"}', 1, "keys are 'source', 'tagret'"),
        ("a.jsonl", "{}", 1, "keys are none"),
        ("a.jsonl", '{"source": 1, "target": "b"}', 1, "the source is no text"),
        ("a.jsonl", '{"source": "a", "target": 2}', 1, "the target is no text"),
        ("a.jsonl", '{"source": "a", "target": null}', 1, "the target is no text"),
        ("a.jsonl", '{"source": "a", "target": " "}', 1, "the target is empty"),
        ("a.jsonl", '{"source": "a", "target": "\\u0000"}', 1, "a NUL byte"),
        ("a.jsonl", '{"source": "\\ud83d", "target": "b"}', 1, r"half a character"),
        ("a.jsonl", "[" * 100_000, 1, "not JSON"),
        ("a.jsonl", "9" * 5_000, 1, "not JSON"),
        ("a.jsonl", '{"source": "a", "source": "c"}\n', 1, "there twice"),
        ("a.jsonl", f'{{"source": "{"a" * 200_000}", "target": "b"}}', 1, "too long"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_with_its_line(write, name, content, line, words):
    path = write(name, content)
    with pytest.raises(DataError, match=words) as caught:
        load_table(path, "pairs")
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}: ")
    assert "\n" not in message
    assert len(message) < 300 + len(str(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", r"too few rows \(0\); give 5 or more"),
        ("\n \n", r"too few rows \(0\)"),
        ("text\tlabel\n", r"too few rows \(0\)"),
        (cells(OPINIONS[:4]), r"too few rows \(4\)"),
        (cells((a, "good") for a, _ in OPINIONS), "every label is 'good'"),
        (cells((a, a) for a, _ in OPINIONS), "nothing can be held out.*every label is"),
        ("a\tgood\n" * 9 + "b\tbad\n", "nothing can be held out"),
        ("source\ttarget\na\tb\n", "line 1: the columns are those of pairs"),
        ("text\tmood\na\tb\n", "line 1: a header that names one column only"),
        ("a\t\n", "line 1: the label is empty"),
    ],
)
def test_what_teaches_no_classes_is_refused(write, content, words):
    with pytest.raises(DataError, match=words) as caught:
        load_table(write("a.tsv", content), "labels")
    assert "\n" not in str(caught.value)


def test_one_source_alone_is_refused(write):
    content = cells(("same", f"{i}") for i in range(9))
    with pytest.raises(DataError, match="every source is equal"):
        load_table(write("a.tsv", content), "pairs")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tsv", b"caf\xe9\tb\n", "not UTF-8: byte 0xe9 at offset 3"),
        ("a.csv", "a,b\n".encode("utf-16-le"), "looks like UTF-16 without its mark"),
        ("a.csv", b"PK\x03\x04 xl/workbook.xml \0\xff", "is an Excel workbook: save"),
        ("a.csv", b"PAR1\0\xff", "is Parquet: save it as JSON lines"),
        ("a.txt", b"a\tb\n", r"ends in \.tsv, \.csv or \.jsonl"),
        ("pairs", b"a\tb\n", r"ends in \.tsv, \.csv or \.jsonl"),
    ],
)
def test_a_file_of_another_kind_is_refused(write, name, content, words):
    with pytest.raises(DataError, match=words):
        load_table(write(name, content), "pairs")


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no such file, nor .*\(copy, reverse, number"):
        load_table("no/such.tsv", "pairs")
    with pytest.raises(DataError, match=r"no such file, nor .*\(languages\)"):
        load_table("", "labels")
    with pytest.raises(DataError, match="no such file"):
        load_table("long" * 2_000, "pairs")
    with pytest.raises(DataError, match="a folder; give one file"):
        load_table(tmp_path, "pairs")


def test_a_kind_that_is_none_is_refused(write):
    for data in (write("a.tsv", cells(GREETINGS)), "reverse"):
        with pytest.raises(UsageError, match="pairs and labels"):
            load_table(data, "texts")


# Which rows are held out


NUMBERED = [(f"text {i}", f"answer {i}") for i in range(1_000)]


def split(write, pairs, kind: str = "pairs") -> tuple[Counter, Counter]:
    second = {"pairs": "answer", "labels": "label"}[kind]
    table = load_table(write("split.jsonl", objects(pairs, "text", second)), kind)
    assert Counter(table.train + table.val) == Counter(pairs)
    return Counter(table.train), Counter(table.val)


def test_a_tenth_is_held_out(write):
    train, val = split(write, NUMBERED)
    assert (train.total(), val.total()) == (900, 100)
    train, val = split(write, NUMBERED[:5])
    assert (train.total(), val.total()) == (4, 1)


def test_the_same_rows_are_held_out_on_every_machine(write):
    _, val = split(write, NUMBERED[:30])
    assert sorted(source for source, _ in val) == ["text 12", "text 19", "text 26"]


def test_both_parts_keep_the_order_of_the_file(write):
    table = load_table(write("a.tsv", cells(NUMBERED)), "pairs")
    for part in (table.train, table.val):
        assert part == sorted(part, key=NUMBERED.index)


@given(
    labels=st.lists(st.sampled_from("aaabbc"), min_size=5, max_size=80),
    kind=st.sampled_from(["pairs", "labels"]),
    repeats=st.integers(1, 4),
    seed=st.randoms(use_true_random=False),
)
def test_which_rows_are_held_out_does_not_depend_on_their_order(
    tmp_path_factory, labels, kind, repeats, seed
):
    pairs = [(f"t{i // repeats}", label) for i, label in enumerate(labels)]
    path = tmp_path_factory.getbasetemp() / "order.tsv"
    # Else a label that stands in the first row only is taken for a header.
    header = [("source", "target") if kind == "pairs" else ("text", "label")]
    parts = []
    for _ in range(2):
        path.write_text(cells([*header, *pairs]), encoding="utf-8")
        try:
            table = load_table(path, kind)
        except DataError as error:
            parts.append(str(error))
        else:
            parts.append((Counter(table.train), Counter(table.val)))
            check_split(table, kind)
        seed.shuffle(pairs)
    assert parts[0] == parts[1]


def check_split(table, kind: str) -> None:
    """What every split keeps."""
    assert table.train
    assert table.val
    sources = {source for source, _ in table.val}
    assert sources.isdisjoint(source for source, _ in table.train)
    if kind == "labels":
        labels = {label for _, label in table.train}
        assert labels >= {label for _, label in table.val}


def test_every_class_has_its_share_held_out(write):
    sizes = {"often": 600, "seldom": 300, "rare": 95, "once": 1, "five": 4}
    labels = [label for label, n in sizes.items() for _ in range(n)]
    _, val = split(write, [(f"{i}", x) for i, x in enumerate(labels)], "labels")
    assert val.total() == 100
    counts = Counter(label for _, label in val.elements())
    assert counts == {"often": 60, "seldom": 30, "rare": 10}


def test_equal_sources_stay_together_even_where_they_are_many(write):
    pairs = [(f"{i % 3}", f"{i}") for i in range(30)]
    _, val = split(write, pairs)
    assert len({source for source, _ in val}) == 1
    assert val.total() == 10


# Time


@pytest.mark.slow
def test_large_files_take_no_longer_than_they_are_large(write):
    """Eight megabytes each, in rows, in an open quote and in one line: seconds. What
    grows with the square of it would take hours."""
    began = time.perf_counter()
    content = cells(((f"text {i}", f"{i}") for i in range(200_000)), ",")
    load_table(write("a.csv", content), "pairs")
    for content in ('"' + "a\n" * 4_000_000, "a" * 8_000_000):
        for name in ("a.csv", "a.tsv"):
            with pytest.raises(DataError, match="line 1: "):
                load_table(write(name, content), "pairs")
    assert time.perf_counter() - began < 60
