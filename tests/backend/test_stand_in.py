"""The stand-in refuses what a GPU refuses."""

import numpy as np
import pytest

from minillm import Tensor


@pytest.fixture
def x(strict):
    return strict.asarray(np.array([[1.0, 2.0], [3.0, 4.0]]))


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        np.linalg.norm,
        np.exp,
        lambda x: float(x.sum()),
        lambda x: int(x.sum()),
        lambda x: bool(x.sum()),
        lambda x: [0, 1][x.sum()],
        lambda x: 1 if x.sum() > 0 else 2,
        lambda x: max(x.sum(), x.sum()),
    ],
)
def test_nothing_turns_into_a_host_number_by_itself(x, convert):
    with pytest.raises(TypeError):
        convert(x)


@pytest.mark.parametrize(
    "mix",
    [
        lambda x, h: x + h,
        lambda x, h: h + x,
        lambda x, h: h @ x,
        lambda x, h: x.__iadd__(h),
        lambda x, h: x[h > 1],
        lambda x, h: x[np.array([0])],
        lambda x, h: x[[0]],
        lambda x, h: x.__setitem__(0, h[0]),
        lambda x, h: x[x > 1],
    ],
)
def test_host_arrays_and_masks_are_refused(x, mix):
    with pytest.raises(TypeError):
        mix(x, np.ones((2, 2)))


def test_functions_refuse_host_arrays_and_what_cupy_lacks(strict, x):
    with pytest.raises(TypeError, match="host array"):
        strict.xp.maximum(x, np.ones(2))
    with pytest.raises(TypeError, match="where"):
        strict.xp.exp(x, where=x > 1)
    with pytest.raises(TypeError, match="initial"):
        x.max(initial=0)
    with pytest.raises(AttributeError, match="einsum_path"):
        strict.xp.einsum_path  # noqa: B018
    rng = strict.xp.random.default_rng(0)
    for name in ("normal", "choice", "permutation", "shuffle"):
        assert not hasattr(rng, name)


def test_single_numbers_stay_on_the_device(stand_in, x):
    for value in (x.sum(), x[0, 0], x.max(), x.sum() * 2, x.mean() > 1):
        assert type(value) is stand_in.StrictArray
        assert value.shape == ()
    assert x.sum().item() == 10


def test_ids_out_of_range_wrap_silently(strict, x):
    ids = strict.asarray(np.array([0, 2, -1, 5]))
    assert strict.to_numpy(x[ids])[:, 0].tolist() == [1, 1, 3, 3]
    assert strict.to_numpy(x[..., ids])[0].tolist() == [1, 1, 2, 2]


def test_add_at_is_the_scatter(strict):
    x = strict.xp.zeros(3)
    strict.xp.add.at(x, strict.asarray(np.array([1, 1, 4])), strict.xp.ones(3))
    assert strict.to_numpy(x).tolist() == [0, 3, 0]


def test_moving_is_copying(strict):
    host = np.ones(2)
    there = strict.asarray(host)
    there += 1
    back = strict.to_numpy(there)
    back += 1
    assert host.tolist() == [1, 1]
    assert strict.to_numpy(there).tolist() == [2, 2]


def test_a_tensor_on_the_device(on_strict, stand_in):
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert type(x.data) is stand_in.StrictArray
    (x * x).sum().backward()
    assert type(x.grad) is stand_in.StrictArray
    assert x.numpy().tolist() == [1, 2]
    assert "Tensor([1., 2.]" in repr(x)


def test_comparisons_stay_on_the_device(on_strict, strict, stand_in):
    x = Tensor([1.0, 3.0, 2.0], requires_grad=True)
    other = strict.asarray(np.array([1.0, 0.0, 2.0]))
    for found in (x == other, x == [1, 0, 2], x == Tensor([1.0, 0.0, 2.0]), x != 3):
        assert type(found) is stand_in.StrictArray
        assert strict.to_numpy(found).tolist() == [True, False, True]
    assert type(x.sum() == 6.0) is stand_in.StrictArray
    assert type(x.argmax()) is stand_in.StrictArray
    assert x.argmax().item() == 1
    assert 3.0 in x
    assert 4.0 not in x
    assert x.sum()  # asks for the number, as float does
    assert float(x.sum()) == 6
    with pytest.raises(TypeError, match="host array"):
        x == np.ones(3)  # noqa: B015


def test_half_precision_and_numpys_numbers_on_the_device(on_strict):
    x = Tensor(np.full(70_000, 200, np.float16), requires_grad=True)
    (x * x / np.float64(300)).mean().backward()
    assert x.grad.dtype == np.float16
    y = x.max(np.int64(0))
    assert y.dtype == np.float16
    y.backward()
    assert on_strict.to_numpy(x.grad).sum() > 1
