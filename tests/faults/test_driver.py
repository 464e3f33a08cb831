"""The driver of faults, for a few seconds; by hand it runs for minutes."""

import importlib.util
import sys
import tempfile
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("needs signals and limits", allow_module_level=True)


@pytest.fixture
def driver(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = Path(__file__).with_name("driver.py")
    spec = importlib.util.spec_from_file_location("fault_driver", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_round_of_faults_leaves_the_run_as_it_would_be(driver, monkeypatch, capsys):
    monkeypatch.setattr(driver, "MOST_FAULTS", 3)
    code = driver.main(["--rounds", "1", "--seed", "8"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "1 rounds, " in said


def test_a_run_that_comes_out_otherwise_is_a_violation(driver, monkeypatch, capsys):
    monkeypatch.setattr(driver, "MOST_FAULTS", 0)
    outcomes = iter([{"weights": 1}, {"weights": 2}])
    monkeypatch.setattr(driver, "outcome", lambda run: next(outcomes))
    monkeypatch.setattr(driver, "end", lambda *_: "")
    monkeypatch.setattr(driver, "start", lambda *_: None)
    assert driver.main(["--rounds", "1"]) == 1
    assert "VIOLATION in round 0: not the same: weights" in capsys.readouterr().out
