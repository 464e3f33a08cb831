"""Choosing a backend, and staying in the one an array is in."""

import sys
import types
from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from minillm import Tensor, backend, ops
from minillm.backend import cuda, xp
from minillm.errors import DeviceError, UsageError


def test_a_block_and_a_call(strict):
    before = backend.current()
    with backend.use(strict) as chosen:
        assert chosen is strict
        assert xp.zeros is strict.xp.zeros
    assert backend.current() is before
    backend.use(strict)
    assert backend.current() is strict
    backend.use("cpu")
    assert xp.zeros is np.zeros


def test_a_block_ends_with_an_exception(strict):
    with pytest.raises(ZeroDivisionError), backend.use(strict):
        1 / 0  # noqa: B018
    assert backend.current().name == "cpu"


def test_a_pullback_runs_where_its_op_did(strict):
    """Also through a 0-d interior gradient, which NumPy turns into a scalar of no
    array's type."""

    def step():
        x = Tensor([1.0, 2.0], requires_grad=True)
        w = Tensor(3.0, requires_grad=True)
        return x, w, (ops.softmax(x) * w).sum() * w * w

    there = []
    with backend.use(strict):
        there += step()
    here = step()
    here[-1].backward()
    there[-1].backward()  # the chosen backend is the CPU again
    for on_device, on_host in zip(there[:2], here[:2], strict=True):
        np.testing.assert_allclose(backend.to_numpy(on_device.grad), on_host.grad)
    x, w, loss = step()
    with backend.use(strict):
        loss.backward()
    np.testing.assert_allclose(x.grad, here[0].grad)
    assert type(w.grad) is np.ndarray


def test_an_op_runs_where_its_arrays_are(strict):
    with backend.use(strict):
        x = Tensor([1.0])
    y = ops.dropout(x, rate=0.5, key=1)
    assert backend.of(y.data) is strict


def test_mixing_two_backends_raises(strict):
    with backend.use(strict):
        x = Tensor([1.0])
    with pytest.raises(TypeError, match=r"cpu|strict"):
        x + Tensor([1.0])
    with pytest.raises(TypeError, match="move one of them first"):
        x + np.ones(1)


def test_numbers_and_lists_go_where_the_tensor_is(on_strict):
    x = Tensor([1.0, 2.0])
    assert ((x + 1) * np.float32(2) + [1, 1]).numpy().tolist() == [5, 7]


def test_a_gradient_may_be_given_from_the_host(on_strict):
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * 2).backward(np.ones(2))
    assert backend.to_numpy(x.grad).tolist() == [2, 2]


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "", None])
def test_an_unknown_device(name):
    with pytest.raises(UsageError, match="choose cpu, cuda, cuda:N or auto"):
        backend.use(name)


@pytest.fixture
def fake_cupy(monkeypatch):
    """A function that makes CuPy be what a test says."""

    def install(module):
        monkeypatch.setitem(sys.modules, "cupy", module)
        cuda._checked.cache_clear()

    yield install
    cuda._checked.cache_clear()


def module(get_device_count, **more):
    runtime = types.SimpleNamespace(getDeviceCount=get_device_count)
    device = lambda index: types.SimpleNamespace(use=lambda: None, id=index)  # noqa: E731
    fake = types.ModuleType("cupy")
    fake.__spec__ = ModuleSpec("cupy", loader=None)  # CuPy can be found
    fake.__version__ = "14.0"
    fake.float32 = np.float32
    fake.ndarray = type("ndarray", (), {})
    fake.cuda = types.SimpleNamespace(runtime=runtime, Device=device)
    for name, value in more.items():
        setattr(fake, name, value)
    return fake


def no_driver():
    raise RuntimeError("cudaErrorInsufficientDriver:\n driver too old")


def no_library(*_, **__):
    raise RuntimeError("libnvrtc.so not found")


@pytest.mark.parametrize(
    ("cupy", "name", "words"),
    [
        (
            None,
            "cuda",
            [
                "CuPy is not installed",
                "pip install '.[cuda12]' in the clone of minillm, or cuda13",
            ],
        ),
        (
            module(no_driver),
            "cuda",
            ["no CUDA driver", "driver too old", "device='cpu'"],
        ),
        (module(lambda: 0), "cuda", ["no device cuda:0", "0 CUDA", "device='cpu'"]),
        (module(lambda: 1), "cuda:1", ["no device cuda:1", "1 CUDA"]),
        (module(lambda: 1, ones=no_library), "cuda", ["cannot compute", "libnvrtc"]),
    ],
    ids=["no CuPy", "no driver", "no device", "no such device", "no library"],
)
def test_what_cuda_lacks_is_named_with_what_to_do(fake_cupy, cupy, name, words):
    fake_cupy(cupy)
    with pytest.raises(DeviceError) as caught:
        backend.use(name)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert backend.current().name == "cpu"


def test_auto_falls_back_to_the_cpu(fake_cupy):
    fake_cupy(None)
    with backend.use("auto") as chosen:
        assert chosen.name == "cpu"


def test_auto_takes_a_gpu_that_works(strict):
    with backend.use("auto") as chosen:
        assert chosen is strict


def test_describe_says_why_not(fake_cupy):
    fake_cupy(None)
    host, device = backend.describe()
    assert host["usable"]
    assert not device["usable"]
    assert "not installed" in device["reason"]


def test_memory_of_the_host_is_known():
    memory = backend.current().memory()
    assert 1e6 < memory["peak"] < memory["total"]
