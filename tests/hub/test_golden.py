"""Small folders that transformers saved give the numbers that it computes with them
(`golden/make.py` and `make_causal.py` made both)."""

import json
from pathlib import Path

import numpy as np
import pytest

from minillm import import_folder, load_run
from minillm.hub import read_folder
from minillm.text import Batch

GOLDEN = Path(__file__).with_name("golden")
EXPECTED = json.loads((GOLDEN / "expected.json").read_text("utf-8"))


@pytest.mark.parametrize("kind", ["masked", "classes", "bare", "answers"])
def test_logits(kind, tmp_path):
    out = import_folder(GOLDEN / kind, tmp_path / "run", note=lambda text: None)
    run, expected = load_run(out), EXPECTED[kind]
    ids, _ = run.tokenizer.frame(run.tokenizer.encode(EXPECTED["text"]), room=32)
    assert ids.tolist() == expected["ids"]
    ids = ids[None]
    if kind == "answers":
        found = run.model(ids[:, :6], ids)
    elif kind == "classes":
        batch = Batch(ids, mask=np.ones_like(ids, bool))
        found = run.model.label_logits(run.model.read(batch), batch)
    else:
        found = run.model.hidden(ids)
        found = run.model.project(found) if kind == "masked" else found
    difference = found.numpy().ravel() - expected["logits"]
    assert np.abs(difference).max() < 3e-5  # they are rounded to five places


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen3"])
def test_logits_of_those_that_write(kind):
    expected = json.loads((GOLDEN / kind / "logits.json").read_text("utf-8"))
    logits = (
        read_folder(GOLDEN / kind, note=lambda text: None)
        .model(np.array(expected["ids"]))
        .numpy()
    )
    assert np.abs(logits - np.array(expected["logits"])).max() < 1e-5
