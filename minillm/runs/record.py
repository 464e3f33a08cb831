"""run.json: how to repeat a run, and what came of it."""

import functools
import hashlib
import importlib.metadata
import platform
from pathlib import Path

import numpy as np

import minillm
from minillm import backend
from minillm.backend import products
from minillm.kinds import AMOUNT, COUNT, NOT_NEGATIVE, NUMBER, PERPLEXITY
from minillm.learning.config import OWN
from minillm.learning.learner import Learner
from minillm.models import count
from minillm.text import BOS, Tokenizer

# The format of run.json. 2: texts are cut between words, and files of JSON lines read
# as texts; without a number: 1. See "Results that moved" in minillm/README.md.
FORMAT = 2

# What a record may hold, as far as anybody looks at it: `kinds.check`. One of another
# version may have more, or less.
KIND = {
    "format?": COUNT,
    "status?": str,
    "config?": {
        "arch?": str,
        "class?": str,  # of a model of one's own
        "objective?": str,
        "size?": str,
        "n_layers?": COUNT,
        "d_model?": COUNT,
        "n_heads?": COUNT,
    },
    "options?": {
        "arch?": str,
        "objective?": str,
        "data?": str,
        "tokenizer?": str,
        "lr?": NOT_NEGATIVE,
        "out?": str,
    },
    "model?": dict,
    "sources?": {str: str},
    "data?": {
        "name?": str,
        "note?": str,
        "sha256?": str,
        "bytes?": COUNT,
        "entropy?": NUMBER,
        "epochs?": NOT_NEGATIVE,
        "beginning?": str,
        "train_tokens?": COUNT,
        "val_tokens?": COUNT,
        "labels?": [str],
        "tokenizer?": {
            "kind?": str,
            "vocab_size?": COUNT,
            "sha256?": str,
            "begin?": str,
            "roles?": {str: [COUNT]},
        },
    },
    "parameters?": {str: AMOUNT},
    "flops?": {"per_token?": NOT_NEGATIVE, "total?": NOT_NEGATIVE},
    "results?": {
        "steps?": AMOUNT,
        "tokens?": AMOUNT,
        "peak_memory_bytes?": AMOUNT,
        "train_loss?": NUMBER,
        "val_loss?": NUMBER,
        "val_accuracy?": NUMBER,
        "val_perplexity?": PERPLEXITY,
        "val_bits_per_byte?": NUMBER,
        "seconds?": NOT_NEGATIVE,
        "tokens_per_second?": NOT_NEGATIVE,
        "decode_seconds_per_token?": NOT_NEGATIVE,
    },
    "seed?": COUNT,
    "plain?": bool,
    "device?": str,
    "workers?": {"kind": str, "n": COUNT},
    "versions?": {str: str},
}
IMPORTED = "imported"  # the status of a run that holds weights from elsewhere
# What the record of a run must hold, for whoever uses the model or goes on with it.
NEEDED = {
    "status": ("running", "interrupted", "diverged", "finished", IMPORTED),
    "config": {"arch": str, "objective": str},
    "options": dict,
    "model": dict,
    "sources": dict,
    "data": {"name": str, "sha256": str, "tokenizer": {"sha256": str}},
}
NEEDED_OF_FINISHED = {
    "parameters": {"total": COUNT, "non_embedding": COUNT},
    "results": {
        "steps": COUNT,
        "tokens": COUNT,
        "train_loss": NUMBER,
        "val_loss": NUMBER,
        "seconds": NOT_NEGATIVE,
        "tokens_per_second": NOT_NEGATIVE,
    },
}
# ... unless its model is one's own, of which less may be known.
NEEDED_OF_OURS = {
    "config": {"n_layers": COUNT, "d_model": COUNT},
    "results": {"val_accuracy": NUMBER},
}


def new_record(learner: Learner, sources: dict) -> dict:
    """What is known of a run before its first step. `options` repeats it; `model`
    rebuilds its shape."""
    config, text, own = learner.config, learner.text, learner.own
    if own:
        model, parameters, per_token = own.shape, own.parameters, own.flops_per_token
    else:
        shape = learner.model.config
        model, parameters = shape.to_json(), count.parameters(shape)
        per_token = count.flops_per_token(shape)
    tokens = config.steps * text.tokens_per_step(config)
    n = learner.ranks.size if learner.ranks else learner.n_workers
    return {
        "format": FORMAT,
        "status": "running",
        "config": {
            "arch": config.arch,
            "objective": config.objective,
            "size": config.size,
            **{name: value for name, value in model.items() if name != "shapes"},
        },
        "options": config.to_json(),
        "model": model,
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
            "lost": {"train": text.train_lost.share, "val": text.val_lost.share},
            "labels": list(text.labels),
            "beginning": text.beginning,
            "tokenizer": about(text.tokenizer),
        },
        "parameters": parameters,
        "flops": flops(tokens, per_token, parameters["non_embedding"]),
        "results": None,
        "seed": config.seed,
        "device": backend.current().name,
        "workers": {"kind": learner.worker_kind, "n": n},
        "plain": backend.runs_plain(),
        "versions": versions(),
    }


def about(tokenizer: Tokenizer) -> dict:
    """What a record holds of a tokenizer, whose file lies beside it. `begin`: the token
    that answers begin with, where it is not [BOS]; `roles`: what does the work of [EOS]
    and others, where it is called otherwise."""
    begin = {} if tokenizer.begin == BOS else {"begin": tokenizer.begin}
    roles = {name: [*ids] for name, ids in tokenizer.roles.items()}
    return {
        "kind": tokenizer.kind,
        "vocab_size": tokenizer.vocab_size,
        "sha256": tokenizer.sha256,
        **begin,
        **({"roles": roles} if roles else {}),
    }


def flops(tokens: float, per_token: int | None, non_embedding: int) -> dict:
    """Exact training FLOPs, where they are known, beside the usual estimate of six for
    each parameter and token (Kaplan et al. 2020, section 2.1)."""
    return {
        "per_token": per_token,
        "total": None if per_token is None else round(per_token * tokens),
        "six_nd": round(6 * non_embedding * tokens),
    }


def model_of(record: dict) -> str:
    """The model of a run in words: `gpt 4 layers × 64`, or the class of one's own."""
    config = record["config"]
    if config["arch"] == OWN:
        return config["class"]
    return f"{config['arch']} {config['n_layers']} layers × {config['d_model']}"


@functools.cache
def code() -> str:
    """A hash of the package's own files: other code may give other numbers."""
    package = Path(minillm.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def versions() -> dict:
    """The versions that the numbers depend on; `mkl` where it multiplied."""
    found = products.library()
    multiplied = found["name"] == "MKL" and backend.current().kind == "cpu"
    return {
        "minillm": minillm.__version__,
        "code": code(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "tokenizers": importlib.metadata.version("tokenizers"),
        **({"mkl": found["version"]} if multiplied else {}),
    }
