"""Warnings about an advice: one sentence each."""

import itertools

from minillm.errors import call, option
from minillm.studies.advice.source import KnownLaw

FAR = 0.2  # the relative error of a shape's size


def warnings_about(
    known: KnownLaw, answer: dict, inference_tokens: float | None
) -> list[str]:
    """All warnings about an answer of `advise`, the gravest first."""
    return [
        *_one_length(known, inference_tokens),
        *_outside(known, answer),
        *_no_such_shape(answer),
        *_flat(known),
        *_repeated(answer["corpus"]),
        *_longer_than_text(answer),
        *_other_speed(answer),
    ]


def _one_length(known: KnownLaw, inference_tokens: float | None):
    if known.law.B is not None:
        return
    yield (
        f"every run behind this law read {known.tokens:.4g} tokens: it says how loss "
        f"falls with N at that length, not how to share compute between N and D; train "
        f"a series with branches (`{call('scale', preset='hour')}`)"
    )
    if inference_tokens:
        yield "for the same reason it cannot weigh training against use"


def _outside(known: KnownLaw, result: dict):
    """Answers beyond the measured ranges, and how far."""
    points = {"": result["optimum"]}
    if result["inference"]:
        points["with inference, "] = result["inference"]
    for where, name in itertools.product(points, known.ranges):
        low, high = known.ranges[name]
        value = points[where]["parameters" if name == "N" else "tokens"]
        if not low <= value <= high:
            factor = value / high if value > high else low / value
            yield (
                f"{where}{name} = {value:.3g} lies {factor:.3g} times "
                f"{'above' if value > high else 'below'} the measured range "
                f"({low:.3g} to {high:.3g}): an extrapolation"
            )


def _no_such_shape(answer: dict):
    """Answers without a shape of nearly that size, as below the smallest one."""
    wanted = answer["optimum"]["parameters"]
    found = answer["shape"]["parameters"]["non_embedding"]
    if abs(found / wanted - 1) > FAR:
        yield (
            f"the nearest shape has {found:.3g} parameters, not {wanted:.3g}: its time "
            f"and memory are not those of the answer"
        )


def _flat(known: KnownLaw):
    """Exponents that may be 0, unless the fit has warned of that itself."""
    for name in ("alpha", "beta"):
        low, high = known.interval95.get(name) or (None, None)
        said = any(name in w and "from 0" in w for w in known.warnings)
        if low is not None and low <= 1e-6 and not said:
            yield (
                f"{name} is not distinguishable from 0 (95 % interval {low:.3g} to "
                f"{high:.3g}): so is the answer; widen the range or add seeds"
            )


def _repeated(corpus: dict | None):
    if corpus is None or corpus["epochs"] <= 1:
        return
    more = "no number of epochs makes up for it"
    if corpus["epochs_to_be_worth"]:
        more = f"{corpus['epochs_to_be_worth']:.3g} epochs would make up for it"
    yield (
        f"the text has {corpus['unique_tokens']:.3g} tokens: read "
        f"{corpus['epochs']:.3g} times, they are worth "
        f"{corpus['effective_tokens']:.3g} fresh ones, a loss of "
        f"{corpus['loss']:.4g}; {more}"
    )


def _longer_than_text(answer: dict):
    corpus, used = answer["corpus"], answer["inference"]
    if corpus and used and used["tokens"] > corpus["unique_tokens"]:
        epochs = used["tokens"] / corpus["unique_tokens"]
        yield (
            f"with inference, D is {epochs:.3g} times the text: repeated tokens are "
            f"worth less, which this answer leaves out"
        )


def _other_speed(answer: dict):
    arch, machine = answer["shape"]["arch"], answer["machine"]
    if arch != "gpt" and "measured_on" in machine:
        yield (
            f"the speed was measured on a gpt ({machine['measured_on']}), which {arch} "
            f"models may not reach; give their own with {option('speed')}"
        )
