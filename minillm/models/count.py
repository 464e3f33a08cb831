"""What a model costs before it is built: parameters, FLOPs, memory."""

from minillm.models.config import ModelConfig

MASKED = ("encoder", "bert")
# The share of a masked model's positions that have a target (Devlin et al. 2019,
# section 3.1).
MASKED_SHARE = 0.15


def parameters(config: ModelConfig) -> dict:
    """The number of parameters, counted three ways.

    `embedding` holds the tables of tokens, positions and segments, an untied output
    projection and the output's bias; `non_embedding` is the rest (Kaplan et al. 2020
    fit their laws in it); `matrices_and_head` is what takes part in a matrix product,
    the output included.
    """
    layer, after = _maps_of_layer(config), _maps_after_layers(config)
    matrices = config.n_layers * _products(layer) + _products(after)
    if config.arch == "lstm":  # only its gates' inputs have a bias, and always do
        biases = config.n_layers * 4 * config.d_model + config.bias * config.n_classes
    else:
        outputs = config.n_layers * _outputs(layer) + _outputs(after)
        biases = config.bias * outputs
    norms = _n_norms(config) * config.d_model * (2 if config.bias else 1)
    embedding = _tables(config)
    non_embedding = matrices + norms + biases
    output = 0 if config.n_classes else config.vocab_size * config.d_model
    return {
        "total": embedding + non_embedding,
        "embedding": embedding,
        "non_embedding": non_embedding,
        "matrices_and_head": matrices + output,
    }


def _products(maps: list[tuple[int, int]]) -> int:
    """The numbers in the matrices of linear maps."""
    return sum(n_in * n_out for n_in, n_out in maps)


def _outputs(maps: list[tuple[int, int]]) -> int:
    return sum(n_out for _, n_out in maps)


def _maps_of_layer(config: ModelConfig) -> list[tuple[int, int]]:
    """(inputs, outputs) of every linear map in a layer."""
    d, d_ff = config.d_model, config.feed_forward_width
    if config.arch == "lstm":
        return [(d, 4 * d), (d, 4 * d)]
    attention, feed_forward = [(d, 3 * d), (d, d)], [(d, d_ff), (d_ff, d)]
    block = attention + feed_forward
    if config.arch == "encdec":
        cross = [(d, d), (d, 2 * d), (d, d)]
        return block + block + cross
    return block


def _maps_after_layers(config: ModelConfig) -> list[tuple[int, int]]:
    """Those that lead to classes, and BERT's that lead to the output."""
    d = config.d_model
    pooler = [(d, d)] if config.arch == "bert" else []
    if config.n_classes:
        return [*pooler, (d, config.n_classes)]
    return [*pooler, (d, d), (d, 2)] if config.arch == "bert" else []


def _n_norms(config: ModelConfig) -> int:
    if config.arch == "lstm":
        return config.n_layers + 1
    if config.arch == "encdec":
        return 5 * config.n_layers + 2 * (config.norm == "pre")
    in_layers = 2 * config.n_layers
    if config.arch == "bert":  # after the embeddings, after the layers, in the output
        return in_layers + 1 + (config.norm == "pre") + (config.n_classes == 0)
    return in_layers + 1


def _tables(config: ModelConfig) -> int:
    """The numbers in tables: a row for each token, position or segment."""
    d, v = config.d_model, config.vocab_size
    tables = v * d
    if config.arch != "lstm" and config.positions == "learned":
        tables += config.context * d
    if config.arch == "bert":
        tables += 2 * d
    if not config.n_classes:  # what the output has to itself
        tables += 0 if config.tied else v * d
        tables += config.bias * v if config.arch == "bert" else 0
    return tables


def flops_per_token(config: ModelConfig) -> int:
    """Training FLOPs for each token: forward, and twice as much backward.

    A multiply-add counts two. Matrix products only: 2·(4d² + 2d·d_ff) a layer, or 16d²
    in an LSTM; attention's two products, 2Td each, of which a causal model needs half;
    and 2Vd for the output, in a masked model at the 15 % of positions that have a
    target. What is computed once for a whole sequence is left out.

    Of an encoder–decoder: for each target token, with a source as long as the target,
    so that a source token is counted with it.
    """
    d = config.d_model
    matrices = 2 * config.n_layers * _products(_maps_of_layer(config))
    # Squares of T × T that a layer looks at; encdec: the encoder's, half, the cross.
    squares = {"gpt": 0.5, "lstm": 0, "encdec": 2.5}.get(config.arch, 1)
    attention = squares * 4 * config.n_layers * config.context * d
    return round(3 * (matrices + attention + _output_flops(config)))


def _output_flops(config: ModelConfig) -> float:
    if config.n_classes:
        return 0
    d = config.d_model
    output = 2 * config.vocab_size * d
    if config.arch == "bert":
        output += 2 * d * d
    return MASKED_SHARE * output if config.arch in MASKED else output


# What Python, NumPy and a small corpus take before there is any model, and what every
# further worker adds to it.
BASE_BYTES = 54_000_000
WORKER_BYTES = 10_000_000


def memory_bytes(config: ModelConfig, batch: int, workers: int = 1) -> int:
    """The predicted peak of training in float32, all workers together, of which each
    has `batch` sequences in hand at a time.

    Weights, AdamW's two moments, and a gradient for each worker; what its forward pass
    of `batch` sequences keeps for the backward pass: in each layer about 13 vectors of
    the model's width and three of the feed-forward's for each token, and the attention
    weights (about 17 vectors in an LSTM; of an encoder–decoder both halves, and for the
    look at a source as long about eight vectors and weights once more); and at the turn
    from one to the other the output's gradient, twice.
    """
    d = config.d_model
    states = (3 + workers) * parameters(config)["total"]
    if config.arch == "lstm":
        per_token = 17 * d
    else:
        attention = config.n_heads * config.context
        per_token = 13 * d + 3 * config.feed_forward_width + attention
        if config.arch == "encdec":
            per_token = 2 * per_token + 8 * d + attention
    tokens = workers * batch * config.context
    activations = tokens * (config.n_layers * per_token + 4 * d)
    turn = 2 * config.vocab_size * d
    base = BASE_BYTES + WORKER_BYTES * (workers - 1)
    return base + 4 * (states + activations + turn)
