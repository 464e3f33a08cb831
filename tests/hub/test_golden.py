"""Logits that `transformers` gave, of the folders in `golden/` (`make.py` there)."""

import json
from pathlib import Path

import numpy as np
import pytest

from minillm import load_run

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3"])
def test_their_logits(name):
    expected = json.loads((GOLDEN / name / "logits.json").read_text("utf-8"))
    logits = load_run(GOLDEN / name).model(np.array(expected["ids"])).numpy()
    assert np.abs(logits - np.array(expected["logits"])).max() < 1e-5
