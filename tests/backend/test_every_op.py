"""Every op gives one result on every backend there is."""

import re
from pathlib import Path

import numpy as np
import pytest

from minillm import Tensor, backend, ops
from minillm.testing import TABLE, check_body, check_gradients
from minillm.testing.point import on_device

ROWS = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)


def value_and_gradients(row, arrays, settings, dtype):
    tensors = [
        None if x is None else Tensor(np.asarray(x, dtype), requires_grad=True)
        for x in arrays
    ]
    value = row.op(*tensors, **{name: on_device(s) for name, s in settings.items()})
    value.backward(np.cos(np.arange(value.size)).reshape(value.shape))
    gradients = [t.grad for t in tensors if t is not None]
    where = backend.current().array_type
    assert {type(array) for array in (value.data, *gradients)} == {where}
    return [backend.to_numpy(array) for array in (value.data, *gradients)]


def compare(row, device, dtype, rtol):
    for arrays, settings in row.examples(8):
        expected = value_and_gradients(row, arrays, settings, dtype)
        with backend.use(device):
            found = value_and_gradients(row, arrays, settings, dtype)
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == b.dtype == dtype
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@ROWS
def test_the_stand_in_gives_the_cpus_result(row, strict):
    with backend.plain():
        compare(row, strict, np.float64, 1e-13)
    compare(row, strict, np.float32, 1e-5)


@ROWS
def test_gradients_are_right_on_the_stand_in(row, on_strict):
    for arrays, settings in row.examples(4):
        check_gradients(row.op, *arrays, **settings)


def softplus():
    """The op of the README."""
    readme = Path(__file__).parents[2] / "README.md"
    text = readme.read_text(encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    names = {}
    exec(next(block for block in code if "def softplus" in block), names)
    return names["softplus"]


def compare_softplus(device):
    x = np.linspace(-3, 3, 7)
    expected = np.log(1 + np.exp(x))
    with backend.use(device):
        found = softplus()(Tensor(x))
        check_gradients(softplus(), x)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_the_op_of_the_readme_runs_on_the_stand_in(strict):
    compare_softplus(strict)


def test_a_body_is_checked_on_arrays_of_the_device(on_strict):
    check_body(ops.gelu, on_strict.asarray(np.linspace(-3, 3, 7)))


@pytest.mark.gpu
def test_the_op_of_the_readme_runs_on_a_gpu():
    compare_softplus("cuda")


@pytest.mark.gpu
@ROWS
def test_a_gpu_gives_the_cpus_result(row):
    compare(row, "cuda", np.float64, 1e-10)
    compare(row, "cuda", np.float32, 1e-4)


@pytest.mark.gpu
@ROWS
def test_gradients_are_right_on_a_gpu(row):
    with backend.use("cuda"):
        for arrays, settings in row.examples(4):
            check_gradients(row.op, *arrays, **settings)
