"""The check itself: it finds what is wrong, says where, and lets what is right pass."""

import re

import numpy as np
import pytest

from minillm import Tensor, backend, ops
from minillm.backend import joint, xp
from minillm.nn import Initializer, Linear
from minillm.tensor import op
from minillm.testing import CheckError, check_body, check_gradients

X = np.random.default_rng(0).standard_normal((2, 3))


@op
def right(x, y):
    return x * y, lambda g: g * y, lambda g: g * x


@op
def wrong_in_y(x, y):
    return x * y, lambda g: g * y, lambda g: g * x * 1.001


@op
def wrong_in_one_place(x):
    def pullback(g):
        gx = 2 * g
        gx[1, 2] = 0
        return gx

    return 2 * x, pullback


def test_what_is_right_passes_with_a_tiny_error():
    for elements in (False, True):
        assert check_gradients(right, X, X + 1, elements=elements) < 1e-9


def test_what_is_wrong_is_named_with_both_numbers():
    with pytest.raises(
        CheckError, match=r"wrong_in_y: .* with respect to y "
    ) as caught:
        check_gradients(wrong_in_y, X, X + 1)
    says, say = re.findall(r"say?s? (-?[\d.]+)", str(caught.value))
    assert float(says) == pytest.approx(1.001 * float(say), rel=1e-6)


def test_every_element_names_the_index():
    with pytest.raises(CheckError, match=r"with respect to x\[1, 2\]") as caught:
        check_gradients(wrong_in_one_place, X, elements=True)
    assert "the pullback says 0," in str(caught.value)
    with pytest.raises(CheckError, match="along a random direction"):
        check_gradients(wrong_in_one_place, X)


def test_the_tolerance_is_the_callers():
    assert check_gradients(wrong_in_y, X, X + 1, tolerance=0.01) > 1e-5


def test_one_of_many_arrays_is_named_by_its_place():
    @op
    def total(*arrays):
        return sum(arrays), joint(lambda g: [g, g, 2 * g])

    with pytest.raises(CheckError, match=r"arrays\[2\]"):
        check_gradients(total, X, X, X)


def test_a_function_of_ones_own_and_a_layer():
    check_gradients(lambda x, w: (x @ w).tanh().mean(), X, X.T)
    layer = Linear(3, 4, init=Initializer(np.random.default_rng(0), dtype=np.float64))
    assert check_gradients(layer, X) < 1e-9


def test_none_is_handed_on_and_settings_arrive():
    @op
    def scaled(x, offset, *, factor):
        y = factor * x if offset is None else factor * x + offset
        return y, lambda g: factor * g, lambda g: g

    check_gradients(scaled, X, None, factor=3.0)
    check_gradients(scaled, X, X[0], factor=np.array([[2.0], [5.0]]))


def test_an_input_that_is_not_used_has_gradient_zero():
    check_gradients(lambda x, y: x * 2, X, X)
    with pytest.raises(CheckError, match="with respect to y"):
        check_gradients(lambda x, y: x * Tensor(y.data), X, X)


def test_a_gradient_that_is_zero_in_theory():
    check_gradients(lambda x: x / x, X)


def test_what_gives_other_values_each_time_is_found():
    rng = np.random.default_rng(0)
    with pytest.raises(CheckError, match="a second time"):
        check_gradients(lambda x: x * rng.standard_normal(), X)


def test_a_value_that_is_not_finite():
    with np.errstate(invalid="ignore"), pytest.raises(CheckError, match="not finite"):
        check_gradients(lambda x: x.log(), X)


def test_a_function_that_returns_no_tensor():
    with pytest.raises(TypeError, match="returns ndarray"):
        check_gradients(lambda x: x.numpy(), X)


def test_a_gradient_of_nan_is_wrong():
    @op
    def broken(x):
        return 2 * x, lambda g: g * np.nan

    with pytest.raises(CheckError, match="broken"):
        check_gradients(broken, X)
    with pytest.raises(CheckError, match="broken"):
        check_gradients(broken, X, elements=True)


def test_large_and_small_numbers():
    for scale in (1e-3, 1e4):
        check_gradients(lambda x: (x * x).sum(), scale * X)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (Tensor.log, [0.01, 1000.0]),
        (Tensor.log, [0.03, 52000.0]),
        (Tensor.log, [1e-6, 2e-6]),
        (Tensor.log, [1.0, 1e-20, 1e-300]),
        (Tensor.sqrt, [1e-3, 1e4]),
        (Tensor.tanh, [0.1, 1e5]),
        (Tensor.tanh, [0.0, 1e8, -1e-9]),
        (Tensor.exp, [1.0, 1e-20, 0.0, 1e-310]),
        (lambda x: ops.sigmoid(x), [0.5, 1e6]),
        (lambda x: 1 / x, [2.0, 900000.0]),
        (lambda x: (1 + x).log(), [1e-10, -2e-10, 1e-3]),
        (lambda x: (x + 1e8) - 1e8, [0.5, -2.0]),
        (lambda x: x / x - 1, [0.3, 7e-8]),
        (lambda x: (x - 1).log(), [1 + 1e-9, 1e6]),
        (lambda x: (1 - x).log(), [1 - 1e-12, 0.5, -3.0]),
        (lambda x: x**1.5, [1e-12, 1e12]),
        (lambda x: x * x, [1e-6, 1e8, 1e-3, 0.0, 1.0]),
    ],
)
def test_inputs_of_different_size(f, x):
    """A step that fits one of them is too long or too short for another."""
    for elements in (False, True):
        assert check_gradients(f, x, elements=elements) < 1e-6
        assert check_gradients(f, np.array(x)[::-1], elements=elements) < 1e-6


MIXED = np.array([1e-12, 1e-6, 1e-3, 1.0, 1e3, 1e6, 1e12, 0.0, -1e-9, -5e8])


@pytest.mark.parametrize("elements", [False, True])
def test_large_numbers_beside_small_ones(elements):
    for f in (ops.sum, ops.mean, ops.log_softmax, ops.gelu, ops.neg):
        check_gradients(f, MIXED, elements=elements)


@pytest.mark.parametrize("place", range(len(MIXED)))
@pytest.mark.parametrize("elements", [False, True])
def test_large_numbers_hide_no_wrong_slope_of_small_ones(place, elements):
    @op
    def wrong(x):
        return 3 * x, lambda g: 3 * g * np.where(np.arange(x.size) == place, 1.001, 1)

    with pytest.raises(CheckError, match="is wrong"):
        check_gradients(wrong, MIXED, elements=elements)


def test_a_step_that_leaves_the_domain_is_called_that():
    with pytest.raises(CheckError, match="every step left the domain"):
        check_gradients(lambda x: x**1.5, [0.0, 1.0])


def test_inputs_from_a_generator_of_the_same_seed():
    """Weights u that are like x would add up what rounding leaves."""
    x = np.random.default_rng(0).standard_normal(5)
    weights = []

    @op
    def spy(x):
        return 2 * x, lambda g: [weights.append(g.copy()), 2 * g][1]

    check_gradients(spy, x, seed=0)
    uniform = np.random.default_rng(0).uniform(0.5, 1, 5)
    assert not np.allclose(abs(weights[0]), uniform)


TIES = np.array([[0.0, 1.0, 1.0], [-2.0, -2.0, -2.0], [3.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    "f",
    [
        ops.relu,
        lambda x: ops.max(x, axis=1),
        lambda x: ops.max(x),
        lambda x: ops.where(x, -x, condition=x.data > 0),
    ],
    ids=["relu", "max of rows", "max", "abs"],
)
@pytest.mark.parametrize("elements", [False, True])
def test_a_kink_accuses_no_right_rule(f, elements):
    check_gradients(f, TIES, elements=elements)


@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.5, 1.5])
def test_a_kink_hides_no_wrong_rule(factor):
    @op
    def wrong_max(x):
        y = x.max(1, keepdims=True)
        share = (x == y) / (x == y).sum(1, keepdims=True)
        return y, lambda g: factor * g * share

    @op
    def wrong_relu(x):
        return x.clip(0), lambda g: g * np.where(x == 0, 2.0, x > 0)

    for f in (wrong_max, wrong_relu):
        with pytest.raises(CheckError, match="is wrong"):
            check_gradients(f, TIES)


def test_a_kink_near_x_is_not_taken_for_one_at_x():
    """A step that is long enough to show small numbers crosses it."""
    x = 2e-4 * np.random.default_rng([101, 1500]).standard_normal(1500)

    def f(x):
        return ops.where(-x, x, condition=x.data > 0).exp().sum()

    check_gradients(f, x, seed=101)


def test_jumps_by_roundings_inside_of_f_are_no_kinks():
    """log cosh x is about x²/2, computed as the difference of numbers near log 2."""
    x = 0.02 * np.random.default_rng([404, 800]).uniform(-2, 2, 800)

    @op
    def log_cosh(x):
        return np.logaddexp(x, -x) - np.log(2), lambda g: g * np.tanh(x)

    check_gradients(log_cosh, x, seed=404)


def test_whole_numbers_and_lists_are_taken_as_float64():
    check_gradients(lambda x: x**3, [1, 2, 3])


@pytest.fixture
def body_of_right():
    """A function that registers a faster body for `right`."""
    from minillm.backend import registry

    def register(body):
        registry.faster("right")(body)

    yield register
    registry._bodies.pop(("cpu", "right"), None)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda x, y: (x * y, lambda g: g * y, lambda g: g * x), None),
        (lambda x, y: (x * y * 1.1, lambda g: g * y, lambda g: g * x), "value differs"),
        (lambda x, y: (x * y, lambda g: g * y, lambda g: g), "gradient 1 differs"),
        (lambda x, y: ((x * y)[:1], lambda g: x, lambda g: x), "value is"),
        (
            lambda x, y: ((x * y).astype(np.float32), lambda g: g * y, lambda g: g * x),
            "float32",
        ),
    ],
    ids=["right", "value", "gradient", "shape", "type"],
)
def test_a_body_is_compared_with_its_text(body_of_right, body, words):
    body_of_right(body)
    if words is None:
        assert check_body(right, X, X) == 0
    else:
        with pytest.raises(CheckError, match=words):
            check_body(right, X, X)


def test_a_large_value_or_input_hides_no_wrong_gradient_of_a_body(body_of_right):
    """Each array is compared with its own size."""

    def body(x, y):
        return x * y, lambda g: g * y, lambda g: g * x * (1 + 1e-9)

    body_of_right(body)
    for x, y in ((1e-3, 1e9), (1e-9, 1.0)):
        with pytest.raises(CheckError, match="gradient 1 differs"):
            check_body(right, x * X, y * X)


def test_xp_is_numpy_here():
    assert backend.current().name == "cpu"
    assert xp.exp is np.exp


def test_a_function_that_bends_much():
    """Two numbers nearly equal: layer norm turns quickly between them, and a plain
    difference errs by 1e-6 there."""
    x = np.array([[-1.10901203, -1.10255123], [1.5, -2.0]])
    arrays = x, np.ones(2), np.ones(2)
    assert check_gradients(ops.layer_norm, *arrays, tolerance=1.0) > 1e-7
    assert check_gradients(ops.layer_norm, *arrays, tolerance=1e-9) < 1e-9
