"""Marks: each exercise is checked in a process of its own, with limits.

A file that loops without end, exits or asks for all memory is so a result like any
other. This is no sandbox: the student's code may do what the student may.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import minillm
from minillm.children import NAME as SAFE_PATH
from minillm.exercises.exercise import Exercise, Verdict
from minillm.exercises.table import SHEETS, exercise_of, file_name
from minillm.launcher import without_launcher

START_SECONDS = 120.0  # for Python, NumPy and Hypothesis to be there
MEMORY = 4 * 2**30  # bytes of address space
DEATHS = 2  # after so many processes ended amid a property, the others are not tried
PRINTED = 2000  # characters
PAUSE = 0.01


@dataclass(frozen=True)
class Mark:
    """What the check of an exercise found, in points of the course."""

    name: str
    points: float
    of: float
    verdicts: list[Verdict]
    printed: str = ""  # by the student's code
    uses: tuple[str, ...] = ()  # earlier exercises taken from the student

    @property
    def passed(self) -> bool:
        return all(each.passed for each in self.verdicts)

    def to_json(self) -> dict:
        return {
            "name": self.name,
            "passed": self.passed,
            "points": self.points,
            "of": self.of,
            "properties": [vars(each) for each in self.verdicts],
        }


def check(
    folder: Path,
    names: list[str],
    *,
    alone: bool = False,
    points: dict[str, float] | None = None,
    seeds: list[int] = (0,),
) -> Iterator[Mark]:
    """Check these exercises of a folder, in course order, a few at a time.

    An earlier exercise that one of them builds on is taken from the folder if it passes
    itself (it is checked for that), else, and if `alone`, from the engine.
    """
    wanted = sorted(names, key=SHEETS.index)
    needed = set(wanted)
    if not alone:
        for name in reversed(SHEETS):
            if name in needed:
                needed.update(exercise_of(name).builds_on)
    waiting = [name for name in SHEETS if name in needed]
    running: dict[str, _Running] = {}
    done: dict[str, Mark] = {}
    told = 0
    try:
        while waiting or running:
            for name in [*waiting]:
                on = () if alone else exercise_of(name).builds_on
                if len(running) < _at_once() and all(each in done for each in on):
                    solved = {each: folder / file_name(each) for each in on}
                    solved = {n: p for n, p in solved.items() if done[n].passed}
                    waiting.remove(name)
                    path = folder / file_name(name)
                    running[name] = _Running(exercise_of(name), path, solved, seeds)
            for name, process in [*running.items()]:
                if process.advance():
                    del running[name]
                    worth = (points or {}).get(name)
                    done[name] = process.mark(worth)
            while told < len(wanted) and wanted[told] in done:
                yield done[wanted[told]]
                told += 1
            time.sleep(PAUSE)
    finally:
        for process in running.values():
            process.end()


def _at_once() -> int:
    return max(1, min(os.cpu_count() or 1, 4))


@dataclass
class _Running:
    """The check of one exercise: a process, and another where that one is ended."""

    exercise: Exercise
    file: Path
    solved: dict[str, Path]
    seeds: list[int]
    verdicts: list[Verdict] = field(default_factory=list)
    printed: str = ""
    deaths: int = 0
    process: subprocess.Popen | None = None

    def __post_init__(self):
        self._start()

    def _start(self) -> None:
        exercise, properties = self.exercise, self.exercise.properties
        request = {
            "name": exercise.name,
            "file": str(self.file.resolve()),
            "earlier": {
                name: str(path.resolve()) for name, path in self.solved.items()
            },
            "seeds": [*self.seeds],
            "skip": len(self.verdicts),
            "memory": MEMORY,
            "cpu_seconds": int(START_SECONDS + len(properties) * exercise.seconds),
        }
        root = str(Path(minillm.__file__).resolve().parents[1])
        before = os.environ.get("PYTHONPATH")
        environment = without_launcher() | {
            SAFE_PATH: "1",
            "PYTHONPATH": os.pathsep.join([root, before] if before else [root]),
            "PYTHONHASHSEED": "0",
            "HYPOTHESIS_STORAGE_DIRECTORY": os.devnull,  # nothing of it is kept
            "PYTHONUTF8": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        # Opened twice: who reads must not move the place at which the process writes.
        self.place = tempfile.TemporaryDirectory()
        written = tempfile.NamedTemporaryFile(  # noqa: SIM115
            dir=self.place.name, delete=False
        )
        self.lines = open(written.name, "rb")  # noqa: SIM115  closed in `end`
        self.said = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "minillm.exercises.child",
                json.dumps(request),
            ],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=self.said,
            env=environment,
            start_new_session=True,
        )
        written.close()
        if os.name != "nt":  # Windows removes no file that is open
            self.place.cleanup()
        self.read, self.ready, self.since = 0, False, time.monotonic()
        self.strange = False  # whether something else than verdicts was written

    def advance(self) -> bool:
        """Take in what has come; returns whether the check is done."""
        ended = self.process.poll()
        self._take()
        if ended is None and not self.strange:
            limit = self.exercise.seconds if self.ready else START_SECONDS
            if time.monotonic() - self.since <= limit:
                return False
        self.end()
        left = len(self.exercise.properties) - len(self.verdicts)
        if not left:
            return True
        kind, why = self._death(ended)
        self.deaths += 1
        again = self.ready and self.deaths < DEATHS
        for each in self.exercise.properties[len(self.verdicts) :][
            : 1 if again else left
        ]:
            self.verdicts.append(Verdict(each.name, False, kind, why))
            why = why if again else f"not tried: {why}".replace("not tried: not", "not")
        if again and left > 1:
            self._start()
            return False
        return True

    def _death(self, code: int | None) -> tuple[str, str]:
        if self.strange:
            return "exit", "the code writes where the check tells its verdicts"
        if code is None and self.ready:
            seconds = self.exercise.seconds
            return "time", f"it did not end within {seconds:g} s: a loop without end?"
        if code is None:
            return "time", "Python did not start in time"
        if "MemoryError" in self.printed:
            return "memory", "out of memory"
        if not self.ready:
            last = (self.printed.strip().splitlines() or [""])[-1]
            return "error", f"the check could not begin: {last}"
        return "exit", f"the process ended in the middle (exit code {code})"

    def _take(self) -> None:
        """The whole lines that the process has written since."""
        self.lines.seek(self.read)
        text = self.lines.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            self.since = time.monotonic()
            try:
                self._heard(json.loads(line))
            except (ValueError, TypeError, RecursionError):
                self.strange = True
                return

    def _heard(self, record: dict) -> None:
        """Take in a line. Raises ValueError or TypeError for one that is none of the
        check's: the student's code may write into any file that is open."""
        if record == {"ready": True}:
            self.ready = True
            return
        verdict, properties = Verdict(**record), self.exercise.properties
        names = [each.name for each in properties[len(self.verdicts) :]]
        if names[:1] != [verdict.name]:
            raise ValueError(f"a verdict of {verdict.name}, not of {names[:1]}")
        words = isinstance(verdict.message, str), isinstance(verdict.kind, str | None)
        if not all(words) or not isinstance(verdict.passed, bool):
            raise TypeError(f"no verdict: {record}")
        self.verdicts.append(verdict)

    def end(self) -> None:
        """End the process, and what it has started."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()
        if not self.said.closed:
            self._take()
            self.said.seek(0)
            self.printed += self.said.read(PRINTED).decode("utf-8", "replace")
            self.printed = self.printed[:PRINTED]
            self.said.close()
            self.lines.close()
            self.place.cleanup()

    def mark(self, worth: float | None) -> Mark:
        of = self.exercise.points if worth is None else worth
        pairs = zip(self.exercise.properties, self.verdicts, strict=True)
        got = sum(one.points for one, verdict in pairs if verdict.passed)
        points = round(of * got / self.exercise.points, 4)
        name, uses = self.exercise.name, tuple(self.solved)
        return Mark(name, points, of, self.verdicts, self.printed, uses)
