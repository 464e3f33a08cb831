"""GPT and the encoder against PyTorch's own transformer, with the same weights."""

import numpy as np
import pytest

from minillm.models import ModelConfig, build
from minillm.text import Batch
from minillm.training.flat import FlatParameters
from minillm.training.optimizer import AdamW, clip_scale, global_norm, squared_norm

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.peers

VOCAB, WIDTH, HEADS, CONTEXT, LAYERS = 31, 24, 3, 10, 3
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, VOCAB, (4, CONTEXT))
TARGETS = np.where(RNG.random(IDS.shape) < 0.7, RNG.integers(0, VOCAB, IDS.shape), -1)
MASK = np.arange(CONTEXT) < np.array([[10], [7], [10], [4]])


class Peer(nn.Module):
    """The same architecture out of PyTorch's parts."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.causal = config.arch == "gpt"
        self.tokens = nn.Embedding(VOCAB, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                WIDTH,
                HEADS,
                config.feed_forward_width,
                dropout=0.0,
                activation=lambda x: nn.functional.gelu(x, approximate="tanh"),
                batch_first=True,
                norm_first=config.norm == "pre",
                bias=config.bias,
            )
            for _ in range(LAYERS)
        )
        self.norm = nn.LayerNorm(WIDTH, bias=config.bias)
        self.head = nn.Linear(WIDTH, VOCAB, bias=False)
        if config.tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids, mask=None):
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        future = None
        if self.causal:
            future = torch.ones(len(ids[0]), len(ids[0]), dtype=torch.bool).triu(1)
        padding = None if mask is None else ~mask
        for block in self.blocks:
            x = block(x, src_mask=future, src_key_padding_mask=padding)
        return self.head(self.norm(x))


def pairs(model, peer):
    """(name, our parameter, theirs, whether theirs lies transposed)"""
    theirs = {
        "tokens.weight": peer.tokens.weight,
        "positions": peer.positions.weight,
        "norm.gain": peer.norm.weight,
        "norm.bias": peer.norm.bias,
        "head": peer.head.weight,
    }
    for i, block in enumerate(peer.blocks):
        for ours, linear in (
            ("attention.out", block.self_attn.out_proj),
            ("feed_forward.up", block.linear1),
            ("feed_forward.down", block.linear2),
        ):
            theirs[f"blocks.{i}.{ours}.weight"] = linear.weight
            theirs[f"blocks.{i}.{ours}.bias"] = linear.bias
        theirs[f"blocks.{i}.attention.qkv.weight"] = block.self_attn.in_proj_weight
        theirs[f"blocks.{i}.attention.qkv.bias"] = block.self_attn.in_proj_bias
        for norm in ("norm1", "norm2"):
            theirs[f"blocks.{i}.{norm}.gain"] = getattr(block, norm).weight
            theirs[f"blocks.{i}.{norm}.bias"] = getattr(block, norm).bias
    for name, p in model.named_parameters():
        yield name, p, theirs[name], ".weight" in name and name.startswith("blocks")


def both(dtype, **settings):
    """Our model and PyTorch's, the latter with the former's weights."""
    config = ModelConfig(
        VOCAB,
        LAYERS,
        WIDTH,
        HEADS,
        CONTEXT,
        init="fan_in",
        embedding_sd=0.3,
        **settings,
    )
    model = build(config, np.random.default_rng(1), dtype)
    peer = Peer(config).to(torch.float64 if dtype == np.float64 else torch.float32)
    for _, p, q, transposed in pairs(model, peer):
        if p.ndim == 1:  # gains of 1 and biases of 0 would hide a mix-up
            p.data += 0.1 * RNG.standard_normal(p.shape).astype(dtype)
        with torch.no_grad():
            q.copy_(torch.tensor(p.numpy().T if transposed else p.numpy()))
    return model, peer


def their_loss(peer, mask=None):
    logits = peer(torch.tensor(IDS), None if mask is None else torch.tensor(mask))
    loss = nn.functional.cross_entropy(
        logits.reshape(-1, VOCAB), torch.tensor(TARGETS.ravel()), ignore_index=-1
    )
    return logits, loss


def our_batch(mask=None) -> Batch:
    return Batch(IDS, TARGETS, int((TARGETS >= 0).sum()), mask=mask)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"norm": "post"}, {"tied": False, "bias": False}],
    ids=["default", "post-norm", "untied, no bias"],
)
@pytest.mark.parametrize("arch", ["gpt", "encoder"])
def test_logits_loss_and_every_gradient_are_pytorchs(arch, settings, mask, dtype):
    model, peer = both(dtype, arch=arch, **settings)
    their_logits, loss_of_peer = their_loss(peer, mask)
    loss_of_peer.backward()
    logits, loss = model(IDS, mask=mask), model.loss(our_batch(mask))
    loss.backward()

    expected = their_logits.detach().numpy()
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    difference = np.abs(logits.numpy() - expected).max() / np.abs(expected).max()
    assert difference < rtol
    assert loss.item() == pytest.approx(loss_of_peer.item(), rel=rtol)

    # Relative to the largest gradient of the model: a key's bias has none at all.
    largest = max(np.abs(p.grad).max() for p in model.parameters())
    bound = (1e-5 if dtype == np.float32 else 1e-9) * largest
    for name, p, q, transposed in pairs(model, peer):
        theirs = q.grad.numpy().T if transposed else q.grad.numpy()
        assert np.abs(p.grad - theirs).max() < bound, name


@pytest.mark.parametrize("arch", ["gpt", "encoder"])
def test_ten_steps_of_adamw_are_pytorchs(arch):
    model, peer = both(np.float32, arch=arch)
    decayed = [q for q in peer.parameters() if q.ndim >= 2]
    others = [q for q in peer.parameters() if q.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": 0.1},
        {"params": others, "weight_decay": 0.0},
    ]
    theirs = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), eps=1e-8)
    flat = FlatParameters(model)
    gradient = flat.zeros()
    flat.collect_gradients(model, gradient)
    ours = AdamW(flat, weight_decay=0.1)
    for step in range(1, 11):
        theirs.zero_grad()
        _, loss_of_peer = their_loss(peer)
        loss_of_peer.backward()
        nn.utils.clip_grad_norm_(peer.parameters(), 1.0)
        theirs.step()

        gradient[...] = 0
        loss = model.loss(our_batch())
        loss.backward()
        scale = clip_scale(global_norm([squared_norm(gradient)]), 1.0)
        ours.update(slice(0, flat.size), gradient, lr=1e-3, step=step, scale=scale)
        assert loss.item() == pytest.approx(loss_of_peer.item(), rel=1e-5), step
