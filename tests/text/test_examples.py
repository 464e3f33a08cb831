import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.errors import DataError
from minillm.text.examples import Windows, validation_windows

T = 8


def ids(n: int, dtype=np.int32) -> np.ndarray:
    return np.arange(n, dtype=dtype)


def epoch(windows: Windows, number: int) -> np.ndarray:
    """The windows of one epoch, drawn one at a time."""
    steps = range(number * windows.n, (number + 1) * windows.n)
    return np.concatenate([windows.at(step, 1) for step in steps])


@given(st.integers(T + 1, 100), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_sees_consecutive_windows_once(length, seed, number):
    windows = Windows(ids(length), T, seed)
    batch = epoch(windows, number)
    assert batch.dtype == np.int32
    np.testing.assert_array_equal(
        batch - batch[:, :1], np.tile(ids(T + 1), (len(batch), 1))
    )
    starts = np.sort(batch[:, 0])
    np.testing.assert_array_equal(starts, starts[0] + T * np.arange(windows.n))
    assert 0 <= starts[0] < T
    assert batch.max() < length
    # At most an offset at the front and less than two windows at the back are missed.
    assert length - windows.n * T < 3 * T


@pytest.mark.parametrize("batch_size", [1, 3, 7, 50])
def test_batches_follow_each_other_over_the_end_of_an_epoch(batch_size):
    windows = Windows(ids(100), T, seed=3)
    one_by_one = np.concatenate([epoch(windows, number) for number in range(20)])
    for step in (0, 1, 2, 3):
        expected = one_by_one[step * batch_size : (step + 1) * batch_size]
        np.testing.assert_array_equal(windows.at(step, batch_size), expected)


def test_a_batch_depends_on_its_step_and_not_on_the_way_there():
    windows = Windows(ids(1_000), T, seed=0)
    in_order = [windows.at(step, 16) for step in range(40)]
    for step in (39, 3, 20, 0, 3):
        np.testing.assert_array_equal(windows.at(step, 16), in_order[step])
        fresh = Windows(ids(1_000), T, seed=0)
        np.testing.assert_array_equal(fresh.at(step, 16), in_order[step])


def test_epochs_and_seeds_differ_in_order_and_offset():
    windows = Windows(ids(1_000), T, seed=0)
    epochs = [epoch(windows, number) for number in range(20)]
    offsets = {int(each.min()) for each in epochs}
    assert len(offsets) > 4
    orders = {tuple((each[:, 0] // T).tolist()) for each in epochs}
    assert len(orders) == 20
    other = epoch(Windows(ids(1_000), T, seed=1), 0)
    assert (other != epochs[0]).any()


def test_the_offset_is_drawn_evenly():
    windows = Windows(ids(1_000), T, seed=0)
    first = [int(epoch(windows, number)[:, 0].min()) for number in range(400)]
    counts = np.bincount(first, minlength=T)
    assert len(counts) == T
    assert np.sum((counts - 50) ** 2 / 50) < 24.4  # 7 degrees of freedom, p = 0.001


def test_small_integers_are_widened():
    batch = Windows(ids(100, np.uint16), T, seed=0).at(0, 4)
    assert batch.dtype == np.int32
    assert validation_windows(ids(100, np.uint16), T).dtype == np.int32


def test_validation_predicts_each_token_once_in_order():
    batch = validation_windows(ids(100), T)
    assert batch.shape == (12, T + 1)
    np.testing.assert_array_equal(batch[:, 1:].ravel(), np.arange(1, 12 * T + 1))
    np.testing.assert_array_equal(batch[:, 0], T * np.arange(12))


def test_a_limit_of_validation_is_spread_over_the_text():
    batch = validation_windows(ids(10_000), T, limit=10)
    assert batch.shape == (10, T + 1)
    starts = batch[:, 0]
    assert (np.diff(starts) > 900).all()
    assert (starts % T == 0).all()
    assert len(validation_windows(ids(100), T, limit=1_000)) == 12


@pytest.mark.parametrize("length", [0, 1, T])
def test_a_text_that_is_too_short_is_told_the_length_needed(length):
    needed = rf"too short: {length} tokens.*context of {T} needs at least {T + 1}"
    with pytest.raises(DataError, match="training.*" + needed):
        Windows(ids(length), T, seed=0)
    with pytest.raises(DataError, match="validation.*" + needed):
        validation_windows(ids(length), T)


def test_the_shortest_text_is_one_window():
    np.testing.assert_array_equal(
        Windows(ids(T + 1), T, seed=0).at(5, 2), [ids(T + 1)] * 2
    )
    np.testing.assert_array_equal(validation_windows(ids(T + 1), T), [ids(T + 1)])
