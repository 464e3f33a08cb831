"""Backward through graphs on which other engines have gone wrong."""

import time
import warnings

import numpy as np
import pytest

from minillm import Tensor, no_grad, ops
from minillm.backend.pullbacks import joint, unbroadcast
from minillm.tensor import op, topological_order
from minillm.testing import check_gradients


def leaf(numbers) -> Tensor:
    return Tensor(np.array(numbers, np.float64), requires_grad=True)


def test_the_same_tensor_twice_in_one_op():
    x = leaf([3.0])
    (x * x).sum().backward()
    assert x.grad.tolist() == [6]


def test_a_scalar_twice_in_one_op():
    x = Tensor(3.0, requires_grad=True)
    (x * x + x).backward()
    assert x.grad == 7
    assert type(x.grad) is np.ndarray
    assert x.grad.dtype == np.float32


def test_a_diamond():
    x = leaf([2.0])
    a = x * 3
    b, c = a * 5, a * a
    (b * c).sum().backward()  # 15x · 9x² = 135x³
    assert x.grad.tolist() == [405 * 4]


def test_a_line_of_diamonds_sends_each_gradient_down_once():
    """b = a + a; c = b + b: whoever passes the first half of b's gradient on before the
    second has come gets 3 or 5, not 4."""
    a = leaf([1.0])
    b = a + a
    c = b + b
    c.sum().backward()
    assert a.grad.tolist() == [4]


def test_a_tensor_used_near_and_far_from_the_loss():
    x = leaf([2.0])
    y = x * x
    for _ in range(3):
        y = y * 2
    (y + x).sum().backward()
    assert x.grad.tolist() == [8 * 4 + 1]


def test_one_weight_in_two_products():
    rng = np.random.default_rng(0)
    check_gradients(
        lambda x, w: (x @ w) @ w, rng.normal(size=(2, 3)), rng.normal(size=(3, 3))
    )


def test_a_gradient_added_in_place_does_not_reach_a_sibling():
    """Here add hands one gradient array to x and to y; x's grows by a second part."""
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    s = x + y
    (s * 2 + x).sum().backward()
    assert x.grad.tolist() == [3, 3]
    assert y.grad.tolist() == [2, 2]


def test_three_uses_add_up_in_a_gradient_of_their_own():
    x, y = leaf([1.0]), leaf([1.0])
    s = x + y
    (s + x + x + y).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([3], [2])


def test_the_given_gradient_is_not_written_into():
    g = np.ones(2)
    x = leaf([1.0, 2.0])
    (x + x).backward(g)
    y = leaf([1.0, 2.0])
    y.backward(g)
    y.grad += 5
    assert g.tolist() == [1, 1]


def test_leaf_gradients_are_owned_and_writable():
    """The gradient of a sum is one number, stretched by strides of 0 and read-only."""
    x, y = leaf([1.0, 2.0, 3.0]), leaf([1.0, 2.0, 3.0])
    (x.sum() + (x + y).sum()).backward()
    for t in (x, y):
        t.grad *= 0.5  # clipping
        assert t.grad.flags.c_contiguous
    assert x.grad.tolist() == [1, 1, 1]
    assert y.grad.tolist() == [0.5, 0.5, 0.5]


def test_gradients_of_a_transpose_are_contiguous():
    x = leaf(np.ones((2, 3)))
    x.T.backward(np.arange(6.0).reshape(3, 2))
    assert x.grad.flags.c_contiguous
    assert x.grad.tolist() == [[0, 2, 4], [1, 3, 5]]


def test_sixty_residual_additions_take_no_time():
    """2⁶⁰ paths lead from the end to the beginning; there are 120 ops."""
    started = time.perf_counter()
    x = leaf([1.0])
    y = x
    for _ in range(60):
        y = y + y * 0.5
    y.sum().backward()
    assert time.perf_counter() - started < 1
    np.testing.assert_allclose(x.grad, 1.5**60)


def test_a_chain_of_20_000_ops():
    x = leaf([1.0])
    y = x
    for _ in range(20_000):
        y = y + 1
    y.sum().backward()
    assert x.grad.tolist() == [1]


def test_a_second_backward_raises():
    x = leaf([1.0])
    y = x * x
    loss = y.sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        (y * 2).sum().backward()  # shares a part that was freed
    assert x.grad.tolist() == [2]


def test_a_leaf_collects_over_several_graphs():
    x = leaf([1.0])
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    x.sum().backward()
    assert x.grad.tolist() == [6]


def test_backward_from_a_leaf():
    x = leaf(2.0)
    x.backward()
    x.backward(5.0)
    assert x.grad == 6


def test_backward_needs_a_scalar_or_a_gradient():
    x = leaf([[1.0, 2.0]])
    with pytest.raises(RuntimeError, match=r"\(1, 2\).*scalar"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"\(2,\).*\(1, 2\)"):
        (x * 2).backward(np.ones(2))
    assert x.grad is None
    (x * 2).backward(Tensor([[1.0, 10.0]]))
    assert x.grad.tolist() == [[2, 20]]
    (x * 2).sum(axis=1).backward()  # one number is as good as a scalar


def test_backward_from_a_tensor_that_needs_no_gradient():
    with pytest.raises(RuntimeError, match="no gradient"):
        Tensor([1.0]).sum().backward()
    with pytest.raises(RuntimeError, match="no gradient"):
        (leaf([1.0]).detach() * 2).sum().backward()


def test_backward_inside_no_grad():
    loss = leaf([1.0]).sum()
    with no_grad(), pytest.raises(RuntimeError, match="no_grad"):
        loss.backward()
    loss.backward()


def test_only_what_needs_a_gradient_is_computed():
    asked = []

    @op
    def product(x, y):
        return x * y, lambda g: asked.append("x") or g * y, lambda g: asked.append("y")

    x = leaf([2.0])
    product(x, Tensor(np.array([3.0]))).sum().backward()
    assert asked == ["x"]
    assert x.grad.tolist() == [3]


def test_joint_pullbacks_may_serve_one_argument_only():
    @op
    def both(x, y):
        return x * y, joint(lambda g: (g * y, g * x))

    x = leaf([2.0])
    both(x, np.array([3.0])).sum().backward()
    assert x.grad.tolist() == [3]


def test_a_mixture_of_types_gives_each_leaf_its_own():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    y = leaf([1.0, 2.0])
    (x * y).sum().backward()
    assert x.grad.dtype == np.float32
    assert y.grad.dtype == np.float64


def test_retain_grad_keeps_an_interior_gradient():
    x = leaf([2.0])
    y = (x * 3).retain_grad()
    z = y * y
    z.sum().backward()
    assert y.grad.tolist() == [12]
    with pytest.warns(UserWarning, match="no leaf but the result of mul"):
        assert z.grad is None
    assert x.grad.tolist() == [36]
    y.grad += 1  # its own, like a leaf's


def test_retain_grad_of_the_root_and_of_a_branch():
    x = leaf([1.0, 2.0])
    y = x.exp().retain_grad()
    loss = (y.sum() + (y * 2).sum()).retain_grad()
    loss.backward()
    assert loss.grad == 1
    assert y.grad.tolist() == [3, 3]


def test_retain_grad_needs_something_to_retain():
    with pytest.raises(RuntimeError, match="needs no gradient"):
        Tensor([1.0]).retain_grad()


def test_the_order_puts_every_tensor_before_what_uses_it():
    x = leaf([1.0])
    y = x * 2
    z = y + x
    order = topological_order((z * y).sum())
    place = {id(t): i for i, t in enumerate(order)}
    assert len(order) == 5
    for t in order:
        for parents, _ in t.edges:
            assert all(place[id(p)] < place[id(t)] for p in parents)


@pytest.mark.parametrize(
    ("given", "shape", "expected"),
    [
        ((2, 3), (2, 3), np.ones((2, 3))),
        ((2, 3), (3,), [2, 2, 2]),
        ((2, 3), (2, 1), [[3], [3]]),
        ((2, 3), (1, 1), [[6]]),
        ((2, 3), (), 6),
        ((4, 2, 3), (1, 3), [[8, 8, 8]]),
        ((0, 3), (3,), [0, 0, 0]),
        ((0,), (1,), [0]),
        ((1, 1, 2), (2,), [1, 1]),
    ],
)
def test_unbroadcast(given, shape, expected):
    g = unbroadcast(np.ones(given), shape)
    assert g.shape == shape
    np.testing.assert_array_equal(g, expected)


@pytest.mark.parametrize(
    ("given", "shape"), [((3, 2), (2, 3)), ((), (2,)), ((2,), (3,))]
)
def test_a_gradient_that_does_not_fit_is_never_squeezed_in(given, shape):
    """(3, 2) reshaped to (2, 3) would hide a forgotten transpose."""

    @op
    def careless(x):
        return x * 1, lambda g: np.ones(given)

    with pytest.raises(ValueError, match="careless") as caught:
        careless(leaf(np.ones(shape))).sum().backward()
    assert str(given) in str(caught.value)
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize(
    ("pullbacks", "kinds"),
    [
        ((lambda g: g,), "function"),
        ((lambda g: g, lambda g: g, lambda g: g), "function, function, function"),
        ((lambda g: g, joint(lambda g: (g, g))), "function, joint"),
        ((joint(lambda g: (g, g)), lambda g: g), "joint, function"),
        ((np.ones(1), np.ones(1)), "ndarray, ndarray"),
    ],
    ids=["one", "three", "one and both", "both and one", "gradients"],
)
def test_a_rule_with_pullbacks_that_do_not_fit_is_named(pullbacks, kinds):
    @op
    def forgetful(x, y):
        return x * y, *pullbacks

    told = rf"forgetful returns {kinds} beside .* 2 arguments 2 functions"
    with pytest.raises(TypeError, match=told):
        forgetful(leaf([1.0]), leaf([1.0]))


@pytest.mark.parametrize(
    ("pullbacks", "told"),
    [
        ([lambda g: None, lambda g: g], "through careless must be .* not None"),
        ([lambda g: g, lambda g: 1.0], "through careless must be .* not 1.0"),
        ([joint(lambda g: (g, None))], "through careless must be .* not None"),
        ([joint(lambda g: (g,))], "careless returned 1 gradients for 2 arguments"),
        ([joint(lambda g: None)], "careless returned 1 gradients for 2 arguments"),
    ],
    ids=["none", "a number", "none of one", "too few", "none of all"],
)
def test_a_pullback_that_returns_no_gradient_is_named(pullbacks, told):
    @op
    def careless(x, y):
        return x * y, *pullbacks

    y = careless(leaf([1.0]), leaf([1.0]))
    with pytest.raises(TypeError, match=told):
        y.backward()


@pytest.mark.parametrize("answer", [lambda x: x * 2, lambda x: (x * 2,)])
def test_a_rule_without_a_pullback_is_named(answer):
    @op
    def bare(x):
        return answer(x)

    with pytest.raises(TypeError, match="bare must return its value and pullbacks"):
        bare(leaf([[1.0, 2.0], [3.0, 4.0]]))


def test_a_model_of_every_kind_of_op_at_once():
    rng = np.random.default_rng(0)

    def network(x, w, b, gain):
        h = ops.layer_norm(ops.gelu(ops.linear(x, w, b)) + x, gain, None)
        a = ops.attention(h, h, h, causal=True)
        return ops.concatenate(a, h[:, :1], axis=1).mean(axis=-1).exp().max()

    arrays = [rng.normal(size=s) for s in ((2, 3, 4), (4, 4), (4,), (4,))]
    check_gradients(network, *arrays)


def test_the_gradient_of_what_is_no_leaf_warns_with_the_place_and_the_way_out():
    """The beginner's step makes a new tensor of the parameter, which has none."""
    p = Tensor([1.0], requires_grad=True)
    (p * p).sum().backward()
    p = p - 0.1 * p.grad
    (p * p).sum().backward()
    with pytest.warns(UserWarning, match=r"of sub, .*`p.data -= lr \* p.grad`") as told:
        assert p.grad is None
    assert told[0].filename == __file__


def test_it_warns_once_for_each_place():
    p = Tensor([1.0], requires_grad=True) * 2
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for _ in range(3):
            assert p.grad is None
        assert p.grad is None
    assert len(told) == 2


def test_a_gradient_that_is_kept_or_may_still_come_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = Tensor([1.0], requires_grad=True)
        y = (p * p).retain_grad()
        assert p.grad is y.grad is Tensor.grad is None
        assert (Tensor([1.0]) * 2).grad is None  # needs no gradient
        y.sum().backward()
        assert p.grad.tolist() == [2]
        assert y.grad.tolist() == [1]
        p.data -= 0.1 * p.grad  # what the warning proposes
        p.grad = None
        (p * p).sum().backward()
        assert p.grad is not None
