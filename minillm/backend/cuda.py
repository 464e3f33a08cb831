"""CuPy's backend. Imported only when a CUDA device is asked for."""

import contextlib
import functools
import importlib
import re
import sys
import warnings
from collections.abc import Callable
from importlib import metadata

import numpy as np

from minillm.backend import cuda_scatter
from minillm.backend.base import Backend
from minillm.errors import DeviceError, install, option

INSTALL = f"install the extra that fits your driver: {install('cuda12')}, or cuda13"
# By name, since they import the switch, which imports this file.
BODIES = ("cuda_bodies", "cuda_attention", "cuda_fused")
OLDEST = 14  # CuPy's release that computes in the types of NumPy 2
# What cuBLAS and the runtime say where CuPy's own pool raises a MemoryError.
NO_MEMORY = ("ALLOC_FAILED", "cudaErrorMemoryAllocation")


class CudaBackend(Backend):
    kind = "cuda"
    has_cublas = True
    alignment = 256
    numbers_at_a_time = sys.maxsize  # the more, the more of its cores have work

    def __init__(self, cupy, index: int):
        self.name = f"cuda:{index}"
        self.xp = cupy
        self.array_type = cupy.ndarray
        self.device = cupy.cuda.Device(index)
        self._summing = None  # over ranks: (its name, a function)

    def asarray(self, host):
        """Moved by way of pinned memory, which CuPy keeps for it: nobody waits, and the
        host array may change as soon as this returns."""
        return self.xp.asarray(host)

    def to_numpy(self, array) -> np.ndarray:
        return self.xp.asnumpy(array)

    def compile(self, source: str, constants: dict):
        """Kernels in CUDA C, by their names. CuPy keeps what it has compiled."""
        defined = [f"-D{name}={value}" for name, value in constants.items()]
        return self.xp.RawModule(code=source, options=("-std=c++17", *defined))

    def fuse(self, formula: Callable) -> Callable:
        return self.xp.fuse(formula)

    def add_at(self, array, index, y) -> None:
        """With the same sums in every run: see `cuda_scatter.py`."""
        cuda_scatter.add_at(self, array, index, y)

    def synchronize(self) -> None:
        self.device.synchronize()

    def sums_by(self, comm: object) -> str | None:
        from minillm.backend.cuda_ranks import summing

        self._summing = self._summing or summing(self.xp, comm)
        return self._summing[0]

    def add_up(self, array, comm: object) -> None:
        self.sums_by(comm)
        self._summing[1](array)

    def is_out_of_memory(self, error: Exception) -> bool:
        return _is_full(error)

    def total_memory(self) -> int:
        return self.device.mem_info[1]

    def memory(self) -> dict:
        """Bytes CuPy's pool took from the device, and the device's whole memory."""
        pool = self.xp.get_default_memory_pool()
        return {"peak": pool.total_bytes(), "total": self.total_memory()}

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
    for name in BODIES:
        importlib.import_module(f"minillm.backend.{name}")
    importlib.import_module("minillm.backend.self_check").begin(backend)
    return backend


def count() -> int:
    """How many GPUs this process sees. Raises DeviceError where it cannot use any."""
    cupy = _import_cupy()
    try:
        return cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy's own error classes need a working CuPy
        raise DeviceError(
            f"{_no_device(cupy, error)}, or use {option('device', 'cpu')}"
        ) from None


@functools.cache
def _checked(index: int) -> CudaBackend:
    cupy, n = _import_cupy(), count()
    if index >= n:
        raise DeviceError(
            f"there is no device cuda:{index}: this machine has {n} CUDA "
            f"device(s); use {option('device', 'cpu')}"
        )
    backend = CudaBackend(cupy, index)
    try:
        backend.device.use()
        probe = cupy.ones((8, 8), dtype=cupy.float32)
        (probe @ probe).sum().item()
    except Exception as error:
        raise DeviceError(
            f"cuda:{index} is there, but CuPy cannot compute on it "
            f"({_one_line(error)}): {_way_out(error)}, or use {option('device', 'cpu')}"
        ) from None
    if several := _one_of_several():
        warnings.warn(f"{several}; as it is, cuda:{index} works", stacklevel=2)
    return backend


def _no_device(cupy, error: Exception) -> str:
    """Why CUDA counts no devices, and the way out."""
    found, told = f"CuPy {cupy.__version__} finds", _one_line(error)
    if "cudaErrorNoDevice" in told:
        return f"{found} no CUDA device ({told}): look at CUDA_VISIBLE_DEVICES"
    version = 0
    with contextlib.suppress(Exception):
        version = cupy.cuda.runtime.driverGetVersion()  # 12040; 0 where there is none
    if version:
        known = f"CUDA {version // 1000}.{version % 1000 // 10}"
        return f"{found} an NVIDIA driver for {known} ({told}): update it, or {INSTALL}"
    return f"{found} no CUDA driver ({told}): install the NVIDIA driver"


def _is_full(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(
        sign in str(error) for sign in NO_MEMORY
    )


def _way_out(error: Exception) -> str:
    """What to do where there is a device, but nothing can be computed on it."""
    told = str(error)
    if several := _one_of_several():
        return several
    if _is_full(error):
        return "end what else fills its memory (nvidia-smi lists it)"
    if "cudaErrorDevicesUnavailable" in told:
        return "wait for the process that has it to itself (nvidia-smi lists it)"
    return INSTALL


def of_device(error: BaseException) -> bool:
    """Whether CUDA or CuPy raised this, rather than Python: a device that is lost or
    full, a kernel that cannot be built."""
    return type(error).__module__.partition(".")[0] in ("cupy", "cupy_backends")


def _import_cupy():
    try:
        with warnings.catch_warnings():
            # Told in one line, by `_one_of_several`.
            warnings.filterwarnings("ignore", r"\s*-*\s*CuPy may not function")
            import cupy
    except ModuleNotFoundError:
        raise DeviceError(f"CuPy is not installed: {INSTALL}") from None
    except Exception as error:
        way_out = _one_of_several() or INSTALL
        raise DeviceError(
            f"CuPy is installed but cannot be imported ({_one_line(error)}): {way_out}"
        ) from None
    version = cupy.__version__
    if int(version.partition(".")[0]) < OLDEST:
        raise DeviceError(
            f"CuPy {version} is too old: minillm needs {OLDEST} or later (pip install "
            f"-U of the cupy package that is installed), or use "
            f"{option('device', 'cpu')}"
        )
    return cupy


def _one_of_several() -> str | None:
    """What to do where CuPy is installed twice: both write into one folder, and what
    lies in it is of neither."""
    names = sorted(
        {
            str(found.metadata["Name"])
            for found in metadata.distributions()
            if re.fullmatch(r"cupy(-cuda\w+)?", str(found.metadata["Name"]))
        }
    )
    if len(names) < 2:
        return None
    return (
        f"CuPy is installed {len(names)} times ({', '.join(names)}): pip uninstall all "
        f"of them and install one"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
