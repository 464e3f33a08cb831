"""Continuing a text: prompts in, what a causal model writes after them out."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from minillm.errors import UsageError
from minillm.generation.beams import beam_search
from minillm.generation.decoder import Decoder
from minillm.generation.sampling import Sampling
from minillm.generation.text_stream import TextStream
from minillm.models import GPT
from minillm.training.run_folder.run import Run, load_run


def generate(
    run: Run | str,
    prompt: str | list[str],
    *,
    max_tokens: int = 100,
    temperature: float = 0.8,
    stop: str | Sequence[str] = (),
    seed: int = 0,
    n: int = 1,
    beams: int | None = None,
    cached: bool = True,
    **filters,
) -> str | list:
    """The continuation of a prompt, without the prompt.

    `run` is a run (`load_run`) or the path of one. A temperature of 0 takes the
    likeliest token every time. `filters` are those of `Sampling`: `top_k`, `top_p`,
    `min_p`, `repetition_penalty`. The text ends before `stop`, or the first of several.
    The same seed draws the same.

    With `n` above 1 a list of n continuations; for a list of prompts, a list with what
    one prompt would give each. All are decoded as one batch, and come out as they would
    one by one. `cached=False` computes every column anew: the same text, slower.

    `beams` looks for the n likeliest texts by beam search. Nothing is drawn then: the
    temperature and the seed have no say, and filters are refused.

    Raises UsageError for a model that is not causal and for settings out of range.
    """
    run = open_causal(run)
    prompts = [prompt] if isinstance(prompt, str) else prompt
    prompt_ids = [encode_prompt(run, each) for each in prompts]
    if beams is None:
        texts = _draw_texts(
            run,
            prompt_ids,
            stop,
            max_tokens=max_tokens,
            sampling=Sampling(temperature, **filters),
            seed=seed,
            n=n,
            cached=cached,
        )
    elif Sampling(**filters) != Sampling():
        names = ", ".join(filters)
        raise UsageError(f"beams draw nothing: leave out {names}, or the beams")
    else:
        texts = _search_texts(run, prompt_ids, stop, max_tokens, n, beams)
    groups = [texts[i : i + n] for i in range(0, len(texts), n)]
    results = [group[0] for group in groups] if n == 1 else groups
    return results[0] if isinstance(prompt, str) else results


def _draw_texts(run: Run, prompt_ids, stop, *, n: int, **options) -> list[str]:
    streams = [
        TextStream(run.tokenizer, stop, after=ids)
        for ids in prompt_ids
        for _ in range(n)
    ]
    texts = [""] * len(streams)
    for row, token in draw_tokens(
        run.model, prompt_ids, n=n, ended=lambda row: streams[row].ended, **options
    ):
        texts[row] += streams[row].push(token)
    return [text + each.finish() for text, each in zip(texts, streams, strict=True)]


def _search_texts(run: Run, prompt_ids, stop, max_tokens, n, beams) -> list[str]:
    def text_of(new, after) -> tuple[str, bool]:
        pieces = TextStream(run.tokenizer, stop, after)
        text = "".join([*map(pieces.push, new), pieces.finish()])
        return text, pieces.ended

    return [
        text_of(each.ids, ids)[0]
        for ids in prompt_ids
        for each in beam_search(
            run.model,
            ids,
            beams=beams,
            max_tokens=max_tokens,
            n=n,
            ended=lambda new, ids=ids: bool(stop) and text_of(new, ids)[1],
        )
    ]


def stream(
    run: Run | str,
    prompt: str,
    *,
    max_tokens: int = 100,
    temperature: float = 0.8,
    stop: str | Sequence[str] = (),
    seed: int = 0,
    **filters,
) -> Iterator[str]:
    """The pieces of `generate`'s text, each as soon as it is certain."""
    run = open_causal(run)
    ids = encode_prompt(run, prompt)
    pieces = TextStream(run.tokenizer, stop, after=ids)
    for _, token in draw_tokens(
        run.model,
        [ids],
        max_tokens=max_tokens,
        sampling=Sampling(temperature, **filters),
        seed=seed,
        ended=lambda row: pieces.ended,
    ):
        yield pieces.push(token)
    yield pieces.finish()


def open_causal(run: Run | str) -> Run:
    """A run that can continue a text. Raises UsageError for any other."""
    run = run if isinstance(run, Run) else load_run(run)
    if not run.model.causal:
        raise UsageError(
            f"{run.path}: is a masked model, which sees both sides of a word: it fills "
            f"gaps (`minillm fill`) and cannot continue a text"
        )
    return run


def encode_prompt(run: Run, prompt: str) -> np.ndarray:
    """The ids to go on from; after nothing, a text begins as after a line's end.

    Raises UsageError for wordpiece, which has no line ends, after nothing.
    """
    ids = run.tokenizer.encode(prompt)
    ids = ids if len(ids) else run.tokenizer.encode("\n")
    if not len(ids):
        raise UsageError(
            f"{run.path}: its {run.tokenizer.kind} tokens have no line ends to begin "
            "after: give a prompt of a word at least"
        )
    return ids


def n_unseen(run: Run, prompt: str) -> int:
    """How many of a prompt's first tokens lie before what the model sees at once."""
    return max(0, len(encode_prompt(run, prompt)) - run.model.config.context)


def draw_tokens(
    model: GPT,
    prompts: Sequence,
    *,
    max_tokens: int,
    sampling: Sampling,
    seed: int = 0,
    n: int = 1,
    cached: bool = True,
    ended: Callable[[int], bool] = lambda row: False,
) -> Iterator[tuple[int, int]]:
    """What a model writes after each prompt: pairs of a row and its next token.

    There are n rows for each prompt, in order. A row gets tokens until it has
    `max_tokens` or `ended(row)`. Row j of a prompt draws from the random stream
    (seed, j), whatever stands beside it. Raises UsageError for settings out of range.
    """
    for name, value, least in (
        ("seed", seed, 0),
        ("max_tokens", max_tokens, 0),
        ("n", n, 1),
    ):
        if value < least:
            raise UsageError(f"{name} must be at least {least}, got {value}")
    if len(prompts) == 0:
        return
    rows = list(range(n * len(prompts)))
    rngs = [np.random.default_rng((seed, row % n)) for row in rows]
    decoder = Decoder(model, prompts, cached=cached)
    decoder.logits()  # each prompt is read once, whatever n is
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
