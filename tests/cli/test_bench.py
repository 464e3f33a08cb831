"""`minillm bench` on the smallest size, for a moment."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minillm.backend import products
from minillm.inspect.bench import contest

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
    assert err == "next: minillm bench --size tiny --profile\n"
    _, _, err = minillm("bench", *shape, "--context", "16", *QUICK, "--arch", "bert")
    assert err == "next: minillm bench --size tiny --arch bert --profile\n"


@pytest.mark.parametrize("asked", ["Nonsense", ""])
def test_who_chose_numpy_s_kernels_is_told(minillm, monkeypatch, asked):
    monkeypatch.setenv("OPENBLAS_CORETYPE", asked)
    monkeypatch.setattr(products, "kernels", lambda: ["Zen"])
    out = minillm("bench", "--size", "pico", *QUICK)[1]
    assert ("NumPy's kernels: Zen, by OPENBLAS_CORETYPE=Nonsense" in out) == bool(asked)
    assert ("kernels" in out) == bool(asked)


def test_an_unknown_size_is_refused(minillm):
    code, _, err = minillm("bench", "--size", "huge")
    assert code == 2
    assert "huge" in err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--against", "tinygrad"], "--against tinygrad: choose from torch"),
        (["--against", "torch,,tinygrad"], "tinygrad"),
        (["--profile", "--against", "torch"], "--profile takes no --against. See"),
        (["--profile", "--decode"], "--profile takes no --decode"),
        (["--profile", "--seconds", "1"], "--profile takes no --seconds"),
        (["--profile", "--size", "pico", "--size", "nano"], "one --size"),
        (["--plot", "a.png"], "add --profile"),
        (["--seconds", "-1"], "--seconds must be positive"),
        (["--workers", "0"], "--workers 0"),
        (["--size", "pico", "--workers", "999"], "more workers than"),
        (["--size", "pico", "--layers", "2", "--width", "8"], "not both"),
        (["--layers", "2"], "needs --layers and --width"),
        (["--arch", "rnn"], "arch must be one of gpt, llama, lstm"),
        (["--arch", "bert", "--decode"], "arch bert does not go on with a text"),
        (["--arch", "lstm", "--against", "jax"], "for lstm choose torch"),
    ],
)
def test_bad_input_is_refused(minillm, argv, words):
    code, out, err = minillm("bench", "--device", "cpu", *argv)
    assert (code, out) == (2, "")
    assert words in " ".join(err.split())


def test_a_peer_that_is_not_installed_is_refused(minillm, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, out, err = minillm("bench", "--against", "jax")
    assert (code, out) == (2, "")
    assert err.rstrip().endswith("--against jax: not installed: pip install jax")


@pytest.mark.slow
def test_a_peer_that_fails_is_one_line(minillm, monkeypatch):
    monkeypatch.setitem(contest.PEERS, "gone", ("no_such_module", "json"))
    code, out, err = minillm("bench", "--size", "pico", *QUICK, "--against", "gone")
    assert (code, out) == (1, "")
    about, line = err.splitlines()
    assert about == "pico: this engine and gone"
    assert line.startswith("minillm: gone: ModuleNotFoundError: No module named ")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_contender_that_is_killed_is_one_line(minillm, monkeypatch):
    def ask(rival, *_):
        os.kill(rival._process.pid, signal.SIGKILL)
        return rival._hear()

    monkeypatch.setattr(contest.Rival, "ask", ask)
    code, out, err = minillm("bench", "--size", "pico", *QUICK)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("minillm: minillm: its process died (exit code -9)")


@pytest.mark.peers
def test_a_contest_is_a_table_of_its_own(minillm):
    argv = ["--size", "pico", "--batch", "4", "--context", "16", *QUICK]
    code, out, err = minillm("bench", *argv, "--against", "torch", "--decode")
    assert code == 0
    assert "our tokens/s over the other's" in out
    assert "torch" in out
    assert "decode, cpu" in out
    assert "this engine and torch" in err


def test_decoding_is_one_token_at_a_time(minillm):
    code, out, _ = minillm("bench", "--size", "pico", *QUICK, "--decode", "--json")
    record = json.loads(out)
    (row,) = record["rows"]
    assert (code, record["work"], row["batch"]) == (0, "decode", 1)
    assert record["workers"]["n"] == 1
    per_step = row["tokens_per_second"] * row["step_seconds"]["median"]
    assert per_step == pytest.approx(1)


PROFILE = ["bench", "--profile", "--size", "pico", "--batch", "4", "--device", "cpu"]


def test_a_profile_says_where_the_time_goes(minillm):
    code, out, _ = minillm(*PROFILE, "--json")
    assert json.loads(out)["arch"] == "gpt"
    found = json.loads(out)
    assert code == 0
    rows = {row["op"]: row for row in found["rows"]}
    ops = {"linear", "self_attention", "gelu", "layer_norm", "linear_cross_entropy"}
    assert ops | {"adamw", "embedding", "between the ops"} <= set(rows)
    assert rows["linear"]["body"] == "faster"
    assert rows["linear"]["calls"] == 4 * found["n_layers"]
    assert rows["linear"]["backward_seconds"] > 0
    assert rows["adamw"]["backward_seconds"] == 0
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    seconds = sum(r["forward_seconds"] + r["backward_seconds"] for r in rows.values())
    assert seconds == pytest.approx(found["step_seconds"])


def test_the_next_command_draws_the_profile_that_was_shown(minillm):
    expected = " ".join(["minillm", *PROFILE, "--plot profile.svg"])
    assert set(minillm(*PROFILE)[2].split()) == {"next:", *expected.split()}


def test_a_profile_is_a_table_and_a_picture(minillm, tmp_path):
    code, out, _ = minillm(*PROFILE, "--plot", str(tmp_path / "profile.png"))
    assert code == 0
    assert "linear_cross" in out
    assert "between the ops" in out
    assert out.splitlines()[-1] == str(tmp_path / "profile.png")
    picture = (tmp_path / "profile.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000


# A shell's background jobs, this test among them, hand on that Ctrl-C is to be ignored.
SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from minillm_cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("moment", ["as the contender starts", "in its steps"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_to_everyone_leaves_nobody_behind(number, code, moment):
    argv = ["bench", "--size", "pico", "--seconds", "300", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *argv, "--workers", "2"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    # this process, the resource tracker, the contender, and its worker
    wait_for(lambda: len(members(process)) == (4 if moment == "in its steps" else 3))
    os.killpg(process.pid, number)
    err = process.communicate(timeout=60)[1].decode()
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert len(err.split("\n")) <= 3 and err.splitlines()[-1].startswith("minillm: ")
    wait_for(lambda: not members(process))


def members(process) -> list[int]:
    """The processes of its group that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = path.read_text("utf-8").rsplit(")", 1)[1].split()[:3]
            if int(group) == process.pid and state not in "ZX":
                found.append(int(path.parent.name))
    return found


def wait_for(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
