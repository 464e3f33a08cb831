"""`minillm data`: what the catalogue and the corpora show of themselves."""

import json

import pytest

from minillm.text.sources.catalogue import catalogue
from minillm.text.synthetic.by_name import GENERATED, TOYS


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MINILLM_CACHE", str(tmp_path / "cache"))


def test_list_names_every_corpus(minillm):
    corpora = json.loads(minillm("data", "list", "--json")[1])["corpora"]
    names = {"stdlib", *catalogue(), *GENERATED}
    assert {corpus["name"] for corpus in corpora} == names
    out = minillm("data", "list")[1]
    assert all(name in out for name in catalogue())


def test_list_knows_the_entropy_of_what_is_generated(minillm):
    corpora = json.loads(minillm("data", "list", "--json")[1])["corpora"]
    entropies = {corpus["name"]: corpus["entropy"] for corpus in corpora}
    for name, kind in GENERATED.items():
        assert entropies[name] == kind().entropy
    assert entropies["stdlib"] is entropies["bilingual"] is None
    out = minillm("data", "list")[1]
    for kind in GENERATED.values():
        assert f"{kind().entropy:.5f}" in out
        assert ", ".join(kind.limits()) in out


def test_list_names_every_task_and_what_it_is_for(minillm):
    tasks = json.loads(minillm("data", "list", "--json")[1])["tasks"]
    assert [task["name"] for task in tasks] == list(TOYS)
    out = minillm("data", "list")[1]
    for task in tasks:
        toy = TOYS[task["name"]]
        assert (task["kind"], task["objective"]) == (toy.kind, toy.objective)
        assert f"{toy.name} takes {', '.join(toy.limits())}: {toy.example}" in out


@pytest.mark.parametrize("toy", TOYS.values())
def test_show_tells_what_is_known_of_a_task(minillm, toy):
    code, out, _ = minillm("data", "show", toy.name)
    assert code == 0
    assert "best" in out
    assert f"{toy().chance:.1%}" in out
    record = json.loads(minillm("data", "show", toy.name, "--json")[1])
    assert (record["name"], record["note"]) == (toy.name, toy().title)
    if toy.kind == "text":
        assert record["best"]["64"] == toy().best(64)
        assert record["floors"]["64"] == toy().floor(64)
        return
    assert record["best"] == toy().best
    if toy.kind == "documents":
        assert record["floors"] is None
        assert record["beginning"] in toy().texts()[0]
    else:
        assert record["train_rows"] > record["val_rows"] > 0
        first, second = record["beginning"][0]
        assert first in out
        assert second in out


def test_show_reads_a_file_as_labels(minillm, tmp_path):
    path = tmp_path / "opinions.csv"
    rows = [f"很好 {i},good\n" for i in range(20)] + [
        f"dull {i},bad\n" for i in range(10)
    ]
    path.write_text("".join(rows), encoding="utf-8")
    record = json.loads(
        minillm("data", "show", str(path), "--kind", "labels", "--json")[1]
    )
    assert record["labels"] == {"good": 20, "bad": 10}
    assert (record["train_rows"], record["val_rows"]) == (27, 3)
    assert record["best"] is None
    out = minillm("data", "show", str(path), "--kind", "labels")[1]
    assert "label 'good'" in out
    assert "很好" in out
    text = minillm("data", "show", str(path), "--kind", "text", "--json")[1]
    assert json.loads(text)["bytes"] == path.stat().st_size


@pytest.mark.parametrize(
    ("name", "first", "row", "kind"),
    [
        ("a.tsv", "", "{i}\t很好 {i}", "pairs"),
        ("b.csv", "text,label", "{i} fine,good\n{i} dull,bad", "labels"),
        ("c.CSV", "class;sentence", "good;{i} fine\nbad;{i} dull", "labels"),
        ("d.csv", "question,answer", "Who {i}?,Mei {i}", "pairs"),
        (
            "e.jsonl",
            '{"text": "x", "label": 2}',
            '{{"text": "{i}", "label": 1}}',
            "labels",
        ),
        ("f.jsonl", "", '{{"text": "{i}", "summary": "b"}}', "pairs"),
        ("g.csv", "question,answer,rating", "{i},a,2", "pairs"),
        ("h.csv", "review,rating", "{i},1\n{i},2", "labels"),
        (
            "i.json",
            '{"text": "x", "class": false}',
            '{{"text": "{i}", "class": 1}}\n{{"text": "{i}", "class": false}}',
            "labels",
        ),
    ],
)
def test_show_reads_a_file_of_rows_as_rows(minillm, tmp_path, name, first, row, kind):
    path = tmp_path / name
    rows = "\n".join(row.format(i=i) for i in range(20))
    path.write_text(f"{first}\n{rows}\n", encoding="utf-8")
    code, out, err = minillm("data", "show", str(path))
    assert code == 0
    heads = {"pairs": ["source", "target"], "labels": ["text", "label"]}[kind]
    assert heads in [line.split() for line in out.splitlines()]
    *notes, last = err.splitlines()
    assert last.startswith(f"note: read as {kind}; otherwise with --kind ")
    asked = minillm("data", "show", str(path), "--kind", kind)
    assert asked == (0, out, "".join(f"{note}\n" for note in notes))
    # A first row that might be a header, a column that is not read.
    assert len(notes) == (name in ("a.tsv", "g.csv"))


def test_show_reads_the_texts_of_json(minillm, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"text": "words {i}"}}\n' for i in range(99)), "utf-8")
    code, out, err = minillm("data", "show", str(path))
    assert code == 0
    assert "a file of 99 texts" in out
    assert '{"' not in out
    assert err.splitlines() == [
        "note: a.jsonl: JSON, each text by itself",
        "note: read as text; otherwise with --kind pairs or labels",
    ]


def test_show_tells_of_a_bad_row_without_being_told_the_kind(minillm, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text('a,b\n"c,d\n', encoding="utf-8")
    code, out, err = minillm("data", "show", str(path))
    assert (code, out) == (3, "")
    assert "bad.csv, line 2: broken quotes" in err


def test_show_refuses_another_kind_and_a_bad_row(minillm, tmp_path):
    code, out, err = minillm("data", "show", "brackets", "--kind", "pairs")
    assert (code, out) == (2, "")
    assert "for --objective mlm" in err
    path = tmp_path / "bad.tsv"
    path.write_text("a\tb\nc\n", encoding="utf-8")
    code, out, err = minillm("data", "show", str(path), "--kind", "pairs")
    assert (code, out) == (3, "")
    assert "bad.tsv, line 2: too few cells" in err


@pytest.mark.slow
def test_the_example_of_a_generated_corpus_can_be_shown(minillm):
    for kind in GENERATED.values():
        code, out, _ = minillm("data", "show", kind.example)
        assert code == 0
        assert "nats per character" in out
        record = json.loads(minillm("data", "show", kind.example, "--json")[1])
        floors = record["floors"]
        assert list(floors) == ["64", "128", "256"]
        assert floors["64"] > floors["256"] > record["entropy"]


def test_get_prints_where_a_corpus_lies(minillm):
    (name,) = [entry.name for entry in catalogue().values() if entry.file]
    code, out, err = minillm("data", "get", name)
    assert code == 0
    assert out.endswith(".txt\n")
    assert f"next: minillm train --data {name}" in err
    record = json.loads(minillm("data", "get", name, "--json")[1])
    assert record["path"] == out.strip()
    assert record["sha256"] == catalogue()[name].sha256


def test_show_counts_and_quotes(minillm, tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("一二三四五六七八九十\n" * 200, encoding="utf-8")
    record = json.loads(minillm("data", "show", str(book), "--json")[1])
    assert record["bytes"] == 200 * 31
    assert record["train_characters"] + record["val_characters"] == 200 * 11
    assert record["beginning"].startswith("一二三")
    assert "6,200" in minillm("data", "show", str(book))[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file"), (b"", "holds no text"), (b"ab\xff", "offset 2")],
)
def test_bad_text_is_refused(minillm, tmp_path, content, words):
    path = tmp_path / "book.txt"
    if content is not None:
        path.write_bytes(content)
    code, out, err = minillm("data", "show", str(path))
    assert (code, out) == (3, "")
    assert words in err


def test_a_bad_parameter_is_refused(minillm):
    code, out, err = minillm("data", "show", "facts:keys=many")
    assert (code, out) == (2, "")
    assert "keys is 'many'" in err


def test_an_unknown_name_is_refused(minillm):
    assert minillm("data", "get", "nothing")[0] == 2
