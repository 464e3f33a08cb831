"""The switch between NumPy and CuPy, and the only room that knows either by name.

`xp` stands for the array module: ops are written once, in `xp`. `use` chooses it.
`faster` registers a quicker body for an op; `plain` runs the definition instead.
"""

from minillm.backend import cpu, cpu_attention  # noqa: F401  (register NumPy's bodies)
from minillm.backend.base import Backend
from minillm.backend.debug_mode import debug
from minillm.backend.pullbacks import joint
from minillm.backend.registry import (
    body_of,
    define,
    definition_of,
    faster,
    faster_names,
    inherit,
    kernel,
    observed,
    plain,
    runs_plain,
)
from minillm.backend.switch import (
    add_backend,
    current,
    describe,
    of,
    run_in,
    running,
    to_numpy,
    use,
    xp,
)

__all__ = [
    "Backend",
    "add_backend",
    "body_of",
    "current",
    "debug",
    "define",
    "definition_of",
    "describe",
    "faster",
    "faster_names",
    "inherit",
    "joint",
    "kernel",
    "observed",
    "of",
    "plain",
    "run_in",
    "running",
    "runs_plain",
    "to_numpy",
    "use",
    "xp",
]
