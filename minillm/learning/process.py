"""The process that trains: BLAS threads, memory, signals."""

import contextlib
import ctypes
import os
import platform
import signal
import sys

from threadpoolctl import threadpool_limits

from minillm.errors import UsageError

# What ends a process, with what each does by default.
SIGNALS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
HANG_UP = getattr(signal, "SIGHUP", None)  # a terminal that closes; not on Windows
if HANG_UP:
    SIGNALS[HANG_UP] = signal.SIG_DFL
# A cluster's word that the time of a job is nearly over, perhaps said several times.
SAVE = getattr(signal, "SIGUSR1", None)
if SAVE:
    SIGNALS[SAVE] = signal.SIG_DFL
# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def threads(n: int):
    """Let BLAS, which multiplies matrices for NumPy, use n threads: from now on, or
    for the length of a block (`with threads(1):`).

    The products of small models are too short to share: with one thread, a loop of
    one's own is several times faster on cores that others use too. Training sets one
    thread for each of its workers by itself. Raises UsageError.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UsageError(f"threads must be a whole number of at least 1, got {n!r}")
    return threadpool_limits(limits=n, user_api="blas")


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
