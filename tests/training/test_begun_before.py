"""Runs of before run.json had a format: finished ones are read, others go on where
their text is read as before."""

import json

import pytest

from minillm.errors import DataError
from minillm.generation import generate
from minillm.runs import begun_before
from minillm.runs.begun_before import read_alike
from minillm.runs.evaluation import evaluate_run
from minillm.runs.record import FORMAT
from minillm.runs.run import load_run, read_record
from minillm.runs.train import train

LINE = "the sea and a lamp that she read about in many books"
SHAPE = {"layers": 1, "width": 16, "context": 16, "batch": 4, "steps": 4}
OPTIONS = {"save_every": 2, "device": "cpu", "workers": "1", "vocab": 300}


class Stopper:
    """Ends a run after its second step."""

    def __getattr__(self, name):
        def hear(*args):
            if name == "step" and args[0]["step"] == 2:
                raise KeyboardInterrupt

        return hear


def begin(folder, text: str, *, finish: bool = False, **options) -> dict:
    """A run as an earlier version left it."""
    data = folder / "text.txt"
    data.write_text(text, encoding="utf-8", newline="")
    options = {**SHAPE, **OPTIONS, "out": folder / "run", "data": data, **options}
    if finish:
        train(**options, draw=False)
    else:
        with pytest.raises(KeyboardInterrupt):
            train(**options, draw=False, reporter=Stopper())
    change(folder, lambda record: record.pop("format"))
    return options


def change(folder, edit) -> None:
    file = folder / "run" / "run.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    edit(record)
    file.write_text(json.dumps(record), encoding="utf-8")


LF, CRLF = ((LINE + end) * 1_600 for end in ("\n", "\r\n"))
DOCUMENTS = "\n\n".join(["One. Two.\nThree, and four."] * 200)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (LF, {}),
        (CRLF[:60_000], {}),
        (CRLF, {"tokenizer": "chars"}),
        (CRLF, {"tokenizer": "bytes"}),
        (DOCUMENTS, {"objective": "mlm+nsp"}),
        (DOCUMENTS.replace("\n", "\r\n"), {"objective": "mlm+nsp", "vocab": None}),
    ],
    ids=["lf", "short", "chars", "bytes", "documents", "wordpiece"],
)
def test_a_run_goes_on_where_its_text_is_read_as_before(tmp_path, text, options):
    if "vocab" in options:
        options = {**options, "tokenizer": "wordpiece"}
    options = begin(tmp_path, text, **options)
    record = train(**options, resume=True, draw=False)
    assert (record["status"], record["format"]) == ("finished", FORMAT)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (CRLF, {}),
        (CRLF, {"tokenizer": "wordpiece"}),
        (DOCUMENTS.replace("\n", "\r\n"), {"objective": "mlm+nsp"}),
    ],
    ids=["bpe", "wordpiece", "documents"],
)
def test_a_run_is_refused_where_its_text_is_read_otherwise(tmp_path, text, options):
    options = begin(tmp_path, text, **options)
    with pytest.raises(DataError, match=r"earlier minillm.*text\.txt.*another out="):
        train(**options, resume=True, draw=False)
    assert "format" not in read_record(tmp_path / "run")


def test_other_counts_of_tokens_are_another_reading(tmp_path):
    options = begin(tmp_path, LF)
    change(tmp_path, lambda record: record["data"].update(train_tokens=1))
    with pytest.raises(DataError, match="earlier minillm"):
        train(**options, resume=True, draw=False)


def test_a_longer_run_starts_from_no_trunk_that_was_read_otherwise(tmp_path):
    options = begin(tmp_path, CRLF, finish=True, branch=True)
    longer = {"steps": 8, "out": tmp_path / "longer", "start": tmp_path / "run"}
    with pytest.raises(DataError, match="earlier minillm"):
        train(**{**options, **longer}, draw=False)


def test_what_was_finished_is_read_as_ever(tmp_path):
    options = begin(tmp_path, CRLF, finish=True)
    run = load_run(tmp_path / "run")
    assert generate(run, "the ", max_tokens=3)
    assert evaluate_run(run)["val_tokens"] > 0
    with pytest.warns(UserWarning, match="run: finished already: nothing trained"):
        record = train(**options, draw=False)
    assert "format" not in record


def test_a_later_format_is_refused(tmp_path):
    begin(tmp_path, LF, finish=True)
    change(tmp_path, lambda record: record.update(format=FORMAT + 1))
    with pytest.raises(DataError, match=f"later minillm.*format {FORMAT + 1}"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "kind", "alike"),
    [
        ("ab cd\n" * 9, "windows", True),
        ("ab cd\r\n" * 2, "windows", True),  # 14 characters
        ("ab cd\r\n" * 9, "windows", False),
        ("abcdefghijklmnop\nab", "windows", True),  # cut where the word ends
        ("abcdefghijklmnopq\n" * 2, "windows", False),
        ("a b.\nc\n", "passages", True),
        ("a b. \nc\n", "passages", False),
        ("a b.\r\nc\n", "passages", False),
    ],
)
def test_which_texts_are_read_alike(monkeypatch, text, kind, alike):
    monkeypatch.setattr(begun_before, "CHUNK_CHARACTERS", 16)
    assert read_alike(text, kind) == alike
