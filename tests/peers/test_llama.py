"""Llama, and Qwen 3 with its query/key norm, as transformers has them: with the same
weights the same logits, loss, gradients, attention maps, and the same after a cache."""

import numpy as np
import pytest

from minillm.inspect.attention import watched
from minillm.models import ModelConfig, build, usual
from minillm.text import Batch

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.peers

VOCAB, WIDTH, HEADS, CONTEXT, LAYERS = 31, 24, 4, 10, 3
RNG = np.random.default_rng(0)
IDS = RNG.integers(1, VOCAB, (4, CONTEXT))
TARGETS = np.where(RNG.random(IDS.shape) < 0.3, RNG.integers(0, VOCAB, IDS.shape), -1)
LENGTHS = np.array([[10], [7], [10], [4]])
MASK = np.arange(CONTEXT) < LENGTHS
TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
GROUPS = pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
# transformers computes the angles of rotary positions in float32, whatever the type.
CLOSE = 1e-5


def make(dtype, *, n_kv_heads=4, tied=False, qk_norm=False):
    """Our Llama, transformers' with its weights, and which of them is which: our name
    -> [(their tensor, whether it lies transposed)], side by side in ours."""
    settings = usual("llama") | {"tied": tied, "qk_norm": qk_norm}
    config = ModelConfig(
        VOCAB,
        LAYERS,
        WIDTH,
        HEADS,
        CONTEXT,
        arch="llama",
        n_kv_heads=n_kv_heads,
        **settings,
    )
    model = build(config, np.random.default_rng(1), dtype)
    rng = np.random.default_rng(2)
    for p in model.parameters():
        if p.ndim == 1:  # gains of 1 would hide a mix-up
            p.data += 0.1 * rng.standard_normal(p.shape).astype(dtype)
    kind = "Qwen3" if qk_norm else "Llama"
    peer = getattr(transformers, f"{kind}ForCausalLM")(
        getattr(transformers, f"{kind}Config")(
            vocab_size=VOCAB,
            hidden_size=WIDTH,
            intermediate_size=config.feed_forward_width,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=n_kv_heads,
            head_dim=WIDTH // HEADS,
            max_position_embeddings=CONTEXT,
            rms_norm_eps=1e-5,
            tie_word_embeddings=tied,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
    ).to(torch.float64 if dtype == np.float64 else torch.float32)
    theirs = {
        "tokens.weight": [(peer.model.embed_tokens.weight, False)],
        "norm.gain": [(peer.model.norm.weight, False)],
        "head": [(peer.lm_head.weight, False)],
    }
    for i, layer in enumerate(peer.model.layers):
        name, attention, mlp = f"blocks.{i}", layer.self_attn, layer.mlp
        qkv = attention.q_proj, attention.k_proj, attention.v_proj
        maps = {
            "attention.qkv": qkv,
            "attention.out": [attention.o_proj],
            "feed_forward.gate": [mlp.gate_proj],
            "feed_forward.up": [mlp.up_proj],
            "feed_forward.down": [mlp.down_proj],
        }
        for ours, several in maps.items():
            theirs[f"{name}.{ours}.weight"] = [(each.weight, True) for each in several]
        norms = {
            "norm1": layer.input_layernorm,
            "norm2": layer.post_attention_layernorm,
        }
        if qk_norm:
            norms["attention.q_norm"] = attention.q_norm
            norms["attention.k_norm"] = attention.k_norm
        for ours, each in norms.items():
            theirs[f"{name}.{ours}.gain"] = [(each.weight, False)]
    for name, p in model.named_parameters():
        ends = np.cumsum([len(q) if t else q.shape[-1] for q, t in theirs[name]])[:-1]
        parts = np.split(p.numpy(), ends, -1)
        for (q, transposed), part in zip(theirs[name], parts, strict=True):
            q.data.copy_(torch.tensor(part.T if transposed else part))
    return model, peer, theirs


def check_equal(ours, theirs) -> None:
    expected = theirs.detach().numpy()
    assert np.abs(ours - expected).max() < CLOSE * np.abs(expected).max()


def torch_of(array):
    return None if array is None else torch.tensor(array, dtype=torch.int64)


@TYPES
@GROUPS
@pytest.mark.parametrize("qk_norm", [False, True], ids=["llama", "qwen 3"])
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
def test_logits_loss_and_gradients(mask, qk_norm, n_kv_heads, dtype):
    model, peer, theirs = make(dtype, n_kv_heads=n_kv_heads, qk_norm=qk_norm)
    real = np.ones(IDS.shape, bool) if mask is None else mask
    logits = peer(torch_of(IDS), attention_mask=torch_of(mask)).logits
    check_equal(model(IDS, mask=mask).numpy()[real], logits[torch.tensor(real)])
    targets = np.where(real, TARGETS, -1)
    their_loss = torch.nn.functional.cross_entropy(
        logits.reshape(-1, VOCAB), torch_of(targets.ravel()), ignore_index=-1
    )
    their_loss.backward()
    loss = model.loss(Batch(IDS, targets, int((targets >= 0).sum()), mask=mask))
    loss.backward()
    check_equal(loss.numpy(), their_loss)
    largest = max(np.abs(p.grad).max() for p in model.parameters())
    for name, p in model.named_parameters():
        parts = [q.grad.numpy().T if t else q.grad.numpy() for q, t in theirs[name]]
        assert np.abs(p.grad - np.concatenate(parts, -1)).max() < CLOSE * largest, name


@TYPES
@GROUPS
@pytest.mark.parametrize("tied", [False, True])
def test_writing_with_a_cache_after_padding_on_the_left(tied, n_kv_heads, dtype):
    """Prompts of unequal lengths, then one token after the other."""
    model, peer, _ = make(dtype, n_kv_heads=n_kv_heads, tied=tied)
    padding = 6 - np.array([6, 3, 5, 1])
    held = np.arange(CONTEXT) >= padding[:, None]
    positions = np.maximum(np.arange(CONTEXT) - padding[:, None], 0)
    logits = peer(
        torch_of(IDS),
        attention_mask=torch_of(held),
        position_ids=torch_of(positions),
    ).logits
    cache = model.new_cache(len(IDS), padding)
    check_equal(model.decode(IDS[:, :6], cache), logits[:, 5])
    for t in range(6, CONTEXT):
        check_equal(model.decode(IDS[:, t : t + 1], cache), logits[:, t])


@TYPES
@GROUPS
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
def test_attention_maps(mask, n_kv_heads, dtype):
    model, peer, _ = make(dtype, n_kv_heads=n_kv_heads)
    peer.set_attn_implementation("eager")  # any other has no weights to show
    result = peer(torch_of(IDS), attention_mask=torch_of(mask), output_attentions=True)
    with watched() as found:
        model.read(Batch(IDS, mask=mask))
    real = np.ones(IDS.shape, bool) if mask is None else mask
    for ours, theirs in zip(found, result.attentions, strict=True):
        assert ours.weights.shape == (len(IDS), HEADS, CONTEXT, CONTEXT)
        difference = np.abs(ours.weights - theirs.detach().numpy()).max(axis=(1, 3))
        assert difference[real].max() < CLOSE
