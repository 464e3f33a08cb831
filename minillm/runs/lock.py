"""One process at a time trains into a folder.

The system's own lock on a file in it, which ends with the process that holds it,
however that ends.
"""

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from minillm.errors import DataError, UsageError, option
from minillm.files import open_own, writing

NAME = ".lock"
# The byte of the file that is locked, beyond its end: the others can be read.
PLACE = 1 << 20
NUMBER = re.compile(rb"\d{0,20}\s?\n?")
PATIENCE = 1.0  # seconds in which a process that took the lock has written its number


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for the length of the block.

    Raises UsageError with the number of the process that holds it, DataError for a link
    and for a file that holds something else than such a number: nothing is written.
    """
    path = folder / NAME
    with writing(path):
        file = os.fdopen(open_own(path, os.O_RDWR | os.O_CREAT), "r+b", buffering=0)
    with file:
        taken = _take(file.fileno())
        found = file.read(64)
        deadline = time.monotonic() + PATIENCE
        while not taken and not found and time.monotonic() < deadline:
            time.sleep(0.01)
            taken = _take(file.fileno())  # who held it may have ended
            found = file.read(64)
        if not NUMBER.fullmatch(found):
            raise DataError(
                f"{path}: is no lock of minillm, which holds the number of a process: "
                f"move it away"
            )
        if not taken:
            number = found.decode("ascii").strip()
            who = f"process {number}" if number else "another process"
            raise UsageError(
                f"{folder}: {who} is training here: wait for it, or choose another "
                f"{option('out')}"
            )
        with writing(path):
            # Over the last one's, not after it was removed: others are reading.
            file.seek(0)
            file.truncate(file.write(f"{os.getpid()}\n".encode("ascii")))
        yield


def refuse_held(folder: Path) -> None:
    """Raises what `locked` raises where another process holds the folder."""
    with locked(folder):
        pass


if os.name == "nt":
    import msvcrt

    def _take(descriptor: int) -> bool:
        os.lseek(descriptor, PLACE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, PLACE)
        except OSError as error:
            # Some network's file systems have no locks: there nobody is kept out.
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        return True
