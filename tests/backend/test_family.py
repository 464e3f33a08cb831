"""The memory of a process and of those it has forked."""

import multiprocessing
import sys
import warnings

import numpy as np
import pytest

from minillm.backend import memory

MIB = 2**20


def hold(n_bytes: int, connection) -> None:
    """Keep so much memory until told to go."""
    kept = np.ones(n_bytes, np.uint8)
    connection.send(kept.size)
    connection.recv()


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
def test_what_a_forked_child_takes_is_counted_and_what_it_shares_only_once():
    shared = np.ones(64 * MIB, np.uint8)  # the child's too
    before = memory.family_bytes()
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=hold, args=(96 * MIB, there)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads elsewhere
        child.start()
    try:
        assert here.recv() == 96 * MIB
        grown = memory.family_bytes() - before
    finally:
        here.send(None)
        child.join()
    assert 90 * MIB < grown < 120 * MIB
    assert abs(memory.family_bytes() - before) < 16 * MIB
    assert shared.all()


def test_where_pages_cannot_be_counted_it_is_the_peak(monkeypatch):
    def refuse(_pid):
        raise OSError("no such file")

    monkeypatch.setattr(memory, "_proportional_bytes", refuse)
    monkeypatch.setattr(memory, "peak_bytes", lambda: 123)
    assert memory.family_bytes() == 123
