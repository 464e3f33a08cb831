"""run.json: how to repeat a run, and what came of it."""

import importlib.metadata
import platform

import numpy as np

import minillm
from minillm import backend
from minillm.backend import products
from minillm.models import ModelConfig, count
from minillm.training.config import TrainConfig
from minillm.training.data import EncodedCorpus


def new_record(
    config: TrainConfig,
    shape: ModelConfig,
    text: EncodedCorpus,
    sources: dict,
    workers: tuple,
) -> dict:
    """What is known before the first step. `options` repeats the run; `model` rebuilds
    its shape."""
    kind, n = workers
    return {
        "status": "running",
        "config": {
            "arch": config.arch,
            "objective": config.objective,
            "size": config.size,
            **shape.to_json(),
        },
        "options": config.to_json(),
        "model": shape.to_json(),
        "sources": sources,
        "data": {
            "name": text.name,
            "note": text.note,
            "sha256": text.sha256,
            "bytes": text.n_bytes,
            "entropy": text.entropy,
            "train_tokens": text.train_tokens,
            "val_tokens": text.val_tokens,
            "epochs": text.epochs(config),
            "labels": list(text.labels),
            "beginning": text.beginning,
            "tokenizer": {
                "kind": text.tokenizer.kind,
                "vocab_size": text.tokenizer.vocab_size,
                "sha256": text.tokenizer.sha256,
            },
        },
        "parameters": count.parameters(shape),
        "flops": flops(config.steps * text.tokens_per_step(config), shape),
        "results": None,
        "seed": config.seed,
        "device": backend.current().name,
        "workers": {"kind": kind, "n": n},
        "versions": versions(),
    }


def flops(tokens: float, shape: ModelConfig) -> dict:
    """Exact training FLOPs, beside the usual estimate of six for each parameter and
    token (Kaplan et al. 2020, section 2.1)."""
    per_token = count.flops_per_token(shape)
    return {
        "per_token": per_token,
        "total": round(per_token * tokens),
        "six_nd": round(6 * count.parameters(shape)["non_embedding"] * tokens),
    }


def versions() -> dict:
    """Of what the numbers depend on; `mkl` where it multiplied."""
    found = products.library()
    multiplied = found["name"] == "MKL" and backend.current().kind == "cpu"
    return {
        "minillm": minillm.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "tokenizers": importlib.metadata.version("tokenizers"),
        **({"mkl": found["version"]} if multiplied else {}),
    }
