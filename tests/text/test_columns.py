"""Which columns of a file are read for what, and that the user hears of it."""

import csv
import gzip
import io
import json

import pytest

from minillm.errors import DataError, UsageError
from minillm.text import load_table
from minillm.text.data_spec import Source
from minillm.text.table_files.columns import FORMS, choose

N = 12
KINDS = "good", "bad"
ROWS = "".join(f"thing {i},{KINDS[i % 2]}\n" for i in range(N))
OTHERS = ROWS.replace("thing", "stuff")
ROW = "line 1 is a row, for it names no columns"
HEADER = (
    "line 1 ({}) is taken for a header, for its label is on no other text; if it is a "
    "row, put a header above it (text, label)"
)


@pytest.fixture
def read(tmp_path, monkeypatch):
    """A function that reads a file: its rows, and what is said of it."""
    monkeypatch.chdir(tmp_path)

    def read(name, content, kind, how="", **options):
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(content)
        table = load_table(f"{name}{how}", kind, **options)
        told = [note.removeprefix(f"{name}: ") for note in table.notes]
        return sorted(table.train + table.val), "; ".join(told)

    return read


def cells(*rows, delimiter=","):
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return file.getvalue()


def objects(*records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


# Headers

THINGS = [(f"thing {i}", KINDS[i % 2]) for i in range(N)]
STUFF = [(f"stuff {i}", KINDS[i % 2]) for i in range(N)]
FEW = "".join(f"t {i},{'help' if i < 2 else KINDS[i % 2]}\n" for i in range(800))
HEADERS = {
    "a title": (
        "Survey 2026\ntext,label\n" + ROWS,
        "line 1 above the header: not read",
    ),
    "titles of several cells": (
        "Survey,2026\nBy,Mei,Tokyo\ntext,label\n" + ROWS,
        "lines 1, 2 above the header: not read",
    ),
    "a comment with commas": (
        "# by Mei, 2026, for us\n\ntext,label\n" + ROWS,
        "line 1 above the header: not read",
    ),
    "a title in a quoted cell of two lines": (
        '"Survey\n2026"\ntext,label\n' + ROWS,
        "line 1 above the header: not read",
    ),
    "none": (ROWS, ""),
    "unknown names": ("a1,b1\n" + ROWS, HEADER.format("a1, b1")),
    "unknown names, numbers below": (
        "a1,b1\n" + ROWS.replace("good", "1").replace("bad", "2.5"),
        HEADER.format("a1, b1"),
    ),
    "the line of Excel": ("sep=;\r\ntext;label\r\n" + ROWS.replace(",", ";"), ""),
    "pipes": (("text|label\n" + ROWS).replace(",", "|"), ""),
    "tabs in a .csv": (("text\tlabel\n" + ROWS).replace(",", "\t"), ""),
    "other case": ("TEXT, Label \n" + ROWS, ""),
    "the column that pandas adds": (
        ",text,label\n" + "".join(f"{i},{a},{b}\n" for i, (a, b) in enumerate(THINGS)),
        "text from text, label from label; not read: column 1",
    ),
    "empty columns behind": (
        "text,label,,\n" + ROWS.replace("\n", ",,\n"),
        "",
    ),
}


@pytest.mark.parametrize(("content", "told"), HEADERS.values(), ids=HEADERS)
def test_a_header_is_found_and_what_is_not_plain_is_said(read, content, told):
    rows, said = read("a.csv", content, "labels")
    texts = {"1": "good", "2.5": "bad"}
    assert [(a, texts.get(b, b)) for a, b in rows] == sorted(THINGS)
    assert said == told


TWO_FILES = {
    "with a header each": ("text,label\n" + ROWS + "text,label\n" + OTHERS, ""),
    "in other case": ("text,label\n" + ROWS + "Text,LABEL\n" + OTHERS, ""),
    "with a mark each": (
        "\ufefftext,label\n" + ROWS + '\ufeff"text","label"\n' + OTHERS,
        "",
    ),
    "with unknown names": (
        "a1,b1\n" + ROWS + "a1,b1\n" + OTHERS,
        HEADER.format("a1, b1") + "; ",
    ),
}


@pytest.mark.parametrize(("content", "told"), TWO_FILES.values(), ids=TWO_FILES)
def test_the_header_of_a_second_file_is_no_row(read, content, told):
    rows, said = read("a.csv", content, "labels")
    assert rows == sorted(THINGS + STUFF)
    assert said == f"{told}line {N + 2}: the header again"


REFUSED = {
    "another header": (
        "text,label\n" + ROWS + "label,text\na,b\n",
        f"line {N + 2}: a header in the middle",
    ),
    "a header below rows": (
        ROWS + "text,label\n" + OTHERS,
        "line 13: a header in the middle",
    ),
    "a title and no header": ("Survey\n" + ROWS, "line 1: too few cells, 1"),
    "a first label alone beside another": (
        "a1,b1\n" + ROWS + "once more,rare\n",
        "line 1: 'b1' is the label of this row alone; if it is a header, name the",
    ),
    "a name twice": ("text,label,Text\n" + ROWS, "two columns are called 'text'"),
}


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED)
def test_what_may_be_a_header_or_a_row_is_refused_with_its_line(read, content, words):
    with pytest.raises(DataError, match=r"a\.csv, ") as caught:
        read("a.csv", content, "labels")
    assert words in str(caught.value)


def test_a_word_above_numbers_is_a_header_though_a_number_is_alone(read):
    content = "a1,b1\n" + ROWS.replace("good", "1").replace("bad", "2") + "once,3\n"
    rows, said = read("a.csv", content, "labels")
    assert {label for _, label in rows} == {"1", "2", "3"}
    assert said == HEADER.format("a1, b1")


def test_a_title_above_pairs_without_a_header_is_refused(read):
    with pytest.raises(DataError, match="line 1: too few cells, 1, for source and tar"):
        read("a.csv", "Survey\n" + ROWS, "pairs")


def test_a_class_of_few_rows_does_not_hide_a_header(read):
    rows, said = read("a.csv", "a1,b1\n" + FEW, "labels")
    assert len(rows) == 800
    assert {label for _, label in rows} == {"help", *KINDS}
    assert said == HEADER.format("a1, b1")


@pytest.mark.parametrize("first", ["good", "bad", "GOOD", "3", "-1.5"])
def test_a_first_row_with_the_label_of_another_or_a_number_is_a_row(read, first):
    rows, said = read("a.csv", f"new,{first}\n" + ROWS, "labels")
    assert ("new", first) in rows
    assert said == ("" if first in KINDS else ROW)


def test_a_label_that_the_model_knows_makes_no_header(read):
    content = "fine,good\nnever,bad\ndull,bad\n"
    rows, said = read("a.csv", content, "labels", whole=True, known_labels=KINDS)
    assert len(rows) == 3
    assert said == ROW


# Columns

COLUMNS = {
    "two names": (
        "idx,sentence,label\n7,a b,1\n",
        "labels",
        ("a b", "1"),
        "text from sentence, label from label; not read: idx",
    ),
    "news": (
        "class,title,description\n3,a b,c d\n",
        "labels",
        ("a b\nc d", "3"),
        "text from title + description, label from class (joined by a line break)",
    ),
    "stars": ("stars,text\n3,a b\n", "labels", ("a b", "3"), ""),
    "a review": (
        "review_id,stars,review\n9,3,a b\n",
        "labels",
        ("a b", "3"),
        "text from review, label from stars; not read: review_id",
    ),
    "pairs of sentences": (
        "genre,sentence1,sentence2,label1,gold_label\nx,a b,c d,n,e\n",
        "labels",
        ("a b\nc d", "e"),
        "text from sentence1 + sentence2, label from gold_label (joined by a line "
        "break); not read: genre, label1",
    ),
    "summaries": (
        "id,article,highlights\n7,a b,c\n",
        "pairs",
        ("a b", "c"),
        "source from article, target from highlights; not read: id",
    ),
    "questions": (
        "id,question,context,answer\n7,a b,c d,e\n",
        "pairs",
        ("a b\nc d", "e"),
        "source from question + context, target from answer (joined by a line break); "
        "not read: id",
    ),
    "instructions": (
        "instruction,input,output\na b,,c\n",
        "pairs",
        ("a b", "c"),
        "source from instruction + input, target from output (joined by a line break)",
    ),
    "instructions with a context": (
        "instruction,context,response,category\na b,c d,e,f\n",
        "pairs",
        ("a b\nc d", "e"),
        "source from instruction + context, target from response (joined by a line "
        "break); not read: category",
    ),
    "equal questions": (
        "id,question1,question2,is_duplicate\n7,a b,c d,e\n",
        "labels",
        ("a b\nc d", "e"),
        "text from question1 + question2, label from is_duplicate (joined by a line "
        "break); not read: id",
    ),
}


@pytest.mark.parametrize(
    ("content", "kind", "row", "told"), COLUMNS.values(), ids=COLUMNS
)
def test_known_names_are_read_and_the_rest_is_said(read, content, kind, row, told):
    for name, text in (("a.csv", content), ("a.tsv", content.replace(",", "\t"))):
        assert read(name, text, kind, whole=True) == ([row], told)
    head, values = (line.split(",") for line in content.splitlines())
    record = dict(zip(head, values, strict=True))
    for name, text in (
        ("a.jsonl", objects(record)),
        ("a.ndjson", objects(record)),
        ("a.json", json.dumps([record], indent=2)),
        ("a.json", json.dumps(record, indent=2)),
        ("a.jsonl.gz", gzip.compress(objects(record).encode())),
        ("a.csv.gz", gzip.compress(content.encode())),
        ("a.csv", content.encode("utf-16")),
        ("a.jsonl", objects(record).encode("utf-32")),
    ):
        assert read(name, text, kind, whole=True) == ([row], told)


RECORDS = {
    "an answer of several": (
        {"question": "a", "context": "b", "answers": {"text": ["c", "d"], "at": [1]}},
        ("a\nb", "c"),
        "source from question + context, target from answers.text (joined by a line "
        "break); not read: answers.at; of several answers the first, in 1 objects",
    ),
    "a conversation": (
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": "thanks"},
            ]
        },
        ("s\na", "b"),
        "source from messages.before, target from messages.last",
    ),
    "another conversation": (
        {
            "conversations": [
                {"from": "human", "value": "a"},
                {"from": "gpt", "value": "b"},
            ]
        },
        ("a", "b"),
        "source from conversations.before, target from conversations.last",
    ),
    "a preference": (
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        ("a", "b"),
        "source from prompt, target from chosen; not read: rejected",
    ),
    "an instruction without input": (
        {"instruction": "a", "input": None, "output": "b"},
        ("a", "b"),
        "source from instruction + input, target from output (joined by a line break)",
    ),
}


@pytest.mark.parametrize(("record", "row", "told"), RECORDS.values(), ids=RECORDS)
def test_objects_are_read_by_their_keys(read, record, row, told):
    assert read("a.jsonl", objects(record), "pairs", whole=True) == ([row], told)


def test_a_name_that_is_long_or_no_unicode_is_said_on_one_line(read):
    content = '{"source": "a", "target": "b", "c\\nd": 1, "\\ud800": 2, "%s": 3}'
    _, told = read("a.jsonl", content % ("e" * 999), "pairs", whole=True)
    assert told.endswith(f"; not read: c d, \\ud800, {'e' * 80}...")
    told.encode()


def test_a_key_that_only_some_objects_have_is_said(read):
    records = [
        {"source": "a", "target": "b"},
        {"source": "c", "target": "d", "by": "e"},
    ]
    rows, told = read("a.jsonl", objects(*records), "pairs", whole=True)
    assert rows == [("a", "b"), ("c", "d")]
    assert told == "source from source, target from target; not read: by"


ACCEPTABILITY = cells(
    *[(f"gj{i:02}", i % 2, "", f"The sentence {i} is here.") for i in range(N)],
    delimiter="\t",
)
STARS = cells(*[(i % 3, f"It was {i} a") for i in range(N)])
MESSAGES = cells(("v1", "v2"), *[(KINDS[i % 2], f"I am {i} b") for i in range(N)])
NUMBERED = cells(
    ("nr", "x", "y"), *[(i, f"Long {i} a", f"short {i}") for i in range(N)]
)


@pytest.mark.parametrize(
    ("name", "content", "kind", "how", "row"),
    [
        (
            "a.tsv",
            ACCEPTABILITY,
            "labels",
            ":text=4,label=2",
            "The sentence 0 is here.",
        ),
        ("a.csv", STARS, "labels", ":text=2,label=1", "It was 0 a"),
        ("a.csv", MESSAGES, "labels", ":text=v2,label=v1", "I am 0 b"),
        ("a.csv", NUMBERED, "pairs", ":source=X,target=3", "Long 0 a"),
    ],
)
def test_codes_are_not_learnt_as_texts_unless_they_are_asked_for(
    read, name, content, kind, how, row
):
    with pytest.raises(DataError, match=r"line 1: which columns are meant\? There are"):
        read(name, content, kind)
    rows, _ = read(name, content, kind, how)
    assert row in [text for text, _ in rows]
    assert len(rows) == N


def test_the_first_two_of_more_columns_are_read_and_said(read):
    content = cells(*[(f"Go {i}.", f"Va {i} !", f"CC-BY {i} by x") for i in range(N)])
    rows, told = read("a.csv", content, "pairs")
    assert rows[0] == ("Go 0.", "Va 0 !")
    assert (
        told == f"source from column 1, target from column 2; not read: column 3; {ROW}"
    )


ASKED = {
    "by name": ("a.csv", "x,y z,w\n1,a,b\n", ":source=Y Z,target=w", ("a", "b")),
    "by number": ("a.csv", "1,a,b\n", ":source=2,target=3", ("a", "b")),
    "joined": ("a.csv", "x,y,z\n1,a,b\n", ":source=y+x,target=z", ("a\n1", "b")),
    "by number, of equal cells": ("a.csv", "a,a\n", ":source=1,target=2", ("a", "a")),
    "below a title": ("a.csv", "Mine\nx,y\na,b\n", ":source=x,target=y", ("a", "b")),
    "against known names": (
        "a.csv",
        "source,target\na,b\n",
        ":source=target,target=source",
        ("b", "a"),
    ),
    "a name with a comma": (
        "a.tsv",
        "x, y\tz\na\tb\n",
        ":source=x, y,target=z",
        ("a", "b"),
    ),
    "of objects": (
        "a.jsonl",
        objects({"x": "a", "y": "b"}),
        ":source=x,target=y",
        ("a", "b"),
    ),
    "inside an object": (
        "a.jsonl",
        objects({"translation": {"en": "a", "fr": "b"}}),
        ":source=translation.en,target=translation.fr",
        ("a", "b"),
    ),
}


@pytest.mark.parametrize(("name", "content", "how", "row"), ASKED.values(), ids=ASKED)
def test_the_user_says_which_columns_are_meant(read, name, content, how, row):
    rows, _ = read(name, content, "pairs", how, whole=True)
    assert rows == [row]


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        (":source=x,target=q", DataError, "line 1: no column 'q'; there are x, y"),
        (":source=1,target=3", DataError, "line 1: no column '3'; there are x, y"),
        (":source=x", UsageError, "are given as source=NAME,target=NAME"),
        (":source=x,source=y", UsageError, "says one thing twice"),
        (":text=x,label=y", UsageError, "are given as source=NAME,target=NAME"),
        (":kind=x", DataError, "no such file"),
    ],
)
def test_columns_that_are_not_there_are_refused(read, how, error, words):
    with pytest.raises(error, match=words):
        read("a.csv", "x,y\na,b\n", "pairs", how)


def test_a_file_whose_name_looks_like_columns_is_a_file(read):
    rows, _ = read("a:text=b.csv", ROWS, "labels")
    assert rows == sorted(THINGS)
    assert Source.parse("C:\\a.csv:text=b,label=c") == Source(
        "C:\\a.csv", {"text": ("b",), "label": ("c",)}
    )


@pytest.mark.parametrize("kind", FORMS)
def test_every_known_form_is_found_by_its_names(kind):
    """None hides behind one that comes before it and needs less."""
    for role, forms in FORMS[kind].items():
        for form in forms:
            names = [name for name, _ in form]
            places = choose(names, kind)[list(FORMS[kind]).index(role)]
            assert [names[n] for n in places] == names


# Labels


def test_a_number_is_one_class_however_it_is_written(read):
    labels = [1, 1.0, "1", 1e0, True, False, 1.5, -0.0, 0]
    records = [{"text": f"{n}", "label": each} for n, each in enumerate(labels)]
    rows, _ = read("a.jsonl", objects(*records), "labels", whole=True)
    assert [label for _, label in rows] == [*"1111", "true", "false", "1.5", "0", "0"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_finite_number_is_no_class(read, value):
    content = f'{{"text": "a", "label": 1}}\n{{"text": "a", "label": {value}}}\n'
    with pytest.raises(DataError, match=r"line 2: the label is -?(NaN|Infinity); name"):
        read("a.jsonl", content, "labels", whole=True)


@pytest.mark.parametrize("value", ["null", "[1]", '["a", "b"]', "{}"])
def test_what_names_no_class_is_refused(read, value):
    with pytest.raises(DataError, match=r"line 1: "):
        read("a.jsonl", f'{{"text": "a", "label": {value}}}\n', "labels", whole=True)


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ('[\n{"source": "a", "target": "b"},\n3]', 3, "no JSON object"),
        ('[{"source": "a", "target": "b"}\n{"source": "a"}]', 1, "does not go on here"),
        ('[{"source": "a", "target": "b"},\n', 1, "the array has no end"),
        ('[{"source": "a", "target": "b"}]\n{}', 1, "something follows the array"),
        ('{"source": "a", "target": "b"}\n\n{"source"', 3, "not JSON"),
    ],
)
def test_json_that_breaks_off_is_refused_with_its_line(read, content, line, words):
    with pytest.raises(DataError, match=rf"a\.json, line {line}: .*{words}"):
        read("a.json", content, "pairs")
