"""Writing a text: prompts or sources in, what a model writes for them out."""

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral

import numpy as np

from minillm.errors import UsageError
from minillm.generation.beams import beam_search
from minillm.generation.decoder import MOST_ROWS, Decoder
from minillm.generation.prompt import Opening, begin, reads_source
from minillm.generation.sampling import Sampling
from minillm.generation.text_stream import TextStream
from minillm.generation.writer import keeps_a_cache, open_writer
from minillm.nn import Module
from minillm.runs.run import Run
from minillm.text import Tokenizer

# What the caches of the rows that are written at a time hold: 256 MB of float32.
CACHED_NUMBERS = 1 << 26


def generate(
    run: Run | str | Module,
    prompt: str | list[str],
    *,
    tokenizer: Tokenizer | None = None,
    context: int | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    stop: str | Sequence[str] = (),
    seed: int = 0,
    n: int = 1,
    beams: int | None = None,
    cached: bool = True,
    **filters,
) -> str | list:
    """The continuation of a prompt, without the prompt; or the answer to a source.

    `run` is a run (`load_run`) or the path of one; or a model, with its `tokenizer`. A
    module of one's own has `logits(ids)`, (B, T) -> (B, T, V), or is called so. It
    keeps nothing between two tokens: it reads the text again for each, the last
    `context` tokens of it (the model's own `context`, if it has one).

    A causal model continues the prompt
    by `max_tokens` (100). White space at its end is not read: the first token must
    begin with it, as that of a word does in BPE. An encoder–decoder reads a prompt, of
    one longer than its context the beginning, and writes a text of its own until that
    is complete, or has `max_tokens`, or as many as the context.

    A temperature of 0 takes the likeliest token every time. It is 0.8 unless given; for
    an encoder–decoder 0, unless `n` or a filter asks for draws. `filters` are those of
    `Sampling`: `top_k`, `top_p`, `min_p`, `repetition_penalty`. The text ends before
    `stop`, or the first of several. The same seed draws the same.

    With `n` above 1 a list of n texts; for a list of prompts, a list with what one
    prompt would give each. They are decoded many at a time, and come out as they would
    one by one. `cached=False` computes every column anew: the same text, slower.

    `beams` looks for the n likeliest texts by beam search, no two alike, and finds
    fewer where there are no more. Nothing is drawn then: the seed has no say, and the
    temperature and filters are refused.

    Raises UsageError for a run that does not write and for settings out of range.
    """
    _check_whole("n", n, 1)
    run = open_writer(run, tokenizer, context)
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    options = {
        "max_tokens": usual_length(run, max_tokens),
        "n": n,
        "cached": cached and keeps_a_cache(run),
    }
    if beams is None:
        sampling = usual_sampling(run, temperature, n=n, **filters)
        groups = _draw_texts(
            run, prompts, stop, sampling=sampling, seed=seed, **options
        )
    elif given := _draws(temperature, filters):
        names = ", ".join(given)
        raise UsageError(f"beams draw nothing: leave out {names}, or the beams")
    else:
        groups = [
            _search_texts(run, each, stop, beams=beams, **options) for each in prompts
        ]
    results = [group[0] for group in groups] if n == 1 else groups
    return results[0] if isinstance(prompt, str) else results


def _check_whole(name: str, value: int, least: int) -> None:
    if not isinstance(value, Integral):
        raise UsageError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise UsageError(f"{name} must be at least {least}, got {value}")


def usual_length(run: Run, max_tokens: int | None) -> int:
    """How many tokens are written where `max_tokens` are asked for, or nothing said."""
    if not reads_source(run):
        return 100 if max_tokens is None else max_tokens
    # It ends by itself; and beyond its context it could only forget what it has said,
    # which is no way to finish an answer.
    context = run.model.config.context
    return context if max_tokens is None else min(max_tokens, context)


def usual_sampling(
    run: Run, temperature: float | None = None, *, n: int = 1, **filters
) -> Sampling:
    """The sampling asked for, with the run's usual temperature where none is given."""
    if temperature is None:
        asked = (filters.get(name) for name in ("top_k", "top_p", "min_p"))
        draws = n > 1 or any(value is not None for value in asked)
        temperature = 0.8 if draws or not reads_source(run) else 0.0
    return Sampling(temperature, **filters)


def _draws(temperature: float | None, filters: dict) -> list[str]:
    """The settings among these that are about draws."""
    given = [name for name, v in filters.items() if v != getattr(Sampling, name)]
    return given if temperature is None else ["temperature", *given]


def _draw_texts(
    run: Run, prompts, stop, *, n: int, cached: bool, **options
) -> list[list[str]]:
    """n texts for each prompt."""
    if n > MOST_ROWS:
        raise UsageError(f"n must be at most {MOST_ROWS:,}, got {n}")
    groups = []
    at_a_time = _prompts_at_a_time(run, n) if cached else len(prompts)
    for first in range(0, len(prompts), at_a_time):
        part = prompts[first : first + at_a_time]
        decoder, openings = begin(run, part, cached=cached)
        streams = [_stream(run, stop, each) for each in openings for _ in range(n)]
        texts = [""] * len(streams)
        for row, piece in _pieces(decoder, streams, n=n, **options):
            texts[row] += piece
        groups += [texts[i : i + n] for i in range(0, len(texts), n)]
    return groups


def _stream(run: Run, stop, opening: Opening) -> TextStream:
    return TextStream(run.tokenizer, stop, after=opening.ids, owed=opening.owed)


def _pieces(
    decoder: Decoder, streams: list[TextStream], *, max_tokens: int, **options
) -> Iterator[tuple[int, str]]:
    """What is drawn after each sequence: pairs of a row and the next piece of its
    text. The white space that a prompt ends in is no token of the text."""
    owing = max_tokens > 0 and decoder.first is not None
    for row, token in draw_tokens(
        decoder,
        max_tokens=max_tokens + owing,
        ended=lambda row: streams[row].ended or streams[row].n_tokens == max_tokens,
        **options,
    ):
        yield row, streams[row].push(token)
    for row, each in enumerate(streams):
        yield row, each.finish()


def _prompts_at_a_time(run: Run, n: int) -> int:
    config = run.model.config
    # Keys and values of each layer, and as many of a source.
    kinds = 4 if reads_source(run) else 2
    numbers = kinds * config.n_layers * config.context * config.d_model
    return max(1, CACHED_NUMBERS // numbers // max(1, n))


def _search_texts(run: Run, prompt, stop, *, cached: bool, **options) -> list[str]:
    """The likeliest texts for one prompt."""
    decoder, (opening,) = begin(run, [prompt], cached=cached)
    found = beam_search(decoder, text=_stream(run, stop, opening), **options)
    return [each.text for each in found]


def stream(
    run: Run | str | Module,
    prompt: str,
    *,
    tokenizer: Tokenizer | None = None,
    context: int | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    stop: str | Sequence[str] = (),
    seed: int = 0,
    **filters,
) -> Iterator[str]:
    """The pieces of `generate`'s text, each as soon as it is certain."""
    run = open_writer(run, tokenizer, context)
    decoder, (opening,) = begin(run, [prompt], cached=keeps_a_cache(run))
    for _, piece in _pieces(
        decoder,
        [_stream(run, stop, opening)],
        max_tokens=usual_length(run, max_tokens),
        sampling=usual_sampling(run, temperature, **filters),
        seed=seed,
    ):
        yield piece


def draw_tokens(
    decoder: Decoder,
    *,
    max_tokens: int,
    sampling: Sampling,
    seed: int = 0,
    n: int = 1,
    ended: Callable[[int], bool] = lambda row: False,
) -> Iterator[tuple[int, int]]:
    """What is written after each sequence: pairs of a row and its next token.

    There are n rows for each sequence, in order. A row gets tokens until it has
    `max_tokens` or `ended(row)`. Row j of a sequence draws from the random stream
    (seed, j), whatever stands beside it. Raises UsageError for settings out of range.
    """
    for name, value, least in (
        ("seed", seed, 0),
        ("max_tokens", max_tokens, 0),
        ("n", n, 1),
    ):
        _check_whole(name, value, least)
    rows = list(range(n * len(decoder.sequences)))
    rngs = [np.random.default_rng((seed, row % n)) for row in rows]
    decoder.logits()  # each sequence is read once, whatever n is
    decoder.select([row // n for row in rows])
    for _ in range(max_tokens):
        tokens = [
            sampling.draw(logits, seen, rngs[row])
            for row, logits, seen in zip(
                rows, decoder.logits(), decoder.sequences, strict=True
            )
        ]
        decoder.append(tokens)
        yield from zip(rows, tokens, strict=True)
        going = [i for i, row in enumerate(rows) if not ended(row)]
        if not going:
            return
        if len(going) < len(rows):
            decoder.select(going)
            rows = [rows[i] for i in going]
