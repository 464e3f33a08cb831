"""The process that trains: BLAS threads, memory, signals."""

import contextlib
import ctypes
import os
import platform
import signal
import sys

from threadpoolctl import threadpool_limits

# What ends a process, with what each does by default.
SIGNALS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
HANG_UP = getattr(signal, "SIGHUP", None)  # a terminal that closes; not on Windows
if HANG_UP:
    SIGNALS[HANG_UP] = signal.SIG_DFL
# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def one_blas_thread():
    """A context in which BLAS uses one thread: a worker is one core's work, and the
    products of small models are too short to share."""
    return threadpool_limits(limits=1, user_api="blas")


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
