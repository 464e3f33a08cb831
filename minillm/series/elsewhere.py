"""Elsewhere: the runs of a series on workers of a cluster, and what becomes of them.

The events are those of `pool.side_by_side`, where the runs are on this machine.
"""

import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from minillm.errors import MinillmError, UsageError
from minillm.files import remove_files, write_json
from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus
from minillm.runs.record import versions
from minillm.series.executors import Executor
from minillm.series.job import (
    DISK,
    STOP,
    Answer,
    Job,
    ask_to_stop,
    last_lines,
    look,
    pack,
    there,
    unfit,
    unpack,
    work,
)
from minillm.series.pool import Event
from minillm.series.series_progress import Silent

TICK = 0.5  # seconds between two looks
PATIENCE = 30.0  # seconds that runs have for saving their work
TERMINATED = 143  # the exit code of a run that was asked to stop


def jobs_for(
    executor: Executor,
    folder: Path,
    runs: dict[str, list[TrainConfig]],
    text: EncodedCorpus,
    reporter: Silent,
) -> list[Job]:
    """The jobs of these runs, and a note about the disk. Raises UsageError where a
    worker has other versions."""
    if not runs:
        return []
    folder, disk, ours = folder.resolve(), secrets.token_hex(8), versions()
    remove_files(folder, [STOP])
    write_json(folder / DISK, {"disk": disk})
    seen = []
    for worker, found in executor.ask(look, str(folder), disk).items():
        if isinstance(found, Exception):
            reason = f"{type(found).__name__}: {found}"
            raise UsageError(f"worker {worker}: {' '.join(reason.split())}")
        name, theirs, sees = found
        if problem := unfit(name, theirs, ours):
            raise UsageError(problem)
        seen.append(sees)
    shared = all(seen)
    how = "lie on a disk that they share" if shared else "are sent back whole"
    reporter.note(f"{len(seen)} workers, {executor.n()} runs at a time: folders {how}")
    return [
        Job(
            name=name,
            configs=[_from_anywhere(config) for config in configs],
            folder=str(folder),
            disk=disk,
            shared=shared,
            sha256=(text.sha256, text.tokenizer.sha256),
            versions=ours,
            there={} if shared else pack(folder, configs),
        )
        for name, configs in runs.items()
    ]


def _from_anywhere(config: TrainConfig) -> TrainConfig:
    """The same, for a worker that is in another folder."""
    out, data = str(Path(config.out).resolve()), config.data
    if Path(data).exists():
        data = str(Path(data).resolve())
    return replace(config, out=out, data=data)


def elsewhere(jobs: list[Job], executor: Executor) -> Iterator[Event]:
    """Have every job done, and yield the events. Close the iterator (or let an
    exception through it) to stop: what has not begun is cancelled, what runs saves."""
    waiting = {job.name: (job, executor.submit(job.name, work, job)) for job in jobs}
    started = set()
    before = _lines(executor, list(jobs)) if jobs else {}
    try:
        while waiting:
            time.sleep(TICK)
            executor.check()
            lines = _lines(executor, [job for job, _ in waiting.values()])
            for name, (job, future) in list(waiting.items()):
                done = future.done()
                line = lines.get(name)
                line = line if line != before.get(name) else None
                if (line or done) and name not in started:
                    started.add(name)
                    yield Event("started", job)
                if line:
                    yield Event("sent", job, line)
                if done:
                    del waiting[name]
                    yield _ended(job, future)
            yield Event("tick")
    finally:
        if waiting:
            _stop(waiting, started, executor)


def _lines(executor: Executor, jobs: list[Job]) -> dict[str, dict]:
    """The last line of each job that has one, by its name: that of its last branch."""
    lines, first = {}, jobs[0]
    if first.shared:
        lines = last_lines(first.folder)
    else:
        for found in executor.ask(there, last_lines, first.disk).values():
            lines |= found if isinstance(found, dict) else {}
    branches = {
        job.name: [Path(config.out).name for config in job.configs] for job in jobs
    }
    return {
        name: lines[known[-1]]
        for name, places in branches.items()
        if (known := [place for place in places if place in lines])
    }


def _ended(job: Job, future) -> Event:
    """Raises what a worker says that does not fit; SystemExit where somebody else has
    asked the series to stop."""
    try:
        answer = future.result()
    except MinillmError:
        raise
    except Exception as error:  # of the executor: the worker died too often, for one
        words = f"{type(error).__name__}: {error}"
        return Event("failed", job, " ".join(words.split()), MinillmError.exit_code)
    _keep(job, answer)
    if answer.exit_code == TERMINATED:
        raise SystemExit(TERMINATED)
    if answer.exit_code:
        return Event("failed", job, answer.said, answer.exit_code)
    return Event("answered", job)


def _keep(job: Job, answer: Answer) -> None:
    if not job.shared:
        unpack(Path(job.folder), answer.files)


def _stop(waiting: dict, started: set, executor: Executor) -> None:
    jobs = [job for job, _ in waiting.values()]
    folder = jobs[0].folder
    ask_to_stop(folder)
    if executor.is_gone():
        return
    if not jobs[0].shared:
        executor.ask(there, ask_to_stop, jobs[0].disk)
    for name, (_, future) in waiting.items():
        if name not in started:
            future.cancel()
    until = time.monotonic() + PATIENCE
    for name in started & set(waiting):
        job, future = waiting[name]
        while not future.done() and time.monotonic() < until:
            time.sleep(TICK)
        with contextlib.suppress(Exception):
            if future.done():
                _keep(job, future.result())
