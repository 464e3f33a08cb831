"""The named sizes that `minillm train --size` offers."""

from dataclasses import dataclass

from minillm.errors import UsageError, guess, quoted


@dataclass(frozen=True)
class Size:
    """A named model shape with the training it is meant for."""

    n_layers: int
    d_model: int
    n_heads: int
    context: int
    batch: int  # sequences in a training step
    tokens: int  # what `train` runs by default
    accumulate: int = 1  # microbatches in a step, to bound its memory


SIZES = {
    "pico": Size(2, 16, 1, 64, 16, 500_000),
    "nano": Size(2, 32, 2, 128, 8, 1_000_000),
    "micro": Size(4, 64, 4, 128, 16, 2_000_000),
    "tiny": Size(4, 128, 4, 128, 16, 4_000_000),
    "mini": Size(6, 192, 6, 256, 16, 20_000_000),
    "small": Size(8, 384, 6, 256, 64, 150_000_000, 2),
    "medium": Size(12, 512, 8, 512, 64, 750_000_000, 8),
    "base": Size(12, 768, 12, 1024, 64, 1_700_000_000, 16),
}


def size(name: str) -> Size:
    """The named size. Raises UsageError listing the names there are."""
    if name not in SIZES:
        raise UsageError(f"unknown size {quoted(str(name))}{guess(name, SIZES)}")
    return SIZES[name]


def own_size(n_layers: int, d_model: int) -> Size:
    """A shape of one's own, with the training of a small one."""
    n_heads = default_heads(d_model)
    return Size(n_layers, d_model, n_heads, context=128, batch=16, tokens=1_000_000)


def default_heads(d_model: int, numbers: int = 32) -> int:
    """As many heads as divide the width into parts of at least so many numbers."""
    most = max(1, d_model // numbers)
    return next(n for n in range(most, 0, -1) if d_model % n == 0)
