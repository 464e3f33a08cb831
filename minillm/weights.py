"""Weights and other arrays in a safetensors file: written by name, read back into their
places."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from minillm import backend
from minillm.errors import DataError

# As NumPy calls them. Another type has the file's own name.
TYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}


def write_arrays(path: Path, arrays: dict, about: dict[str, str] | None = None) -> None:
    """Write arrays by name, and a few words about them. The library's writer ignores
    strides and would scramble a transposed array: each is made contiguous first."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    host = {
        name: np.ascontiguousarray(backend.to_numpy(array))
        for name, array in arrays.items()
    }
    try:
        save_file(host, path, about)
    except SafetensorError as error:  # what the disk refuses, in its words
        raise OSError(str(error)) from error


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
    copy_arrays(read_arrays(path), places, path)


def copy_arrays(arrays: dict, places: dict, path: Path) -> None:
    """Copy the arrays of the file at `path` into places of these names: all, or none.
    Raises DataError as `fill` does."""
    for name, place in places.items():
        array = arrays[name]
        _check_place(path, name, array.dtype, array.shape, place)
        if not np.isfinite(array).all():
            raise DataError(f"{path}: {name} has numbers that are not finite")
    for name, place in places.items():
        place[...] = backend.of(place).asarray(arrays[name])


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
