"""Model shape: layers and width for a number of parameters, and its memory."""

import math

from minillm.backend import Backend
from minillm.errors import UsageError
from minillm.learning.config import OF_SHAPE, TrainConfig
from minillm.learning.settings import WORDS
from minillm.models import ModelConfig, count
from minillm.models.architectures import default_heads

MOST_LAYERS = 160
MOST_PARAMETERS = 1e15
LEAST_WIDTH = 16
ROUNDS = 3  # until the width agrees with the parameters
# All but what goes with the width.
SETTINGS = [name for name in OF_SHAPE if name not in (*WORDS.values(), "d_ff")]


def nearest_shape(parameters: float, settings: dict | None = None) -> ModelConfig:
    """The layers, width and heads whose non-embedding parameters come near a number.

    Among shapes about as near, the one most like the named sizes is taken: their width
    is 8 to 64 times their layers, more in larger ones. settings: a record's `model`,
    for its vocabulary, context and the like.
    Raises UsageError for more parameters than can be built.
    """
    if parameters > MOST_PARAMETERS:
        raise UsageError(
            f"a model of {parameters:.3g} parameters is larger than any that could be "
            f"built: ask for less"
        )
    given = {name: (settings or {}).get(name) for name in SETTINGS}
    given = {name: value for name, value in given.items() if value is not None}
    vocab = (settings or {}).get("vocab_size") or 1024
    usual = min(128.0, max(8.0, 16 * (parameters / 25e3) ** 0.17))

    def shape(layers: int, width: int) -> ModelConfig:
        return ModelConfig(
            **{"vocab_size": vocab, "context": 256, **given},
            n_layers=layers,
            d_model=width,
            n_heads=default_heads(width),
        )

    def parts(shape: ModelConfig) -> float:
        """Its parameters, relative to the wanted ones."""
        return count.parameters(shape)["non_embedding"] / parameters

    def unlike(shape: ModelConfig) -> float:
        missed = abs(math.log(parts(shape)))
        return missed + 0.03 * abs(math.log(shape.d_model / shape.n_layers / usual))

    shapes = []
    for layers in range(1, MOST_LAYERS + 1):
        width = LEAST_WIDTH
        for _ in range(ROUNDS):  # parameters grow as the square of the width, nearly
            width = max(1, round(width * parts(shape(layers, width)) ** -0.5))
        shapes += [shape(layers, near) for near in _round(width)]
    return min(shapes, key=unlike)


def memory_bytes(shape: ModelConfig, workers: int = 1) -> int:
    """The predicted peak of training it with the default batch."""
    config = TrainConfig(
        n_layers=shape.n_layers,
        d_model=shape.d_model,
        n_heads=shape.n_heads,
        context=shape.context,
    ).resolve()
    at_a_time = config.sequences_at_a_time(Backend.numbers_at_a_time, workers)
    return count.memory_bytes(shape, at_a_time, workers)


def _round(width: int) -> set[int]:
    """The round widths beside a width."""
    step = 64 if width >= 512 else 8 if width >= 64 else 4
    below = max(LEAST_WIDTH, width // step * step)
    return {below, below + step}
