"""What a model costs before it is built: parameters, FLOPs, memory."""

from minillm.models.config import ModelConfig


def parameters(config: ModelConfig) -> dict:
    """The number of parameters, counted three ways.

    `embedding` holds the token and position tables and an untied output projection;
    `non_embedding` is the rest (Kaplan et al. 2020 fit their laws in it);
    `matrices_and_head` is what takes part in a matrix product, the output included.
    """
    d, v, bias = config.d_model, config.vocab_size, config.bias
    d_ff, layers = config.feed_forward_width, config.n_layers
    matrices = layers * _matrices(config)
    if config.arch == "lstm":
        n_norms, biases, positions = layers + 1, layers * 4 * d, 0
    else:
        n_norms = 2 * layers + 1
        biases = layers * (4 * d + d_ff + d) if bias else 0
        positions = config.context * d if config.positions == "learned" else 0
    norms = n_norms * d * (2 if bias else 1)
    embedding = v * d * (1 if config.tied else 2) + positions
    non_embedding = matrices + norms + biases
    return {
        "total": embedding + non_embedding,
        "embedding": embedding,
        "non_embedding": non_embedding,
        "matrices_and_head": matrices + v * d,
    }


def _matrices(config: ModelConfig) -> int:
    """The numbers in a layer's matrices: attention's and the feed-forward's, or those
    of an LSTM's gates."""
    d = config.d_model
    if config.arch == "lstm":
        return 8 * d * d
    return 4 * d * d + 2 * d * config.feed_forward_width


def flops_per_token(config: ModelConfig) -> int:
    """Training FLOPs for each token: forward, and twice as much backward.

    A multiply-add counts two. Matrix products only: 2·(4d² + 2d·d_ff) a layer, or 16d²
    in an LSTM; 2Vd for the output; and attention's two products, 2Td each, of which a
    causal model needs half.
    """
    d, layers = config.d_model, config.n_layers
    matrices = 2 * layers * _matrices(config)
    head = 2 * config.vocab_size * d
    attention = 4 * layers * config.context * d
    if config.arch == "gpt":
        attention //= 2
    elif config.arch == "lstm":
        attention = 0
    return 3 * (matrices + head + attention)


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
    weights (about 17 vectors in an LSTM); and at the turn from one to the other the
    output's gradient, twice.
    """
    d = config.d_model
    states = (3 + workers) * parameters(config)["total"]
    if config.arch == "lstm":
        per_token = 17 * d
    else:
        attention = config.n_heads * config.context
        per_token = 13 * d + 3 * config.feed_forward_width + attention
    tokens = workers * batch * config.context
    activations = tokens * (config.n_layers * per_token + 4 * d)
    turn = 2 * config.vocab_size * d
    base = BASE_BYTES + WORKER_BYTES * (workers - 1)
    return base + 4 * (states + activations + turn)
