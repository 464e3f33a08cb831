"""What a user should know before the first step: where this machine or text lacks
something, or a setting is odd."""

from collections.abc import Iterator

from minillm.backend import Backend, products
from minillm.errors import option
from minillm.learning.config import TrainConfig
from minillm.learning.learner import Learner
from minillm.learning.schedule import cooldown_begins, learning_rate
from minillm.learning.worker_pool import missed_wish
from minillm.runs import memory


def before_training(learner: Learner, device: Backend) -> Iterator[str]:
    """What there is to tell of this run, a sentence each."""
    config, text, own, n = learner.config, learner.text, learner.own, learner.n_workers
    problem = products.library()["problem"] if device.kind == "cpu" else None
    yield from filter(
        None,
        [
            missed_wish(config.workers, learner.worker_kind),
            problem,
            odd_warmup(config),
            None if own else memory.tight(config, learner.model.config, n, device),
            text.cut(config.context),
            text.repeated(config),
            learner.ranks and learner.ranks.note,
        ],
    )
    if device.kind != "cpu":
        from minillm.backend import self_check

        yield from self_check.notes(device)


def odd_warmup(config: TrainConfig) -> str | None:
    """What to tell about a warm-up that leaves the rest of the schedule no room."""
    begin = f"{option('warmup', config.warmup)}: "
    if config.steps == 1 and config.warmup <= 1:
        return None
    if config.warmup >= config.steps:
        last = learning_rate(config, config.steps - 1)
        return (
            f"{begin}as long as the run of {config.steps} steps, or longer: the rate "
            f"only rises, to {last:.3g} of {config.lr:.3g}"
        )
    if config.schedule == "wsd" and config.warmup > cooldown_begins(config):
        return (
            f"{begin}the cooldown begins after step {cooldown_begins(config)}: the "
            f"rate drops where the warm-up ends"
        )
    return None
