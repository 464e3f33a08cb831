"""GPT-2's layout (Radford et al. 2019): maps lie [in, out], as ours do."""

from minillm.hub.places import Places, layer_norm, linear, table
from minillm.runs.run import Run

ACTIVATIONS = {"gelu": "gelu_new", "relu2": "relu2"}  # gelu_new is the tanh form


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
        "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "tie_word_embeddings": config.tied,
        "embd_pdrop": rate,
        "resid_pdrop": rate,
        "attn_pdrop": run.config.attention_dropout,
    }


def places_of(run: Run) -> Places:
    """Where each parameter lies."""
    config = run.model.config
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
