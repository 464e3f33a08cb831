"""Host memory: its peak in this process, what the machine has, and freed memory that is
kept."""

import contextlib
import ctypes
import multiprocessing
import os
import platform
import sys
from pathlib import Path

# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def peak_bytes() -> int:
    """The largest resident size of this process so far; 0 where it cannot be asked."""
    if sys.platform == "win32":
        return _windows_peak_bytes()
    if sys.platform == "linux":
        # Not getrusage, whose figure a new program inherits from whoever started it.
        with contextlib.suppress(OSError, ValueError, IndexError):
            status = Path("/proc/self/status").read_text(encoding="ascii")
            return int(status.split("VmHWM:")[1].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def family_bytes() -> int:
    """What this process and the workers it has forked hold in memory together, a page
    that several of them share counted once; elsewhere than on Linux `peak_bytes`.

    Of this moment. Where freed memory is kept (`keep_freed_memory`), that is the peak.
    """
    pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
    try:
        return sum(_proportional_bytes(pid) for pid in pids)
    except (OSError, ValueError, IndexError):
        return peak_bytes()


def _proportional_bytes(pid: int) -> int:
    """Linux divides a page's size among those who share it: proc(5), smaps, Pss."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(text.split("\nPss:")[1].split()[0]) * 1024


# Where Linux keeps what a container may take: control groups, version 2 and 1.
LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def total_bytes() -> int:
    """The memory of this machine, or what its container may take of it; 0 where it
    cannot be asked."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):
        return 0
    for limit in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            found.append(int(Path(limit).read_text(encoding="ascii")))
    return min(found)


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory instead of handing it back to the system.

    A training step frees and takes the same large arrays again and again; handed back,
    every page of them would have to be zeroed and mapped anew. Worth 1.3 to 1.6 times
    the speed at widths up to 128. MINILLM_KEEP_MEMORY=0 leaves malloc as it is.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    if os.environ.get("MINILLM_KEEP_MEMORY") == "0":
        return False
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        return bool(
            libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        )
    return False


def _windows_peak_bytes() -> int:
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS of psapi.h."""

        _fields_ = [
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            *[(f"field{i}", ctypes.c_size_t) for i in range(8)],
        ]

    counters = Counters(cb=ctypes.sizeof(Counters))
    kernel = ctypes.windll.kernel32
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.K32GetProcessMemoryInfo.argtypes = [
        wintypes.HANDLE,
        ctypes.POINTER(Counters),
        wintypes.DWORD,
    ]
    process = kernel.GetCurrentProcess()
    if not kernel.K32GetProcessMemoryInfo(process, counters, counters.cb):
        return 0
    return counters.field0  # PeakWorkingSetSize
