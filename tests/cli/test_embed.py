"""`minillm embed` and `minillm search`: numbers, files, tables, errors in one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from minillm import train

LINES = "the sea is wide\n\n灯塔很亮\r\n \na lamp in the sea\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("runs") / "a"
    shape = {"layers": 1, "width": 16, "context": 16, "batch": 8, "steps": 2}
    options = {"data": "bilingual", "tokenizer": "bytes", "device": "cpu"}
    train(**shape, **options, workers="1", out=out, draw=False)
    return str(out)


@pytest.fixture
def lines(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("线.txt").write_text(LINES, encoding="utf-8", newline="")
    Path("blank.txt").write_text(" \n", encoding="utf-8")
    return "线.txt"


def test_a_line_of_numbers_for_each_text(minillm, run, lines):
    argv = ["embed", run, "一个", "--file", lines]
    code, out, err = minillm(*argv)
    assert (code, err) == (0, "")
    printed = np.array([line.split() for line in out.splitlines()], float)
    assert printed.shape == (4, 16)
    record = json.loads(minillm(*argv, "--json")[1])
    assert record["texts"] == [
        "一个",
        "the sea is wide",
        "灯塔很亮",
        "a lamp in the sea",
    ]
    assert record["shape"] == [4, 16]
    np.testing.assert_allclose(record["vectors"], printed, rtol=1e-4, atol=1e-6)


def test_a_file_for_numpy(minillm, run, lines):
    code, out, err = minillm("embed", run, "--file", lines, "--out", "向量.npy")
    assert (code, err) == (0, "")
    assert "3 vectors of 16 numbers" in out
    vectors = np.load("向量.npy")
    record = json.loads(minillm("embed", run, "--file", lines, "--json")[1])
    np.testing.assert_allclose(record["vectors"], vectors)
    argv = ["embed", run, "--file", lines, "--out", "b.npy", "--json"]
    record = json.loads(minillm(*argv)[1])
    assert (record["shape"], record["out"]) == ([3, 16], "b.npy")
    assert "vectors" not in record


def test_search_prints_lines_with_their_numbers(minillm, run, lines):
    argv = ["search", run, "--corpus", lines, "灯塔很亮", "--top", "2"]
    record = json.loads(minillm(*argv, "--json")[1])
    first, _ = record["hits"]
    assert (first["line"], first["text"]) == (3, "灯塔很亮")
    code, out, err = minillm(*argv)
    assert (code, err) == (0, "")
    assert "灯塔很亮" in out
    assert f"{record['hits'][1]['score']:.3f}" in out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["embed", "{run}"], 2, "--file"),
        (["embed", "{run}", ""], 2, "empty text"),
        (["embed", "{run}", "--file", "no.txt"], 3, "no.txt"),
        (["embed", "{run}", "--file", "blank.txt"], 3, "blank.txt: holds no text"),
        (["embed", "no/run", "a"], 3, "no/run: there is no such run"),
        (["embed", "{run}", "a", "--out", "no/a.npy"], 3, "no/a.npy: cannot be"),
        (["search", "{run}", "a"], 2, "--corpus"),
        (["search", "{run}", "--corpus", "线.txt"], 2, "QUERY"),
        (["search", "{run}", "--corpus", "线.txt", " "], 2, "empty text"),
        (["search", "{run}", "--corpus", "blank.txt", "a"], 3, "holds no text"),
        (["search", "{run}", "--corpus", "no.txt", "a"], 3, "no.txt"),
        (["search", "{run}", "--corpus", "线.txt", "a", "--top", "0"], 2, "top"),
        (["search", "no/run", "--corpus", "线.txt", "a"], 3, "no/run"),
    ],
)
def test_bad_input_is_one_line(minillm, run, lines, argv, code, words):
    got, out, err = minillm(*(arg.format(run=run) for arg in argv))
    assert (got, out, err.count("\n")) == (code, "", 1)
    assert words in err
