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
        (changed_argument, "argument y of mul at"),
        (changed_value, "the value of exp at"),
        (changed_array, "argument y of mul at"),
        (changed_setting, "index of getitem at"),
        (changed_list, "index of getitem at"),
        (changed_far_below, "argument x of tanh at"),
        (changed_view, "argument x of mul at"),
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


@op
def greedy(x, y):
    """Its pullback writes into x."""

    def pull_y(g):
        np.multiply(x, g, out=x)
        return x

    return x * y, lambda g: g * y, pull_y


@op
def hasty(x):
    """Its forward writes into x."""
    x *= 2
    return x * 1, lambda g: 2 * g


@op
def turned(x):
    """Its pullback writes into a view of x that the forward has made."""
    rows = x.T

    def pullback(g):
        rows[0] = 0
        return g

    return x * 1, pullback


@op
def sly(x):
    """Its pullback takes the flag off."""

    def pullback(g):
        g.flags.writeable = True
        g *= 2
        return g

    return 2 * x, pullback


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (
            lambda x, y: greedy(x, y),
            "the pullback of greedy writes into its argument x",
        ),
        (lambda x, _: hasty(x), "the forward of hasty writes into its input x"),
        (lambda x, _: turned(x), "the pullback of turned writes into its argument x"),
        (
            lambda x, _: sly(x),
            "the pullback of sly writes into the incoming gradient g",
        ),
    ],
)
def test_a_rule_that_writes_into_what_it_is_given(f, words):
    x, y = leaf([[0.5, 1.0]]), leaf([[2.0, 3.0]])
    with minillm.debug(), pytest.raises(RuntimeError, match=words) as caught:
        f(x, y).sum().backward()
    assert "test_debug.py:" in str(caught.value)
    f(x, y).sum().backward()  # only in debug mode


def test_a_write_by_a_flag_keeps_the_numbers_and_the_traceback():
    x, y = leaf([0.5, 1.0]), leaf([2.0, 3.0])
    with minillm.debug(), pytest.raises(RuntimeError) as caught:
        greedy(x, y).sum().backward()
    np.testing.assert_array_equal(x.data, [0.5, 1.0])
    assert isinstance(caught.value.__cause__, ValueError)  # where it happened


def test_a_read_only_array_of_the_rules_own_is_an_error_of_its_own():
    @op
    def stretched(x):
        def pullback(g):
            wide = np.broadcast_to(g, (2, *g.shape))
            wide[0] = 0
            return g

        return x * 1, pullback

    x = leaf([0.5, 1.0])
    with minillm.debug(), pytest.raises(ValueError, match="read-only"):
        stretched(x).sum().backward()


def test_a_value_that_is_a_view_may_be_written_into_after_backward():
    x = leaf([[0.5, 1.0]])
    with minillm.debug():
        rows = x.reshape(2)
        rows.sum().backward()
        rows.data += 1
    np.testing.assert_array_equal(x.data, [[1.5, 2.0]])


def test_borrowed_gradients_are_none_of_its_business():
    """Gradients that are g, views of it or of an argument; leaves own theirs."""
    x, y, z = leaf([[0.5, 1.0]]), leaf([[2.0, 3.0]]), leaf([[1.0, 1.0]])
    with minillm.debug():
        ((x + y + x + z) * y.reshape(1, 2) + x.T.T).sum().backward()
    gradients = [x.grad, y.grad, z.grad]
    for i, gradient in enumerate(gradients):
        assert gradient.flags.writeable and gradient.flags.owndata
        for other in gradients[:i]:
            assert not np.shares_memory(gradient, other)
    np.testing.assert_array_equal(x.grad, 2 * y.data + 1)
    np.testing.assert_array_equal(z.grad, y.data)


def test_a_gradient_that_is_written_into_after_it_was_returned():
    @op
    def one_buffer(x, y):
        buffer = np.empty_like(x)
        return (
            x * y,
            lambda g: np.multiply(g, y, out=buffer),
            lambda g: np.multiply(g, x, out=buffer),
        )

    with (
        minillm.debug(),
        pytest.raises(RuntimeError, match="one_buffer returns a grad"),
    ):
        one_buffer(leaf([0.5, 1.0]), leaf([2.0, 3.0])).sum().backward()


def test_kernels_may_write():
    from minillm import AdamW
    from minillm.nn import Linear

    layer = Linear(2, 1)
    optimizer = AdamW(layer, lr=0.1)
    before = layer.weight.data.copy()
    with minillm.debug():
        layer(Tensor(np.ones((3, 2), np.float32))).sum().backward()
        optimizer.step()
    assert (layer.weight.data != before).all()


def test_observers_within_each_other_all_look_on():
    from minillm import backend

    seen = []

    def observer(name, body):
        seen.append(name)
        return body

    x = leaf([[0.5, 1.0]])
    with minillm.debug(), backend.observed(observer), pytest.raises(RuntimeError):
        hasty(x)
    assert seen == ["hasty"]
