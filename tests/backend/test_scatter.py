"""`add.at` for CUDA: which rows an index names, in which order they are added up. The
kernel is a loop in NumPy here; `-m gpu` runs the real one."""

import numpy as np
import pytest

from minillm import Tensor, backend, ops
from minillm.backend import Backend, cuda_scatter

INDEXES = [
    [0, 0, 2],
    np.array([[1, 1], [3, 1]]),
    np.array([-1, 3, 3]),
    (np.array([0, 0, 3]), np.array([1, 1, -1])),
    (2, np.array([1, 1, 0])),
    (slice(0, 3), np.array([1, 1, 2])),
    (Ellipsis, np.array([0, 0])),
    np.zeros(0, int),
]


def add_run(values, order, ends, width, sums):
    """What ADD_RUN says."""
    flat = values.reshape(-1)
    for i in range(sums.size):
        run, column = divmod(i, width)
        total = sums.dtype.type(0)
        for j in range(ends[run], ends[run + 1]):
            total += flat[order[j] * width + column]
        sums[run, column] = total


@pytest.fixture
def kernel(monkeypatch):
    monkeypatch.setattr(cuda_scatter, "_kernel", lambda _: add_run)


@pytest.mark.parametrize("index", INDEXES, ids=str)
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 2)])
def test_every_index_adds_as_numpys_does(kernel, index, shape):
    rng = np.random.default_rng(0)
    found, expected = np.ones((2, *shape))
    y = rng.standard_normal(found[index].shape)
    cuda_scatter.add_at(Backend(), found, index, y)
    np.add.at(expected, index, y)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_rows_out_of_range_wrap_around_as_on_a_gpu():
    assert cuda_scatter.flat_rows((4, 5), (np.array([5, -1]),))[0].tolist() == [1, 3]


def test_equal_ids_stay_in_the_order_they_came_in():
    order, begins = cuda_scatter.runs(np.array([3, 0, 3, 0, 1]))
    assert order.tolist() == [1, 3, 4, 0, 2]
    assert begins.tolist() == [0, 2, 3]
    order, begins = cuda_scatter.runs(np.arange(300) % 3)
    assert order.tolist() == [i for first in range(3) for i in range(first, 300, 3)]
    assert begins.tolist() == [0, 100, 200]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index", INDEXES, ids=str)
def test_gradients_of_lookups_on_a_gpu_are_the_cpus_and_repeat(index, dtype):
    x = np.random.default_rng(0).standard_normal((4, 5, 2)).astype(dtype)

    def gradient():
        tensor = Tensor(x, requires_grad=True)
        y = ops.getitem(tensor, index=index)
        y.backward(np.cos(np.arange(y.size)).reshape(y.shape))
        return backend.to_numpy(tensor.grad)

    expected = gradient()
    with backend.use("cuda"):
        found = [gradient() for _ in range(3)]
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
