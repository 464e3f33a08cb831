"""CuPy's backend. Imported only when a CUDA device is asked for."""

import functools
import sys

import numpy as np

from minillm.backend.base import Backend
from minillm.errors import DeviceError

INSTALL = "install the extra that fits your driver: minillm-lab[cuda12] or [cuda13]"


class CudaBackend(Backend):
    kind = "cuda"
    alignment = 256
    numbers_at_a_time = sys.maxsize  # the more, the more of its cores have work

    def __init__(self, cupy, index: int):
        self.name = f"cuda:{index}"
        self.xp = cupy
        self.array_type = cupy.ndarray
        self.device = cupy.cuda.Device(index)

    def asarray(self, host):
        return self.xp.asarray(host)

    def to_numpy(self, array) -> np.ndarray:
        return self.xp.asnumpy(array)

    def synchronize(self) -> None:
        self.device.synchronize()

    def memory(self) -> dict:
        """Bytes CuPy's pool took from the device, and the device's whole memory."""
        pool = self.xp.get_default_memory_pool()
        return {"peak": pool.total_bytes(), "total": self.device.mem_info[1]}

    def describe(self) -> str:
        properties = self.xp.cuda.runtime.getDeviceProperties(self.device.id)
        gibibytes = self.device.mem_info[1] / 2**30
        return f"{properties['name'].decode()}, {gibibytes:.0f} GiB"


def open_device(index: int) -> CudaBackend:
    """The backend of one CUDA device, made the current one.

    Raises DeviceError that says which of CuPy, driver, device or library is missing.
    """
    backend = _checked(index)
    backend.device.use()
    return backend


@functools.cache
def _checked(index: int) -> CudaBackend:
    cupy = _import_cupy()
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy's own error classes need a working CuPy
        raise DeviceError(
            f"CuPy {cupy.__version__} finds no CUDA driver ({_one_line(error)}): "
            f"install the NVIDIA driver, or use --device cpu"
        ) from None
    if index >= count:
        raise DeviceError(
            f"there is no device cuda:{index}: this machine has {count} CUDA "
            f"device(s); use --device cpu"
        )
    backend = CudaBackend(cupy, index)
    try:
        backend.device.use()
        probe = cupy.ones((8, 8), dtype=cupy.float32)
        (probe @ probe).sum().item()
    except Exception as error:
        raise DeviceError(
            f"cuda:{index} is there, but CuPy cannot compute on it "
            f"({_one_line(error)}): {INSTALL}, or use --device cpu"
        ) from None
    return backend


def _import_cupy():
    try:
        import cupy
    except ModuleNotFoundError:
        raise DeviceError(f"CuPy is not installed: {INSTALL}") from None
    except Exception as error:
        raise DeviceError(
            f"CuPy is installed but cannot be imported ({_one_line(error)}): {INSTALL}"
        ) from None
    return cupy


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
