"""Checkpoints: directories that are either whole or not there, by `replacing_folder` of
`files.py`.

    step-000500/ model.safetensors      weights by name
                 optimizer.safetensors  the optimizer's moments by name
                 state.json             where the run stood
                 manifest.json          step, size and sha256 of the others, last

Nothing is ever unpickled.
"""

import contextlib
import hashlib
import math
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from minillm.errors import DataError, call
from minillm.files import (
    fill_json,
    free_name,
    is_temporary,
    leads_away,
    remove_folder,
    replacing_folder,
)
from minillm.json_files import Damaged, read_object
from minillm.kinds import COUNT, Number
from minillm.learning.flat import FlatParameters
from minillm.learning.saving import moments
from minillm.reading import MANIFEST, RECORD, Missing, check_file
from minillm.weights import fill, header, write_arrays

FOLDER = "checkpoints"  # of a run's, where they lie
FORMAT = 1
# What is not there is damage; what may not be read, or not now, is none.
MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
WEIGHTS, MOMENTS = "model.safetensors", "optimizer.safetensors"
FILES = (WEIGHTS, MOMENTS, "state.json")
KEYS = {"format", "step", "files"}  # of a manifest
KIND = {"format": Number(1, 2**31, whole=True), "step?": COUNT, "files": {str: dict}}
NAMES = (*FILES, "manifest.json")  # of all that lies in one
HEADER = 100_000_000  # the library reads no longer one


def save(folder: Path, flat: FlatParameters, optimizer, state: dict) -> Path:
    """Write a checkpoint, which is there when it is whole.

    `state["step"]` names it. Raises DataError where the disk refuses.
    """
    target = at(folder, state["step"])
    with replacing_folder(target, NAMES) as temporary:
        write_arrays(temporary / WEIGHTS, flat.views(flat.data))
        write_arrays(temporary / MOMENTS, moments(flat, optimizer))
        fill_json(temporary / "state.json", state)
        manifest = {
            "format": FORMAT,
            "step": state["step"],
            "files": {name: _fingerprint(temporary / name) for name in FILES},
        }
        fill_json(temporary / "manifest.json", manifest)
    return target


def copy(path: Path, folder: Path) -> None:
    """Copy a checkpoint to those of another run. Raises DataError where the disk
    refuses."""
    with replacing_folder(folder / path.name, NAMES) as temporary:
        for name in NAMES:
            shutil.copyfile(path / name, temporary / name)


def load(path: Path, flat: FlatParameters, optimizer=None) -> dict:
    """Copy a checkpoint's weights (and moments) into their places; returns its state.

    Raises DataError where names, shapes or types differ from the model's.
    """
    state = _state(path)
    fill(flat.views(flat.data), path / WEIGHTS)
    if optimizer is not None:
        fill(moments(flat, optimizer), path / MOMENTS)
    return state


def _state(path: Path) -> dict:
    file = path / "state.json"
    state = read_object(file, {"step": COUNT})
    if path.name == at(path, state["step"]).name:
        return state
    raise DataError(f"{file}: is of step {state['step']}, not of {path.name}")


def trained(folder: Path, numbers: int) -> Path:
    """The newest checkpoint, for who wants the trained model, of so many numbers, and
    not another.

    Raises DataError where there is no checkpoint, or a damaged one.
    """
    every = _all(folder)
    if not every:
        raise DataError(
            f"{folder.parent}: no whole checkpoint in it: was it trained to the end?"
        )
    if not is_whole(every[-1], numbers):
        way = "put it back from a copy"
        if len(every) > 1:
            way = f"remove it, and {every[-2].name} is taken"
        raise DataError(
            f"{every[-1]}: is damaged, not what its manifest says, or far too large "
            f"for its model: {way}; or make it again: "
            f"{call('train', resume=True, out=folder.parent)}"
        )
    check_total(every[-1], numbers)
    return every[-1]


def latest(folder: Path, numbers: int | None = None) -> Path | None:
    """The newest checkpoint that is whole, or None."""
    every = reversed(_all(folder))
    return next((path for path in every if is_whole(path, numbers)), None)


def is_whole(path: Path, numbers: int | None = None) -> bool:
    """Whether every file of a checkpoint is what its manifest says, and no larger than
    a model of so many `numbers` needs.

    Raises DataError where that cannot be known: a file may not be read, or a later
    minillm wrote it.
    """
    file = path / "manifest.json"
    try:
        with _readable(path):
            if not _regular(file) or file.stat().st_size > MANIFEST:
                return False
            manifest = read_object(file, KIND)
            later = manifest["format"] > FORMAT
            whole = not later and (numbers is None or _could_be(path, numbers))
            whole = whole and all(
                _agrees(path / name, manifest["files"][name]) for name in FILES
            )
    except (*MISSING, Missing, Damaged, KeyError):
        return False
    if later:
        raise DataError(
            f"{path}: a later minillm wrote it, in format {manifest['format']}: use "
            f"that one (this one knows {FORMAT})"
        )
    return whole and manifest.keys() <= KEYS and _same_step(path, manifest)


def _same_step(path: Path, manifest: dict) -> bool:
    """Whether a manifest names the step of state.json, which its hashes vouch for."""
    if "step" not in manifest:
        return True
    return manifest["step"] == read_object(path / "state.json").get("step")


def _could_be(path: Path, numbers: int) -> bool:
    """Whether the files may be those of a model of so many numbers, by their sizes:
    what may not is not even read to the end."""
    weights, moments, state = ((path / name).stat() for name in FILES)
    try:
        check_file(path / WEIGHTS, weights, 4 * numbers + HEADER)
    except DataError:
        return False
    return moments.st_size <= 8 * numbers + HEADER and state.st_size <= RECORD


def check_total(path: Path, numbers: int) -> None:
    """DataError where the weights of a checkpoint are not so many numbers, before there
    is a model to hold them."""
    file = path / WEIGHTS
    there = sum(math.prod(shape) for _, shape in header(file).values())
    if there != numbers:
        raise DataError(
            f"{file}: has {there:,} numbers, and the model of run.json {numbers:,}: "
            f"one of them is damaged, or of another run"
        )


def prune(
    folder: Path,
    keep: int,
    spared: Iterable[int | None] = (),
    written: Iterable[Path] = (),
) -> None:
    """Remove all but the newest `keep` checkpoints and those of the steps `spared`, and
    what a crash has left; nothing that holds other files.

    Where `folder` is a link, on a larger disk perhaps, others may have theirs there:
    only what is among `written`, this session's own, is removed.
    """
    spared = {at(folder, step) for step in spared}
    old = [path for path in _all(folder)[:-keep] if path not in spared]
    if leads_away(folder):
        old = [path for path in old if path in written]
    left = [path for path in folder.glob(".step-*") if is_temporary(path)]
    for path in [*old, *left]:
        remove_folder(path, NAMES)


def set_aside(folder: Path, newest: Path | None) -> list[Path]:
    """Give the checkpoints after the newest whole one, which are damaged, other names;
    returns these. As the newest ones they would be kept, and whole ones pruned.

    Raises DataError for what was no checkpoint where `folder` is a link.
    """
    every = _all(folder)
    damaged = every[every.index(newest) + 1 :] if newest else every
    if leads_away(folder):
        for path in damaged:
            if not path.is_dir() or {item.name for item in path.iterdir()} - {*NAMES}:
                raise DataError(
                    f"{path}: is no checkpoint, and {folder} is a link: move it away, "
                    f"or remove the link"
                )
    names = [free_name(path.with_name(f"{path.name}.damaged")) for path in damaged]
    for path, name in zip(damaged, names, strict=True):
        path.rename(name)
    return names


def at(folder: Path, step: int | None) -> Path:
    """Where the checkpoint of a step lies, if there is one."""
    return folder / f"step-{step or 0:06d}"


def _all(folder: Path) -> list[Path]:
    """Every checkpoint of a folder, oldest first."""
    try:
        with _readable(folder):
            named = [path for path in folder.iterdir() if path.name[:5] == "step-"]
    except MISSING:
        return []
    numbered = [path for path in named if path.name[5:].isdecimal()]
    return sorted(numbered, key=lambda path: int(path.name[5:]))


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what keeps the block from reading what is there into a DataError."""
    try:
        yield
    except MISSING:
        raise
    except OSError as error:
        raise DataError(
            f"{error.filename or path}: cannot be read ({error.strerror})"
        ) from None


def _agrees(path: Path, fingerprint: dict) -> bool:
    """Whether a file is the one of a manifest. It is read only if its size is right."""
    if not _regular(path) or path.stat().st_size != fingerprint.get("bytes"):
        return False
    return _fingerprint(path) == fingerprint


def _regular(path: Path) -> bool:
    """Whether it ends: a pipe or a device may not. Raises OSError where it cannot be
    known, as Path.is_file does not."""
    return stat.S_ISREG(path.stat().st_mode)


def _fingerprint(path: Path) -> dict:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}
