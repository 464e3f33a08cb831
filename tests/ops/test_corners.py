"""Where published rules have gone wrong: extremes, ties, masks, repeated indices."""

import math

import numpy as np
import pytest

from minillm import Tensor, backend, ops
from minillm.ops import IGNORED
from minillm.tensor import op
from minillm.testing import check_gradients


@pytest.fixture(params=["faster", "plain"], autouse=True)
def body(request):
    """Each test runs with the faster bodies and with the definitions."""
    if request.param == "plain":
        with backend.plain():
            yield
    else:
        yield


def leaf(array, dtype=np.float64) -> Tensor:
    return Tensor(np.array(array, dtype), requires_grad=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_plus_and_minus_1000(dtype):
    x = leaf([[1000, -1000, 999], [-1000, -1000, -1000]], dtype)
    y = ops.softmax(x)
    e = np.exp(-1.0)
    expected = [[1 / (1 + e), 0, e / (1 + e)], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)
    (y * y).sum().backward()
    assert np.isfinite(x.grad).all()


def test_log_softmax_and_cross_entropy_of_plus_and_minus_1000():
    x = leaf([[1000.0, -1000.0], [-1000.0, -1000.0]])
    y = ops.log_softmax(x)
    np.testing.assert_allclose(y.numpy(), [[0, -2000], [-np.log(2), -np.log(2)]])
    loss = ops.cross_entropy(x, targets=np.array([1, 0]))
    assert loss.item() == pytest.approx((2000 + np.log(2)) / 2)
    loss.backward()
    np.testing.assert_allclose(x.grad, [[0.5, -0.5], [-0.25, 0.25]])


def test_the_projected_loss_of_huge_logits():
    x, w = leaf([[1000.0], [-1000.0]]), leaf([[1.0], [-1.0]])
    loss = ops.linear_cross_entropy(x, w, targets=np.array([1, 0]))
    assert loss.item() == pytest.approx(2000)
    loss.backward()
    np.testing.assert_allclose(x.grad, [[1.0], [-1.0]])


def test_softmax_of_a_row_that_is_masked_throughout_is_zero():
    x = leaf([[-np.inf, -np.inf], [0, -np.inf]])
    y = ops.softmax(x)
    assert y.numpy().tolist() == [[0, 0], [1, 0]]
    y.sum().backward()
    assert x.grad.tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("additive", [False, True])
def test_a_query_that_may_see_nothing_gets_zeros_and_gives_no_gradient(additive):
    rng = np.random.default_rng(0)
    q, k, v = (leaf(rng.standard_normal((1, 2, 3))) for _ in range(3))
    mask = np.array([[False, False], [True, True]])
    if additive:
        mask = np.where(mask, 0, -np.inf)
    y = ops.attention(q, k, v, mask=mask)
    assert not y.numpy()[0, 0].any()
    assert y.numpy()[0, 1].any()
    y.sum().backward()
    assert not q.grad[0, 0].any()
    assert np.isfinite([q.grad, k.grad, v.grad]).all()


def test_attention_in_which_nobody_sees_anything():
    qkv = leaf(np.random.default_rng(0).standard_normal((2, 3, 6)))
    y = ops.self_attention(qkv, n_heads=1, mask=np.zeros((2, 1, 1, 3), bool))
    y.sum().backward()
    assert not y.numpy().any()
    assert not qkv.grad.any()


def test_attention_does_not_write_into_a_single_key():
    """Transposed, one key lies in memory as it did before: a copy that is not one."""
    k = np.array([[[[1.0, 2.0]]]])
    ops.attention(k, k, k, causal=True)
    assert k.tolist() == [[[[1, 2]]]]


def test_scores_of_plus_and_minus_1000():
    q, k = leaf([[[1000.0], [-1000.0]]]), leaf([[[1.0], [-1.0]]])
    v = leaf([[[3.0], [5.0]]])
    y = ops.attention(q, k, v)
    np.testing.assert_allclose(y.numpy(), [[[3], [5]]])
    y.sum().backward()
    np.testing.assert_allclose(v.grad, [[[1], [1]]])
    assert np.isfinite(q.grad).all()


def test_where_keeps_an_infinite_slope_out():
    x = leaf([0.0, 4.0])
    ops.where(x.sqrt(), 0.0, condition=np.array([False, True])).sum().backward()
    assert x.grad.tolist() == [0, 0.25]


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(
    "function",
    [lambda x: x.log(), lambda x: 1 / x, lambda x: x**0.5, lambda x: x**-1],
    ids=["log", "1/x", "x**0.5", "x**-1"],
)
def test_where_keeps_every_pole_out(function):
    x = leaf([0.0, 1.0])
    y = ops.where(function(x), 0.0, condition=np.array([False, True]))
    y.sum().backward()
    assert x.grad[0] == 0
    assert np.isfinite(x.grad).all()


def test_sqrt_has_an_infinite_slope_at_zero():
    x = leaf([0.0])
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        x.sqrt().sum().backward()
    assert x.grad.tolist() == [np.inf]


def test_a_number_to_the_power_of_zero_is_one_everywhere():
    x = leaf([-1.0, 0.0, 2.0])
    y = x**0
    y.sum().backward()
    assert y.numpy().tolist() == [1, 1, 1]
    assert x.grad.tolist() == [0, 0, 0]


def test_relu_at_infinity():
    assert ops.relu(leaf([-np.inf, np.inf])).numpy().tolist() == [0, np.inf]


def test_sigmoid_and_gelu_far_out():
    x = leaf([-1000.0, 1000.0])
    assert ops.sigmoid(x).numpy().tolist() == [0, 1]
    for form in ("tanh", "erf"):
        y = ops.gelu(x, form=form)
        y.sum().backward()
        np.testing.assert_allclose(y.numpy(), [0, 1000])
    np.testing.assert_allclose(x.grad, [0, 2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_keeps_what_is_small(dtype):
    places = np.array([-80.0, -30.0, -20.0, -17.0, -1.0, 0.0, 5.0, 40.0])
    x = leaf(places, dtype)
    y = ops.sigmoid(x)
    expected = [math.exp(p) / (1 + math.exp(p)) for p in places]
    rtol = 8 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(y.numpy(), expected, rtol)
    y.log().sum().backward()  # d log σ = 1 − σ
    slopes = [1 / (1 + math.exp(p)) for p in places]
    np.testing.assert_allclose(x.grad, slopes, rtol, atol=rtol)


def test_sigmoid_does_not_warn_of_an_overflow_that_does_not_matter():
    with np.errstate(all="raise"):
        x = leaf([-1000.0, -np.inf], np.float32)
        assert ops.sigmoid(x).numpy().tolist() == [0, 0]


def test_the_gates_of_lstm_keep_what_is_small():
    """An input gate that is all but shut: the hidden state is that small, not zero."""
    x = leaf([[[1.0]]], np.float32)
    said, nothing = leaf([[-20.0, 0.0, 20.0, 1.0]], np.float32), [[0.0] * 4]
    y = ops.lstm(x, said, None, leaf(nothing, np.float32), None, None)
    expected = math.exp(-20) / (1 + math.exp(-20)) * math.tanh(1)
    np.testing.assert_allclose(y.item(), expected, rtol=1e-6)
    y.backward()
    np.testing.assert_allclose(said.grad[0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "y"),
    [(1e30, 1e25), (1e-30, 1e-25), (5.0, 2.0), (-1e30, 1e25), (1e-38, 1e-30)],
)
def test_the_gradient_of_a_divisor_does_not_square_it(x, y):
    a, b = leaf([x], np.float32), leaf([y], np.float32)
    (a / b).backward([3.0])
    np.testing.assert_allclose(a.grad, [3 / y], rtol=1e-6)
    np.testing.assert_allclose(b.grad, [-3 * (x / y) / y], rtol=1e-6)


def test_where_keeps_the_pole_of_a_divisor_out():
    x, y = leaf([1.0, 0.0, 1.0]), leaf([0.0, 0.0, 2.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        q = x / y
    ops.where(q, 0.0, condition=np.array([False, False, True])).sum().backward()
    assert x.grad.tolist() == [0, 0, 0.5]
    assert y.grad.tolist() == [0, 0, -0.25]


@pytest.mark.parametrize(
    ("dtype", "far"), [(np.float32, 1e13), (np.float32, 1e18), (np.float64, 1e120)]
)
def test_gelu_has_slope_one_and_zero_far_out(dtype, far):
    for form in ("tanh", "erf"):
        x = leaf([far, -far, 9.5, -9.5], dtype)
        y = ops.gelu(x, form=form)
        y.sum().backward()
        np.testing.assert_allclose(y.numpy(), [far, 0, 9.5, 0], atol=1e-15)
        np.testing.assert_allclose(x.grad, [1, 0, 1, 0], atol=1e-15)


def test_gelu_far_out_does_not_mind_a_nan_beside_it():
    x = leaf([np.nan, -1e13, 1e13], np.float32)
    y = ops.gelu(x)
    y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), np.float32([np.nan, 0, 1e13]))
    np.testing.assert_array_equal(x.grad, [np.nan, 0, 1])


def test_cross_entropy_with_all_targets_ignored_is_zero():
    x, w = leaf(np.ones((2, 3))), leaf(np.ones((4, 3)))
    targets = np.full(2, IGNORED)
    loss = ops.cross_entropy(x, targets=targets)
    loss = loss + ops.linear_cross_entropy(x, w, targets=targets, n_targets=0)
    assert loss.item() == 0
    loss.backward()
    assert not x.grad.any()
    assert not w.grad.any()


def test_cross_entropy_with_no_targets_at_all_is_zero():
    x, w = leaf(np.ones((0, 3))), leaf(np.ones((4, 3)))
    loss = ops.linear_cross_entropy(x, w, targets=np.zeros(0, np.int32))
    loss.backward()
    assert loss.item() == 0
    assert not w.grad.any()


def test_an_ignored_position_gets_no_gradient():
    x = leaf(np.random.default_rng(0).standard_normal((3, 4)))
    ops.cross_entropy(x, targets=np.array([1, IGNORED, 2])).backward()
    assert not x.grad[1].any()
    assert x.grad[0].any()


def test_two_shards_of_unequal_counts_add_up_to_the_whole_batch():
    rng = np.random.default_rng(0)
    data, weight = rng.standard_normal((4, 6, 5)), rng.standard_normal((7, 5))
    targets = rng.integers(0, 7, (4, 6))
    targets[0, :5] = targets[1] = IGNORED
    n = int((targets != IGNORED).sum())
    whole, w = leaf(data), leaf(weight)
    loss = ops.linear_cross_entropy(whole, w, targets=targets)
    loss.backward()
    parts, w_of_parts, sum_of_losses = [], leaf(weight), 0.0
    for rows in (slice(0, 1), slice(1, 4)):
        part = leaf(data[rows])
        share = ops.linear_cross_entropy(
            part, w_of_parts, targets=targets[rows], n_targets=n
        )
        share.backward()
        sum_of_losses += share.item()
        parts.append(part.grad)
    assert sum_of_losses == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(np.concatenate(parts), whole.grad, atol=1e-15)
    np.testing.assert_allclose(w_of_parts.grad, w.grad, atol=1e-15)


def test_layer_norm_does_not_see_a_constant_that_is_added():
    rng = np.random.default_rng(0)
    x, gain, bias = rng.standard_normal((5, 8)), rng.random(8), rng.random(8)
    here = ops.layer_norm(x, gain, bias).numpy()
    there = ops.layer_norm(x + 1e4, gain, bias).numpy()
    np.testing.assert_allclose(there, here, atol=1e-9)
    arrays = [a.astype(np.float32) for a in (x + 1e4, gain, bias)]
    np.testing.assert_allclose(ops.layer_norm(*arrays).numpy(), here, atol=0.01)


def test_rms_norm_keeps_a_constant_and_does_not_see_a_factor():
    x, gain = np.array([[3.0, 3.0], [1.0, -7.0]]), np.ones(2)
    unit = ops.rms_norm(x, gain, eps=0.0).numpy()
    np.testing.assert_allclose(unit[0], [1, 1])  # layer norm makes zeros of it
    np.testing.assert_allclose((unit**2).mean(-1), 1)
    np.testing.assert_allclose(ops.rms_norm(9 * x, gain, eps=0.0).numpy(), unit)


def test_the_gradient_of_layer_norm_is_orthogonal_to_ones_and_to_the_unit_row():
    """Adding a constant to x, or stretching it, changes nothing: no slope there."""
    rng = np.random.default_rng(0)
    x = leaf(rng.standard_normal((5, 8)))
    y = ops.layer_norm(x, np.ones(8), np.zeros(8), eps=0.0)
    y.backward(rng.standard_normal((5, 8)))
    assert np.abs(x.grad).max() > 0.1
    np.testing.assert_allclose(x.grad.sum(-1), 0, atol=1e-14)
    np.testing.assert_allclose((x.grad * y.numpy()).sum(-1), 0, atol=1e-14)


def test_the_inverse_of_a_3_cycle():
    """A 3-cycle is not its own inverse; a swap of two axes, the usual test, is."""
    x = leaf(np.arange(24.0).reshape(2, 3, 4))
    y = x.transpose(1, 2, 0)
    g = np.random.default_rng(0).standard_normal(y.shape)
    y.backward(g)
    np.testing.assert_array_equal(x.grad, np.moveaxis(g, 2, 0))


@pytest.mark.parametrize("axis", [0, 1, -1, -3, (0,), (0, 2), (-1, 0), (2, 0, 1), None])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(
    "name", ["sum", "mean", "max", "min", "var", "std", "logsumexp"]
)
def test_axis_zero_tuples_and_negative_axes(name, axis, keepdims):
    x = np.random.default_rng(0).permutation(24).reshape(2, 3, 4) / 7
    reduce = getattr(ops, name)
    found = reduce(x, axis=axis, keepdims=keepdims).numpy()
    theirs = getattr(np, name) if name != "logsumexp" else np.logaddexp.reduce
    expected = theirs(x, axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(found, expected)
    check_gradients(reduce, x, axis=axis, keepdims=keepdims)


def test_the_largest_share_the_gradient_where_they_are_equal():
    x = leaf([[2.0, 2.0, 1.0], [0.0, 3.0, 0.0]])
    x.max(axis=1).sum().backward()
    assert x.grad.tolist() == [[0.5, 0.5, 0], [0, 1, 0]]


def test_getitem_with_repeated_indices_adds_up():
    x = leaf([1.0, 2.0, 3.0])
    x[np.array([0, 2, 2, 2])].sum().backward()
    assert x.grad.tolist() == [1, 0, 3]
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    x[np.array([1, 1]), np.array([0, 0])].sum().backward()
    assert x.grad.tolist() == [[0, 0], [2, 0]]


def test_embedding_with_repeated_ids_adds_up():
    table = leaf(np.zeros((4, 2)))
    ids = np.array([[3, 0, 3], [3, 3, 0]])
    ops.embedding(table, ids=ids).sum().backward()
    assert table.grad.tolist() == [[2, 2], [0, 0], [0, 0], [4, 4]]


def test_embedding_without_ids():
    table = leaf(np.ones((4, 2)))
    ops.embedding(table, ids=np.zeros((0, 3), np.int32)).sum().backward()
    assert not table.grad.any()


def test_concatenate_with_itself():
    x = leaf([[1.0, 2.0]])
    g = np.array([[1.0, 2.0], [10.0, 20.0]])
    ops.concatenate(x, x).backward(g)
    assert x.grad.tolist() == [[11, 22]]


def test_a_causal_mask_lines_up_at_the_end_where_keys_are_more_than_queries():
    """As in decoding: the last query sees all keys, the one before all but the last."""
    v = np.eye(4)[None]
    y = ops.attention(np.zeros((1, 2, 3)), np.zeros((1, 4, 3)), v, causal=True).numpy()
    np.testing.assert_allclose(y[0], [[1 / 3, 1 / 3, 1 / 3, 0], [1 / 4] * 4])


def test_erf_to_the_precision_of_each_type():
    from minillm.ops.special import erf

    x = np.linspace(-6, 6, 2001)
    expected = np.vectorize(math.erf)(x)
    np.testing.assert_allclose(erf(x), expected, atol=2e-14)
    np.testing.assert_allclose(erf(x.astype(np.float32)), expected, atol=4e-7)


def test_a_rule_of_ones_own_needs_no_more_than_the_decorator():
    @op
    def cube(x):
        return x**3, lambda g: g * 3 * x**2

    check_gradients(cube, np.array([[1.0, -2.0]]))


def test_an_op_of_ones_own_may_have_the_name_of_one_of_ours():
    """It runs as it is written, without our faster body, and replaces nothing."""

    @op
    def gelu(x):
        return x * 3, lambda g: g * 3

    check_gradients(gelu, np.ones(2))
    assert gelu(leaf([1.0])).numpy().tolist() == [3]
    np.testing.assert_allclose(ops.gelu(leaf([1.0])).numpy(), [0.8412], atol=1e-4)


def test_abs_has_slope_zero_at_zero():
    x = leaf([-2.0, 0.0, 3.0])
    abs(x).sum().backward()
    assert x.grad.tolist() == [-1, 0, 1]


@pytest.mark.parametrize("choose", [ops.maximum, ops.minimum])
def test_of_two_equal_numbers_each_gets_half_of_the_gradient(choose):
    x, y = leaf([1.0, 5.0, 2.0]), leaf([5.0, 1.0, 2.0])
    choose(x, y).backward([1.0, 1.0, 3.0])
    np.testing.assert_array_equal(x.grad + y.grad, [1, 1, 3])
    assert x.grad[2] == y.grad[2] == 1.5
    z = leaf([1.0, 2.0])
    choose(z, z).sum().backward()
    assert z.grad.tolist() == [1, 1]


def test_the_smallest_share_the_gradient_where_they_are_equal():
    x = leaf([[2.0, 2.0, 3.0], [0.0, -3.0, 0.0]])
    x.min(axis=1).sum().backward()
    assert x.grad.tolist() == [[0.5, 0.5, 0], [0, 1, 0]]


def test_clip_lets_the_gradient_pass_at_a_limit():
    x = leaf([-3.0, -1.0, 0.0, 1.0, 3.0])
    x.clip(-1, 1).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_the_slopes_of_a_power_at_zero():
    x, y = leaf([0.0, 0.0, 0.0, 4.0]), leaf([2.0, 1.0, 0.0, 0.0])
    (x**y).sum().backward()
    assert x.grad.tolist() == [0, 1, 0, 0]
    np.testing.assert_allclose(y.grad, [0, 0, 0, np.log(4)])


def test_a_negative_number_has_powers_that_are_whole():
    x = leaf([-2.0, -3.0])
    ops.pow(x, np.array([3.0, 2.0])).sum().backward()
    assert x.grad.tolist() == [12, -6]


def test_where_keeps_the_poles_of_a_power_out():
    x, y = leaf([0.0, -1.0, 2.0]), leaf([-1.0, 0.5, 3.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        z = x**y
    ops.where(z, 0.0, condition=np.array([False, False, True])).sum().backward()
    assert x.grad.tolist() == [0, 0, 12]
    np.testing.assert_allclose(y.grad, [0, 0, 8 * np.log(2)])


def test_a_standard_deviation_of_zero_gives_no_gradient():
    x = leaf([[3.0, 3.0, 3.0], [1.0, 2.0, 3.0]])
    with np.errstate(all="raise"):
        y = x.std(axis=1)
        y.sum().backward()
    assert y.numpy()[0] == 0
    assert x.grad[0].tolist() == [0, 0, 0]
    assert x.grad[1].any()
    one = leaf([2.0])
    one.std().backward()
    assert one.grad.tolist() == [0]


def test_a_variance_of_numbers_far_from_zero():
    x = leaf([1e4, 1e4 + 1, 1e4 + 2], np.float32)
    y = x.var()
    y.backward()
    assert y.item() == pytest.approx(2 / 3, rel=1e-6)
    np.testing.assert_allclose(x.grad, [-2 / 3, 0, 2 / 3], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logsumexp_and_softplus_of_plus_and_minus_1000(dtype):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        x = leaf(
            [[1000, 1000], [-1000, -1000], [-np.inf, -np.inf], [-np.inf, 3]], dtype
        )
        y = x.logsumexp(axis=1)
        log_2 = np.log(2)
        expected = [1000 + log_2, log_2 - 1000, -np.inf, 3]
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)
        y.backward([1.0, 1.0, 1.0, 1.0])
        assert x.grad.tolist() == [[0.5, 0.5], [0.5, 0.5], [0, 0], [0, 1]]
        x = leaf([-1000.0, -20.0, 0.0, 1000.0], dtype)
        y = x.softplus()
        expected = [0, math.log1p(math.exp(-20)), math.log(2), 1000]
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)
        y.sum().backward()
    np.testing.assert_allclose(x.grad, [0, 1 / (1 + math.exp(20)), 0.5, 1], rtol=1e-6)


def test_silu_far_out():
    x = leaf([-1000.0, 0.0, 1000.0], np.float32)
    y = x.silu()
    y.sum().backward()
    assert y.numpy().tolist() == [0, 0, 1000]
    assert x.grad.tolist() == [0, 0.5, 1]


def test_take_along_axis_with_repeated_places_adds_up():
    x = leaf([[1.0, 2.0, 3.0]])
    y = x.take_along_axis(np.array([[2, 0, 2, -1]]), axis=1)
    assert y.numpy().tolist() == [[3, 1, 3, 3]]
    y.sum().backward()
    assert x.grad.tolist() == [[1, 0, 3]]


@pytest.mark.parametrize(
    ("sections", "axis", "shapes"),
    [
        (3, 1, [(2, 2, 1)] * 3),
        (1, 0, [(2, 6, 1)]),
        ([1, 4], 1, [(2, 1, 1), (2, 3, 1), (2, 2, 1)]),
        ([4], -2, [(2, 4, 1), (2, 2, 1)]),
        ([], 0, [(2, 6, 1)]),
    ],
)
def test_split_and_concatenate_undo_each_other(sections, axis, shapes):
    numbers = np.arange(12.0).reshape(2, 6, 1)
    x = leaf(numbers)
    parts = x.split(sections, axis)
    expected = np.split(numbers, sections, axis)
    assert [part.shape for part in parts] == shapes
    for part, its in zip(parts, expected, strict=True):
        np.testing.assert_array_equal(part.numpy(), its)
    ops.concatenate(parts, axis=axis).backward(numbers)
    np.testing.assert_array_equal(x.grad, numbers)
    check_gradients(lambda t: t.split(sections, axis)[-1], numbers)
    assert ops.split([1.0, 2.0], np.int64(2))[1].numpy().tolist() == [2]


def test_stack_with_itself_and_of_a_list():
    x = leaf([1.0, 2.0])
    g = np.array([[1.0, 10.0], [2.0, 20.0]])
    ops.stack([x, x], axis=-1).backward(g)
    assert x.grad.tolist() == [11, 22]
    assert ops.stack(x, [3.0, 4.0]).numpy().tolist() == [[1, 2], [3, 4]]


def test_einsum_of_a_number_and_a_tensor_keeps_float32():
    x = leaf([[1.0, 2.0]], np.float32)
    y = ops.einsum(",ij->j", 2.0, x)
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.tolist() == [[2, 2]]


def test_relu_has_slope_zero_at_zero():
    x = leaf([0.0, -0.0, 2.0])
    ops.relu(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 1]


def test_half_precision_survives_large_scores():
    """exp(16) is more than half precision can hold."""
    x = np.array([[4.0], [0.0], [-4.0]], np.float16)
    y = ops.attention(x, x, x).numpy()
    p = np.exp(x.astype(float) @ x.T.astype(float))
    np.testing.assert_allclose(y, p @ x / p.sum(-1, keepdims=True), atol=1e-2)
    loss = ops.linear_cross_entropy(x, x, targets=np.array([0, 1, 2]))
    expected = -np.log(np.diag(p) / p.sum(-1)).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-2)


def test_ids_may_be_of_any_whole_type():
    table = leaf(np.eye(3))
    for dtype in (np.uint8, np.uint64, np.int8):
        ops.embedding(table, ids=np.array([0, 2, 0], dtype)).sum().backward()
    assert table.grad.sum(1).tolist() == [18, 0, 9]


@pytest.mark.parametrize("first_row", [0, 3])
def test_dropped_weights_are_those_of_the_whole_batch(first_row):
    """A worker's rows lose the weights that the whole batch loses there."""
    rng = np.random.default_rng(0)
    qkv = rng.standard_normal((6, 5, 12))
    settings = {"n_heads": 2, "causal": True, "rate": 0.5, "key": 7}
    whole = ops.self_attention(qkv, **settings).numpy()
    part = ops.self_attention(qkv[first_row:], first_row=first_row, **settings).numpy()
    np.testing.assert_array_equal(part, whole[first_row:])
    kept = ops.self_attention(qkv, n_heads=2, causal=True).numpy()
    assert not np.isclose(kept, whole).all()


def test_the_mean_of_many_dropouts_is_attention_without():
    q, k, v = np.random.default_rng(0).standard_normal((3, 4, 3))
    mean = sum(ops.attention(q, k, v, rate=0.3, key=i).numpy() for i in range(4000))
    np.testing.assert_allclose(mean / 4000, ops.attention(q, k, v).numpy(), atol=0.06)


def test_a_bias_is_added_to_the_scores_and_collects_its_gradient():
    rng = np.random.default_rng(0)
    q, k, v = (leaf(rng.standard_normal((2, 3, 4, 5))) for _ in range(3))
    bias = leaf(rng.standard_normal((3, 1, 4)))
    scores = q @ k.transpose(0, 1, 3, 2) / 5**0.5 + bias
    expected = ops.softmax(scores) @ v
    expected.sum().backward()
    plain, bias.grad = bias.grad, None
    found = ops.attention(q, k, v, bias)
    found.sum().backward()
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
    np.testing.assert_allclose(bias.grad, plain, rtol=1e-9, atol=1e-12)
    assert np.abs(plain).max() > 0.01
