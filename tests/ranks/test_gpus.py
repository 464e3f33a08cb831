"""How ranks on GPUs add up: the choice alone, by stand-ins for CuPy, NCCL and MPI."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from minillm.backend import cuda_ranks


class Array(np.ndarray):
    """An array of a GPU, as far as the host's way asks."""

    def get(self):
        return np.array(self)

    def set(self, host):
        self[...] = host


class Comm:
    """Two ranks, of which the other one has `places` and the same numbers."""

    size = 2

    def __init__(self, other, rank=0):
        self.other = other
        self.rank = rank

    def allgather(self, value):
        other = value
        if isinstance(value, tuple):  # host, GPU, NCCL
            other = (value[0], self.other, value[2])
        return [value, other]

    def bcast(self, value):
        assert (value is None) == (self.rank > 0)  # NCCL names a group once
        return value or "id"

    def Allreduce(self, _in_place, array):
        array *= 2


@pytest.fixture
def world(monkeypatch):
    """(a stand-in for CuPy, what NCCL was asked for)."""
    MPI = SimpleNamespace(IN_PLACE=None, __file__="no such library")
    monkeypatch.setitem(sys.modules, "mpi4py", SimpleNamespace(MPI=MPI))
    for name in cuda_ranks.SWITCHES:
        monkeypatch.delenv(name, raising=False)
    asked = []
    runtime = SimpleNamespace(getDevice=lambda: 0, deviceGetPCIBusId=lambda _: "gpu 0")
    stream = SimpleNamespace(ptr=7, synchronize=lambda: asked.append("waited"))
    cuda = SimpleNamespace(runtime=runtime, get_current_stream=lambda: stream)
    group = SimpleNamespace(allReduce=lambda *given: asked.append(given))
    nccl = SimpleNamespace(
        get_unique_id=lambda: "id",
        NcclCommunicator=lambda *given: (asked.append(given), group)[1],
        NCCL_FLOAT32=32,
        NCCL_FLOAT64=64,
        NCCL_SUM="sum",
    )
    monkeypatch.setattr(cuda_ranks, "_nccl", lambda: nccl)
    return SimpleNamespace(cuda=cuda), asked


@pytest.mark.parametrize("rank", [0, 1])
def test_a_gpu_for_each_rank_is_nccls(world, rank):
    cupy, asked = world
    how, add_up = cuda_ranks.summing(cupy, Comm("gpu 1", rank))
    assert how == "NCCL"
    array = SimpleNamespace(
        data=SimpleNamespace(ptr=5), dtype=np.dtype("float64"), size=3
    )
    add_up(array)
    assert asked == [(2, "id", rank), (5, 5, 3, 64, "sum", 7)]


@pytest.mark.parametrize("lacks", ["a GPU", "NCCL"])
def test_ranks_that_nccl_cannot_serve_add_up_on_the_host(world, lacks, monkeypatch):
    if lacks == "NCCL":
        monkeypatch.setattr(cuda_ranks, "_nccl", lambda: None)
    other = "gpu 0" if lacks == "a GPU" else "gpu 1"
    how, add_up = cuda_ranks.summing(world[0], Comm(other))
    assert how == "MPI, through the host"
    array = np.arange(3.0).view(Array)
    add_up(array)
    assert array.tolist() == [0.0, 2.0, 4.0]


def test_an_mpi_that_reads_gpus_is_given_their_arrays(world, monkeypatch):
    monkeypatch.setenv("MPICH_GPU_SUPPORT_ENABLED", "1")
    cupy, asked = world
    how, add_up = cuda_ranks.summing(cupy, Comm("gpu 1"))
    assert how == "CUDA-aware MPI"
    array = np.arange(3.0)
    add_up(array)
    assert asked == ["waited"]  # for what the GPU still computes
    assert array.tolist() == [0.0, 2.0, 4.0]
