"""The world around a process: locales, streams, homes, limits, terminals, the clock."""

import errno
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

POSIX = pytest.mark.skipif(os.name == "nt", reason="written for a POSIX shell")
HOMELESS = {"HOME": "/dev/null", "XDG_CACHE_HOME": "", "MPLCONFIGDIR": "/dev/null"}


@pytest.fixture
def shell(here):
    """A function that runs a command line under `sh`, after `before` and with its
    streams as in `ends`: (exit code, stdout, stderr)."""

    def run(*argv: str, before: str = "true", ends: str = "", **env: str):
        script = f'{before}; exec "$@" {ends}'
        program = [sys.executable, "-m", "minillm", *argv]
        done = subprocess.run(
            ["sh", "-c", script, "sh", *program],
            env={**os.environ, **env},
            capture_output=True,
            start_new_session=True,
            check=False,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


# (what is odd, what the shell does before, the environment)
WORLDS = [
    (
        "Turkish, without a home, a width, threads, asserts and many open files",
        "umask 077; ulimit -n 32",
        {
            **HOMELESS,
            "TMPDIR": "/dev/null",
            "LC_ALL": "tr_TR.UTF-8",
            "COLUMNS": "0",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "OMP_NUM_THREADS": "abc",
            "PYTHONOPTIMIZE": "2",
        },
    ),
    (
        "ASCII, of a narrow terminal, where a warning is an error",
        "unset LANG LC_CTYPE",
        {
            "LC_ALL": "C",
            "PYTHONIOENCODING": "ascii",
            "COLUMNS": "20",
            "TERM": "",
            "PYTHONWARNINGS": "error",
        },
    ),
]


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize(
    ("before", "env"),
    [row[1:] for row in WORLDS],
    ids=[row[0] for row in WORLDS],
)
def test_a_world_that_is(shell, here, trained, quick, before, env):
    (here / "书 I.txt").write_bytes((trained / "text.txt").read_bytes())
    argv = [*quick, "--data=书 I.txt", "--out=海 1"]
    code, out, err = shell(*argv, before=before, ends="<&-", **env)
    assert code == 0, err
    told = [line for line in err.splitlines() if not line.startswith("step ")]
    assert told[0].startswith("gpt 1 layers × 16") and "书 I.txt by bytes" in told[0]
    assert told[1].startswith("next: minillm generate '海 1' ")
    assert len(told) == 2  # and nothing else
    assert re.search(r"validation.* 4\.\d{4}", out)
    record = json.loads((here / "海 1" / "run.json").read_text("utf-8"))
    usual = json.loads((trained / "run" / "run.json").read_text("utf-8"))
    assert record["results"]["val_loss"] == usual["results"]["val_loss"]


@POSIX
def test_a_python_that_was_told_not_to_read_utf_8(shell, here, trained, quick):
    argv = [*quick, "--data", str(trained / "text.txt"), "--out=海"]
    code, out, err = shell(*argv, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("minillm: out '") and "set PYTHONUTF8=1" in err
    assert not any(here.iterdir())


@pytest.mark.slow
@POSIX
def test_closed_streams_take_no_file_s_place(shell, here, trained, quick):
    text = str(trained / "text.txt")
    train = [*quick, "--data", text, "--out"]
    assert shell(*train, "run", ends="<&- >&- 2>&-") == (0, "", "")
    lines = (here / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert shell("train", "--data", "missing", ends="2>&-") == (3, "", "")
    code, out, err = shell("chat", "run", ends="<&-")
    assert (code, out, err) == (0, "", "")


FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@FULL
def test_an_answer_that_is_lost_is_a_failure(shell):
    code, _, err = shell("sizes", ends="> /dev/full")
    assert code == 1
    assert err == (
        "minillm: standard output: No space left on device: what was to be said is lost"
        "\n"
    )


@FULL
def test_the_exit_code_does_not_depend_on_who_hears_the_reason(shell):
    assert shell("train", "--data", "missing", ends="2> /dev/full") == (3, "", "")
    code, out, _ = shell("data", "list", "--json", ends="2> /dev/full")
    assert (code, out[0]) == (0, "{")


@pytest.mark.parametrize("columns", ["0", "1", "20", "x", "-5"])
def test_no_width_of_a_terminal_takes_figures_away(sees, monkeypatch, columns):
    usual = sees("sizes", code=0)[0].split()
    monkeypatch.setenv("COLUMNS", columns)
    assert sees("sizes", code=0)[0].split() == usual


def test_help_without_docstrings_says_what_a_command_does(spawn):
    done = spawn("train", "--help", env={"PYTHONOPTIMIZE": "2"})
    assert b"\n  Train a language model on a text.\n" in done.stdout


def test_a_folder_that_is_gone(sees, here, trained, quick, monkeypatch):
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    text = str(trained / "text.txt")
    says = "run: cannot be written .*: make room there or choose another place"
    sees(*quick, "--data", text, "--out", "run", code=3, says=says)
    sees(*quick, "--data", "text.txt", "--out", "run", code=3, says="no such file")
    sees("scale", "--preset", "smoke", "--out", "law", code=3, says="law: cannot be")
    sees("sizes", code=0)


@POSIX
def test_what_is_no_file_is_written_to_and_not_replaced(sees, here, run):
    nothing = here / "nothing.npy"
    nothing.symlink_to("/dev/null")
    sees("embed", "run", "the sea", "--out", "nothing.npy", code=0)
    assert nothing.is_symlink()


def test_a_clock_that_goes_backwards(minillm, here, trained, quick, monkeypatch):
    now = iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: next(now))
    monkeypatch.setattr(time, "time_ns", lambda: next(now) * 10**9)
    text = str(trained / "text.txt")
    code, out, _ = minillm(*quick, "--data", text, "--out", "run", "--json")
    assert code == 0
    lines = (here / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    seconds = [0.0, *(json.loads(line)["seconds"] for line in lines)]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= json.loads(out)["results"]["seconds"] < 60


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_one_core_of_a_batch_system_is_one_worker(sees, trained, quick):
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        text = str(trained / "text.txt")
        own = ["--data", text, "--out", "run", "--batch", "16", "--workers", "auto"]
        assert "; cpu, 1 worker\n" in sees(*quick, *own, code=0)[1]
    finally:
        os.sched_setaffinity(0, cores)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")
def test_no_room_for_another_process(sees, trained, quick, monkeypatch):
    def fork():
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    text = str(trained / "text.txt")
    own = ["--data", text, "--out", "run", "--workers", "2"]
    says = r"worker 1 cannot be started \(Resource .*\): try --workers 1"
    sees(*quick, *own, code=1, says=says)
    series = ["scale", "--preset", "smoke", "--data", "lexicon", "--out", "law"]
    says = r"its process cannot be started \(Resource .*\): try fewer --workers"
    sees(*series, code=1, says=says)


@pytest.mark.slow
@POSIX
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere -v is not kept to")
def test_memory_that_the_system_refuses(shell, trained, quick):
    text = str(trained / "text.txt")
    big = [*quick, "--data", text, "--out", "run", "--layers", "4", "--width", "1024"]
    before = "ulimit -v 350000"
    code, _, err = shell(*big, "--workers=2", before=before, OPENBLAS_NUM_THREADS="1")
    assert (code, err.count("\n")) == (4, 1), err
    assert err.startswith("minillm: out of memory")
