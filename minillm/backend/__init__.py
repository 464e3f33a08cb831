"""The switch between NumPy and CuPy, and the only room that knows either by name.

`xp` stands for the array module: ops are written once, in `xp`. `use` chooses it.
`faster` registers a quicker body for an op; `plain` runs the definition instead.
"""

from minillm.backend import cpu, cpu_attention  # noqa: F401  (register NumPy's bodies)
from minillm.backend.base import Backend
from minillm.backend.pullbacks import joint
from minillm.backend.registry import (
    anew,
    body_of,
    debugging,
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
    of_rank,
    run_in,
    running,
    to_numpy,
    use,
    xp,
)
from minillm.lazy import lazy_names

__all__ = [
    "Backend",
    "add_backend",
    "anew",
    "body_of",
    "current",
    "debug",
    "debugging",
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
    "of_rank",
    "plain",
    "run_in",
    "running",
    "runs_plain",
    "to_numpy",
    "use",
    "xp",
]

# Opened in debug mode, and where a rule raises an error.
_, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "debug_mode": ["check_array", "debug", "watch"],
        "notes": ["note_forward", "note_pullback"],
    },
)
