"""One process at a time trains into a folder."""

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from minillm.errors import UsageError
from minillm.runs.lock import locked

HOLD = """
    import sys
    from pathlib import Path
    from minillm.runs.lock import locked
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def hold():
    """A function that has another process hold a folder; the process."""
    processes = []

    def start(folder) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HOLD), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_second_process_is_told_the_number_of_the_first(hold, quick_train, tmp_path):
    (tmp_path / "a").mkdir()
    other = hold(tmp_path / "a")
    with pytest.raises(UsageError, match=f"process {other.pid} is training here"):
        quick_train("a")
    other.communicate("")
    assert quick_train("a")["status"] == "finished"


def test_an_unfinished_run_that_is_at_work_is_not_resumed(hold, quick_train, tmp_path):
    quick_train("a")
    record = tmp_path / "a" / "run.json"
    text = record.read_text(encoding="utf-8")
    record.write_text(text.replace('"finished"', '"running"'), encoding="utf-8")
    other = hold(tmp_path / "a")
    for resume in (False, True):
        with pytest.raises(UsageError, match=f"process {other.pid} is training here"):
            quick_train("a", resume=resume)


def test_a_killed_process_holds_nothing(hold, tmp_path):
    other = hold(tmp_path)
    with pytest.raises(UsageError, match=str(other.pid)), locked(tmp_path):
        pass
    other.kill()
    other.wait()
    with locked(tmp_path):
        pass


def test_the_number_takes_the_place_of_a_longer_one(hold, tmp_path):
    (tmp_path / ".lock").write_text("123456789012\n")
    other = hold(tmp_path)
    assert (tmp_path / ".lock").read_bytes() == f"{other.pid}\n".encode()


def test_who_comes_before_the_number_is_written_waits_for_it(hold, tmp_path):
    other = hold(tmp_path)
    (tmp_path / ".lock").write_bytes(b"")
    number = f"{other.pid}\n"
    writer = threading.Timer(0.1, (tmp_path / ".lock").write_text, [number])
    writer.start()
    with pytest.raises(UsageError, match=f"process {other.pid} is training here"):
        locked(tmp_path).__enter__()
    writer.join()


def test_who_waits_for_a_number_takes_the_place_of_a_process_that_ends(hold, tmp_path):
    other = hold(tmp_path)
    (tmp_path / ".lock").write_bytes(b"")
    end = threading.Timer(0.1, other.kill)
    end.start()
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_bytes() == f"{os.getpid()}\n".encode()
    end.join()


def test_who_waits_for_a_number_in_vain_is_told_without_it(hold, tmp_path):
    hold(tmp_path)
    (tmp_path / ".lock").write_bytes(b"")
    with pytest.raises(UsageError, match="another process is training"):
        locked(tmp_path).__enter__()
