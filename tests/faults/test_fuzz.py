"""Checkpoints with random damage: noticed by the manifest; and where that agrees with
the damage, read as what they say or refused in a line."""

import hashlib
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minillm import TrainConfig, train
from minillm.errors import DataError, UsageError
from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import AdamW
from minillm.models import ModelConfig, build
from minillm.runs import checkpoint
from minillm.runs.run import load_run

NEWEST = Path("checkpoints/step-000006")
SHAPE = {"vocab_size": 5, "n_layers": 1, "d_model": 4, "n_heads": 1, "context": 3}

# Part of a file is replaced: by bytes, by another part of it, or by nothing.
PLACES = st.floats(0, 1, allow_nan=False)
DAMAGE = st.tuples(PLACES, st.integers(0, 40), st.binary(max_size=9) | PLACES)
# Where JSON comes first, that is the more interesting part.
NEAR_THE_START = st.tuples(
    st.floats(0, 0.2),
    st.integers(0, 2),
    st.sampled_from([b"9", b"-", b'"', b"{", b"]", b",", b"null", b"1e9", b"\xff"]),
)
SEVERAL = st.lists(DAMAGE | NEAR_THE_START, min_size=1, max_size=4)


def damaged(content: bytes, damages: list[tuple]) -> bytes:
    for place, length, new in damages:
        begin = int(place * len(content))
        if isinstance(new, float):
            source = int(new * len(content))
            new = content[source : source + length]
        content = content[:begin] + new + content[begin + length :]
    return content


def new_model(seed: int) -> tuple[FlatParameters, AdamW]:
    flat = FlatParameters(build(ModelConfig(**SHAPE), np.random.default_rng(seed)))
    return flat, AdamW(flat)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A checkpoint of a model of some hundred numbers."""
    folder = tmp_path_factory.mktemp("small")
    return checkpoint.save(folder, *new_model(1), {"step": 6, "losses": [0.5]})


def sign(folder: Path) -> None:
    files = {
        name: {
            "bytes": (folder / name).stat().st_size,
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        }
        for name in checkpoint.FILES
    }
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "files": files}))


def as_the_file_says(content: bytes) -> dict[str, bytes]:
    """The arrays of a safetensors file, read by hand."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    data = content[8 + length :]
    return {k: data[slice(*v["data_offsets"])] for k, v in header.items()}


@given(name=st.sampled_from([*checkpoint.FILES, "manifest.json"]), damages=SEVERAL)
def test_the_manifest_notices_any_damage(small, name, damages):
    file = small / name
    content = file.read_bytes()
    new = damaged(content, damages)
    file.write_bytes(new)
    try:
        whole = checkpoint.is_whole(small)
    except DataError as error:
        assert "a later minillm wrote it" in str(error)
        assert json.loads(new)["format"] > 1
    else:
        same = new == content
        if whole and not same:  # white space, or a key that nobody reads
            assert name == "manifest.json"
            assert (
                json.loads(new)["files"].items() >= json.loads(content)["files"].items()
            )
    finally:
        file.write_bytes(content)


@given(name=st.sampled_from(checkpoint.FILES), damages=SEVERAL)
@example("model.safetensors", [(0.0, 8, struct.pack("<Q", 2**63))])
@example("state.json", [(0.0, 40, b"[" * 9)])
def test_what_the_manifest_agrees_with_is_read_or_refused(small, name, damages):
    file = small / name
    content = file.read_bytes()
    new = damaged(content, damages)
    flat, optimizer = new_model(2)
    before = flat.data.copy()
    file.write_bytes(new)
    sign(small)
    try:
        state = checkpoint.load(small, flat, optimizer)
    except DataError as error:
        assert str(file) in str(error)
        if name == "model.safetensors":
            assert np.array_equal(flat.data, before), "half of it was taken"
    else:
        assert state["step"] == 6
        arrays = as_the_file_says((small / "model.safetensors").read_bytes())
        views = flat.views(flat.data)
        assert {k: v.tobytes() for k, v in views.items()} == arrays
        assert np.isfinite(flat.data).all()
    finally:
        file.write_bytes(content)
        sign(small)


@pytest.fixture(scope="module")
def stopped(trained, tmp_path_factory) -> Path:
    """A run that goes on from its last step: it has only to be measured."""
    folder = shutil.copytree(trained / "run", tmp_path_factory.mktemp("run") / "run")
    record = json.loads((folder / "run.json").read_text("utf-8"))
    record |= {"status": "interrupted", "results": None}
    (folder / "run.json").write_text(json.dumps(record), "utf-8")
    return folder


FILES = ["run.json", "metrics.jsonl", "tokenizer.json", NEWEST / "state.json"]


@settings(max_examples=20)
@given(name=st.sampled_from(FILES), damages=SEVERAL)
def test_a_run_with_damaged_books_goes_on_or_says_why(
    stopped, tmp_path_factory, name, damages
):
    copy = shutil.copytree(stopped, tmp_path_factory.mktemp("copy") / "run")
    (copy / name).write_bytes(damaged((copy / name).read_bytes(), damages))
    sign(copy / NEWEST)
    for attempt in (
        lambda: load_run(copy),
        lambda: train(TrainConfig(out=str(copy)), resume=True, draw=False),
    ):
        try:
            attempt()
        except (DataError, UsageError) as error:
            assert "\n" not in str(error)
