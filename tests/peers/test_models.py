"""Each architecture against those of other libraries, with the same weights."""

import numpy as np
import pytest

from minillm import Tensor
from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import AdamW, clip_scale, global_norm, squared_norm
from minillm.learning.sgd import SGD
from minillm.models import ModelConfig, build
from minillm.text import Batch

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.peers

VOCAB, WIDTH, HEADS, CONTEXT, LAYERS = 31, 24, 3, 10, 3
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, VOCAB, (4, CONTEXT))
TARGETS = np.where(RNG.random(IDS.shape) < 0.7, RNG.integers(0, VOCAB, IDS.shape), -1)
MASK = np.arange(CONTEXT) < np.array([[10], [7], [10], [4]])


def last_norm(config: ModelConfig):
    """Post-norm blocks end in a norm of their own."""
    pre_norm = config.norm == "pre"
    return nn.LayerNorm(WIDTH, bias=config.bias) if pre_norm else nn.Identity()


def last_affine(norm) -> dict:
    return affine("norm", norm, scale="gain") if list(norm.parameters()) else {}


class PyTorch(nn.Module):
    """The same architecture out of PyTorch's parts."""

    transposed = True  # its linear layers hold their weights as (outputs, inputs)

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
        self.norm = last_norm(config)
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

    def ours(self):
        """{our name: the parameters that lie beside each other in it}"""
        found = {
            "tokens.weight": [self.tokens.weight],
            "positions": [self.positions.weight],
            "head": [self.head.weight],
            **last_affine(self.norm),
        }
        for i, block in enumerate(self.blocks):
            attention = block.self_attn
            name = f"blocks.{i}.attention.qkv"
            found[f"{name}.weight"] = [attention.in_proj_weight]
            found[f"{name}.bias"] = [attention.in_proj_bias]
            found |= block_parts(
                i,
                norms=(block.norm1, block.norm2),
                out=attention.out_proj,
                up=block.linear1,
                down=block.linear2,
            )
        return found


class PyTorchLSTM(nn.Module):
    """PyTorch's LSTM between our norms and residuals. Each gate has a weight of its
    own, since the order in which it expects them is another than ours."""

    transposed = True

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.pre_norm = config.norm == "pre"
        self.tokens = nn.Embedding(VOCAB, WIDTH)
        self.norms = nn.ModuleList(
            nn.LayerNorm(WIDTH, bias=config.bias) for _ in range(LAYERS)
        )
        self.inputs, self.recurrent = (
            nn.ModuleList(
                nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=bias) for _ in range(4))
                for _ in range(LAYERS)
            )
            for bias in (True, False)
        )
        self.norm = last_norm(config)
        self.head = nn.Linear(WIDTH, VOCAB, bias=False)
        if config.tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids, mask=None):
        x = self.tokens(ids)
        for i, norm in enumerate(self.norms):
            if self.pre_norm:
                x = x + self.lstm(i, norm(x))
            else:
                x = norm(x + self.lstm(i, x))
        return self.head(self.norm(x))

    def lstm(self, i, x):
        def joined(gates, name):
            return torch.cat([getattr(gates[k], name) for k in (0, 1, 3, 2)])

        bias = joined(self.inputs[i], "bias")
        named = {
            "weight_ih_l0": joined(self.inputs[i], "weight"),
            "weight_hh_l0": joined(self.recurrent[i], "weight"),
            "bias_ih_l0": bias,
            "bias_hh_l0": torch.zeros_like(bias),
        }
        layer = nn.LSTM(WIDTH, WIDTH, batch_first=True, dtype=x.dtype)
        return torch.func.functional_call(layer, named, (x,))[0]

    def ours(self):
        found = {
            "tokens.weight": [self.tokens.weight],
            "head": [self.head.weight],
            **last_affine(self.norm),
        }
        for i, norm in enumerate(self.norms):
            name = f"blocks.{i}.lstm"
            found |= affine(f"blocks.{i}.norm", norm, scale="gain")
            found |= affine(f"{name}.input", *self.inputs[i])
            found[f"{name}.recurrent"] = [gate.weight for gate in self.recurrent[i]]
        return found


class GPT2(nn.Module):
    """transformers' GPT-2, without dropout."""

    transposed = False

    def __init__(self, config: ModelConfig):
        super().__init__()
        transformers = pytest.importorskip("transformers")
        self.model = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                vocab_size=VOCAB,
                n_positions=CONTEXT,
                n_embd=WIDTH,
                n_layer=LAYERS,
                n_head=HEADS,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                bos_token_id=0,
                eos_token_id=0,
            )
        )

    def forward(self, ids, mask=None):
        return self.model(ids, attention_mask=mask).logits

    def ours(self):
        model = self.model.transformer
        found = {
            "tokens.weight": [model.wte.weight],
            "positions": [model.wpe.weight],
            **affine("norm", model.ln_f, scale="gain"),
        }
        for i, block in enumerate(model.h):
            found |= affine(f"blocks.{i}.attention.qkv", block.attn.c_attn)
            found |= block_parts(
                i,
                norms=(block.ln_1, block.ln_2),
                out=block.attn.c_proj,
                up=block.mlp.c_fc,
                down=block.mlp.c_proj,
            )
        return found


class SigLIP(nn.Module):
    """The text half of transformers' SigLIP. It is arranged as our encoder: GPT-2's
    blocks that see both sides. A head is added, tied to the tokens."""

    transposed = True

    def __init__(self, config: ModelConfig):
        super().__init__()
        transformers = pytest.importorskip("transformers")
        self.model = transformers.SiglipTextModel(
            transformers.SiglipTextConfig(
                vocab_size=VOCAB,
                max_position_embeddings=CONTEXT,
                hidden_size=WIDTH,
                intermediate_size=config.feed_forward_width,
                num_hidden_layers=LAYERS,
                num_attention_heads=HEADS,
                layer_norm_eps=1e-5,
                bos_token_id=0,
                eos_token_id=0,
            )
        )

    def forward(self, ids, mask=None):
        hidden = self.model(ids, attention_mask=mask).last_hidden_state
        return hidden @ self.model.embeddings.token_embedding.weight.T

    def ours(self):
        embeddings = self.model.embeddings
        found = {
            "tokens.weight": [embeddings.token_embedding.weight],
            "positions": [embeddings.position_embedding.weight],
            **affine("norm", self.model.final_layer_norm, scale="gain"),
        }
        for i, block in enumerate(self.model.encoder.layers):
            attention = block.self_attn
            qkv = attention.q_proj, attention.k_proj, attention.v_proj
            found |= affine(f"blocks.{i}.attention.qkv", *qkv)
            found |= block_parts(
                i,
                norms=(block.layer_norm1, block.layer_norm2),
                out=attention.out_proj,
                up=block.mlp.fc1,
                down=block.mlp.fc2,
            )
        return found


def affine(name: str, *layers, scale="weight") -> dict:
    """A layer of ours, of one or more of theirs beside each other."""
    return {
        f"{name}.{scale}": [layer.weight for layer in layers],
        f"{name}.bias": [layer.bias for layer in layers],
    }


def block_parts(i: int, *, norms, out, up, down) -> dict:
    """What every peer's block has as one layer where ours has one."""
    return {
        **affine(f"blocks.{i}.norm1", norms[0], scale="gain"),
        **affine(f"blocks.{i}.norm2", norms[1], scale="gain"),
        **affine(f"blocks.{i}.attention.out", out),
        **affine(f"blocks.{i}.feed_forward.up", up),
        **affine(f"blocks.{i}.feed_forward.down", down),
    }


def pairs(model, peer):
    """(name, our parameter, theirs, whether theirs lie transposed)"""
    theirs = peer.ours()
    for name, p in model.named_parameters():
        transposed = peer.transposed and name.startswith("blocks") and p.ndim == 2
        yield name, p, theirs[name], transposed


def both(dtype, make=PyTorch, **settings):
    """Our model and a peer with its weights."""
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
    peer = make(config).to(torch.float64 if dtype == np.float64 else torch.float32)
    for _, p, theirs, transposed in pairs(model, peer):
        if p.ndim == 1:  # gains of 1 and biases of 0 would hide a mix-up
            p.data += 0.1 * RNG.standard_normal(p.shape).astype(dtype)
        for q, part in zip(theirs, np.split(p.numpy(), len(theirs), -1), strict=True):
            q.data.copy_(torch.tensor(part.T if transposed else part))
    return model, peer


def their_loss(peer, mask=None):
    logits = peer(torch.tensor(IDS), None if mask is None else torch.tensor(mask))
    loss = nn.functional.cross_entropy(
        logits.reshape(-1, VOCAB), torch.tensor(TARGETS.ravel()), ignore_index=-1
    )
    return logits, loss


def our_batch(mask=None) -> Batch:
    return Batch(IDS, TARGETS, int((TARGETS >= 0).sum()), mask=mask)


def check_equal(model, peer, mask, dtype):
    """Logits, loss and every gradient."""
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
    for name, p, theirs, transposed in pairs(model, peer):
        gradients = [q.grad.numpy().T if transposed else q.grad.numpy() for q in theirs]
        assert np.abs(p.grad - np.concatenate(gradients, -1)).max() < bound, name


TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
ARCHITECTURES = pytest.mark.parametrize(
    ("arch", "make"), [("gpt", PyTorch), ("encoder", PyTorch), ("lstm", PyTorchLSTM)]
)
MASKS = pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])


@TYPES
@MASKS
@pytest.mark.parametrize(
    "settings",
    [{}, {"norm": "post"}, {"tied": False, "bias": False}],
    ids=["default", "post-norm", "untied, no bias"],
)
@ARCHITECTURES
def test_logits_loss_and_every_gradient_are_pytorchs(arch, make, settings, mask, dtype):
    check_equal(*both(dtype, make, arch=arch, **settings), mask, dtype)


@TYPES
@MASKS
@pytest.mark.parametrize(("arch", "make"), [("gpt", GPT2), ("encoder", SigLIP)])
def test_logits_loss_and_every_gradient_are_transformers(arch, make, mask, dtype):
    check_equal(*both(dtype, make, arch=arch, tied=True), mask, dtype)


def test_the_loss_of_a_text_is_the_one_transformers_takes():
    """It is handed no targets, but moves the ids by one itself."""
    model, peer = both(np.float32, GPT2, tied=True)
    ids = torch.tensor(IDS)
    expected = peer.model(ids, labels=ids).loss.item()
    batch = Batch(IDS[:, :-1], IDS[:, 1:], IDS[:, 1:].size)
    assert model.loss(batch).item() == pytest.approx(expected, rel=1e-5)


@ARCHITECTURES
def test_ten_steps_of_adamw_are_pytorchs(arch, make):
    model, peer = both(np.float32, make, arch=arch)
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


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            lambda p: SGD(p, lr=0.1, momentum=0.9),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        ),
        (
            lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        ),
        (
            lambda p: AdamW(p, lr=0.01, beta2=0.999),
            lambda p: torch.optim.Adam(p, lr=0.01),
        ),
    ],
)
def test_a_loop_of_one_s_own_is_pytorchs(ours, theirs):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(20, 3)), rng.normal(size=(3, 2))
    mine, peer = Tensor(w.copy(), requires_grad=True), torch.tensor(w).requires_grad_()
    ours, theirs = ours([mine]), theirs([peer])
    for _ in range(10):
        ours.zero_grad()
        (((Tensor(x) @ mine) ** 2).mean() - mine.sum()).backward()
        ours.step()
        theirs.zero_grad()
        (((torch.tensor(x) @ peer) ** 2).mean() - peer.sum()).backward()
        theirs.step()
        np.testing.assert_allclose(mine.numpy(), peer.detach().numpy(), rtol=1e-9)
