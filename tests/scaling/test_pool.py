"""Tasks side by side: how many at a time, what is told, and how they end."""

import os
import signal
import time
from contextlib import closing

import pytest

from minillm.errors import DivergedError, Interrupted
from minillm.series import pool
from minillm.series.pool import Task, side_by_side

posix = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")


def double(send, number):
    send(f"doubling {number}")
    return 2 * number


def fail(_send, error):
    raise error


def die(_send, number):
    os.kill(os.getpid(), number)


def sleep(send, seconds):
    send(os.getpid())
    time.sleep(seconds)


def ignore_sigterm(send):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep(send, 60)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("forks", [True, False], ids=["fork", "spawn"])
def test_a_task_is_started_heard_and_answered(monkeypatch, forks):
    monkeypatch.setattr(pool, "forks", lambda: forks and pool.sys.platform == "linux")
    events = list(side_by_side([Task("six", double, (6,))], 1))
    told = [(event.kind, event.value) for event in events if event.kind != "tick"]
    assert told == [("started", None), ("sent", "doubling 6"), ("answered", 12)]
    assert all(event.task.name == "six" for event in events if event.kind != "tick")


def test_every_task_runs_and_no_more_than_n_at_a_time():
    running = most = 0
    answers = {}
    for event in side_by_side([Task(str(i), double, (i,)) for i in range(7)], 3):
        running += {"started": 1, "answered": -1}.get(event.kind, 0)
        most = max(most, running)
        if event.kind == "answered":
            answers[event.task.name] = event.value
    assert answers == {str(i): 2 * i for i in range(7)}
    assert most == 3


def test_a_task_is_taken_only_when_there_is_room_for_it():
    finished = []

    def tasks():
        yield Task("a", double, (1,))
        yield Task("b", double, (2,))
        assert finished
        yield Task("c", double, (3,))

    for event in side_by_side(tasks(), 2):
        if event.kind == "answered":
            finished.append(event.task.name)
    assert sorted(finished) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("task", "message", "exit_code"),
    [
        (Task("t", fail, (DivergedError("loss nan"),)), "loss nan", 5),
        (Task("t", fail, (Interrupted("after step 3", 143),)), "after step 3", 143),
        (Task("t", fail, (ZeroDivisionError("by 0"),)), "ZeroDivisionError: by 0", 1),
        pytest.param(
            Task("t", die, (9,)),
            "its process died (exit code -9): out of memory?",
            1,
            marks=posix,
        ),
    ],
)
def test_a_failure_is_told_and_the_others_go_on(task, message, exit_code):
    events = list(side_by_side([task, Task("well", double, (2,))], 1))
    (failure,) = [event for event in events if event.kind == "failed"]
    assert (failure.value, failure.exit_code) == (message, exit_code)
    assert events[-2].value == 4 or events[-1].value == 4


@posix
@pytest.mark.parametrize("function", [sleep, ignore_sigterm])
def test_an_exception_outside_stops_what_is_running(monkeypatch, function):
    monkeypatch.setattr(pool, "PATIENCE", 0.3)
    arguments = (60,) if function is sleep else ()
    pids = []
    begun = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        closing(side_by_side([Task("t", function, arguments)] * 2, 2)) as events,
    ):
        for event in events:
            if event.kind == "sent":
                pids.append(event.value)
            if len(pids) == 2:
                raise KeyboardInterrupt
    assert time.monotonic() - begun < 20
    assert not any(map(is_alive, pids))
