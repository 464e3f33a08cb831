"""What a failed check shows: the kind, its evidence, and a table of slopes."""

import inspect
import re

import numpy as np
import pytest

from minillm import Tensor
from minillm.backend import joint
from minillm.tensor import op
from minillm.testing import (
    KINDS,
    TABLE,
    CheckError,
    UndecidedError,
    check_gradients,
    check_types,
)

X = np.random.default_rng(0).standard_normal((3, 5))


def complaint(f, *arrays, **settings) -> CheckError:
    with pytest.raises(CheckError) as caught:
        check_gradients(f, *arrays, **settings)
    return caught.value


def changed(rule, change):
    """The op of the rule, each of its gradients changed."""

    def broken(*arrays, **settings):
        value, *pullbacks = rule(*arrays, **settings)
        if isinstance(pullbacks[0], joint):
            return value, joint(
                lambda g: [None if x is None else change(x) for x in pullbacks[0](g)]
            )
        return value, *((lambda g, p=p: change(p(g))) for p in pullbacks)

    broken.__signature__ = inspect.signature(rule)
    return op(broken)


# Every day some, of each kind: of elements, of rows, of products, of places.
EVERY_DAY = {"add", "exp", "sum", "matmul", "softmax", "linear", "getitem", "where"}
SLOW = {name: () if name in EVERY_DAY else pytest.mark.slow for name in TABLE}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=marks) for name, marks in SLOW.items()]
)
def test_no_diagnosis_is_wrong(name):
    """Of every op with a known mistake. Where slopes are zero, it is none."""
    row, said = TABLE[name], set()
    for arrays, settings in row.examples(6):
        for kinds, change in (
            ({"sign"}, lambda g: -g),
            ({"zero"}, lambda g: 0 * g),
            ({"factor"}, lambda g: 2 * g),
            # Of one slope or two any mistake is a factor; of the wrong elements only
            # few may have a slope.
            ({"factor", "wrong", "elements"}, lambda g: 1.37 * g),
            # A gradient that is zero becomes 3, whatever g is.
            ({"nonlinear", "ignores g"}, lambda g: g * g + 3),
            ({"ignores g"}, lambda g: np.full(g.shape, 1.5)),
        ):
            try:
                check_gradients(changed(row.op.rule, change), *arrays, **settings)
            except UndecidedError:
                continue
            except CheckError as error:
                assert error.kind in kinds, error
                said.add(error.kind)
    assert {"sign", "zero", "factor", "nonlinear", "ignores g"} <= said


def test_noise_is_not_taken_for_a_factor():
    noise = np.random.default_rng(1).uniform(0.5, 2, X.shape)
    assert complaint(changed(TABLE["tanh"].op.rule, lambda g: noise * g), X).kind == (
        "wrong"
    )


def test_a_factor_for_each_element_is_not_taken_for_one_of_rows():
    noise = np.random.default_rng(1).uniform(0.5, 2, 5)
    rule = TABLE["matmul"].op.rule
    noisy = changed(rule, lambda g: noise * g if g.ndim == 1 else g)
    assert complaint(noisy, X[0], X.T).kind == "wrong"


def test_a_kink_says_nothing():
    x = np.array([0.0, 1.0, -1.0, 2.0, 3.0])
    negative = changed(TABLE["relu"].op.rule, lambda g: -g)
    assert complaint(negative, x).kind == "sign"


def test_the_table_has_ours_differences_and_their_ratio():
    @op
    def twice(x):
        return x * x, lambda g: 6 * g * x

    rows = re.findall(
        r"x\[(\d), (\d)\] +(\S+) +(\S+) +(\S+)$", str(complaint(twice, X)), re.M
    )
    assert len(rows) == 4
    for row in rows:
        ours, differences, ratio = map(float, row[2:])
        assert ours == pytest.approx(3 * differences, rel=1e-5)
        assert ratio == pytest.approx(3, rel=1e-5)


def test_one_wrong_element_among_many_is_named():
    def wrong(g):
        g = g.copy()
        g[1234] *= 1.01
        return g

    x = np.random.default_rng(2).standard_normal(3000)
    error = complaint(changed(TABLE["tanh"].op.rule, wrong), x)
    assert error.kind == "elements"
    assert "x[1234]" in str(error)


def test_a_large_input_is_looked_at_in_some_places():
    x = np.random.default_rng(2).standard_normal((40, 50))
    rule = TABLE["softmax"].op.rule
    assert complaint(changed(rule, lambda g: -g), x).kind == "sign"
    assert complaint(changed(rule, lambda g: 2 * g), x).kind == "factor"


def test_a_length_is_no_reason_where_numbers_depend_on_one_element_alone():
    rule = TABLE["tanh"].op.rule
    assert complaint(changed(rule, lambda g: g / 3), X).kind == "factor"
    assert complaint(changed(rule, lambda g: g / 5), X).kind == "factor"


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (3, "3 is n with n = 3, the length of axis 0 of x"),
        (1 / 5, "0.2 is 1/n with n = 5, the length of axis 1 of x"),
        (np.sqrt(5), "√n with n = 5"),
        (15, "n = 15, the size of x"),
        (5 / 3, "5/3, the length of axis 1 of x by the length of axis 0 of x"),
    ],
)
def test_the_length_that_a_factor_is(factor, words):
    rule = TABLE["softmax"].op.rule
    error = complaint(changed(rule, lambda g: factor * g), X)
    assert error.kind == "scale"
    assert words in str(error)


def test_of_a_2_no_length_is_sure():
    rule = TABLE["softmax"].op.rule
    error = complaint(changed(rule, lambda g: 2 * g), X[:2])
    assert error.kind == "factor"
    assert "2 is also n with n = 2, the length of axis 0 of x" in str(error)


def test_what_is_not_reached_is_told_from_zeros():
    error = complaint(lambda x: x * Tensor(x.data), X)
    assert error.kind == "factor"
    error = complaint(lambda x, y: x * Tensor(y.data), X, X + 1)
    assert error.kind == "zero"
    assert "No gradient arrives at y" in str(error)


def test_a_pullback_that_takes_no_other_g_has_no_diagnosis():
    calls = []

    @op
    def once(x):
        def pullback(g):
            calls.append(g)
            if len(calls) > 1:
                raise ValueError("not again")
            return -g

        return x * 1, pullback

    error = complaint(once, X)
    assert error.kind == "wrong"
    assert "No diagnosis: ValueError: not again" in str(error)


def test_kinds_without_a_wrong_gradient():
    rng = np.random.default_rng(0)
    assert complaint(lambda x: x * rng.standard_normal(), X).kind == "random"
    assert complaint(lambda x: x**1.5, [0.0, 1.0]).kind == "domain"
    assert complaint(lambda x: x * x + 1e17, X).kind == "undecided"
    with np.errstate(invalid="ignore"):
        assert complaint(lambda x: x.log(), X).kind == "not finite"
    with pytest.raises(AssertionError):
        CheckError("…", "no such kind")
    assert all(KINDS.values())


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        (lambda x: (x * 2, lambda g: g * 2), None),
        (lambda x: (x * np.float64(2), lambda g: g * 2), "float64"),
        (lambda x: (x * 2, lambda g: g * np.full(x.shape, 2.0)), "float64"),
        (lambda x: (x * 2, lambda g: (g * 2).astype(np.float32)), "float32"),
    ],
)
def test_types(rule, kind):
    rule.__name__ = "doubled"
    f = op(rule)
    assert check_gradients(f, X) < 1e-6  # which does not look at types
    if kind is None:
        check_types(f, X)
    else:
        with pytest.raises(CheckError, match=r"doubled.*inside") as caught:
            check_types(f, X)
        assert caught.value.kind == kind


def test_the_type_of_every_gradient_of_an_op_is_looked_at():
    @op
    def first_is_wide(x, y):
        wide = np.full(x.shape, 2.0)
        return x + y, lambda g: g * wide, lambda g: g

    with pytest.raises(CheckError, match="float64 inside"):
        check_types(first_is_wide, X, X)


@pytest.mark.parametrize("name", TABLE)
def test_types_of_every_op(name):
    for arrays, settings in TABLE[name].examples(3):
        check_types(TABLE[name].op, *arrays, **settings)
