"""Count parameters, FLOPs and memory of a model before it is built.

Counted on the model itself, built of shapes without numbers (`nn.Shapes`).
"""

import functools
from dataclasses import replace

from minillm import backend
from minillm.models.architectures import architecture, build
from minillm.nn import ModelConfig, costs

# A row for each token, position or segment, and what only the output has.
TABLES = ("tokens", "positions", "segments", "head", "output_bias")


def parameters(config: ModelConfig) -> dict:
    """The number of parameters: `total`, and three parts of it.

    `embedding` holds the tables of tokens, positions and segments, an untied output
    projection and the output's bias; `non_embedding` is the rest (Kaplan et al. 2020
    fit their laws in it). Of both, `matrices_and_head` is what takes part in a matrix
    product, the output included.
    """
    names = ("total", "embedding", "non_embedding", "matrices_and_head")
    counts = _of_all_layers(config)
    return {name: counts[name] for name in names}


def flops_per_token(config: ModelConfig) -> int:
    """Training FLOPs for each token: forward, and twice as much backward.

    A multiply-add counts two. Matrix products only: those of the layers; attention's
    two products, 2Td each, of which a causal model needs half; and 2Vd for the output.
    A masked model has a target at 15 % of the positions, and needs output and last
    feed-forward there alone (with dropout it computes the whole of the latter). What is
    computed once for a whole sequence is left out.

    Of an encoder–decoder: for each target token, with a source as long as the target,
    so that a source token is counted with it.
    """
    return round(3 * _of_all_layers(config)["forward_flops"])


def _of_all_layers(config: ModelConfig) -> dict:
    """All layers are alike: each beyond the first adds what the second one adds."""
    one, two = _one_and_two_layers(config)
    return {
        name: one[name] + (config.n_layers - 1) * (two[name] - one[name])
        for name in one
    }


def _one_and_two_layers(config: ModelConfig) -> list[dict]:
    return [_counted(replace(config, n_layers=n)) for n in (1, 2)]


def _kept_by_layers(config: ModelConfig) -> int:
    """The numbers that all layers keep of a token for the backward pass."""
    one, two = _one_and_two_layers(config)
    return config.n_layers * (two["kept"] - one["kept"])


@functools.lru_cache(maxsize=1024)
def _counted(config: ModelConfig) -> dict:
    with backend.use("cpu"):
        model = build(config, None)
    total = embedding = matrices = products = output = 0
    last_feed_forward = f"blocks.{config.n_layers - 1}.feed_forward."
    for name, p in model.named_parameters():
        part = name.removeprefix("body.").split(".")[0]
        total += p.size
        if part in TABLES:
            embedding += p.size
        elif p.ndim == 2:
            matrices += p.size
            if part in model.sequence_parts:
                continue
            if part in model.output_parts or name.startswith(last_feed_forward):
                output += p.size
            else:
                products += p.size
    if hasattr(model, "head"):  # it predicts tokens
        output += model.head.size
        matrices += model.head.size
    layers = [*model.modules()]
    attention = sum(costs.flops(layer, config.context) for layer in layers)
    kept = sum(costs.kept(layer, config.context) for layer in layers)
    return {
        "total": total,
        "embedding": embedding,
        "non_embedding": total - embedding,
        "matrices_and_head": matrices,
        "forward_flops": 2 * products + attention + model.predicted_share * 2 * output,
        "kept": kept,
    }


# What Python, NumPy and a small corpus take before there is any model, and what every
# further worker adds to it.
BASE_BYTES = 54_000_000
WORKER_BYTES = 10_000_000
# Of CUDA's bodies: the logits they make at a time, the widest head whose attention
# weights they do not keep, and what cuBLAS works in.
CUDA_LOGITS = 2**24
CUDA_HEAD = 64
CUDA_BASE_BYTES = 34_000_000


def memory_bytes(config: ModelConfig, batch: int, workers: int = 1) -> int:
    """The predicted peak of training in float32, all workers together, of which each
    has `batch` sequences in hand at a time.

    Weights, AdamW's two moments, and a gradient for each worker; what its forward pass
    of `batch` sequences keeps for the backward pass (`kept` in `nn/costs.py`); and at
    the turn from one to the other the output's gradient, twice. The last layer of a
    masked model is counted whole, as it is with dropout.
    """
    d = config.d_model
    states = (3 + workers) * parameters(config)["total"]
    tokens = workers * batch * config.context
    activations = tokens * (_kept_by_layers(config) + 4 * d)
    turn = 2 * config.vocab_size * d
    base = BASE_BYTES + WORKER_BYTES * (workers - 1)
    return base + 4 * (states + activations + turn)


def cuda_memory_bytes(config: ModelConfig, batch: int) -> int:
    """The predicted peak of CuPy's memory pool in training in float32, with `batch`
    sequences at a time. Measured for CuPy 14 with the faster bodies.

    As `memory_bytes`, and once more the size of the weights: they were drawn one by one
    before the flat buffer took them in, and the pool keeps what they lay in. Narrow
    heads keep no attention weights. At the turn, two pieces of the logits.
    """
    d, vocab_size = config.d_model, config.vocab_size
    narrow = d // config.n_heads <= CUDA_HEAD
    share = architecture(config.arch).model.predicted_share
    kept = _kept_by_layers(replace(config, context=1) if narrow else config)
    tokens = batch * config.context
    logits = min(tokens * vocab_size * share, CUDA_LOGITS)
    turn = 2 * (logits + vocab_size * d)
    activations = tokens * (kept + 4 * d)
    most = activations + max(turn, 4 * tokens * d)
    return CUDA_BASE_BYTES + round(4 * (5 * parameters(config)["total"] + most))
