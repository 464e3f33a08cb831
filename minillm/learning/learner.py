"""The training step: learning rate, loss, gradient, update. It knows no run folder.

Steps are numbered from 0. What is shown and recorded of a run counts from 1: the steps
that are done (`n_done`).
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minillm import backend
from minillm.errors import DivergedError, UsageError, check_finite
from minillm.learning.config import OWN, WEIGHTS, TrainConfig
from minillm.learning.data import EncodedCorpus
from minillm.learning.evaluate import Score, added_up
from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import AdamW, Optimizer, clip_scale, global_norm
from minillm.learning.schedule import learning_rate
from minillm.learning.worker import Workplace
from minillm.learning.worker_pool import Workers, choose_workers, open_workers
from minillm.models import LanguageModel, build
from minillm.nn import Module


@dataclass(eq=False)
class Step:
    """What a step came to; `number` is from 0. On a GPU, to ask for the loss or the
    norm is to wait for it (`Learner.wait`)."""

    number: int
    lr: float
    wait: Callable[[], None] = field(repr=False)
    figures: tuple[float, float] | None = None  # the loss and the norm, once known

    @property
    def loss(self) -> float:
        """Nats per target."""
        return self._known()[0]

    @property
    def norm(self) -> float:
        """That of the whole gradient, before it is clipped."""
        return self._known()[1]

    def keep(self, loss: float, norm: float) -> None:
        """Keep both. Raises DivergedError where one is no finite number."""
        figures = {"loss": loss, "gradient_norm": norm, "learning_rate": self.lr}
        check_finite(self.number + 1, **figures)
        self.figures = loss, norm

    def _known(self) -> tuple[float, float]:
        if self.figures is None:
            self.wait()
        if self.figures is None:
            raise UsageError(f"step {self.number}: its Learner was closed by an error")
        return self.figures


class Learner:
    """A model that learns: its weights, an optimizer, workers. It knows no run folder.

        with Learner(config, text) as learner:
            for number in range(config.steps):
                print(learner.step(number).loss)

    config: what concerns a folder (`out`, `keep`, `save_every`) is not looked at.
    text: what `prepare(config)` returns. workers: as `--workers`; one in this process
    unless asked. model: one of your own, with `logits(ids)` or a `loss(batch)` (see
    `own_model.py`). ranks: of several processes that make the same calls (`ranks.py`).
    """

    def __init__(
        self,
        config: TrainConfig,
        text: EncodedCorpus,
        *,
        workers: int | str = 1,
        model: Module | None = None,
        ranks=None,
    ):
        if not isinstance(config, TrainConfig) or not hasattr(text, "sampler"):
            raise UsageError("a Learner takes a TrainConfig and what `prepare` returns")
        own_model = None
        if config.arch == OWN or not isinstance(model, LanguageModel | None):
            from minillm.learning import own_model  # opened for such a model

            config = own_model.with_model(config, model)
        config = config.resolve()
        vocab_size = text.tokenizer.vocab_size
        shape = config.shape(vocab_size, len(text.labels))
        self.config = config = ranks.meet(config, text) if ranks else config
        self.text = text
        self.ranks = ranks
        self.own = None  # what is known of a model of one's own: `OwnModel`
        self.next = 0  # the number of the step that comes next
        self._workers = self._unread = None  # while it is open: see `open_workers`
        self._exits = contextlib.ExitStack()
        with backend.use(config.device) as device:
            self.worker_kind, self.n_workers = choose_workers(
                str(workers), config.batch, device, ranks
            )
            if model is None:
                rng = np.random.default_rng((config.seed, 0, WEIGHTS))
                model = build(shape, rng)
            sampler, validation = text.sampler(config), text.validation(config)
            if own_model:
                row = validation.shard(0, len(validation.ids))
                wish = str(workers), self.n_workers
                self.own = own_model.look_at(model, row, vocab_size, config, *wish)
                self.n_workers = self.own.n_workers
            forked = self.worker_kind == "processes" and self.n_workers > 1
            flat = FlatParameters(model, shared=forked)
            self.work = Workplace(
                config=config,
                model=model,
                flat=flat,
                gradients=[flat.zeros() for _ in range(self.n_workers)],
                optimizer=new_optimizer(config, flat),
                sampler=sampler,
                tokenizer=text.tokenizer,
                validation=validation,
            )

    @property
    def model(self) -> Module:
        return self.work.model

    def step(self, number: int) -> Step:
        """Train on the batch of this step; `number` is from 0.

        Raises DivergedError, before any weight moves, where the loss or the gradient is
        no finite number. A GPU is not waited for: `wait` raises it then, and from
        that step on no weight has moved.
        """
        self._check_order(number)
        lr = learning_rate(self.config, number)
        # `Worker.compute`, `reduce` and `update`. Each call waits for every worker:
        # nobody adds up before all gradients are there, and no weight moves before the
        # norm of the whole gradient is known.
        losses = self._workers.call("compute", number)
        squares = self._workers.call("reduce")
        step = Step(number, lr, self.wait)
        if self._unread is None:  # no GPU: the loss is here already
            loss, norm = backend.to_numpy(sum(losses)).item(), global_norm(squares)
            step.keep(loss, norm)
            scale = clip_scale(norm, self.config.clip)
        else:
            scale = self._unread.scale_of(step, losses[0], squares[0])
        self._workers.call("update", number, lr, scale)
        self.next = number + 1
        return step

    def wait(self) -> None:
        """Wait for a GPU, until the loss and the norm of all steps are known.

        Raises DivergedError for the first step where one is no finite number. That
        step comes next again, and the gradient is its gradient.
        """
        for step, loss, norm in self._unread.read() if self._unread else ():
            try:
                step.keep(loss, norm)
            except DivergedError:
                self.next = step.number
                self._workers.call("compute", step.number)
                raise

    def evaluate(self, every: int = 1) -> Score:
        """How the model predicts what `text.validation` holds: all of it, or with
        `every=8` an eighth, spread over the whole."""
        workers = self._opened()
        self.wait()
        return sum(workers.call("evaluate", every), Score())

    def evaluate_both(self, every: int) -> tuple[Score, Score]:
        """`evaluate(every)` and `evaluate()`, in the time of the second."""
        workers = self._opened()
        self.wait()
        found = workers.call("score_parts")
        return added_up(found, every), added_up(found, 1)

    def check_weights(self) -> None:
        """Raise DivergedError where a weight is not finite."""
        if self.ranks:
            self.ranks.check_alike()
        largest = abs(self.work.flat.data).max().item()
        check_finite(self.next, largest_weight=largest)

    def save(self, path: str | Path) -> None:
        """Write the weights, the optimizer's moments and the number of the next step
        to one file. Raises DataError where the disk refuses."""
        from minillm.learning import saving

        self.wait()
        saving.save(path, self.work, self.next)

    def load(self, path: str | Path) -> None:
        """Go on from what `save` wrote, of a model and an optimizer like these.

        Raises DataError for any other file, and changes nothing then.
        """
        from minillm.learning import saving

        self.next = saving.load(path, self.work)
        if self._unread:
            self._unread.begin()

    def __enter__(self) -> "Learner":
        if self._workers is not None:
            raise UsageError("this Learner is open already")
        self._exits = contextlib.ExitStack()
        self._workers, self._unread = self._exits.enter_context(open_workers(self))
        return self

    def __exit__(self, *error) -> None:
        try:
            if error[0] is None:
                self.wait()
        finally:
            self._workers = self._unread = None
            self._exits.__exit__(*error)

    def close(self) -> None:
        """End the workers; the weights stay in `model`."""
        self.__exit__(None, None, None)

    def _opened(self) -> Workers:
        if self._workers is None:
            raise UsageError("this Learner is not open: use `with Learner(...)`")
        return self._workers

    def _check_order(self, number: int) -> None:
        self._opened()
        if isinstance(number, bool) or not isinstance(number, int):
            raise UsageError(f"a step is a whole number, got {number!r}")
        if number != self.next:
            raise UsageError(f"step {number} out of order: step {self.next} comes next")
        if number >= self.config.steps:
            raise UsageError(
                f"step {number} is beyond the {self.config.steps} steps of the "
                f"configuration, for which its learning rate is planned"
            )


def new_optimizer(config: TrainConfig, flat: FlatParameters) -> Optimizer:
    """The optimizer that a configuration names."""
    decay = config.weight_decay
    if config.optimizer == "sgd":
        from minillm.learning.sgd import SGD

        return SGD(flat, weight_decay=decay)
    betas = {"beta1": config.beta1, "beta2": config.beta2}
    return AdamW(flat, **betas, weight_decay=decay)
