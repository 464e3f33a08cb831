"""Tensors among arrays, numbers and everything that is neither."""

import math
import operator
import subprocess
import sys

import numpy as np
import pytest

from minillm import Tensor, ops


@pytest.fixture
def x():
    return Tensor(np.array([1.0, 2.0], np.float32), requires_grad=True)


def test_an_array_on_the_left_leaves_the_work_to_the_tensor(x):
    y = np.array([10.0, 20.0], np.float32) + x
    assert isinstance(y, Tensor)
    assert y.requires_grad
    assert y.numpy().tolist() == [11, 22]
    assert (np.ones((2, 2), np.float32) @ x).made_by == "matmul"


@pytest.mark.parametrize(
    "number", [2, 2.0, np.float32(2), np.float64(2), np.int64(2), True]
)
def test_a_number_on_either_side_keeps_float32(x, number):
    for y in (number * x, x * number, number - x, x / number, number / x):
        assert isinstance(y, Tensor)
        assert y.dtype == np.float32
        y.sum().backward()
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.int64, np.int8, bool])
def test_whole_numbers_become_float32(x, dtype):
    assert (x + np.ones(2, dtype)).dtype == np.float32
    assert Tensor(np.ones(2, dtype)).dtype == np.float32
    assert ops.concatenate(x, np.zeros(1, dtype)).dtype == np.float32


def test_lists_and_numbers_become_float32(x):
    assert (x * [1, 2]).dtype == np.float32
    assert Tensor([[1.5]]).dtype == np.float32
    assert Tensor(2).shape == ()
    assert ops.where(1.0, 0.0, condition=np.array([True, False])).dtype == np.float32


def test_floating_point_arrays_keep_their_type():
    assert Tensor(np.ones(1)).dtype == np.float64
    assert Tensor(np.float64(1)).dtype == np.float64
    assert Tensor(np.ones(1, np.float16)).dtype == np.float16


@pytest.mark.parametrize(
    "bad", ["text", ["a"], [None], object(), 1j, np.array(["x"]), {}]
)
def test_what_holds_no_real_numbers_is_refused(x, bad):
    with pytest.raises(TypeError, match="a Tensor holds real numbers, not"):
        Tensor(bad)
    with pytest.raises(TypeError, match=r"real numbers|unsupported"):
        x + bad


def test_a_complex_number_of_numpy_is_refused(x):
    with pytest.raises(TypeError, match="real numbers"):
        x * np.complex64(1j)


def test_a_ragged_list_is_refused():
    with pytest.raises(ValueError, match="inhomogeneous"):
        Tensor([[1.0], [1.0, 2.0]])


def test_writing_into_a_tensor_says_what_to_do_instead(x):
    with pytest.raises(TypeError, match=r"where\(\) or concatenate\(\)"):
        x[0] = 5.0
    with pytest.raises(TypeError, match="cannot be written to"):
        (x * 2)[0] = 5.0


def test_turning_into_an_array_says_what_to_do_instead(x):
    for convert in (np.asarray, np.array, Tensor, lambda t: Tensor([t, t])):
        with pytest.raises(TypeError, match=r"tensor\.numpy\(\)"):
            convert(x * 2)


def test_the_truth_of_a_tensor_is_that_of_its_number(x):
    assert x.sum()
    assert not Tensor([0.0])
    for several in (x, x[:0]):
        with pytest.raises(ValueError, match=r"truth value of .* \((2|0),\) is not"):
            bool(several)


COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt]
COMPARISONS += [operator.ge]


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize(
    "other",
    [
        2,
        2.0,
        np.float32(2),
        np.float64(2),
        np.int64(2),
        np.array(2.0),
        [1, 3],
        np.array([3, 2]),
        np.ones((3, 1)),
        Tensor([2.0, 2.0]),
    ],
    ids=repr,
)
def test_a_comparison_is_element_by_element_and_plain(x, compare, other):
    plain = other.numpy() if isinstance(other, Tensor) else other
    for found, expected in (
        (compare(x, other), compare(x.numpy(), plain)),
        (compare(other, x), compare(plain, x.numpy())),
    ):
        assert type(found) is np.ndarray
        assert found.dtype == bool
        np.testing.assert_array_equal(found, expected)


def test_a_comparison_of_one_number(x):
    assert x.sum() == 3.0
    assert x.sum() != 4
    assert type(x.sum() == 3.0) is np.ndarray
    tenth = Tensor([0.1])
    assert tenth == 0.1  # as float32
    assert tenth == np.float64(0.1)
    assert tenth == [0.1]


def test_what_holds_no_numbers_is_not_equal(x):
    assert (x == None) is False  # noqa: E711
    assert (x != "text") is True
    assert x not in (None, "text")
    with pytest.raises(TypeError, match="not supported between"):
        x < "text"  # noqa: B015
    with pytest.raises(ValueError, match="broadcast"):
        x == np.ones(3)  # noqa: B015


def test_in_looks_for_a_number(x):
    assert 2.0 in x
    assert np.float64(2) in x
    assert 5 not in x
    assert None not in x
    assert "text" not in x
    assert 4.0 in Tensor([[1.0, 2.0], [3.0, 4.0]])


def test_equal_tensors_are_different_keys(x):
    twin = Tensor(x.numpy())
    names = {x: "x", twin: "twin"}
    assert names[x] == "x"
    assert names[twin] == "twin"
    assert len({x, twin, x}) == 2
    assert hash(x) != hash(twin)


@pytest.mark.parametrize(("axis", "keepdims"), [(None, False), (0, True), (-1, False)])
def test_argmax_is_an_array_of_whole_numbers(axis, keepdims):
    numbers = np.array([[1.0, 5.0, 5.0], [7.0, 0.0, -1.0]])
    found = Tensor(numbers).argmax(axis, keepdims)
    assert type(found) is np.ndarray
    assert found.dtype.kind == "i"
    expected = numbers.argmax(axis, keepdims=keepdims)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="axis 2"):
        Tensor(numbers).argmax(2)


def test_a_comparison_is_a_condition_and_an_index(x):
    positive = ops.where(x, 0.0, x > 1)
    assert positive.numpy().tolist() == [0, 2]
    x[x > 1].sum().backward()
    assert x.grad.tolist() == [0, 1]


def test_one_number_becomes_pythons(x):
    loss = x.sum()
    assert float(loss) == 3.0
    assert type(float(loss)) is float
    assert int(loss) == 3
    assert math.sqrt(loss) == math.sqrt(3)
    assert f"{loss:.3f}, {loss:>5.1f}, {loss}" == f"3.000,   3.0, {loss!r}"
    assert "%.2f" % loss == "3.00"  # noqa: UP031
    for convert in (float, int, Tensor.item, "{:.3f}".format, math.sqrt):
        with pytest.raises(ValueError, match=r"shape \(2,\) is no single number"):
            convert(x)


def test_numpys_reductions_are_ours(x):
    for function in (np.sum, np.mean, np.max, np.min, np.var, np.std):
        y = function(x, axis=0)
        assert y.made_by == function.__name__.removeprefix("a")
        assert y.item() == function(x.numpy())
    assert np.cumsum(x, axis=0).made_by == "cumsum"
    assert np.clip(x, 0, 1).made_by == "clip"
    assert np.squeeze(x).made_by == "squeeze"
    assert np.argmax(x) == 1
    for told in ({"dtype": np.float64}, {"out": np.ones(())}):
        with pytest.raises(TypeError, match=f"has no {min(told)}"):
            np.sum(x, **told)
    with pytest.raises(TypeError, match=r"tensor\.numpy\(\)"):
        np.concatenate([x, x])


@pytest.mark.parametrize("three", [3, 3.0, np.float32(3), np.float64(3), np.array(3)])
def test_a_constant_exponent_is_quicker_than_one_of_an_array(x, three):
    assert (x**three).made_by == "power"
    assert (x**x).made_by == (x ** [1, 2]).made_by == (three**x).made_by == "pow"
    assert (x**three).dtype == (three**x).dtype == np.float32
    assert (2**x).numpy().tolist() == [2, 4]
    assert (x**x).numpy().tolist() == [1, 4]
    with pytest.raises(TypeError, match="real numbers"):
        x ** "2"


def test_length_and_iteration_go_along_the_first_axis():
    x = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    assert len(x) == 3
    rows = list(x)
    assert [row.numpy().tolist() for row in rows] == [[0, 1], [2, 3], [4, 5]]
    rows[1].sum().backward()
    assert x.grad.tolist() == [[0, 0], [1, 1], [0, 0]]
    for walk in (len, iter, list, sum, tuple, reversed, max):
        with pytest.raises(TypeError, match="0-d"):
            walk(Tensor(1.0))
    assert list(Tensor(np.ones((0, 2)))) == []


def test_numbers_come_out_again(x):
    assert x.sum().item() == 3.0
    assert isinstance(x.sum().item(), float)
    assert (x.shape, x.ndim, x.size) == ((2,), 1, 2)


def test_it_prints_itself(x):
    assert repr(x) == "Tensor([1., 2.], shape=(2,), requires_grad=True)"
    assert repr(x.sum()) == "Tensor(3., shape=(), made by sum)"
    assert repr(Tensor([0.5])) == "Tensor([0.5], shape=(1,))"


def test_the_first_tensor_of_a_program_has_its_operators():
    code = "from minillm import Tensor; print((2 * Tensor([1.0, 2.0])).sum().item())"
    out = subprocess.check_output([sys.executable, "-c", code], encoding="utf-8")
    assert out == "6.0\n"
