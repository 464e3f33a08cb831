"""A whole series: what it leaves behind, and what it finds."""

import json
import statistics
from pathlib import Path

import numpy as np
import pytest

from minillm.series.plan import read_plan

RUNS = {"4-s0", "4-s1", "8-s0", "12-s0", "16-s0", "24-s0"}
FIGURES = ["law.png", "law.svg", "power_laws.png", "power_laws.svg"]


def record_of(folder: Path, name: str) -> dict:
    return json.loads((folder / "runs" / name / "run.json").read_text("utf-8"))


def losses(folder: Path, width: int) -> list[float]:
    names = [name for name in RUNS if name.startswith(f"{width}-")]
    return [record_of(folder, name)["results"]["val_loss"] for name in names]


def predict(n, loss, weights, at, floor: bool) -> float:
    """The law through some points by least squares of the relative error, found by
    going through exponents, closer and closer."""
    n, loss = np.array(n, float), np.array(loss)
    low, high = -5.0, 5.0
    for _ in range(6):
        found = []
        for alpha in np.linspace(low, high, 301):
            columns = [(n / n[0]) ** -alpha] + [np.ones_like(n)] * floor
            matrix = np.stack(columns, -1) * (weights / loss)[:, None]
            factors, *_ = np.linalg.lstsq(matrix, weights, rcond=None)
            if min(factors) >= 0:
                square = ((matrix @ factors - weights) ** 2).sum()
                there = factors @ [(at / n[0]) ** -alpha, 1][: len(factors)]
                found.append((square, alpha, there))
        _, alpha, prediction = min(found)
        width = (high - low) / 100
        low, high = alpha - width, alpha + width
    return prediction


def test_every_run_has_a_folder_of_its_own(series):
    folder, result, listener = series
    assert {path.name for path in (folder / "runs").iterdir()} == RUNS
    assert set(listener.runs_started) == set(listener.runs_finished) == RUNS
    assert not listener.runs_before and not listener.left_out
    assert listener.closed
    for name in RUNS:
        record = record_of(folder, name)
        assert record["status"] == "finished"
        assert record["workers"]["n"] == 1
        assert record["data"]["epochs"] <= 1
        assert record["seed"] == int(name[-1])
        assert record in result["runs"]


def test_all_models_read_the_same_tokens(series):
    folder, result, _ = series
    tokens = {record_of(folder, name)["results"]["tokens"] for name in RUNS}
    assert tokens == {result["tokens"]} == {read_plan(folder / "plan.json").tokens}


def test_the_keys_are_those_of_the_plan_of_the_house(series):
    folder, result, _ = series
    assert json.loads((folder / "scale.json").read_text("utf-8")) == result
    names = ["runs", "law", "held_out", "laws", "figures", "seconds", "warnings"]
    assert set(names) <= set(result)
    law = "law parameters standard_errors interval95 objective converged aicc"
    law += " leave_largest_out n excluded warnings"
    assert set(law.split()) <= set(result["law"])
    held_out = "parameters predicted measured relative_error pure_power_relative_error"
    assert set(held_out.split()) <= set(result["held_out"])
    assert set(result["laws"]) == {
        "accuracy",
        "decode_seconds_per_token",
        "train_seconds",
    }
    for power in result["laws"].values():
        assert set(power) >= {"a", "n", "b", "interval95"}
        low, high = power["interval95"]["n"]
        assert low <= power["n"] <= high
    assert result["parameters_counted"] == "non_embedding"
    assert result["loss_unit"] == "nats/token"
    assert result["arch"] == "gpt"
    assert 0 < result["seconds"] < 100


def test_the_figures_are_there_and_are_named_whole(series):
    folder, result, _ = series
    assert result["figures"] == [str((folder / name).resolve()) for name in FIGURES]
    for path in map(Path, result["figures"]):
        begin = path.read_bytes()[:5]
        assert begin == (b"\x89PNG\r" if path.suffix == ".png" else b"<?xml")
    law = (folder / "law.svg").read_text("utf-8")
    assert "validation loss (nats/character)" in law


def test_sizes_hold_medians_over_seeds(series):
    folder, result, _ = series
    assert [size["width"] for size in result["sizes"]] == [4, 8, 12, 16, 24]
    for size in result["sizes"]:
        expected = losses(folder, size["width"])
        assert sorted(size["losses"]) == sorted(expected)
        assert size["loss"] == statistics.median(expected)
        assert size["held_out"] == (size["width"] == 24)


@pytest.mark.parametrize("way", ["non_embedding", "matrices_and_head", "total"])
def test_the_held_out_model_is_predicted_by_the_others(series, way):
    folder, result, _ = series
    widths = [4, 8, 12, 16]
    n = [record_of(folder, f"{w}-s0")["parameters"][way] for w in widths]
    at = record_of(folder, "24-s0")["parameters"][way]
    loss = [statistics.median(losses(folder, w)) for w in widths]
    weights = np.sqrt([len(losses(folder, w)) for w in widths])
    (measured,) = losses(folder, 24)
    found = result["counting"][way]["held_out"]
    law = predict(n, loss, weights, at, floor=True)
    pure = predict(n, loss, weights, at, floor=False)
    assert found["parameters"] == at
    assert found["measured"] == measured
    assert found["predicted"] == pytest.approx(law, rel=1e-4)
    assert found["relative_error"] == pytest.approx(abs(law / measured - 1), abs=1e-4)
    assert found["pure_power_relative_error"] == pytest.approx(
        abs(pure / measured - 1), abs=1e-4
    )
    if way == "non_embedding":
        assert result["held_out"] == found
        assert result["law"]["parameters"]["alpha"] == result["counting"][way]["alpha"]


def test_decoding_is_timed_for_trained_and_for_larger_models(series):
    _, result, _ = series
    timed = [(point["width"], point["trained"]) for point in result["decoding"]]
    trained = [(width, True) for width in (4, 8, 12, 16, 24)]
    assert timed == [*trained, (32, False)]
    assert all(0 < point["seconds_per_token"] < 0.1 for point in result["decoding"])
