"""A run that got damaged, as each command that reads it sees it."""

import hashlib
import json
import pickle
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minillm.runs import checkpoint

NEWEST = Path("checkpoints/step-000006")
WEIGHTS = NEWEST / "model.safetensors"

READERS = {
    "generate": ["generate", "run", "She"],
    "eval": ["eval", "run"],
    "fill": ["fill", "run", "a [MASK]"],
    "chat": ["chat", "run"],
    "classify": ["classify", "run", "text"],
    "embed": ["embed", "run", "text"],
    "search": ["search", "run", "sea", "--corpus", "text.txt"],
    "attention": ["attention", "run", "text", "--out", "heads.svg"],
    "finetune": ["finetune", "run", "--task", "classify", "--data", "rows.tsv"],
    "base": ["train", "--base", "run", "--data", "text.txt", "--out", "b"],
}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def sign(folder: Path) -> None:
    """Make a manifest that agrees with what lies there."""
    files = {
        name: {
            "bytes": (folder / name).stat().st_size,
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        }
        for name in checkpoint.FILES
    }
    text = json.dumps({"format": checkpoint.FORMAT, "files": files})
    (folder / "manifest.json").write_text(text, "utf-8")


def change(path: Path, **values) -> None:
    """Give keys of a JSON file other values."""
    record = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**record, **values}), "utf-8")


@pytest.fixture
def unfinished(run) -> Path:
    """A run that `--resume` goes on with, from the one checkpoint that is left."""
    change(run / "run.json", status="interrupted", results=None)
    for name in ("step-000002", "step-000004"):
        shutil.rmtree(run / "checkpoints" / name)
    return run


@pytest.mark.parametrize("reader", READERS)
def test_no_command_takes_weights_that_are_damaged(sees, run, reader):
    (run.parent / "rows.tsv").write_text(
        "".join(f"{i}\t{i % 2}\n" for i in range(40)), "utf-8"
    )
    cut(run / WEIGHTS)
    says = r"step-000006: is damaged.*: remove it, and step-000004 is taken"
    sees(*READERS[reader], code=3, says=says)


def no_checkpoint(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")


def every_checkpoint(run: Path) -> None:
    for path in run.glob("checkpoints/*/optimizer.safetensors"):
        cut(path)


def later_format(run: Path) -> None:
    change(run / NEWEST / "manifest.json", format=2)


def one_bit(run: Path) -> None:
    content = bytearray((run / WEIGHTS).read_bytes())
    content[-9] ^= 1
    (run / WEIGHTS).write_bytes(content)


def a_way_out(run: Path) -> None:
    """The manifest names a file outside."""
    file = run / NEWEST / "manifest.json"
    files = json.loads(file.read_text("utf-8"))["files"]
    change(file, files={**files, "../../../text.txt": {"bytes": 1, "sha256": ""}})


def link_elsewhere(run: Path) -> None:
    (run / WEIGHTS).unlink()
    (run / WEIGHTS).symlink_to("/dev/null")


def link_in_a_circle(run: Path) -> None:
    shutil.rmtree(run / NEWEST)
    (run / NEWEST).symlink_to("step-000006")


def lost(name: str):
    return lambda run: (run / name).unlink()


def emptied(name: str):
    return lambda run: (run / name).write_bytes(b"")


# (what is wrong, how it is made, exit code, what `generate` says)
RUNS = [
    ("no checkpoint", no_checkpoint, 3, "run: no whole checkpoint in it"),
    ("all damaged", every_checkpoint, 3, "step-000006: is damaged"),
    ("one bit", one_bit, 3, "step-000006: is damaged"),
    ("a later format", later_format, 3, r"step-000006: a later minillm wrote.*2"),
    ("no manifest", lost(NEWEST / "manifest.json"), 3, "is damaged"),
    ("an empty manifest", emptied(NEWEST / "manifest.json"), 3, "is damaged"),
    ("a manifest that names a file outside", a_way_out, 0, ""),
    ("weights elsewhere", link_elsewhere, 3, "is damaged"),
    ("a circle of links", link_in_a_circle, 3, "step-000006.*cannot be read .*links"),
    ("no run.json", lost("run.json"), 3, r"run: holds no run.*run\.json"),
    ("an empty run.json", emptied("run.json"), 3, r"run/run\.json: cannot be read"),
    ("no tokenizer.json", lost("tokenizer.json"), 3, r"run/tokenizer\.json"),
]


@pytest.mark.parametrize(
    ("damage", "code", "says"), [row[1:] for row in RUNS], ids=[row[0] for row in RUNS]
)
def test_a_run_is_read_with(sees, run, damage, code, says):
    damage(run)
    sees(*READERS["generate"], code=code, says=says)


def header(text: str | dict, data: bytes = b"") -> bytes:
    text = text if isinstance(text, str) else json.dumps(text)
    return struct.pack("<Q", len(text)) + text.encode() + data


def entry(first: int, last: int, shape: list[int], dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


# What says it is model.safetensors, with a manifest that agrees.
FILES = [
    ("nothing", b"", "header too small"),
    ("a header of 2^63 bytes", struct.pack("<Q", 2**63) + b"{}", "too large"),
    ("a pickle", pickle.dumps({"a": print}), "cannot be read"),
    (
        "arrays over each other",
        header({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, b"0" * 12),
        "cannot be read",
    ),
    ("offsets beyond the end", header({"a": entry(0, 8, [2])}, b"0000"), "covered"),
    ("a shape of 2^64 numbers", header({"a": entry(0, 0, [2**62, 4])}), "overflow"),
    ("a shape below zero", header({"a": entry(0, 4, [-1])}, b"0000"), "cannot be"),
    ("bfloat16", header({"a": entry(0, 4, [2], "BF16")}, b"0000"), ""),
    ("float8", header({"a": entry(0, 2, [2], "F8_E4M3")}, b"00"), ""),
    ("a type that is none", header({"a": entry(0, 4, [1], "F9")}, b"0000"), "F9"),
    (
        "a name twice",
        header('{{"a":{0},"a":{0}}}'.format(json.dumps(entry(0, 4, [1]))), b"0000"),
        "",
    ),
]


@pytest.mark.parametrize(
    ("content", "says"), [row[1:] for row in FILES], ids=[row[0] for row in FILES]
)
def test_weights_are_refused_that_are(sees, unfinished, content, says):
    (unfinished / WEIGHTS).write_bytes(content)
    sign(unfinished / NEWEST)
    for reader in (READERS["generate"], ["train", "--resume", "--out", "run"]):
        sees(*reader, code=3, says=rf"model\.safetensors: .*{re.escape(says)}")


@pytest.mark.parametrize("options", [[], ["--temperature=0"], ["--beams=2"]], ids=str)
def test_finite_weights_that_make_no_finite_logits_are_told(sees, run, options):
    arrays = load_file(run / WEIGHTS)
    save_file({k: np.full_like(v, 3e38) for k, v in arrays.items()}, run / WEIGHTS)
    sign(run / NEWEST)
    says = "logits that are not finite: its weights are damaged"
    sees(*READERS["generate"], *options, code=3, says=says)


def first_nan(arrays: dict) -> dict:
    name = min(arrays)
    return {**arrays, name: np.full_like(arrays[name], np.nan)}


ARRAYS = [
    ("not a number", first_nan, "bias has numbers that are not finite"),
    ("float64", lambda a: {k: v.astype("f8") for k, v in a.items()}, "is float64"),
    ("transposed", lambda a: {k: v.T.copy() for k, v in a.items()}, r"shape \(16, 256"),
    ("one fewer", lambda a: {k: a[k] for k in sorted(a)[1:]}, "but not in both"),
    ("one more", lambda a: {**a, "z": np.zeros(1, "f4")}, "z is in the model or in"),
]


@pytest.mark.parametrize("name", checkpoint.FILES[:2])
@pytest.mark.parametrize(
    ("edit", "says"), [row[1:] for row in ARRAYS], ids=[row[0] for row in ARRAYS]
)
def test_arrays_are_refused_that_are(sees, unfinished, name, edit, says):
    arrays = {
        key: value.copy()
        for key, value in load_file(unfinished / NEWEST / name).items()
    }
    save_file(edit(arrays), unfinished / NEWEST / name)
    sign(unfinished / NEWEST)
    sees("train", "--resume", "--out", "run", code=3, says=says)


STATES = [
    {"step": "6"},
    {"step": -1},
    {"step": 4},
    {"step": None},
    {"step": 6.5},
    {"seconds": "1"},
    {"seconds": -1e9},
    {"seconds": float("nan")},
    {"losses": None},
    {"losses": []},
    {"losses": ["a"]},
    {"logged": 7},
    {"logged": "x"},
    {"data_sha256": None},
    {"seconds": 1e308},
    {"best": [1]},
    {"best": "x"},
    {"best": {"step": 3}},
    {"best": {"step": 7, "val_loss": 1.0}},
    {"best": {"step": "x", "val_loss": 1.0}},
    {"best": {"step": 3, "val_loss": float("nan")}},
    {"options": 5},
    {"options": {"lr": "x"}},
    {"options": {"no": "option"}},
]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_state_is_refused_with(sees, unfinished, state):
    change(unfinished / NEWEST / "state.json", **state)
    sign(unfinished / NEWEST)
    sees("train", "--resume", "--out", "run", code=3, says="run/checkpoints/step-0000")


@pytest.mark.parametrize("text", ["[]", "{}", "[" * 100_000, '{"step": 6}', "\x00"])
def test_a_state_is_refused_that_is(sees, unfinished, text):
    (unfinished / NEWEST / "state.json").write_text(text, "utf-8")
    sign(unfinished / NEWEST)
    sees("train", "--resume", "--out", "run", code=3, says=r"step-000006/state\.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("data", []), ("data", {}), ("sources", []), ("status", None)],
        ("data", {"sha256": 5, "tokenizer": {"sha256": ""}}),
        ("status", "finished"),  # without results
    ],
)
def test_a_record_is_refused_with(sees, unfinished, key, value):
    change(unfinished / "run.json", **{key: value})
    if value is None:
        record = json.loads((unfinished / "run.json").read_text("utf-8"))
        del record[key]
        (unfinished / "run.json").write_text(json.dumps(record), "utf-8")
    sees("train", "--resume", "--out", "run", code=3, says=r"run\.json: not the record")
