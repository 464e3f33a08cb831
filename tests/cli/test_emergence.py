"""`minillm emergence` on what a series could have measured."""

import json

import pytest

from minillm.studies import emergence as module
from minillm.studies.emergence import Emergence, Point


@pytest.fixture
def asked(monkeypatch):
    """What the command asked to be measured."""
    asked = []
    points = (
        Point("w8", 1_760, 1_024_000, 0.18, 0.0, 500),
        Point("w16", 6_592, 1_024_000, 0.70, 0.08, 500),
    )
    left_out = ({"run": "w32", "reason": "it is running"},)

    def emergence(runs):
        asked.append(runs)
        return Emergence("facts:keys=128", 6, points, left_out)

    monkeypatch.setattr(module, "emergence", emergence)
    return asked


def test_people_get_a_table_a_sentence_and_the_next_command(minillm, asked):
    code, out, err = minillm("emergence", "runs/facts")
    assert (code, asked) == (0, ["runs/facts"])
    rows = [line.split() for line in out.splitlines()]
    assert ["w16", "6.59", "k", "70.0%", "8.0%", "11.8%"] in rows
    assert "left out: w32: it is running" in out
    assert "exact match ≈ accuracy^6" in out
    assert err == "next: minillm emergence runs/facts --plot emergence.svg\n"


def test_json_and_a_figure(minillm, asked, tmp_path):
    figure = tmp_path / "图.svg"
    code, out, err = minillm(
        "emergence", "runs/a", "runs/b", "--plot", str(figure), "--json"
    )
    record = json.loads(out)
    assert (code, err, asked) == (0, "", [("runs/a", "runs/b")])
    assert [point["exact_match"] for point in record["points"]] == [0.0, 0.08]
    assert record["length"] == 6
    assert figure.read_text(encoding="utf-8").startswith("<?xml")


def test_the_figure_is_named_below_the_table(minillm, asked, tmp_path):
    figure = str(tmp_path / "a.svg")
    code, out, err = minillm("emergence", "runs/facts", "--plot", figure)
    assert (code, err, out.splitlines()[-1]) == (0, "", figure)


def test_a_missing_folder_is_refused(minillm, tmp_path):
    code, out, err = minillm("emergence", str(tmp_path / "nothing"))
    assert (code, out) == (3, "")
    assert "no such folder" in err
