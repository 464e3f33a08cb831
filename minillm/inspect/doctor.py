"""`doctor`: libraries, cores, memory and devices of this machine, with their speeds."""

import dataclasses
import functools
import platform
from importlib import metadata

import numpy as np
import threadpoolctl

import minillm
from minillm import backend, ops
from minillm.backend import products, xp
from minillm.backend.memory import total_bytes
from minillm.backend.products import threads
from minillm.inspect.bench.measure import fastest, matmul_peak
from minillm.learning.worker_pool import available_cores
from minillm.tensor import Tensor, no_grad

LIBRARIES = (
    "numpy",
    "tokenizers",
    "safetensors",
    "threadpoolctl",
    "matplotlib",
    "rich",
    "click",
)


def examine() -> dict:
    """Versions, BLAS, matrix products, cores, memory, and every device with its
    measured speed.

    A device that cannot be used has the reason. `matmul_flops_per_second` and
    `gelu_bytes_per_second` are in float32, with all the threads BLAS takes by itself;
    `products` are those of training on a CPU, measured on one core; `bodies` of a GPU
    say how far each is off from its definition (see `backend/self_check.py`);
    `another_minillm` is the version of somebody else's package, which has our name.
    """
    return {
        "minillm": minillm.__version__,
        "another_minillm": _version("minillm"),  # ours is the package minillm-lab
        "python": platform.python_version(),
        "os": platform.platform(),
        "machine": platform.machine(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "blas": _blas(),  # before MKL is loaded, which NumPy does not run on
        "products": _products(),
        "cores": available_cores(),
        "memory_bytes": total_bytes(),
        "devices": [_examine(device) for device in backend.describe()],
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _blas() -> list[dict]:
    """The linear algebra libraries NumPy runs on, each with its number of threads, and
    the kind of processor that its kernels are for."""
    found = [
        {
            "name": pool["internal_api"],
            "version": pool["version"],
            "threads": pool["num_threads"],
            "architecture": pool.get("architecture"),
        }
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    ]
    if found:
        return found
    # threadpoolctl does not know every library (Accelerate on macOS, for one).
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    unknown = {"threads": None, "architecture": None}
    return [{"name": built["name"], "version": built.get("version"), **unknown}]


def _products() -> dict:
    """The library of matrix products, or the reason why an installed MKL is unused, and
    the FLOPs per second of one core on a layer of width 128: NumPy's own, and MKL's if
    it is in use."""
    found = products.library()
    ways = {"NumPy": np.matmul}
    if found["name"] == "MKL":
        ways = {"MKL": products.matmul, **ways}
    x, weight = np.ones((1024, 128), np.float32), np.ones((128, 512), np.float32)
    flops = 2 * x.size * weight.shape[1]
    with threads(1):
        speeds = {
            name: flops / fastest(functools.partial(multiply, x, weight), 20)
            for name, multiply in ways.items()
        }
    return {**found, "flops_per_second": speeds}


def _examine(device: dict) -> dict:
    if not device["usable"]:
        return device
    with backend.use(device["name"]) as where:
        return {
            **device,
            "matmul_flops_per_second": matmul_peak(
                1024 if where.kind == "cpu" else 8192
            ),
            "gelu_bytes_per_second": _gelu_speed(),
            "bodies": _bodies(where),
        }


def _bodies(where: backend.Backend) -> list[dict]:
    """What each body for a GPU gives on it, beside its definition: [{"name", "off",
    "problem", "seconds"}]. The tests have compared those for a CPU."""
    if where.kind == "cpu":
        return []
    from minillm.backend import self_check
    from minillm.learning import optimizer, sgd, unread  # noqa: F401  (define kernels)

    for name in ops.__all__:  # a body is examined beside its definition
        getattr(ops, name)

    for name in ops.__all__:
        getattr(ops, name)  # some files are opened late
    return [dataclasses.asdict(verdict) for verdict in self_check.examine_all(where)]


def _gelu_speed() -> float:
    """Bytes per second read and written by the op gelu, a kernel bound by memory."""
    n = 2**22 if backend.current().kind == "cpu" else 2**28
    x = Tensor(xp.ones(n, dtype=xp.float32))
    with no_grad():
        return 2 * 4 * n / fastest(lambda: ops.gelu(x))
