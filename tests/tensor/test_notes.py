"""An error inside a rule keeps its type and says in which op, on which shapes."""

import re

import numpy as np
import pytest

import minillm
from minillm import Tensor
from minillm.backend import joint
from minillm.tensor import op
from minillm.testing import check_gradients
from minillm_cli.main import explain

X = np.ones((2, 3))


@op
def unfit(x, y):
    return x @ y, lambda g: g, lambda g: g


@op
def unfit_backward(x, y):
    return (x * y).sum(1), lambda g: g[:, None] * y, lambda g: g @ x


@op
def unfit_together(x, y):
    return (x * y).sum(1), joint(lambda g: (g * y, g * x))


@op
def no_such_axis(x):
    return x * 1, lambda g: g.sum(5)


@op
def overflows(x):
    with np.errstate(over="raise"):
        return np.exp(x * 1e6), lambda g: g


def notes_of(error) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


def leaves(n: int) -> list:
    return [Tensor(X, requires_grad=True) for _ in range(n)]


def test_the_forward_names_the_op_and_its_arguments():
    with pytest.raises(ValueError, match="matmul") as caught:
        unfit(*leaves(2))
    assert notes_of(caught.value) == "in the forward of unfit: x (2, 3), y (2, 3)"
    assert caught.traceback[-1].name == "unfit"  # where it happened, as ever


def test_python_numbers_and_types_of_errors():
    with pytest.raises(FloatingPointError) as caught:
        overflows(*leaves(1))
    assert "in the forward of overflows" in notes_of(caught.value)

    @op
    def index(x, y):
        return x[7], lambda g: g, None

    with pytest.raises(IndexError) as caught:
        index(X, 2.0)
    assert "x (2, 3), y 2.0" in notes_of(caught.value)


def test_the_pullback_names_the_op_its_line_and_the_shapes():
    x, y = leaves(2)
    y.data = y.data * 2
    with pytest.raises(ValueError, match="broadcast") as caught:
        unfit_together(x, y).backward(np.ones(2))
    note = notes_of(caught.value)
    assert re.match(r"in the pullback of unfit_together \(.*test_notes.py:\d+\)", note)
    assert "(2, 3), (2, 3), from g (2,)" in note
    with pytest.raises(ValueError, match="axis 5") as caught:
        no_such_axis(x).sum().backward()
    assert "in the pullback of no_such_axis" in notes_of(caught.value)


@pytest.mark.parametrize("debugging", [False, True])
def test_the_argument_is_named_by_the_check_and_in_debug_mode(debugging):
    @op
    def second(x, y):
        return x * y, lambda g: g * y, lambda g: g @ x

    with pytest.raises(ValueError, match="matmul") as caught:
        if debugging:
            with minillm.debug():
                second(*leaves(2)).sum().backward()
        else:
            check_gradients(second, X, X)
    note = notes_of(caught.value)
    assert "in the pullback of second, gradient of y: " in note
    assert "argument x (2, 3)" in note
    assert "incoming gradient g (2, 3)" in note
    assert note.count("in the pullback") == 1


def test_a_pullback_recorded_in_debug_mode_has_its_own_line():
    with minillm.debug():
        y = no_such_axis(*leaves(1))
    with pytest.raises(ValueError, match="axis 5") as caught:
        y.sum().backward()
    assert "test_notes.py:" in notes_of(caught.value).split(": the gradient")[0][-25:]


def test_the_command_line_shows_the_note():
    with pytest.raises(ValueError, match="matmul") as caught:
        unfit(*leaves(2))
    code, line = explain(caught.value)
    assert code == 1
    assert "in the forward of unfit: x (2, 3), y (2, 3)" in line
