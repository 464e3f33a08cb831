"""The switch between NumPy and CuPy, and the only room where a device is named.

`xp` stands for the array module: ops are written once, in `xp`. `use` chooses it.
`faster` registers a quicker body for an op; `plain` runs the definition instead.
"""

from minillm.backend import cpu, cpu_attention  # noqa: F401  (register NumPy's bodies)
from minillm.backend.base import Backend
from minillm.backend.debug_mode import debug
from minillm.backend.registry import (
    body_of,
    define,
    definition_of,
    faster,
    inherit,
    joint,
    kernel,
    observed,
    plain,
    registered,
)
from minillm.backend.switch import (
    current,
    describe,
    of,
    register,
    run_in,
    running,
    to_numpy,
    use,
    xp,
)

__all__ = [
    "Backend",
    "body_of",
    "current",
    "debug",
    "define",
    "definition_of",
    "describe",
    "faster",
    "inherit",
    "joint",
    "kernel",
    "observed",
    "of",
    "plain",
    "register",
    "registered",
    "run_in",
    "running",
    "to_numpy",
    "use",
    "xp",
]
