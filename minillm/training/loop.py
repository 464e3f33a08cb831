"""The training loop: from a configuration to a run folder and its record."""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from minillm import backend
from minillm.backend import Backend, products
from minillm.errors import UsageError
from minillm.models import ModelConfig
from minillm.text import Tokenizer, load_tokenizer
from minillm.training import base, memory
from minillm.training.config import TrainConfig
from minillm.training.data import (
    Text,
    named_in_errors,
    prepare,
    training_examples,
    validation_batch,
)
from minillm.training.decoding_speed import seconds_per_token
from minillm.training.evaluate import summarise
from minillm.training.interrupt import Interrupts
from minillm.training.optimizer import clip_scale, global_norm
from minillm.training.process import keep_freed_memory, one_blas_thread
from minillm.training.replica import Replica, Workplace, set_up
from minillm.training.reporter import Silent
from minillm.training.run_folder import branching, checkpoint, claim
from minillm.training.run_folder.lock import locked
from minillm.training.run_folder.logbook import Logbook
from minillm.training.run_folder.record import new_record
from minillm.training.run_folder.run import folder_of
from minillm.training.schedule import learning_rate
from minillm.training.team import Team, choose_workers, missed_wish

INTERIM = 8  # evaluations on the way look at every eighth part of the validation text


def train(
    config: TrainConfig | None = None,
    *,
    reporter=None,
    sources: dict | None = None,
    resume: bool = False,
    text: Text | None = None,
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
    sources = sources or claim.sources_of(config)
    if resume:
        config, sources = claim.resumed(config, sources)
    else:
        config = base.shaped(config, sources)
    config = config.resolve()
    record = claim.finished(config, resume, text)
    if record is not None:
        reporter.note(
            f"{config.out} holds this run already, finished: delete it or choose "
            f"another --out to train again"
        )
        return record
    with backend.use(config.device) as device, contextlib.ExitStack() as held:
        workers = choose_workers(config.workers, config.batch, device)
        for line in _notes(config, device, workers):
            reporter.note(line)
        keep_freed_memory()
        if text is None:
            text = prepare(config, _tokenizer(config, resume), reporter.note)
        for told in filter(None, [text.cut(config.context), text.repeated(config)]):
            reporter.note(told)
        shape = config.model(text.tokenizer.vocab_size, len(text.labels))
        held.enter_context(memory.within(config, shape, workers[1], device))
        work = _set_up(config, shape, text, workers)
        if config.base and not config.fresh and not _has_checkpoint(config, resume):
            base.check_labels(config.base, text)
            base.copy_weights(config.base, work.flat)
        folder = Path(config.out) if resume else claim.new_folder(config)
        held.enter_context(locked(folder))
        if not resume:
            claim.check_unbegun(folder)
        config = replace(config, out=str(folder))
        record = new_record(config, shape, text, sources, workers)
        book = Logbook(folder, record, work, reporter)
        held.callback(reporter.close)
        if config.start and not resume:
            branching.copy_start(config, folder)
        if not resume:
            book.begin()
        if resume or config.start:
            book.go_on()
        record = _run(book, work, text, workers)
    if draw:
        from minillm.training.run_folder.curve import draw_curve

        draw_curve(folder)
    reporter.finish(record)
    return record


def _notes(config: TrainConfig, device: Backend, workers: tuple[str, int]) -> list[str]:
    """What this machine lacks of what was asked for or installed."""
    problem = products.library()["problem"] if device.kind == "cpu" else None
    return [*filter(None, [missed_wish(config.workers, workers[0]), problem])]


def _tokenizer(config: TrainConfig, resume: bool) -> Tokenizer | None:
    """The one there is already: this run's own, or that of the run it builds on."""
    there = config.out if resume else config.base
    return load_tokenizer(folder_of(there) / "tokenizer.json") if there else None


def _has_checkpoint(config: TrainConfig, resume: bool) -> bool:
    """Whether there are weights to go on with."""
    return (
        resume and checkpoint.latest(Path(config.out) / checkpoint.FOLDER) is not None
    )


def _set_up(
    config: TrainConfig, shape: ModelConfig, text: Text, workers: tuple[str, int]
) -> Workplace:
    examples = training_examples(text, config)
    with named_in_errors(text.name):
        validation = validation_batch(text.val, config, text.tokenizer)
    return set_up(
        config,
        shape,
        workers,
        examples=examples,
        tokenizer=text.tokenizer,
        validation=validation,
        tokens_per_step=text.tokens_per_step(config),
    )


def _run(book: Logbook, work: Workplace, text: Text, workers: tuple[str, int]) -> dict:
    """The steps that are left. Returns the record with its results."""
    config = work.config
    kind, n = workers
    with (
        one_blas_thread(),
        # What overflows shows in the loss or in the norm of the gradient.
        np.errstate(over="ignore", invalid="ignore", divide="ignore"),
        Interrupts() as interrupts,
        # Last: its processes are forked with all of the above in force.
        Team(lambda rank: Replica(work, rank, n), kind, n) as team,
    ):

        def evaluate(step: int, every: int = 1) -> dict:
            with book.watch.paused():
                sums = np.sum(team.call("evaluate", every), axis=0).tolist()
            result = summarise(sums, config.objective, text.bytes_per_token)
            book.check(step, validation_loss=result["val_loss"])
            return result

        book.start()
        for step in range(book.step, config.steps):
            done = step + 1
            lr = learning_rate(config, step)
            # Each call waits for every worker: nobody adds up before all gradients are
            # there, and no weight moves before the whole gradient's norm is known.
            loss = backend.to_numpy(sum(team.call("compute", step))).item()
            norm = global_norm(team.call("reduce"))
            book.check(done, loss=loss, gradient_norm=norm, learning_rate=lr)
            team.call("update", step, lr, clip_scale(norm, config.clip))

            last = done == config.steps
            due = done % config.eval_every == 0 and not last
            book.add_step(loss, lr, norm, evaluate(done, INTERIM) if due else None)
            wanted = book.is_best or done == book.branch or last
            if wanted or done % config.save_every == 0 or interrupts.signal:
                book.save()
            if interrupts.signal and not last:
                book.interrupted(interrupts.signal)
        result = evaluate(config.steps)
        causal = work.model.causal
        decoding = seconds_per_token(work.model) if causal else None
        peak = backend.current().memory()["peak"]  # while the workers are there
    return book.finish(
        result, peak_memory_bytes=peak, decode_seconds_per_token=decoding
    )
