"""The files below a folder, and what its links lead to.

A folder from elsewhere may hold a link to a private file, whose text would be learnt
and go out with the weights. What leads out of the folder is refused.
"""

import os
from pathlib import Path
from typing import NoReturn

from minillm.errors import DataError, typed
from minillm.text.data_spec import FOLLOW

DEEPEST = 200  # folders in folders


def files_below(folder: Path, *, follow_links: bool = False) -> list[Path]:
    """Every file below a folder, without the hidden ones.

    A link to a folder is followed, unless that one has been read already. A hard link
    cannot be told from a file. Raises DataError for a link that leads out of the folder
    unless `follow_links`, and for a pipe or a device, which may have no end, and
    for more than `DEEPEST` folders in folders.
    """
    root = _real(folder)
    found, entered, to_enter = [], set(), [folder]
    while to_enter:
        for parent, subfolders, names in os.walk(to_enter.pop(0), onerror=_refuse):
            here = _real(parent)
            if here in entered:
                subfolders.clear()
                continue
            entered.add(here)
            if len(Path(parent).parts) > DEEPEST + len(folder.parts):
                raise DataError(f"{folder}: more than {DEEPEST} folders in folders")
            visible = [name for name in subfolders if not name.startswith(".")]
            files = [Path(parent, n) for n in names if not n.startswith(".")]
            links = [Path(parent, n) for n in visible if _real(here / n) != here / n]
            for path in (*filter(Path.is_symlink, files), *links):
                if not (follow_links or _real(path).is_relative_to(root)):
                    way = "--follow-links" if typed() else f"data='{folder}:{FOLLOW}'"
                    raise DataError(
                        f"{path}: leads out of the folder, to {_real(path)}; give "
                        f"{way} if it is to be read"
                    )
            found += files
            to_enter += links  # after the folders that lie here themselves
            subfolders[:] = [n for n in visible if Path(parent, n) not in links]
    for path in found:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: is a pipe or a device, not a file")
    return found


def _real(path: str | os.PathLike) -> Path:
    """Where a path leads in the end, over all links."""
    return Path(os.path.realpath(path))


def _refuse(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename}: {error.strerror}") from error
