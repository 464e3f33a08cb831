"""Runs begun by an earlier minillm: is their text still read in the same tokens?"""

import re
from pathlib import Path

from minillm.errors import DataError, option
from minillm.learning.config import SUBWORDS, TrainConfig
from minillm.learning.data import TABLES, read_corpus
from minillm.runs.record import FORMAT
from minillm.runs.run import hashes, read_record
from minillm.text import OBJECTIVES
from minillm.text.tokenizer.chunks import CHUNK_CHARACTERS, EDGE

_LINE_ENDS_AFTER_SPACE = re.compile(r"\S[^\S\n]+\n")


def check_reading(path: str | Path, record: dict) -> None:
    """DataError where the run at `path`, which is to go on as `record` says, was begun
    in an earlier format and read its text in other tokens."""
    began = read_record(path)
    if began.get("format", 1) == FORMAT:
        return
    same = hashes(began) == hashes(record) and all(
        began["data"][part] == record["data"][part]
        for part in ("train_tokens", "val_tokens")
    )
    if not (same and _same_tokens(TrainConfig.from_json(record["options"]))):
        raise DataError(
            f"{path}: an earlier minillm began it and read the text in other tokens, "
            f"or {record['data']['name']} has changed since: finish it with the "
            f"minillm of that time, or begin it again with another {option('out')}"
        )


def _same_tokens(config: TrainConfig) -> bool:
    kind = OBJECTIVES[config.objective].kind
    if config.tokenizer not in SUBWORDS or kind in TABLES:
        return True
    corpus = read_corpus(config.data, kind)
    texts = [corpus.train, corpus.val]
    if kind == "passages":
        if config.tokenizer == "wordpiece":  # makes nothing of white space
            return True
        texts = corpus.documents("train") + corpus.documents("val")
    return all(read_alike(text, kind) for text in texts)


def read_alike(text: str, kind: str) -> bool:
    """Whether format 1 of run.json and the present one give a text the same tokens, by
    tokenizers of subwords, for examples of this kind ("windows" or "passages").

    Until format 2 a piece ended before a line end that followed a visible character,
    and without such a line end anywhere; white space before a line end stood at the end
    of a sentence.
    """
    if kind == "passages":
        return not _LINE_ENDS_AFTER_SPACE.search(text)
    start = 0
    while len(text) - start > CHUNK_CHARACTERS:
        stop = start + CHUNK_CHARACTERS
        line_end = text.rfind("\n", start + 1, stop)
        while line_end > 0 and text[line_end - 1].isspace():
            line_end = text.rfind("\n", start + 1, line_end)
        if line_end <= 0 and not EDGE.match(text, stop - 1):
            return False
        start = line_end if line_end > 0 else stop
    return True
