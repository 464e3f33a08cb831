"""NVIDIA's run-time compiler, from its wheel: no driver and no GPU is needed to see
whether a GPU's code can be made, and what it takes of a GPU."""

import ctypes
import re
from importlib import metadata
from pathlib import Path

# By the major version of CUDA.
WHEELS = {12: "nvidia-cuda-nvrtc-cu12", 13: "nvidia-cuda-nvrtc"}


def library(major: int) -> Path | None:
    """The installed NVRTC of a version of CUDA."""
    try:
        files = metadata.files(WHEELS[major]) or ()
    except metadata.PackageNotFoundError:
        return None
    found = [f for f in files if f.name in (f"libnvrtc.so.{major}", "nvrtc64_.dll")]
    return Path(str(found[0].locate())) if found else None


class Nvrtc:
    """The compiler of one version. Raises RuntimeError with what it says."""

    def __init__(self, path: Path):
        self._library = ctypes.CDLL(str(path))

    def compile(self, source: str, chip: str, **constants: int) -> dict[str, dict]:
        """{kernel: {"registers", "spilled", "shared"}}, the last two in bytes."""
        told = [f"--gpu-architecture={chip}", "-std=c++17", "--ptxas-options=-v"]
        told += [f"-D{name}={value}" for name, value in constants.items()]
        options = (ctypes.c_char_p * len(told))(*(word.encode() for word in told))
        program = ctypes.c_void_p()
        text = source.encode(), b"kernels.cu", 0, None, None
        self._library.nvrtcCreateProgram(ctypes.byref(program), *text)
        failed = self._library.nvrtcCompileProgram(program, len(told), options)
        size = ctypes.c_size_t()
        self._library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        self._library.nvrtcGetProgramLog(program, log)
        self._library.nvrtcDestroyProgram(ctypes.byref(program))
        said = log.value.decode()
        if failed:
            raise RuntimeError(f"{chip}: {said}")
        return usage(said)


def usage(log: str) -> dict[str, dict]:
    """What ptxas tells of each kernel."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        numbers = {
            "registers": r"Used (\d+) registers",
            "spilled": r"(\d+) bytes spill stores",
            "shared": r"(\d+) bytes smem",
        }
        values = {name: re.search(form, part) for name, form in numbers.items()}
        found[part.split("'")[0]] = {
            name: int(match[1]) if match else 0 for name, match in values.items()
        }
    return found
