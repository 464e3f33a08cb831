"""Folders that transformers saves, with random weights, give the same logits here."""

import shutil

import numpy as np
import pytest

from minillm import export_folder, import_folder, load_run, train
from minillm.hub.keys import NO_MATTER

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
V, CONTEXT = 256, 16


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A tokenizer.json of 256 bytes."""
    folder = tmp_path_factory.mktemp("run")
    options = {"size": "pico", "data": "bilingual", "tokenizer": "bytes", "steps": 1}
    train(**options, device="cpu", workers="1", out=str(folder / "run"), draw=False)
    return export_folder(folder / "run", folder / "out") / "tokenizer.json"


def gpt2(**settings):
    shape = {"n_positions": CONTEXT, "n_embd": 24, "n_layer": 2, "n_head": 4}
    shape |= {"eos_token_id": 0}  # theirs would be none of the tokens
    config = transformers.GPT2Config(vocab_size=V, **shape | settings)
    return transformers.GPT2LMHeadModel(config)


def llama(**settings):
    config = transformers.LlamaConfig(
        vocab_size=V,
        max_position_embeddings=CONTEXT,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        **{"intermediate_size": 64, **settings},
    )
    return transformers.LlamaForCausalLM(config)


def qwen3(**settings):
    config = transformers.Qwen3Config(
        vocab_size=V,
        max_position_embeddings=CONTEXT,
        hidden_size=24,
        intermediate_size=50,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        **settings,
    )
    return transformers.Qwen3ForCausalLM(config)


MODELS = {
    "qwen3": lambda: qwen3(),
    "gpt2": lambda: gpt2(),
    "gpt2, untied": lambda: gpt2(tie_word_embeddings=False),
    "gpt2, by erf": lambda: gpt2(activation_function="gelu", n_inner=50),
    "gpt2, eps": lambda: gpt2(layer_norm_epsilon=1e-2),
    "llama": lambda: llama(),
    "llama, tied": lambda: llama(tie_word_embeddings=True),
    "llama, grouped": lambda: llama(num_key_value_heads=2),
    "llama, base": lambda: llama(
        rope_parameters={"rope_type": "default", "rope_theta": 50.0}
    ),
    "llama, eps": lambda: llama(rms_norm_eps=1e-2, intermediate_size=50),
    "llama, biases": lambda: llama(attention_bias=True, mlp_bias=True),
}


@pytest.mark.parametrize("saved", ["float32", "float16", "bfloat16 in shards"])
@pytest.mark.parametrize("kind", MODELS)
def test_logits(kind, saved, tokenizer, tmp_path):
    torch.manual_seed(0)
    theirs = MODELS[kind]().eval()
    for p in theirs.parameters():
        p.data += 0.1 * torch.randn_like(p)
    theirs = theirs.to(getattr(torch, saved.partition(" ")[0]))
    shards = {"max_shard_size": "20KB"} if "shards" in saved else {}
    theirs.save_pretrained(tmp_path / "theirs", **shards)
    assert (len([*(tmp_path / "theirs").glob("*.safetensors")]) > 1) == bool(shards)
    shutil.copy(tokenizer, tmp_path / "theirs")
    run = load_run(import_folder(tmp_path / "theirs", tmp_path / "run"))
    ids = np.random.default_rng(1).integers(0, V, (3, CONTEXT))
    # Read anew: `to` rounds the angles of the rotary positions too.
    theirs = type(theirs).from_pretrained(tmp_path / "theirs", dtype=torch.float32)
    with torch.no_grad():
        logits = theirs.eval()(torch.tensor(ids)).logits.numpy()
    assert np.abs(run.model(ids).numpy() - logits).max() < 1e-5 * np.abs(logits).max()


@pytest.mark.parametrize("name", ["GPT2", "Llama", "Qwen3"])
def test_each_key_that_does_not_matter_is_one_of_theirs_or_of_before(name):
    """What is in the list and changes a number here would be a silent mistake: with
    each of them changed, their logits are as they were."""
    make = {"GPT2": gpt2, "Llama": llama, "Qwen3": qwen3}[name]
    torch.manual_seed(0)
    model = make().eval()
    ids = torch.arange(CONTEXT)[None]
    before = model(ids).logits
    given = model.config.to_dict()
    numbers = {
        key: value
        for key, value in given.items()
        if key in NO_MATTER and type(value) in (int, float, bool)
    }
    assert len(numbers) > 4
    for key in numbers:
        if key in ("return_dict", "initializer_range"):
            continue  # the form of the answer; how weights are drawn
        value = numbers[key]
        changed = not value if type(value) is bool else value / 2
        changed = int(changed) if type(value) is int else changed
        other = make(**{key: changed}).eval()
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(ids).logits, before), key
