"""CUDA's bodies that are one formula each equal their definitions. Here the stand-in
runs the formula as it is written; on a GPU CuPy compiles it."""

import numpy as np
import pytest

from minillm import backend
from minillm.backend import cuda_fused, definition_of, registry
from minillm.learning import optimizer  # noqa: F401  (defines the kernels)
from minillm.testing import gradcheck

ADAMW = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "scale": 0.7, "lr": 0.01}
MOMENTUM = {"lr": 0.01, "momentum": 0.9, "scale": 0.7}
KERNELS = [
    ("adamw", 4, {**ADAMW, "step": 3, "weight_decay": 0.1}),
    ("adamw", 4, {**ADAMW, "step": 1, "weight_decay": 0.0}),
    ("sgd", 2, {"lr": 0.01, "weight_decay": 0.1, "scale": 0.7}),
    ("sgd_momentum", 3, {**MOMENTUM, "nesterov": True, "weight_decay": 0.1}),
    ("sgd_momentum", 3, {**MOMENTUM, "nesterov": False, "weight_decay": 0.0}),
]


def numbers(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [abs(rng.standard_normal(501)).astype(np.float32) for _ in range(n)]


def compare_updates(device, name, n, settings):
    expected = [x.astype(float) for x in numbers(n)]
    with backend.use("cpu"):
        definition_of(name)(*expected, **settings)
    found = [device.asarray(x) for x in numbers(n)]
    with backend.use(device):
        getattr(cuda_fused, name)(*found, **settings)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(backend.to_numpy(a), b, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "n", "settings"), KERNELS)
def test_updates_equal_their_definitions(strict, name, n, settings):
    compare_updates(strict, name, n, settings)


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "n", "settings"), KERNELS)
def test_updates_equal_their_definitions_on_a_gpu(name, n, settings):
    with backend.use("cuda") as device:
        compare_updates(device, name, n, settings)


def compare_swiglu(device):
    gate, up, g = (4 * x - 3 for x in numbers(3))
    on_device = [device.asarray(x) for x in (gate, up, g)]
    with backend.use(device):
        value, pull = cuda_fused.swiglu(*on_device[:2])
        found = [backend.to_numpy(x) for x in (value, *pull(on_device[2]))]
    h = 1e-4  # central differences of silu(gate) · up, in float64
    gate, up, g = (x.astype(float) for x in (gate, up, g))
    silu = lambda x: x / (1 + np.exp(-x))  # noqa: E731
    slope = (silu(gate + h) - silu(gate - h)) / (2 * h)
    for a, b in zip(
        found, (silu(gate) * up, g * up * slope, g * silu(gate)), strict=True
    ):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_swiglu_has_the_gradients_of_its_formula(strict):
    compare_swiglu(strict)


@pytest.mark.gpu
def test_swiglu_has_the_gradients_of_its_formula_on_a_gpu():
    with backend.use("cuda") as device:
        compare_swiglu(device)


def test_gradcheck_compares_cudas_bodies_in_the_type_that_they_compute_in(
    strict, monkeypatch
):
    def rounded(x, *, form):
        y, pull = definition_of("gelu")(x, form=form)
        return y * 1.000001 if x.dtype == np.float32 else y, pull

    monkeypatch.setitem(registry._bodies, ("cuda", "gelu"), rounded)
    with backend.use(strict):
        (result,) = gradcheck(["gelu"])
    assert result.ok
    assert 0 < result.body_error < 1e-5  # in float64 the definition runs: 0
