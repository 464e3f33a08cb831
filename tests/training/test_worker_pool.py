"""Workers: the same call everywhere, errors handed on, nobody left behind."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from minillm.backend import Backend
from minillm.errors import MinillmError, UsageError
from minillm.learning import worker_pool as room
from minillm.learning.worker_pool import (
    Workers,
    choose_workers,
    missed_wish,
    parse_workers,
)

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
KINDS = ["threads", pytest.param("processes", marks=needs_fork)]


class Member:
    """Does what the tests ask for."""

    def __init__(self, rank: int):
        self.rank = rank
        self.calls = 0

    def where(self, *arguments):
        self.calls += 1
        return self.rank, self.calls, arguments

    def process(self):
        return os.getpid(), threading.get_ident()

    def fail(self, rank: int):
        if self.rank == rank:
            raise ValueError(f"rank {rank} cannot")

    def die(self, rank: int):
        if self.rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)

    def wait(self, rank: int):
        if self.rank == rank:
            time.sleep(60)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_member_answers_in_the_order_of_rank(kind, n):
    with Workers(Member, kind, n) as workers:
        for call in (1, 2):
            answers = workers.call("where", "a", call)
            assert answers == [(rank, call, ("a", call)) for rank in range(n)]
        places = workers.call("process")
    assert len(set(places)) == n
    assert len({process for process, _ in places}) == (n if kind == "processes" else 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_the_error_of_a_member_is_raised_here(kind, rank):
    with (
        pytest.raises(ValueError, match=f"rank {rank} cannot"),
        Workers(Member, kind, 3) as workers,
    ):
        workers.call("fail", rank)


@needs_fork
def test_a_worker_that_dies_is_reported_and_the_others_are_sent_home():
    begun = time.perf_counter()
    with (
        pytest.raises(MinillmError, match=r"worker 2 died.*workers=1"),
        Workers(Member, "processes", 4) as workers,
    ):
        others = [process for process, _ in workers.call("process")][1:]
        workers.call("die", 2)
    assert not any(map(is_alive, others))
    assert time.perf_counter() - begun < 5


@needs_fork
def test_a_worker_that_died_between_two_calls_is_reported_too():
    with (
        pytest.raises(MinillmError, match="worker 1 died"),
        Workers(Member, "processes", 2) as workers,
    ):
        (_, (other, _)) = workers.call("process")
        os.kill(other, signal.SIGKILL)
        time.sleep(0.1)
        workers.call("where")


@needs_fork
def test_a_worker_that_dies_with_a_message_unread_is_reported_too():
    with (
        pytest.raises(MinillmError, match="worker 1 died"),
        Workers(Member, "processes", 2) as workers,
    ):
        (_, (other, _)) = workers.call("process")
        workers._connections[0].send(("wait", (1,)))
        threading.Timer(0.3, os.kill, (other, signal.SIGKILL)).start()
        workers.call("where")


@needs_fork
def test_after_an_error_nobody_waits_for_a_long_step():
    begun = time.perf_counter()
    with pytest.raises(KeyError), Workers(Member, "processes", 2) as workers:
        (_, (other, _)) = workers.call("process")
        workers._connections[0].send(("wait", (1,)))
        raise KeyError
    assert not is_alive(other)
    assert time.perf_counter() - begun < 5


@needs_fork
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_leave_signals_to_their_parent(number):
    with Workers(Member, "processes", 2) as workers:
        (_, (other, _)) = workers.call("process")
        os.kill(other, number)
        assert workers.call("where")[1] == (1, 1, ())


@needs_fork
@pytest.mark.parametrize("doing", ["nothing", "their step"])
def test_workers_do_not_outlive_their_parent(tmp_path, doing):
    code = """
        import os, signal, sys, time
        from minillm.learning.worker_pool import Workers

        class Member:
            def __init__(self, rank):
                self.rank = rank
            def process(self):
                return os.getpid()
            def step(self):
                if self.rank == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(0.5)

        workers = Workers(Member, "processes", 3)
        print(*workers.call("process")[1:], flush=True)
        if sys.argv[1] == "nothing":
            os.kill(os.getpid(), signal.SIGKILL)
        workers.call("step")
    """
    found = tmp_path / "workers"  # a pipe would be held open by what stays behind
    argv = [sys.executable, "-c", textwrap.dedent(code), doing]
    with found.open("w") as file:
        parent = subprocess.Popen(argv, stdout=file)
    assert parent.wait(timeout=60) == -signal.SIGKILL
    workers = [int(word) for word in found.read_text(encoding="utf-8").split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while left := list(filter(is_alive, workers)):
        if time.monotonic() > deadline:
            for worker in left:
                os.kill(worker, signal.SIGKILL)
            pytest.fail("workers outlived their parent")
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    """Whether a process runs (one that is dead but not yet waited for does not)."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_workers_can_be_asked_for(monkeypatch):
    monkeypatch.setattr(room, "available_cores", lambda: 6)
    kind = "processes" if sys.platform == "linux" else "threads"
    assert parse_workers("auto", 64) == (kind, 6)
    assert parse_workers("auto", 8) == (kind, 2)  # four sequences each
    assert parse_workers("auto", 1) == (kind, 1)
    assert parse_workers("3", 8) == (kind, 3)
    assert parse_workers("processes:3", 8) == (kind, 3)
    assert parse_workers("threads:3", 8) == ("threads", 3)
    assert parse_workers("threads:auto", 64) == ("threads", 6)


def test_where_there_is_no_fork_there_are_threads(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert parse_workers("2", 8) == parse_workers("processes:2", 8) == ("threads", 2)


def test_who_asks_for_processes_by_name_is_told_of_threads():
    told = missed_wish("processes:2", "threads")
    assert told.startswith("workers='processes:2': ")
    assert "\n" not in told
    assert missed_wish("processes:auto", "threads")
    for text, kind in [("auto", "threads"), ("2", "threads"), ("threads:2", "threads")]:
        assert missed_wish(text, kind) is None
    assert missed_wish("processes:2", "processes") is None


WRONG = "0 -1 9 two 1.5 threads threads: threads:0 processes:0 processes:9 cores:2 2:2"


@pytest.mark.parametrize("text", ["", *WRONG.split()])
def test_what_they_cannot(text):
    with pytest.raises(UsageError, match=re.escape(f"workers={text!r}:")):
        parse_workers(text, 8)


def test_a_gpu_takes_one():
    class Gpu(Backend):
        name = kind = "cuda"

    assert choose_workers("auto", 64, Gpu()) == choose_workers("1", 64, Gpu())
    assert choose_workers("auto", 64, Gpu()) == ("device", 1)
    with pytest.raises(UsageError, match="cuda takes one"):
        choose_workers("2", 64, Gpu())
