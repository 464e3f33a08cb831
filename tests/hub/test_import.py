"""A Hugging Face folder as a run: ours comes back as it was, others' as they may be,
and what is not like minillm's models is refused by name."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from minillm import export_folder, generate, import_folder, load_run, train
from minillm.errors import DataError
from minillm.weights import read_arrays

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
    "eps": ("gpt", {"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon is 1e-06"),
    "width": ("gpt", {"n_inner": 50}, "n_inner is 50"),
    "gelu": ("gpt", {"activation_function": "gelu"}, "activation_function is 'gelu'"),
    "scale": ("gpt", {"scale_attn_weights": False}, "scale_attn_weights is False"),
    "other": ("gpt", {"model_type": "t5"}, "model_type is 't5'"),
    "new": ("gpt", {"wave": 3}, "wave is 3, which minillm does not know"),
    "bits": ("gpt", {"quantization_config": {"bits": 4}}, "quantization_config"),
    "code": ("gpt", {"auto_map": {"AutoModel": "m.M"}}, "never runs"),
    "text": ("gpt", {"n_layer": "2"}, "n_layer is '2'"),
    "yes": ("gpt", {"tie_word_embeddings": 1}, "tie_word_embeddings is 1"),
    "padded": ("gpt", {"vocab_size": 300}, "256 tokens, the model 300"),
    "heads": ("gpt", {"n_head": 7}, "divided among 7 heads"),
    "rms": ("llama", {"rms_norm_eps": 1e-6}, "rms_norm_eps is 1e-06"),
    "missing rms": ("llama", {"rms_norm_eps": None}, "rms_norm_eps is 1e-06"),
    "base": (
        "llama",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}},
        "rope_parameters is",
    ),
    "base of 4": ("llama", {"rope_theta": 5000.0}, "rope_theta is 5000.0"),
    "scaled": ("llama", {"rope_scaling": {"factor": 2.0}}, "rope_scaling is"),
    "head": ("llama", {"head_dim": 8}, "head_dim is 8"),
    "gate": ("llama", {"intermediate_size": 72}, "intermediate_size is 72"),
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
