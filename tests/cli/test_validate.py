"""`minillm validate`: a line for each check, and the exit code."""

import json

import pytest

from minillm.studies import calibration
from minillm.studies.calibration import Check


@pytest.fixture
def checks(monkeypatch):
    """The checks that the command finds, and what it asked for."""
    found, asked = [], []

    def calibrate(series, seed):
        asked.append((series, seed))
        return iter(found)

    monkeypatch.setattr(calibration, "calibrate", calibrate)
    return found, asked


def test_what_passes(minillm, checks):
    found, asked = checks
    found += [Check("L(N) without noise", 2e-9, 1e-6, "worst of E, A, alpha")]
    code, out, err = minillm("validate", "--series", "12", "--seed", "3")
    assert (code, err, asked) == (0, "", [(12, 3)])
    words = " ".join(out.split())
    assert words == "ok L(N) without noise 2e-09 (limit 1e-06) worst of E, A, alpha"


def test_what_fails_is_named_and_the_code_is_1(minillm, checks):
    found, _ = checks
    found += [Check("good", 0.0, 1.0, ""), Check("bad", 2.0, 1.0, "far off")]
    code, out, err = minillm("validate")
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()] == ["ok", "FAILED"]
    assert err == "minillm: 1 of 2 checks failed: bad\n"


def test_json_is_one_object_also_when_a_check_fails(minillm, checks):
    found, _ = checks
    found += [Check("good", 0.5, 1.0, "a"), Check("bad", float("nan"), 1.0, "b")]
    code, out, _ = minillm("validate", "--json")
    record = json.loads(out)
    assert code == 1
    assert record["ok"] is False
    assert record["checks"] == [
        {"name": "good", "error": 0.5, "limit": 1.0, "detail": "a", "ok": True},
        {"name": "bad", "error": None, "limit": 1.0, "detail": "b", "ok": False},
    ]
    assert record["seconds"] >= 0


def test_too_few_series_are_refused(minillm):
    code, out, err = minillm("validate", "--series", "3")
    assert (code, out) == (2, "")
    assert "at least 10" in err
