"""GPT-2's layout (Radford et al. 2019): maps lie [in, out], as ours do."""

from minillm.hub.keys import Keys
from minillm.hub.places import Places, layer_norm, linear, table
from minillm.nn import ModelConfig
from minillm.runs.run import Run

BODY = "transformer."  # before the names of all but the output
HEAD = "lm_head.weight"
MAY_LACK = ()  # of our parameters
ACTIVATIONS = {"gelu": "gelu_new", "gelu_erf": "gelu", "relu2": "relu2"}
READ = {theirs: ours for ours, theirs in ACTIVATIONS.items()}
READ["gelu_pytorch_tanh"] = "gelu"  # another name of the tanh form


def config_of(run: Run) -> dict:
    """What config.json says beside the special tokens."""
    config, rate = run.model.config, run.config.dropout
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_positions": config.context,
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.feed_forward_width,
        "activation_function": ACTIVATIONS[config.activation],
        "layer_norm_epsilon": config.norm_eps,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "tie_word_embeddings": config.tied,
        "embd_pdrop": rate,
        "resid_pdrop": rate,
        "attn_pdrop": run.config.attention_dropout,
    }


def shape_of(keys: Keys) -> ModelConfig:
    """The shape that a config.json describes. Raises DataError, which names the key,
    for what minillm's GPT is not."""
    width = keys.number("n_embd", 768)
    activation = keys.must("activation_function", *READ, default="gelu_new")
    keys.must("scale_attn_weights", True, default=True)
    for name in (
        "scale_attn_by_inverse_layer_idx",
        "reorder_and_upcast_attn",
        "add_cross_attention",
        "is_encoder_decoder",
    ):
        keys.must(name, False, default=False)
    return ModelConfig(
        vocab_size=keys.number("vocab_size", 50257),
        n_layers=keys.number("n_layer", 12),
        d_model=width,
        n_heads=keys.number("n_head", 12),
        context=keys.number("n_positions", 1024),
        d_ff=keys.number("n_inner", 4 * width),
        activation=READ[activation],
        norm_eps=keys.real("layer_norm_epsilon", 1e-5),
        tied=keys.flag("tie_word_embeddings", True),
    )


def places_of(config: ModelConfig, objective: str) -> Places:
    """Where each parameter lies."""
    width, d_ff, vocab = config.d_model, config.feed_forward_width, config.vocab_size
    places = table("tokens.weight", "transformer.wte.weight", vocab, width)
    places |= table("positions", "transformer.wpe.weight", config.context, width)
    for i in range(config.n_layers):
        ours, theirs = f"blocks.{i}", f"transformer.h.{i}"
        places |= layer_norm(f"{ours}.norm1", f"{theirs}.ln_1", width)
        places |= layer_norm(f"{ours}.norm2", f"{theirs}.ln_2", width)
        for mine, its, d_in, d_out in (
            ("attention.qkv", "attn.c_attn", width, 3 * width),
            ("attention.out", "attn.c_proj", width, width),
            ("feed_forward.up", "mlp.c_fc", width, d_ff),
            ("feed_forward.down", "mlp.c_proj", d_ff, width),
        ):
            names = (f"{theirs}.{its}",)
            mine = f"{ours}.{mine}"
            places |= linear(mine, names, d_in, (d_out,), turned=False)
    places |= layer_norm("norm", "transformer.ln_f", width)
    if not config.tied:
        places |= table("head", "lm_head.weight", vocab, width)
    return places
