"""`--device cuda` where something is missing: CuPy, driver, device, libraries, memory.

The stand-in of `tests/backend` is CuPy here, and raises what CuPy raises.
"""

import importlib.util
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from minillm.backend import cuda, registry, switch

_spec = importlib.util.spec_from_file_location(
    "strict_cupy", Path(__file__).parents[1] / "backend" / "strict.py"
)
_strict = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_strict)

OLD = "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA"
HIDDEN = "cudaErrorNoDevice: no CUDA-capable device is detected"
BUSY = "cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy or unavailable"
FULL = "Out of memory allocating 25,600,000 bytes (allocated so far: 3,635,267 bytes)."
UNBUILT = (
    "CuPy failed to load libnvrtc.so.12: OSError: libnvrtc.so.12: cannot open shared "
    "object file: No such file or directory"
)
UNLINKED = "libcublas.so.12: cannot open shared object file: No such file or directory"


class CUDARuntimeError(RuntimeError):
    """Of the runtime, as in cupy_backends.cuda.api.runtime."""


class CUBLASError(RuntimeError):
    """As in cupy_backends.cuda.libs.cublas."""


class OutOfMemoryError(MemoryError):
    """Of the pool, as in cupy.cuda.memory."""


for _error in (CUDARuntimeError, CUBLASError):
    _error.__module__ = "cupy_backends.cuda"


def failing(error: Exception):
    """A function that raises it."""

    def fail(*_, **__):
        raise error

    return fail


def fake(
    count=1, driver: int = 12040, version: str = "14.0", **functions
) -> types.ModuleType:
    """A CuPy that counts so many devices, or fails to."""
    module = _strict.StrictModule()
    module.__version__ = version
    module.__spec__ = ModuleSpec("cupy", loader=None)  # CuPy can be found
    module.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(
            getDeviceCount=count if callable(count) else lambda: count,
            driverGetVersion=lambda: driver,
        ),
        Device=lambda index: types.SimpleNamespace(
            use=lambda: None, synchronize=lambda: None, id=index, mem_info=(1, 2**30)
        ),
    )
    module.get_default_memory_pool = lambda: types.SimpleNamespace(
        total_bytes=lambda: 1
    )
    for name, function in functions.items():
        setattr(module, name, function)
    return module


@pytest.fixture
def cupy(monkeypatch):
    """A function that makes CuPy be what a row says. Bodies for a real GPU are out of
    the way."""

    def install(module):
        monkeypatch.setitem(sys.modules, "cupy", module)
        cuda._checked.cache_clear()

    bodies = {key: body for key, body in registry._bodies.items() if key[0] == "cpu"}
    monkeypatch.setattr(registry, "_bodies", bodies)
    monkeypatch.setattr(registry, "_judge", None)
    # The stand-in cannot run a kernel.
    monkeypatch.setattr(cuda.CudaBackend, "add_at", _strict.StrictBackend.add_at)
    monkeypatch.setattr(cuda, "BODIES", ())
    yield install
    cuda._checked.cache_clear()
    switch._by_array_type.pop(_strict.StrictArray, None)


@pytest.fixture
def on(trained, quick):
    """A function that gives the command line of a run on a device, into `out`."""
    text = str(trained / "text.txt")
    return lambda device: [*quick, "--data", text, "--out=out", "--device", device]


class Unlinked:
    """A CuPy that cannot be imported."""

    def find_spec(self, name, *_):
        if name == "cupy":
            raise ImportError(UNLINKED)


# (what is missing, what CuPy does, the device asked for, exit code, what the user sees)
MISSING = [
    ("CuPy", None, "cuda", 4, r"CuPy is not installed.*pip install '.\[cuda12\]'"),
    (
        "a driver",
        fake(failing(CUDARuntimeError(OLD)), driver=0),
        "cuda",
        4,
        "no CUDA driver.*install the NVIDIA driver, or use --device cpu",
    ),
    (
        "a new enough driver",
        fake(failing(CUDARuntimeError(OLD)), driver=11040),
        "cuda",
        4,
        r"driver for CUDA 11\.4.*update it, or install.*or use --device cpu",
    ),
    (
        "a device that may be seen",
        fake(failing(CUDARuntimeError(HIDDEN))),
        "cuda",
        4,
        "no CUDA device.*CUDA_VISIBLE_DEVICES, or use --device cpu",
    ),
    (
        "a driver for CUDA 13, which CuPy was built for",
        fake(failing(CUDARuntimeError(OLD)), driver=12040),
        "cuda",
        4,
        r"driver for CUDA 12\.4.*install the extra that fits your driver: .*\[cuda12\]",
    ),
    (
        "a CuPy that is new enough",
        fake(version="13.6.0"),
        "cuda",
        4,
        r"CuPy 13\.6\.0 is too old: minillm needs 14 or later .*or use --device cpu",
    ),
    ("a device of that number", fake(1), "cuda:9", 4, r"cuda:9: .*has 1 CUDA device"),
    ("a number", fake(1), "cuda:x", 2, r"'cuda:x': choose cpu, cuda, cuda:N or auto"),
    (
        "NVRTC",
        fake(ones=failing(RuntimeError(UNBUILT))),
        "cuda",
        4,
        r"cannot compute.*libnvrtc.so.12.*cuda12\]",
    ),
    (
        "memory",
        fake(ones=failing(OutOfMemoryError(FULL))),
        "cuda",
        4,
        "25,600,000 bytes.*end what else fills its memory",
    ),
    (
        "memory for cuBLAS",
        fake(ones=failing(CUBLASError("CUBLAS_STATUS_ALLOC_FAILED"))),
        "cuda",
        4,
        "ALLOC_FAILED.*end what else fills its memory",
    ),
    (
        "a device that is free",
        fake(ones=failing(CUDARuntimeError(BUSY))),
        "cuda:0",
        4,
        "wait for the process that has it to itself",
    ),
]


@pytest.mark.parametrize(
    ("module", "device", "code", "says"),
    [row[1:] for row in MISSING],
    ids=[row[0] for row in MISSING],
)
def test_there_is_not(sees, cupy, on, module, device, code, says):
    cupy(module)
    sees(*on(device), code=code, says=says)
    assert not Path("out").exists()


def test_a_library_that_cupy_is_linked_to_is_missing(sees, on, monkeypatch, cupy):
    cupy(None)
    del sys.modules["cupy"]
    monkeypatch.setattr(sys, "meta_path", [Unlinked(), *sys.meta_path])
    says = r"cannot be imported \(libcublas.so.12.*\): install the extra"
    sees(*on("cuda"), code=4, says=says)


@pytest.mark.parametrize("imports", [True, False])
def test_two_cupys_that_do_not_work_are_named(sees, cupy, on, monkeypatch, imports):
    named = [types.SimpleNamespace(metadata={"Name": f"cupy-cuda{n}x"}) for n in "12"]
    monkeypatch.setattr(cuda.metadata, "distributions", lambda: [*named, named[0]])
    if imports:
        cupy(fake(ones=failing(RuntimeError(UNBUILT))))
    else:
        cupy(None)
        del sys.modules["cupy"]
        monkeypatch.setattr(sys, "meta_path", [Unlinked(), *sys.meta_path])
    says = r"CuPy is installed 2 times \(cupy-cuda1x, cupy-cuda2x\): pip uninstall all"
    sees(*on("cuda"), code=4, says=says)


def test_two_cupys_that_work_are_noted(cupy, monkeypatch):
    named = [types.SimpleNamespace(metadata={"Name": f"cupy-cuda{n}x"}) for n in "12"]
    monkeypatch.setattr(cuda.metadata, "distributions", lambda: named)
    cupy(fake())
    with pytest.warns(UserWarning, match="installed 2 times .*as it is, cuda:0 works"):
        cuda.open_device(0)


def test_auto_takes_the_cpu_where_the_device_is_broken(sees, cupy, on):
    cupy(fake(ones=failing(RuntimeError(UNBUILT))))
    assert "; cpu, 1 worker" in sees(*on("auto"), code=0)[1]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OutOfMemoryError(FULL), "out of memory, with 4 .*--batch 2 would fit"),
        (CUBLASError("CUBLAS_STATUS_ALLOC_FAILED"), "out of memory, with 4 "),
        (
            CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access"),
            "the device failed: cudaErrorIllegalAddress",
        ),
    ],
    ids=["the pool is full", "cuBLAS has no room", "the device is lost"],
)
def test_in_the_middle_of_training(sees, minillm, cupy, on, error, says):
    module = fake()
    real = module.exp

    def exp(*args, **kwargs):
        if Path("out/checkpoints/step-000002").exists():
            raise error
        return real(*args, **kwargs)

    module.exp = exp
    cupy(module)
    sees(*on("cuda"), code=4, says=says)
    module.exp = real
    code, _, err = minillm("train", "--resume", "--out", "out")
    assert (code, "step 6/6" in err) == (0, True), err


@pytest.mark.parametrize(
    ("device", "local", "found", "expected"),
    [
        ("cuda", 0, 4, "cuda"),
        ("cuda", 2, 4, "cuda:2"),
        ("auto", 3, 4, "cuda:3"),
        ("cuda", 5, 4, "cuda:5"),  # there is none, as is said then
        ("cuda", 2, 1, "cuda"),  # the one that its launcher has given it
        ("cuda:1", 2, 4, "cuda:1"),
        ("cpu", 2, 4, "cpu"),
        ("auto", 2, failing(OSError("cudaErrorNoDevice")), "auto"),  # takes the CPU
    ],
)
def test_a_rank_takes_a_gpu_of_its_own(device, local, found, expected, cupy):
    cupy(fake(found))
    assert switch.of_rank(device, local) == expected
