"""Looking for files that are saved."""

import time
from collections.abc import Iterator
from pathlib import Path

from minillm.exercises.table import file_name

PAUSE = 0.3  # seconds


def saved(folder: Path, names: tuple[str, ...]) -> Iterator[str]:
    """The exercises whose files change, one after another, without end."""
    before = {name: _print_of(folder / file_name(name)) for name in names}
    while True:
        time.sleep(PAUSE)
        for name in names:
            now = _print_of(folder / file_name(name))
            if now != before[name]:
                before[name] = now
                if now is not None:
                    yield name


def _print_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:  # an editor may replace the file
        return None
    return found.st_mtime_ns, found.st_size
