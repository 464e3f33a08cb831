"""Noise: the rate of dropout and the key of each, handed down through a model. The
mask itself is drawn in `ops/noise.py`."""


class Noise:
    """Gives each dropout of a forward pass its key: the n-th one of a step always drops
    the same places of the whole batch, whichever worker or backend computes them.

    `rate` is that of activations, `attention_rate` that of attention weights.
    `first_row` is where this shard begins in the whole batch.
    """

    def __init__(
        self,
        rate: float,
        seed: int,
        step: int,
        first_row: int = 0,
        attention_rate: float = 0.0,
    ):
        self.rate = rate
        self.attention_rate = attention_rate
        self.first_row = first_row
        # Up to 4096 dropouts a step. Keys count modulo 2³²: after 2²⁰ steps they recur.
        self._key = (seed * 1_000_003 + step) * 4096

    def next_key(self) -> int:
        self._key += 1
        return self._key

    def for_attention(self) -> dict:
        """The settings of an attention op that drops weights; else none."""
        if not self.attention_rate:
            return {}
        key = self.next_key()
        return {"rate": self.attention_rate, "key": key, "first_row": self.first_row}
