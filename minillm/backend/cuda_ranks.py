"""The sum of an array over ranks on GPUs.

By MPI itself where it reads the memory of GPUs, else by NCCL, which sends from GPU to
GPU, else through the host. The numbers differ by rounding only.
"""

import ctypes
import os
import socket
from collections.abc import Callable

# Set to 1 for MPICH and MVAPICH that read the memory of GPUs.
SWITCHES = ("MPICH_GPU_SUPPORT_ENABLED", "MV2_USE_CUDA")


def summing(cupy, comm) -> tuple[str, Callable]:
    """(its name, a function that puts the sum over all ranks in the place of an array).
    All ranks call this at the same time, and choose the same."""
    from mpi4py import MPI

    def by_mpi(array) -> None:
        cupy.cuda.get_current_stream().synchronize()
        comm.Allreduce(MPI.IN_PLACE, array)

    def by_host(array) -> None:
        host = array.get()
        comm.Allreduce(MPI.IN_PLACE, host)
        array.set(host)

    if all(comm.allgather(_reads_gpus(MPI))):
        return "CUDA-aware MPI", by_mpi
    nccl = _nccl()
    bus = cupy.cuda.runtime.deviceGetPCIBusId(cupy.cuda.runtime.getDevice())
    places = comm.allgather((socket.gethostname(), bus, nccl is not None))
    # NCCL wants a GPU for each rank.
    if not all(has for _, _, has in places) or len(set(places)) < len(places):
        return "MPI, through the host", by_host
    name = comm.bcast(None if comm.rank else nccl.get_unique_id())
    group = nccl.NcclCommunicator(comm.size, name, comm.rank)
    types = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}

    def by_nccl(array) -> None:
        place, kind = array.data.ptr, types[array.dtype.name]
        stream = cupy.cuda.get_current_stream().ptr
        group.allReduce(place, place, array.size, kind, nccl.NCCL_SUM, stream)

    return "NCCL", by_nccl


def _reads_gpus(MPI) -> bool:
    """Whether this MPI reads the memory of GPUs: Open MPI says so, others are told."""
    if any(os.environ.get(name) == "1" for name in SWITCHES):
        return True
    try:
        return bool(ctypes.CDLL(MPI.__file__).MPIX_Query_cuda_support())
    except (AttributeError, OSError):
        return False


def _nccl():
    try:
        from cupy.cuda import nccl
    except ImportError:
        return None
    return nccl if nccl.available else None
