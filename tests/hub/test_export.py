"""An exported folder, read without the library it is for: the forward passes of the
three families in NumPy, from the files alone, give our logits."""

import json
import math
import os

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

import minillm
from minillm import export_folder, load_run, train
from minillm.hub import export
from minillm.hub.card import corpus_licence
from minillm.hub.tokenizer import tokenizer_json
from minillm.text import BERT_TEMPLATE, MASK, PAIR_SPECIALS, Batch
from minillm.text.tokenizer import ByteTokenizer, CharTokenizer
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
    "tokenizer": "chars",
}
KINDS = {
    "gpt": {},
    "gpt-sines": {"positions": "sinusoidal", "tied": True, "bias": False},
    "llama": {"arch": "llama"},
    "llama-grouped": {"arch": "llama", "kv_heads": 2, "tied": True, "bias": True},
    "bert": {"arch": "bert", "objective": "mlm"},
    "bert-bare": {"arch": "bert", "objective": "mlm", "bias": False},
}
FILES = [
    "README.md",
    "config.json",
    "generation_config.json",
    "loss.svg",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """A function that trains a run of these options, of vectors that would show a
    mix-up: the run."""
    made = {}

    def run(**options):
        key = str(sorted(options.items()))
        if key not in made:
            out = tmp_path_factory.mktemp("run") / "run"
            train(**BASE | options, out=str(out), draw=False)
            made[key] = load_run(out)
            rng = np.random.default_rng(0)
            for p in made[key].model.parameters():
                if p.ndim == 1:
                    p.data += 0.1 * rng.standard_normal(p.shape).astype(p.dtype)
        return made[key]

    return run


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def norm(x, weight, bias, eps):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight + bias


def attend(q, k, v, n_heads: int, causal: bool):
    """(T, D), (T, Gd), (T, Gd) -> (T, D), one head after the other."""
    width = q.shape[1] // n_heads
    n_shared = q.shape[1] // k.shape[1]
    made = []
    for head in range(n_heads):
        mine = slice(head * width, (head + 1) * width)
        its = slice(head // n_shared * width, (head // n_shared + 1) * width)
        scores = q[:, mine] @ k[:, its].T / math.sqrt(width)
        if causal:
            scores[np.triu_indices(len(q), 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        made.append(weights / weights.sum(-1, keepdims=True) @ v[:, its])
    return np.concatenate(made, -1)


def gpt2(w, config, ids):
    assert config["activation_function"] == "gelu_new"
    eps = config["layer_norm_epsilon"]

    def layer(x, name):  # [in, out]
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    def normed(x, name):
        return norm(x, w[f"{name}.weight"], w[f"{name}.bias"], eps)

    table = w["transformer.wte.weight"]
    x = table[ids] + w["transformer.wpe.weight"][: len(ids)]
    for i in range(config["n_layer"]):
        at = f"transformer.h.{i}"
        qkv = layer(normed(x, f"{at}.ln_1"), f"{at}.attn.c_attn")
        y = attend(*np.split(qkv, 3, -1), config["n_head"], causal=True)
        x = x + layer(y, f"{at}.attn.c_proj")
        wide = gelu(layer(normed(x, f"{at}.ln_2"), f"{at}.mlp.c_fc"))
        x = x + layer(wide, f"{at}.mlp.c_proj")
    head = table if config["tie_word_embeddings"] else w["lm_head.weight"]
    return normed(x, "transformer.ln_f") @ head.T


def llama(w, config, ids):
    eps, n_heads = config["rms_norm_eps"], config["num_attention_heads"]
    assert config["hidden_act"] == "silu"

    def layer(x, name):  # [out, in]
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)

    def normed(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w[f"{name}.weight"]

    half = config["head_dim"] // 2
    theta = config["rope_parameters"]["rope_theta"]
    angle = np.arange(len(ids))[:, None] / theta ** (np.arange(half) / half)

    def turned(x):
        made = []
        for head in np.split(x, x.shape[1] // (2 * half), -1):
            a, b = head[:, :half], head[:, half:]
            made += [a * np.cos(angle) - b * np.sin(angle)]
            made += [b * np.cos(angle) + a * np.sin(angle)]
        return np.concatenate(made, -1)

    x = w["model.embed_tokens.weight"][ids]
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}"
        h = normed(x, f"{at}.input_layernorm")
        q, k, v = (layer(h, f"{at}.self_attn.{name}_proj") for name in "qkv")
        y = attend(turned(q), turned(k), v, n_heads, causal=True)
        x = x + layer(y, f"{at}.self_attn.o_proj")
        h = normed(x, f"{at}.post_attention_layernorm")
        gate = layer(h, f"{at}.mlp.gate_proj")
        wide = gate / (1 + np.exp(-gate)) * layer(h, f"{at}.mlp.up_proj")
        x = x + layer(wide, f"{at}.mlp.down_proj")
    tied = config["tie_word_embeddings"]
    head = w["model.embed_tokens.weight" if tied else "lm_head.weight"]
    return normed(x, "model.norm") @ head.T


def bert(w, config, ids):
    eps = config["layer_norm_eps"]
    assert config["hidden_act"] == "gelu_new"

    def layer(x, name):  # [out, in]
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def normed(x, name):
        return norm(x, w[f"{name}.weight"], w[f"{name}.bias"], eps)

    at = "bert.embeddings"
    table = w[f"{at}.word_embeddings.weight"]
    x = table[ids] + w[f"{at}.position_embeddings.weight"][: len(ids)]
    x = normed(x + w[f"{at}.token_type_embeddings.weight"][0], f"{at}.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        at = f"bert.encoder.layer.{i}"
        names = ("query", "key", "value")
        qkv = (layer(x, f"{at}.attention.self.{name}") for name in names)
        y = attend(*qkv, config["num_attention_heads"], causal=False)
        y = x + layer(y, f"{at}.attention.output.dense")
        x = normed(y, f"{at}.attention.output.LayerNorm")
        wide = gelu(layer(x, f"{at}.intermediate.dense"))
        x = normed(x + layer(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    at = "cls.predictions"
    x = gelu(layer(x, f"{at}.transform.dense"))
    return normed(x, f"{at}.transform.LayerNorm") @ table.T + w[f"{at}.bias"]


def marian(w, config, source, ids):
    n_heads, width = config["decoder_attention_heads"], config["d_model"]
    assert config["activation_function"] == "gelu_new"

    def layer(x, name):  # [out, in]
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def normed(x, name):
        return norm(x, w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)

    def embed(ids):
        half = width // 2
        angle = np.arange(len(ids))[:, None] / 10_000 ** (np.arange(half) / half)
        sines = np.concatenate([np.sin(angle), np.cos(angle)], -1)
        return w["model.shared.weight"][ids] * math.sqrt(width) + sines

    def look(x, memory, at, causal):
        q = layer(x, f"{at}.q_proj")
        kv = (layer(memory, f"{at}.{name}_proj") for name in "kv")
        y = x + layer(attend(q, *kv, n_heads, causal), f"{at}.out_proj")
        return normed(y, f"{at}_layer_norm")

    def feed(x, at):
        y = x + layer(gelu(layer(x, f"{at}.fc1")), f"{at}.fc2")
        return normed(y, f"{at}.final_layer_norm")

    memory, x = embed(source), embed(ids)
    for i in range(config["encoder_layers"]):
        at = f"model.encoder.layers.{i}"
        memory = feed(look(memory, memory, f"{at}.self_attn", causal=False), at)
    for i in range(config["decoder_layers"]):
        at = f"model.decoder.layers.{i}"
        x = look(x, x, f"{at}.self_attn", causal=True)
        x = feed(look(x, memory, f"{at}.encoder_attn", causal=False), at)
    return x @ w["model.shared.weight"].T + w["final_logits_bias"]


@pytest.mark.parametrize("bias", [True, False])
def test_an_encoder_decoder_lies_in_the_order_of_marians_sines(make, bias, tmp_path):
    run = make(objective="seq2seq", data="copy:rows=100", bias=bias)
    folder = export_folder(run, tmp_path / "out")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    specials = run.tokenizer.specials
    assert config["decoder_start_token_id"] == specials["[BOS]"]
    assert config["eos_token_id"] == specials["[EOS]"]
    writing = json.loads((folder / "generation_config.json").read_text("utf-8"))
    assert writing["suppress_tokens"] == [specials["[PAD]"], specials["[BOS]"]]
    assert writing["max_length"] == run.model.config.context + 1  # the first counts
    weights = read_arrays(folder / "model.safetensors")
    assert weights["final_logits_bias"].shape == (1, run.tokenizer.vocab_size)
    rng = np.random.default_rng(1)
    ids, source = rng.integers(0, run.tokenizer.vocab_size, (2, 12))
    ours = run.model(ids[None, :9], source[None]).numpy()[0]
    assert np.abs(marian(weights, config, source, ids[:9]) - ours).max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_alone_give_our_logits(make, kind, tmp_path):
    run = make(**KINDS[kind])
    folder = export_folder(run, tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == FILES
    config = json.loads((folder / "config.json").read_text("utf-8"))
    weights = read_arrays(folder / "model.safetensors")
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}
    forward = {"gpt2": gpt2, "llama": llama, "bert": bert}[config["model_type"]]
    ids = np.random.default_rng(1).integers(0, run.tokenizer.vocab_size, 16)
    difference = forward(weights, config, ids) - run.model(ids[None]).numpy()[0]
    assert np.abs(difference).max() < 1e-5
    assert not any("pooler" in name for name in weights)  # mlm trains none
    if "tied" in KINDS[kind] or kind.startswith("bert"):
        assert not any("lm_head" in name for name in weights)


def test_a_classifier_has_its_labels_and_its_pooler(make, tmp_path):
    table = tmp_path / "labels.tsv"
    rows = [f"{w * i}\t{w}s\n" for w in ("sea", "lamp") for i in range(1, 9)]
    table.write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    run = make(arch="bert", objective="classify", data=str(table))
    folder = export_folder(run, tmp_path / "out")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["id2label"] == {"0": "lamps", "1": "seas"}
    assert config["label2id"] == {"lamps": 0, "seas": 1}
    w = read_arrays(folder / "model.safetensors")
    assert not [name for name in w if name.startswith("cls")]
    ids = np.array([[0, 1, 2]])
    x = run.model.read(Batch(ids))
    first = x.numpy()[0, 0] @ w["bert.pooler.dense.weight"].T
    pooled = np.tanh(first + w["bert.pooler.dense.bias"])
    logits = pooled @ w["classifier.weight"].T + w["classifier.bias"]
    ours = run.model.label_logits(x, Batch(ids)).numpy()[0]
    assert np.abs(ours - logits).max() < 1e-6


class Named:
    """What `tokenizer_json` needs of a run."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer


def library(tokenizer) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(Named(tokenizer))))


TOKENIZERS = {
    "bytes": ByteTokenizer(),
    "bytes, framed": ByteTokenizer(PAIR_SPECIALS, BERT_TEMPLATE),
    "characters": CharTokenizer("\n abc灯😀"),
    "characters, framed": CharTokenizer(" abc", PAIR_SPECIALS, BERT_TEMPLATE),
    "U+FFFD among them": CharTokenizer(" ab\ufffd"),
}


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@given(text=st.text(st.sampled_from("\n\r\t abc灯塔😀é\ufffd\u0301\x00")))
def test_characters_and_bytes_are_converted_exactly(tokenizer, text):
    theirs, ids = library(tokenizer), tokenizer.encode(text)
    assert theirs.get_vocab_size() == tokenizer.vocab_size
    assert theirs.encode(text, add_special_tokens=False).ids == ids.tolist()
    assert theirs.decode(ids, skip_special_tokens=False) == tokenizer.decode(ids)
    framed = tokenizer.frame(ids, ids if tokenizer.template else None, room=999)[0]
    pair = (text, text) if tokenizer.template else (text,)
    assert theirs.encode(*pair).ids == framed.tolist()


@given(ids=st.lists(st.integers(0, 255)))
def test_bytes_that_are_no_characters_are_read_as_ours(ids):
    tokenizer = TOKENIZERS["bytes"]
    theirs = library(tokenizer).decode(ids, skip_special_tokens=False)
    assert theirs == tokenizer.decode(ids)


def test_a_special_token_is_one_and_none_is_invented(make, tmp_path):
    masked = export_folder(make(arch="bert", objective="mlm"), tmp_path / "a")
    found = json.loads((masked / "tokenizer_config.json").read_text("utf-8"))
    roles = {name: found[name] for name in found if name.endswith("_token")}
    assert roles == {
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    assert found["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert found["model_max_length"] == 16
    assert "token_type_ids" in found["model_input_names"]
    run = make(arch="bert", objective="mlm")
    theirs = library(run.tokenizer)
    ids = theirs.encode(f"a{MASK}", add_special_tokens=False).ids
    assert ids[-1] == run.tokenizer.specials[MASK]
    bare = export_folder(make(), tmp_path / "b")
    found = json.loads((bare / "tokenizer_config.json").read_text("utf-8"))
    assert not [name for name in found if name.endswith("_token")]
    config = json.loads((bare / "config.json").read_text("utf-8"))
    assert config["eos_token_id"] is None  # theirs would be 50256


REFUSED = {
    "lstm": ({"arch": "lstm"}, "--arch lstm"),
    "encoder": ({"arch": "encoder", "objective": "mlm"}, "--arch encoder"),
    "encdec": (
        {"objective": "seq2seq", "data": "copy:rows=100", "positions": "learned"},
        "--positions learned",
    ),
    "post-norm": ({"norm": "post"}, "--norm post"),
    "rms": ({"norm_kind": "rms"}, "--positions learned"),
    "swiglu": ({"activation": "swiglu"}, "--norm-kind layer"),
    "rotary": ({"positions": "rotary"}, "--norm-kind layer"),
    "relu2": ({"arch": "llama", "activation": "relu2"}, "--activation relu2"),
    "qk_norm": ({"qk_norm": True}, "--qk-norm, where the layout of GPT-2 has --no"),
    "groups": ({"kv_heads": 2}, "--kv-heads 2"),
    "bert": ({"arch": "bert", "objective": "mlm", "norm": "pre"}, "--norm pre"),
}


@pytest.mark.parametrize(("options", "named"), REFUSED.values(), ids=REFUSED)
def test_what_no_layout_says_is_refused_by_name(
    make, minillm, tmp_path, options, named
):
    path = str(make(**options).path)
    code, out, err = minillm("export", path, str(tmp_path / "out"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"{path}: cannot be exported: {named}" in err
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_it_wrote(make, minillm, tmp_path):
    run, folder = str(make().path), str(tmp_path / "deep" / "out")
    code, out, err = minillm("export", run, folder)
    assert code == 0
    assert "GPT-2" in out
    assert "next: " in err
    code, out, err = minillm("export", run, f"{folder}2", "--json")
    assert json.loads(out)["files"] == FILES
    assert err == ""


def test_nothing_that_lies_there_is_replaced(make, minillm, tmp_path):
    run = str(make().path)
    other = tmp_path / "other"
    other.mkdir()
    assert minillm("export", run, str(other))[0] == 0  # it was empty
    before = {path.name: path.read_bytes() for path in other.iterdir()}
    (tmp_path / "file").touch()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("other", "file", "link"):
        code, _, err = minillm("export", run, str(tmp_path / name))
        assert code == 3
        assert "does not replace" in err
    assert {path.name: path.read_bytes() for path in other.iterdir()} == before
    assert not os.listdir(tmp_path / "real")


def test_the_current_folder_is_not_replaced(make, minillm, tmp_path, monkeypatch):
    run = str(make().path)
    monkeypatch.chdir(tmp_path)
    for name in (".", f"../{tmp_path.name}"):
        code, _, err = minillm("export", run, name)
        assert (code, "current folder" in err) == (2, True)


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_whoever_may_read_the_configuration_may_read_the_weights(make, tmp_path):
    folder = export_folder(make(), tmp_path / "a")
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_a_failure_leaves_nothing(make, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "write_arrays", fail)
    with pytest.raises(minillm.errors.DataError, match="No space left"):
        export_folder(make(), tmp_path / "out")
    assert not os.listdir(tmp_path)


def test_a_missing_run_and_a_missing_argument(minillm, tmp_path):
    assert minillm("export", str(tmp_path / "no"), str(tmp_path / "out"))[0] == 3
    assert minillm("export", str(tmp_path / "no"))[0] == 2


def test_the_card_tells_of_the_run(make, tmp_path):
    run = make()
    card = (export_folder(run, tmp_path / "a") / "README.md").read_text("utf-8")
    assert card.startswith('---\nlibrary_name: "transformers"\n')
    assert "`corpus' licence` | `MIT`" in card  # of `bilingual`
    assert f"| `val_loss` | `{run.record['results']['val_loss']}` |" in card
    rows = card.partition("## Loss curve")[2].splitlines()
    assert [row.split(" | ")[0] for row in rows if row.startswith("| ")][1:] == [
        "| 1",
        "| 2",
    ]


def test_rows_that_a_program_made_are_not_the_default_corpus(make):
    run = make(seed=1)
    assert corpus_licence(run) == "MIT"
    run.record["data"]["name"] = "rows"
    assert corpus_licence(run) == "unknown"


def test_a_text_of_ones_own_has_no_known_licence(make, tmp_path):
    text = tmp_path / "stdlib"  # called as a corpus is
    text.write_text("the sea and the lamp. " * 200, encoding="utf-8")
    run = make(data=str(text))
    run.record["data"]["name"] = "a|`<script>\n\x1b[31m"  # a stranger's may be
    card = (export_folder(run, tmp_path / "a") / "README.md").read_text("utf-8")
    assert "`corpus' licence` | `unknown`" in card
    assert "| `corpus` | `a¦'<script> \\x1b[31m` |" in card
