"""`minillm gradcheck` and `minillm graph`."""

import json
import time

import pytest

from minillm.models import ARCHITECTURES
from minillm.testing import TABLE, Row


def test_gradcheck_prints_one_line_an_op_in_less_than_5_seconds(minillm):
    started = time.process_time()
    code, out, err = minillm("gradcheck")
    assert time.process_time() - started < 5
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert [line[1] for line in lines] == list(TABLE)
    assert all(line[0] == "ok" for line in lines)


def test_gradcheck_of_one_op_as_json(minillm):
    code, out, _ = minillm("gradcheck", "--op", "gelu", "--op", "exp", "--json")
    record = json.loads(out)
    assert (code, record["ok"], record["device"]) == (0, True, "cpu")
    gelu, exp = record["ops"]
    assert (gelu["op"], exp["op"]) == ("gelu", "exp")
    assert 0 < gelu["gradient_error"] < 1e-6
    assert gelu["body_error"] < 1e-12
    assert exp["body_error"] is None


@pytest.fixture
def wrong_exp(monkeypatch):
    from minillm.backend import xp
    from minillm.tensor import op

    @op
    def exp(x):
        y = xp.exp(x)
        return y, lambda g: -g * y

    monkeypatch.setitem(TABLE, "exp", Row(exp, TABLE["exp"].inputs))
    for name in set(TABLE) - {"add", "exp", "gelu"}:  # the test above runs them all
        monkeypatch.delitem(TABLE, name)


def test_gradcheck_fails_when_an_op_does(minillm, wrong_exp):
    code, out, err = minillm("gradcheck")
    assert code == 1
    failed = [line for line in out.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 1
    assert "exp: the gradient with respect to x" in failed[0]
    lines = [line for line in out.splitlines() if not line.startswith(" ")]
    assert len(lines) == len(TABLE)
    assert "everywhere −1 × the differences" in out
    assert err == f"minillm: 1 of {len(TABLE)} ops failed: exp\n"
    code, out, _ = minillm("gradcheck", "--op", "exp", "--op", "gelu", "--json")
    assert code == 1
    assert json.loads(out)["ok"] is False


def test_gradcheck_of_an_op_that_is_not_there(minillm):
    code, out, err = minillm("gradcheck", "--op", "softmaxx")
    assert (code, out) == (2, "")
    assert "no op 'softmaxx'" in err


def test_gradcheck_on_a_device_that_is_not_there(minillm):
    assert minillm("gradcheck", "--device", "tpu")[0] == 2


def test_graph_of_a_model_step(minillm):
    code, out, err = minillm("graph")
    assert (code, err) == (0, "")
    assert out.startswith("flowchart TD\n")
    assert "tokens.weight<br>(64, 16)<br>‖g‖ " in out


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_graph_of_a_step_of_each_architecture(minillm, arch):
    code, out, err = minillm("graph", "--arch", arch, "--format", "dot")
    assert (code, err) == (0, "")
    attends = any(f"{kind}_attention\\n" in out for kind in ("self", "cross"))
    assert attends == (arch != "lstm")


def test_graph_of_an_expression(minillm):
    expression = ("graph", "tanh(x @ w)", "--shape", "x=2,3", "--shape", "w=3")
    code, out, _ = minillm(*expression, "--format", "dot")
    assert code == 0
    assert r'label="matmul\n(2,)\n‖g‖ ' in out
    _, out, _ = minillm(*expression, "--forward-only")
    assert "‖g‖" not in out
    record = json.loads(minillm(*expression, "--json")[1])
    assert [node["op"] for node in record["nodes"]] == ["", "", "matmul", "tanh"]
    assert record["dot"].startswith("digraph")


@pytest.mark.parametrize(
    ("suffix", "begin"), [("dot", "\ndigraph {"), ("mmd", "\nflowchart TD")]
)
def test_graph_into_a_file_of_the_kind_its_name_says(minillm, tmp_path, suffix, begin):
    path = tmp_path / f"图.{suffix}"
    code, out, _ = minillm("graph", "x * x", "--out", str(path))
    assert (code, out) == (0, "")
    first, line_end, rest = path.read_text(encoding="utf-8").partition("\n")
    assert "Written by minillm" in first
    assert (line_end + rest).startswith(begin)


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["x +"], 2, "x +: invalid syntax"),
        (["x", "--shape", "x=a"], 2, "--shape x=a: write it as x=2,3"),
        (["x", "--shape", "x"], 2, "write it as"),
        (["x", "--shape", "y=2"], 2, "has no 'y'"),
        (["--size", "huge"], 2, "unknown size 'huge'"),
        (["--arch", "rnn"], 2, "'rnn'"),
        (["x * x", "--out", "/nowhere/at/all.dot"], 3, "all.dot"),
    ],
)
def test_what_graph_cannot_draw(minillm, argv, code, words):
    got, out, err = minillm("graph", *argv)
    assert (got, out) == (code, "")
    assert words in err


def test_a_graph_is_no_picture(minillm, tmp_path):
    out = tmp_path / "g.png"
    code, _, err = minillm("graph", "x * x", "--shape", "x=", "--out", str(out))
    assert code == 2
    assert "written as text, .dot" in err
    assert not out.exists()
