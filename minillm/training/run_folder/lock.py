"""One process at a time trains into a folder.

The system's own lock on a file in it, which ends with the process that holds it,
however that ends.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from minillm.errors import UsageError
from minillm.files import writing

NAME = ".lock"
# Of this byte of the file, which it does not have: the others can be read meanwhile.
PLACE = 1 << 20


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for the length of the block.

    Raises UsageError with the number of the process that holds it.
    """
    path = folder / NAME
    with writing(path):
        path.touch()
        file = path.open("r+b", buffering=0)
    with file:
        if not _take(file.fileno()):
            number = file.readline().decode("ascii", "replace").strip()
            who = f"process {number}" if number else "another process"
            raise UsageError(
                f"{folder}: {who} is training here: wait for it, or choose another "
                f"--out"
            )
        with writing(path):
            # Over the last one's, not after it was removed: others are reading.
            file.truncate(file.write(f"{os.getpid()}\n".encode("ascii")))
        yield


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
