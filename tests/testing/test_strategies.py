"""What the strategies draw, and what happens without Hypothesis."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minillm.testing import (
    TABLE,
    arrays,
    axes,
    broadcastable_shapes,
    cases,
    check_gradients,
    masks,
    shapes,
    token_ids,
)


@given(arrays(shapes(max_dims=2), low=-1, high=3))
def test_arrays_have_the_shape_and_range_asked_for(x):
    assert x.dtype == np.float64
    assert x.ndim <= 2
    assert ((x >= -1) & (x <= 3)).all()
    assert (x.astype(np.float32) == x).all()


@given(arrays((3, 2), away_from_zero=0.1, distinct=True))
def test_arrays_away_from_zero_and_distinct(x):
    assert x.shape == (3, 2)
    assert (abs(x) >= 0.1).all()
    assert np.diff(np.sort(x.ravel())).min() > 1e-3


@given(broadcastable_shapes(3))
def test_shapes_broadcast_together(found):
    assert len(found) == 3
    np.broadcast_shapes(*found)


@given(st.data())
def test_axes_are_valid(data):
    shape = data.draw(shapes())
    np.zeros(shape).sum(axis=data.draw(axes(len(shape))))


@given(token_ids(7, (2, 3)), masks((4,)))
def test_ids_and_masks(ids, mask):
    assert ids.dtype == np.int32
    assert ids.shape == (2, 3)
    assert 0 <= ids.min() <= ids.max() < 7
    assert mask.dtype == bool


@given(cases(TABLE["softmax"]))
def test_cases_of_a_row(case):
    (x,), settings = case
    assert -x.ndim <= settings["axis"] < x.ndim


@given(arrays(shapes(min_dims=1)))
def test_three_lines_check_a_function(x):
    check_gradients(lambda x: (x * x).mean(), x)


def test_without_hypothesis_all_but_the_strategies_works():
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from minillm.testing import arrays, check_gradients\n"
        "assert check_gradients(lambda x: x * x, [1.0, 2.0]) < 1e-9\n"
        "try: arrays((2,))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    out = subprocess.check_output([sys.executable, "-c", code], encoding="utf-8")
    assert out.startswith(
        "MinillmError this needs Hypothesis: pip install '.[test]' in the clone"
    )
