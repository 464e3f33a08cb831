"""Decoding one token after the other, by a step that is captured."""

import operator

import numpy as np

from minillm import backend
from minillm.backend import cpu_captured  # noqa: F401  (registers how ops are captured)
from minillm.backend.arrays import any_half
from minillm.backend.capture import Capture
from minillm.backend.registry import is_observed
from minillm.models.language_model import LanguageModel
from minillm.tensor import Tensor


class NextToken:
    """`model.decode` for the sequences of one cache: the same logits, sooner.

    One more token of each sequence is a step that is always the same. The first time
    the model decodes it, the step is captured (`backend/capture.py`), later it is
    repeated: 2 to 5 times as fast, since nothing is left of it but calls of NumPy.

    Several tokens at once are decoded by the model, and so is everything on a GPU and
    within `plain`, `debug` and `observed`. A step is captured anew for another number
    of sequences and where an array of weights has been replaced, not where it has been
    written into. It knows nothing of a model whose layers are exchanged, or which
    decodes tokens in different ways: give these a new one. `problem` says why a model
    cannot be captured; it then decodes by itself.

    The arrays of a step are its own: two threads need two, each with its own cache.
    """

    def __init__(self, model: LanguageModel, cache: list):
        self.model = model
        self.cache = cache
        self.problem: str | None = None
        self._step = None

    def decode(self, ids) -> np.ndarray:
        """Logits after the last of these tokens, which follow those in the cache.

        ids (B, t) -> (B, V), on the host: an array that is the caller's
        """
        ids = np.asarray(ids)
        one = ids.dtype.kind in "iu" and ids.shape[1] == 1
        if not one or self.problem or not _may_capture():
            return self.model.decode(ids, self.cache)
        if self._step is None or not self._step.fits(ids):
            return self._captured(ids)
        if not self._in_range(ids):
            self.model.checked(ids, self.cache[0].length)  # says what is wrong
        return self._step.repeat(ids)

    def _captured(self, ids) -> np.ndarray:
        if any_half([tensor.data for tensor in _tensors(self.model)]):
            self.problem = "weights of half precision, which each op makes wider"
            return self.model.decode(ids, self.cache)
        step = Step(self.model, self.cache, ids)
        self.problem = step.problem
        self._step = None if step.problem else step
        return step.logits.copy()

    def _in_range(self, ids) -> bool:
        """As `LanguageModel.checked`, which takes longer."""
        config, given = self.model.config, ids[:, 0].tolist()
        room = self.cache[0].length < config.context
        return room and min(given) >= 0 and max(given) < config.vocab_size


class Step:
    """One captured step: the arrays that it begins with and ends in."""

    def __init__(self, model: LanguageModel, cache: list, ids):
        self.ids = np.array(ids, np.intp)
        # Where each array that lasts is found, and which it was.
        self._tensors = _tensors(model)
        lasting = [place for each in cache for place in each.lasting()]
        self._owners = [owner for owner, _ in lasting]
        self._names = [name for _, name in lasting]
        self._arrays = self._arrays_now()
        known = [each for each in self._arrays if each is not None]
        capture = Capture([self.ids, *known])
        self.logits = capture.run(lambda: model.decode(self.ids, cache))
        self.problem = capture.problem
        self._capture = capture

    def fits(self, ids) -> bool:
        """Whether the step is still that for these tokens and these weights."""
        same = map(operator.is_, self._arrays_now(), self._arrays)
        return ids.shape == self.ids.shape and all(same)

    def _arrays_now(self) -> list:
        weights = map(operator.attrgetter("data"), self._tensors)
        return [*weights, *map(getattr, self._owners, self._names)]

    def repeat(self, ids) -> np.ndarray:
        self.ids[...] = ids
        self._capture.repeat()
        return self.logits.copy()


def _may_capture() -> bool:
    unchanged = not (backend.runs_plain() or backend.debugging() or is_observed())
    return unchanged and backend.current().kind == "cpu"


def _tensors(model) -> list[Tensor]:
    """Every tensor of a model, learned or fixed."""
    of_modules = [vars(module).values() for module in model.modules()]
    return [x for values in of_modules for x in values if isinstance(x, Tensor)]
