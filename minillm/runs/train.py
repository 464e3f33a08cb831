"""`train`: from settings to a run folder and its record."""

import functools
from pathlib import Path

from minillm import backend, launcher
from minillm.backend.memory import keep_freed_memory
from minillm.errors import UsageError
from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus, prepare
from minillm.learning.learner import Learner
from minillm.learning.worker_pool import choose_workers
from minillm.nn import Module
from minillm.runs import memory
from minillm.runs.begin import open_logbook
from minillm.runs.expectation import expected_seconds
from minillm.runs.finished import finished_already
from minillm.runs.interrupt import Interrupts
from minillm.runs.listener import listener
from minillm.runs.logbook import Logbook, Silent
from minillm.runs.resume import settle
from minillm.runs.run import read_tokenizer
from minillm.runs.run_record import RunRecord
from minillm.runs.warnings import before_training


def train(
    config: TrainConfig | None = None,
    *,
    model: Module | None = None,
    reporter=None,
    sources: dict | None = None,
    resume: bool | str = False,
    overwrite: bool = False,
    text: EncodedCorpus | None = None,
    draw: bool = True,
    quiet: bool = False,
    ranks=None,
    **options,
) -> RunRecord:
    """Train a model and return the record of the run, which run.json holds too: a
    dictionary whose keys are attributes, `train(...).results.val_loss`.

    Give a TrainConfig or its fields by name: `train(size="nano", data="my.txt")`.
    `reporter` hears of every step (see `Silent`); without one, a notebook shows a bar
    and the loss, unless `quiet`. `sources` says where each option came
    from; `resume` goes on with the run in `out`, with "auto" if there is an unfinished
    one; `start` in the configuration begins where the cooldown of a shorter run began;
    `model` is one of your own: a Module with `logits(ids)`, (B, T) -> (B, T, V), or
    called so, or with a `loss(batch)`; it has a shape, so none may be given, and the
    trained weights are in it afterwards. It is given again to resume.
    `text` spares preparing the corpus again; `draw` makes loss.svg. A folder that holds
    this very run, finished, is not trained again: its record is returned, unless
    `overwrite` removes what is there. Where `mpiexec` has started several processes,
    each calls this, and the first has `ranks`, which help it: see `leader.py`.

    Raises UsageError, DataError, DeviceError, DivergedError or Interrupted.
    """
    if config is None:
        config = TrainConfig.from_json(options)
    elif options:
        raise UsageError("give a TrainConfig or its fields, not both")
    if resume not in (True, False, "auto"):
        raise UsageError(f'resume must be True, False or "auto", got {resume!r}')
    if ranks is None and launcher.place()[1] > 1:
        given = {"sources": sources, "resume": resume, "overwrite": overwrite}
        given |= {"reporter": reporter, "draw": draw, "quiet": quiet}
        return _on_ranks(config, model, text, **given)
    reporter = listener(reporter, quiet)
    config, sources, resume, replaces = settle(
        config, sources, resume, overwrite, model
    )
    record = None
    if not replaces:
        record = finished_already(config, resume, text, model, reporter, draw)
    if record is None:
        how = {"resume": resume, "replaces": replaces, "draw": draw, "ranks": ranks}
        record = _train(config, sources, text, model, reporter or Silent(), **how)
    return RunRecord(record)


def _train(
    config, sources, text, model, reporter, *, resume, replaces, draw: bool, ranks
) -> dict:
    """Train where nothing is finished yet: the text, the Learner, the Logbook."""
    keep_freed_memory()
    with backend.use(config.device) as device:
        tokenizer = None if text else _tokenizer(config, resume)
        _, n = choose_workers(config.workers, config.batch, device, ranks)
        text = text or prepare(config, tokenizer, reporter.note)
        shape = config.shape(text.tokenizer.vocab_size, len(text.labels))
        with memory.within(config, shape, n, device):
            learner = Learner(
                config, text, workers=config.workers, model=model, ranks=ranks
            )
            for line in before_training(learner, device):
                reporter.note(line)
            with open_logbook(learner, sources, reporter, resume, replaces) as book:
                record = _steps(book, learner)
    if draw:
        _draw(book.folder, record)
    reporter.finish(record)
    return record


def _steps(book: Logbook, learner: Learner) -> dict:
    """Take the steps that are left. Returns the record with its results."""
    # The learner last: its workers are forked with the signals in hand.
    with Interrupts(learner.ranks) as interrupts, learner:
        book.start_watch()
        _expect(book, learner)
        for number in range(book.n_done, learner.config.steps):
            step = learner.step(number)
            book.add(step)  # an evaluation too, where it is time
            if book.wants_checkpoint or interrupts.signal:
                book.save()
            if interrupts.signal and not book.is_done:
                book.interrupted(interrupts.signal)
        return book.finish()


def _expect(book: Logbook, learner: Learner) -> None:
    """Tell a reporter that asks how long the run will take."""
    if tell := getattr(book.reporter, "expected", None):
        with book.watch.paused():
            seconds = expected_seconds(learner, book.n_done)
        if seconds is not None:
            tell(seconds)


def _on_ranks(
    config: TrainConfig, model: Module | None, text: EncodedCorpus | None, **given
) -> dict:
    """`train` on one of several processes, of which the first leads."""
    from minillm.runs.leader import train_on_ranks  # opened for them only

    lead = functools.partial(train, config, model=model, text=text, **given)
    return train_on_ranks(lead, config, model, text)


def _draw(folder: Path, record: dict) -> None:
    from minillm.runs.curve import draw_curve

    draw_curve(folder, record)


def _tokenizer(config: TrainConfig, resume: bool):
    """The one there is already: this run's own, or that of the run it builds on."""
    there = config.out if resume else config.base
    return read_tokenizer(there) if there else None
