"""minillm: a from-scratch language-model engine in pure arrays."""

from minillm.lazy import lazy_names

__version__ = "0.1.0"
__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "backend": ["debug", "use"],
        "backend.products": ["threads"],
        "demos": ["demo"],
        "demos.notebooks": ["write_notebooks"],
        "generation": ["fill", "generate"],
        "hub": ["export_folder", "import_folder"],
        "laws": ["fit", "fit_isoflop"],
        "learning.config": ["TrainConfig"],
        "learning.data": ["prepare"],
        "learning.learner": ["Learner"],
        "learning.optimizer": ["AdamW"],
        "learning.sgd": ["SGD"],
        "ops.methods": ["Tensor"],  # with its operators
        "runs.evaluation": ["evaluate_run"],
        "runs.run": ["load_run"],
        "runs.train": ["train"],
        "series": ["scale"],
        "studies.advice": ["advise"],
        "studies.compare": ["compare"],
        "studies.report": ["report"],
        "tasks": ["classify", "embed", "finetune", "search"],
        "tensor": ["no_grad", "op"],
    },
)
