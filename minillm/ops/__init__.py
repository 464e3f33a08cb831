"""Every differentiable rule, forward and backward side by side.

In reading order: arithmetic, shape, reduction, neural, attention, loss. What a GPT does
without is opened when it is first used: elementwise, statistics, rearrange,
contraction, recurrent.
"""

from minillm.lazy import lazy_names
from minillm.ops import methods  # noqa: F401  (Tensor's operators)
from minillm.ops.arithmetic import (
    add,
    div,
    exp,
    log,
    matmul,
    mul,
    neg,
    power,
    sqrt,
    sub,
    tanh,
    where,
)
from minillm.ops.attention import attention, cross_attention, self_attention
from minillm.ops.loss import IGNORED, cross_entropy, linear_cross_entropy
from minillm.ops.neural import (
    dropout,
    embedding,
    gelu,
    layer_norm,
    linear,
    log_softmax,
    relu,
    rms_norm,
    rotary,
    sigmoid,
    softmax,
    swiglu,
)
from minillm.ops.reduction import max, mean, sum
from minillm.ops.shape import concatenate, getitem, reshape, transpose

more, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "contraction": ["einsum"],
        "elementwise": [
            *("abs", "clip", "cos", "log1p", "maximum", "minimum", "pow", "silu"),
            *("sin", "softplus"),
        ],
        "recurrent": ["lstm"],
        "rearrange": [
            *("broadcast_to", "pad", "split", "squeeze", "stack"),
            *("take_along_axis", "tril"),
        ],
        "statistics": ["cumsum", "logsumexp", "min", "std", "var"],
    },
)
__all__ = [
    "IGNORED",
    "add",
    "attention",
    "concatenate",
    "cross_attention",
    "cross_entropy",
    "div",
    "dropout",
    "embedding",
    "exp",
    "gelu",
    "getitem",
    "layer_norm",
    "linear",
    "linear_cross_entropy",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "mean",
    "mul",
    "neg",
    "power",
    "relu",
    "reshape",
    "rms_norm",
    "rotary",
    "self_attention",
    "sigmoid",
    "softmax",
    "sqrt",
    "sub",
    "sum",
    "swiglu",
    "tanh",
    "transpose",
    "where",
    *more,
]
