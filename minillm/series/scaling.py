"""Train a series of sizes and fit the laws they follow.

scale("demo", out="runs/law")["law"]["parameters"]    # {"E": …, "A": …, "alpha": …}
"""

import re
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path

from minillm import notebook
from minillm.errors import Interrupted, UsageError, option
from minillm.learning.settings import check_name
from minillm.learning.worker_pool import available_cores
from minillm.series.executors import opened
from minillm.series.ladder import Ladder, architecture, named, options
from minillm.series.plan import Plan, most_runs, read_plan, with_rates
from minillm.series.series_progress import Silent
from minillm.series.series_record import SeriesRecord
from minillm.series.session import Session
from minillm.text import generated


def scale(
    preset: str | Ladder | None = None,
    *,
    data: str | None = None,
    objective: str | None = None,
    arch: str | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    reporter=None,
    workers: int | None = None,
    budget: float | None = None,
    plan: str | Path | None = None,
    model: dict | None = None,
    executor: str = "local",
    scheduler: str | None = None,
    quiet: bool = False,
) -> SeriesRecord | None:
    """Train a series of sizes, fit L(N) = E + A·N^(−alpha), predict a larger model.

    preset: `smoke`, `demo` (default), `hour`, `gpu`, or a Ladder of your own. data: a
    corpus name or a path (default: `stdlib`). objective: `clm` (default) or `mlm`;
    arch: for `clm` `gpt`, `llama` or `lstm` (default: the objective's own). Each has
    its own law. seed: of the first repeat (default: 0).
    out: the folder of the series (default: one in `runs/`); its finished runs are not
    trained again. workers: the number of runs side by side (default: one for each
    core); never more than there are runs. budget: seconds for all of it (default: the
    preset's). plan: the plan.json of another series, to be repeated here as it is, its
    preset, text, seed and budget included. model: settings of all its models in place
    of those usual for the architecture, as {"positions": "rotary"}
    (`model_settings.OF_MODEL`); with a plan, the same sizes, tokens and seeds, with
    these settings in place of its own. executor: who does the runs: `local`, this
    machine; `dask`, the cluster of the `scheduler` at this address; `mpi`, the other
    ranks of this job, on which nothing is returned. reporter: see
    `series_progress.Silent`; without one, a notebook shows a table that grows, unless
    `quiet`.

    Returns a dictionary whose keys are attributes: `runs`, `law`, `held_out`, `laws`,
    `counting`, `sizes`, `figures`, `seconds`, `warnings` and, where runs branch,
    `law_of_size_and_tokens`. Losses are in nats per token; N counts non-embedding
    parameters. Raises UsageError, DataError,
    DivergedError or Interrupted.
    """
    given = None if plan is None else read_plan(Path(plan))
    if given and model:  # at its rates, whatever those of such a model would be
        rates = {width: given.config(width).lr for width in given.step_seconds}
        given = replace(given, ladder=replace(given.ladder, model=model))
        given = with_rates(given, rates)
    if given:
        name = preset.name if isinstance(preset, Ladder) else preset
        text = None if data is None else str(data)
        asked = {"preset": name, "data": text, "objective": objective, "arch": arch}
        _refuse_others(plan, given, **asked, seed=seed, budget=budget)
        ladder, data, seed = given.ladder, given.data, given.seed
        objective, arch = given.objective, given.arch
    else:
        preset = "demo" if preset is None else preset
        ladder = preset if isinstance(preset, Ladder) else named(preset)
        data = "stdlib" if data is None else data
        objective = "clm" if objective is None else objective
        seed = 0 if seed is None else seed
        if model:
            ladder = replace(ladder, model=model)
    arch = architecture(objective, arch)
    for width in (*ladder.widths, ladder.held_out):  # refused before anything is read
        each = ladder.config(
            width,
            data="",
            tokenizer="bytes",
            tokens=1,
            seed=0,
            arch=arch,
            objective=objective,
        )
        each.resolve()
    if workers is not None and (not isinstance(workers, Integral) or workers < 1):
        raise UsageError(
            f"workers must be a whole number of at least 1, got {workers!r}"
        )
    for name, value in (("data", data), ("out", out)):
        check_name(name, None if value is None else str(value))
    if workers is not None and executor != "local":
        raise UsageError(
            f"{option('workers', workers)}: how many runs "
            f"{option('executor', executor)} does at a time "
            f"is for it to say"
        )
    if workers is None:
        workers = available_cores() if ladder.device == "cpu" else 1
    budget = ladder.budget if budget is None else budget
    if not isinstance(seed, Integral) or seed < 0:
        raise UsageError(f"seed must be at least 0, and whole, got {seed!r}")
    if not isinstance(budget, Real) or not budget > 0:
        raise UsageError(f"budget is a number of seconds above 0, got {budget!r}")
    with opened(executor, scheduler) as cluster:
        if cluster == "served":
            return None
        series = Session(
            ladder=ladder,
            data=str(data),
            seed=seed,
            folder=Path(out or _folder(ladder, str(data), objective, arch, seed)),
            workers=min(workers, most_runs(ladder)),
            budget=budget,
            objective=objective,
            arch=arch,
            given=given,
            reporter=_listener(reporter, quiet),
            cluster=cluster,
        )
        try:
            return series.run()
        except (KeyboardInterrupt, SystemExit) as stop:
            raise Interrupted(
                f"interrupted: {series.progress()}; go on with: {series.command()}",
                exit_code=getattr(stop, "code", 130),
            ) from None
        finally:
            series.reporter.close()


def _listener(reporter, quiet: bool):
    """Who hears of the series."""
    if reporter is not None or quiet or not notebook.running():
        return reporter or Silent()
    from minillm.series.notebook_table import NotebookTable

    return NotebookTable()


def _refuse_others(path: str | Path, plan: Plan, **asked) -> None:
    """UsageError where something is asked for that the plan has otherwise."""
    for name, value in asked.items():
        has = plan.ladder.name if name == "preset" else getattr(plan, name)
        if value not in (None, has):
            raise UsageError(
                f"{name} {value}: the series of {path} has {has}, and is repeated as "
                f"it is: leave {name} out"
            )


def _folder(ladder: Ladder, data: str, objective: str, arch: str, seed: int) -> Path:
    """The default folder, equal for equal series, so that a second start goes on."""
    given = options(
        ladder.name,
        ladder.model,
        objective=objective,
        arch=arch,
        data=data,
        seed=seed,
    )
    chosen = [word.replace("=", "-") for word in given.pop("set")]
    if "data" in given:
        name = data if generated(data) else Path(data).resolve().stem
        given["data"] = re.sub(r"[^\w.-]+", "-", name)
    if "seed" in given:
        given["seed"] = f"s{seed}"
    return Path("runs", "-".join(["scale", *given.values(), *chosen]))
