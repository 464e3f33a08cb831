"""An exported run scored by transformers, from the text on: its loss and its accuracy
are those that `minillm eval` gives the run."""

import numpy as np
import pytest

from minillm import export_folder, load_run, train
from minillm.learning.data import read_corpus
from minillm.runs.evaluation import evaluate_run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
CONTEXT = 24
BASE = {
    "size": "pico",
    "device": "cpu",
    "workers": "1",
    "context": CONTEXT,
    "batch": 8,
    "steps": 20,
    "lr": 0.02,
    "tokenizer": "chars",
}


def exported(folder, **options):
    """A run, and the tokenizer and the folder that transformers reads."""
    train(**BASE | options, out=str(folder / "run"), draw=False)
    there = export_folder(folder / "run", folder / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(there)
    return load_run(folder / "run"), tokenizer, there


def nats(logits, targets) -> list[float]:
    """Of each target, and whether it is the likeliest."""
    p = torch.log_softmax(logits.double(), -1).gather(-1, targets[..., None])[..., 0]
    return (-p).flatten().tolist(), (logits.argmax(-1) == targets).flatten().tolist()


def check(run, result, losses, right):
    assert len(losses) > 20
    assert result["val_loss"] == pytest.approx(np.mean(losses), abs=1e-5)
    assert result["val_accuracy"] == pytest.approx(np.mean(right), abs=1e-9)


@pytest.mark.parametrize("arch", ["gpt", "llama"])
def test_a_causal_model(arch, tmp_path):
    options = {"arch": arch, "data": "bilingual", "tokenizer": "bpe", "vocab": 300}
    run, tokenizer, there = exported(tmp_path, **options)
    model = transformers.AutoModelForCausalLM.from_pretrained(there).eval()
    ids = tokenizer(read_corpus("bilingual", "windows").val)["input_ids"]
    losses, right = [], []
    end = (len(ids) - 1) // CONTEXT * CONTEXT  # of the windows that are full
    first, next_ones = torch.tensor(ids[:-1]), torch.tensor(ids[1:])
    for part in (slice(end), slice(end, None)):
        read, targets = (
            each[part].view(-1, CONTEXT) if part.start is None else each[part][None]
            for each in (first, next_ones)
        )
        with torch.no_grad():
            found = nats(model(read).logits, targets)
        losses += found[0]
        right += found[1]
    check(run, evaluate_run(run), losses, right)


def test_a_classifier(tmp_path):
    table = tmp_path / "labels.tsv"
    rows = [(f"the {w} {i} is {w}", w) for w in ("sea", "lamp") for i in range(40)]
    table.write_text("text\tlabel\n" + "\n".join(map("\t".join, rows)), "utf-8")
    options = {"arch": "bert", "objective": "classify", "data": str(table)}
    run, tokenizer, there = exported(tmp_path, **options)
    auto = transformers.AutoModelForSequenceClassification
    model = auto.from_pretrained(there).eval()
    given = tokenizer([text for text, _ in rows], padding=True, return_tensors="pt")
    labels = torch.tensor([model.config.label2id[label] for _, label in rows])
    with torch.no_grad():
        found = nats(model(**given).logits, labels)
    check(run, evaluate_run(run, str(table)), *found)


def test_an_encoder_decoder(tmp_path):
    table = tmp_path / "pairs.tsv"
    words = [f"{w} {i}" for w in ("abc", "fade", "bead", "cab") for i in range(6)]
    rows = [(word, word[::-1]) for word in words]
    table.write_text("source\ttarget\n" + "\n".join(map("\t".join, rows)), "utf-8")
    options = {"objective": "seq2seq", "data": str(table)}
    run, tokenizer, there = exported(tmp_path, **options)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(there).eval()
    losses, right = [], []
    for source, target in rows:
        given = tokenizer(source, return_tensors="pt")
        labels = tokenizer(target, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            found = nats(model(**given, labels=labels).logits, labels)
        losses += found[0]
        right += found[1]
    check(run, evaluate_run(run, str(table)), losses, right)
