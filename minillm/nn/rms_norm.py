"""RMS norm: layer norm without the mean (Zhang & Sennrich 2019)."""

from minillm.nn.init import Init, initializer
from minillm.nn.module import Module
from minillm.ops import rms_norm
from minillm.tensor import Tensor


class RMSNorm(Module):
    """Each vector divided by its root mean square, then scaled."""

    def __init__(self, width: int, *, init: Init = None, eps: float = 1e-5):
        self.gain = initializer(init).ones(width)
        self.eps = eps

    def __call__(self, x: Tensor) -> Tensor:  # (..., D) -> (..., D)
        return rms_norm(x, self.gain, eps=self.eps)
