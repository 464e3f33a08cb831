"""Inputs that do not fit: an error that shows the shapes, whichever body runs."""

import numpy as np
import pytest

from minillm import Tensor, backend, ops


@pytest.fixture(params=["faster", "plain"], autouse=True)
def body(request):
    if request.param == "plain":
        with backend.plain():
            yield
    else:
        yield


def ones(*shape):
    return Tensor(np.ones(shape), requires_grad=True)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ones(2, 3) + ones(4), ValueError, ["(2,3)", "(4,)"]),
        (lambda: ones(2, 3) @ ones(4, 2), ValueError, ["(2, 3)", "(4, 2)", "3 and 4"]),
        (lambda: ones(2, 3) @ Tensor(1.0), ValueError, ["(2, 3)", "()"]),
        (lambda: ones(2, 2, 3) @ ones(3, 3, 1), ValueError, ["(2,2,3)", "(3,3,1)"]),
        (
            lambda: ops.concatenate(ones(2, 3), ones(2, 4)),
            ValueError,
            ["(2, 3)", "(2, 4)", "axis 0"],
        ),
        (
            lambda: ops.concatenate(ones(2, 3), ones(2), axis=1),
            ValueError,
            ["(2, 3)", "(2,)"],
        ),
        (
            lambda: ops.concatenate(ones(2, 3), ones(2, 3), axis=2),
            ValueError,
            ["(2, 3)", "axis 2"],
        ),
        (lambda: ops.concatenate(), ValueError, ["nothing to join"]),
        (lambda: ones(2, 3).sum(axis=2), ValueError, ["axis 2", "(2, 3)"]),
        (lambda: ones(2, 3).mean(axis=(0, -3)), ValueError, ["axis -3", "(2, 3)"]),
        (lambda: ones(2, 3).max(axis=5), ValueError, ["axis 5", "(2, 3)"]),
        (lambda: ops.softmax(ones(2, 3), axis=2), ValueError, ["axis 2", "(2, 3)"]),
        (lambda: ops.softmax(Tensor(1.0)), ValueError, ["axis -1", "()"]),
        (lambda: ops.log_softmax(ones(2), axis=-2), ValueError, ["axis -2", "(2,)"]),
        (lambda: ones(2, 3).transpose(0, 2), ValueError, ["(0, 2)", "(2, 3)"]),
        (lambda: ones(2, 3).transpose(0, 0), ValueError, ["(0, 0)", "(2, 3)"]),
        (lambda: ones(2, 3).transpose(1), ValueError, ["(1,)", "(2, 3)"]),
        (lambda: ones(2, 3).transpose(0, 1, 2), ValueError, ["(0, 1, 2)", "(2, 3)"]),
        (lambda: ones(2, 3).reshape(4, 2), ValueError, ["6", "(4,2)"]),
        (lambda: ones(2, 3)[2], IndexError, ["2", "axis 0"]),
        (lambda: ones(2, 3)[np.array([0, 2])], IndexError, ["2", "axis 0"]),
        (
            lambda: ops.linear(ones(2, 3), ones(4, 5), None),
            ValueError,
            ["(2, 3)", "(4, 5)"],
        ),
        (
            lambda: ops.embedding(ones(4, 2), ids=np.array([[0, 4]])),
            IndexError,
            ["(4, 2)", "4", "(1, 2)", "0 to 3"],
        ),
        (
            lambda: ops.embedding(ones(4, 2), ids=np.array([-1])),
            IndexError,
            ["(4, 2)", "-1"],
        ),
        (
            lambda: ops.embedding(ones(4, 2), ids=np.array([0.0])),
            TypeError,
            ["whole numbers"],
        ),
        (lambda: ops.embedding(ones(4, 2), ids=[0]), TypeError, ["whole numbers"]),
        (
            lambda: ops.cross_entropy(ones(2, 3), targets=np.array([0, 3])),
            IndexError,
            ["(2, 3)", "3", "-1 to 2"],
        ),
        (
            lambda: ops.cross_entropy(ones(2, 3), targets=np.array([0, -2])),
            IndexError,
            ["-2"],
        ),
        (
            lambda: ops.cross_entropy(ones(2, 3), targets=np.array([[0], [1]])),
            ValueError,
            ["(2, 3)", "(2, 1)", "(2,)"],
        ),
        (
            lambda: ops.linear_cross_entropy(
                ones(2, 3), ones(5, 4), targets=np.array([0, 1])
            ),
            ValueError,
            ["(2, 3)", "(5, 4)"],
        ),
        (
            lambda: ops.linear_cross_entropy(
                ones(2, 4), ones(5, 4), targets=np.array([0, 5])
            ),
            IndexError,
            ["(5, 4)", "5", "-1 to 4"],
        ),
        (
            lambda: ops.attention(ones(2, 3), ones(2, 4), ones(2, 4)),
            ValueError,
            ["(2, 3)", "(2, 4)", "width"],
        ),
        (
            lambda: ops.attention(ones(2, 3), ones(2, 3), ones(3, 3)),
            ValueError,
            ["(2, 3)", "(3, 3)", "number"],
        ),
        (
            lambda: ops.attention(ones(3), ones(3), ones(3)),
            ValueError,
            ["(3,)", "two axes"],
        ),
        (
            lambda: ops.attention(
                ones(2, 3), ones(2, 3), ones(2, 3), mask=np.eye(2, 2, 0, int)
            ),
            TypeError,
            ["int64", "boolean"],
        ),
        (
            lambda: ops.self_attention(ones(1, 2, 6), n_heads=4),
            ValueError,
            ["(1, 2, 6)", "4 heads"],
        ),
        (
            lambda: ops.cross_attention(ones(1, 2, 6), ones(1, 3, 6), n_heads=2),
            ValueError,
            ["(1, 2, 6)", "(1, 3, 6)", "2D"],
        ),
        (
            lambda: ops.cross_attention(ones(1, 2, 6), ones(2, 3, 12), n_heads=2),
            ValueError,
            ["(1, 2, 6)", "(2, 3, 12)"],
        ),
        (
            lambda: ops.cross_attention(ones(1, 2, 6), ones(1, 3, 12), n_heads=4),
            ValueError,
            ["(1, 2, 6)", "4 heads"],
        ),
        (
            lambda: ops.cross_attention(ones(2, 6), ones(2, 12), n_heads=2),
            ValueError,
            ["(2, 6)", "(B, T, D)"],
        ),
        (
            lambda: ops.cross_attention(
                ones(1, 1, 2), ones(1, 1, 4), n_heads=1, mask=np.eye(1, 1, 0, int)
            ),
            TypeError,
            ["int64", "boolean"],
        ),
        (
            lambda: ops.attention(ones(2, 3), ones(4, 3), ones(4, 3), ones(3, 4)),
            ValueError,
            ["a bias of shape (3, 4)", "(2, 4)"],
        ),
        (
            lambda: ops.attention(ones(2, 3), ones(4, 3), ones(4, 3), ones(5, 2, 4)),
            ValueError,
            ["a bias of shape (5, 2, 4)", "(2, 4)"],
        ),
        (
            lambda: ops.attention(ones(2, 3), ones(4, 3), ones(4, 3), 1.0),
            TypeError,
            ["a bias of 1.0", "an array"],
        ),
        (
            lambda: ops.self_attention(ones(1, 2, 6), ones(3, 2, 2), n_heads=2),
            ValueError,
            ["a bias of shape (3, 2, 2)", "(1, 2, 2, 2)"],
        ),
        (
            lambda: ops.cross_attention(
                ones(1, 2, 6), ones(1, 3, 12), ones(2, 2), n_heads=2
            ),
            ValueError,
            ["a bias of shape (2, 2)", "(1, 2, 2, 3)"],
        ),
        (
            lambda: ops.attention(ones(2, 3), ones(2, 3), ones(2, 3), rate=1.0),
            ValueError,
            ["dropout rate 1.0"],
        ),
        (lambda: ops.dropout(ones(2), rate=1.0, key=0), ValueError, ["1.0"]),
        (lambda: ones(2).clip(), TypeError, ["min or max"]),
        (lambda: ones(2).clip(2, 1), ValueError, ["min 2", "max 1"]),
        (
            lambda: ones(2).clip(np.ones(2)),
            TypeError,
            ["min is one number", "maximum("],
        ),
        (lambda: ones(2, 3).min(axis=2), ValueError, ["axis 2", "(2, 3)"]),
        (lambda: ones(2, 3).var(axis=2), ValueError, ["axis 2", "(2, 3)"]),
        (lambda: ones(2, 1).var(1, ddof=1), ValueError, ["(2, 1)", "1 - 1"]),
        (lambda: ones(2, 3).std(ddof=6), ValueError, ["6 numbers", "6 - 6"]),
        (lambda: ones(2, 3).logsumexp(axis=2), ValueError, ["axis 2", "(2, 3)"]),
        (lambda: ones(2, 3).cumsum(axis=2), ValueError, ["axis 2", "(2, 3)"]),
        (lambda: ones(2, 3).cumsum(axis=None), TypeError, ["a whole number"]),
        (lambda: ops.stack(), ValueError, ["nothing to stack"]),
        (lambda: ops.stack(ones(2), ones(3)), ValueError, ["(2,)", "(3,)", "agree"]),
        (lambda: ops.stack(ones(2), axis=2), ValueError, ["(2,)", "axis 2", "no such"]),
        (lambda: ops.stack([ones(2)], axis=None), TypeError, ["whole number"]),
        (lambda: ones(2, 3).split(2, 1), ValueError, ["(2, 3)", "axis 1", "2 equal"]),
        (lambda: ones(2, 3).split([0.5]), TypeError, ["[0.5]", "whole numbers"]),
        (lambda: ones(2, 3).split("ab"), TypeError, ["'ab'", "whole numbers"]),
        (lambda: ones(2, 3).split(0), ValueError, ["(2, 3)", "0 equal"]),
        (lambda: ones(2, 3).split(2, 2), ValueError, ["axis 2", "(2, 3)"]),
        (lambda: ones(2, 1).squeeze(0), ValueError, ["(2, 1)", "axis 0", "length 2"]),
        (lambda: ones(2, 1).squeeze(2), ValueError, ["axis 2", "(2, 1)"]),
        (lambda: ones(2, 3).pad(-1), ValueError, ["(2, 3)", "-1", "2 pairs"]),
        (lambda: ones(2, 3).pad(((1, 1),) * 3), ValueError, ["(2, 3)", "2 pairs"]),
        (lambda: ones(2, 3).pad(0.5), ValueError, ["0.5", "whole number"]),
        (lambda: ones(2, 3).broadcast_to((3, 3)), ValueError, ["(2, 3)", "(3, 3)"]),
        (lambda: ones(2, 3).broadcast_to(3), ValueError, ["(2, 3)", "(3,)"]),
        (lambda: ones(2, 3).broadcast_to((-1, 3)), ValueError, ["(2, 3)", "(-1, 3)"]),
        (
            lambda: ones(2, 3).take_along_axis(np.array([[3]])),
            IndexError,
            ["(2, 3)", "axis -1", "3 in", "-3 to 2"],
        ),
        (
            lambda: ones(2, 3).take_along_axis(np.array([[0.5]])),
            TypeError,
            ["whole numbers"],
        ),
        (
            lambda: ones(2, 3).take_along_axis(np.array([0])),
            ValueError,
            ["(2, 3)", "(1,)"],
        ),
        (lambda: ones(2).tril(), ValueError, ["(2,)", "two axes"]),
        (
            lambda: ops.einsum("ij,jk", ones(2, 3), ones(4, 5)),
            ValueError,
            ["'ij,jk'", "(2, 3)", "(4, 5)", "'j' has lengths 3 and 4"],
        ),
        (lambda: ops.einsum("ij", ones(2), ones(2)), ValueError, ["1 groups", "not 2"]),
        (lambda: ops.einsum("ij", ones(2)), ValueError, ["'ij'", "(2,)"]),
        (lambda: ops.einsum("i->ii", ones(2)), ValueError, ["result names 'ii'"]),
        (lambda: ops.einsum("i->j", ones(2)), ValueError, ["result names 'j'"]),
        (lambda: ops.einsum("i1", ones(2, 2)), ValueError, ["'i1'"]),
        (lambda: ops.einsum("i...jk", ones(2, 2)), ValueError, ["'i...jk'"]),
        (lambda: ops.dropout(ones(2), rate=-0.1, key=0), ValueError, ["-0.1"]),
    ],
)
def test_what_does_not_fit_is_named_with_its_shapes(call, error, words):
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_an_axis_may_be_a_numpy_number():
    assert ones(2, 3).sum(axis=np.int64(1)).shape == (2,)
