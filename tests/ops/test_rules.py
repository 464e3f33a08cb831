"""What every rule promises, definition and faster body alike, on the drawn inputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm import Tensor, backend
from minillm.backend import joint
from minillm.backend.pullbacks import unbroadcast
from minillm.testing import TABLE, cases, check_gradients

ROWS = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
BODIES = set(backend.faster_names("cpu")) & set(TABLE)
RULES = pytest.mark.parametrize(
    ("row", "rule"),
    [
        *((row, row.op.rule) for row in TABLE.values()),
        *(
            (TABLE[name], backend.body_of(TABLE[name].op.rule, "cpu"))
            for name in sorted(BODIES)
        ),
    ],
    ids=[*TABLE, *(f"{name} (faster)" for name in sorted(BODIES))],
)


def read_only(arrays, dtype):
    """Copies that refuse to be written into."""
    copies = [None if x is None else np.array(x, dtype) for x in arrays]
    for copy in copies:
        if copy is not None:
            copy.flags.writeable = False
    return copies


def run(rule, arrays, settings, dtype):
    """(value, gradients) of a rule on read-only arrays and a read-only gradient."""
    value, *pullbacks = rule(*read_only(arrays, dtype), **settings)
    u = np.random.default_rng(0).standard_normal(np.shape(value))
    (g,) = read_only([u], dtype)
    if isinstance(pullbacks[0], joint):
        found = pullbacks[0].pullback(g)
        gradients = [*found] if isinstance(found, (tuple, list)) else [found]
        gradients += [None] * (len(arrays) - len(gradients))  # of what is left out
    else:
        gradients = [pullback(g) for pullback in pullbacks]
    pairs = zip(arrays, gradients, strict=True)
    return value, [None if x is None else gx for x, gx in pairs]


@ROWS
@given(data=st.data())
def test_gradients_are_right_in_float64(row, data):
    arrays, settings = data.draw(cases(row))
    check_gradients(row.op, *arrays, **settings)
    with backend.plain():
        check_gradients(row.op, *arrays, **settings)


@ROWS
def test_every_element_of_a_gradient_is_right(row):
    for arrays, settings in row.examples(2):
        check_gradients(row.op, *arrays, elements=True, **settings)


@RULES
@given(data=st.data())
def test_a_rule_keeps_types_fits_shapes_and_writes_into_nothing(row, rule, data):
    """NumPy 2 turns float32 times np.float64 into float64: one such constant in a rule
    would double the memory and halve the speed of all that follows."""
    arrays, settings = data.draw(cases(row))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    value, gradients = run(rule, arrays, settings, dtype)
    assert value.dtype == dtype
    for x, gx in zip(arrays, gradients, strict=True):
        if x is not None:
            assert gx.dtype == dtype
            assert unbroadcast(gx, x.shape).shape == x.shape


@ROWS
@given(data=st.data())
def test_leaves_own_gradients_of_their_shape_and_type(row, data):
    arrays, settings = data.draw(cases(row))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    tensors = [
        None if x is None else Tensor(np.asarray(x, dtype), requires_grad=True)
        for x in arrays
    ]
    row.op(*tensors, **settings).sum().backward()
    owners = [t for t in tensors if t is not None]
    for t in owners:
        assert t.grad.shape == t.shape
        assert t.grad.dtype == dtype
        assert t.grad.flags.writeable
        assert t.grad.flags.c_contiguous
    for i, t in enumerate(owners):
        assert not any(np.shares_memory(t.grad, other.data) for other in owners)
        assert not any(np.shares_memory(t.grad, other.grad) for other in owners[:i])


PAIRS = [
    ((), ()),
    ((), (2, 3)),
    ((3,), (2, 3)),
    ((1,), (3,)),
    ((1, 3), (2, 1)),
    ((2, 1), (2, 3)),
    ((1, 1), (3,)),
    ((4, 1, 3), (2, 1)),
    ((2, 1, 3), (1, 2, 1)),
    ((0,), (1,)),
    ((0, 3), (3,)),
    ((0, 1), (1, 3)),
    ((2, 0), ()),
]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow"])
@pytest.mark.parametrize(("a", "b"), PAIRS, ids=str)
def test_each_broadcast_pair_gets_gradients_of_its_own_shapes(name, a, b):
    row = TABLE[name]
    rng = np.random.default_rng(0)
    for shapes in ((a, b), (b, a)):
        x, y = (rng.uniform(1, 2, shape) for shape in shapes)
        check_gradients(row.op, x, y)
        leaves = [Tensor(array, requires_grad=True) for array in (x, y)]
        row.op(*leaves).sum().backward()
        assert [leaf.grad.shape for leaf in leaves] == [x.shape, y.shape]


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize(("a", "b"), PAIRS, ids=str)
def test_each_broadcast_pair_of_a_choice_too(name, a, b):
    x, y = np.full(a, 1.0), np.full(b, 2.0)
    check_gradients(TABLE[name].op, x, y)
    check_gradients(TABLE[name].op, y, x)


@pytest.mark.parametrize("name", ["where", "matmul"])
def test_other_ops_that_broadcast(name):
    op = TABLE[name].op
    if name == "where":
        settings = {"condition": np.array([[True], [False]])}
        shapes = [((), (3,)), ((2, 1), (4, 1, 3)), ((0,), (1,))]
    else:
        settings = {}
        shapes = [
            ((4, 1, 2, 3), (5, 3, 2)),
            ((3,), (2, 3, 1)),
            ((2, 2, 3), (3,)),
            ((0, 3), (3, 2)),
            ((2, 0), (0, 3)),
        ]
    rng = np.random.default_rng(0)
    for a, b in shapes:
        arrays = rng.normal(size=a), rng.normal(size=b)
        check_gradients(op, *arrays, **settings)
        leaves = [Tensor(array, requires_grad=True) for array in arrays]
        op(*leaves, **settings).sum().backward()
        assert [leaf.grad.shape for leaf in leaves] == [a, b]


EMPTY = {
    "neg": {},
    "exp": {},
    "tanh": {},
    "relu": {},
    "sigmoid": {},
    "gelu": {},
    "sum": {"axis": 0},
    "transpose": {},
    "reshape": {"shape": (3, 0)},
    "getitem": {"index": slice(None)},
    "softmax": {},
    "log_softmax": {},
    "dropout": {"rate": 0.5, "key": 1},
    "abs": {},
    "sin": {},
    "cos": {},
    "log1p": {},
    "silu": {},
    "softplus": {},
    "clip": {"min": 0.0},
    "cumsum": {"axis": 0},
    "logsumexp": {"axis": 1},
    "tril": {},
    "squeeze": {},
    "pad": {"pad_width": 1},
    "stack": {},
    "broadcast_to": {"shape": (2, 0, 3)},
    "take_along_axis": {"indices": np.zeros((0, 2), int), "axis": 1},
    "einsum": {"subscripts": "ij->j"},
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_array_is_no_special_case(name):
    x = Tensor(np.ones((0, 3)), requires_grad=True)
    TABLE[name].op(x, **EMPTY[name]).sum().backward()
    assert x.grad.shape == (0, 3)


def test_leaves_of_two_types_get_gradients_of_their_own():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    y = Tensor(np.ones(2, np.float64), requires_grad=True)
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)


def test_a_tensor_used_many_times_adds_all_gradients_up():
    rng = np.random.default_rng(0)
    check_gradients(lambda x: x * x + x.exp() - x / 3 + x, rng.normal(size=(2, 3)))
    check_gradients(lambda x, w: (x @ w) @ w * (w @ w), *rng.normal(size=(2, 3, 3)))
