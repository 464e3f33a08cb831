"""The kernels of `kernels.cu` run on this machine's CPU: g++, ctypes, and
`cuda_on_cpu.h`, which is a GPU in one file."""

import ctypes
import hashlib
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minillm.backend import cuda_kernels

HERE = Path(__file__).parent
HEADER = HERE / "cuda_on_cpu.h"
GXX = shutil.which("g++")
# The header takes fibers and sections as Linux has them.
USABLE = bool(GXX) and sys.platform.startswith("linux")
FENCE = 1 << 16  # bytes before and behind each array that nobody may touch
# What lies between an array and a fence: as float32 signalling NaN, which no arithmetic
# returns; as whole numbers far outside.
NOBODYS = 0xA5
LIBC = ctypes.CDLL(None) if USABLE else None
PROT_NONE = 0  # sys/mman.h
FENCED = True  # a sanitizer watches over arrays itself


class Module:
    """What `compile` of a device returns: kernels by their names."""

    def __init__(self, source: str, constants: dict, order: int = 0, flags=()):
        self._library = build(source, constants, flags)
        self._order = order

    def get_function(self, kernel: str):
        run = self._library[f"launch_{kernel}"]
        run.restype = ctypes.c_char_p

        def call(blocks, threads, arguments, *, shared_mem=0):
            guarded = Guarded(behind=self._order != 1)
            values = [guarded.passed(x) for x in arguments]
            shape = (*blocks, *(1,) * (3 - len(blocks)))
            shape += (*threads, *(1,) * (3 - len(threads)), shared_mem)
            pointers = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
            self._library.set_order(self._order)
            said = run((ctypes.c_uint * 7)(*shape), pointers)
            guarded.take_back(kernel)
            if said is not None:
                raise RuntimeError(f"kernel {kernel}: {said.decode()}")

        return call


class Guarded:
    """Copies of what a kernel is given, each beside a fence: who touches what lies
    behind an array (or before it) is stopped."""

    def __init__(self, behind: bool):
        self._behind = behind
        self._copies = {}  # where memory begins -> (the memory, its copy)

    def passed(self, value):
        """A C value: the address of an array, or a number."""
        memory = getattr(value, "memory", value)
        if isinstance(memory, np.generic):
            return np.ctypeslib.as_ctypes_type(memory.dtype)(memory.item())
        # Views of one array stay views of one copy.
        owner = memory
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        begin = owner.__array_interface__["data"][0]
        if begin not in self._copies:
            room = (fenced if FENCED else alone)(owner.nbytes, self._behind)
            room.array[:] = bytes_of(owner)
            self._copies[begin] = owner, room
        offset = memory.__array_interface__["data"][0] - begin
        return ctypes.c_void_p(self._copies[begin][1].array.ctypes.data + offset)

    def take_back(self, kernel: str) -> None:
        for owner, room in self._copies.values():
            bytes_of(owner)[:] = room.array
            if np.any(room.rest != NOBODYS):
                raise RuntimeError(f"kernel {kernel} writes beyond an array")


class Room(NamedTuple):
    """Bytes for an array, and what lies beside them up to the fences."""

    array: np.ndarray
    rest: np.ndarray


def alone(n: int, _behind: bool) -> Room:
    return Room(np.empty(n, np.uint8), np.empty(0, np.uint8))


def fenced(n: int, behind: bool) -> Room:
    """n bytes right before a fence, or right behind one."""
    size = -(-n // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size + 2 * FENCE)
    whole = np.frombuffer(memory, np.uint8)
    for begin in (0, FENCE + size):
        address = ctypes.c_void_p(whole.ctypes.data + begin)
        failed = LIBC.mprotect(address, ctypes.c_size_t(FENCE), PROT_NONE)
        assert not failed
    inside = whole[FENCE : FENCE + size]
    inside[:] = NOBODYS
    if behind:
        return Room(inside[size - n :], inside[: size - n])
    return Room(inside[:n], inside[n:])


def bytes_of(owner: np.ndarray) -> np.ndarray:
    if not owner.flags.c_contiguous:  # in Fortran's order
        owner = owner.T
    return owner.reshape(-1).view(np.uint8)


def build(source: str, constants: dict, flags=()) -> ctypes.CDLL:
    """The library of a text in CUDA C, kept until the text or the header changes."""
    # With HEAD the file holds the attention kernels alone.
    attention = "HEAD" in constants
    names = cuda_kernels.signatures(source)
    names = [name for name in names if name.startswith("attention") == attention]
    defined = [f"-D{name}={value}" for name, value in constants.items()]
    text = f'#include "{HEADER}"\n#line 1 "kernels.cu"\n{source}\n'
    text += "".join(f"LAUNCH({name})\n" for name in names)
    command = [GXX, "-x", "c++", "-std=c++17", "-O1", "-shared", "-fPIC", "-w", *flags]
    command += ["-ffp-contract=off", *defined, "-", "-o"]
    told = text + HEADER.read_text("utf-8") + repr(command)
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"cuda-on-cpu-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library = folder / f"{digest}.so"
    if not library.exists():
        made = folder / f"{digest}-{os.getpid()}.so"
        subprocess.run([*command, str(made)], input=text.encode(), check=True)
        made.replace(library)
    return ctypes.CDLL(str(library))


def device(stand_in, order: int, source: str | None = None, flags=()):
    """The stand-in for a GPU (`strict.py`) with kernels: those of `source`, by default
    of `kernels.cu`. Its threads take turns in some order (`set_order`), and what it
    leaves unwritten is NaN."""

    class Library(type(stand_in.StrictBackend.xp)):
        def empty(self, shape, dtype=float):
            return self.full(shape, np.nan, dtype)

        def empty_like(self, x):
            return self.full(x.shape, np.nan, x.dtype)

    class Device(stand_in.StrictBackend):
        xp = Library()

        def compile(self, text, constants):
            return Module(source or text, constants, order, flags)

    return Device()
