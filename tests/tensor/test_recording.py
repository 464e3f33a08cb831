"""What is recorded, and when nothing is."""

import inspect
import threading

import numpy as np
import pytest

from minillm import Tensor, backend, debug, no_grad


@pytest.fixture
def x():
    return Tensor(np.ones(2), requires_grad=True)


def test_no_grad_records_nothing(x):
    with no_grad():
        y = x * 2
    assert not y.requires_grad
    assert y.edges == ()


def test_no_grad_nests(x):
    with no_grad():
        with no_grad():
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_ends_with_an_exception(x):
    with pytest.raises(ZeroDivisionError), no_grad():
        1 / 0  # noqa: B018
    assert (x * 2).requires_grad


def test_no_grad_in_one_thread_does_not_stop_another(x):
    inside, done = threading.Event(), threading.Event()

    def other():
        with no_grad():
            inside.set()
            done.wait(5)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(5)
    recorded = (x * 2).requires_grad
    done.set()
    thread.join()
    assert recorded


def test_a_worker_inherits_what_its_caller_has_switched_on(x):
    found = []

    def look():
        with pytest.raises(FloatingPointError):
            Tensor([np.nan]) * 1
        text = backend.definition_of("gelu")
        body = inspect.unwrap(backend.body_of(text, "cpu"))  # debug mode looks on
        found.append(((x * 2).requires_grad, body is text))

    with no_grad(), backend.plain(), debug():
        thread = threading.Thread(target=backend.inherit(look))
    thread.start()
    thread.join()
    assert found == [(False, True)]


def test_constants_are_not_recorded(x):
    y = Tensor(np.ones(2)) * 2
    assert not y.requires_grad
    z = x + y
    assert [parents for parents, _ in z.edges] == [(x,)]


def test_detach_cuts_the_history_and_shares_the_numbers(x):
    y = (x * 2).detach()
    assert not y.requires_grad
    assert (y * 1).edges == ()
    assert np.shares_memory(x.detach().data, x.data)
