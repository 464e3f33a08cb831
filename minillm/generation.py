"""Generation: a causal model continues a text, token by token."""

import math

import numpy as np

from minillm.errors import UsageError
from minillm.models import GPT
from minillm.training.run_folder.run import Run, load_run


def generate(
    run,
    prompt: str,
    *,
    max_tokens: int = 100,
    temperature: float = 0.8,
    top_k: int | None = None,
    seed: int = 0,
) -> str:
    """The continuation of a prompt, without the prompt.

    `run` is a run (`load_run`) or the path of one. A temperature of 0 takes the
    likeliest token every time; `top_k` draws among the k likeliest only. The same seed
    draws the same. Raises UsageError for a model that is not causal and for settings
    out of range.
    """
    if seed < 0:
        raise UsageError(f"seed must be at least 0, got {seed}")
    if not isinstance(run, Run):
        run = load_run(run)
    if not run.model.causal:
        raise UsageError(
            f"{run.path}: is a masked model, which sees both sides of a word: it fills "
            f"gaps and cannot continue a text"
        )
    ids = run.tokenizer.encode(prompt)
    if len(ids) == 0:
        ids = run.tokenizer.encode("\n")
    new = continue_ids(
        run.model,
        ids,
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        rng=np.random.default_rng(seed),
    )
    return run.tokenizer.decode(new)


def continue_ids(
    model: GPT,
    ids: np.ndarray,
    *,
    max_tokens: int,
    temperature: float,
    top_k: int | None = None,
    rng: np.random.Generator,
) -> list[int]:
    """The ids a model draws after `ids` (T,), one at a time.

    Keys and values of earlier tokens are kept, so that each new one costs one column.
    Positions end at the model's context: when it is full, decoding begins anew from its
    later half. Raises UsageError for settings out of range.
    """
    if max_tokens < 0:
        raise UsageError(f"max_tokens must be at least 0, got {max_tokens}")
    if not 0 <= temperature < math.inf:
        raise UsageError(f"temperature must be at least 0, got {temperature}")
    if top_k is not None and top_k < 1:
        raise UsageError(f"top_k must be at least 1, got {top_k}")
    context = model.config.context
    seen = list(ids)
    cache = model.new_cache(1)
    pending = seen[-context:]
    for _ in range(max_tokens):
        if cache[0].length + len(pending) > context:
            # What is cached has its positions in it and cannot be moved: read the later
            # half again from position 0. Half: rereading should be rare.
            cache = model.new_cache(1)
            pending = seen[-max(1, context // 2) :]
        logits = model.decode(np.array([pending]), cache)[0]  # (1, t) -> (V,)
        token = sample(logits, temperature, top_k, rng)
        seen.append(token)
        pending = [token]
    return seen[len(ids) :]


def sample(
    logits: np.ndarray,
    temperature: float,
    top_k: int | None,
    rng: np.random.Generator,
) -> int:
    """Draw a token from softmax(logits / temperature), logits (V,) on the host."""
    if temperature == 0:
        return int(logits.argmax())
    # Shifted first: a difference of 0 stays 0 at any temperature.
    with np.errstate(over="ignore"):
        z = (logits.astype(np.float64) - logits.max()) / temperature
    if top_k is not None and top_k < len(z):
        kth = np.partition(z, -top_k)[-top_k]
        z[z < kth] = -np.inf
    p = np.exp(z)
    return int(rng.choice(len(p), p=p / p.sum()))
