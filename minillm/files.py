"""The door for writing: a file is either whole or not there, and nothing is lost.

Folders are passed on from one person to the next, and names in them may be links. What
is written here takes the place of a link and never goes through it; what is removed
holds nothing but what minillm writes. (A hard link cannot be told from a file.)
"""

import contextlib
import errno
import itertools
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from minillm.errors import DataError, brief

# Not on Windows, where `is_symlink` alone has to tell.
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # for the other end of a pipe
BYTES = getattr(os, "O_BINARY", 0)  # Windows would translate the ends of lines
# The names of what is being written, and those that were given out before.
TEMPORARY = re.compile(
    r"\..+\.[0-9a-f]{16}\.minillm"
    r"|\.(step-\d+|metrics\.jsonl|loss\.svg|[a-z]+\.json)\.\d+"
)
MARK = "Written by minillm"  # at the beginning of every file that has room for it
PATIENCE = 2.0  # seconds for somebody to read from a pipe
MARKED = 4096  # bytes, at most, before the end of the mark


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk refuses inside the block into a DataError that names `path`.

    What was there before stays whole: whoever writes does so under another name.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"{brief(path)}: cannot be written ({reason}): make room there or choose "
            f"another place"
        ) from error


@contextlib.contextmanager
def replacing(path: Path, *, through: bool = False) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` at the end of the block: of a
    file, of a link (whose target stays as it is), of nothing.

    through: what is no file, as /dev/null or a pipe, is written to, not replaced. Only
    for a path that the user has named. Raises DataError where the disk refuses, or
    nobody reads the pipe.
    """
    temporary = _beside(path)
    with writing(path):
        if through and path.exists() and not path.is_file():
            with _read_by_somebody(path):
                yield path
            return
        try:
            os.close(open_own(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            yield temporary
            # Or a power cut could leave the new name and none of the bytes.
            sync(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path, names: Container[str]) -> Iterator[Path]:
    """A folder to fill with files, which takes the place of `path` at the end: of
    nothing, or of a folder with files of these names. Raises DataError for any other,
    and where the disk refuses."""
    temporary = _beside(path)
    with writing(path):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for written in (*temporary.iterdir(), temporary):
                sync(written)
            if os.path.lexists(path) and not remove_folder(path, names):
                raise DataError(
                    f"{path}: is there, and minillm did not write it: move it away"
                )
            temporary.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def open_own(path: Path, flags: int) -> int:
    """A descriptor of a file in a folder of a run, never of what a link leads to.

    flags: as `os.open` takes them. Raises DataError for a link, and for what is no
    file; OSError where the system refuses.
    """
    try:
        if path.is_symlink():
            raise OSError(errno.ELOOP, "a link")
        descriptor = os.open(path, flags | NO_LINK | NO_WAIT | BYTES, 0o666)
    except OSError as error:
        if not path.is_symlink():
            raise
        raise DataError(
            f"{path}: is a link to {_target(path)}, which minillm does not write to: "
            f"remove the link"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path}: is no file: remove it")
    return descriptor


def is_temporary(path: Path) -> bool:
    """Whether a file or folder has a name that `replacing` gives out."""
    return TEMPORARY.fullmatch(path.name) is not None


def sweep(folder: Path) -> None:
    """Remove what a killed process was writing. Nobody else may be writing there."""
    for path in folder.iterdir():
        if is_temporary(path) and stat.S_ISREG(path.lstat().st_mode):
            path.unlink()


def remove_folder(path: Path, names: Container[str]) -> bool:
    """Remove a folder that holds nothing but files of these names; returns whether it
    was one. A link to a folder is none."""
    if not holds_only(path, names):
        return False
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def holds_only(path: Path, names: Container[str]) -> bool:
    """Whether this is a folder (no link) that holds files of these names only."""
    if path.is_symlink() or not path.is_dir():
        return False
    return all(
        (item.name in names or is_temporary(item))
        and not stat.S_ISDIR(item.lstat().st_mode)
        for item in path.iterdir()
    )


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove the files of these names, and the folder if nothing else lies in it."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def leads_away(folder: Path) -> bool:
    """Whether a folder lies elsewhere than in its parent: it is a link, or what Windows
    calls a junction."""
    real = folder.resolve()
    return real.exists() and not real.parent.samefile(folder.parent)


def free_name(path: Path) -> Path:
    """The path, with a number where there is something already."""
    numbered = (path.with_name(f"{path.name}-{i}") for i in itertools.count(2))
    every = itertools.chain([path], numbered)
    return next(each for each in every if not os.path.lexists(each))


def is_ours(path: Path) -> bool:
    """Whether a file begins with the mark of what minillm writes."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | NO_WAIT | BYTES), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return False
            return MARK.encode() in file.read(MARKED)
    except OSError:
        return False


def write_json(path: Path, record: dict) -> None:
    """Write a JSON file whole. Raises DataError where the disk refuses."""
    with replacing(path) as temporary:
        fill_json(temporary, record)


def fill_json(path: Path, record: dict) -> None:
    """Write JSON into a file of a `replacing_folder`, which takes care of the rest."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def sync(path: Path) -> None:
    """Have the system write a file or folder to disk (folders: not on Windows)."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _read_by_somebody(path: Path) -> Iterator[None]:
    """Hold a pipe open for the block, which else would wait for its reader without
    end. Raises OSError where there is none."""
    if not path.is_fifo():
        yield
        return
    until = time.monotonic() + PATIENCE
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | NO_WAIT)
            break
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > until:
                raise OSError(errno.ENXIO, "a pipe that nobody reads") from None
            time.sleep(0.01)
    try:
        yield
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    """A name in the same folder that nobody knows. Raises DataError for `.`, `/` and a
    path without a name."""
    if not path.name:
        raise DataError(f"{path}: is a folder, and no name for a file")
    return path.with_name(f".{path.name[:48]}.{os.urandom(8).hex()}.minillm")


def _target(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return "something else"
