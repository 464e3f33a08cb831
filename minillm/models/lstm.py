"""The LSTM language model, the baseline from before attention.

What a token may know of those before it has to pass through a state of fixed size,
where a transformer looks back at each of them. Blocks are residual and normalised as
GPT's are, so that the two differ in attention and not in what else was learned since.
"""

import numpy as np

from minillm.models.language_model import LanguageModel
from minillm.nn import (
    Embedding,
    Initializer,
    LSTMState,
    ModelConfig,
    Noise,
    RecurrentBlock,
    drop,
    last_norm,
    normed,
)
from minillm.tensor import Tensor, no_grad


class LSTMModel(LanguageModel):
    """Token table, recurrent blocks, and the output.

    Position needs no table: a state knows what came before. Every window of a text
    begins with an empty state. Sequences are no longer than the context, as those it
    was trained on.
    """

    continues_text = True

    def __init__(self, config: ModelConfig, rng: np.random.Generator, dtype=np.float32):
        self.config = config
        init = Initializer.from_config(config, rng, dtype)
        self.tokens = Embedding(config.vocab_size, config.d_model, init=init)
        self.blocks = [RecurrentBlock(config, init) for _ in range(config.n_layers)]
        self.norm = last_norm(config, init)
        self.head = self.token_head(init)

    def hidden(self, ids, *, mask=None, noise: Noise | None = None) -> Tensor:
        """What the last layer makes of each token.   ids (B, T) -> (B, T, D)

        `mask` is not needed: padding stands after a text, and nothing looks ahead.
        """
        x = drop(self.tokens(self.checked(ids)), noise)
        for block in self.blocks:
            x = block(x, noise)
        return normed(x, self.norm)

    def new_cache(self, n_sequences: int, padding=None) -> list[LSTMState]:
        """One empty state for each layer. `padding`: see `Cache`."""
        return [block.lstm.new_cache(n_sequences, padding) for block in self.blocks]

    def decode(self, ids, cache: list[LSTMState]) -> np.ndarray:
        """Logits after the last of these tokens, which follow those in the cache.

        ids (B, t) -> (B, V), on the host
        """
        ids = self.checked(ids, cache[0].length)
        with no_grad():
            x = self.tokens(ids)
            for block, state in zip(self.blocks, cache, strict=True):
                x = block.decode(x, state)
            logits = self.project(normed(x[:, -1], self.norm))
        return logits.numpy()
