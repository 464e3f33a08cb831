"""Too little memory: said before it is taken, and with a batch that would fit."""

import re
import sys

import numpy as np
import pytest

from minillm.backend import Backend
from minillm.errors import DeviceError
from minillm.learning.config import TrainConfig
from minillm.learning.worker import Worker
from minillm.runs import memory

OPTIONS = {"n_layers": 4, "d_model": 64, "context": 1024, "batch": 64}


def resolved(**options) -> TrainConfig:
    return TrainConfig(**{**OPTIONS, **options}).resolve()


class Small(Backend):
    """A device with so many bytes of memory, that takes a whole batch at once."""

    numbers_at_a_time = 1 << 30

    def __init__(self, total: float):
        self.total = total

    def total_memory(self) -> int:
        return self.total


CONFIG = resolved()
SHAPE = CONFIG.shape(1000)
KNOWN = Small(0)  # all but how much it has


def advice_of(error: DeviceError) -> list[dict]:
    found = re.findall(r"(batch|accumulate)=(\d+)", str(error))
    assert len(found) == 2, error
    return [{name: int(number)} for name, number in found]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.45])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_fit_is_not_begun_and_what_is_advised_fits(share, workers):
    device = Small(share * memory.needed(CONFIG, SHAPE, workers, KNOWN))
    with (
        pytest.raises(DeviceError, match="needs at least") as caught,
        memory.within(CONFIG, SHAPE, workers, device),
    ):
        raise AssertionError("begun")
    for option in advice_of(caught.value):
        needed = memory.needed(resolved(**option), SHAPE, workers, KNOWN)
        assert 0.5 * device.total < needed <= device.total
        with memory.within(resolved(**option), SHAPE, workers, device):
            pass


def test_what_ran_out_is_told_half_of_it_at_most():
    with (
        pytest.raises(DeviceError, match="out of memory, with 64 sequences") as caught,
        memory.within(CONFIG, SHAPE, 1, KNOWN),
    ):
        raise MemoryError("Unable to allocate 3 PiB")
    assert advice_of(caught.value) == [{"batch": 32}, {"accumulate": 2}]


def test_a_prime_number_of_sequences_has_no_parts():
    with (
        pytest.raises(DeviceError, match=r"batch=30 would fit$"),
        memory.within(resolved(batch=61), SHAPE, 1, KNOWN),
    ):
        raise MemoryError


@pytest.mark.parametrize(
    ("workers", "words"), [(1, "a smaller"), (2, "fewer workers=")]
)
def test_where_no_batch_fits_a_smaller_model_is_advised(workers, words):
    with (
        pytest.raises(DeviceError, match=f"no batch would fit: try {words}"),
        memory.within(CONFIG, SHAPE, workers, Small(50e6)),
    ):
        raise AssertionError("begun")


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
@pytest.mark.parametrize("workers", ["1", "2", "threads:2"])
def test_memory_that_runs_out_in_a_step_is_one_line(quick_train, workers, monkeypatch):
    def greedy(replica, step):
        if step == 2 and replica.rank == replica.n - 1:
            np.empty(1 << 55)

    monkeypatch.setattr(Worker, "compute", lambda *a: greedy(*a) or np.float32(1))
    with pytest.raises(DeviceError, match=r"8 sequences of 16 tokens.*batch=4") as what:
        quick_train("a", workers=workers, context=16)
    assert what.value.exit_code == 4
    assert "\n" not in str(what.value)


def test_a_model_of_absurd_size_is_refused_at_once(quick_train):
    with pytest.raises(DeviceError, match=r"needs at least .*no batch would fit"):
        quick_train("a", n_layers=10_000, d_model=65_536)


@pytest.mark.parametrize(("share", "told"), [(0.7, True), (1.15, True), (1.5, False)])
def test_what_may_not_fit_is_told_before_it_begins(share, told):
    device = Small(share * memory.needed(CONFIG, SHAPE, 1, KNOWN))
    note = memory.tight(CONFIG, SHAPE, 1, device)
    assert bool(note) == told
    if told:
        assert re.search("is expected to need .* should it be killed, batch=", note)
    assert memory.tight(CONFIG, SHAPE, 1, KNOWN) is None


def test_a_batch_so_large_that_its_tokens_do_not_fit_is_told_a_smaller_one():
    config = resolved(batch=50_000_000)
    device = Small(2e9)
    device.numbers_at_a_time = 1  # one sequence at a time
    with (
        pytest.raises(DeviceError, match=r"batch=\d+ would fit$") as caught,
        memory.within(config, SHAPE, 1, device),
    ):
        raise AssertionError("begun")
    smaller = resolved(batch=int(re.search(r"batch=(\d+)", str(caught.value))[1]))
    assert 1e9 < memory.needed(smaller, SHAPE, 1, device) <= 2e9
