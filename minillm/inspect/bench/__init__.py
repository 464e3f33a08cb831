"""Benchmarks: the speed of training and decoding, beside the peak and other engines."""

from minillm.inspect.bench.measure import bench, matmul_peak, profile

__all__ = ["bench", "matmul_peak", "profile"]
