"""Weights and other arrays in a safetensors file: written by name, read back into their
places."""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minillm import backend
from minillm.errors import DataError

# As NumPy calls them. Another type has the file's own name.
TYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
CODES = {name: code for code, name in TYPES.items()}
PIECE = 1 << 20  # numbers that are read or converted at a time


class Stored(NamedTuple):
    """An array in a file: its type and shape, and the place of its first byte."""

    dtype: str
    shape: tuple
    begin: int


def write_arrays(
    temporary: Path, arrays: dict, about: dict[str, str] | None = None
) -> None:
    """Write arrays of floating-point numbers by name, and a few words about them.

    One at a time is brought to the host and made contiguous. The library's own writer
    takes all at once, ignores strides, which scrambles a transposed array, and lets
    nobody else read its file. The file is the same: wider types first, then by name.
    """
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    head: dict = {} if about is None else {"__metadata__": about}
    end = 0
    for name in names:
        array, begin = arrays[name], end
        end += array.nbytes
        head[name] = {
            "dtype": CODES[str(array.dtype)],
            "shape": array.shape,
            "data_offsets": [begin, end],
        }
    raw = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    raw += b" " * (-len(raw) % 8)
    with temporary.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for name in names:
            array = np.ascontiguousarray(backend.to_numpy(arrays[name]))
            file.write(array.astype(array.dtype.newbyteorder("<"), copy=False).data)


def header(path: Path) -> dict[str, tuple[str, tuple]]:
    """The type and the shape of each array in a file by its name, without the arrays.
    Raises DataError when it is damaged."""
    with _opened(path) as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {
            name: (TYPES.get(part.get_dtype(), part.get_dtype()), (*part.get_shape(),))
            for name, part in parts.items()
        }


def read_about(path: Path) -> dict[str, str]:
    """The words about the arrays of a file. Raises DataError when it is damaged."""
    with _opened(path) as file:
        return file.metadata() or {}


def read_arrays(path: Path) -> dict:
    """The arrays of a file by name. Raises DataError when it is damaged."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def fill(places: dict, path: Path) -> None:
    """Copy the arrays of a file into the places of the same names: all, or none. The
    file's header is held against the places before an array is read.

    Raises DataError where names, shapes or types differ, or a number is not finite.
    """
    there = header(path)
    if set(places) != set(there):
        odd = min(set(places) ^ set(there))
        raise DataError(
            f"{path}: {odd} is in the model or in the file, but not in both"
        )
    for name, place in places.items():
        _check_place(path, name, *there[name], place)
    stored = stored_arrays(path)
    for name in places:
        for _, piece in pieces(path, stored[name]):
            if not np.isfinite(piece).all():
                raise _not_finite(path, name)
    for name, place in places.items():
        for rows, piece in pieces(path, stored[name]):
            place[rows] = backend.of(place).asarray(piece)


def stored_arrays(path: Path) -> dict[str, Stored]:
    """Where each array of a file lies. Raises DataError when it is damaged."""
    found = header(path)  # the library has checked the offsets
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        offsets = json.loads(file.read(length))
    return {
        name: Stored(dtype, shape, 8 + length + offsets[name]["data_offsets"][0])
        for name, (dtype, shape) in found.items()
    }


def pieces(path: Path, stored: Stored) -> Iterator[tuple]:
    """The rows of an array, a few at a time: (which, their numbers). Those of bfloat16,
    which NumPy does not have, come as float32. Neither the whole array nor the whole
    file is ever in memory."""
    shape, halves = stored.shape, stored.dtype == "bfloat16"
    dtype = np.dtype("<u2" if halves else stored.dtype).newbyteorder("<")
    of_row = math.prod(shape[1:])
    step = max(1, PIECE // max(1, of_row))
    with path.open("rb") as file:
        file.seek(stored.begin)
        for begin in range(0, math.prod(shape[:1]), step):
            rows = slice(begin, min(begin + step, math.prod(shape[:1])))
            raw = file.read((rows.stop - begin) * of_row * dtype.itemsize)
            piece = np.frombuffer(raw, dtype)
            if halves:  # the upper half of a float32
                piece = (piece.astype(np.uint32) << 16).view(np.float32)
            yield (rows, piece.reshape(-1, *shape[1:])) if shape else ((), piece[0])


def copy_arrays(arrays: dict, places: dict, path: Path) -> None:
    """Copy the arrays of the file at `path` into places of these names: all, or none.
    Raises DataError as `fill` does."""
    for name, place in places.items():
        array = arrays[name]
        _check_place(path, name, array.dtype, array.shape, place)
        if not np.isfinite(array).all():
            raise _not_finite(path, name)
    for name, place in places.items():
        place[...] = backend.of(place).asarray(arrays[name])


def _not_finite(path: Path, name: str) -> DataError:
    return DataError(f"{path}: {name} has numbers that are not finite")


def _check_place(path: Path, name: str, dtype, shape: tuple, place) -> None:
    if (str(dtype), shape) != (str(place.dtype), place.shape):
        raise DataError(
            f"{path}: {name} is {dtype} of shape {shape}, the model's is {place.dtype} "
            f"of shape {place.shape}"
        )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator:
    """A safetensors file. Raises DataError where it, or what the block reads of it, is
    damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            yield file
    # The last two: numbers of a type that NumPy does not have, as bfloat16.
    except (OSError, ValueError, SafetensorError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
