"""What updates weights in place: AdamW, gradient descent, the norm, clipping, and where
decay ends. Text and faster body alike, against loops that anyone can read."""

import contextlib
import math

import numpy as np
import pytest

from minillm.backend import definition_of, plain
from minillm.learning.config import TrainConfig
from minillm.learning.flat import FlatParameters
from minillm.learning.learner import new_optimizer
from minillm.learning.optimizer import (
    AdamW,
    clip_scale,
    global_norm,
    squared_norm,
)
from minillm.learning.sgd import SGD
from minillm.nn import Module
from minillm.tensor import Tensor

BODIES = pytest.mark.parametrize("body", [contextlib.nullcontext, plain])
TYPES = pytest.mark.parametrize(
    ("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-5)]
)


class Four(Module):
    """Two arrays that decay and two that do not, by turns and of odd sizes."""

    def __init__(self, dtype=np.float32):
        rng = np.random.default_rng(0)
        for name, shape in {
            "gain": (21,),
            "matrix": (5, 7),
            "scalar": (),
            "heads": (2, 3, 3),
        }.items():
            data = rng.standard_normal(shape).astype(dtype)
            setattr(self, name, Tensor(data, requires_grad=True))


def decays(name: str) -> bool:
    return name in ("matrix", "heads")


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


def numbers(values) -> list[float]:
    return np.ravel(values).astype(float).tolist()


def adamw_loop(w, gradients, lrs, *, beta1, beta2, eps, decay) -> list[float]:
    """Algorithm 2 of Loshchilov & Hutter 2019 in plain numbers."""
    result = []
    for i, x in enumerate(w):
        m = v = 0.0
        for t, (gradient, lr) in enumerate(zip(gradients, lrs, strict=True), start=1):
            g = gradient[i]
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
            x = x - lr * (m_hat / (math.sqrt(v_hat) + eps) + decay * x)
        result.append(x)
    return result


@BODIES
@TYPES
@pytest.mark.parametrize("eps", [1e-8, 1e-3])
def test_ten_steps_of_adamw_are_those_of_a_loop(eps, dtype, rtol, body):
    module = Four(dtype)
    flat = FlatParameters(module)
    settings = {"beta1": 0.9, "beta2": 0.95, "eps": eps}
    optimizer = AdamW(flat, **settings, weight_decay=0.1)
    before = {name: numbers(p.numpy()) for name, p in module.named_parameters()}
    lrs = [0.03 / step for step in range(1, 11)]
    steps = gradients(flat, 10)
    for step, (gradient, lr) in enumerate(zip(steps, lrs, strict=True), start=1):
        with body():
            optimizer.update(whole(flat), gradient, lr=lr, step=step, scale=0.5)
    for name, p in module.named_parameters():
        scaled = [[0.5 * g for g in numbers(flat.views(step)[name])] for step in steps]
        decay = 0.1 if decays(name) else 0.0
        expected = adamw_loop(before[name], scaled, lrs, **settings, decay=decay)
        assert p.dtype == dtype
        np.testing.assert_allclose(np.ravel(p.numpy()), expected, rtol, rtol / 10)


@BODIES
@TYPES
def test_the_moments_are_running_means_of_the_gradient_and_of_its_square(
    dtype, rtol, body
):
    flat = FlatParameters(Four(dtype))
    optimizer = AdamW(flat, beta1=0.8, beta2=0.95)
    first, second = gradients(flat, 2)
    for step, gradient in enumerate((first, second), start=1):
        with body():
            optimizer.update(whole(flat), gradient, lr=0.1, step=step, scale=2.0)
    m, v = optimizer.state["m"], optimizer.state["v"]
    first, second = 2 * first.astype(float), 2 * second.astype(float)
    np.testing.assert_allclose(m, 0.2 * (0.8 * first + second), rtol, 1e-4 * rtol)
    v_loop = 0.05 * (0.95 * first**2 + second**2)
    np.testing.assert_allclose(v, v_loop, rtol, 1e-4 * rtol)


@BODIES
def test_the_first_step_of_adamw_is_lr_in_every_direction(body):
    """Without correction for the moments' start at zero it would be a third of it."""
    flat = FlatParameters(Four())
    before = flat.data.copy()
    (gradient,) = gradients(flat, 1)
    with body():
        AdamW(flat).update(whole(flat), gradient, lr=0.01, step=1, scale=1.0)
    moved = np.abs(gradient) > 1e-5  # much more than eps
    expected = before - 0.01 * np.sign(gradient)
    np.testing.assert_allclose(flat.data[moved], expected[moved], atol=2e-5)


@BODIES
@TYPES
def test_gradient_descent_is_that_of_a_loop(dtype, rtol, body):
    module = Four(dtype)
    flat = FlatParameters(module)
    before = {name: numbers(p.numpy()) for name, p in module.named_parameters()}
    (gradient,) = gradients(flat, 1)
    with body():
        SGD(flat, weight_decay=0.3).update(
            whole(flat), gradient, lr=0.1, step=1, scale=0.25
        )
    for name, p in module.named_parameters():
        decay = 0.3 if decays(name) else 0.0
        g = numbers(flat.views(gradient)[name])
        pairs = zip(before[name], g, strict=True)
        expected = [x - 0.1 * (0.25 * gx + decay * x) for x, gx in pairs]
        np.testing.assert_allclose(np.ravel(p.numpy()), expected, rtol, rtol / 10)


@BODIES
@pytest.mark.parametrize("make", [AdamW, SGD])
def test_only_what_has_two_axes_or_more_decays(make, body):
    module = Four()
    flat = FlatParameters(module)
    before = {name: p.numpy().copy() for name, p in module.named_parameters()}
    optimizer = make(flat, weight_decay=0.5)
    with body():
        optimizer.update(whole(flat), flat.zeros(), lr=0.1, step=1, scale=1.0)
    for name, p in module.named_parameters():
        kept = 0.95 if decays(name) else 1.0
        np.testing.assert_allclose(p.numpy(), kept * before[name], rtol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
def test_what_decays_lies_first_and_every_parameter_begins_at_64_bytes(shared):
    module = Four()
    before = {name: p.numpy().copy() for name, p in module.named_parameters()}
    flat = FlatParameters(module, shared=shared)
    # 35 and 18 numbers in 48 and 32; then 21 and 1 in 32 and 16
    assert flat.places == {
        "matrix": (0, (5, 7)),
        "heads": (48, (2, 3, 3)),
        "gain": (80, (21,)),
        "scalar": (112, ()),
    }
    assert flat.n_decayed == 80
    assert flat.size == flat.zeros().size == 128
    for name, p in module.named_parameters():
        np.testing.assert_array_equal(p.numpy(), before[name])
        assert np.shares_memory(p.data, flat.data)


def test_gradients_are_collected_where_their_parameters_lie():
    module = Four()
    flat = FlatParameters(module)
    gradient = flat.zeros()
    flat.collect_gradients(module, gradient)
    for _ in range(2):
        for p in module.parameters():
            (p * p).sum().backward()
    np.testing.assert_allclose(gradient, 4 * flat.data)


@BODIES
@pytest.mark.parametrize("make", [AdamW, SGD])
@pytest.mark.parametrize("begin", [0, 1, 79, 80, 100])
@pytest.mark.parametrize("end", [0, 1, 79, 80, 81, 128])
def test_an_update_of_a_part_is_that_part_of_an_update_of_the_whole(
    begin, end, make, body
):
    flats = [FlatParameters(Four()) for _ in range(2)]
    before = flats[0].data.copy()
    (gradient,) = gradients(flats[0], 1)
    part = slice(begin, max(begin, end))
    for flat, updated in zip(flats, (whole(flats[0]), part), strict=True):
        optimizer = make(flat, weight_decay=0.1)
        with body():
            optimizer.update(updated, gradient, lr=0.1, step=1, scale=1.0)
    expected = before.copy()
    expected[part] = flats[0].data[part]
    np.testing.assert_array_equal(flats[1].data, expected)


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
    SGD(flat).update(whole(flat), gradient, lr=0.1, step=1, scale=1.0)
    np.testing.assert_allclose(model.a.numpy(), 1 - 0.1 * 2)
    assert model.b is model.a


def test_a_configuration_names_the_optimizer_and_its_settings():
    flat = FlatParameters(Four())
    named = {"beta1": 0.7, "beta2": 0.8, "weight_decay": 0.2}
    adamw = new_optimizer(TrainConfig(optimizer="adamw", **named), flat)
    assert isinstance(adamw, AdamW)
    assert {**adamw.settings, "weight_decay": adamw.weight_decay} == named | {
        "eps": 1e-8
    }
    sgd = new_optimizer(TrainConfig(optimizer="sgd", **named), flat)
    assert isinstance(sgd, SGD)
    assert sgd.weight_decay == 0.2


@BODIES
@TYPES
def test_the_squared_norm_is_that_of_a_loop(dtype, rtol, body):
    g = np.random.default_rng(0).standard_normal(1000).astype(dtype)
    with body():
        found = squared_norm(g)
    assert found == pytest.approx(math.fsum(x * x for x in numbers(g)), rel=rtol)
    assert definition_of("squared_norm")(g).dtype == dtype


@BODIES
def test_the_norm_of_parts_is_the_norm_of_the_whole(body):
    g = np.array([3.0, 0.0, -4.0, 12.0])
    with body():
        norm = global_norm([squared_norm(part) for part in np.split(g, [1, 3])])
    assert norm == 13
    assert type(norm) is float


def test_clipping_bounds_the_norm_and_leaves_a_short_gradient_alone():
    assert clip_scale(norm=4.0, clip=1.0) == 0.25
    assert clip_scale(norm=4.0, clip=3.0) == 0.75
    assert clip_scale(norm=2.0, clip=2.0) == 1.0
    assert clip_scale(norm=0.5, clip=1.0) == 1.0
    assert clip_scale(norm=0.5, clip=0.25) == 0.5
    assert math.isfinite(clip_scale(1e-300, 1.0))


def test_there_is_no_limit_at_zero_and_no_division_by_a_norm_of_zero():
    assert clip_scale(norm=4.0, clip=0.0) == 1.0
    assert clip_scale(norm=0.0, clip=1.0) == 1.0
    assert clip_scale(norm=0.0, clip=0.0) == 1.0


@BODIES
@pytest.mark.parametrize("clip", [0.0, 0.5, 1e6])
def test_a_clipped_step_is_that_of_a_loop(clip, body):
    flat = FlatParameters(Four(np.float64))
    before = flat.data.copy()
    (gradient,) = gradients(flat, 1)
    with body():
        scale = clip_scale(global_norm([squared_norm(gradient)]), clip)
        SGD(flat).update(whole(flat), gradient, lr=1.0, step=1, scale=scale)
    norm = math.sqrt(math.fsum(g * g for g in numbers(gradient)))
    factor = clip / norm if 0 < clip < norm else 1.0
    pairs = zip(numbers(before), numbers(gradient), strict=True)
    expected = [x - factor * g for x, g in pairs]
    np.testing.assert_allclose(flat.data, expected, rtol=1e-12)
