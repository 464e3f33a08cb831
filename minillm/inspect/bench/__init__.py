"""How fast this machine trains and decodes: beside its matmul peak, beside others."""

from minillm.inspect.bench.measure import bench, profile
from minillm.inspect.bench.peak import matmul_peak

__all__ = ["bench", "matmul_peak", "profile"]
