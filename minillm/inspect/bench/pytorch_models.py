"""The architectures in PyTorch, as its users would write them.

Every one has `loss(batch)`: the tensors of a `Batch`, None where it has none -> the
mean over the kept targets, in nats.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from minillm.models import ModelConfig
from minillm.nn.config import head_width
from minillm.nn.positions import rotations, sinusoids
from minillm.text import IGNORED


def new_peer(config: ModelConfig) -> nn.Module:
    """The peer of our model of this shape, its weights not yet ours."""
    return PEERS[config.arch](config)


class PeerGPT(nn.Module):
    """minillm's GPT and Llama: position t sees the tokens up to t."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        width = config.d_model
        self.tokens = nn.Embedding(config.vocab_size, width)
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.empty(config.context, width))
        self.blocks = nn.ModuleList(PeerBlock(config) for _ in range(config.n_layers))
        self.norm = new_norm(config)
        self.head = nn.Linear(width, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.tokens.weight

    def loss(self, batch):
        x = self.embed(batch.ids, 0)
        for block in self.blocks:
            x = block(x)
        return loss_of(self.head(self.norm(x)), batch.targets)

    def embed(self, ids, begin: int):
        x = self.tokens(ids)
        if self.config.positions == "learned":
            x = x + self.positions[begin : begin + ids.shape[1]]
        return x

    def decode(self, ids, cache, position: int):
        x = self.embed(ids, position)
        for block, (keys, values) in zip(self.blocks, cache, strict=True):
            x = block.decode(x, keys, values, position)
        return self.head(self.norm(x[:, -1]))

    def new_cache(self, n_sequences: int, device) -> list:
        config = self.config
        width = head_width(config.d_model, config.n_heads)
        shape = (n_sequences, config.n_heads, config.context, width)
        return [
            (torch.zeros(shape, device=device), torch.zeros(shape, device=device))
            for _ in self.blocks
        ]


class PeerEncoder(nn.Module):
    """minillm's encoder and BERT: every position sees all that is no padding."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width, self.is_bert = config.d_model, config.arch == "bert"
        self.tokens = nn.Embedding(config.vocab_size, width)
        self.positions = nn.Parameter(torch.empty(config.context, width))
        self.blocks = nn.ModuleList(
            PeerBlock(config, causal=False) for _ in range(config.n_layers)
        )
        self.norm = last_norm(config)
        if self.is_bert:
            self.segments = nn.Embedding(2, width)
            self.embedding_norm = new_norm(config)
            self.dense = nn.Linear(width, width)
            self.dense_norm = new_norm(config)
        self.head = nn.Linear(width, config.vocab_size, bias=self.is_bert)
        if config.tied:
            self.head.weight = self.tokens.weight

    def loss(self, batch):
        x = self.tokens(batch.ids) + self.positions[: batch.ids.shape[1]]
        if self.is_bert:
            x = self.embedding_norm(x + self.segments.weight[0])
        for block in self.blocks:
            x = block(x)
        kept = batch.targets != IGNORED
        # What is not asked is left out of the output. Ours leaves it out of the last
        # feed-forward too (`models/masked.py`), which users of PyTorch seldom do.
        x = self.norm(x[kept])
        if self.is_bert:
            x = self.dense_norm(F.gelu(self.dense(x), approximate="tanh"))
        return F.cross_entropy(self.head(x), batch.targets[kept])


class PeerEncoderDecoder(nn.Module):
    """minillm's encoder–decoder: what is written sees all of the source."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width, layers = config.d_model, range(config.n_layers)
        self.scale = math.sqrt(width)
        self.tokens = nn.Embedding(config.vocab_size, width)
        table = torch.from_numpy(sinusoids(config.context, width)).float()
        self.register_buffer("positions", table)
        self.encoder = nn.ModuleList(PeerBlock(config, causal=False) for _ in layers)
        self.encoder_norm = last_norm(config)
        self.decoder = nn.ModuleList(PeerBlock(config, crosses=True) for _ in layers)
        self.decoder_norm = last_norm(config)

    def loss(self, batch):
        memory, seen = self.embed(batch.source), None
        if not batch.source_mask.all():
            seen = batch.source_mask[:, None, None]
        for block in self.encoder:
            memory = block(memory, seen=seen)
        memory = self.encoder_norm(memory)
        x = self.embed(batch.ids)  # padding is on the right: the causal mask hides it
        for block in self.decoder:
            x = block(x, memory, seen)
        logits = F.linear(self.decoder_norm(x), self.tokens.weight)
        return loss_of(logits, batch.targets)

    def embed(self, ids):
        return self.tokens(ids) * self.scale + self.positions[: ids.shape[1]]


class PeerBlock(nn.Module):
    """Attention and feed-forward; with `crosses` a look at a memory between them."""

    def __init__(self, config: ModelConfig, *, causal: bool = True, crosses=False):
        super().__init__()
        width, wide, bias = config.d_model, config.feed_forward_width, config.bias
        self.config, self.causal = config, causal
        self.norm1 = new_norm(config)
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        if crosses:
            self.cross_norm = new_norm(config)
            self.cross_q = nn.Linear(width, width, bias=bias)
            self.cross_kv = nn.Linear(width, 2 * width, bias=bias)
            self.cross_out = nn.Linear(width, width, bias=bias)
        self.norm2 = new_norm(config)
        self.up = nn.Linear(width, wide, bias=bias)
        if config.activation == "swiglu":
            self.gate = nn.Linear(width, wide, bias=bias)
        self.down = nn.Linear(wide, width, bias=bias)
        if config.positions == "rotary":
            self.turns = Turns(config)

    def forward(self, x, memory=None, seen=None):
        of_own = None if self.causal else seen
        x = self._around(lambda h: self._attend(h, of_own), x, self.norm1)
        if memory is not None:
            x = self._around(lambda h: self._look(h, memory, seen), x, self.cross_norm)
        return self._around(self._feed_forward, x, self.norm2)

    def decode(self, x, keys, values, position: int):
        def attend(h):
            q, k, v = self._queries_keys_values(h, position)
            end = position + 1
            keys[:, :, position:end] = k
            values[:, :, position:end] = v
            y = F.scaled_dot_product_attention(q, keys[:, :, :end], values[:, :, :end])
            return self.out(_merged(y))

        x = self._around(attend, x, self.norm1)
        return self._around(self._feed_forward, x, self.norm2)

    def _around(self, f, x, norm):
        return x + f(norm(x)) if self.config.norm == "pre" else norm(x + f(x))

    def _attend(self, x, seen):
        q, k, v = self._queries_keys_values(x, 0)
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=seen, is_causal=self.causal
        )
        return self.out(_merged(y))

    def _look(self, x, memory, seen):
        (q,) = self._heads(self.cross_q(x), 1)
        k, v = self._heads(self.cross_kv(memory), 2)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.cross_out(_merged(y))

    def _queries_keys_values(self, x, begin: int):
        q, k, v = self._heads(self.qkv(x), 3)
        if self.config.positions == "rotary":
            q, k = self.turns(q, begin), self.turns(k, begin)
        return q, k, v

    def _heads(self, x, n: int):
        batch, length, _ = x.shape
        width, n_heads = self.config.d_model, self.config.n_heads
        split = (batch, length, n_heads, head_width(width, n_heads))
        return [part.view(split).transpose(1, 2) for part in x.split(width, dim=2)]

    def _feed_forward(self, x):
        if self.config.activation == "swiglu":
            return self.down(F.silu(self.gate(x)) * self.up(x))
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Turns(nn.Module):
    """Rotary positions: each head's halves, turned."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = head_width(config.d_model, config.n_heads)
        for name, table in rotations(config.context, width).items():
            both = torch.from_numpy(table)[:, 0].repeat(1, 2).float()  # (context, d)
            self.register_buffer(name, both)

    def forward(self, x, begin: int):  # (B, H, T, d) -> the same
        own = slice(begin, begin + x.shape[2])
        first, second = x.chunk(2, dim=-1)
        return x * self.cos[own] + torch.cat([-second, first], -1) * self.sin[own]


class PeerLSTM(nn.Module):
    """minillm's LSTM model, around `nn.LSTM`: one fused op for a whole sequence."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.tokens = nn.Embedding(config.vocab_size, config.d_model)
        layers = range(config.n_layers)
        self.blocks = nn.ModuleList(PeerRecurrentBlock(config) for _ in layers)
        self.norm = last_norm(config)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.tokens.weight

    def loss(self, batch):
        x = self.tokens(batch.ids)
        for block in self.blocks:
            x, _ = block(x)
        return loss_of(self.head(self.norm(x)), batch.targets)

    def decode(self, ids, cache, position: int):
        x = self.tokens(ids)
        for i, block in enumerate(self.blocks):
            x, cache[i] = block(x, cache[i])
        return self.head(self.norm(x[:, -1]))

    def new_cache(self, n_sequences: int, device) -> list:
        return [None for _ in self.blocks]


class PeerRecurrentBlock(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        width = config.d_model
        self.pre_norm = config.norm == "pre"
        self.norm = new_norm(config)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        # Beside the other bias it is one too many, which would learn twice as fast.
        nn.init.zeros_(self.lstm.bias_hh_l0).requires_grad_(False)

    def forward(self, x, state=None):
        if self.pre_norm:
            y, state = self.lstm(self.norm(x), state)
            return x + y, state
        y, state = self.lstm(x, state)
        return self.norm(x + y), state


PEERS = {
    "gpt": PeerGPT,
    "llama": PeerGPT,
    "encoder": PeerEncoder,
    "bert": PeerEncoder,
    "encdec": PeerEncoderDecoder,
    "lstm": PeerLSTM,
}


def new_norm(config: ModelConfig) -> nn.Module:
    if config.norm_kind == "rms":
        return nn.RMSNorm(config.d_model, eps=1e-5)
    return nn.LayerNorm(config.d_model, bias=config.bias)


def last_norm(config: ModelConfig) -> nn.Module:
    """As in `nn/block.py`."""
    return nn.Identity() if config.norm == "post" else new_norm(config)


def loss_of(logits, targets):
    return F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED
    )


def _merged(y):
    return y.transpose(1, 2).flatten(2)


# What a part of ours is called there.
NAMES = {
    "attention.": "",
    "feed_forward.": "",
    "cross.": "cross_",
    "transform.dense": "dense",
    "transform.norm": "dense_norm",
    "output_bias": "head.bias",
    "lstm.input.weight": "lstm.weight_ih_l0",
    "lstm.input.bias": "lstm.bias_ih_l0",
    "lstm.recurrent": "lstm.weight_hh_l0",
    ".gain": ".weight",
}
TABLES = ("tokens", "positions", "segments", "head")


@torch.no_grad()
def copy_weights(model, peer: nn.Module) -> None:
    """Give the peer our weights; its linear maps hold theirs transposed, and its LSTM
    has the output gate last. Ours for pairs of texts have no place there."""
    theirs = dict(peer.named_parameters())
    for ours, p in model.named_parameters():
        if ours.startswith(("pooler", "next_sentence")):
            continue
        name = ours
        for of_ours, of_theirs in NAMES.items():
            name = name.replace(of_ours, of_theirs)
        values = torch.from_numpy(p.numpy().copy())
        if p.ndim == 2 and not ours.startswith(TABLES):
            values = values.T
        if ".lstm." in ours:
            i, f, o, new = values.chunk(4)
            values = torch.cat([i, f, new, o])
        theirs["head.weight" if ours == "head" else name].copy_(values)
