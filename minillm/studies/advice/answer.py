"""Advice: the model size and the tokens for a budget, by a fitted law.

advise(read_law("runs/law"), flops=1e15)["optimum"]    # {"parameters": …, …}
"""

import functools

import numpy as np

from minillm.errors import UsageError
from minillm.laws.bootstrap import LEVEL, ends95
from minillm.models import count
from minillm.studies.advice.advice_warnings import warnings_about
from minillm.studies.advice.compute_optimal import (
    Law,
    effective_tokens,
    tokens_to_be_worth,
)
from minillm.studies.advice.model_shape import memory_bytes, nearest_shape
from minillm.studies.advice.source import KnownLaw

FIRST_GUESS = 1e10  # FLOPs per second
ROUNDS = 5  # until a time, a size and its speed agree
MOST_WITHOUT = 1 - LEVEL  # the largest share of resamples without an answer


def _in_numbers(function):
    """Turn overflow and underflow, by constants from anywhere, into a UsageError."""

    @functools.wraps(function)
    def found(known: KnownLaw, **budget) -> dict:
        try:
            return function(known, **budget)
        except ArithmeticError as error:
            raise UsageError(
                f"{known.source}: its constants and this budget lead to numbers that "
                f"are too large or too small ({error})"
            ) from None

    return found


@_in_numbers
def advise(
    known: KnownLaw,
    *,
    flops: float | None = None,
    seconds: float | None = None,
    parameters: float | None = None,
    target_loss: float | None = None,
    inference_tokens: float | None = None,
    corpus_tokens: float | None = None,
    speed=None,
) -> dict:
    """Size, tokens, compute and loss for one budget: FLOPs, seconds, a size or a loss.

    inference_tokens: the tokens that the trained model will read and write.
    corpus_tokens: those of the text (default: of the law's own). speed: a function from
    a ModelConfig to {"flops_per_second": …}, measured; needed with `seconds`.

    C = 6ND counts training FLOPs as the law does; `machine` counts them exactly.
    Returns the keys of `plan --json`. Raises UsageError where the law has no answer.
    """
    wanted = {
        "flops": flops,
        "seconds": seconds,
        "parameters": parameters,
        "target_loss": target_loss,
    }
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if len(wanted) != 1:
        raise UsageError("give one of FLOPs, a time, a number of parameters, a loss")
    ((kind, budget),) = wanted.items()
    for name, value in {**wanted, "inference_tokens": inference_tokens}.items():
        if value is not None and not 0 < value < np.inf:
            raise UsageError(f"{name} must be a positive number, got {value}")
    _check(known)
    if kind == "seconds":
        if speed is None:
            raise UsageError("a time needs a speed: how many FLOPs a second")
        inside, amount = "flops", _flops_in(known, seconds, speed)
    else:
        inside, amount = kind, budget
    n, d = _best(known.law, inside, amount, known.tokens)
    if not np.isfinite(n) or not np.isfinite(d if d is not None else 0.0):
        raise UsageError(
            f"a loss of {target_loss} is not above the law's floor E = "
            f"{known.law.E:.4g}: no model reaches it"
        )
    loss = float(known.law.loss(n, d))
    answer = _point(known.law, n, d)
    answer["interval95"], without = _intervals(known, inside, amount)
    shape = nearest_shape(n, known.model)
    corpus_tokens = corpus_tokens or known.corpus_tokens
    result = {
        "budget": {"kind": kind, "value": budget},
        "law": {
            "law": known.formula,
            "y": known.y,
            "parameters": known.constants or known.law.constants,
            "interval95": known.interval95,
            "source": known.source,
            "ranges": known.ranges,
            "tokens": known.tokens,
        },
        "optimum": answer,
        "exponents": _exponents(known),
        "inference": None,
        "half_size": None,
        "corpus": None,
        "shape": _shape(shape),
        "text": known.text,
        "machine": _machine(shape, d, speed),
    }
    if known.law.B is not None:
        result["half_size"] = _half(known.law, n, d, loss)
        if inference_tokens:
            result["inference"] = _inference(known.law, n, d, loss, inference_tokens)
        if corpus_tokens:
            result["corpus"] = _corpus(known.law, n, d, corpus_tokens)
    result["warnings"] = [
        *warnings_about(known, result, inference_tokens),
        *without,
        *known.warnings,
    ]
    result["notes"] = list(known.notes)
    return result


def _check(known: KnownLaw) -> None:
    """Raises UsageError for a law without an optimum."""
    law = known.law
    pairs = {"size": (law.A, law.alpha)}
    if law.B is not None:
        pairs["tokens"] = law.B, law.beta
    elif known.tokens is None:
        raise UsageError(
            f"{known.source}: a law of N alone, which does not say for how many tokens "
            f"D: give a series, or a table with columns N, D and loss"
        )
    for what, (amplitude, exponent) in pairs.items():
        if not (amplitude > 0 and exponent > 0):
            raise UsageError(
                f"{known.source}: by its law more {what} lowers no loss: there is no "
                f"best size; add runs over a wider range"
            )


def _best(law: Law, kind: str, budget: float, tokens: float | None):
    """(N, D) for a budget; a law of N alone keeps its own D."""
    if law.B is None:
        by_kind = {
            "flops": lambda: budget / (6 * tokens),
            "parameters": lambda: budget,
            "target_loss": lambda: law.size_for_loss(budget),
        }
        return by_kind[kind](), tokens
    solve = {
        "flops": law.best_for_flops,
        "parameters": law.best_for_size,
        "target_loss": law.best_for_loss,
    }
    return solve[kind](budget)


def _flops_in(known: KnownLaw, seconds: float, speed) -> float:
    """The 6ND that a machine trains in these seconds.

    Its exact FLOPs per token (attention, head) and its speed depend on the shape, and
    the shape on the budget: a few rounds make them agree.
    """
    flops = seconds * FIRST_GUESS
    for _ in range(ROUNDS):
        n, _ = _best(known.law, "flops", flops, known.tokens)
        shape = nearest_shape(n, known.model)
        own = count.parameters(shape)["non_embedding"]
        tokens = seconds * speed(shape)["flops_per_second"]
        flops = 6 * own * tokens / count.flops_per_token(shape)
    return flops


def _point(law: Law, n: float, d: float) -> dict:
    return {
        "parameters": float(n),
        "tokens": float(d),
        "tokens_per_parameter": float(d / n),
        "flops": float(6 * n * d),
        "loss": float(law.loss(n, d)),
    }


def _intervals(known: KnownLaw, kind: str, budget: float) -> tuple[dict, list[str]]:
    """The 95 % intervals of an answer, over the resampled laws, and a warning where
    too many of them have no answer."""
    law = known.samples
    if law is None:
        return {}, []
    with np.errstate(all="ignore"):
        n, d = _best(law, kind, np.float64(budget), known.tokens)
        found = {"parameters": n, "tokens": d, "loss": law.loss(n, d)}
    sound = np.isfinite(found["loss"] + n + d) & (law.alpha > 0)
    if law.beta is not None:
        sound &= law.beta > 0
    without = 1 - np.mean(sound)
    if without > MOST_WITHOUT:
        return {}, [
            f"{without:.0%} of the laws that the data allow have no answer to this: it "
            f"has no interval; add seeds, or runs over a wider range"
        ]
    answer = {}
    for name, values in found.items():
        values = np.broadcast_to(values, sound.shape)[sound]
        if np.ptp(values) > 0:
            answer[name] = ends95(values).tolist()
    return answer, []


def _exponents(known: KnownLaw) -> dict | None:
    """Best N ∝ C^n and D ∝ C^d, where d = 1 − n; None for a law of N alone."""
    if known.law.B is None:
        return None
    n = float(known.law.size_exponent)
    interval = {}
    if known.samples is not None:
        interval["n"] = ends95(known.samples.size_exponent).tolist()
    return {"n": n, "d": 1 - n, "interval95": interval}


def _inference(law: Law, n: float, d: float, loss: float, tokens: float) -> dict:
    """The least FLOPs for training and use together, at the optimum's loss."""
    best_n, best_d = law.best_for_loss(loss, tokens)
    answer = _point(law, best_n, best_d)
    total = answer["flops"] + 2 * answer["parameters"] * tokens
    return {
        "inference_tokens": tokens,
        **answer,
        "total_flops": total,
        "saved": float(1 - total / (6 * n * d + 2 * n * tokens)),
    }


def _half(law: Law, n: float, d: float, loss: float) -> dict:
    """Half the size, trained until it reaches the same loss; None where it cannot."""
    tokens = float(law.tokens_for_loss(n / 2, loss))
    if not np.isfinite(tokens):
        least = float(law.loss(n / 2, np.inf))
        return {"parameters": n / 2, "tokens": None, "least_loss": least}
    return {**_point(law, n / 2, tokens), "extra_compute": tokens / (2 * d) - 1}


def _corpus(law: Law, n: float, d: float, unique: float) -> dict:
    """The answer on a text of so many tokens, read more than once if needed."""
    worth = effective_tokens(d, unique)
    needed = tokens_to_be_worth(d, unique)
    return {
        "unique_tokens": float(unique),
        "epochs": d / unique,
        "effective_tokens": worth,
        "loss": float(law.loss(n, worth)),
        "epochs_to_be_worth": None if needed is None else needed / unique,
    }


def _shape(shape) -> dict:
    names = ("arch", "n_layers", "d_model", "n_heads", "vocab_size", "context")
    return {
        **{name: getattr(shape, name) for name in names},
        "parameters": count.parameters(shape),
        "flops_per_token": count.flops_per_token(shape),
    }


def _machine(shape, tokens: float, speed) -> dict:
    """The cost of training the nearest shape on so many tokens here."""
    exact = count.flops_per_token(shape) * tokens
    answer = {"flops": float(exact), "memory_bytes": memory_bytes(shape)}
    if speed is None:
        return {**answer, "seconds": None}
    measured = speed(shape)
    seconds = float(exact / measured["flops_per_second"])
    return {**answer, "seconds": seconds, **measured}
