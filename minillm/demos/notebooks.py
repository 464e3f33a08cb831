"""Notebooks of the house, laid down in a folder of yours: a first gradient; a model and
a loop of your own; a scaling law in five minutes."""

from importlib.resources import files
from pathlib import Path

from minillm.errors import DataError
from minillm.files import replacing, writing


def write_notebooks(folder: str | Path = "notebooks") -> dict[str, list[Path]]:
    """Write the three notebooks to a folder, which is made where it is missing.

    A file that is there already may hold your work, and stays as it is. Returns
    {"written": [paths], "kept": [paths]}. Raises DataError where the disk refuses.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file: name a folder")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    found = {"written": [], "kept": []}
    for source in sorted(
        files("minillm_data").joinpath("notebooks").iterdir(), key=str
    ):
        target = folder / source.name
        if target.exists():
            found["kept"].append(target)
            continue
        with replacing(target) as temporary:
            temporary.write_bytes(source.read_bytes())
        found["written"].append(target)
    return found
