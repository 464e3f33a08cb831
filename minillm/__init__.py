"""minillm: a from-scratch language-model engine in pure arrays."""

__version__ = "0.1.0"
