"""How an op may be called: by position, by name, with NumPy's numbers as settings, with
bytes in another order."""

import contextlib
import inspect

import numpy as np
import pytest

from minillm import Tensor, backend, no_grad, ops
from minillm.tensor import op
from minillm.testing import TABLE

ROWS = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)


@pytest.fixture(params=["faster", "plain"], autouse=True)
def body(request):
    plain = request.param == "plain"
    with backend.plain() if plain else contextlib.nullcontext():
        yield


def leaves(arrays, dtype=np.float32) -> list:
    return [
        None if x is None else Tensor(np.asarray(x, dtype), requires_grad=True)
        for x in arrays
    ]


def results(op, tensors, settings) -> list:
    value = op(*tensors, **settings)
    value.backward(np.cos(np.arange(value.size)).reshape(value.shape))
    return [value.numpy(), *(t.grad for t in tensors if t is not None)]


def same(found, expected) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@ROWS
def test_settings_may_be_given_by_position_and_arrays_by_name(row):
    for arrays, settings in row.examples(5):
        expected = row.op(*leaves(arrays), **settings).numpy()
        if row.name in ("concatenate", "stack", "einsum"):
            together = [leaves(arrays), tuple(leaves(arrays))]
            found = [row.op(one, *settings.values()) for one in together]
            found += [row.op(one, **settings) for one in together]
        else:
            names = list(inspect.signature(row.op.rule).parameters)
            named = dict(zip(names, leaves(arrays), strict=False))
            found = [row.op(**named, **settings)]
            if row.name not in ("self_attention", "cross_attention"):  # a bias follows
                found += [row.op(*leaves(arrays), *settings.values())]
        for value in found:
            np.testing.assert_array_equal(value.numpy(), expected)


X = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
IDS = np.array([0, 1])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: ops.softmax(X, dim=-1), r"softmax: .*'dim': it is softmax\(x, axis="),
        (lambda: ops.softmax(X, 0, 1), r"softmax: too many .* softmax\(x, axis=-1\)"),
        (lambda: ops.softmax(X, 0, axis=0), "softmax: multiple values for .*'axis'"),
        (lambda: ops.softmax(), r"softmax: missing .*'x'"),
        (lambda: ops.embedding(X), r"embedding: missing .* embedding\(table, ids\)"),
        (lambda: ops.embedding(X, indices=IDS), "embedding: "),
        (lambda: ops.cross_entropy(X, IDS, 2, 3), r"\(logits, targets, n_targets=None"),
        (lambda: ops.linear(X, X.T), r"linear: missing .*\(x, weight, bias\)"),
        (lambda: ops.add(X, X, X), r"add: too many .* it is add\(x, y\)"),
        (lambda: ops.concatenate(X, X, dim=1), r"'dim': it is concatenate\(\*arrays,"),
        (lambda: ops.concatenate([X, X], dim=1), r"'dim': it is concatenate\(\*arrays"),
        (lambda: ops.concatenate([X], [X]), "one whole number is needed as the axis"),
        (lambda: ops.softmax(X, None), "axis None .* a whole number is needed"),
        (lambda: ops.max(X, IDS), "axis array.* a whole number is needed"),
        (lambda: ops.sum(X, 1.0), "axis 1.0 of an array of shape"),
        (lambda: ops.power(X, IDS), r"the exponent is one number, .*\(2,\): pow\("),
        (lambda: ops.einsum(X, X), r"einsum: missing .*'subscripts'"),
        (lambda: X.clip(0, 1, 2), r"clip: too many .* clip\(x, min=None, max=None\)"),
        (
            lambda: X.var(correction=1),
            r"'correction': it is var\(x, axis=None, .*ddof=0",
        ),
        (lambda: X.cumsum(), r"cumsum: missing .*'axis'"),
        (lambda: ops.where(X > 0, X.detach(), 0.0), "the condition comes last"),
        (lambda: ops.where(X > 0, 1.0, X.detach()), "the condition comes last"),
        (
            lambda: X.sum(dim=0),
            r"sum: .*'dim': it is sum\(x, axis=None, keep",
        ),
        (lambda: X.exp(2), r"exp: too many .* it is exp\(x\)"),
        (lambda: ops.attention(X, X, X, mask=[[True]]), "a mask of <class 'list'>"),
    ],
)
def test_a_call_that_does_not_fit_names_the_op_and_its_settings(call, told):
    with pytest.raises(TypeError, match=told):
        call()


def test_help_shows_what_may_be_given():
    assert str(inspect.signature(ops.softmax)) == "(x, axis: int = -1)"
    assert str(inspect.signature(ops.embedding)) == "(table, ids)"
    assert str(inspect.signature(ops.concatenate)) == "(*arrays, axis: int = 0)"
    assert ops.softmax.__doc__.startswith("exp(x)")


def test_a_rule_of_ones_own_takes_settings_by_position_too():
    @op
    def scale(x, *, by=2.0):
        return x * by, lambda g: g * by

    @op
    def shift(x, *, by=2.0, times):  # one that is needed comes after one that is not
        return x + by * times, lambda g: g

    x = Tensor(np.ones(2, np.float32))
    assert scale(x, 3).numpy().tolist() == [3, 3]
    assert scale(x, by=np.float64(3)).dtype == np.float32
    assert shift(x, times=2).numpy().tolist() == [5, 5]
    with pytest.raises(TypeError, match="shift: too many positional"):
        shift(x, 1.0, 2)


def test_rules_that_are_written_otherwise_run_as_they_did():
    @op
    def leaky(x, slope=0.1):
        return x * slope, lambda g: g * slope

    @op
    def plus(x, y, z=None):
        return x + y, lambda g: g, lambda g: g, lambda g: g

    @op
    def spread(x, low=0.0, high=1.0):
        return x * (high - low), lambda g: g * (high - low)

    @op
    def anything(x, **others):
        return x * others["by"], lambda g: g * others["by"]

    @op
    def alone(x, /, *, by):
        return x * by, lambda g: g * by

    x = Tensor(np.ones(2), requires_grad=True)
    assert leaky(x).numpy().tolist() == [0.1, 0.1]
    assert leaky(x, slope=0.5).numpy().tolist() == [0.5, 0.5]
    assert plus(x, x, None).numpy().tolist() == [2, 2]
    assert spread(x=x, high=3.0).numpy().tolist() == [3, 3]
    assert anything(x, by=3.0, name="x").numpy().tolist() == [3, 3]
    assert alone(x, 3.0).numpy().tolist() == alone(x, by=3.0).numpy().tolist() == [3, 3]


def test_text_before_the_arrays_is_their_first_setting():
    expected = (X @ X.T).numpy()
    for found in (
        ops.einsum("ij,kj", X, X),
        ops.einsum([X, X], "ij,kj"),
        ops.einsum(X, X, subscripts="ij,kj->ik"),
        ops.einsum("ij,kj", X.numpy().tolist(), X),
    ):
        np.testing.assert_array_equal(found.numpy(), expected)
    with pytest.raises(TypeError, match="one whole number is needed as the axis"):
        ops.concatenate("0", X)

    @op
    def total(*arrays):
        return sum(arrays), lambda g: g

    with pytest.raises(TypeError, match="real numbers, not 'text'"):
        total("text", X)


def test_an_array_that_may_be_left_out_has_a_gradient_by_its_name_too():
    bias = Tensor(np.ones((2, 2)), requires_grad=True)
    packed = Tensor(np.ones((1, 2, 6)))
    for y in (
        ops.attention(X, X, X, bias),
        ops.attention(X, X, X, bias=bias, causal=True),
        ops.attention(bias=bias, q=X, k=X, v=X),
        ops.self_attention(packed, n_heads=2, bias=bias),
        ops.cross_attention(packed[..., :2], packed[..., 2:], bias=bias, n_heads=1),
    ):
        bias.grad = None
        y.sum().backward()
        assert bias.grad.shape == (2, 2)
    assert ops.attention(X, X, X, None, causal=True).shape == X.shape


@pytest.mark.parametrize("mask", [np.eye(2, dtype=bool), True, np.True_])
def test_a_mask_in_the_place_of_a_bias_is_refused(mask):
    with pytest.raises(TypeError, match=r"attention: bias is of booleans, .* mask="):
        ops.attention(X, X, X, mask)


def test_a_setting_gets_no_gradient_and_says_so():
    bias = Tensor(np.zeros((2, 2)), requires_grad=True)
    told = r"no gradient to its setting mask: pass mask.data, or, .*, a bias$"
    with pytest.raises(TypeError, match=told):
        ops.attention(X, X, X, mask=bias)
    expected = ops.attention(X, X, X).numpy()
    for mask in (bias.detach(), bias.data):
        found = ops.attention(X, X, X, mask=mask).numpy()
        np.testing.assert_array_equal(found, expected)
    with no_grad():
        ops.attention(X, X, X, mask=bias)
    with pytest.raises(TypeError, match=r"its setting min: pass min.data$"):
        ops.clip(X, min=bias)
    (ops.attention(X, X, X, bias)[0, 0] * 2).backward()  # what the message proposes
    assert bias.grad is not None


def numpys(value):
    """A setting as it comes out of NumPy."""
    if isinstance(value, tuple):
        return tuple(map(numpys, value))
    if isinstance(value, (bool, int, float)):
        return np.array([value])[0]
    return value


@ROWS
@pytest.mark.parametrize("form", [numpys, lambda s: np.asarray(numpys(s))])
def test_numpys_numbers_as_settings_change_no_type(row, form):
    for arrays, settings in row.examples(8):
        numbers = {
            name: form(value) if isinstance(value, (bool, int, float)) else value
            for name, value in settings.items()
        }
        found = results(row.op, leaves(arrays), numbers)
        assert {array.dtype for array in found} == {np.dtype(np.float32)}
        same(found, results(row.op, leaves(arrays), settings))


def swapped(value):
    """In the other order of bytes, which files of other machines have."""
    if isinstance(value, tuple):
        return tuple(map(swapped, value))
    if isinstance(value, np.ndarray) and value.dtype.itemsize > 1:
        return value.astype(value.dtype.newbyteorder())
    return value


@ROWS
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_order_of_bytes_does_not_matter(row, dtype):
    for arrays, settings in row.examples(5):
        turned = [None if x is None else swapped(np.asarray(x, dtype)) for x in arrays]
        tensors = [None if x is None else Tensor(x, requires_grad=True) for x in turned]
        elsewhere = {name: swapped(value) for name, value in settings.items()}
        found = results(row.op, tensors, elsewhere)
        same(found, results(row.op, leaves(arrays, dtype), settings))
        assert row.op(*turned, **elsewhere).dtype == dtype


def test_one_id_and_one_target_may_be_plain_numbers():
    for one in (1, np.int64(1), np.array(1)):
        table = Tensor(np.eye(3), requires_grad=True)
        row = ops.embedding(table, one)
        ops.cross_entropy(row, one).backward()
        ops.linear_cross_entropy(row.detach(), table, one).backward()
        assert table.grad[1].any()
    with pytest.raises(IndexError, match="3 in an array"):
        ops.embedding(table, 3)
