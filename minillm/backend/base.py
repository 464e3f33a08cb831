"""What a backend is, and NumPy's."""

import numpy as np

from minillm.backend import memory


class Backend:
    """An array library: its module, its array type, and the way to and from the host.

    This one is NumPy's; `cuda.py` holds CuPy's.
    """

    name = "cpu"
    kind = "cpu"  # which faster bodies fit: "cpu" or "cuda"
    alignment = 64  # bytes; where a parameter may begin in the flat buffer
    # Tokens that go through a model at a time: of more, what one layer has computed has
    # left the caches when the next one reads it. Half the memory, too.
    tokens_at_a_time = 512
    xp = np
    array_type = np.ndarray

    def asarray(self, host):
        """A host array, moved here. Here it already is one."""
        return np.asarray(host)

    def to_numpy(self, array) -> np.ndarray:
        return np.asarray(array)

    def synchronize(self) -> None:
        """Wait until the device has done all it was asked to."""

    def memory(self) -> dict:
        """Bytes the process holds on this device: {"peak": ..., "total": ...}."""
        return {"peak": memory.peak_bytes(), "total": memory.total_bytes()}
