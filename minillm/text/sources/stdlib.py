"""The default corpus: what the running Python says about itself, in prose and in code.

Every Python carries about ten million characters of good English and good code: the
source of its standard library with docstrings and comments, and the chapters of the
language reference behind `help()`. A newcomer can train on it without a download.
"""

import os
import platform
import sysconfig
import tokenize
from pathlib import Path

from minillm.errors import DataError

# Tests repeat themselves, installed packages differ from machine to machine, and the
# character maps of `encodings` (1.4 MB) are numbers in rows, as some single files are.
SKIPPED_FOLDERS = {
    "__pycache__",
    "dist-packages",
    "encodings",
    "idle_test",
    "site-packages",
    "test",
    "tests",
}
SKIPPED_FILES = {
    "html/entities.py",
    "pydoc_data/topics.py",  # _topics() has its text without the escapes
    "re/_casefix.py",
    "stringprep.py",
}
# The settings of this build: paths of the machine that made it.
SKIPPED_PREFIXES = ("_sysconfig", "config-")

FEWEST_CHARACTERS = 1_000_000


def standard_library() -> dict[str, str]:
    """Text of each document, by its path with forward slashes.

    A topic of the language reference counts as a document of its own. Line endings
    become "\\n", so that a Windows installation gives the same text as any other.
    Raises DataError where Python ships without its sources.
    """
    root = Path(sysconfig.get_path("stdlib"))
    documents = _sources(root) | _topics()
    if sum(map(len, documents.values())) < FEWEST_CHARACTERS:
        raise DataError(
            f"{root}: Python {platform.python_version()} ships without the sources of"
            " its standard library here: choose another corpus (a text file, a folder,"
            " or a name from the catalogue)"
        )
    return documents


def fit_for_validation(path: str, text: str) -> bool:
    """Neither so short nor so long that one odd file could move the score.

    The topics quote each other: in validation they would be a memory test.
    """
    return 1_000 <= len(text) <= 50_000 and not path.startswith("pydoc_data/")


def _sources(root: Path) -> dict[str, str]:
    documents = {}
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [
            name
            for name in subfolders
            if name not in SKIPPED_FOLDERS and not name.startswith(SKIPPED_PREFIXES)
        ]
        within = Path(folder).relative_to(root).as_posix()
        for name in names:
            if name.endswith(".py") and not name.startswith(SKIPPED_PREFIXES):
                relative = name if within == "." else f"{within}/{name}"
                if relative not in SKIPPED_FILES:
                    documents[relative] = _read(os.path.join(folder, name))
    return {path: text for path, text in documents.items() if text}


def _read(path: str) -> str:
    """A source file as Python itself would read it; "" where it could not."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""


def _topics() -> dict[str, str]:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return {}
    return {f"pydoc_data/topics/{name}": text for name, text in topics.items()}
