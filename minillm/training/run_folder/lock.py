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
from minillm.training.run_folder.files import writing

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
        file = path.open("a+", encoding="utf-8")
    with file:
        file.seek(0)
        if not _take(file.fileno()):
            raise UsageError(
                f"{folder}: process {file.read().strip()} is training here: wait for "
                f"it, or choose another --out"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
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
