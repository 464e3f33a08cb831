"""`minillm bench` on the smallest size, for a moment."""

import json

QUICK = ["--seconds", "0.05", "--device", "cpu", "--workers", "1"]


def test_a_size_is_measured(minillm):
    code, out, err = minillm("bench", "--size", "pico", *QUICK, "--json")
    record = json.loads(out)
    (row,) = record["rows"]
    assert (code, err) == (0, "")
    assert (row["size"], row["d_model"]) == ("pico", 16)
    assert 1e2 < row["tokens_per_second"] < 1e9
    assert record["device"] == "cpu"


def test_a_shape_of_one_s_own_is_shown_as_a_table(minillm):
    shape = ["--layers", "1", "--width", "8", "--heads", "1", "--batch", "4"]
    code, out, err = minillm("bench", *shape, "--context", "16", *QUICK)
    assert code == 0
    assert "1 × 8" in out
    assert "4 × 16" in out
    assert err.startswith("next: ")


def test_an_unknown_size_is_refused(minillm):
    code, _, err = minillm("bench", "--size", "huge")
    assert code == 2
    assert "huge" in err
