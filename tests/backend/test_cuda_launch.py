"""A launch hands a GPU what the kernel's C signature asks for, and nothing else."""

import numpy as np
import pytest

from minillm import backend
from minillm.backend import cuda_kernels
from minillm.backend.cuda_kernels import Parameter, launch, signatures

SOURCE = """
#define VIEW(type, x) type* x, int x##_batch, int x##_head, int x##_row
extern "C" __global__ void __launch_bounds__(64 * 2) turn(
    VIEW(const float, q), float* y,  const int* ids, const bool* mask,
    unsigned key, int n, float scale)
{ }
__device__ void no_kernel(double x) { }
"""


@pytest.fixture
def device(strict, monkeypatch):
    """A device that notes what it is asked to run."""
    strict.calls = []

    class Module:
        def get_function(self, kernel):
            return lambda *call, shared_mem: strict.calls.append((kernel, *call))

    strict.compile = lambda source, constants: Module()
    monkeypatch.setattr(cuda_kernels, "_signatures", lambda: signatures(SOURCE))
    with backend.use(strict):
        yield strict


def arguments(device) -> dict:
    """What fits."""
    return {
        "q": device.asarray(np.zeros((2, 5, 3, 4), np.float32)).swapaxes(1, 2),
        "y": device.asarray(np.zeros(7, np.float32)),
        "ids": device.asarray(np.zeros(7, np.int32)),
        "mask": None,
        "key": 2**32 - 1,
        "n": -3,
        "scale": 0.5,
    }


def test_a_signature_is_read_from_the_text():
    assert signatures(SOURCE) == {
        "turn": [
            Parameter("turn", "q", np.float32, "view"),
            Parameter("turn", "y", np.float32, "array"),
            Parameter("turn", "ids", np.int32, "array"),
            Parameter("turn", "mask", np.bool_, "array"),
            Parameter("turn", "key", np.uint32, "number"),
            Parameter("turn", "n", np.int32, "number"),
            Parameter("turn", "scale", np.float32, "number"),
        ]
    }
    with pytest.raises(ValueError, match=r"kernel turn: cannot read .*'double key'"):
        signatures(SOURCE.replace("unsigned", "double"))


def test_every_argument_has_the_size_that_the_kernel_reads(device):
    given = arguments(device)
    launch("turn", 3, 64, *given.values())
    ((kernel, blocks, threads, passed),) = device.calls
    assert (kernel, blocks, threads) == ("turn", (3,), (64,))
    q, *strides, y, ids, mask, key, n, scale = passed
    assert (q, y, ids) == (given["q"], given["y"], given["ids"])
    assert strides == [60, 4, 12]  # of batches, heads and rows, in numbers
    sizes = [x.itemsize for x in (*strides, mask, key, n, scale)]
    assert sizes == [4, 4, 4, 8, 4, 4, 4]
    assert (mask, key, n, scale) == (0, 2**32 - 1, -3, 0.5)


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("q", np.zeros((2, 3, 5, 4)), "float32 on strict is needed, not float64"),
        ("q", np.zeros((3, 5, 4), np.float32), r"no view of \(batch, heads, rows"),
        ("q", None, "float32 on strict is needed, not None"),
        ("y", np.zeros(7), "float32 on strict is needed, not float64"),
        ("y", 0.5, "float32 on strict is needed, not 0.5"),
        ("ids", np.zeros(7), "int32 on strict is needed, not float64"),
        ("key", -1, "-1 does not fit into uint32"),
        ("n", 2**31, "2147483648 does not fit into int32"),
        ("n", 3.0, "3.0 is no int32"),
        ("n", np.float64(3), "is no int32"),
        ("scale", np.float64(0.5), "is no float32"),
        ("scale", "0.5", "'0.5' is no float32"),
    ],
)
def test_what_does_not_fit_is_refused(device, name, wrong, said):
    if isinstance(wrong, np.ndarray):
        wrong = device.asarray(wrong)
    given = {**arguments(device), name: wrong}
    with pytest.raises(TypeError, match=f"kernel turn, {name}: .*{said}"):
        launch("turn", 3, 64, *given.values())
    assert not device.calls


def test_arrays_that_lie_elsewhere_are_refused(device):
    given = arguments(device)
    rows = device.asarray(np.zeros((7, 2), np.float32))
    for name, wrong, said in (
        ("y", rows[:, 0], "must be contiguous"),
        ("y", np.zeros(7, np.float32), "on strict is needed"),
        ("q", given["q"][..., ::2], "no view of"),
    ):
        with pytest.raises(TypeError, match=f"kernel turn, {name}: .*{said}"):
            launch("turn", 3, 64, *{**given, name: wrong}.values())
    with pytest.raises(TypeError, match="kernel turn: 7 arguments are needed, 1"):
        launch("turn", 3, 64, given["y"])
    assert not device.calls
