"""Every differentiable rule, forward and backward side by side.

In reading order: arithmetic, shape, reduction, neural, attention, recurrent, loss.
"""

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
from minillm.ops.recurrent import lstm
from minillm.ops.reduction import max, mean, sum
from minillm.ops.shape import concatenate, getitem, reshape, transpose

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
    "lstm",
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
]
