"""Benchmarks: the speed of training and decoding, beside the peak and beside others."""

from minillm.inspect.bench.measure import bench, profile
from minillm.inspect.bench.peak import matmul_peak

__all__ = ["bench", "matmul_peak", "profile"]
