"""A demonstration: train a model on a task, and hold it against what is known of it."""

import shlex
from dataclasses import asdict
from pathlib import Path

from minillm.demos.questions import ask
from minillm.demos.table import SOLVED, Demo, named
from minillm.errors import Interrupted
from minillm.training.loop import train
from minillm.training.run_folder.claim import sources_of
from minillm.training.run_folder.run import load_run, read_record

SHOWN = 10  # examples


def demo(
    name: str,
    *,
    seed: int = 0,
    out: str | None = None,
    device: str = "auto",
    workers: str = "auto",
    reporter=None,
) -> dict:
    """Let a small model learn the task `name`, and say how well it does.

    The run lies in `out` (default: runs/demo-NAME). One that lies there already is not
    trained again, and goes on where it was interrupted.

    Returns `score`, `chance` and `best` (shares of right answers), `way` (how much of
    the way from chance to the best the score is) and `solved`; `loss` and, where it is
    known, the least one, `floor` (`loss_unit`); `examples` {`asked`, `right`, `said`,
    `is_right`} of what was held out; and what the run is. Raises UsageError, DataError,
    DeviceError, DivergedError or Interrupted.
    """
    chosen = named(name)
    folder = out or f"runs/demo-{name}" + (f"-s{seed}" if seed else "")
    record = _train(chosen, seed, Path(folder), device, workers, reporter)
    return _measure(chosen, record, folder)


def _train(chosen: Demo, seed, folder: Path, device, workers, reporter) -> dict:
    """Train the run, or what is left of it."""
    config = chosen.config(seed=seed, out=folder, device=device, workers=workers)
    unfinished = (folder / "run.json").exists() and (
        read_record(folder)["status"] in ("running", "interrupted")
    )
    # A seed of 0 is asked for like any other: an unfinished run must agree.
    sources = {**sources_of(config), "seed": "argument"}
    try:
        return train(config, sources=sources, resume=unfinished, reporter=reporter)
    except Interrupted as stop:
        again = (
            f"minillm demo {chosen.name} --seed {seed} --out {shlex.quote(str(folder))}"
        )
        raise Interrupted(f"interrupted; go on with: {again}", stop.exit_code) from None


def _measure(chosen: Demo, record: dict, folder: str) -> dict:
    toy = chosen.toy
    results, context = record["results"], record["config"]["context"]
    run = load_run(folder)
    if toy.kind == "text":
        best, floor = toy.best(context), toy.floor(context)
        score = results["val_accuracy"]
        answers = ask(run, toy, SHOWN)
    else:
        best, floor = toy.best, None
        answers = ask(run, toy)
        score = sum(each.is_right for each in answers) / len(answers)
    way = (score - toy.chance) / (best - toy.chance)
    return {
        "demo": chosen.name,
        "run": folder,
        "arch": record["config"]["arch"],
        "parameters": record["parameters"]["total"],
        "seed": record["seed"],
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
