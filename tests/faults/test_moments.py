"""Killed at any moment, and without power at any moment: a run goes on to the same end.

Whatever changes in the folder of a run, changes in a function written in C. Looking at
the folder after each of them gives every state that `kill -9` could leave. A state of a
power cut has of each file only what was synced by then: names reach the disk in order,
contents when they are told to.
"""

import itertools
import json
import os
import sys
from pathlib import Path

import pytest

from minillm import TrainConfig, train
from minillm.learning.data import prepare
from minillm.runs import checkpoint
from minillm.runs.logbook import Silent

OPTIONS = {
    "n_layers": 1,
    "d_model": 8,
    "n_heads": 2,
    "context": 8,
    "batch": 8,
    "steps": 3,
    "save_every": 1,
    "keep": 1,
    "eval_every": 2,
    "vocab": 256,
    "schedule": "wsd",
    "tokenizer": "bytes",
    "device": "cpu",
    "workers": "1",
}
DEPENDS = {
    *("seconds", "tokens_per_second", "decode_seconds_per_token"),
    *("peak_memory_bytes", "out", "sources"),
    "metrics_sha256",  # of lines with seconds in them
}
WRITERS = ("posix", "nt", "_io", "safetensors._safetensors_rust")


class Moments:
    """The states of a folder that follow one another inside a `with` block.

    A state is {path below the folder: (content, what of it is synced)}; a folder's
    content is None. What lies there before the block is synced.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.states = []

    def __enter__(self) -> "Moments":
        self._synced = {
            path.stat().st_ino: path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }
        self._fsync = os.fsync
        os.fsync = self._note_sync
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_) -> None:
        sys.setprofile(None)
        os.fsync = self._fsync

    def _note_sync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        self._synced[os.fstat(descriptor).st_ino] = None
        self._add()

    def _look(self, _frame, event: str, function) -> None:
        if event not in ("c_return", "c_exception"):
            return
        owner = type(getattr(function, "__self__", None)).__module__
        if {function.__module__, owner} & {*WRITERS}:
            self._add()

    def _add(self) -> None:
        state = {}
        for path in sorted(self.folder.rglob("*")):
            content = None if path.is_dir() else path.read_bytes()
            inode = path.stat().st_ino
            if self._synced.get(inode, b"") is None:
                self._synced[inode] = content
            state[path.relative_to(self.folder)] = content, self._synced.get(inode, b"")
        if not self.states or state != self.states[-1]:
            self.states.append(state)

    def all(self) -> list[dict]:
        """What could be left at any moment."""
        return distinct([*self.killed(), *self.torn(), *self.without_power()])

    def killed(self) -> list[dict]:
        """What SIGKILL leaves: everything as it was."""
        return distinct({k: now for k, (now, _) in s.items()} for s in self.states)

    def torn(self) -> list[dict]:
        """The same in the middle of a write: half of what a file gained is there."""
        states = []
        for before, after in itertools.pairwise(self.killed()):
            contents = {*before.values()}  # what is among them was only renamed
            for path, content in after.items():
                old = before.get(path) or b""
                if content and content not in contents and len(content) > len(old) + 1:
                    half = (len(old) + len(content)) // 2
                    states.append({**after, path: content[:half]})
        return distinct(states)

    def without_power(self) -> list[dict]:
        """What a power cut leaves, at worst."""
        return distinct(
            {k: None if now is None else synced for k, (now, synced) in s.items()}
            for s in self.states
        )


def distinct(states) -> list[dict]:
    return list({tuple(state.items()): state for state in states}.values())


def lay_out(state: dict, folder: Path) -> None:
    """Make a folder that is in a state, as another process would have left it."""
    for path, content in state.items():
        place = folder / path
        if content is None:
            place.mkdir(parents=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)


def untimed(value):
    """A record without what depends on the clock, or on where the run lies."""
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if k not in DEPENDS}
    return value


def outcome(folder: Path) -> dict:
    """Every file of a finished run that must come out the same, by its name."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_dir() or path.name in (".lock", "manifest.json"):
            continue
        found[str(path.relative_to(folder))] = path.read_bytes()
        if path.suffix in (".json", ".jsonl"):
            lines = path.read_text("utf-8")
            records = lines.splitlines() if path.suffix == ".jsonl" else [lines]
            found[str(path.relative_to(folder))] = [
                untimed(json.loads(record)) for record in records
            ]
    return found


@pytest.fixture(scope="module")
def go_on(tmp_path_factory):
    """A function that trains in a folder, as whoever finds it there would."""
    text = tmp_path_factory.mktemp("text") / "text.txt"
    text.write_text("She read all the books of the sea. 她读海。\n" * 20, "utf-8")
    prepared = prepare(TrainConfig(data=str(text), **OPTIONS).resolve())

    def run(folder: Path, **options) -> None:
        config = TrainConfig(
            **{"data": str(text), "out": str(folder), **OPTIONS, **options}
        )
        resume = (folder / "run.json").exists()
        train(config, text=prepared, resume=resume, draw=False, reporter=Silent())

    return run


@pytest.fixture(scope="module")
def whole(go_on, tmp_path_factory) -> Path:
    """The folder of a run that nothing happened to, with all its checkpoints."""
    folder = tmp_path_factory.mktemp("whole")
    go_on(folder, keep=99)
    return folder


def recorded(go_on, folder: Path, **options) -> tuple[Moments, dict]:
    with Moments(folder) as moments:
        go_on(folder, **options)
    return moments, options


@pytest.fixture(scope="module")
def begun(go_on, tmp_path_factory) -> tuple[Moments, dict]:
    """The moments of a run from its beginning to its end."""
    folder = tmp_path_factory.mktemp("begun")
    return recorded(go_on, folder)


@pytest.fixture(scope="module")
def resumed(go_on, begun, tmp_path_factory) -> tuple[Moments, dict]:
    """The moments of a run that goes on after it was killed with a checkpoint half
    written."""
    folder = tmp_path_factory.mktemp("resumed")
    half = "checkpoints/.step-000002.*.minillm/model.safetensors"
    states = begun[0].killed()
    lay_out(next(s for s in states if any(path.match(half) for path in s)), folder)
    return recorded(go_on, folder)


@pytest.fixture(scope="module")
def branched(go_on, tmp_path_factory) -> tuple[Moments, dict]:
    """The moments of a run that starts from the trunk of a shorter one."""
    trunk = tmp_path_factory.mktemp("trunk")
    go_on(trunk, steps=2, branch=True)
    folder = tmp_path_factory.mktemp("branched")
    return recorded(go_on, folder, start=str(trunk))


@pytest.mark.parametrize(
    ("sitting", "nth"),
    [
        ("begun", 6),
        pytest.param("begun", 1, marks=pytest.mark.slow),
        pytest.param("resumed", 1, marks=pytest.mark.slow),
        pytest.param("branched", 1, marks=pytest.mark.slow),
    ],
)
def test_from_every_moment_a_run_comes_to_its_end(
    request, go_on, whole, sitting, nth, tmp_path
):
    moments, options = request.getfixturevalue(sitting)
    wanted = outcome(moments.folder)
    states = moments.all()
    assert len(states) > 30
    for i, state in enumerate(states[::nth]):
        folder = tmp_path / str(i)
        folder.mkdir()
        lay_out(state, folder)
        checkpoints = folder / "checkpoints"
        newest = checkpoint.latest(checkpoints)
        # What bears the name of a checkpoint is one.
        named = sorted(checkpoints.glob("step-*[0-9]"))
        assert not named or newest == named[-1]
        if newest is not None:
            for name in ("model.safetensors", "optimizer.safetensors"):
                there = whole / "checkpoints" / newest.name / name
                assert (newest / name).read_bytes() == there.read_bytes()
        go_on(folder, **options)
        assert outcome(folder) == wanted, f"{i}: {[*map(str, state)]}"
