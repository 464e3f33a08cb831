"""Demonstrations: a small model learns a task whose best answer is known; notebooks."""

from minillm.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "demonstration": ["demo", "measure"],
        "notebooks": ["write_notebooks"],
        "questions": ["Answer", "ask"],
        "table": ["DEMOS", "SOLVED", "Demo"],
    },
)
