"""minillm: a from-scratch language-model engine in pure arrays."""

import importlib

__version__ = "0.1.0"

# Each name and the room it comes from, opened when the name is first used.
_ROOMS = {
    "Learner": "minillm.learning.learner",
    "Tensor": "minillm.ops.methods",  # with its operators
    "TrainConfig": "minillm.learning.config",
    "advise": "minillm.studies.advice",
    "classify": "minillm.tasks",
    "compare": "minillm.studies.compare",
    "debug": "minillm.backend",
    "demo": "minillm.demos",
    "embed": "minillm.tasks",
    "fill": "minillm.generation",
    "finetune": "minillm.tasks",
    "fit": "minillm.laws",
    "fit_isoflop": "minillm.laws",
    "generate": "minillm.generation",
    "load_run": "minillm.runs.run",
    "no_grad": "minillm.tensor",
    "op": "minillm.tensor",
    "prepare": "minillm.learning.data",
    "report": "minillm.studies.report",
    "scale": "minillm.series",
    "search": "minillm.tasks",
    "train": "minillm.runs.train",
    "use": "minillm.backend",
}
__all__ = sorted(_ROOMS)


def __getattr__(name: str):
    if name not in _ROOMS:
        raise AttributeError(f"module 'minillm' has no attribute {name!r}")
    value = getattr(importlib.import_module(_ROOMS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
