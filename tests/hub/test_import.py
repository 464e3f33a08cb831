"""A Hugging Face folder as a run: ours comes back as it was, others' as they may be,
and what is not like minillm's models is refused by name."""

import json
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import save_file

from minillm import export_folder, generate, import_folder, load_run, train, weights
from minillm.errors import DataError
from minillm.weights import read_arrays

EMBEDDED = "model.embed_tokens.weight"
BASE = {
    "size": "pico",
    "data": "bilingual",
    "device": "cpu",
    "workers": "1",
    "context": 16,
    "batch": 4,
    "steps": 2,
    "width": 24,
    "heads": 4,
}
KINDS = {
    "gpt": {"tokenizer": "bytes"},
    "characters": {"tokenizer": "chars", "tied": True},
    "bare": {"tokenizer": "chars", "bias": False, "positions": "sinusoidal"},
    "llama": {"arch": "llama", "tokenizer": "bpe", "vocab": 280},
    "grouped": {"arch": "llama", "tokenizer": "chars", "kv_heads": 2, "bias": True},
    "gpt of its own": {
        "tokenizer": "chars",
        "activation": "gelu_erf",
        "d_ff": 50,
        "norm_eps": 1e-3,
    },
    "qwen": {"arch": "llama", "tokenizer": "bytes", "qk_norm": True, "kv_heads": 2},
    "llama of its own": {
        "arch": "llama",
        "tokenizer": "bytes",
        "rope_base": 50.0,
        "d_ff": 50,
        "norm_eps": 1e-3,
    },
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A function that trains a run of a kind and exports it: the run, the folder."""
    made = {}

    def make(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp("run")
            train(**BASE | KINDS[kind], out=str(folder / "run"), draw=False)
            run = load_run(folder / "run")
            rng = np.random.default_rng(0)
            for p in run.model.parameters():
                if p.ndim == 1:
                    p.data += 0.1 * rng.standard_normal(p.shape).astype(p.dtype)
            made[kind] = run, export_folder(run, folder / "exported")
        return made[kind]

    return make


@pytest.fixture
def other(exported, tmp_path):
    """A function that makes a folder like the one of a kind, with changes: of its
    tensors, a function, and of its configuration; its run, and the folder."""

    def make(kind="gpt", change=None, **settings):
        run, there = exported(kind)
        folder = tmp_path / "other"
        folder.mkdir()
        config = json.loads((there / "config.json").read_text("utf-8")) | settings
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        content = (there / "tokenizer.json").read_bytes()
        (folder / "tokenizer.json").write_bytes(content)
        tensors = read_arrays(there / "model.safetensors")
        if change is not None:
            change(tensors)
        save_file(tensors, folder / "model.safetensors")
        return run, folder

    return make


def logits(run) -> np.ndarray:
    rng = np.random.default_rng(1)
    return run.model(rng.integers(0, run.model.config.vocab_size, (2, 16))).numpy()


def check_same(run, folder, out, most=1e-6):
    back = load_run(import_folder(folder, out))
    assert np.abs(logits(back) - logits(run)).max() <= most
    return back


@pytest.mark.parametrize("kind", KINDS)
def test_ours_comes_back(exported, kind, tmp_path):
    run, folder = exported(kind)
    back = check_same(run, folder, tmp_path / "back")
    text = "The lamp \n 灯塔"
    assert np.array_equal(back.tokenizer.encode(text), run.tokenizer.encode(text))
    found = [generate(each, "The", max_tokens=8, temperature=0) for each in (run, back)]
    assert found[0] == found[1]
    again = read_arrays(export_folder(back, tmp_path / "again") / "model.safetensors")
    for name, array in read_arrays(folder / "model.safetensors").items():
        assert np.array_equal(again[name], array)


def test_names_without_their_beginning_and_buffers(other, tmp_path):
    def change(tensors):
        for name in [name for name in tensors if name.startswith("transformer.")]:
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        tensors["h.0.attn.bias"] = np.ones((1, 1, 16, 16), bool)
        tensors["h.0.attn.masked_bias"] = np.float32([-1e4])

    check_same(*other("gpt", change), tmp_path / "back")


def test_a_tied_head_may_be_there_all_the_same(other, tmp_path):
    def change(tensors):
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"]

    check_same(*other("characters", change), tmp_path / "back")


def test_half_precision(other, tmp_path):
    def change(tensors):
        for name in tensors:
            tensors[name] = tensors[name].astype(np.float16)

    run, folder = other("gpt", change)
    back = load_run(import_folder(folder, tmp_path / "back"))
    expected = dict(run.model.named_parameters())["blocks.0.attention.qkv.weight"]
    found = dict(back.model.named_parameters())["blocks.0.attention.qkv.weight"]
    assert found.dtype == np.float32
    assert np.array_equal(found.numpy(), expected.numpy().astype(np.float16))


def write_bfloat16(path, tensors: dict) -> None:
    """A file by the format's own description: NumPy has no such type."""
    header, body = {}, b""
    for name, array in tensors.items():
        upper = (np.ascontiguousarray(array).view(np.uint32) >> 16).astype("<u2")
        end = len(body) + upper.nbytes
        offsets = [len(body), end]
        header[name] = {"dtype": "BF16", "shape": array.shape, "data_offsets": offsets}
        body += upper.tobytes()
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + body)


def test_bfloat16_in_two_files(other, tmp_path):
    run, folder = other("llama")
    tensors = read_arrays(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    where = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(tensors)}
    for file in ("part-0.safetensors", "part-1.safetensors"):
        part = {name: tensors[name] for name in tensors if where[name] == file}
        write_bfloat16(folder / file, part)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}), "utf-8")
    back = load_run(import_folder(folder, tmp_path / "back"))
    ours = dict(run.model.named_parameters())
    for name, p in back.model.named_parameters():
        upper = ours[name].numpy().view(np.uint32) & 0xFFFF0000
        assert np.array_equal(p.numpy().view(np.uint32), upper)

    (folder / "part-1.safetensors").unlink()
    with pytest.raises(DataError, match=r"part-1\.safetensors: is missing"):
        import_folder(folder, tmp_path / "second")
    for name in ("../model.safetensors", "a/b", "..", "a\\b", ""):
        index.write_text(json.dumps({"weight_map": {"x": name}}), "utf-8")
        with pytest.raises(DataError, match="no name of a file here"):
            import_folder(folder, tmp_path / "second")


@pytest.mark.parametrize(
    "said",
    [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}},
        {"rope_theta": 50.0, "rope_scaling": None},
        {"rope_theta": 50, "rope_scaling": {"type": "default"}},
    ],
)
def test_a_rotary_base_as_each_version_says_it(other, tmp_path, said):
    nothing = {"rope_parameters": None, "rope_theta": None}
    run, folder = other("llama of its own", **nothing | said)
    check_same(run, folder, tmp_path / "back")


@pytest.mark.parametrize("kind", ["gpt", "characters", "llama"])
def test_rows_beyond_the_tokenizer_are_kept_and_never_written(
    other, minillm, tmp_path, kind
):
    """The likeliest token of all has no text."""
    n = 320

    def pad(tensors):
        for name in ("transformer.wte.weight", "lm_head.weight", EMBEDDED):
            if name in tensors:
                table = np.zeros((n, 24), np.float32)
                table[: len(tensors[name])] = tensors[name]
                table[-1] = 9 * np.random.default_rng(0).standard_normal(24)
                table[-2] = -table[-1]
                tensors[name] = table

    run, folder = other(kind, pad, vocab_size=n)
    there = run.tokenizer.vocab_size
    code, _, err = minillm("import", str(folder), str(tmp_path / "back"))
    said = f"has {there} tokens, the model 320: the others are never written"
    assert (code, said in err) == (0, True)
    back = load_run(tmp_path / "back")
    ids = np.random.default_rng(1).integers(0, there, (2, 16))
    found, expected = back.model(ids).numpy(), run.model(ids).numpy()
    assert np.abs(found[..., :there] - expected).max() < 1e-6
    likeliest = found[..., -2:].max(-1) > found[..., : n - 2].max(-1)
    assert likeliest.mean() > 0.5
    text = "The lamp [unused 319]"
    assert np.array_equal(back.tokenizer.encode(text), run.tokenizer.encode(text))
    written = [
        generate(each, "The", max_tokens=9, temperature=0) for each in (run, back)
    ]
    assert written[0] == written[1]
    again = export_folder(back, tmp_path / "again")
    assert load_run(again).tokenizer.vocab_size == n


def test_a_folder_is_loaded_without_a_run(exported, other, minillm, tmp_path):
    run, folder = exported("llama")
    loaded = load_run(folder)
    assert np.abs(logits(loaded) - logits(run)).max() < 1e-6
    assert (loaded.path, loaded.record["status"]) == (folder, "imported")
    before = sorted(folder.iterdir())
    code, out, _ = minillm("generate", str(folder), "The", "--max-tokens", "3")
    assert (code, out[:3]) == (0, "The")
    assert minillm("embed", str(folder), "a", "--out", str(tmp_path / "v.npy"))[0] == 0
    assert sorted(folder.iterdir()) == before
    code, _, err = minillm(
        "train", "--base", str(folder), "--out", str(tmp_path / "on")
    )
    assert (code, f"minillm import {folder} RUN" in err) == (3, True)


def test_a_tokenizer_from_elsewhere(exported, other, minillm, tmp_path):
    _, folder = other("llama")
    file = (folder / "tokenizer.json").rename(tmp_path / "mine.json")
    argv = "import", str(folder), str(tmp_path / "back")
    code, _, err = minillm(*argv)
    assert (code, err.count("\n")) == (3, 1)
    assert "tokenizer.json: is missing: give a tokenizer.json of this model" in err
    assert minillm(*argv, "--tokenizer", str(file))[0] == 0
    run, _ = exported("llama")
    assert load_run(tmp_path / "back").tokenizer.sha256 == run.tokenizer.sha256
    with pytest.raises(DataError, match=r"nothing\.json: is missing"):
        import_folder(folder, tmp_path / "b", tokenizer=tmp_path / "nothing.json")


@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_the_weights_are_in_memory_once(tmp_path, monkeypatch, kind):
    """Read in pieces into their places; so is a run, and it is written in pieces."""
    monkeypatch.setattr(weights, "PIECE", 1 << 12)
    shape = {"layers": 2, "width": 128, "heads": 4, "context": 16, "tokenizer": "bytes"}
    options = {**BASE, **shape, "arch": kind, "steps": 1}
    train(**options, out=str(tmp_path / "run"), draw=False)
    folder = export_folder(tmp_path / "run", tmp_path / "folder")
    most = 1.3 * (folder / "model.safetensors").stat().st_size
    tracemalloc.start()
    try:
        for do in (
            lambda: load_run(folder),
            lambda: import_folder(folder, tmp_path / "back"),
            lambda: load_run(tmp_path / "back"),
        ):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            do()
            assert tracemalloc.get_traced_memory()[1] - before < most
    finally:
        tracemalloc.stop()


def drop(tensors):
    del tensors["transformer.ln_f.weight"]


def add(tensors):
    tensors["score.weight"] = np.zeros((2, 24), np.float32)


def turn(tensors):
    name = "transformer.h.0.mlp.c_fc.weight"
    tensors[name] = np.ascontiguousarray(tensors[name].T)


def spoil(tensors):
    tensors["transformer.ln_f.weight"][0] = np.nan


def count(tensors):
    tensors["transformer.ln_f.weight"] = np.zeros(24, np.int32)


REFUSED = {
    "eps": ("gpt", {"layer_norm_epsilon": -1e-6}, "layer_norm_epsilon is -1e-06"),
    "large eps": (
        "gpt",
        {"layer_norm_epsilon": 2},
        "norm_eps must be above 0 and below",
    ),
    "width": (
        "gpt",
        {"n_inner": 50},
        "c_fc.weight has shape (24, 96) instead of (24, 50",
    ),
    "relu": ("gpt", {"activation_function": "relu"}, "activation_function is 'relu'"),
    "scale": ("gpt", {"scale_attn_weights": False}, "scale_attn_weights is False"),
    "other": ("gpt", {"model_type": "t5"}, "model_type is 't5'"),
    "new": ("gpt", {"wave": 3}, "wave is 3, which minillm does not know"),
    "bits": ("gpt", {"quantization_config": {"bits": 4}}, "quantization_config"),
    "code": ("gpt", {"auto_map": {"AutoModel": "m.M"}}, "never runs"),
    "text": ("gpt", {"n_layer": "2"}, "n_layer is '2'"),
    "yes": ("gpt", {"tie_word_embeddings": 1}, "tie_word_embeddings is 1"),
    "small": ("gpt", {"vocab_size": 255}, "has 256 tokens, the model 255"),
    "far larger": ("gpt", {"vocab_size": 9999}, "far fewer than the model, 9999"),
    "heads": ("gpt", {"n_head": 7}, "divided among 7 heads"),
    "rms": ("llama", {"rms_norm_eps": "1e-6"}, "rms_norm_eps is '1e-6'"),
    "two bases": ("llama", {"rope_theta": 5000}, "rope_theta is 5000.0 and 10000.0"),
    "scaled": (
        "llama",
        {"rope_scaling": {"factor": 2.0}},
        "rope_scaling.factor is 2.0",
    ),
    "scaled as in 4": (
        "llama",
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        "rope_scaling.type is 'linear', and minillm's models have 'default'",
    ),
    "scaled as in 5": (
        "llama",
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0}},
        "rope_parameters.rope_type is 'llama3'",
    ),
    "partly": (
        "llama",
        {"rope_parameters": {"partial_rotary_factor": 0.5}},
        "rope_parameters.partial_rotary_factor is 0.5",
    ),
    "no base": ("llama", {"rope_theta": 0}, "rope_theta is 0, not a number above 0"),
    "scaled how": ("llama", {"rope_scaling": "linear"}, "is 'linear', not an object"),
    "head": ("llama", {"head_dim": 8}, "head_dim is 8"),
    "gate": ("llama", {"intermediate_size": 72}, "instead of (72, 24)"),
    "window": ("qwen", {"use_sliding_window": True}, "use_sliding_window is True"),
    "layers": ("qwen", {"layer_types": ["full_attention"]}, "layer_types is ["),
    "usual head": ("qwen", {"head_dim": None}, "head_dim is 128, and minillm's"),
    "one bias": ("llama", {"mlp_bias": True}, "mlp_bias is True"),
}


@pytest.mark.parametrize(("kind", "settings", "said"), REFUSED.values(), ids=REFUSED)
def test_a_configuration_unlike_ours_is_refused(
    other, minillm, tmp_path, kind, settings, said
):
    _, folder = other(kind, **settings)
    code, out, err = minillm("import", str(folder), str(tmp_path / "back"))
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert said in err
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop, "transformer.ln_f.weight is missing"),
        (add, "score.weight is left over"),
        (turn, "c_fc.weight has shape (96, 24) instead of (24, 96)"),
        (spoil, "ln_f.weight has numbers that are not finite"),
        (count, "ln_f.weight is I32, not float32"),
    ],
)
def test_weights_that_do_not_fit_are_named(other, minillm, tmp_path, change, said):
    _, folder = other("gpt", change)
    code, out, err = minillm("import", str(folder), str(tmp_path / "back"))
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert said in err
    assert not (tmp_path / "back").exists()


def test_damage(other, minillm, tmp_path):
    _, folder = other()
    file = folder / "model.safetensors"
    raw = file.read_bytes()

    def said() -> str:
        code, _, err = minillm("import", str(folder), str(tmp_path / "back"))
        assert (code, err.count("\n")) == (3, 1)
        assert not (tmp_path / "back").exists()
        return err

    file.write_bytes(raw[:-4])
    assert "cannot be read" in said()
    file.write_bytes(struct.pack("<Q", 1 << 60) + raw[8:])
    assert "cannot be read" in said()
    file.unlink()
    assert "there is no model.safetensors" in said()
    (folder / "pytorch_model.bin").touch()
    assert "pickled" in said()
    (folder / "config.json").write_text("[]", "utf-8")
    assert "holds no JSON object" in said()
    (folder / "config.json").unlink()
    assert "there is no config.json" in said()


def test_a_wordlevel_of_words_is_refused(other, tmp_path):
    _, folder = other("characters")
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    content["pre_tokenizer"] = {"type": "Whitespace"}
    file.write_text(json.dumps(content), "utf-8")
    with pytest.raises(DataError, match="not one of characters"):
        import_folder(folder, tmp_path / "back")


def test_the_card_of_weights_from_elsewhere_claims_no_training(other, tmp_path):
    _, folder = other()
    named = folder.rename(tmp_path / "stdlib")  # as a corpus that minillm knows
    run = import_folder(named, tmp_path / "run")
    card = (export_folder(run, tmp_path / "again") / "README.md").read_text("utf-8")
    assert "Weights from elsewhere" in card
    assert "Licence of the corpus: `unknown`" in card
    assert "| `corpus` | `unknown` |" in card
    assert "Loss curve" not in card


def test_a_run_of_weights_from_elsewhere(exported, minillm, tmp_path):
    _, folder = exported("characters")
    run = str(tmp_path / "run")
    code, out, err = minillm("import", str(folder), run)
    assert (code, "arch gpt" in out, "minillm generate" in err) == (0, True, True)
    code, _, err = minillm("import", str(folder), run)
    assert (code, "something is there" in err) == (2, True)
    code, out, _ = minillm("import", str(folder), f"{run}2", "--json")
    assert json.loads(out)["arch"] == "gpt"
    # It has no text and no steps.
    code, _, err = minillm("eval", run)
    assert (code, "--data" in err) == (2, True)
    assert minillm("eval", run, "--data", "bilingual")[0] == 0
    for more in (["--resume"], [], ["--config", f"{run}/run.json"]):
        code, _, err = minillm("train", "--out", run, *more)
        assert (code, "weights from elsewhere" in err) == (2, True)
    quick = ("--steps", "2", "--data", "bilingual", "--device", "cpu")
    base = ("--base", run, "--out", str(tmp_path / "on"), *quick)
    assert minillm("train", *base)[0] == 0
    assert minillm("compare", run, str(tmp_path / "on"))[0] == 0
    assert minillm("attention", run, "The lamp", "--json")[0] == 0
    assert minillm("embed", run, "The lamp", "--out", str(tmp_path / "v.npy"))[0] == 0


def test_what_a_folder_lacks_is_said_in_a_line(other):
    """The library warns of it; the command of the terminal says it as any note."""

    def pad(tensors):
        table = tensors["transformer.wte.weight"]
        tensors["transformer.wte.weight"] = np.concatenate([table, table[:2]])

    _, folder = other("characters", pad, vocab_size=309)
    with pytest.warns(UserWarning, match="has 307 tokens, the model 309: the others"):
        load_run(folder)
    command = [sys.executable, "-m", "minillm", "generate", str(folder), "The"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    line = f"{folder}/tokenizer.json: has 307 tokens, the model 309: the others are"
    assert told.splitlines()[0].startswith(f"note: {line}")
