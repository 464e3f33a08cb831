"""Archives of texts, read in memory: nothing of them ever comes to lie on the disk.

An archive may be made to do harm: to write outside its folder, to follow a link, to
grow to a thousand times its size. What is no plain file is refused, sizes are counted
as the bytes come and not believed, and there is a most of them.
"""

import bz2
import contextlib
import copy
import gzip
import io
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from minillm import reading
from minillm.errors import DataError

MOST_BYTES = 1 << 30  # of all files together, unpacked
MOST_FILES = 100_000
# Text is packed to a third, logs to a thirtieth; what grows more is to fill memory.
MOST_GROWTH = 100
SMALL = 1 << 26  # bytes that are no harm
DAMAGE = (
    *(EOFError, OSError, ValueError, OverflowError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
)


@dataclass(frozen=True)
class Member:
    """An entry of an archive: its path, what it is, and how to read it. `kind` is
    "file", "folder", or in words what is refused."""

    path: str
    kind: str
    open: Callable[[], IO[bytes]]


def read_archive(archive: Path) -> dict[str, bytes]:
    """The files in an archive by their paths, without the hidden ones.

    Raises DataError for a damaged archive, for a member that is encrypted, no plain
    file or outside the archive's own folder, and for more than `MOST_FILES`, or more
    than `MOST_BYTES` or `MOST_GROWTH` times its size when unpacked.
    """
    files: dict[str, bytes] = {}
    most = room = _most(archive)
    with _named(f"{archive}: damaged, or no archive"):
        for number, member in enumerate(_members(archive), 1):
            name = f"{archive}, {member.path!r}"
            path = _safe(member.path)
            if number > MOST_FILES:
                raise DataError(
                    f"{archive}: more than {MOST_FILES:,} files: unpack it, and give "
                    f"the folder"
                )
            if path is None:
                raise DataError(f"{name}: refused, it leads out of the archive")
            if member.kind == "folder":
                continue
            if member.kind != "file":
                raise DataError(f"{name}: refused, it is {member.kind}")
            if str(path) in files:
                raise DataError(f"{name}: there are two files of this name")
            with _named(f"{name}: damaged"), member.open() as file:
                content = _read(file, room)
            room -= len(content)
            if room < 0:
                raise _too_large(name, most)
            files[str(path)] = content
    return {path: files[path] for path in files if not _is_hidden(path)}


def _members(archive: Path) -> Iterator[Member]:
    if archive.name.lower().endswith(".zip"):
        return _zip_members(archive)
    if archive.name.lower().endswith((".tar", ".tar.gz", ".tgz")):
        return _tar_members(archive)
    whole = unpacked(archive)
    return iter([Member(archive.stem, "file", lambda: io.BytesIO(whole))])


def _zip_members(archive: Path) -> Iterator[Member]:
    reading.check_file(archive, archive.stat())
    with zipfile.ZipFile(archive) as zipped:
        for info in zipped.infolist():
            # The upper half is what Unix knows of a file; other systems leave it empty.
            form = stat.S_IFMT(info.external_attr >> 16)
            kind = "file"
            if info.is_dir():
                kind = "folder"
            elif info.flag_bits & 1:
                kind = "encrypted"
            elif form not in (0, stat.S_IFREG):
                kind = "a link or a device"
            yield Member(info.filename, kind, lambda info=info: _opened(zipped, info))


def _opened(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """A file in a .zip. zipfile would unpack at once what bzip2 packed, from 700 bytes
    to a gigabyte: so it is taken as it lies there, and unpacked little by little."""
    if info.compress_type != zipfile.ZIP_BZIP2:
        return zipped.open(info)
    packed = copy.copy(info)
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, info.compress_size
    packed.CRC = None  # is of what it holds unpacked; bzip2 has its own
    return bz2.open(zipped.open(packed))


def _tar_members(archive: Path) -> Iterator[Member]:
    whole = unpacked(archive)
    with tarfile.open(fileobj=io.BytesIO(whole), mode="r:") as tar:
        for info in tar:
            kind = "a link or a device"
            if info.isdir():
                kind = "folder"
            elif info.issparse():  # holes of any size in an archive of none
                kind = "sparse, mostly holes"
            elif info.isreg():
                kind = "file"
            yield Member(info.name, kind, lambda info=info: tar.extractfile(info))
        # tarfile takes a broken header for the end. A block of zeros is the end.
        if whole[tar.offset : tar.offset + 512] != bytes(512):
            raise tarfile.ReadError(f"it breaks off at byte {tar.offset:,}")


def unpacked(archive: Path) -> bytes:
    """All of a .tar, or of what gzip packed. Raises DataError where it is damaged or
    too large."""
    reading.check_file(archive, archive.stat())
    most = _most(archive)
    packed = archive.suffix.lower() in (".gz", ".tgz")
    if not packed and archive.stat().st_size > most:
        raise _too_large(str(archive), most)
    with (
        _named(f"{archive}: damaged, or no archive"),
        (gzip.open if packed else open)(archive, "rb") as file,
    ):
        whole = file.read(most + 1)
    if len(whole) > most:
        raise _too_large(str(archive), most)
    return whole


def _read(file: IO[bytes], most: int) -> bytes:
    """What comes out of a file, or the beginning of it that shows it is too much.

    Little by little: of LZMA in a .zip, 4 kB may become 30 MB at once.
    """
    content = io.BytesIO()
    while content.tell() <= most and (piece := file.read(1 << 12)):
        content.write(piece)
    return content.getvalue()


def _most(archive: Path) -> int:
    """The bytes that an archive may hold, unpacked."""
    grown = max(SMALL, MOST_GROWTH * archive.stat().st_size)
    return min(MOST_BYTES, grown)


def _too_large(name: str, most: int) -> DataError:
    return DataError(
        f"{name}: more than {most:,} bytes when unpacked: unpack it if you trust "
        f"it, and give the folder"
    )


def _safe(path: str) -> PurePosixPath | None:
    """A member's path below the archive, None where it leads elsewhere."""
    plain = PurePosixPath(path.replace("\\", "/"))
    if plain.is_absolute() or ".." in plain.parts or re.match("[A-Za-z]:", path):
        return None
    return plain


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    """Whatever the libraries raise for damage, as a DataError."""
    try:
        yield
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error) or "it breaks off"
        raise DataError(f"{what} ({reason})") from error
