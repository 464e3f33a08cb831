"""Pullbacks that add to a leaf's gradient themselves, with no array between."""

import numpy as np
import pytest

from minillm import Tensor, backend, op
from minillm.backend import joint
from minillm.backend.pullbacks import adding


@pytest.fixture
def places():
    """What the pullbacks of `product` were given, in their order."""
    return []


@pytest.fixture(params=["one each", "joint"])
def product(request, places):
    """x · y; its pullbacks add where they may."""

    def answer(gradient, place):
        places.append(place)
        if place is None:
            return gradient
        place += gradient
        return None

    @op
    def product(x, y):
        def of_x(g, place=None):
            return answer(g * y, place)

        def of_y(g, place=None):
            return answer(g * x, place)

        def of_both(g, place_x=None, place_y=None):
            return of_x(g, place_x), of_y(g, place_y)

        if request.param == "joint":
            return x * y, joint(adding(of_both))
        return x * y, adding(of_x), adding(of_y)

    return product


def leaf(*numbers: float, dtype=np.float64) -> Tensor:
    return Tensor(np.array(numbers, dtype), requires_grad=True)


def test_the_first_gradient_of_a_leaf_is_an_array_of_its_own(product, places):
    x, y = leaf(2, 3), leaf(5, 7)
    product(x, y).sum().backward()
    assert places == [None, None]
    assert (x.grad.tolist(), y.grad.tolist()) == ([5, 7], [2, 3])


def test_the_next_one_is_added_in_place(product, places):
    x, y = leaf(2, 3), leaf(5, 7)
    x.grad, y.grad = np.ones(2), np.zeros(2)
    before = x.grad, y.grad
    product(x, y).sum().backward()
    assert places[0] is before[0] is x.grad
    assert places[1] is before[1] is y.grad
    assert (x.grad.tolist(), y.grad.tolist()) == ([6, 8], [2, 3])


def test_a_leaf_that_is_used_twice_gets_both_parts(product):
    x = leaf(2, 3)
    x.grad = np.ones(2)
    (product(x, x) + x * 10).sum().backward()
    assert x.grad.tolist() == [1 + 2 * 2 + 10, 1 + 2 * 3 + 10]


def test_what_is_no_leaf_has_no_place(product, places):
    x, y = leaf(2, 3), leaf(5, 7)
    x.grad = y.grad = None
    double = (x * 2).retain_grad()
    product(double, y.detach()).sum().backward()
    assert all(place is None for place in places)
    assert (double.grad.tolist(), x.grad.tolist()) == ([5, 7], [10, 14])


def test_a_gradient_of_another_type_is_no_place(product, places):
    x, y = leaf(2, 3, dtype=np.float16), leaf(5, 7, dtype=np.float16)
    x.grad, y.grad = np.ones(2, np.float16), np.ones(2, np.float16)
    product(x, y).sum().backward()
    assert places == [None, None]
    assert (x.grad.tolist(), y.grad.tolist()) == ([6, 8], [3, 4])


def test_debug_mode_sees_every_gradient(product, places):
    x, y = leaf(2, 3), leaf(5, 7)
    x.grad, y.grad = np.ones(2), np.ones(2)
    with backend.debug():
        product(x, y).sum().backward()
    assert places == [None, None]
    assert x.grad.tolist() == [6, 8]


@pytest.mark.parametrize("has_place", [False, True])
def test_a_gradient_that_was_added_nowhere_is_missed(has_place):
    """Of two arguments one has a place, the other none, and the answer is None."""

    @op
    def forgetful(x, y):
        return x * y, joint(adding(lambda g, *places: (g * y, None)))

    x, y = leaf(2, 3), leaf(5, 7)
    x.grad = np.ones(2)
    if has_place:
        y.grad = np.zeros(2)
        forgetful(x, y).sum().backward()
        assert y.grad.tolist() == [0, 0]  # where it would have been added
        return
    with pytest.raises(TypeError, match="forgetful must be an array, not None"):
        forgetful(x, y).sum().backward()
