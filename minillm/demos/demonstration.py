"""A demonstration: train a model on a task, and hold it against what is known of it."""

from dataclasses import asdict

from minillm.demos.questions import ask
from minillm.demos.table import SOLVED, Demo, named
from minillm.errors import Interrupted, call
from minillm.keyed import Keyed
from minillm.runs.listener import listener
from minillm.runs.logbook import Silent
from minillm.runs.resume import sources_of
from minillm.runs.run import load_run
from minillm.runs.train import train

SHOWN = 10  # examples
WRITTEN = 500  # whole answers that are scored


def demo(
    name: str,
    *,
    seed: int = 0,
    out: str | None = None,
    device: str = "auto",
    workers: str = "auto",
    reporter=None,
    quiet: bool = False,
) -> Keyed:
    """Let a small model learn the task `name`, and say how well it does.

    The run lies in `out` (default: runs/demo-NAME). One that lies there already is not
    trained again, and goes on where it was interrupted.

    Returns what `measure` does, its keys as attributes too. `reporter` and `quiet` are
    as in `train`. Raises UsageError, DataError, DeviceError, DivergedError or
    Interrupted.
    """
    chosen = named(name)
    if out is None:
        out = f"runs/demo-{name}" + (f"-s{seed}" if seed else "")
    config = chosen.config(seed=seed, out=out, device=device, workers=workers)
    try:
        train(
            config,
            # Seed 0 is asked for as well: a run of another one must not go on as it.
            sources={**sources_of(config), "seed": "argument"},
            resume="auto",
            reporter=listener(reporter, quiet) or Silent(),
        )
    except Interrupted as stop:
        way = call("demo", name, seed=seed, out=config.out)
        raise Interrupted(f"interrupted; go on with: {way}", stop.exit_code) from None
    return Keyed(measure(chosen, config.out))


def measure(chosen: Demo, path: str) -> dict:
    """How well the run at `path` has learned its task.

    `score` is the share of what was held out that it gets right: of whole answers where
    it writes some. It lies between `chance` and `best`; `way` is how much of the way it
    has come, and `solved` whether that is `enough`. `loss` is in `loss_unit`; `floor`
    is the least there is, or None where that is not known. `examples` are answers (see
    `questions.Answer`).
    """
    run = load_run(path)
    toy, results = chosen.toy, run.record["results"]
    if toy.kind == "text":
        context = run.config.context
        best, floor = toy.best(context), toy.floor(context)
    else:
        best, floor = toy.best, None
    if toy.kind == "pairs":  # accuracy counts tokens, and an answer is all of them
        answers = ask(run, toy, WRITTEN)
        score = sum(each.is_right for each in answers) / len(answers)
    else:
        answers = ask(run, toy, SHOWN)
        pairs = toy.kind == "documents"
        score = results["val_next_sentence_accuracy" if pairs else "val_accuracy"]
    way = (score - toy.chance) / (best - toy.chance)
    return {
        "demo": chosen.name,
        "run": path,
        "objective": run.config.objective,
        "arch": run.config.arch,
        "parameters": run.record["parameters"]["total"],
        "seed": run.config.seed,
        "seconds": results["seconds"],
        "score": score,
        "chance": toy.chance,
        "best": best,
        "way": way,
        "enough": SOLVED,
        "solved": way >= SOLVED,
        "loss": results["val_loss"],
        "loss_unit": run.config.loss_unit,
        "floor": floor,
        "examples": [
            {**asdict(each), "is_right": each.is_right} for each in answers[:SHOWN]
        ],
    }
