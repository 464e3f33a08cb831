"""Tokenizers that the library `tokenizers` trains and runs: what they share."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tokenizers

from minillm.errors import DataError, UsageError
from minillm.text.template import Template
from minillm.text.tokenizer.base import Tokenizer

# What two processors put around one text, and around two.
FRAMES = {
    "BertProcessing": ("{cls} $A {sep}", "{cls} $A {sep} $B:1 {sep}:1"),
    "RobertaProcessing": ("{cls} $A {sep}", "{cls} $A {sep} {sep} $B {sep}"),
}
# An encoding holds far more than its ids, so that larger batches are slower again.
BATCH_CHARACTERS = 1 << 20
BATCH_PARTS = 256


class LibraryTokenizer(Tokenizer):
    """A tokenizer of the library, kept in the library's own form of tokenizer.json.

    Its template is the library's post-processor, a `TemplateProcessing`.
    """

    def __init__(
        self, library: tokenizers.Tokenizer, template: Template | None = None
    ) -> None:
        # Text is text, "[MASK]" in it too (tokenizer.json does not keep this), and all
        # of it counts, whatever the maker of the file did about long and short texts.
        library.encode_special_tokens = True
        library.no_truncation()
        library.no_padding()
        specials = {
            token.content: i
            for i, token in sorted(library.get_added_tokens_decoder().items())
            if token.special
        }
        size = library.get_vocab_size(with_added_tokens=True)
        super().__init__(size, specials, template)
        if template is not None:
            library.post_processor = post_processor(template, specials)
        self._library = library
        self.needs_all = _needs_all(library)

    def with_specials(self, names: Iterable[str]) -> "LibraryTokenizer":
        library = tokenizers.Tokenizer.from_str(self._library.to_str())
        library.add_special_tokens(list(names))
        return type(self)(library, self.template)

    def _encode(self, parts: Iterator[str]) -> Iterator[np.ndarray]:
        for batch in batches(parts):
            with panics_told():
                found = self._library.encode_batch_fast(batch, add_special_tokens=False)
            for encoding in found:
                yield np.array(encoding.ids, np.int32)

    def _decode(self, ids: list[int]) -> str:
        with panics_told():
            return self._library.decode(ids, skip_special_tokens=False)

    def to_json(self) -> str:
        return self._library.to_str(pretty=True)


def _needs_all(library: tokenizers.Tokenizer) -> bool:
    """Whether a tokenizer treats the two ends of a text in a way of their own, or parts
    it nowhere that `chunks.py` knows of."""
    normalizer, words = (
        b"" if part is None else part.__getstate__()
        for part in (library.normalizer, library.pre_tokenizer)
    )
    ends = b'"Strip"' in normalizer or b'prefix_space":true' in words
    parting = (b'"use_regex":true', b'"Split"', b'"Whitespace"', b'"BertPreTokenizer"')
    return ends or not any(part in words for part in parting)


@contextlib.contextmanager
def panics_told() -> Iterator[None]:
    """Turn a panic of the library, which is no Exception and so would pass all who
    wait for one, into a DataError."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        reason = f"tokenizer.json: the library fails with it ({error})"
        raise DataError(reason) from None


def post_processor(template: Template, specials: Mapping[str, int]):
    return tokenizers.processors.TemplateProcessing(
        single=template.single.split(),
        pair=template.pair and template.pair.split(),
        special_tokens=[(name, specials[name]) for name in template.specials],
    )


def from_json(settings: dict) -> tokenizers.Tokenizer:
    """The library's tokenizer, from exactly what was checked."""
    try:
        with panics_told():
            library = tokenizers.Tokenizer.from_str(json.dumps(settings))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(error) from error
    ids = sorted(library.get_vocab().values())
    if ids != list(range(len(ids))):
        raise ValueError("its ids are not the whole numbers from 0")
    return library


def template_of(file: dict) -> Template | None:
    """The template in the library's tokenizer.json, None where there is none.

    Raises ValueError, KeyError or TypeError for a damaged one.
    """
    processor = file.get("post_processor") or {"type": None}
    parts = processor.get("processors", [processor])
    of_kind = {part["type"]: part for part in parts}
    for kind, (single, pair) in FRAMES.items():
        if kind in of_kind:
            names = {end: of_kind[kind][end][0] for end in ("cls", "sep")}
            return Template(single.format(**names), pair.format(**names))
    processor = of_kind.get("TemplateProcessing")
    if processor is None:
        return None
    single, pair = (
        " ".join(map(_word, processor[form])) for form in ("single", "pair")
    )
    marked = any("SpecialToken" in part for part in processor["pair"])
    template = Template(single, pair if marked else None)
    ids = {token["content"]: token["id"] for token in file["added_tokens"]}
    for name in template.specials:
        if processor["special_tokens"][name]["ids"] != [ids[name]]:
            raise ValueError(f"the template has another id for {name}")
    return template


def _word(part: dict) -> str:
    """A part of the library's template as it is written: $A, or [SEP]:1."""
    ((kind, token),) = part.items()
    name = f"${token['id']}" if kind == "Sequence" else token["id"]
    return f"{name}:{token['type_id']}" if token["type_id"] else name


def n_words(text: str, library: tokenizers.Tokenizer) -> int:
    """How many words a tokenizer parts a text into. No token is longer than a word."""
    if library.normalizer is not None:
        text = library.normalizer.normalize_str(text)
    return len(library.pre_tokenizer.pre_tokenize_str(text))


def refuse_words(specials: Iterable[str], library: tokenizers.Tokenizer) -> None:
    """UsageError for a special token to which a word of the text could encode."""
    for name in specials:
        if n_words(name, library) < 2:
            raise UsageError(
                f"special token {name!r}: could be a word of the text, unlike [{name}]"
            )


def batches(parts: Iterator[str]) -> Iterator[list[str]]:
    """The parts in batches, which the library shares out to the cores."""
    batch, size = [], 0
    for part in parts:
        batch.append(part)
        size += len(part)
        if size >= BATCH_CHARACTERS or len(batch) == BATCH_PARTS:
            yield batch
            batch, size = [], 0
    yield batch
