"""Engines that take turns: each in its own process, checked to do the same."""

import importlib.util
import os
import signal
import sys

import numpy as np
import pytest

from minillm.errors import MinillmError, UsageError
from minillm.inspect.bench import bench, contest
from minillm.inspect.bench.contest import Job, Rival, check_peers, compare
from minillm.models import ARCHITECTURES, ModelConfig, usual

SHAPE = {"layers": 1, "width": 8, "heads": 2, "batch": 4, "context": 12, "vocab": 50}
# DESIGN's table: `bench --json` has at least these.
ROW = {
    *(
        "size",
        "arch",
        "n_layers",
        "d_model",
        "n_heads",
        "vocab_size",
        "batch",
        "context",
    ),
    *("tokens_per_second", "step_seconds", "flops_per_second"),
    *("fraction_of_matmul_peak", "peak_memory_bytes", "peers"),
}


def job(arch: str = "gpt", **changes) -> Job:
    sides = {"n_layers": 2, "d_model": 8, "n_heads": 2, "vocab_size": 50, "context": 12}
    shape = ModelConfig(**sides, arch=arch, **usual(arch))
    batches = np.random.default_rng(0).integers(0, 50, (2, 4, 13)).astype(np.int32)
    settings = {"shape": shape, "batches": batches, "workers": ("threads", 1)}
    settings["objective"] = ARCHITECTURES[arch].objectives[0]
    return Job(**{**settings, **changes})


@pytest.fixture
def peer(request) -> str:
    """The name of a peer that is installed."""
    if not importlib.util.find_spec(contest.PEERS[request.param][1]):
        pytest.skip(f"needs {request.param}")
    return request.param


@pytest.mark.peers
@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("peer", ["torch", "jax"], indirect=True)
def test_a_peer_does_the_same_and_the_ratio_is_that_of_the_turns(peer, decode):
    told = []
    result = bench(
        **SHAPE,
        decode=decode,
        against=(peer,),
        seconds=0.5,
        device="cpu",
        workers="1",
        note=told.append,
    )
    (row,) = result["rows"]
    assert set(row) >= ROW
    assert set(row["step_seconds"]) == {"p25", "median"}
    assert {"matmul_peak_flops", "device", "workers"} <= set(result)
    assert result["work"] == ("decode" if decode else "train")
    assert row["batch"] == SHAPE["batch"]
    at_once = row["batch"] * (1 if decode else row["context"])
    median = row["step_seconds"]["median"]
    assert row["tokens_per_second"] == pytest.approx(at_once / median)
    assert [peer in text for text in told] == [True]
    found = row["peers"].pop(peer)
    assert not row["peers"]
    least, most = found["ratio_range"]
    assert 0.001 < least <= found["ratio"] <= most < 1000
    assert 0 <= found["loss_difference"] < contest.SAME_LOSS
    assert row["tokens_per_second"] > 1 and found["tokens_per_second"] > 1
    assert row["peak_memory_bytes"] > 1e7 and found["peak_memory_bytes"] > 1e7


@pytest.mark.peers
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_learns_as_its_peer_does(arch):
    pytest.importorskip("torch")
    work = job(arch)
    with Rival("minillm", work) as ours, Rival("torch", work) as theirs:
        _, expected = ours.ask("train", 60, 10)
        _, losses = theirs.ask("train", 60, 10)
        assert len(losses) == 10
        if arch not in ("bert", "encoder"):  # whose few targets are others each time
            assert losses[-1] < losses[0]
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
        if arch in ("gpt", "llama", "lstm"):
            _, expected = ours.ask("decode", 60, 14)  # and once more from the beginning
            np.testing.assert_allclose(
                theirs.ask("decode", 60, 14)[1], expected, rtol=1e-4
            )


@pytest.mark.peers
@pytest.mark.parametrize("decode", [False, True])
def test_llama_in_a_contest(decode):
    pytest.importorskip("torch")
    quick = {"against": ("torch",), "seconds": 0.1, "device": "cpu", "workers": "1"}
    result = bench(**SHAPE, **quick, arch="llama", decode=decode)
    (row,) = result["rows"]
    assert result["arch"] == row["arch"] == "llama"
    assert row["peers"]["torch"]["loss_difference"] < 1e-5


def test_a_job_gives_everyone_the_batch_that_a_learner_makes():
    masked, pairs = job("bert").batch(3), job("encdec").batch(3)
    again = job("bert").batch(3)
    np.testing.assert_array_equal(masked.ids, again.ids)
    assert masked.n_targets == np.count_nonzero(masked.targets >= 0) > 0
    assert (
        masked.ids != job("bert").batch(5).ids
    ).any()  # the same tokens, hidden anew
    windows = job().examples(3)
    np.testing.assert_array_equal(pairs.source, windows[:, :-1])
    np.testing.assert_array_equal(pairs.targets, windows[:, 1:])


def measured(losses, rounds, memory=100) -> dict:
    return {
        "losses": losses,
        "rounds": rounds,
        "steps": rounds,
        "peak_memory_bytes": memory,
    }


def test_the_ratio_is_of_our_speed_to_theirs_turn_by_turn():
    ours = measured([3.0, 2.0, 1.0], [1.0, 2.0, 1.0])
    theirs = measured([3.0, 2.0001], [2.0, 3.0, 4.0], memory=300)
    found = compare({"minillm": ours, "other": theirs})
    assert found == {
        "other": {
            "ratio": 2.0,
            "ratio_range": [1.5, 4.0],
            "step_seconds": 3.0,
            "peak_memory_bytes": 300,
            "loss_difference": pytest.approx(5e-5, rel=1e-3),
        }
    }
    assert compare({"minillm": ours}) == {}


@pytest.mark.parametrize(
    "losses", [[3.0, 2.1], [3.1, 2.0], [2.9, 2.0], [3.0, 2.0, 1.001], [3.0, np.nan]]
)
def test_who_computes_something_else_is_refused(losses):
    ours, theirs = measured([3.0, 2.0, 1.0], [1.0]), measured(losses, [1.0])
    with pytest.raises(MinillmError, match=r"other does not compute the same.*ours"):
        compare({"minillm": ours, "other": theirs})


def test_we_decode_and_train_as_we_are_asked():
    with Rival("minillm", job()) as rival:
        times, losses = rival.ask("train", 0.01, 3)
        assert 2 <= len(times) == len(losses) <= 3
        assert losses[0] == pytest.approx(np.log(50), rel=0.2)
        times, largest = rival.ask("decode", 0.01, 20)
        assert 2 <= len(times) == len(largest)
        assert rival.ask("memory") > 1e7
        process = rival._process
        assert process.is_alive()
    assert not process.is_alive()


def test_a_contender_that_cannot_is_reported_with_its_own_words():
    with pytest.raises(MinillmError, match=r"^minillm: \w+: .*nowhere"):
        Rival("minillm", job(device="nowhere"))
    with Rival("minillm", job()) as rival:
        process = rival._process
        with pytest.raises(MinillmError, match=r"^minillm: AttributeError"):
            rival.ask("juggle", 0.01)
    assert not process.is_alive()


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_contender_that_dies_is_reported_with_its_exit_code():
    with Rival("minillm", job()) as rival:
        os.kill(rival._process.pid, signal.SIGKILL)
        with pytest.raises(MinillmError, match=r"minillm: its process died.*-9"):
            rival.ask("train", 0.01)


def test_one_that_cannot_start_leaves_nobody_behind(monkeypatch):
    closed = []
    monkeypatch.setattr(Rival, "close", lambda rival: closed.append(rival.name))
    monkeypatch.setitem(contest.PEERS, "gone", ("no_such_module", "json"))
    with pytest.raises(MinillmError, match="gone: ModuleNotFoundError"):
        contest.contest(job(), ["gone"], decode=False, seconds=0.1)
    assert sorted(closed) == ["gone", "minillm"]
    monkeypatch.undo()
    for process in contest.multiprocessing.active_children():
        process.kill()
        process.join()


def test_peers_are_known_and_installed(monkeypatch):
    check_peers([])
    with pytest.raises(UsageError, match="against='tinygrad': choose from torch, "):
        check_peers(["tinygrad"])
    with pytest.raises(UsageError, match="has arch gpt alone: for llama choose t"):
        check_peers(["jax"], "llama")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"against='jax': .*pip install jax"):
        check_peers(["jax"])


def test_nobody_is_deaf_afterwards():
    if sys.platform == "win32":
        return
    with contest._deaf():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
