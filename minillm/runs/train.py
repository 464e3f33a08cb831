"""`train`: from settings to a run folder and its record."""

import contextlib
from dataclasses import replace
from pathlib import Path

from minillm import backend
from minillm.backend import Backend, products
from minillm.errors import UsageError
from minillm.files import sweep
from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus, prepare
from minillm.learning.evaluate import interim_share, summarise
from minillm.learning.learner import Learner, check_finite
from minillm.learning.process import keep_freed_memory
from minillm.learning.schedule import odd_warmup
from minillm.learning.workers import choose_workers, missed_wish
from minillm.runs import branching, checkpoint, memory
from minillm.runs.begun_before import check_reading
from minillm.runs.decoding_speed import seconds_per_token
from minillm.runs.interrupt import Interrupts
from minillm.runs.lock import locked
from minillm.runs.logbook import Logbook
from minillm.runs.record import new_record
from minillm.runs.reporter import Silent
from minillm.runs.resume import check_unbegun, finished, new_folder, settle
from minillm.runs.run import read_tokenizer
from minillm.runs.warm_start import check_labels, copy_weights
from minillm.text import Tokenizer


def train(
    config: TrainConfig | None = None,
    *,
    reporter=None,
    sources: dict | None = None,
    resume: bool = False,
    text: EncodedCorpus | None = None,
    draw: bool = True,
    **options,
) -> dict:
    """Train a model and return the record of the run, which run.json holds too.

    Give a TrainConfig or its fields by name: `train(size="nano", data="my.txt")`.
    `reporter` hears of every step (see `Silent`); `sources` says where each option came
    from; `resume` goes on with the run in `out`; `start` in the configuration begins
    where the cooldown of a shorter run began; `text` spares preparing the corpus
    again; `draw` makes loss.svg. A folder that holds this very run, finished, is not
    trained again: its record is returned.

    Raises UsageError, DataError, DeviceError, DivergedError or Interrupted.
    """
    if config is None:
        config = TrainConfig.from_json(options)
    elif options:
        raise UsageError("give a TrainConfig or its fields, not both")
    reporter = reporter or Silent()
    config, sources = settle(config, sources, resume)
    record = finished(config, resume, text)
    if record is not None:
        reporter.note(
            f"{config.out} holds this run already, finished: delete it or choose "
            f"another --out to train again"
        )
        if draw and not (Path(config.out) / "loss.svg").exists():
            _draw(Path(config.out))  # it was killed, or the disk was full
        return record
    with backend.use(config.device) as device:
        workers = choose_workers(config.workers, config.batch, device)
        for line in _notes(config, device, workers):
            reporter.note(line)
        keep_freed_memory()
        if text is None:
            text = prepare(config, _tokenizer(config, resume), reporter.note)
        shape = config.shape(text.tokenizer.vocab_size, len(text.labels))
        run = config, shape, workers[1], device
        with memory.within(*run):
            if told := memory.tight(*run):
                reporter.note(told)
            learner = Learner(config, text, workers=config.workers)
            for told in filter(None, [text.cut(config.context), text.repeated(config)]):
                reporter.note(told)
            if config.base and not config.fresh and not _has_checkpoint(config, resume):
                check_labels(config.base, text)
                copy_weights(config.base, learner.work.flat)
            folder = Path(config.out) if resume else new_folder(config)
            config = replace(config, out=str(folder))
            record = new_record(config, shape, text, sources, workers)
            with locked(folder), contextlib.closing(reporter):
                book = Logbook(folder, record, learner, reporter)
                _begin(book, config, resume)
                record = _run(book, learner)
    if draw:
        _draw(folder)
    reporter.finish(record)
    return record


def _draw(folder: Path) -> None:
    from minillm.runs.curve import draw_curve

    draw_curve(folder)


def _notes(config: TrainConfig, device: Backend, workers: tuple[str, int]) -> list[str]:
    """What this machine lacks of what was asked for or installed, and a schedule that
    was hardly meant."""
    problem = products.library()["problem"] if device.kind == "cpu" else None
    missed = missed_wish(config.workers, workers[0])
    return [*filter(None, [missed, problem, odd_warmup(config)])]


def _tokenizer(config: TrainConfig, resume: bool) -> Tokenizer | None:
    """The one there is already: this run's own, or that of the run it builds on."""
    there = config.out if resume else config.base
    return read_tokenizer(there) if there else None


def _has_checkpoint(config: TrainConfig, resume: bool) -> bool:
    """Whether there are weights to go on with."""
    return (
        resume and checkpoint.latest(Path(config.out) / checkpoint.FOLDER) is not None
    )


def _begin(book: Logbook, config: TrainConfig, resume: bool) -> None:
    """Bring the folder and the weights to where this sitting's first step begins."""
    sweep(book.folder)
    if resume or config.start:
        check_reading(book.folder if resume else config.start, book.record)
    if not resume:
        check_unbegun(book.folder)
        stem = branching.stem_of(config) if config.start else None
        book.begin()
        if stem:
            branching.copy_stem(stem, book.folder)
    if resume or config.start:
        book.go_on()


def _run(book: Logbook, learner: Learner) -> dict:
    """The steps that are left. Returns the record with its results."""
    config, text = learner.config, learner.text
    share = interim_share(learner.work.validation)
    # The workers last: they are forked with the signals in hand.
    with book.telling_divergence(), Interrupts() as interrupts, learner:

        def evaluate(every: int = 1) -> dict:
            with book.watch.paused():
                score = learner.evaluate(every)
            result = summarise(score, config.objective, text.bytes_per_token)
            check_finite(book.step, validation_loss=result["val_loss"])
            return result

        result = None
        book.start()
        for number in range(book.step, config.steps):
            step = learner.step(number)
            book.step = number + 1
            last = book.step == config.steps
            due = book.step % config.eval_every == 0 or last
            result = evaluate(share) if due else None
            book.add_step(step, result)
            wanted = book.is_best or book.step == book.branch or last
            if wanted or book.step % config.save_every == 0 or interrupts.signal:
                book.save()
            if interrupts.signal and not last:
                book.interrupted(interrupts.signal)
        if result is None or share > 1:
            result = evaluate()
        writes = learner.model.continues_text
        decoding = seconds_per_token(learner.model) if writes else None
        peak = backend.current().memory()["peak"]  # while the workers are there
    return book.finish(
        result, peak_memory_bytes=peak, decode_seconds_per_token=decoding
    )
