"""Marian's layout (Junczys-Dowmunt et al. 2018): the encoder–decoder, maps [out, in].

It computes its sines itself, all of them before the cosines; ours alternate. Nothing
else tells the numbers of a token apart, so that all weights are written in its order:
the same model. Answers begin with [BOS], where Marian's own begin with [PAD].
"""

import dataclasses

import numpy as np

from minillm.hub.gpt2 import ACTIVATIONS, READ
from minillm.hub.keys import Keys
from minillm.hub.places import Place, Places, layer_norm, linear, table
from minillm.nn import ModelConfig
from minillm.runs.run import Run

BODY = "model."  # before the names of all but the output
HEAD = "lm_head.weight"
MAY_LACK = ("output_bias",)
# Copies of the table of tokens, and sines, which some versions save.
COPIES = ("embed_tokens.weight", "embed_positions.weight")
# What reads the numbers of a token, row by row, and what makes them, column by column.
READS = ("attention.qkv.weight", "cross.q.weight", "cross.kv.weight", "up.weight")
MAKES = ("tokens", "attention.out", "cross.out", "down", "norm1", "norm2", "cross_norm")


def config_of(run: Run) -> dict:
    """What config.json says beside the special tokens."""
    config, rate = run.model.config, run.config.dropout
    sides = {}
    for side in ("encoder", "decoder"):
        sides |= {
            f"{side}_layers": config.n_layers,
            f"{side}_attention_heads": config.n_heads,
            f"{side}_ffn_dim": config.feed_forward_width,
            f"{side}_layerdrop": 0.0,
        }
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "decoder_vocab_size": config.vocab_size,
        "share_encoder_decoder_embeddings": True,
        "max_position_embeddings": config.context,
        "d_model": config.d_model,
        "num_hidden_layers": config.n_layers,
        **sides,
        "activation_function": ACTIVATIONS[config.activation],
        "scale_embedding": True,
        "tie_word_embeddings": True,
        "decoder_start_token_id": run.tokenizer.specials[run.tokenizer.begin],
        "forced_eos_token_id": None,
        "dropout": rate,
        "attention_dropout": run.config.attention_dropout,
        "activation_dropout": 0.0,
    }


def shape_of(keys: Keys) -> ModelConfig:
    """The shape that a config.json describes. Raises DataError, which names the key,
    for what minillm's encoder–decoder is not."""
    vocab, layers = keys.number("vocab_size", 58101), keys.number("encoder_layers", 12)
    heads = keys.number("encoder_attention_heads", 16)
    d_ff = keys.number("encoder_ffn_dim", 4096)
    for name, value, usual in (
        ("decoder_vocab_size", vocab, vocab),
        ("decoder_layers", layers, 12),
        ("num_hidden_layers", layers, layers),
        ("decoder_attention_heads", heads, 16),
        ("decoder_ffn_dim", d_ff, 4096),
        ("scale_embedding", True, False),
        ("share_encoder_decoder_embeddings", True, True),
        ("is_encoder_decoder", True, True),
        ("is_decoder", False, False),
        ("tie_word_embeddings", True, True),
        ("static_position_embeddings", True, True),
        ("normalize_before", False, False),
        ("normalize_embedding", False, False),
        ("add_final_layer_norm", False, False),
        ("add_bias_logits", False, False),
    ):
        keys.must(name, value, default=usual)
    activation = keys.must("activation_function", *READ, default="gelu")
    return ModelConfig(
        arch="encdec",
        vocab_size=vocab,
        n_layers=layers,
        d_model=keys.number("d_model", 1024),
        n_heads=heads,
        d_ff=d_ff,
        context=keys.number("max_position_embeddings", 1024),
        norm="post",
        positions="sinusoidal",
        activation=READ[activation],
        tied=True,
    )


def renamed(name: str, config: ModelConfig) -> str | None:
    """The name itself; None: it is a copy, or no weight."""
    return None if name.endswith(COPIES) else name


def places_of(config: ModelConfig, objective: str) -> Places:
    """Where each parameter lies."""
    width, vocab = config.d_model, config.vocab_size
    places = table("tokens.weight", "model.shared.weight", vocab, width)
    for side in ("encoder", "decoder"):
        for i in range(config.n_layers):
            places |= _layer(f"{side}.{i}", f"model.{side}.layers.{i}", config)
    order = np.r_[0:width:2, 1:width:2]  # the sines, then the cosines
    places = {name: _reordered(name, place, order) for name, place in places.items()}
    bias = Place(("final_logits_bias",), (vocab,), 1, may_lack=True)
    return places | {"output_bias": bias}


def _layer(ours: str, theirs: str, config: ModelConfig) -> Places:
    width, d_ff = config.d_model, config.feed_forward_width
    q, k, v = (f"{theirs}.self_attn.{name}_proj" for name in "qkv")
    out = (f"{theirs}.self_attn.out_proj",)
    places = {
        **linear(f"{ours}.attention.qkv", (q, k, v), width, (width,) * 3),
        **linear(f"{ours}.attention.out", out, width, (width,)),
        **layer_norm(f"{ours}.norm1", f"{theirs}.self_attn_layer_norm", width),
        **linear(f"{ours}.feed_forward.up", (f"{theirs}.fc1",), width, (d_ff,)),
        **linear(f"{ours}.feed_forward.down", (f"{theirs}.fc2",), d_ff, (width,)),
        **layer_norm(f"{ours}.norm2", f"{theirs}.final_layer_norm", width),
    }
    if ours.startswith("encoder"):
        return places
    q, k, v = (f"{theirs}.encoder_attn.{name}_proj" for name in "qkv")
    out = (f"{theirs}.encoder_attn.out_proj",)
    return {
        **places,
        **linear(f"{ours}.cross.q", (q,), width, (width,)),
        **linear(f"{ours}.cross.kv", (k, v), width, (width,) * 2),
        **linear(f"{ours}.cross.out", out, width, (width,)),
        **layer_norm(f"{ours}.cross_norm", f"{theirs}.encoder_attn_layer_norm", width),
    }


def _reordered(name: str, place: Place, order: np.ndarray) -> Place:
    if name.endswith(READS):
        return dataclasses.replace(place, row_order=order)
    if name.rpartition(".")[0].endswith(MAKES):
        return dataclasses.replace(place, column_order=order)
    return place  # inside a head, or of the wide layer
