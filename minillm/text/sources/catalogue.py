"""Public corpora by name, fetched once, verified, and kept in a cache folder."""

import hashlib
import http.client
import os
import time
import tomllib
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from minillm.errors import DataError, UsageError
from minillm.files import open_own
from minillm.text.cache import cache_folder

SLOWEST = 1_000  # bytes in a second, on the average

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Entry:
    """One corpus of data/catalogue.toml: at `url`, or a `file` that comes with minillm.

    `size` is in bytes, `sha256` the hex digest of the file, `format` how to read it
    ("text": UTF-8).
    """

    name: str
    title: str
    licence: str
    sha256: str
    size: int
    format: str
    url: str = ""
    file: str = ""


def catalogue() -> dict[str, Entry]:
    """Every corpus of the catalogue by its name."""
    text = files("minillm_data").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return {name: Entry(name, **entry) for name, entry in tomllib.loads(text).items()}


def cached(name: str) -> Path | None:
    """The file of a corpus if it is here and whole, else None."""
    entry = _entry(name)
    path = _place(entry)
    return path if _is_whole(path, entry) else None


def fetch(name: str, progress: Progress | None = None) -> Path:
    """The file of a corpus, downloaded if it is not here yet.

    `progress` is called with the bytes that are here and the bytes of the whole. Raises
    UsageError for an unknown name, DataError when the file cannot be had.
    """
    if path := cached(name):
        return path
    entry = _entry(name)
    if entry.file:
        raise DataError(f"{_place(entry)}: missing or changed; install minillm again")
    return download(entry, cache_folder(), progress=progress)


def download(
    entry: Entry,
    folder: Path,
    *,
    schemes: tuple[str, ...] = ("https",),
    timeout: float = 30.0,
    progress: Progress | None = None,
) -> Path:
    """Fetch `entry.url` into `folder`, going on from what an earlier try left there.

    The file gets its name when its size and sha256 are right, never before. Only
    addresses of `schemes` are asked, redirects included; `timeout` is in seconds
    without an answer, or with next to nothing sent. Raises DataError.
    """
    final = folder / f"{entry.name}.txt"
    left_over = folder / f"{entry.name}.part"
    # A name of its own: two processes may fetch the same corpus at the same time.
    part = folder / f"{entry.name}.{uuid.uuid4().hex}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _move(left_over, part)
        if part.is_symlink() or not part.is_file():  # in a cache that others share
            part.unlink(missing_ok=True)
        try:
            resumed = part.exists()
            _transfer(entry, part, schemes, timeout, progress)
            if resumed and not _is_whole(part, entry):
                part.unlink()
                _transfer(entry, part, schemes, timeout, progress)
            if not _is_whole(part, entry):
                part.unlink()
                raise DataError(f"{entry.url}: not the file expected: wrong sha256")
            os.replace(part, final)
        finally:
            _move(part, left_over)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"cannot download {entry.name} from {entry.url}: {_reason(error)}"
        ) from error
    return final


def _transfer(
    entry: Entry,
    part: Path,
    schemes: tuple[str, ...],
    timeout: float,
    progress: Progress | None,
) -> None:
    """Bring `part` to its full size: the rest of it, or all of it from the start."""
    done = part.stat().st_size if part.exists() else 0
    if done >= entry.size:
        return
    _check_scheme(entry.url, schemes)
    request = urllib.request.Request(entry.url)
    if done:
        request.add_header("Range", f"bytes={done}-")
    opener = urllib.request.build_opener(_Redirects(schemes))
    try:
        response = opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if done and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
            return _transfer(entry, part, schemes, timeout, progress)
        raise
    with response:
        partial = response.status == http.HTTPStatus.PARTIAL_CONTENT
        done = done if partial else 0
        how = os.O_APPEND if partial else os.O_TRUNC
        with os.fdopen(open_own(part, os.O_WRONLY | os.O_CREAT | how), "wb") as file:
            pace = _Pace(entry, timeout)
            while done <= entry.size and (block := response.read1(1 << 16)):
                file.write(block)
                done += len(block)
                pace.took(len(block))
                if progress:
                    progress(done, entry.size)
    if done > entry.size:
        part.unlink()
        raise DataError(
            f"{entry.url}: sent more than the {entry.size:,} bytes expected"
        )
    if done < entry.size:
        raise DataError(
            f"{entry.url}: ended after {done:,} of {entry.size:,} bytes; try again to"
            " go on from there"
        )


class _Pace:
    """Gives up on a server that sends, but so little that it would take for ever."""

    def __init__(self, entry: Entry, seconds: float) -> None:
        self.entry = entry
        self.seconds = seconds  # after which it has to have sent enough
        self.since, self.n = time.monotonic(), 0

    def took(self, n: int) -> None:
        """Count n bytes. Raises DataError where they come too slowly."""
        self.n += n
        passed = time.monotonic() - self.since
        if passed < self.seconds:
            return
        if self.n < SLOWEST * passed:
            raise DataError(
                f"{self.entry.url}: too slow, {self.n:,} bytes in {passed:.0f} seconds;"
                " try again later to go on from there"
            )
        self.since, self.n = time.monotonic(), 0


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, schemes: tuple[str, ...]) -> None:
        self.schemes = schemes

    def redirect_request(self, request, body, code, message, headers, url):
        _check_scheme(url, self.schemes)
        return super().redirect_request(request, body, code, message, headers, url)


def _check_scheme(url: str, schemes: tuple[str, ...]) -> None:
    if urlsplit(url).scheme not in schemes:
        raise DataError(f"{url}: refused, only {' or '.join(schemes)} is safe")


def _entry(name: str) -> Entry:
    entries = catalogue()
    if name not in entries:
        raise UsageError(
            f"no corpus {name!r} to be fetched; there are {', '.join(entries)}"
        )
    return entries[name]


def _place(entry: Entry) -> Path:
    if entry.file:
        return Path(str(files("minillm_data").joinpath(entry.file)))
    return cache_folder() / f"{entry.name}.txt"


def _is_whole(path: Path, entry: Entry) -> bool:
    if not path.is_file() or path.stat().st_size != entry.size:
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


def _move(source: Path, target: Path) -> None:
    with suppress(FileNotFoundError):
        os.replace(source, target)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}"
    reason = getattr(error, "reason", error)
    return str(reason) or type(reason).__name__
