"""Exact match, BLEU and ROUGE of the texts that an encoder–decoder writes."""

import importlib.util
import re
from collections.abc import Sequence

from minillm.errors import install
from minillm.generation import generate
from minillm.runs.run import Run
from minillm.text import Tokenizer, spread

MOST = 1000  # answers that are written to measure a run
CHINESE = "\u3400-\u4dbf\u4e00-\u9fff"
WORD = re.compile(f"[{CHINESE}]|[^\\W_{CHINESE}]+")
INSTALL = f"for BLEU and ROUGE-L: {install('scores')}"


def measure(run: Run, rows: Sequence[tuple[str, str]]) -> dict:
    """How near its answers, the likeliest token each time, come to the targets.

    `exact_match` is the share that is right to the letter, `answers` how many were
    written, of rows at equal distances; for the others see `scores`.
    """
    rows = [rows[i] for i in spread(len(rows), MOST)]
    sources, targets = zip(*rows, strict=True)
    written = generate(run, list(sources), temperature=0)
    pairs = zip(written, targets, strict=True)
    right = sum(_is_right(run.tokenizer, *pair) for pair in pairs)
    return {
        "answers": len(rows),
        "exact_match": right / len(rows),
        **scores(written, targets),
    }


def scores(written: Sequence[str], targets: Sequence[str]) -> dict:
    """`bleu` of all texts together (0 to 100), with sacrebleu's signature, which says
    what it was computed with; `rouge_l`, the mean F-measure of ROUGE-L (0 to 1).

    Papineni et al. 2002 as by Post 2018; Lin 2004, section 3. All None without the
    extra `scores`. Chinese is compared by its characters.
    """
    if not installed():
        return dict.fromkeys(("bleu", "bleu_signature", "rouge_l"))
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU

    chinese = any(re.search(f"[{CHINESE}]", text) for text in targets)
    bleu = BLEU(tokenize="zh" if chinese else "13a")
    found = bleu.corpus_score(written, [targets])
    rouge = RougeScorer(["rougeL"], tokenizer=Words())
    each = [
        rouge.score(target, text)["rougeL"].fmeasure
        for target, text in zip(targets, written, strict=True)
    ]
    return {
        "bleu": found.score,
        "bleu_signature": str(bleu.get_signature()),
        "rouge_l": sum(each) / len(each),
    }


def installed() -> bool:
    """Whether the extra `scores` is there."""
    return all(map(importlib.util.find_spec, ("rouge_score", "sacrebleu")))


class Words:
    """What ROUGE compares: lower-cased words of any script, and each Chinese character.

    Of the library's own tokenizer nothing is left but a to z and digits.
    """

    def tokenize(self, text: str) -> list[str]:
        return WORD.findall(text.lower())


def _is_right(tokenizer: Tokenizer, written: str, target: str) -> bool:
    """White space aside, where the tokenizer keeps none."""
    if not tokenizer.keeps_spaces:
        written, target = "".join(written.split()), "".join(target.split())
    return written == target
