"""The weights of a folder: one model.safetensors, or several with an index."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from minillm.errors import DataError
from minillm.json_files import read_object
from minillm.reading import RECORD
from minillm.weights import Stored, pieces, stored_arrays

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = ("float32", "float16", "bfloat16")


class Tensors:
    """The tensors of a folder by name: their shapes at once, their numbers row by
    row, as float32. Raises DataError for a missing or damaged file."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.shapes: dict[str, tuple] = {}
        # In which file, by which name, and where in it.
        self._stored: dict[str, tuple[Path, str, Stored]] = {}
        for path in _files(folder):
            for name, stored in stored_arrays(path).items():
                if name in self._stored:
                    other, *_ = self._stored[name]
                    raise DataError(f"{path}: {name} is in {other} too")
                self._stored[name] = path, name, stored
                self.shapes[name] = stored.shape

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

    def pieces(self, name: str) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows of a tensor, a few at a time, and their numbers, finite ones. Raises
        DataError."""
        path, there, stored = self._stored[name]
        if stored.dtype not in FLOATS:
            raise DataError(
                f"{path}: {there} is {stored.dtype}, not {', '.join(FLOATS)}"
            )
        kept = stored._replace(shape=self.shapes[name])
        for rows, piece in pieces(path, kept):
            piece = piece.astype(np.float32, copy=False)
            if not np.isfinite(piece).all():
                raise DataError(f"{path}: {there} has numbers that are not finite")
            yield rows, piece


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
