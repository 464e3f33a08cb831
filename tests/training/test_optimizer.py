"""AdamW, gradient descent and clipping, against loops that anyone can read."""

import contextlib
import math

import numpy as np
import pytest

from minillm.backend import plain
from minillm.nn import Module
from minillm.tensor import Tensor
from minillm.training.flat import FlatParameters
from minillm.training.optimizer import SGD, AdamW, clip_scale, global_norm, squared_norm

BODIES = pytest.mark.parametrize("body", [contextlib.nullcontext, plain])


class Pair(Module):
    """A matrix, which decays, and a vector, which does not."""

    def __init__(self):
        rng = np.random.default_rng(0)
        draw = rng.standard_normal
        self.vector = Tensor(draw(21).astype(np.float32), requires_grad=True)
        self.matrix = Tensor(draw((5, 7)).astype(np.float32), requires_grad=True)


def gradients(flat: FlatParameters, n: int) -> list[np.ndarray]:
    """Gradients of very different sizes, zero at the padding between parameters."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(n):
        buffer = flat.zeros()
        for view in flat.views(buffer).values():
            sizes = 10.0 ** rng.uniform(-6, 2, view.shape)
            view[...] = rng.standard_normal(view.shape) * sizes
        found.append(buffer)
    return found


def whole(flat: FlatParameters) -> slice:
    return slice(0, flat.size)


@BODIES
def test_ten_steps_of_adamw_are_those_of_a_loop_in_float64(body):
    module = Pair()
    flat = FlatParameters(module)
    optimizer = AdamW(flat, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1)
    w = {name: p.numpy().astype(float) for name, p in module.named_parameters()}
    m = {name: np.zeros_like(value) for name, value in w.items()}
    v = {name: np.zeros_like(value) for name, value in w.items()}
    for t, gradient in enumerate(gradients(flat, 10), start=1):
        lr = 0.03 / t
        with body():
            optimizer.update(whole(flat), gradient, lr=lr, step=t, scale=0.5)
        for name, view in flat.views(gradient).items():
            g = 0.5 * view.astype(float)
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.95 * v[name] + 0.05 * g**2
            m_hat = m[name] / (1 - 0.9**t)
            v_hat = v[name] / (1 - 0.95**t)
            decay = 0.1 if name == "matrix" else 0.0
            w[name] -= lr * (m_hat / (np.sqrt(v_hat) + 1e-8) + decay * w[name])
    for name, p in module.named_parameters():
        np.testing.assert_allclose(p.numpy(), w[name], rtol=2e-5, atol=2e-6)


@BODIES
def test_the_first_step_of_adamw_is_lr_in_every_direction(body):
    flat = FlatParameters(Pair())
    before = flat.data.copy()
    (gradient,) = gradients(flat, 1)
    with body():
        AdamW(flat).update(whole(flat), gradient, lr=0.01, step=1, scale=1.0)
    moved = np.abs(gradient) > 1e-5  # much more than eps
    expected = before - 0.01 * np.sign(gradient)
    np.testing.assert_allclose(flat.data[moved], expected[moved], atol=2e-5)


@BODIES
@pytest.mark.parametrize("make", [AdamW, SGD])
def test_only_the_matrix_decays(make, body):
    module = Pair()
    flat = FlatParameters(module)
    matrix, vector = module.matrix.numpy().copy(), module.vector.numpy().copy()
    optimizer = make(flat, weight_decay=0.5)
    with body():
        optimizer.update(whole(flat), flat.zeros(), lr=0.1, step=1, scale=1.0)
    np.testing.assert_allclose(module.matrix.numpy(), matrix * 0.95, rtol=1e-6)
    np.testing.assert_array_equal(module.vector.numpy(), vector)


@pytest.mark.parametrize("make", [AdamW, SGD])
@pytest.mark.parametrize("cut", [0, 1, 48, 50, 64])
def test_an_update_in_two_parts_is_an_update_of_the_whole(make, cut):
    flats = [FlatParameters(Pair()) for _ in range(2)]
    (gradient,) = gradients(flats[0], 1)
    parts = [whole(flats[0])], [slice(0, cut), slice(cut, flats[1].size)]
    for flat, slices in zip(flats, parts, strict=True):
        optimizer = make(flat, weight_decay=0.1)
        for part in slices:
            optimizer.update(part, gradient, lr=0.1, step=1, scale=1.0)
    np.testing.assert_array_equal(flats[0].data, flats[1].data)


@BODIES
def test_gradient_descent_goes_down_the_scaled_gradient(body):
    flat = FlatParameters(Pair())
    before = flat.data.copy()
    (gradient,) = gradients(flat, 1)
    with body():
        SGD(flat).update(whole(flat), gradient, lr=0.1, step=1, scale=0.25)
    np.testing.assert_allclose(flat.data, before - 0.025 * gradient, rtol=1e-6)


@BODIES
def test_the_norm_of_parts_is_the_norm_of_the_whole(body):
    g = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    with body():
        norm = global_norm([squared_norm(part) for part in np.split(g, [1, 400])])
    assert norm == pytest.approx(np.linalg.norm(g.astype(float)), rel=1e-6)
    assert type(norm) is float


def test_clipping_bounds_the_norm_and_leaves_a_short_gradient_alone():
    assert clip_scale(5.0, 1.0) * 5.0 == pytest.approx(1.0)
    assert clip_scale(0.5, 1.0) == 1.0
    assert clip_scale(0.0, 1.0) == 1.0
    assert clip_scale(5.0, 0.0) == 1.0  # 0: no limit
    assert math.isfinite(clip_scale(1e-300, 1.0))
