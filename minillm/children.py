"""Processes of Python started by this one: where they look for modules.

`multiprocessing` starts a process, and its resource tracker, as `python -c`, which
looks into the current folder first: a `pickle.py` that lies beside a corpus would run.
"""

import contextlib
import os
from collections.abc import Iterator

NAME = "PYTHONSAFEPATH"  # since Python 3.11; `python -E` does not hear of it, -P helps


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Processes started inside look for modules where this one does, and not in the
    current folder; so do those that they start."""
    before = os.environ.get(NAME)
    os.environ[NAME] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(NAME, None)
        else:
            os.environ[NAME] = before
