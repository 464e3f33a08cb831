"""Checkpoints: what is written comes back, and nothing damaged is believed."""

import json
import os
import shutil
import struct
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from minillm import weights
from minillm.errors import DataError
from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import AdamW
from minillm.learning.sgd import SGD
from minillm.models import ModelConfig, build
from minillm.runs import checkpoint
from minillm.runs.run import load_run
from minillm.weights import read_about, read_arrays, write_arrays

SHAPE = {"vocab_size": 11, "n_layers": 1, "d_model": 8, "n_heads": 2, "context": 5}
SHAPE["tied"] = True


def new_flat(seed: int = 0, **options) -> FlatParameters:
    rng = np.random.default_rng(seed)
    return FlatParameters(build(ModelConfig(**{**SHAPE, **options}), rng))


def new_optimizer(flat: FlatParameters, seed: int = 0) -> AdamW:
    optimizer = AdamW(flat)
    rng = np.random.default_rng(seed)
    for buffer in optimizer.state.values():
        for view in flat.views(buffer).values():
            view[...] = rng.standard_normal(view.shape)
    return optimizer


def save(folder, step: int):
    flat = new_flat(seed=step)
    optimizer = new_optimizer(flat, seed=step)
    return checkpoint.save(folder, flat, optimizer, {"step": step, "losses": [0.1, 3]})


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder of two checkpoints."""
    folder = tmp_path_factory.mktemp("checkpoints")
    save(folder, 10)
    save(folder, 20)
    return folder


@pytest.fixture
def folder(two, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(two, tmp_path / "checkpoints")


def test_what_is_saved_comes_back_bit_for_bit(two):
    flat = new_flat(seed=99)
    optimizer = new_optimizer(flat, seed=99)
    state = checkpoint.load(checkpoint.latest(two), flat, optimizer)
    saved = new_flat(seed=20)
    assert flat.data.tobytes() == saved.data.tobytes()
    for name, buffer in new_optimizer(saved, seed=20).state.items():
        assert optimizer.state[name].tobytes() == buffer.tobytes()
    assert state == {"step": 20, "losses": [0.1, 3]}


def test_an_optimizer_without_moments_has_a_checkpoint_too(tmp_path):
    flat = new_flat()
    checkpoint.save(tmp_path, flat, SGD(flat), {"step": 1})
    newest = checkpoint.latest(tmp_path)
    assert checkpoint.load(newest, flat, SGD(flat)) == {"step": 1}
    with pytest.raises(DataError, match="not in both"):
        checkpoint.load(newest, flat, AdamW(flat))


def test_the_newest_is_the_one_with_the_largest_step(folder):
    os.rename(folder / "step-000010", folder / "step-1000000")
    assert checkpoint.latest(folder).name == "step-1000000"


@pytest.mark.parametrize("damage", ["cut", "longer", "flipped", "gone"])
@pytest.mark.parametrize("name", [*checkpoint.FILES, "manifest.json"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(folder, name, damage):
    path = folder / "step-000020" / name
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "longer":
        path.write_bytes(content + b"{")
    elif damage == "flipped":
        content[len(content) // 3] ^= 0x10
        path.write_bytes(content)
    else:
        path.unlink()
    assert checkpoint.latest(folder).name == "step-000010"


@pytest.mark.parametrize("text", ["[]", "null", "{}", '{"format": 1}', "\udcff"])
def test_an_odd_manifest_is_no_manifest(folder, text):
    manifest = folder / "step-000020" / "manifest.json"
    manifest.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert checkpoint.latest(folder).name == "step-000010"


def test_a_manifest_of_a_gigabyte_is_not_read(folder):
    with (folder / "step-000020" / "manifest.json").open("r+b") as manifest:
        manifest.truncate(1 << 30)  # takes no room on the disk
    begun = time.perf_counter()
    assert checkpoint.latest(folder).name == "step-000010"
    assert time.perf_counter() - begun < 1


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_who_may_read_a_run_may_read_its_weights(folder):
    for path in (folder / "step-000020").iterdir():
        assert path.stat().st_mode == (folder / "step-000020/state.json").stat().st_mode


def test_a_manifest_of_a_later_format_is_told(folder):
    manifest = folder / "step-000020" / "manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**content, "format": 2}), encoding="utf-8")
    with pytest.raises(DataError, match=r"step-000020: a later minillm wrote it.*2"):
        checkpoint.latest(folder)


def test_a_folder_without_a_whole_checkpoint_has_none(folder, tmp_path):
    for name in ("step-000010", "step-000020"):
        (folder / name / "state.json").unlink()
    (folder / "step-abc").mkdir()
    assert checkpoint.latest(folder) is None
    assert checkpoint.latest(tmp_path / "nothing") is None


def test_a_damaged_checkpoint_is_replaced_when_its_step_comes_again(folder):
    (folder / "step-000020" / "state.json").unlink()
    save(folder, 20)
    assert checkpoint.latest(folder).name == "step-000020"


def test_pruning_keeps_the_newest_and_clears_what_a_crash_left(folder):
    save(folder, 30)
    (folder / ".step-000030.4711").mkdir()
    checkpoint.prune(folder, keep=2)
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["step-000020", "step-000030"]


def test_a_save_that_fails_leaves_nothing_behind(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_arrays", full)
    with pytest.raises(DataError, match=r"step-000030.*No space left"):
        save(folder, 30)
    assert sorted(path.name for path in folder.iterdir()) == [
        "step-000010",
        "step-000020",
    ]


@pytest.mark.parametrize(
    "options",
    [{"d_model": 16}, {"n_layers": 2}, {"tied": False}, {"vocab_size": 12}],
    ids=str,
)
def test_another_model_is_refused_and_nothing_is_copied(two, options):
    flat = new_flat(**options)
    before = flat.data.copy()
    with pytest.raises(DataError, match=r"model\.safetensors"):
        checkpoint.load(checkpoint.latest(two), flat)
    np.testing.assert_array_equal(flat.data, before)


def test_arrays_of_another_type_are_refused(two):
    rng = np.random.default_rng(0)
    flat = FlatParameters(build(ModelConfig(**SHAPE), rng, np.float64))
    with pytest.raises(DataError, match="float32"):
        checkpoint.load(checkpoint.latest(two), flat)


def test_a_transposed_array_is_written_as_it_looks(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    arrays = {"t": array.T, "strided": array[:, ::2], "reversed": array[::-1]}
    write_arrays(tmp_path / "a.safetensors", arrays)
    loaded = read_arrays(tmp_path / "a.safetensors")
    for name, value in arrays.items():
        np.testing.assert_array_equal(loaded[name], value)


@pytest.mark.parametrize("about", [None, {"next": "灯 3"}])
def test_a_file_is_the_one_that_the_library_writes(tmp_path, about):
    rng = np.random.default_rng(0)
    arrays = {
        "b.weight": rng.standard_normal((3, 5)).astype(np.float32),
        "a": np.zeros((0, 2), np.float32),
        "half": np.ones(3, np.float16),
        "wide": np.array(2.5),
    }
    save_file(arrays, tmp_path / "theirs", about)
    write_arrays(tmp_path / "ours", arrays, about)
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes()
    for name, value in read_arrays(tmp_path / "ours").items():
        np.testing.assert_array_equal(value, arrays[name])
    assert read_about(tmp_path / "ours") == (about or {})


@pytest.mark.parametrize("piece", [1, 5, 1000])
def test_arrays_are_read_in_any_pieces(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(weights, "PIECE", piece)
    rng = np.random.default_rng(0)
    arrays = {
        "table": rng.standard_normal((3, 5)).astype(np.float32),
        "cube": rng.standard_normal((2, 3, 2)).astype(np.float16),
        "vector": rng.standard_normal(7),
        "number": np.array(2.5, np.float32),
        "none": np.zeros((0, 2), np.float32),
    }
    write_arrays(tmp_path / "a", arrays)
    found = {name: np.full_like(array, 9) for name, array in arrays.items()}
    weights.fill(found, tmp_path / "a")
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    arrays["vector"][6] = np.inf
    write_arrays(tmp_path / "a", arrays)
    found = {name: np.full_like(array, 9) for name, array in arrays.items()}
    with pytest.raises(DataError, match="vector has numbers that are not finite"):
        weights.fill(found, tmp_path / "a")
    assert all((array == 9).all() for array in found.values())  # all, or none


HEADERS = [
    b"",
    b"\x00" * 8,
    struct.pack("<Q", 2**63) + b"{}",
    struct.pack("<Q", 10) + b"{}",
    struct.pack("<Q", 2) + b"{]",
    struct.pack("<Q", 59)
    + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}    ',
    b"\x80\x04\x95 a pickle",
]


@pytest.mark.parametrize("content", HEADERS, ids=repr)
def test_a_hostile_file_is_one_line(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unnoticed(two, place, bit):
    for name in (*checkpoint.FILES, "manifest.json"):
        path = two / "step-000020" / name
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[place % len(content)] ^= 1 << bit
        path.write_bytes(flipped)
        try:
            newest = checkpoint.latest(two)
            if newest.name == "step-000020":  # a space, in JSON
                assert json.loads(flipped) == json.loads(content)
        except DataError as error:  # the format's number
            assert "a later minillm wrote it" in str(error)
        finally:
            path.write_bytes(content)


def test_a_run_is_read_from_its_newest_checkpoint_only(quick_train, tmp_path):
    quick_train("a", steps=10, save_every=5)
    ids = np.arange(8)[None]
    last = load_run(tmp_path / "a").model(ids).numpy()
    weights = tmp_path / "a" / "checkpoints" / "step-000010" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"step-000010: is damaged.*step-000008 is"):
        load_run(tmp_path / "a")
    shutil.rmtree(weights.parent)
    before = load_run(tmp_path / "a").model(ids).numpy()
    assert not np.array_equal(last, before)
    shutil.rmtree(tmp_path / "a" / "checkpoints")
    with pytest.raises(DataError, match="no whole checkpoint"):
        load_run(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("run.json", "{", "cannot be read"),
        ("run.json", "[]", "not the record"),
        ("run.json", '{"options": {}}', "not the record"),
        ("tokenizer.json", "{", "tokenizer.json"),
        ("tokenizer.json", '{"kind": "bytes", "specials": []}', "another run"),
    ],
)
def test_a_damaged_run_is_one_line(quick_train, tmp_path, name, text, words):
    quick_train("a", steps=1)
    (tmp_path / "a" / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words) as caught:
        load_run(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_a_run_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="no/run"):
        load_run("no/run")
    with pytest.raises(DataError, match=r"no run\.json"):
        load_run(tmp_path)


def test_a_checkpoint_can_be_read_as_the_run_it_is_of(quick_train, tmp_path):
    quick_train("a", steps=10, save_every=5, keep=9)
    ids = np.arange(8)[None]
    early = tmp_path / "a" / "checkpoints" / "step-000005"
    run = load_run(early)
    assert run.path == tmp_path / "a"
    assert run.record == load_run(tmp_path / "a").record
    last = load_run(tmp_path / "a").model(ids).numpy()
    assert not np.array_equal(run.model(ids).numpy(), last)
    (early / "state.json").unlink()
    with pytest.raises(DataError, match="step-000005: is no whole checkpoint"):
        load_run(early)
