"""Definitions in place of faster bodies: for a block, or for the whole process."""

import subprocess
import sys
import threading

import pytest

from minillm import ops
from minillm.backend import body_of, plain, runs_plain

# The file whose `gelu` runs, in three places.
SHOW = """
import multiprocessing, sys, threading
import numpy as np
from minillm import ops

def show(where):
    def look(frame, event, _):
        if event == "call" and frame.f_code.co_name == "gelu":
            print(where, frame.f_code.co_filename.replace("\\\\", "/"), flush=True)
    sys.setprofile(look)
    ops.gelu(np.ones(3, np.float32))
    sys.setprofile(None)

show("here")
thread = threading.Thread(target=show, args=["thread"])
thread.start()
thread.join()
if "fork" in multiprocessing.get_all_start_methods():
    process = multiprocessing.get_context("fork").Process(target=show, args=["fork"])
    process.start()
    process.join()
"""


def run(code: str, monkeypatch, asked: str | None) -> subprocess.CompletedProcess:
    monkeypatch.delenv("MINILLM_PLAIN", raising=False)
    if asked is not None:
        monkeypatch.setenv("MINILLM_PLAIN", asked)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("asked", "file"),
    [
        (None, "backend/cpu.py"),
        ("", "backend/cpu.py"),
        ("0", "backend/cpu.py"),
        ("1", "ops/neural.py"),
    ],
)
def test_the_environment_decides_for_threads_and_workers_too(asked, file, monkeypatch):
    done = run(SHOW, monkeypatch, asked)
    assert not done.stderr
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert [where for where, _ in lines][:2] == ["here", "thread"]
    assert all(path.endswith(file) for _, path in lines)


def test_another_value_is_one_clear_line_at_the_first_op(monkeypatch):
    code = "from minillm import Tensor, errors\nx = Tensor(2.0)\n"
    code += "try:\n    x + 1\nexcept errors.UsageError as error:\n    print(error)"
    done = run(code, monkeypatch, "yes")
    assert not done.stderr
    assert done.stdout.splitlines() == [
        "MINILLM_PLAIN='yes': 1 runs each op as it is defined, 0 its faster body"
    ]


def test_a_process_tells_whether_it_runs_plain(monkeypatch):
    code = "from minillm.backend import runs_plain; print(runs_plain())"
    assert run(code, monkeypatch, "1").stdout == "True\n"
    assert run(code, monkeypatch, None).stdout == "False\n"


def test_a_block_is_plain_in_its_own_thread():
    found = []
    with plain():
        assert runs_plain()
        assert body_of(ops.gelu.rule, "cpu") is ops.gelu.rule
        thread = threading.Thread(target=lambda: found.append(runs_plain()))
        thread.start()
        thread.join()
    assert found == [False]
    assert not runs_plain()
