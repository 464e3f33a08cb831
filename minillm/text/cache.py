"""Cache: what can be made again is kept in a folder of the user, and checked.

To learn a tokenizer from the default corpus and to encode that corpus takes seconds,
and every start would do it again. One file keeps both, in this order: the hash of all
that follows; how long the parts are, as a line of JSON; tokenizer.json; the ids. Its
name is a hash of all that it was made of.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from minillm.errors import DataError
from minillm.files import is_temporary, remove_files, replacing, writing
from minillm.json_files import Damaged, parse_json
from minillm.kinds import COUNT, check
from minillm.reading import read_bytes
from minillm.text.tokenizer.base import Lost, Tokenizer
from minillm.text.tokenizer.load import tokenizer_of

FILES = 8  # at most, the ones used last: another vocabulary is another file
MOST = 1 << 26  # bytes of a file; those of the default corpus have 8 million
SUFFIX = ".ids"
PARTS = ("train", "val")
LOST_OF = ("train_lost", "val_lost")
LOST = {"n": COUNT, "of": COUNT, "characters": str}
ABOUT = {  # bytes of the tokenizer, tokens of the parts
    **dict.fromkeys(("tokenizer", *PARTS), COUNT),
    **dict.fromkeys(LOST_OF, LOST),
}


def cache_folder() -> Path:
    """The folder of all that is kept: $MINILLM_CACHE, or the platform's place for
    caches. Raises RuntimeError for a user without a home."""
    if chosen := os.environ.get("MINILLM_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local, "minillm", "Cache")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minillm"
    place = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(place):  # is to be ignored (XDG Base Directory Specification)
        place = Path.home() / ".cache"
    return Path(place, "minillm")


class Cache:
    """The place where an encoded text is kept: its `tokenizer`, the ids of its parts
    `train` and `val`, (T,) int32, and `train_lost` and `val_lost`, what these do not
    tell of it.

    made_of: all that the ids depend on, as JSON has it; the version of the library and
    the code of the tokenizers are added. A folder that cannot be read or written keeps
    nothing, without a word: what is kept only saves time.
    """

    def __init__(self, name: str, made_of: Mapping) -> None:
        import tokenizers

        sources = sorted(Path(__file__).parent.glob("tokenizer/*.py"))
        code = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
        all_of_it = [tokenizers.__version__, code.hexdigest(), made_of]
        text = json.dumps(all_of_it, sort_keys=True).encode("utf-8")
        self.name = f"{name}-{hashlib.sha256(text).hexdigest()[:32]}{SUFFIX}"

    def read(self, note: Callable[[str], None] | None = None) -> dict | None:
        """What is kept, or None. `note(text)` hears of a damaged file."""
        try:
            path = self._path()
            found = _parsed(read_bytes(path, MOST), path)
            with contextlib.suppress(OSError):
                os.utime(path)  # it is in use
            return found
        except Damaged as error:
            if note:
                note(f"{error}: it is made again")
        except (DataError, RuntimeError):  # it is not there, or not to be read
            pass
        return None

    def keep(self, encoded: dict) -> None:
        """Write it for the next time, whole or not at all, and remove what has not been
        used for longest."""
        with contextlib.suppress(DataError, OSError, RuntimeError):
            path = self._path()
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_bytes(_written(encoded))
            remove_files(path.parent, _unused(path.parent))

    def _path(self) -> Path:
        return cache_folder() / "encoded" / self.name


def _written(encoded: dict) -> bytes:
    tokenizer = encoded["tokenizer"].to_json().encode("utf-8")
    about = {
        "tokenizer": len(tokenizer),
        **{part: len(encoded[part]) for part in PARTS},
        **{name: asdict(encoded[name]) for name in LOST_OF},
    }
    ids = [encoded[part].astype(_type(encoded["tokenizer"])) for part in PARTS]
    content = b"".join(
        [json.dumps(about).encode("utf-8"), b"\n", tokenizer, *map(bytes, ids)]
    )
    return hashlib.sha256(content).hexdigest().encode("ascii") + b"\n" + content


def _parsed(raw: bytes, path: Path) -> dict:
    """Raises Damaged for anything else than what was written."""
    try:
        sha256, _, content = raw.partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode("ascii") != sha256:
            raise ValueError("other bytes than were written")
        line = content.partition(b"\n")[0]
        about = parse_json(line.decode("utf-8"), path)
        check(about, ABOUT)
        begin = len(line) + 1
        end = begin + about["tokenizer"]
        settings = parse_json(content[begin:end].decode("utf-8"), path)
        tokenizer = tokenizer_of(settings, path)
        ids = np.frombuffer(content, _type(tokenizer), offset=end).astype(np.int32)
        if len(ids) != about["train"] + about["val"]:
            raise ValueError("the ids are not as many as it says")
        if not (0 <= ids.min(initial=0) <= ids.max(initial=0) < tokenizer.vocab_size):
            raise ValueError("an id is outside the vocabulary")
        lost = {name: Lost(**about[name]) for name in LOST_OF}
    except (DataError, TypeError, ValueError):
        raise Damaged(f"{path}: does not hold what was written there") from None
    train, val = np.split(ids, [about["train"]])
    return {"tokenizer": tokenizer, "train": train, "val": val, **lost}


def _type(tokenizer: Tokenizer) -> np.dtype:
    """Of an id in the file."""
    return np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")


def _unused(folder: Path) -> list[str]:
    """The names of all but the files used last, and of what a killed process left."""
    ours = [
        (path.stat().st_mtime, path.name)
        for path in folder.iterdir()
        if path.suffix == SUFFIX or is_temporary(path)
    ]
    return [name for _, name in sorted(ours)[:-FILES]]
