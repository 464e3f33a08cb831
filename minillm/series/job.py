"""Job: a run of a series, wherever there is a worker: `minillm train` in a process.

What is in this file happens on the worker. The process is a child of it: it has
signals and threads of its own, and no launcher. Its folder is its progress and its
answer; the file `stop` in the series asks it to save and end.
"""

import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from minillm.children import NAME as SAFE_PATH
from minillm.errors import DataError, MinillmError, UsageError
from minillm.files import replacing, writing
from minillm.json_files import read_json
from minillm.launcher import without_launcher
from minillm.learning.config import TrainConfig
from minillm.learning.data import prepare
from minillm.learning.settings import flag
from minillm.reading import LINES, read_bytes
from minillm.runs import checkpoint
from minillm.runs.begin import FILES, remove_run
from minillm.runs.lock import locked
from minillm.runs.record import versions

STOP = "stop"  # the file
DISK = "disk.json"  # a file that is seen where the series' own disk is
OF_TEXT = ("data", "tokenizer", "vocab", "objective", "arch")  # what it depends on
TICK = 0.25  # seconds between two looks at a child
PATIENCE = 60.0  # seconds that a child of a lost worker has to save and end
MINILLM = "import runpy; runpy.run_module('minillm', run_name='__main__')"
# Linux lets a child save and end when its worker dies (PR_SET_PDEATHSIG is 1, and
# SIGUSR1, as it says it once for each thread of the worker).
WITH_PARENT = "import ctypes, signal; ctypes.CDLL(None).prctl(1, signal.SIGUSR1)"
BOTH = f"{WITH_PARENT}; {MINILLM}" if sys.platform == "linux" else MINILLM


@dataclass(frozen=True)
class Job:
    """A run of a series with its branches, the shortest first.

    folder: of the series, with the number that its disk is known by. `there` are the
    files of its runs, by path, where there is no shared disk: to go on with.
    """

    name: str
    configs: list[TrainConfig]
    folder: str
    disk: str
    shared: bool
    sha256: tuple[str, str]  # of the text and of its tokenizer
    versions: dict[str, str]
    there: dict[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Answer:
    """How a job ended: exit code, what it said, and its files where no disk is
    shared."""

    exit_code: int
    said: str = ""
    files: dict[str, bytes] = field(default_factory=dict, repr=False)


def work(job: Job) -> Answer:
    """Train a run or go on with it, branch by branch, each from the step at which the
    one before began to cool down. Raises UsageError on a worker that does not fit."""
    folder = Path(job.folder)
    if not job.shared:
        folder = away(job.disk)
        unpack(folder, job.there)
    _check(job, folder)
    answer, start = Answer(0), None
    for config in job.configs:
        place = folder / "runs" / Path(config.out).name
        config = replace(config, out=str(place), start=start)
        answer = _train(config, folder / STOP)
        if answer.exit_code:
            break
        start = config.out
    if job.shared:
        return answer
    files = pack(folder, job.configs)
    for config in job.configs:
        remove_run(folder / "runs" / Path(config.out).name)
    return replace(answer, files=files)


def look(folder: str, disk: str) -> tuple[str, dict, bool]:
    """(its name, its versions, whether it sees the folder of a series) of a worker."""
    return whoami(), versions(), _sees(Path(folder), disk)


def whoami() -> str:
    return f"{socket.gethostname()} (process {os.getpid()})"


def away(disk: str) -> Path:
    """The folder of a series on a worker that does not see its disk."""
    return Path(tempfile.gettempdir(), f"minillm-{disk}")


def there(function: Callable, disk: str):
    """What a function of the folder of a series returns on such a worker."""
    return function(str(away(disk)))


def unfit(name: str, theirs: dict, ours: dict) -> str | None:
    """In words, that a worker has other versions than this series."""
    for part, version in ours.items():
        if theirs.get(part) != version:
            return f"worker {name} has {part} {theirs.get(part)} instead of {version}"
    return None


def pack(folder: Path, configs: list[TrainConfig]) -> dict[str, bytes]:
    """The files of runs in a series, by path; run.json of each comes last."""
    found = {}
    for config in configs:
        place = folder / "runs" / Path(config.out).name
        names = [name for name in FILES if name != "run.json"]
        paths = [place / name for name in names]
        for step in sorted(place.glob(f"{checkpoint.FOLDER}/step-*")):
            paths += [step / name for name in checkpoint.NAMES]
        for path in (*paths, place / "run.json"):
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def unpack(folder: Path, files: dict[str, bytes]) -> None:
    """Write packed runs into a series. Raises MinillmError for what is no part of
    one."""
    for name, content in files.items():
        parts = Path(name).parts
        if not (parts[0] == "runs" and ".." not in parts and _is_ours(parts[2:])):
            raise MinillmError(f"{name}: was sent, and is no file of a run")
        path = folder / name
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)


def last_lines(folder: str) -> dict[str, dict]:
    """The last line of metrics.jsonl of each run, by its name."""
    found = {}
    for path in Path(folder).glob("runs/*/metrics.jsonl"):
        for line in reversed(read_bytes(path, LINES).splitlines()):
            try:
                found[path.parent.name] = json.loads(line)
            except ValueError:  # cut off: it is being written
                continue
            break
    return found


def ask_to_stop(folder: str) -> None:
    path = Path(folder, STOP)
    if path.parent.is_dir():
        with replacing(path) as temporary:
            temporary.write_bytes(b"")


def arguments(config: TrainConfig) -> list[str]:
    """A configuration as `minillm train` is given it."""
    found = []
    for each in fields(config):
        value, named = getattr(config, each.name), flag(each.name)
        if value is None or value == each.default:
            continue
        if isinstance(value, bool):
            found.append(named if value else f"--no-{named[2:]}")
        else:
            found.append(f"{named}={value}")
    return found


def _is_ours(parts: tuple[str, ...]) -> bool:
    if len(parts) == 1:
        return parts[0] in FILES
    return (
        len(parts) == 3
        and parts[0] == checkpoint.FOLDER
        and parts[1].removeprefix("step-").isdecimal()
        and parts[2] in checkpoint.NAMES
    )


def _check(job: Job, folder: Path) -> None:
    found = unfit(whoami(), versions(), job.versions)
    if found is None and job.shared and not _sees(folder, job.disk):
        found = f"worker {whoami()} does not see {folder}, as the others do"
    if found is None:
        config = job.configs[0]
        asked = {name: getattr(config, name) for name in OF_TEXT}
        hashes = _hashes(job.disk, **asked)
        for what, theirs, ours in zip(
            ("text", "tokenizer"), hashes, job.sha256, strict=True
        ):
            if theirs != ours:
                found = f"worker {whoami()} has another {what} of {config.data}"
    if found:
        raise UsageError(found)


@functools.lru_cache(maxsize=4)
def _hashes(_session: str, **asked) -> tuple[str, str]:
    """The sha256 of a text and of its tokenizer, as this worker has them: looked at
    once for each session of a series, as the text may change between two."""
    text = prepare(TrainConfig(**asked).resolve())
    return text.sha256, text.tokenizer.sha256


def _sees(folder: Path, disk: str) -> bool:
    try:
        return read_json(folder / DISK) == {"disk": disk}
    except DataError:
        return False


def _train(config: TrainConfig, stop: Path) -> Answer:
    place = Path(config.out)
    resume = (place / "run.json").exists()
    if resume:
        _wait_for_lock(place)
    words = ["train", *arguments(config), *(["--resume"] if resume else [])]
    environment = {**without_launcher(), SAFE_PATH: "1"}
    for name in list(environment):
        if name.startswith("MINILLM_TRAIN_"):  # the wishes of this worker's user
            del environment[name]
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-c", BOTH, *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            asked = False
            while child.poll() is None:
                if not asked and stop.exists():
                    child.terminate()  # it saves; a second one would not let it
                    asked = True
                time.sleep(TICK)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").splitlines()
    told = [line for line in lines if line.startswith("minillm: ")]
    last = told[-1].removeprefix("minillm: ") if told else ""
    if child.returncode and not last:
        last = f"its process ended with {child.returncode} on {whoami()}"
    return Answer(child.returncode, last)


def _wait_for_lock(place: Path) -> None:
    """Let the child of a worker that was lost save and end first."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with locked(place):
                return
        except UsageError:
            if time.monotonic() > until:
                raise
            time.sleep(TICK)
