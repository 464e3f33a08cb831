"""Speed of each size: of training, before the plan is made; of decoding, at the end.

A short run would measure little else than the cost of a call, which is the same for all
sizes. The time to decode a token does not depend on the weights, so decoding is timed
on larger models too, which need no training for this.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from minillm.backend.memory import keep_freed_memory
from minillm.backend.products import threads
from minillm.errors import MinillmError
from minillm.files import write_json
from minillm.json_files import Damaged, read_object
from minillm.kinds import COUNT, NOT_NEGATIVE
from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus, prepare
from minillm.learning.learner import Learner
from minillm.models import build, count
from minillm.reading import Missing
from minillm.runs.evaluation import seconds_per_token
from minillm.series.plan import Plan
from minillm.series.pool import Task, forks, side_by_side

WARM_UP = 3  # steps before the clock is started
ROUNDS = 5  # of decoding; the fastest counts, as disturbances only add to it
DECODING = {  # the contents of decoding.json
    "points": [
        {
            "width": COUNT,
            "trained": bool,
            "parameters": {"non_embedding": COUNT, "total": COUNT},
            "seconds_per_token?": NOT_NEGATIVE,
        }
    ]
}


def probe(
    configs: dict[int, TrainConfig], text: EncodedCorpus, workers: int, seconds: float
) -> dict[int, float]:
    """Seconds of a training step by width, measured within about `seconds`.

    configs: {width: configuration}. These are real steps on the real text, as many
    sizes side by side as later in the series: they share caches and memory, which slows
    each one down.
    """
    widths = sorted(configs, reverse=True)
    # No size is measured with an idle core beside it.
    filled = widths + [widths[i % len(widths)] for i in range(-len(widths) % workers)]
    each = seconds * workers / len(filled)
    given = text if forks() else None  # without fork, each process prepares its own
    tasks = [
        Task(f"{width}-{i}", step_seconds, (configs[width], given, each))
        for i, width in enumerate(filled)
    ]
    found = {}
    with closing(side_by_side(tasks, workers)) as events:
        for event in events:
            if event.kind == "failed":
                failure = MinillmError(f"probing {event.task.name}: {event.value}")
                failure.exit_code = event.exit_code
                raise failure
            if event.kind == "answered":
                width = int(event.task.name.split("-")[0])
                found[width] = max(found.get(width, 0.0), event.value)
    return found


def step_seconds(
    _send, config: TrainConfig, text: EncodedCorpus | None, seconds: float
):
    """The seconds of a training step, measured for about `seconds`.

    At a rate of 0: a step takes as long at any rate, and nothing can diverge.
    """
    keep_freed_memory()
    config = replace(config, lr=0.0).resolve()
    with Learner(config, text or prepare(config), workers=config.workers) as learner:
        for number in range(min(WARM_UP, config.steps - 1)):
            learner.step(number)
        learner.wait()
        began, first = time.perf_counter(), learner.next
        for number in range(first, config.steps):
            learner.step(number)
            if time.perf_counter() - began >= seconds:
                break
        learner.wait()
        return (time.perf_counter() - began) / (learner.next - first)


def decoding_of(
    plan: Plan, vocab_size: int, folder: Path, note: Callable[[str], None]
) -> list[dict]:
    """`time_decoding`, once for a series: it is kept in the series' folder."""
    path = folder / "decoding.json"
    ladder = plan.ladder
    wanted = {*ladder.widths, ladder.held_out, *ladder.untrained}
    try:
        points = read_object(path, DECODING)["points"]
        if {point["width"] for point in points} == wanted:
            return points
        note(f"{path}: is of other sizes: measured again")
    except Missing:
        pass
    except Damaged as error:
        note(f"{error}: measured again")
    points = time_decoding(plan, vocab_size)
    write_json(path, {"points": points})
    return points


def time_decoding(plan: Plan, vocab_size: int) -> list[dict]:
    """Seconds per token of every size, with one BLAS thread and nothing beside it.

    Returns [{width, trained, parameters, seconds_per_token}]; the seconds are None
    where the architecture continues no text.
    """
    trained = {*plan.ladder.widths, plan.ladder.held_out}
    models = {}
    for width in sorted(trained | {*plan.ladder.untrained}):
        shape = plan.config(width).resolve().shape(vocab_size)
        models[width] = build(shape, np.random.default_rng(0))
    seconds = dict.fromkeys(models)
    if all(model.continues_text for model in models.values()):
        with threads(1):
            rounds = [
                [seconds_per_token(model) for model in models.values()]
                for _ in range(ROUNDS)
            ]
        seconds = dict(zip(models, np.min(rounds, axis=0).tolist(), strict=True))
    return [
        {
            "width": width,
            "trained": width in trained,
            "parameters": count.parameters(model.config),
            "seconds_per_token": seconds[width],
        }
        for width, model in models.items()
    ]
