"""`minillm demo`: the list, a result for people and for programs, errors in a line."""

import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from minillm.demos import DEMOS

ONE = ["--device", "cpu", "--workers", "1"]
QUICK = "numbers", "languages"


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Demos of two steps, in a folder of ours: each is trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("demos"))
        for name, chosen in DEMOS.items():
            settings = {**chosen.settings, "d_model": 16, "steps": 2}
            patch.setitem(DEMOS, name, replace(chosen, settings=settings))
        yield


def test_without_a_name_they_are_listed(minillm, quick):
    code, out, err = minillm("demo")
    assert (code, err) == (0, "next: minillm demo reverse\n")
    rows = [line.split() for line in out.splitlines()]
    for name, chosen in DEMOS.items():
        (row,) = [row for row in rows if row[:1] == [name]]
        assert chosen.toy.objective in row
        assert row[-2:] == [str(chosen.seconds), "s"]
    listed = json.loads(minillm("demo", "--json")[1])["demos"]
    assert [each["name"] for each in listed] == list(DEMOS)
    assert {each["arch"] for each in listed} == {"gpt", "encoder", "encdec", "bert"}


@pytest.mark.parametrize(
    "name",
    [
        "languages",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("brackets", "topics")),
    ],
)
def test_the_result_stands_between_chance_and_the_best(minillm, quick, name):
    argv = ["demo", name, "--out", f"一 {name}", *ONE]
    code, out, err = minillm(*argv)
    assert code == 0
    record = json.loads(minillm(*argv, "--json")[1])
    assert record["solved"] is False
    assert "not solved: " in out
    for share in ("score", "chance", "best"):
        assert f"{record[share]:.1%}" in out
    assert ("the least possible" in out) == (name == "brackets")
    n_right = sum(line.rstrip().endswith(" right") for line in out.splitlines())
    n_wrong = sum(line.rstrip().endswith(" WRONG") for line in out.splitlines())
    assert (n_right + n_wrong, n_right) == (
        10,
        sum(row["is_right"] for row in record["examples"]),
    )
    assert err.splitlines()[-1].startswith("next: minillm ")
    assert f"'一 {name}'" in err.splitlines()[-1]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in DEMOS
    ],
)
def test_the_next_command_can_be_typed(minillm, quick, name):
    err = minillm("demo", name, "--out", f"一 {name}", *ONE)[2]
    code, out, _ = minillm(*shlex.split(err.splitlines()[-1])[2:])
    assert code == 0
    assert out


@pytest.mark.slow
def test_a_second_call_says_that_the_run_is_there(minillm, quick):
    minillm("demo", "copy", *ONE)
    code, out, err = minillm("demo", "copy", *ONE, "--json")
    assert code == 0
    assert json.loads(out)["run"] == "runs/demo-copy"
    assert "finished already" in err
    assert "step" not in err


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["revers"], 2, "did you mean 'reverse'?"),
        (["copy", "--seed", "-1"], 2, "seed must be at least 0"),
        (["copy", "--seed", "x"], 2, "--seed"),
        (["copy", "--device", "tpu", "--out", "new"], 2, "tpu"),
        (["copy", "--workers", "0", "--out", "new"], 2, "--workers 0"),
        (["copy", "--out", "file"], 2, "is a file"),
        (["copy", "--out", "full"], 2, "holds no run"),
        (["copy", "reverse"], 2, "reverse"),
    ],
)
def test_bad_input_is_one_line(minillm, quick, argv, code, words):
    Path("full").mkdir(exist_ok=True)
    for path in ("file", "full/mine"):
        Path(path).write_text("", encoding="utf-8")
    got, out, err = minillm("demo", *argv)
    assert (got, out) == (code, "")
    (line,) = err.splitlines()
    assert words in line


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_says_how_to_go_on(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "minillm", "demo", "reverse", *ONE],
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        cwd=tmp_path,
    )
    assert any(line.startswith("step ") for line in process.stderr)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    how = "minillm demo reverse --seed 0 --out runs/demo-reverse"
    assert err.splitlines()[-1] == f"minillm: interrupted; go on with: {how}"
