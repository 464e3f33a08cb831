"""Embeddings: a vector for a text, such that like texts have like vectors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minillm import backend
from minillm.files import replacing
from minillm.runs.run import Run, open_run
from minillm.tasks.reading import batches, encoded, reading
from minillm.tensor import Tensor
from minillm.text import Batch
from minillm.text.template import BARE_TEMPLATE


def embed(run: Run | str, texts: Sequence[str]) -> np.ndarray:
    """A vector of length 1 for each text.   n texts -> (n, D) float32

    It is the mean of what the last layer makes of the text's tokens, unless the model
    has another `pooling`; of an encoder–decoder, the encoder's last. A text longer
    than the context is read in windows of it, by a sentence encoder only in its first;
    equal texts are read once. `run` is a run of any architecture (`load_run`) or the
    path of one.
    Raises UsageError for an empty text.
    """
    run = open_run(run)
    texts = [texts] if isinstance(texts, str) else texts
    # In batches of other lengths the vector of the same text is rounded otherwise.
    distinct = list(dict.fromkeys(texts))
    config, tokenizer = run.model.config, run.tokenizer
    template = tokenizer.template or BARE_TEMPLATE
    frame = [tokenizer.specials[name] for name in template.specials]
    length = tokenizer.room(config.context)
    windows, owners = [], []
    for text, ids in enumerate(encoded(run, distinct)):
        end = 1 if config.encodes_sentences else len(ids)
        cuts = range(0, end, length)
        windows += [ids[cut : cut + length] for cut in cuts]
        owners += [text] * len(cuts)
    owners = np.array(owners, np.int64)
    sums = np.zeros((len(distinct), config.d_model), np.float32)
    with reading(run.model):
        for rows, batch in batches(run, windows):
            counted = _counted(config.pooling, batch, frame)
            vectors = _sums(_last_layer(run.model, batch), counted)
            np.add.at(sums, owners[rows], vectors)
    # The length takes care of the number of tokens.
    vectors = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    place = {text: i for i, text in enumerate(distinct)}
    return vectors[[place[text] for text in texts]]


def _counted(pooling: str, batch: Batch, frame: list[int]) -> np.ndarray:
    """The tokens whose vectors are added up: `ModelConfig.pooling`.   (B, T) bool"""
    match pooling:
        case "text":
            return batch.mask & ~np.isin(batch.ids, frame)
        case "mean":
            return batch.mask
        case "cls":
            return batch.mask & (np.arange(batch.ids.shape[1]) == 0)


def _last_layer(model, batch: Batch) -> Tensor:
    """What it makes of each token.   -> (B, T, D)"""
    if model.config.arch == "encdec":
        return model.encode(batch.ids, mask=batch.mask)
    return model.read(batch)


def _sums(x: Tensor, own: np.ndarray) -> np.ndarray:
    """Over the tokens that count.   (B, T, D), (B, T) -> (B, D), on the host"""
    weights = backend.current().asarray(own[:, None, :].astype(x.dtype))
    return (Tensor(weights) @ x).numpy()[:, 0]


def save_vectors(path: Path, vectors: np.ndarray) -> None:
    """Write what `numpy.load` reads. Raises DataError where the disk refuses."""
    with replacing(path, through=True) as temporary, temporary.open("wb") as file:
        np.save(file, vectors)
