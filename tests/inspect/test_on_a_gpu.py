"""What `bench` measures by default on a GPU."""

import types

import pytest

from minillm.backend import Backend
from minillm.inspect.bench import measure
from minillm.learning.config import TrainConfig


@pytest.fixture
def measured(monkeypatch):
    """A function that tells which (size, sequences) `bench` measures, on a device of so
    many GiB against so many peers."""

    def run(gibibytes, n_peers=0, **options):
        where = Backend()
        where.kind, where.name = "cuda", "cuda:0"
        where.total_memory = lambda: gibibytes * 2**30
        jobs = []

        def contest(job, peers, *, decode, seconds):
            jobs.append((job, seconds))
            return {}

        monkeypatch.setattr(measure.backend, "use", lambda _: _Using(where))
        monkeypatch.setattr(measure.contest, "contest", contest)
        monkeypatch.setattr(measure.contest, "check_peers", lambda *_: None)
        monkeypatch.setattr(measure, "_row", lambda *_: {"flops_per_second": 1.0})
        monkeypatch.setattr(measure, "matmul_peak", float)
        result = measure.bench(against=("torch",) * n_peers, **options)
        assert result["matmul_peak_flops"] == 8192
        shapes = [(job.shape.d_model, job.batches.shape[1]) for job, _ in jobs]
        return shapes, {seconds for _, seconds in jobs}

    return run


class _Using(types.SimpleNamespace):
    def __init__(self, where):
        self.where = where

    def __enter__(self):
        return self.where

    def __exit__(self, *_):
        pass


def test_from_nano_to_base_with_16_k_tokens_a_step(measured):
    shapes, seconds = measured(80, 2)
    assert shapes == [(32, 128), (128, 128), (192, 64), (384, 64), (768, 16)]
    assert seconds == {3.0}


def test_a_small_card_gets_as_many_as_all_rivals_have_room_for(measured):
    shapes, _ = measured(16, 2)
    assert shapes[:3] == [(32, 128), (128, 128), (192, 64)]
    assert shapes[3:] == [(384, 32), (768, 2)]


def test_what_is_asked_for_is_measured(measured):
    assert measured(80, sizes=["pico"], batch=3, seconds=1) == ([(16, 3)], {1})
    assert measured(80, layers=1, width=64)[0] == [(64, 128)]
    assert TrainConfig(size="base").resolve().accumulate > 1
