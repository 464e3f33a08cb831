"""Files that are either whole or not there."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import safetensors

from minillm.errors import DataError


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk refuses inside the block into a DataError that names `path`.

    What was there before stays whole: whoever writes does so under another name.
    """
    try:
        yield
    except (OSError, safetensors.SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{path}: cannot be written ({reason}): make room there or choose another "
            f"place"
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` at the end of the block.

    What is there and is no file, as /dev/null or a pipe, is written to, not replaced.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        if path.exists() and not path.is_file():
            yield path
            return
        try:
            yield temporary
            # Or a power cut could leave the new name and none of the bytes.
            sync(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A folder to fill with files, which takes the place of `path` at the end."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for written in (*temporary.iterdir(), temporary):
                sync(written)
            if path.exists():
                shutil.rmtree(path)
            temporary.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def is_temporary(path: Path) -> bool:
    """Whether a file has a name that `replacing` gives out."""
    return re.fullmatch(r"\..+\.\d+", path.name) is not None


def sweep(folder: Path) -> None:
    """Remove what a killed process was writing. Nobody else may be writing there."""
    for path in folder.iterdir():
        if is_temporary(path) and path.is_file():
            path.unlink()


def write_json(path: Path, record: dict) -> None:
    """Write a JSON file whole. Raises DataError where the disk refuses."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def sync(path: Path) -> None:
    """Have the system write a file or folder to disk (folders: not on Windows)."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
