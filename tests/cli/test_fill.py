"""`minillm fill`: its table and its object."""

import json

import pytest


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    from minillm import train

    out = str(tmp_path_factory.mktemp("runs") / "masked")
    options = {"size": "pico", "data": "bilingual", "device": "cpu", "workers": "1"}
    train(**options, objective="mlm", tokenizer="bytes", steps=2, out=out)
    return out


def test_each_gap_has_its_candidates(minillm, run):
    text = "The [MASK] and [MASK]"
    code, out, err = minillm("fill", run, text, "--top", "3", "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["text"] == text
    assert [len(gap) for gap in record["gaps"]] == [3, 3]
    assert set(record["gaps"][0][0]) == {"text", "id", "probability"}


def test_characters_that_the_model_does_not_know_are_named_but_not_the_gap(
    minillm, tmp_path
):
    from minillm import train

    out = str(tmp_path / "brackets")
    options = {"size": "pico", "data": "brackets:lines=100", "tokenizer": "chars"}
    options |= {"objective": "mlm", "steps": 1, "device": "cpu", "workers": "1"}
    train(**options, context=8, out=out)
    err = minillm("fill", out, "([MASK]<🏮)")[2]
    assert "no token for 50.0% of the characters of the text ('<' '🏮'): " in err
    assert minillm("fill", out, "([MASK])")[2] == ""


def test_tables_are_numbered_and_show_no_half_characters(minillm, run):
    out = minillm("fill", run, "灯[MASK]。[MASK]", "--top", "250")[1]
    assert "[MASK] 1" in out
    assert "[MASK] 2" in out
    assert "'e'" in out
    assert "part of a character: token 231" in out
    assert "\ufffd" not in out


def test_a_text_without_a_gap_is_refused(minillm, run):
    code, out, err = minillm("fill", run, "The end")
    assert (code, out) == (2, "")
    assert "[MASK]" in err
