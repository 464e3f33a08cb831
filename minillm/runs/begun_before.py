"""Runs begun by an earlier minillm: is their text still read in the same tokens?"""

from pathlib import Path

from minillm.errors import DataError
from minillm.learning.config import SUBWORDS, TrainConfig
from minillm.learning.data import TABLES, read_corpus
from minillm.runs.record import FORMAT
from minillm.runs.run import hashes, read_record
from minillm.text import OBJECTIVES
from minillm.text.earlier import read_alike


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
    if not (same and _read_alike(TrainConfig.from_json(record["options"]))):
        raise DataError(
            f"{path}: an earlier minillm began it and read the text in other tokens, "
            f"or {record['data']['name']} has changed since: finish it with the "
            f"minillm of that time, or begin it again with another --out"
        )


def _read_alike(config: TrainConfig) -> bool:
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
