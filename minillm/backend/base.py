"""Backend: an array library and its device; NumPy's own, and the base of CuPy's."""

from collections.abc import Callable

import numpy as np


class Backend:
    """An array library: its module, its array type, and the way to and from the host.

    This one is NumPy's; `cuda.py` holds CuPy's.
    """

    name = "cpu"
    kind = "cpu"  # which faster bodies fit: "cpu" or "cuda"
    alignment = 64  # bytes; where a parameter may begin in the flat buffer
    # How much goes through a model at a time: a layer's output of this many numbers.
    # With more, a step gains at most two per cent, and takes twice the memory.
    numbers_at_a_time = 131_072
    xp = np
    array_type = np.ndarray
    has_cublas = False  # whether `cuda_products.py` multiplies its arrays

    def asarray(self, host):
        """A host array, moved here. Here it already is one."""
        return np.asarray(host)

    def to_numpy(self, array) -> np.ndarray:
        return np.asarray(array)

    def fuse(self, formula: Callable) -> Callable:
        """An element-wise formula as one kernel, where the library can make one."""
        return formula

    def add_at(self, array, index, y) -> None:
        """array[index] += y, in place; what an index names twice gets both."""
        self.xp.add.at(array, index, y)

    def synchronize(self) -> None:
        """Wait until the device has done all it was asked to."""

    def sums_by(self, comm: object) -> str | None:
        """How `add_up` adds, where there is a choice. All ranks call this together."""

    def add_up(self, array, comm: object) -> None:
        """Put the sum over the ranks of an MPI communicator in the place of an array.

        The order of the sum depends on their number and places: two runs of one layout
        give the same bits.
        """
        from mpi4py import MPI

        comm.Allreduce(MPI.IN_PLACE, array)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether an error says that the device's memory is full."""
        return isinstance(error, MemoryError)

    def total_memory(self) -> int:
        """The bytes that this device has; 0 where it cannot be asked."""
        from minillm.backend import memory

        return memory.total_bytes()

    def memory(self) -> dict:
        """Bytes that this process and its workers took of this device at most, and what
        it has: {"peak": ..., "total": ...}."""
        from minillm.backend import memory

        peak = max(memory.peak_bytes(), memory.family_bytes())
        return {"peak": peak, "total": self.total_memory()}
