"""The decoder: a causal model beside the sequences it is writing."""

from collections.abc import Sequence

import numpy as np

from minillm.errors import DataError
from minillm.models import LanguageModel
from minillm.models.encdec import Conditioned
from minillm.models.next_token import NextToken
from minillm.tensor import no_grad

MOST_ROWS = 10_000  # what is written at a time for one prompt: each has its cache


class Decoder:
    """Several sequences that grow together, and the logits after each of them.

    Keys and values of earlier tokens are kept, so that a new token costs one column,
    and the step that computes it is captured (`NextToken`). Without `cached` every
    column is computed anew, one sequence at a time: the same logits, slower. Shorter
    sequences are padded on the left, where nothing looks. The tokens in `never` have
    logits of -inf, and so have those that cannot come next where `first` (B, V) bool is
    False.

    Positions end at the model's context. When a sequence has filled it, the model goes
    on with the later half: `start` (B,) says where the part begins that it still sees.
    """

    def __init__(
        self,
        model: LanguageModel | Conditioned,
        prompts: Sequence,
        *,
        cached: bool = True,
        never: Sequence[int] = (),
        first: np.ndarray | None = None,
    ):
        self.model = model
        self.cached = cached
        self.never = np.array(never, int)
        self.first = first
        self.sequences = [[int(i) for i in prompt] for prompt in prompts]
        context = model.config.context
        self.start = np.array([max(0, len(ids) - context) for ids in self.sequences])
        self._next: NextToken | None = None
        self._logits = None

    def logits(self) -> np.ndarray:
        """The logits after each sequence: (B, V), on the host.

        Raises DataError where one is not finite: among such, none is the likeliest.
        """
        if self._logits is None:
            self._slide()
            with np.errstate(over="ignore", invalid="ignore"):  # told in a line
                self._logits = self._next_logits()
            if not np.isfinite(self._logits).all():
                raise DataError(
                    "the model gives logits that are not finite: its weights are "
                    "damaged, or its training diverged"
                )
            self._logits[:, self.never] = -np.inf
            if self.first is not None:
                self._logits[~self.first] = -np.inf
        return self._logits

    def append(self, tokens: Sequence[int]) -> None:
        """Add one token to each sequence; `logits` has to be asked in between."""
        for ids, token in zip(self.sequences, tokens, strict=True):
            ids.append(int(token))
        self._logits = self.first = None

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these sequences, in this order; one may be there several times."""
        self.sequences = [list(self.sequences[row]) for row in rows]
        self.start = self.start[rows]
        if self.first is not None:
            self.first = self.first[rows]
        self.model = self.model.for_rows(rows)
        if self._next is not None:
            self._next.model = self.model
            for layer in self._next.cache:
                layer.select(rows)
        if self._logits is not None:
            self._logits = self._logits[rows]

    def _next_logits(self) -> np.ndarray:
        if not self.cached:
            return self._plain_logits()
        context = self.model.config.context
        if self._next is None or self._next.cache[0].length == context:
            return self._read_anew()
        return self._next.decode(np.array([ids[-1:] for ids in self.sequences]))

    def _slide(self) -> None:
        """Let sequences that outgrow the context forget the earlier half of it.

        Half: what is cached has its positions in it and cannot be moved, so that the
        rest is read again from position 0, and that should be rare.
        """
        context = self.model.config.context
        for row, ids in enumerate(self.sequences):
            if len(ids) - self.start[row] > context:
                self.start[row] = len(ids) - max(1, context // 2)

    def _visible(self) -> list[list[int]]:
        starts = self.start.tolist()
        return [ids[i:] for ids, i in zip(self.sequences, starts, strict=True)]

    def _plain_logits(self) -> np.ndarray:
        with no_grad():
            logits = [
                self.model.for_rows([row])(np.array([ids]))
                for row, ids in enumerate(self._visible())
            ]
        return np.stack([each.numpy()[0, -1] for each in logits])

    def _read_anew(self) -> np.ndarray:
        visible = self._visible()
        lengths = np.array([len(ids) for ids in visible])
        width = lengths.max()
        padding = width - lengths
        padded = np.zeros((len(visible), width), np.int64)
        for row, ids in enumerate(visible):
            padded[row, padding[row] :] = ids
        padding = padding if padding.any() else None
        cache = self.model.new_cache(len(visible), padding)
        self._next = NextToken(self.model, cache)
        return self._next.decode(padded)
