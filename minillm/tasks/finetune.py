"""Fine-tuning: a pre-trained model learns a task from the rows of a table.

All of its weights go on learning, under a new output where the task needs one (Radford
et al. 2018, section 3.2; Devlin et al. 2019, section 4).
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from minillm import backend
from minillm.errors import Interrupted, UsageError, call, option
from minillm.files import write_json
from minillm.keyed import Keyed
from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus, prepare, read_corpus
from minillm.models import architectures_for
from minillm.runs.begin import new_folder
from minillm.runs.listener import listener
from minillm.runs.logbook import Silent
from minillm.runs.run import (
    Run,
    load_run,
    read_record,
    read_tokenizer,
)
from minillm.runs.train import train
from minillm.runs.warm_start import shaped
from minillm.tasks import answers, classification
from minillm.text import OBJECTIVES

# What is learned, and what measures it on held-out rows.
TASKS = {"classify": classification.measure, "seq2seq": answers.measure}
EPOCHS = 3
BATCH = 16
FEW_STEPS = 50

# The learning rate is that of training. Which of eight packages two lines of code are
# from, told by models of 2 × 32 that have read 1.5 M tokens of code and then 2,520 rows
# three times: at twice this rate, at it and at half of it BERT 71, 74, 71 %; at it, at
# half and at a quarter GPT 69, 64, 57 %. 2,000 strings to reverse three times, by an
# encoder–decoder that can copy: at twice the rate, at it and at half 96, 96, 59 %.
# Dropout of 0.1 lost up to 3 %; of 288 rows of code seen ten times it gained 3 %.


def finetune(
    run: Run | str,
    data: str,
    *,
    task: str = "classify",
    epochs: int = EPOCHS,
    lr: float | None = None,
    batch: int = BATCH,
    seed: int = 0,
    out: str | None = None,
    baselines: bool = True,
    device: str = "auto",
    workers: str = "auto",
    reporter=None,
    quiet: bool = False,
) -> Keyed:
    """Fine-tune a run on a table, and measure it on the rows that are held out.

    `run` is a run (`load_run`) or the path of one; `task` is "classify", or "seq2seq"
    for an encoder–decoder; `data` is a .tsv, .csv or .jsonl file of texts and labels,
    or of sources and targets. The result is a run of its own, in `out` (default: a new
    folder in runs/); what `out` holds already is not trained again, and goes on where
    it was interrupted. `lr` is by default that of training at this width.

    `baselines` are what it has to beat: the same model trained for as many steps from
    new weights, at the default rate (its run lies in `out`/scratch), and in classes the
    commonest of the training rows.

    `reporter` and `quiet` are as in `train`.

    Returns what `out`/finetune.json holds, its keys as attributes too: how it was
    trained, `loss` (nats per label or token), the figures of the task (see
    `metrics.report` and `answers.measure`), and `baselines` {`majority`, `scratch`}
    with the same figures. Raises UsageError, DataError, DeviceError, DivergedError or
    Interrupted.
    """
    base = str(run.path if isinstance(run, Run) else run)
    _check(base, task, epochs)
    asked = TrainConfig(
        objective=task,
        base=base,
        data=data,
        lr=lr,
        batch=batch,
        seed=seed,
        out=out,
        device=device,
        workers=workers,
    )
    reporter = listener(reporter, quiet) or Silent()
    with backend.use(device):
        tokenizer = read_tokenizer(base)
        config = shaped(asked)
        text = prepare(config, tokenizer, reporter.note)
        steps = math.ceil(epochs * len(text.train) / batch)
        config = replace(config, steps=steps)
        for line in _notes(config, text):
            reporter.note(line)
        with _folder(config) as folder:
            try:
                config = replace(config, out=folder)
                return Keyed(_sitting(config, text, baselines, reporter))
            except (Interrupted, KeyboardInterrupt, SystemExit) as stop:
                raise Interrupted(
                    f"interrupted; go on with: "
                    f"{_command(asked, epochs, baselines, folder)}",
                    getattr(stop, "exit_code", getattr(stop, "code", 130)),
                ) from None


def _check(base: str, task: str, epochs: int) -> None:
    """Raises UsageError for settings that make no sense, DataError for no run."""
    if task not in TASKS:
        raise UsageError(f"unknown task {task!r}: choose one of {', '.join(TASKS)}")
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise UsageError(f"epochs must be a whole number of at least 1, got {epochs!r}")
    arch = read_record(base)["config"]["arch"]
    allowed = architectures_for(task)
    if arch not in allowed:
        raise UsageError(
            f"{base}: is of arch {arch}, and task {task} needs a run of arch "
            f"{' or '.join(allowed)}"
        )


def _notes(config: TrainConfig, text: EncodedCorpus) -> Iterator[str]:
    if config.objective == "seq2seq" and not answers.installed():
        yield answers.INSTALL
    if config.batch > len(text.train):
        yield (
            f"a step of {config.batch} rows takes each of the {len(text.train)} more "
            f"than once, in fewer steps: give a smaller {option('batch')}"
        )
    elif config.steps < FEW_STEPS:
        yield (
            f"{config.steps} steps of {config.batch} rows are few: more "
            f"{option('epochs')} may teach it more"
        )


@contextlib.contextmanager
def _folder(config: TrainConfig) -> Iterator[str]:
    """The folder to train in; a new one goes away again if nothing came into it."""
    if config.out is not None:
        yield config.out
        return
    folder = new_folder(config.resolve())
    try:
        yield str(folder)
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _sitting(
    config: TrainConfig, text: EncodedCorpus, baselines: bool, reporter
) -> dict:
    """Train what is missing, and measure."""
    table = read_corpus(config.data, OBJECTIVES[config.objective].kind)
    trained = _trained(config, text, table.val, reporter)
    options = read_record(config.out)["options"]
    result = {
        "base": config.base,
        "task": config.objective,
        "data": {
            "name": table.name,
            "sha256": table.sha256,
            "train": len(table.train),
            "held_out": len(table.val),
        },
        **{name: options[name] for name in ("steps", "batch", "lr", "seed")},
        **trained,
        "baselines": {},
    }
    if baselines:
        scratch = str(Path(config.out) / "scratch")
        scratch = replace(config, fresh=True, lr=None, out=scratch)
        reporter.note("the same model from new weights, to compare with")
        scratch = _trained(scratch, text, table.val, reporter)
        result["baselines"] = {"scratch": scratch}
        if text.labels:
            majority = classification.majority(table, text.labels)
            result["baselines"]["majority"] = majority
    write_json(Path(config.out) / "finetune.json", result)
    return result


def _trained(config: TrainConfig, text: EncodedCorpus, rows, reporter) -> dict:
    """Train a run, or what is left of it, and measure it on rows."""
    record = train(config, text=text, reporter=reporter, resume="auto")
    return {
        "run": config.out,
        "loss": record["results"]["val_loss"],
        **TASKS[config.objective](load_run(config.out), rows),
    }


def _command(asked: TrainConfig, epochs: int, baselines: bool, folder: str) -> str:
    """The call that goes on."""
    given = {}
    for name, value, usual in (
        ("task", asked.objective, "classify"),
        ("data", asked.data, None),
        ("epochs", epochs, EPOCHS),
        ("lr", asked.lr, None),
        ("batch", asked.batch, BATCH),
        ("seed", asked.seed, 0),
        ("out", folder, None),
    ):
        if value != usual:
            given[name] = value
    if not baselines:
        given["baselines"] = False
    return call("finetune", asked.base, **given)
