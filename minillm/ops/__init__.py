"""Every differentiable rule, forward and backward side by side.

In reading order: arithmetic, shape, neural, attention, loss. What a GPT does without is
opened when it is first used: reduction, elementwise, statistics, rearrange,
contraction, noise, llama, decoder_attention, recurrent.
"""

from minillm.lazy import lazy_names
from minillm.ops import methods  # noqa: F401  (Tensor's operators)
from minillm.ops.arithmetic import add, div, matmul, mul, neg, sub
from minillm.ops.attention import attention, self_attention
from minillm.ops.loss import IGNORED, cross_entropy, linear_cross_entropy
from minillm.ops.neural import (
    embedding,
    gelu,
    layer_norm,
    linear,
    log_softmax,
    relu,
    softmax,
)
from minillm.ops.shape import concatenate, getitem, reshape, transpose

more, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "contraction": ["einsum"],
        "decoder_attention": ["cross_attention"],
        "elementwise": [
            *("abs", "clip", "cos", "exp", "log", "log1p", "maximum", "minimum"),
            *("pow", "power", "sigmoid", "silu", "sin", "softplus", "sqrt", "tanh"),
            "where",
        ],
        "llama": ["rms_norm", "rotary", "swiglu"],
        "noise": ["dropout"],
        "rearrange": [
            *("broadcast_to", "pad", "split", "squeeze", "stack"),
            *("take_along_axis", "tril"),
        ],
        "recurrent": ["lstm"],
        "reduction": ["max", "mean", "sum"],
        "statistics": ["cumsum", "logsumexp", "min", "std", "var"],
    },
)
__all__ = [
    "IGNORED",
    "add",
    "attention",
    "concatenate",
    "cross_entropy",
    "div",
    "embedding",
    "gelu",
    "getitem",
    "layer_norm",
    "linear",
    "linear_cross_entropy",
    "log_softmax",
    "matmul",
    "mul",
    "neg",
    "relu",
    "reshape",
    "self_attention",
    "softmax",
    "sub",
    "transpose",
    *more,
]
