"""The table of a series in a notebook: it fills as runs are done."""

import importlib

import pytest

from minillm import notebook
from minillm.series.notebook_table import NotebookTable
from minillm.series.plan import read_plan
from minillm.series.series_progress import Silent


@pytest.fixture
def watched(series, monkeypatch):
    """(a table, what it has drawn, the plan of a series, its records by run)."""
    folder, result, _ = series
    plan = read_plan(folder / "plan.json")
    table, drawn = NotebookTable(), []
    monkeypatch.setattr(table.area, "draw", lambda html, plain: drawn.append(html))
    runs = {run.name: run for run in plan.runs}
    records = {}
    for record in result["runs"]:
        width, seed = record["config"]["d_model"], record["seed"]
        name = next(n for n, r in runs.items() if (r.width, r.seed) == (width, seed))
        records.setdefault(name, record)
    return table, drawn, plan, records


def test_the_table_fills_and_says_what_is_left(watched, tmp_path):
    table, drawn, plan, records = watched
    table.plan(plan, tmp_path / "plan.json")
    assert "about" in drawn[-1] and "in all" in drawn[-1]
    assert f"0 of {len(plan.runs)} models" in drawn[-1] and "left" in drawn[-1]
    run, *others = plan.runs
    table.started(run)
    table.area._drawn = 0.0  # long ago
    table.step(run, {"step": 1, "loss": 2.125})
    assert "2.125 …" in drawn[-1]
    table.finished(run, records[run.name])
    assert f"{records[run.name]['results']['val_loss']:.4f}" in drawn[-1]
    assert "2.125" not in drawn[-1]
    for other in others:
        table.started(other)
    table.failed(others[0], "<it diverged>")
    assert f"{others[0].name}: left out: &lt;it diverged&gt;" in drawn[-1]
    for other in others[1:]:
        table.finished(other, records[other.name])
    table.close()
    assert "width:100.0%" in drawn[-1]
    assert f"{len(plan.runs)} of {len(plan.runs)} models</div>" in drawn[-1]


def test_it_draws_seldom(watched, tmp_path):
    table, drawn, plan, _ = watched
    table.close()
    assert not drawn  # an error came before there was anything to say
    table.plan(plan, tmp_path)
    before = len(drawn)
    table.area._drawn = float("inf")
    for _ in range(50):
        table.tick()
    assert len(drawn) == before


def test_only_a_notebook_has_one(monkeypatch):
    asked = importlib.import_module("minillm.series.scaling")._listener
    assert type(asked(None, False)) is Silent
    monkeypatch.setattr(notebook, "running", lambda: True)
    assert type(asked(None, False)) is NotebookTable
    assert type(asked(None, True)) is Silent
    own = object()
    assert asked(own, False) is own


def test_a_series_shows_itself(series):
    html = series[1]._repr_html_()
    assert "95&nbsp;% interval" in html and "data:image/svg+xml;base64," in html
    assert series[1].law.parameters.alpha == series[1]["law"]["parameters"]["alpha"]
