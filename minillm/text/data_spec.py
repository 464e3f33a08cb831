"""Source of texts, as `--data` names it: a path, and how what lies there is to be read,
as in `labels.csv:text=review,label=stars` or `folder:links=follow`."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minillm.errors import DataError, UsageError

# What each kind of file holds: the roles of its columns.
ROLES = {"pairs": ("source", "target"), "labels": ("text", "label"), "text": ("text",)}
Rows = list[tuple[str, str]]  # of pairs, or of labels
Columns = Mapping[str, Sequence[str]]  # of each role, as they are asked for
# Files that are not one text, by the ends of their names.
JSON = (".jsonl", ".ndjson", ".json")
DELIMITED = (".csv", ".tsv")
NOTEBOOK = ".ipynb"
PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".gz")
FOLLOW = "links=follow"
ASKABLE = "source|target|text|label|links"
ASKED = re.compile(rf"(.+?):((?:{ASKABLE})=.*)", re.S)
ITEM = re.compile(rf"(?:^|,)({ASKABLE})=")


@dataclass(frozen=True)
class Source:
    """A path, and how what lies there is to be read.

    `columns` says for each role ("text", "label") which columns hold it.
    """

    path: str
    columns: Columns = field(default_factory=dict)
    follow_links: bool = False

    @classmethod
    def parse(cls, data: str) -> "Source":
        """What `--data` takes: a path, and after a colon the columns of each role.

        Those of one role are joined by "+"; each is given by its name, or by its number
        from 1. Raises UsageError for links that are neither followed nor refused, and
        for what is said twice.
        """
        found = None if os.path.lexists(data) else ASKED.fullmatch(data)
        if not found:
            return cls(data)
        _, *items = ITEM.split(found[2])
        given = dict(zip(items[::2], items[1::2], strict=True))
        if 2 * len(given) < len(items):
            raise UsageError(f"{data}: says one thing twice")
        links = given.pop("links", "refuse")
        if links not in ("follow", "refuse"):
            raise UsageError(f"{data}: links={links} is not understood; give {FOLLOW}")
        columns = {role: tuple(told.split("+")) for role, told in given.items()}
        return cls(found[1], columns, links == "follow")

    def check(self, kind: str) -> None:
        """Raises UsageError where the columns given are not those of a kind."""
        if self.columns and set(self.columns) != set(ROLES[kind]):
            raise UsageError(
                f"{self.path}: the columns of {kind} are given as {example(kind)}"
            )


def following(data: str) -> str:
    """What `--data` takes for a folder whose links lead anywhere."""
    source = Source.parse(data)
    if source.follow_links or not os.path.isdir(source.path):
        return data
    return f"{data}{',' if source.columns else ':'}{FOLLOW}"


def example(kind: str, column: str = "NAME") -> str:
    """How the columns of a kind are asked for."""
    return ",".join(f"{role}={column}" for role in ROLES[kind])


def exists(path: str) -> bool:
    """Whether a path names something. Raises DataError where it may not be known."""
    try:
        os.stat(path)
    except PermissionError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from error
    except (OSError, ValueError):  # too long a name, or one that cannot be
        return False
    return True


def plain_name(name: str) -> str:
    """The name of a file that was packed by itself: `a.csv` of `a.csv.gz`."""
    plain = name[:-3] if name.lower().endswith(".gz") else name
    return name if plain.lower().endswith(".tar") else plain


def suffix_of(path: str) -> str:
    """The end of a file's name in lower case; that of a .gz does not count."""
    return Path(plain_name(path)).suffix.lower()


def is_archive(path: Path) -> bool:
    """Whether its name ends as that of an archive."""
    return path.name.lower().endswith(PACKED)
