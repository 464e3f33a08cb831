"""Debug mode names the op, and the line of the forward call."""

import inspect

import numpy as np
import pytest

import minillm
from minillm import Tensor, ops
from minillm.models import ModelConfig, build
from minillm.tensor import op


def leaf(numbers) -> Tensor:
    return Tensor(np.array(numbers, np.float64), requires_grad=True)


def here(offset: int = 0) -> str:
    """This file and the line of the caller, counted from it."""
    return f"test_debug.py:{inspect.currentframe().f_back.f_lineno + offset}"


@pytest.fixture(autouse=True)
def silent_numpy():
    with np.errstate(all="ignore"):
        yield


def test_the_first_nan_in_a_value():
    x = leaf([-1.0, 1.0])
    with minillm.debug(), pytest.raises(FloatingPointError) as caught:
        x.sqrt()
    assert "the value of sqrt at" in str(caught.value)
    assert "contains NaN" in str(caught.value)
    assert here(-3) in str(caught.value)


def test_the_first_infinity_in_a_value():
    x = leaf([0.0])
    with minillm.debug(), pytest.raises(FloatingPointError, match="infinity") as caught:
        1 / x
    assert "div at" in str(caught.value)
    assert here(-2) in str(caught.value)


def test_a_nan_in_a_gradient_names_the_line_of_the_forward_call():
    x = leaf([0.0, 1.0])
    with minillm.debug():
        y = x.sqrt()
        line = here(-1)
        loss = (y * 2).sum()
        with pytest.raises(FloatingPointError) as caught:
            loss.backward()
    assert "the gradient through sqrt at" in str(caught.value)
    assert "infinity" in str(caught.value)
    assert line in str(caught.value)


def test_a_line_inside_a_model_is_the_layers_own():
    config = ModelConfig(vocab_size=5, n_layers=1, d_model=4, n_heads=1, context=3)
    model = build(config, np.random.default_rng(0))
    model.blocks[0].feed_forward.up.weight.data[0, 0] = np.nan
    with (
        minillm.debug(),
        pytest.raises(FloatingPointError, match="linear at") as caught,
    ):
        model(np.array([[1, 2, 3]]))
    assert "layers.py:" in str(caught.value)


def test_a_wrong_type_in_a_value():
    @op
    def careless(x):
        return x * np.float64(2), lambda g: g * 2

    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    with minillm.debug(), pytest.raises(TypeError, match=r"careless at.*float64"):
        careless(x)


def test_a_wrong_type_in_a_gradient():
    @op
    def careless(x):
        return x * 2, lambda g: g * np.float64(2)

    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    with (
        minillm.debug(),
        pytest.raises(TypeError, match=r"through careless at.*float64"),
    ):
        careless(x).sum().backward()


def test_a_wrong_shape_in_a_gradient():
    @op
    def careless(x):
        return x.T * 2, lambda g: g * 2

    x = leaf(np.ones((2, 3)))
    with minillm.debug():
        y = careless(x)
        line = here(-1)
        with pytest.raises(ValueError, match="through careless at") as caught:
            y.sum().backward()
    assert line in str(caught.value)
    assert "(3, 2)" in str(caught.value)
    assert "(2, 3)" in str(caught.value)


def changed_argument(x, y):
    z = x * y
    y.data[1] = 7
    return z


def changed_value(x, y):
    z = (x * y).exp()
    z.data *= 2
    return z


def changed_array(x, y):
    """One that is no tensor."""
    z = x * y.data
    y.data[...] = 0
    return z


def changed_setting(x, y):
    ids = np.array([0, 1])
    z = ops.getitem(x * y, index=(..., ids))
    ids[0] = 1
    return z


def changed_list(x, y):
    where = [0, 1]
    z = x[where] * y
    where[0] = 1
    return z


def changed_far_below(x, y):
    z = x.tanh()
    for _ in range(3):
        z = z * y
    x.data -= 0.1
    return z


def changed_view(x, y):
    z = x.reshape(2, 1) * y
    x.data[0] += 1
    return z


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (changed_argument, "argument 2 of mul at"),
        (changed_value, "the value of exp at"),
        (changed_array, "argument 2 of mul at"),
        (changed_setting, "index of getitem at"),
        (changed_list, "index of getitem at"),
        (changed_far_below, "argument 1 of tanh at"),
        (changed_view, "argument 1 of mul at"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_changed_between_forward_and_backward(change, what):
    with minillm.debug():
        z = change(leaf([0.5, 1.0]), leaf([2.0, 3.0])).sum()
        with pytest.raises(RuntimeError, match="was changed") as caught:
            z.backward()
    assert what in str(caught.value)
    assert "test_debug.py:" in str(caught.value)
    change(leaf([0.5, 1.0]), leaf([2.0, 3.0])).sum().backward()  # only in debug mode


def test_data_may_be_replaced_and_changed_after_backward():
    x = leaf([0.5, 1.0])
    with minillm.debug():
        for _ in range(2):
            z = (x * x).sum()
            x.data = x.data + 1  # another array: the op keeps its own
            z.backward()
            x.data -= 1
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])


def test_nothing_is_checked_outside_the_block():
    with minillm.debug():
        pass
    with pytest.raises(ZeroDivisionError), minillm.debug():
        1 / 0  # noqa: B018
    assert np.isnan((leaf([-1.0]).sqrt()).numpy()).all()


def test_a_right_model_passes_in_debug_mode():
    config = ModelConfig(vocab_size=5, n_layers=2, d_model=4, n_heads=2, context=3)
    model = build(config, np.random.default_rng(0))
    ids = np.array([[1, 2, 3], [0, 4, 4]])
    from minillm.text import Batch

    mask = np.array([[True, True, True], [True, False, False]])
    with minillm.debug():
        model.loss(Batch(ids, ids, 6, mask=mask)).backward()
    x = leaf([0.0, 1.0])
    with minillm.debug():
        ops.where(x.sqrt(), 0.0, condition=np.array([False, True])).sum().backward()
