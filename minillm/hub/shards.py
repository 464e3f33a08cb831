"""The weights of a folder: one model.safetensors, or several with an index."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minillm.errors import DataError
from minillm.json_files import read_object
from minillm.reading import RECORD
from minillm.weights import header

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}


class Stored(NamedTuple):
    """Where a tensor lies: in which file, by which name, in which form."""

    path: Path
    name: str
    dtype: str
    shape: tuple


class Tensors:
    """The tensors of a folder by name: their shapes at once, their numbers one by one,
    as float32. Raises DataError for a missing or damaged file."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.shapes: dict[str, tuple] = {}
        self._stored: dict[str, Stored] = {}
        for path in _files(folder):
            for name, (dtype, shape) in header(path).items():
                if name in self._stored:
                    other = self._stored[name].path
                    raise DataError(f"{path}: {name} is in {other} too")
                self._stored[name] = Stored(path, name, dtype, shape)
                self.shapes[name] = shape

    def rename(self, renamed: Callable[[str], str | None]) -> None:
        """Give the tensors other names, or none: they are left out. One that has the
        name already keeps it."""
        for name in list(self._stored):
            stored, shape = self._stored.pop(name), self.shapes.pop(name)
            other = renamed(name)
            if other is not None and (other == name or other not in self._stored):
                self._stored[other], self.shapes[other] = stored, shape

    def shorten(self, name: str, rows: int, kept: int) -> None:
        """Read of a table of so many rows the first ones alone."""
        shape = self.shapes.get(name, ())
        if shape[:1] == (rows,):
            self.shapes[name] = (kept, *shape[1:])

    def read(self, name: str) -> np.ndarray:
        """The numbers of a tensor, finite ones. Raises DataError."""
        path, there, dtype, shape = self._stored[name]
        if dtype not in FLOATS:
            raise DataError(f"{path}: {there} is {dtype}, not {', '.join(FLOATS)}")
        array = _raw(path, there).view(FLOATS[dtype]).reshape(shape)
        if shape != self.shapes[name]:
            array = array[: self.shapes[name][0]]
        if dtype == "bfloat16":  # the upper half of a float32
            array = (array.astype(np.uint32) << 16).view(np.float32)
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise DataError(f"{path}: {there} has numbers that are not finite")
        return array


def _files(folder: Path) -> list[Path]:
    """The files that hold weights."""
    if (folder / INDEX).exists():
        named = files_of_index(folder / INDEX)
        for name in named:
            if not (folder / name).is_file():
                raise DataError(f"{folder / name}: is missing, and {INDEX} names it")
        return [folder / name for name in named]
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    refuse_pickled(folder, [path.name for path in folder.iterdir()])
    raise DataError(f"{folder}: there is no {WEIGHTS} in it")


def files_of_index(index: Path) -> list[str]:
    """The names of the files among which an index shares out the tensors. Raises
    DataError for one that does not lie beside it."""
    kind = {"weight_map": {str: str}}
    named = sorted(set(read_object(index, kind, RECORD)["weight_map"].values()))
    for name in named:
        if Path(name).name != name or "\\" in name or not name.strip("."):
            raise DataError(f"{index}: {name!r} is no name of a file here")
    return named


def refuse_pickled(folder: str | Path, files: Iterable[str]) -> None:
    """DataError where a folder without weights that are read has pickled ones."""
    if any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in files):
        raise DataError(
            f"{folder}: its weights are pickled, which may run code when it is read: "
            f"convert them, in transformers by model.save_pretrained(...)"
        )


def _raw(path: Path, name: str) -> np.ndarray:
    """The bytes of a tensor, from a file whose header the library has checked. NumPy
    has no bfloat16, so that the library cannot hand them over."""
    file = np.memmap(path, np.uint8, "r")
    begin = 8 + int.from_bytes(file[:8].tobytes(), "little")
    first, last = json.loads(file[8:begin].tobytes())[name]["data_offsets"]
    return file[begin + first : begin + last]
