"""minillm: a from-scratch language-model engine in pure arrays."""

import importlib

__version__ = "0.1.0"

# Each name and the room it comes from, opened when the name is first used.
_ROOMS = {
    "Learner": "minillm.training.learner",
    "Tensor": "minillm.ops.methods",  # with its operators
    "TrainConfig": "minillm.training.config",
    "advise": "minillm.scaling.advice",
    "classify": "minillm.tasks",
    "compare": "minillm.scaling.compare",
    "debug": "minillm.backend",
    "demo": "minillm.demos",
    "embed": "minillm.tasks",
    "fill": "minillm.generation",
    "finetune": "minillm.tasks",
    "fit": "minillm.scaling.fitting",
    "fit_isoflop": "minillm.scaling.isoflop",
    "generate": "minillm.generation",
    "load_run": "minillm.training.run_folder.run",
    "no_grad": "minillm.tensor",
    "op": "minillm.tensor",
    "prepare": "minillm.training.data",
    "report": "minillm.scaling.page",
    "scale": "minillm.scaling.series",
    "search": "minillm.tasks",
    "train": "minillm.training.loop",
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
