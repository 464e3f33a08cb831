"""Runs side by side, from made-up folders."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from minillm.errors import DataError, UsageError
from minillm.figures import save
from minillm.studies.compare import compare
from minillm.studies.compare.comparison_figures import curve, draw_curves
from minillm.studies.run_folders import RunRead, read_run, read_series
from minillm.visible import visible


def record(n: int = 1000, loss: float = 2.0, **changes) -> dict:
    """A run.json, as far as comparing reads it."""
    made = {
        "status": "finished",
        "config": {
            "arch": "gpt",
            "n_layers": 2,
            "d_model": 8,
            "n_heads": 1,
            "objective": "clm",
        },
        "options": {"width": 8, "lr": 0.01, "seed": 0, "out": f"runs/{n}"},
        "data": {
            "name": "text",
            "sha256": "aa" * 32,
            "tokenizer": {"kind": "chars", "vocab_size": 98, "sha256": "bb" * 32},
        },
        "parameters": {"non_embedding": n},
        "flops": {"per_token": 6 * n, "total": 6 * n * 1000},
        "results": {
            "val_loss": loss,
            "train_loss": loss - 0.1,
            "val_bits_per_byte": loss / 2,
            "tokens": 1000,
            "seconds": 2.0,
        },
        "seed": 0,
        "workers": {"kind": "processes", "n": 1},
    }
    return {**made, **changes}


@pytest.fixture
def write(tmp_path):
    """A function that writes a run folder and returns its path."""

    def run(name: str, found: dict, steps: int = 200):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(found), encoding="utf-8")
        lines = [
            {"step": i, "tokens": 5 * i, "loss": 2 + 3 / i, "seconds": i / 100}
            for i in range(1, steps + 1)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "metrics.jsonl").write_text(text + '{"step": 2', encoding="utf-8")
        return folder

    return run


def other_tokenizer(loss: float, bits: float | None) -> dict:
    found = record(loss=loss)
    found["data"] = {**found["data"], "tokenizer": {"kind": "bpe", "sha256": "cc"}}
    found["results"] = {**found["results"], "val_bits_per_byte": bits}
    return found


def test_only_what_differs_is_told(write):
    a = write("a", record())
    options = {"width": 8, "lr": 0.02, "seed": 0, "out": "runs/b", "clip": 1.0}
    b = write("b", record(loss=1.9, options=options))
    result = compare([a, b])
    assert result["differences"] == {"lr": [0.01, 0.02], "clip": [None, 1.0]}
    assert result["unit"] == "nats/token"
    assert [run["val_loss"] for run in result["runs"]] == [2.0, 1.9]
    assert [run["name"] for run in result["runs"]] == ["a", "b"]
    assert [run["arch"] for run in result["runs"]] == ["gpt", "gpt"]
    assert result["warnings"] == []


def test_other_tokenizers_are_compared_in_bits_per_byte(write):
    a, b = write("a", record()), write("b", other_tokenizer(5.0, 0.9))
    result = compare([a, b])
    assert result["unit"] == "bits/byte"
    assert [run["val_loss"] for run in result["runs"]] == pytest.approx([1.0, 0.9])
    assert result["runs"][1]["train_loss"] == pytest.approx(4.9 * 0.9 / 5)
    assert "bits per byte" in result["warnings"][0]


def test_where_there_are_no_bits_per_byte_that_is_said(write):
    a, b = write("a", record()), write("b", other_tokenizer(5.0, None))
    result = compare([a, b])
    assert result["unit"] == "nats/token"
    assert "cannot be compared" in result["warnings"][0]


def test_other_texts_other_tasks_and_unfinished_runs_are_told(write):
    data = {**record()["data"], "sha256": "dd"}
    config = {**record()["config"], "objective": "mlm"}
    a = write("a", record())
    b = write("b", record(data=data, config=config, results=None, status="running"))
    warnings = compare([a, b])["warnings"]
    assert [w.split(":")[0] for w in warnings] == [
        "the runs have different objectives",
        "the runs read different texts",
        "b is not finished (status running)",
    ]


def test_runs_of_one_name_are_told_apart(write):
    runs = [write("x/run", record()), write("y/run", record())]
    names = [run["name"] for run in compare(runs)["runs"]]
    assert names == ["x/run", "y/run"]


def test_the_curve_is_the_loss_smoothed_and_thinned(write):
    run = read_run(write("a", record(), steps=3000))
    assert len(run.lines) == 3000  # the line cut off is not among them
    x, y = curve(run)
    assert len(x) <= 400
    assert x[-1] == 15_000
    assert (np.diff(x) > 0).all()
    assert y[100:] == pytest.approx(2 + 15 / x[100:], rel=0.01)
    assert curve(run, "seconds")[0][-1] == 30
    assert curve(run, "flops")[0][-1] == 15_000 * 6000


def test_the_end_of_a_falling_curve_stays_low():
    lines = [{"tokens": i, "loss": 3.0 if i < 800 else 2.0} for i in range(1, 1001)]
    _, y = curve(RunRead("a", record(), lines))
    assert y[-1] == 2.0


@pytest.mark.parametrize("n", [2, 9])
def test_a_picture_has_a_line_a_run(write, n):
    runs = {f"<{i}>": read_run(write(str(i), record(i + 1))) for i in range(n)}
    axes = draw_curves(runs, x="flops").axes[0]
    assert len(axes.get_legend().get_texts()) == n
    assert axes.get_ylabel() == "loss (nats/token)"
    assert draw_curves(runs, in_bytes=True).axes[0].get_ylabel() == "loss (bits/byte)"


def test_a_picture_has_at_most_fifty_curves_and_says_so(write, tmp_path):
    folders = [write(f"r{i:03}", record(i + 1), steps=3) for i in range(60)]
    runs = {folder.name: read_run(folder) for folder in folders}
    axes = draw_curves(runs).axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == [f"r{i:03}" for i in range(50)]
    assert axes.get_title(loc="left").endswith("; the first 50 of 60 runs")
    result = compare(folders, plot=tmp_path / "curves.svg")
    assert len(result["runs"]) == 60
    assert result["warnings"][-1].startswith("the picture shows the first 50 of 60 ru")


@pytest.mark.parametrize("name", ["\x1b[31m\x00\x9b", "$x_{$", "<&>\u202e"])
def test_a_picture_of_any_name_is_well_formed(write, tmp_path, name):
    runs = {name: read_run(write("a", record())), "b": read_run(write("b", record()))}
    figure = draw_curves(runs, title=name)
    for suffix in (".svg", ".png"):
        path = save(figure, tmp_path / f"curves{suffix}")
    text = "".join(ElementTree.parse(path.with_suffix(".svg")).getroot().itertext())
    assert visible(name) in text


def test_bad_input_is_refused(write, tmp_path):
    a = write("a", record())
    with pytest.raises(UsageError, match="takes a list of folders, got 'runs/a'"):
        compare("runs/a")
    with pytest.raises(UsageError, match="at least two"):
        compare([a])
    with pytest.raises(DataError, match="no run"):
        compare([a, tmp_path])
    with pytest.raises(UsageError, match="choose one of tokens"):
        draw_curves({"a": read_run(a)}, x="hours")


def test_a_folder_of_runs_is_a_series(write, tmp_path):
    for n in (1000, 2000):
        write(f"{n}", record(n))
    write("bad", record(3000, status="diverged", results=None))
    series = read_series(tmp_path)
    assert [run.size for run in series.fitted] == [1000, 2000]
    assert series.excluded == {"bad": "it diverged"}
    assert series.held_out == []


def test_a_series_knows_its_held_out_and_its_checks(write, tmp_path):
    options = {"lr": 0.016}
    write("runs/8-s0", record(1000))
    write("runs/8-s0-rate1.6", record(1000, options=options))
    write("runs/16-s0", record(4000))
    plan = {
        "sizes": [{"width": 8, "lr": 0.01}],
        "runs": [{"name": "16-s0", "held_out": True}],
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    series = read_series(tmp_path)
    assert [run.name for run in series.fitted] == ["8-s0"]
    assert [run.name for run in series.held_out] == ["16-s0"]


def test_where_runs_are_gone_scale_json_is_enough(tmp_path):
    scale = {"runs": [record(1000), record(2000)], "law": {"excluded": []}}
    (tmp_path / "scale.json").write_text(json.dumps(scale), encoding="utf-8")
    assert [run.name for run in read_series(tmp_path).fitted] == ["1000", "2000"]


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no runs"):
        read_series(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_series(tmp_path / "gone")


@pytest.mark.parametrize("status", ["diverged", "interrupted", "running"])
def test_an_unfinished_run_has_the_flops_of_its_own_steps(write, status):
    whole = write("whole", record(3000))
    half = write("half", record(3000, status=status, results=None), steps=40)
    none = write("none", record(3000, status=status, results=None), steps=0)
    runs = compare([whole, half, none])["runs"]
    assert [run["flops"] for run in runs] == [6 * 3000 * 1000, 6 * 3000 * 200, None]
    assert [run["tokens"] for run in runs] == [1000, 200, None]
