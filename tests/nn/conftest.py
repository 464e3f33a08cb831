"""What the tests of models share: a gradient check of everything at once, and a short
training."""

import copy

import numpy as np
import pytest

from minillm.backend.products import threads
from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import AdamW
from minillm.testing import check_gradients


@pytest.fixture
def check_loss():
    """A function that checks the gradient of a model's loss in every parameter, each
    along a random direction, somewhere near the model's weights."""

    def check(model, batch) -> None:
        parameters = model.parameters()
        rng = np.random.default_rng(7)
        nearby = [p.data + 0.1 * rng.standard_normal(p.shape) for p in parameters]

        def loss(*tensors):
            """Of the same model with these tensors in the place of its parameters."""
            places = dict(zip(map(id, parameters), tensors, strict=True))
            return copy.deepcopy(model, places).loss(batch)

        check_gradients(loss, *nearby)

    return check


@pytest.fixture
def learn():
    """A function that trains a model on the batches of `draw(rng)` and returns its
    losses."""

    def train(model, draw, steps: int, lr: float) -> list[float]:
        flat = FlatParameters(model)
        gradient = flat.zeros()
        flat.collect_gradients(model, gradient)
        optimizer = AdamW(flat)
        rng = np.random.default_rng(0)
        losses = []
        with threads(1):
            for step in range(1, steps + 1):
                gradient[...] = 0
                loss = model.loss(draw(rng))
                loss.backward()
                whole = slice(0, flat.size)
                optimizer.update(whole, gradient, lr=lr, step=step, scale=1.0)
                losses.append(loss.item())
        return losses

    return train
