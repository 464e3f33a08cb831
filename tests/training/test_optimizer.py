"""Optimizers in a loop of one's own: step, zero_grad and lr."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from minillm import SGD, AdamW, Tensor, threads
from minillm.errors import UsageError
from minillm.learning.flat import FlatParameters
from minillm.nn import Initializer, Linear, Module

MAKERS = {
    "adamw": lambda parameters: AdamW(parameters, lr=0.1),
    "sgd": lambda parameters: SGD(parameters, lr=0.05),
    "momentum": lambda parameters: SGD(parameters, lr=0.02, momentum=0.9),
    "nesterov": lambda p: SGD(p, lr=0.02, momentum=0.9, nesterov=True),
}


class Line(Module):
    def __init__(self):
        self.layer = Linear(3, 2, init=Initializer(np.random.default_rng(0)))

    def __call__(self, x):
        return self.layer(x)


@pytest.fixture
def problem():
    """Points of a line in space, and the loss of a guess at it."""
    x = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    y = x @ np.array([[1, 2], [3, 4], [5, 6]], np.float32) + 1
    return lambda model: ((model(Tensor(x)) - Tensor(y)) ** 2).mean()


@pytest.mark.parametrize("name", MAKERS)
def test_a_loop_of_one_s_own_finds_the_line(problem, name):
    model = Line()
    optimizer = MAKERS[name](model)
    for _ in range(300):
        loss = problem(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert problem(model).numpy().item() < 1e-3


def test_a_list_of_tensors_will_do(problem):
    w = Tensor(np.zeros((3, 2), np.float32), requires_grad=True)
    b = Tensor(np.zeros(2, np.float32), requires_grad=True)
    optimizer = AdamW([w, b], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        problem(lambda x: x @ w + b).backward()
        optimizer.step()
    np.testing.assert_allclose(b.numpy(), 1, atol=0.01)
    np.testing.assert_allclose(w.numpy()[:, 0], [1, 3, 5], atol=0.01)


def test_the_rate_may_change_on_the_way(problem):
    model = Line()
    optimizer = SGD(model, lr=0.0)
    before = model.layer.weight.numpy().copy()
    problem(model).backward()
    optimizer.step()
    np.testing.assert_array_equal(model.layer.weight.numpy(), before)
    optimizer.lr = 0.5
    gradient = model.layer.weight.grad.copy()
    optimizer.step()
    np.testing.assert_allclose(
        model.layer.weight.numpy(), before - 0.5 * gradient, rtol=1e-6
    )


def test_nothing_cuts_a_gradient_off_its_buffer(problem):
    """A gradient of None, one that was replaced, a value that was replaced: the next
    step takes what is there."""
    model, other = Line(), Line()
    optimizer, expected = SGD(model, lr=0.1), SGD(other, lr=0.1)
    for spoil in (
        lambda: setattr(model.layer.weight, "grad", None),
        lambda: model.zero_grad(),
        lambda: setattr(model.layer.bias, "data", model.layer.bias.data.copy()),
    ):
        spoil()
        for each, net in ((optimizer, model), (expected, other)):
            each.zero_grad()
            problem(net).backward()
        model.layer.weight.grad = model.layer.weight.grad.copy()
        optimizer.step()
        expected.step()
        np.testing.assert_array_equal(
            model.layer.weight.numpy(), other.layer.weight.numpy()
        )
        np.testing.assert_array_equal(
            model.layer.bias.numpy(), other.layer.bias.numpy()
        )


def test_a_value_in_the_place_of_a_view_is_the_one_that_moves(problem):
    model = Line()
    optimizer = SGD(model, lr=0.1)
    held = model.layer.bias.data
    problem(model).backward()
    gradient = model.layer.bias.grad.copy()
    model.layer.bias.data = np.array([7, 8], np.float32)
    optimizer.step()
    assert model.layer.bias.data is held
    expected = np.array([7, 8]) - 0.1 * gradient
    np.testing.assert_allclose(model.layer.bias.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_step_by_step(nesterov):
    w = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    optimizer = SGD([w], lr=0.1, momentum=0.5, nesterov=nesterov)
    expected, velocity = np.array([1.0, 2.0]), 0.0
    for g in ([1.0, -2.0], [3.0, 0.5], [-1.0, 1.0]):
        w.grad[...] = g
        optimizer.step()
        velocity = 0.5 * velocity + np.array(g)
        expected -= 0.1 * (g + 0.5 * velocity if nesterov else velocity)
        np.testing.assert_allclose(w.numpy(), expected, rtol=1e-12)


def test_gradients_add_up_until_they_are_zeroed(problem):
    model = Line()
    optimizer = SGD(model)
    problem(model).backward()
    once = model.layer.weight.grad.copy()
    problem(model).backward()
    np.testing.assert_allclose(model.layer.weight.grad, 2 * once, rtol=1e-6)
    optimizer.zero_grad()
    assert not model.layer.weight.grad.any()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (lambda: Module(), "the module has no parameter"),
        (list, "the module has no parameter"),
        (lambda: Line().layer.weight, "a list of tensors, got a single Tensor"),
        (lambda: 3, "a list of tensors, got a single int"),
        (lambda: [Tensor(np.zeros(2))], "tensor 0 is no parameter"),
        (lambda: [Line().layer.weight * 2], "tensor 0 is no parameter"),
        (lambda: [np.zeros(2)], "tensor 0 is no parameter"),
        (lambda: [Line().layer.weight] * 1 + ["w"], "tensor 1 is no parameter"),
        (
            lambda: [Tensor(np.zeros(2, t), requires_grad=True) for t in "fd"],
            "parameters must be of one type, got float32 and float64",
        ),
    ],
)
def test_what_is_no_parameter_is_one_line(parameters, words):
    with pytest.raises(UsageError, match=words):
        SGD(parameters(), momentum=0.9)


def test_of_flat_parameters_it_has_no_gradients_of_its_own():
    optimizer = AdamW(FlatParameters(Line()))
    for call in (optimizer.step, optimizer.zero_grad):
        with pytest.raises(UsageError, match="has no gradients of its own"):
            call()


def test_a_parameter_is_given_once():
    w = Tensor(np.zeros(2), requires_grad=True)
    with pytest.raises(UsageError, match="listed twice"):
        AdamW([w, w])


def test_parameters_may_come_one_by_one(problem):
    model = Line()
    optimizer = AdamW(p for p in model.parameters())
    problem(model).backward()
    before = model.layer.weight.data.copy()
    optimizer.step()
    assert (model.layer.weight.data != before).all()


@pytest.mark.parametrize(
    ("make", "settings", "words"),
    [
        (AdamW, {"lr": -1}, "lr must be a number of at least 0 and finite, got -1"),
        (SGD, {"lr": "0.1"}, "lr must be a number of at least 0 and finite, got '0.1'"),
        (SGD, {"lr": np.nan}, "lr must be .* got nan"),
        (AdamW, {"weight_decay": np.inf}, "weight_decay must be .* got inf"),
        (AdamW, {"beta1": 1}, "beta1 must be a number of at least 0 and below 1"),
        (AdamW, {"beta2": 1.5}, "beta2 must be"),
        (AdamW, {"eps": -1e-8}, "eps must be"),
        (SGD, {"momentum": 1.0}, "momentum must be"),
    ],
)
def test_a_setting_that_cannot_be_is_named(make, settings, words):
    with pytest.raises(UsageError, match=words):
        make(Line(), **settings)
    make(Line(), lr=np.float32(0.1), weight_decay=0)


def test_nesterov_needs_momentum():
    with pytest.raises(UsageError, match="needs a momentum above 0"):
        SGD(Line(), nesterov=True)


def blas_threads() -> set[int]:
    pools = threadpool_info()
    return {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}


def test_threads_of_blas_are_set_for_a_block_or_from_now_on():
    with threads(2):
        with threads(1):
            assert blas_threads() == {1}
        assert blas_threads() == {2}
        threads(1)
        assert blas_threads() == {1}
    for n in (0, -1, 1.5, True, "2"):
        with pytest.raises(UsageError, match="at least 1, got"):
            threads(n)
