"""AdamW and clipping against loops in plain numbers."""

import math

import numpy as np
import pytest

from minillm import Tensor
from minillm.nn import Module
from minillm.training.flat import FlatParameters
from minillm.training.optimizer import (
    SGD,
    AdamW,
    clip_scale,
    global_norm,
    squared_norm,
)


class Model(Module):
    """A matrix, which decays, and a vector, which does not."""

    def __init__(self, dtype):
        rng = np.random.default_rng(0)
        self.gain = Tensor(rng.standard_normal(5).astype(dtype), requires_grad=True)
        self.matrix = Tensor(
            rng.standard_normal((3, 4)).astype(dtype), requires_grad=True
        )


def gradients(model, step):
    rng = np.random.default_rng((1, step))
    return {name: rng.standard_normal(p.shape) for name, p in model.named_parameters()}


def train(dtype, n_steps, make=AdamW, **settings):
    """The parameters after some steps along given gradients, by name."""
    model = Model(dtype)
    flat = FlatParameters(model)
    optimizer = make(flat, **settings)
    buffer = flat.zeros()
    for step in range(1, n_steps + 1):
        for name, g in gradients(model, step).items():
            flat.views(buffer)[name][...] = g
        optimizer.update(slice(0, flat.size), buffer, lr=0.02, step=step, scale=0.5)
    return {name: p.numpy().copy() for name, p in model.named_parameters()}


def loop(n_steps, *, beta1, beta2, eps, weight_decay):
    """Algorithm 2 of Loshchilov & Hutter 2019, number by number."""
    model = Model(np.float64)
    result = {}
    for name, p in model.named_parameters():
        decay = weight_decay if p.ndim >= 2 else 0
        x = p.numpy().copy()
        for index in np.ndindex(x.shape):
            m = v = 0.0
            for step in range(1, n_steps + 1):
                g = 0.5 * gradients(model, step)[name][index]
                m = beta1 * m + (1 - beta1) * g
                v = beta2 * v + (1 - beta2) * g * g
                m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
                change = m_hat / (math.sqrt(v_hat) + eps) + decay * x[index]
                x[index] -= 0.02 * change
        result[name] = x
    return result


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_ten_steps_of_adamw_against_a_loop(dtype, rtol):
    settings = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1}
    found, expected = train(dtype, 10, **settings), loop(10, **settings)
    for name, x in expected.items():
        assert found[name].dtype == dtype
        np.testing.assert_allclose(found[name], x, rtol=rtol, atol=rtol)


def test_the_first_step_is_the_learning_rate_times_the_sign():
    """Without correction for the moments' start at zero it would be a third of it."""
    before = Model(np.float64)
    after = train(np.float64, 1, beta2=0.99)
    for name, p in before.named_parameters():
        sign = np.sign(gradients(before, 1)[name])
        np.testing.assert_allclose(p.numpy() - after[name], 0.02 * sign, rtol=1e-5)


def test_plain_gradient_descent():
    before = Model(np.float64)
    after = train(np.float64, 1, SGD, weight_decay=0.1)
    g = gradients(before, 1)
    gain, matrix = before.gain.numpy(), before.matrix.numpy()
    np.testing.assert_allclose(after["gain"], gain - 0.02 * 0.5 * g["gain"])
    np.testing.assert_allclose(
        after["matrix"], matrix - 0.02 * (0.5 * g["matrix"] + 0.1 * matrix)
    )


def test_a_tied_weight_is_stepped_once():
    class Tied(Module):
        def __init__(self):
            self.a = Tensor(np.ones((2, 2)), requires_grad=True)
            self.b = self.a

    model = Tied()
    flat = FlatParameters(model)
    gradient = flat.zeros()
    flat.collect_gradients(model, gradient)
    (model.a + model.b).sum().backward()
    SGD(flat).update(slice(0, flat.size), gradient, lr=0.1, step=1, scale=1.0)
    np.testing.assert_allclose(model.a.numpy(), 1 - 0.1 * 2)
    assert model.b is model.a


def test_clipping():
    assert clip_scale(norm=4.0, clip=1.0) == 0.25
    assert clip_scale(norm=0.5, clip=1.0) == 1.0
    assert clip_scale(norm=4.0, clip=0.0) == 1.0  # no limit


def test_clipping_a_gradient_of_norm_zero():
    assert clip_scale(norm=0.0, clip=1.0) == 1.0


def test_the_norm_of_parts():
    g = np.array([3.0, 0.0, 4.0, 12.0])
    assert global_norm([squared_norm(g[:2]), squared_norm(g[2:])]) == 13
