"""What the tests of generation share: a model of strong opinions, and short runs."""

import numpy as np
import pytest

from minillm.models import ModelConfig, build
from minillm.training.loop import train

CONTEXT = 12
SHAPE = {"vocab_size": 30, "n_layers": 2, "d_model": 16, "n_heads": 2}


@pytest.fixture(scope="session")
def model():
    """An untrained model of strong opinions."""
    config = ModelConfig(**SHAPE, context=CONTEXT, init="fan_in", tied=False)
    model = build(config, np.random.default_rng(0))
    for table in (model.tokens.weight, model.positions):
        table.data *= 10
    return model


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict:
    """Folders of short runs on the package's own bilingual text, by objective."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"size": "pico", "data": "bilingual", "device": "cpu", "workers": "1"}
    shape = {"context": 32, "width": 32, "batch": 16, "lr": 0.02, "steps": 250}
    for objective, steps in (("clm", 250), ("mlm", 2)):
        train(
            **{**options, **shape, "steps": steps},
            objective=objective,
            out=str(folder / objective),
        )
    return {objective: folder / objective for objective in ("clm", "mlm")}
