"""Every faster body does what its definition says, on small inputs and large."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm import backend
from minillm.backend import registry
from minillm.learning import optimizer, sgd  # noqa: F401  (they define kernels)
from minillm.ops import IGNORED
from minillm.tensor import no_grad
from minillm.testing import TABLE, cases, check_body

KERNELS = {"adamw", "sgd", "squared_norm"}
BODIES = sorted(set(backend.faster_names("cpu")) - KERNELS)
TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def test_every_body_belongs_to_an_op_or_a_kernel():
    assert set(BODIES) <= set(TABLE)
    assert set(backend.faster_names("cpu")) <= set(BODIES) | KERNELS


@pytest.mark.parametrize("name", BODIES)
@given(data=st.data())
def test_a_body_equals_its_text(name, data):
    arrays, settings = data.draw(cases(TABLE[name]))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    check_body(TABLE[name].op, *arrays, dtype=dtype, **settings)


def large(name: str) -> list:
    """[(arrays, settings)] beyond the pieces in which bodies work, and where the
    shortcuts that they take must be given up."""
    rng = np.random.default_rng(0)
    normal = rng.standard_normal
    padding_on_the_left = (np.arange(70) >= [[0], [3], [66]])[:, None, None, :]
    padding = rng.random((3, 1, 1, 70)) < 0.7
    tokens = np.where(rng.random(900) < 0.8, rng.integers(0, 300, 900), IGNORED)
    match name:
        case "linear":
            return [((normal((3, 50, 40)), normal((40, 90)), normal(90)), {})]
        case "embedding":
            ids = rng.integers(0, 70, (30, 40))
            return [((normal((70, 30)),), {"ids": ids})]
        case "layer_norm":
            return [((normal((40, 50, 60)) + 3, normal(60), normal(60)), {})]
        case "rms_norm":
            return [((normal((40, 50, 60)) + 3, normal(60)), {})]
        case "rotary":
            angle = normal((70, 1, 4))
            of_each = normal((3, 70, 1, 4))
            x = normal((3, 70, 6, 8))
            return [
                ((x,), {"cos": np.cos(angle), "sin": np.sin(angle), "n_turned": 4}),
                ((x,), {"cos": np.cos(of_each), "sin": np.sin(of_each)}),
            ]
        case "gelu":
            x = 4 * normal((7, 150, 101))
            return [((x,), {"form": form}) for form in ("tanh", "erf")]
        case "attention":
            q, k, v = (
                normal((3, 2, 70, 8)),
                normal((3, 2, 70, 8)),
                normal((3, 2, 70, 5)),
            )
            far = k.copy()
            far[0] *= 100  # one row's scores far above all others'
            return [
                ((q, k, v), {"causal": True}),
                ((q, k, v), {"mask": padding}),
                ((q, far, v), {"causal": True}),
                ((q[:, :, :9], k, v), {"causal": True}),
                ((normal((3, 6, 70, 8)), k, v), {"causal": True}),
                ((normal((3, 6, 70, 8)), far, v), {"mask": padding}),
                ((q, k, v), {"mask": padding_on_the_left, "causal": True}),
            ]
        case "self_attention":
            qkv = normal((3, 70, 48))
            far = qkv.copy()
            far[0] *= 10
            return [
                ((qkv,), {"n_heads": 2, "causal": True}),
                ((qkv,), {"n_heads": 4, "mask": padding}),
                ((far,), {"n_heads": 2, "causal": True}),
                ((qkv,), {"n_heads": 4, "n_kv_heads": 2, "causal": True}),
                ((far,), {"n_heads": 6, "n_kv_heads": 1, "mask": padding}),
            ]
        case "cross_attention":
            q, kv = normal((3, 50, 16)), normal((3, 70, 32))
            far = kv.copy()
            far[0] *= 10
            return [
                ((q, kv), {"n_heads": 2}),
                ((q, kv), {"n_heads": 4, "mask": padding}),
                ((q, far), {"n_heads": 2}),
                ((q, kv[..., :16]), {"n_heads": 4, "n_kv_heads": 2, "mask": padding}),
            ]
        case "cross_entropy":
            settings = {"targets": tokens.astype(np.int32)}
            far = normal((900, 300)) * 10.0 ** rng.integers(-3, 3, (900, 1))
            return [((normal((900, 300)),), settings), ((far,), settings)]
        case "linear_cross_entropy":
            x, weight = normal((900, 40)), normal((300, 40))
            settings = {"targets": tokens.astype(np.int32), "n_targets": 3}
            return [((x, weight), settings), ((30 * x, weight), settings)]
        case "lstm":
            x, weight, bias = normal((3, 70, 30)), normal((30, 160)) / 3, normal(160)
            recurrent, states = normal((40, 160)), (normal((3, 40)), normal((3, 40)))
            return [
                ((x, weight, bias, recurrent, *states), {}),
                ((x, weight, bias, recurrent / 4, *states), {}),
            ]
    raise LookupError(f"write down a large case of {name} in `large` of this file")


@TYPES
@pytest.mark.parametrize("name", BODIES)
def test_a_body_equals_its_text_on_large_inputs(name, dtype):
    for arrays, settings in large(name):
        # Sums of many numbers, taken in another order, differ by more roundings.
        tolerance = 2000 * np.finfo(dtype).eps
        op = TABLE[name].op
        check_body(op, *arrays, dtype=dtype, tolerance=tolerance, **settings)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_without_a_gradient_to_come_gives_the_same_value(name):
    """To the last bit, though it keeps less; and its gradient is still right."""
    for arrays, settings in large(name):
        arrays = [x.astype(np.float32) for x in arrays]
        body = registry.body_of(TABLE[name].op.rule, "cpu")
        value, *pullbacks = body(*arrays, **settings)
        with no_grad():
            same, *others = body(*arrays, **settings)
            assert np.array_equal(same, value)
            g = np.ones_like(value)
            for pull, other in zip(pullbacks, others, strict=True):
                found = [
                    x if isinstance(x, tuple) else (x,) for x in (pull(g), other(g))
                ]
                for one, another in zip(*found, strict=True):
                    np.testing.assert_allclose(one, another, rtol=1e-3, atol=1e-3)


def run_kernel(name: str, dtype, kind: str, **settings):
    """The arrays a kernel leaves behind, and what it returns."""
    rng = np.random.default_rng(0)
    size = 70_001
    arrays = [rng.standard_normal(size).astype(dtype) for _ in range(2)]
    if name == "adamw":
        arrays += [rng.standard_normal(size).astype(dtype)]
        arrays += [rng.random(size).astype(dtype)]
    if name == "squared_norm":
        arrays = arrays[:1]
    rule = backend.definition_of(name)
    if kind == "body":
        rule = backend.body_of(rule, "cpu")
    returned = rule(*arrays, **settings)
    return [*arrays, *([] if returned is None else [np.asarray(returned)])]


ADAMW = {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "step": 3, "scale": 0.7}


@TYPES
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("adamw", {**ADAMW, "weight_decay": 0.1}),
        ("adamw", {**ADAMW, "weight_decay": 0.0, "step": 1}),
        ("sgd", {"lr": 0.01, "weight_decay": 0.1, "scale": 0.7}),
        ("squared_norm", {}),
    ],
)
def test_a_kernels_body_equals_its_text(name, settings, dtype):
    found = run_kernel(name, dtype, "body", **settings)
    expected = run_kernel(name, dtype, "definition", **settings)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=1e3 * np.finfo(dtype).eps, atol=1e-7)


def test_the_definitions_of_the_kernels_are_their_formulas():
    x, g = np.array([1.0, -2.0]), np.array([3.0, 0.5])
    assert backend.definition_of("squared_norm")(g) == 9.25
    data = x.copy()
    backend.definition_of("sgd")(data, g, lr=0.1, weight_decay=0.4, scale=2.0)
    np.testing.assert_allclose(data, [1 - 0.1 * (6 + 0.4), -2 - 0.1 * (1 - 0.8)])
    data, m, v = x.copy(), np.zeros(2), np.zeros(2)
    backend.definition_of("adamw")(
        data, g, m, v, **{**ADAMW, "step": 1}, weight_decay=0.4
    )
    np.testing.assert_allclose(m, 0.1 * 0.7 * g)
    np.testing.assert_allclose(v, 0.01 * (0.7 * g) ** 2)
    np.testing.assert_allclose(data, [1 - 0.01 * 1.4, -2 - 0.01 * (1 - 0.8)])


def test_plain_runs_the_definition_and_no_more():
    definition = backend.definition_of("linear")
    body = backend.body_of(definition, "cpu")
    assert body is not definition
    with backend.plain():
        assert backend.body_of(definition, "cpu") is definition
    assert backend.body_of(definition, "cpu") is body


@pytest.mark.parametrize("name", ["attention", "self_attention", "cross_attention"])
@pytest.mark.parametrize("more", ["bias", "dropout"])
def test_attention_with_a_bias_or_with_dropped_weights_runs_as_it_is_defined(
    name, more, monkeypatch
):
    """Knowingly: the bodies keep no weights that could be dropped, and a gradient of
    the scores in pieces would be needed for a bias."""
    ran = []
    definition = backend.definition_of(name)
    monkeypatch.setitem(
        registry._definitions,
        name,
        lambda *a, **s: ran.append(name) or definition(*a, **s),
    )
    arrays, settings = large(name)[0]
    body = registry._bodies["cpu", name]
    body(*arrays, **settings)
    assert not ran
    if more == "dropout":
        body(*arrays, **settings, rate=0.5, key=1)
    else:
        n_keys = arrays[min(1, len(arrays) - 1)].shape[-2]
        body(*arrays, np.zeros(n_keys), **settings)
    assert ran == [name]


STRANGER = """
import numpy as np
from minillm.backend import kernel

@kernel
def squared_norm(grad):
    return 7

print(squared_norm(np.ones(3)))
from minillm.learning import optimizer
print(squared_norm(np.ones(3)), optimizer.squared_norm(np.ones(3)))
"""


def test_a_stranger_s_kernel_runs_as_it_is_written():
    """Also where ours of this name has not been imported yet, only its body."""
    out = subprocess.check_output([sys.executable, "-c", STRANGER], text=True)
    assert out == "7\n7 3.0\n"


def test_nor_gets_it_a_body_of_ours_that_comes_later(monkeypatch):
    """As those for CUDA do, with the first array there."""

    @backend.kernel
    def comes_later(grad):
        return 7

    def body(grad):
        return 8

    body.__module__ = "minillm.backend.cpu"
    monkeypatch.setattr(registry, "_bodies", dict(registry._bodies))
    registry.faster("comes_later")(body)
    assert comes_later(np.ones(3)) == 7
