"""A small world of texts: three topics, each with words of its own.

Without labels there is plenty of text on all of the words. The labelled rows use half
of each topic's words; which topic the other half belongs to, only the plain text tells.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from minillm import train
from minillm.runs.logbook import Silent

TOPICS = ("animals", "bread", "coins")
SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
N_WORDS, N_COMMON = 10, 6  # of each topic, and of none


@dataclass(frozen=True)
class World:
    """`plain` is a file of texts, `labelled` one of texts and labels; `further` texts
    with their labels are all of words that no labelled row has."""

    folder: Path
    plain: str
    labelled: str
    further: list[tuple[str, str]]


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    rng = np.random.default_rng(0)
    drawn = rng.choice(len(SYLLABLES) ** 2, len(TOPICS) * N_WORDS + N_COMMON, False)
    spelled = [SYLLABLES[i // 70] + SYLLABLES[i % 70] for i in drawn.tolist()]
    common, own = spelled[:N_COMMON], np.reshape(spelled[N_COMMON:], (-1, N_WORDS))

    def sentences(words, n: int) -> list[tuple[str, str]]:
        rows = []
        for topic in rng.integers(len(TOPICS), size=n):
            length = rng.integers(8, 12)
            text = np.where(
                rng.random(length) < 0.8,
                rng.choice(words[topic], length),
                rng.choice(common, length),
            )
            rows.append((" ".join(text), TOPICS[topic]))
        return rows

    folder = tmp_path_factory.mktemp("world")
    plain = "".join(f"{text}.\n" for text, _ in sentences(own, 2500))
    (folder / "plain.txt").write_text(plain, encoding="utf-8")
    half = N_WORDS // 2
    rows = sentences(own[:, :half], 90)
    labelled = "".join(f"{text}\t{topic}\n" for text, topic in rows)
    (folder / "labelled.tsv").write_text(labelled, encoding="utf-8")
    return World(
        folder,
        str(folder / "plain.txt"),
        str(folder / "labelled.tsv"),
        sentences(own[:, half:], 200),
    )


@pytest.fixture(scope="session")
def pretrained(world):
    """A function that gives a run of this architecture that has read the plain texts.

    Each is trained once.
    """

    def run(arch: str) -> str:
        out = world.folder / arch
        train(
            objective="clm" if arch == "gpt" else "mlm",
            arch=arch,
            norm="pre",
            tokenizer="wordpiece",
            vocab=400,
            n_layers=1,
            d_model=32,
            context=16,
            batch=64,
            steps=300,
            eval_every=300,
            data=world.plain,
            out=out,
            device="cpu",
            workers="1",
            draw=False,
            reporter=Silent(),  # a second call finds the run finished
        )
        return str(out)

    return run
