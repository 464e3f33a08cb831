"""Llama's layout (Touvron et al. 2023): maps lie [out, in], norms have no bias, and a
head's number i is turned with number i + d/2, as here."""

from minillm.errors import DataError
from minillm.hub.keys import Keys
from minillm.hub.places import Places, linear, table, vector
from minillm.nn import ModelConfig
from minillm.runs.run import Run

BODY = "model."  # before the names of all but the output
HEAD = "lm_head.weight"
MAY_LACK = ()  # of our parameters


def config_of(run: Run) -> dict:
    """What config.json says beside the special tokens."""
    config = run.model.config
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context,
        "hidden_size": config.d_model,
        "intermediate_size": config.feed_forward_width,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.d_model // config.n_heads,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "rope_theta": config.rope_base,  # where transformers 4 looks
        "attention_bias": config.bias,
        "mlp_bias": config.bias,
        "tie_word_embeddings": config.tied,
        "attention_dropout": run.config.attention_dropout,
    }


def shape_of(
    keys: Keys, *, qk_norm=False, head_dim: int | None = None, context: int = 2048
) -> ModelConfig:
    """The shape that a config.json describes; the last two are for one that does not
    say them. Raises DataError, which names the key, for what minillm's Llama is not."""
    width = keys.number("hidden_size", 4096)
    n_heads = keys.number("num_attention_heads", 32)
    keys.must("hidden_act", "silu", default="silu")
    keys.must("head_dim", width // n_heads, default=head_dim or width // n_heads)
    keys.must("is_encoder_decoder", False, default=False)
    bias = keys.flag("attention_bias", False)
    keys.must("mlp_bias", bias, default=False)
    n_kv_heads = keys.number("num_key_value_heads", n_heads)
    return ModelConfig(
        arch="llama",
        vocab_size=keys.number("vocab_size", 32000),
        n_layers=keys.number("num_hidden_layers", 32),
        d_model=width,
        n_heads=n_heads,
        context=keys.number("max_position_embeddings", context),
        d_ff=keys.number("intermediate_size", 11008),
        norm_eps=keys.real("rms_norm_eps", 1e-6),
        rope_base=_rope_base(keys),
        norm_kind="rms",
        positions="rotary",
        activation="swiglu",
        qk_norm=qk_norm,
        bias=bias,
        tied=keys.flag("tie_word_embeddings", False),
        n_kv_heads=None if n_kv_heads == n_heads else n_kv_heads,
    )


def _rope_base(keys: Keys) -> float:
    """That of the rotary positions: in `rope_parameters`, or, before transformers 5, in
    `rope_theta`. Raises DataError for positions that are scaled in any way."""
    bases = {keys.real("rope_theta")} - {None}
    for name in ("rope_parameters", "rope_scaling"):
        inner = keys.inner(name)
        kind = inner.must("type", "default", default="default")
        inner.must("rope_type", "default", default=kind)
        bases |= {inner.real("rope_theta")} - {None}
        inner.done()
    if len(bases) > 1:
        raise DataError(
            f"{keys.path}: rope_theta is {' and '.join(map(str, sorted(bases)))}"
        )
    return bases.pop() if bases else ModelConfig.rope_base


def places_of(config: ModelConfig, objective: str) -> Places:
    """Where each parameter lies."""
    width, d_ff, vocab = config.d_model, config.feed_forward_width, config.vocab_size
    of_keys = config.kv_heads * (width // config.n_heads)
    places = table("tokens.weight", "model.embed_tokens.weight", vocab, width)
    for i in range(config.n_layers):
        ours, theirs = f"blocks.{i}", f"model.layers.{i}"
        norms = {"norm1": "input_layernorm", "norm2": "post_attention_layernorm"}
        for mine, its in norms.items():
            places |= vector(f"{ours}.{mine}.gain", f"{theirs}.{its}.weight", width)
        for norm in ("q_norm", "k_norm") if config.qk_norm else ():
            mine, its = f"{ours}.attention.{norm}", f"{theirs}.self_attn.{norm}"
            places |= vector(f"{mine}.gain", f"{its}.weight", width // config.n_heads)
        for mine, names, d_in, d_outs in (
            (
                "attention.qkv",
                ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
                width,
                (width, of_keys, of_keys),
            ),
            ("attention.out", ("self_attn.o_proj",), width, (width,)),
            ("feed_forward.gate", ("mlp.gate_proj",), width, (d_ff,)),
            ("feed_forward.up", ("mlp.up_proj",), width, (d_ff,)),
            ("feed_forward.down", ("mlp.down_proj",), d_ff, (width,)),
        ):
            names = tuple(f"{theirs}.{name}" for name in names)
            mine = f"{ours}.{mine}"
            places |= linear(mine, names, d_in, d_outs, bias=config.bias)
    places |= vector("norm.gain", "model.norm.weight", width)
    if not config.tied:
        places |= table("head", "lm_head.weight", vocab, width)
    return places
