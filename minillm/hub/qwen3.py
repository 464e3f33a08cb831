"""Qwen 3's layout (Yang et al. 2025): Llama's, with RMS norms of queries and keys and
without biases."""

from minillm.hub import llama
from minillm.hub.keys import Keys
from minillm.hub.llama import BODY, HEAD, MAY_LACK, places_of
from minillm.nn import ModelConfig
from minillm.runs.run import Run

__all__ = ["BODY", "HEAD", "MAY_LACK", "config_of", "places_of", "shape_of"]
FULL = "full_attention"


def config_of(run: Run) -> dict:
    """What config.json says beside the special tokens."""
    config = llama.config_of(run)
    del config["mlp_bias"]
    return config | {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "use_sliding_window": False,
        "layer_types": [FULL] * run.model.config.n_layers,
    }


def shape_of(keys: Keys) -> ModelConfig:
    """The shape that a config.json describes. Raises DataError, which names the key,
    for what minillm's is not."""
    shape = llama.shape_of(keys, qk_norm=True, head_dim=128, context=32768)
    keys.must("use_sliding_window", False, default=False)
    every = [FULL] * shape.n_layers
    keys.must("layer_types", every, default=every)
    return shape
