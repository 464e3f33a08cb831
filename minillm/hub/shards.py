"""The weights of a folder: one model.safetensors, or several with an index."""

import json
from pathlib import Path

import numpy as np

from minillm.errors import DataError
from minillm.json_files import read_object
from minillm.reading import RECORD
from minillm.weights import header

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}


class Tensors:
    """The tensors of a folder by name: their shapes at once, their numbers one by one,
    as float32. Raises DataError for a missing or damaged file."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.shapes: dict[str, tuple] = {}
        self._files: dict[str, Path] = {}
        self._types: dict[str, str] = {}
        for path in _files(folder):
            for name, (dtype, shape) in header(path).items():
                if name in self._files:
                    raise DataError(f"{path}: {name} is in {self._files[name]} too")
                self._files[name], self._types[name] = path, dtype
                self.shapes[name] = shape

    def read(self, name: str) -> np.ndarray:
        """The numbers of a tensor, finite ones. Raises DataError."""
        path, dtype = self._files[name], self._types[name]
        if dtype not in FLOATS:
            raise DataError(f"{path}: {name} is {dtype}, not {', '.join(FLOATS)}")
        array = _raw(path, name).view(FLOATS[dtype]).reshape(self.shapes[name])
        if dtype == "bfloat16":  # the upper half of a float32
            array = (array.astype(np.uint32) << 16).view(np.float32)
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise DataError(f"{path}: {name} has numbers that are not finite")
        return array


def _files(folder: Path) -> list[Path]:
    """The files that hold weights."""
    if (folder / INDEX).exists():
        kind = {"weight_map": {str: str}}
        named = read_object(folder / INDEX, kind, RECORD)["weight_map"].values()
        for name in sorted(set(named)):
            if Path(name).name != name or "\\" in name or not name.strip("."):
                raise DataError(f"{folder / INDEX}: {name!r} is no name of a file here")
            if not (folder / name).is_file():
                raise DataError(f"{folder / name}: is missing, and {INDEX} names it")
        return [folder / name for name in sorted(set(named))]
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]:
        raise DataError(
            f"{folder}: its weights are pickled, which may run code when it is read: "
            f"convert them, in transformers by model.save_pretrained(...)"
        )
    raise DataError(f"{folder}: there is no {WEIGHTS} in it")


def _raw(path: Path, name: str) -> np.ndarray:
    """The bytes of a tensor, from a file whose header the library has checked. NumPy
    has no bfloat16, so that the library cannot hand them over."""
    file = np.memmap(path, np.uint8, "r")
    begin = 8 + int.from_bytes(file[:8].tobytes(), "little")
    first, last = json.loads(file[8:begin].tobytes())[name]["data_offsets"]
    return file[begin + first : begin + last]
