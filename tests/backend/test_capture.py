"""A captured step: every op, repeated on other numbers, gives what it gives anew."""

import numpy as np
import pytest

from minillm import Tensor, backend, ops
from minillm.backend import cpu_captured, registry
from minillm.backend.capture import Capture, _makers
from minillm.tensor import op
from minillm.testing import TABLE
from minillm.testing.table import Row

RNG = np.random.default_rng(0)
# Cases for a token of one or several sequences, which the table has few of.
ONE, SEVERAL = ((b, 1, 12) for b in (1, 5))


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def of_a_token(name: str, shape) -> list:
    """[(arrays, settings)]"""
    x, gain, bias = normal(*shape), normal(12), normal(12)
    mask = np.ones((len(x), 1, 1, 7), bool)
    mask[0, ..., 2:] = False
    angle = normal(len(x), 1, 1, 2)
    turns = {"cos": np.cos(angle), "sin": np.sin(angle)}
    match name:
        case "linear":
            return [
                ((x, normal(12, 20), normal(20)), {}),
                ((x, normal(12, 9), None), {}),
            ]
        case "embedding":
            return [((normal(30, 12),), {"ids": RNG.integers(0, 30, shape[:2])})]
        case "layer_norm":
            return [((x, gain, bias), {}), ((x, gain, None), {"eps": 0.5})]
        case "rms_norm":
            return [((x, gain), {"eps": 0.5})]
        case "rotary":
            heads = x.reshape(*shape[:2], 3, 4)
            return [((heads,), turns), ((heads,), {**turns, "n_turned": 2})]
        case "cross_attention":
            nothing = np.zeros_like(mask)
            return [
                ((x, normal(len(x), 7, 24)), {"n_heads": 3, "mask": mask}),
                ((x, normal(len(x), 7, 24)), {"n_heads": 3, "mask": nothing}),
                ((x, normal(len(x), 7, 24)), {"n_heads": 3}),
                ((x, normal(len(x), 7, 8)), {"n_heads": 6, "n_kv_heads": 2}),
                ((normal(5, 2, 12), normal(5, 7, 24)), {"n_heads": 3}),
            ]
        case "gelu" | "relu":
            return [((3 * x,), {})]
        case "concatenate":
            return [((x, normal(*shape)), {"axis": 2})]
        case "swiglu":
            return [((3 * x, normal(*shape)), {})]
    return [((x, normal(*shape)), {}), ((x, 1.5), {})]


OPS = sorted(set(_makers) & set(TABLE))


def outputs_agree(op, arrays, settings) -> None:
    """Captured on these numbers, then repeated on others in the same places."""
    given = [x for x in (*arrays, *settings.values()) if isinstance(x, np.ndarray)]
    capture = Capture(given)
    value = capture.run(lambda: op(*arrays, **settings)).data
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(value, op(*arrays, **settings).data, **tolerance)
    for x in arrays:
        if isinstance(x, np.ndarray):
            x[...] = x.ravel()[::-1].reshape(x.shape).copy()
    capture.repeat()
    np.testing.assert_allclose(value, op(*arrays, **settings).data, **tolerance)


@pytest.mark.parametrize("shape", [ONE, SEVERAL], ids=["one row", "several"])
@pytest.mark.parametrize("name", OPS)
def test_an_op_of_a_token_is_repeated(name, shape):
    for arrays, settings in of_a_token(name, shape):
        for dtype in (np.float32, np.float64):
            cast = [
                x if not isinstance(x, np.ndarray) else x.astype(dtype) for x in arrays
            ]
            turns = {
                k: v.astype(dtype) for k, v in settings.items() if k in ("cos", "sin")
            }
            outputs_agree(TABLE[name].op, cast, settings | turns)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_any_op_is_repeated(name):
    row: Row = TABLE[name]
    for arrays, settings in row.examples(8):
        outputs_agree(
            row.op, [x if x is None else np.array(x) for x in arrays], settings
        )


def test_every_maker_belongs_to_an_op_or_a_kernel():
    assert set(OPS) | {"cached_attention", "lstm_onwards"} == set(_makers)


def step(weight, x):
    return ops.gelu(ops.linear(x, weight, None)).reshape(-1)


def test_a_step_is_calls_on_the_same_arrays():
    weight, x = Tensor(normal(12, 20)), normal(3, 12)
    capture = Capture([weight.data, x])
    y = capture.run(lambda: step(weight, x)).data
    assert capture.problem is None
    x += 1
    weight.data *= 2  # in place
    n_calls = len(capture.calls)
    capture.repeat()
    assert len(capture.calls) == n_calls
    np.testing.assert_allclose(y, step(weight, x).data, rtol=1e-5, atol=1e-6)


def test_what_is_made_anew_is_made_with_every_repetition():
    table, places = Tensor(normal(9, 4)), [2]
    capture = Capture([table.data])

    def look_up():
        ids = backend.anew(lambda: np.array(places))
        return ops.embedding(table, ids=ids)

    y = capture.run(look_up).data
    places[0] = 7
    capture.repeat()
    np.testing.assert_array_equal(y, table.data[[7]])
    assert backend.anew(lambda: 3) == 3  # outside of a capture


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (lambda w: w * np.ones(4, np.float32), "an array that no op made"),
        (lambda w: ops.embedding(w, ids=np.array([1])), "an array that no op made"),
        (lambda w: ops.getitem(w, index=([0, 1], np.array([2, 1]))), "no op made"),
        (lambda w: ops.exp(w).data[1] + w, "an array that no op made"),
        (lambda w: w[1:2], "a part of what is given"),
        (lambda w: Tensor(adding(w.data)), "kernel adding cannot be captured"),
    ],
)
def test_what_a_repetition_would_not_know_is_a_problem(step, problem):
    """The step itself is computed all the same."""
    weight = Tensor(normal(4, 4))
    capture = Capture([weight.data])
    y = capture.run(lambda: step(weight))
    assert problem in capture.problem
    np.testing.assert_allclose(y.data, step(weight).data, rtol=1e-6)


@backend.kernel
def adding(x):
    return x + 1


@op
def gelu(x):
    """Another one of the same name."""
    return x * 2, lambda g: g * 2


def test_an_op_of_someone_else_is_not_taken_for_ours():
    x = normal(1, 4)
    capture = Capture([x])
    y = capture.run(lambda: gelu(x)).data
    x += 1
    capture.repeat()
    np.testing.assert_array_equal(y, 2 * x)


def test_half_precision_is_a_problem():
    """Ops widen it into arrays of their own."""
    weight = Tensor(normal(4, 4).astype(np.float16))
    capture = Capture([weight.data])
    capture.run(lambda: ops.tanh(weight))
    assert "an array that no op made" in capture.problem


def test_after_an_error_ops_run_as_before():
    with pytest.raises(ValueError, match="linear"):
        Capture([]).run(lambda: ops.linear(normal(2, 3), normal(4, 5), None))
    assert not registry.is_observed()
    assert backend.anew(list) == []


@pytest.mark.parametrize(("n", "size"), [(8, 180_000), (8, 100_000), (40, 180_000)])
def test_rows_are_cut_where_that_is_quicker(n, size, monkeypatch):
    """With AVX-512: products of at most a million multiplications."""
    rows = cpu_captured._rows_at_a_time
    monkeypatch.setattr(cpu_captured, "has_small_products", lambda: False)
    assert [rows(i, size) for i in (1, 2, 3, 4, n)] == [1, 1, 1, 4, n]
    monkeypatch.setattr(cpu_captured, "has_small_products", lambda: True)
    assert rows(n, size) == (5 if (n, size) == (8, 180_000) else n)
