"""The kernels of a GPU, run on this machine's CPU (`cuda_on_cpu.h`): every body equals
its definition, whatever the order of threads, and faults that are planted are found."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kernel_cases
import numpy as np
import on_cpu
import planted_faults
import pytest

from minillm import backend
from minillm.backend import cuda_attention, cuda_bodies, cuda_kernels, registry
from minillm.learning.flat import FlatParameters
from minillm.models import ModelConfig, build, usual
from minillm.nn import Noise
from minillm.ops import IGNORED
from minillm.testing import TABLE, check_body
from minillm.text import Batch

HERE = Path(__file__).parent
FORWARD, BACKWARD, RANDOM = ORDERS = (0, 1, 7)
ROUNDINGS = 2000 * float(np.finfo(np.float32).eps)
FAULTS = [*planted_faults.FAULTS, *planted_faults.missing_barriers()]

pytestmark = pytest.mark.skipif(
    not on_cpu.USABLE, reason="needs the compiler g++ on Linux"
)


@pytest.fixture
def device_in(stand_in, monkeypatch):
    """A function that makes a device whose threads take turns in some order, and runs
    the kernels of some text."""

    def make(order: int, source: str | None = None):
        device = on_cpu.device(stand_in, order, source)
        monkeypatch.setitem(backend.switch._by_array_type, device.array_type, device)
        return device

    # Where a test before this one took them away.
    for name, body in kernel_cases.BODIES.items():
        monkeypatch.setitem(registry._bodies, ("cuda", name), body)
    return make


def results(case, device) -> list[np.ndarray]:
    backend.add_backend(device)
    with backend.use(device):
        return kernel_cases.found(case)


@pytest.mark.parametrize("name", kernel_cases.BODIES)
def test_bodies_equal_their_definitions_on_the_rows_of_the_table(name, device_in):
    for order in ORDERS:
        with backend.use(device_in(order)):
            for arrays, settings in TABLE[name].examples(12):
                check_body(TABLE[name].op, *arrays, dtype=np.float32, **settings)


def test_bodies_equal_their_definitions_beyond_a_warp_and_a_block(
    device_in, monkeypatch
):
    monkeypatch.setattr(cuda_bodies, "SHARES", 30)  # of 151 rows: six in a block
    devices = [device_in(order) for order in ORDERS]
    launched = note_launches(monkeypatch)
    for case in kernel_cases.large():
        wanted = kernel_cases.expected(case)
        found = [results(case, device) for device in devices]
        assert not kernel_cases.problem(case, wanted, found[0], ROUNDINGS)
        for other in found[1:]:  # bit for bit
            for a, b in zip(found[0], other, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=case.name)
    assert launched == set(cuda_kernels.signatures(cuda_kernels.source()))


def test_no_attention_runs_as_it_is_defined(device_in, monkeypatch):
    """Not in wide heads, nor for masks of pairs, nor where heads share keys."""
    cases = [*kernel_cases.attentions(66), *kernel_cases.packed_attentions()]
    cases += kernel_cases.groups()
    definitions = {"softmax": registry.definition_of("softmax")}
    monkeypatch.setattr(cuda_attention, "definition_of", definitions.__getitem__)
    device = device_in(FORWARD)
    for case in cases:
        results(case, device)


def note_launches(monkeypatch) -> set[str]:
    """The names of the kernels that are launched from now on."""
    launched = set()
    launch = cuda_kernels.launch

    def noting(kernel, *arguments, **settings):
        launched.add(kernel)
        launch(kernel, *arguments, **settings)

    monkeypatch.setattr(cuda_bodies, "launch", noting)
    monkeypatch.setattr(cuda_attention, "launch", noting)
    return launched


ARCHITECTURES = [("gpt", 16, 2), ("gpt", 70, 1), ("encoder", 16, 2), ("lstm", 16, 1)]
ARCHITECTURES += [("llama", 16, 2), ("llama", 140, 2)]


@pytest.mark.parametrize(("arch", "width", "n_heads"), ARCHITECTURES)
def test_a_model_gets_the_gradients_of_its_definitions(arch, width, n_heads, device_in):
    """Where gradients are there already, bodies add to them; nothing is scattered."""
    settings = usual(arch) | ({"n_kv_heads": 1} if arch == "llama" else {})
    shape = ModelConfig(30, 2, width, n_heads, 40, arch=arch, **settings)
    expected = gradients_of_two_batches(shape)
    device = device_in(RANDOM)
    device.xp.add.at = None
    with backend.use(device):
        found = gradients_of_two_batches(shape)
    np.testing.assert_allclose(found, expected, atol=2e-5 * abs(expected).max())


def gradients_of_two_batches(shape: ModelConfig) -> np.ndarray:
    """Added up in one flat buffer, with dropout and padding."""
    model = build(shape, np.random.default_rng(0))
    flat = FlatParameters(model)
    gradient = flat.zeros()
    flat.collect_gradients(model, gradient)
    rng = np.random.default_rng(1)
    for step in range(2):
        ids = rng.integers(0, shape.vocab_size, (3, 40), dtype=np.int32)
        mask = np.arange(40) < rng.integers(20, 40, (3, 1))
        targets = np.where(mask, np.roll(ids, -1), IGNORED).astype(np.int32)
        batch = Batch(ids, targets, int(mask.sum()), mask=mask)
        model.loss(batch, Noise(0.1, seed=0, step=step)).backward()
    views = flat.views(backend.to_numpy(gradient)).values()
    return np.concatenate([view.ravel() for view in views])


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.name, marks=pytest.mark.slow if i % 6 else ())
        for i, fault in enumerate(FAULTS)
    ],
)
def test_a_planted_fault_is_found(fault, device_in):
    assert finds(fault.cases(), fault.planted(), device_in)


@pytest.mark.parametrize("bits", [0x7F800000, 0x7FA00000, 0x7FC00000])
def test_memory_that_nobody_wrote_is_found_whatever_it_holds(bits):
    """∞, NaN, and the NaN at which NumPy's arithmetic warns."""
    case = kernel_cases.norms()[0]
    wanted = [np.full(2, np.inf)]
    unwritten = np.full(2, bits, np.uint32).view(np.float32)
    assert "is off by nan" in kernel_cases.problem(case, wanted, [unwritten], 1.0)
    assert not kernel_cases.problem(case, [np.ones(2)], [np.ones(2, np.float32)], 1.0)


def finds(cases: list, source: str, device_in) -> bool:
    for case in cases:
        wanted = kernel_cases.expected(case)
        for order in ORDERS:
            try:
                found = results(case, device_in(order, source))
            except RuntimeError:  # what a GPU leaves undefined
                return True
            if kernel_cases.problem(case, wanted, found, ROUNDINGS):
                return True
    return False


def test_no_kernel_adds_up_by_atomics():
    """Their order, and so the last bit of a sum, would change from run to run."""
    code = re.sub(r"//.*", "", cuda_kernels.source())
    assert "atomic" not in code


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address"])
def test_no_races_and_nothing_out_of_bounds(sanitizer):
    done = sanitized(sanitizer)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split()[-1] == "passed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sanitizer", "fault"),
    [
        *(("thread", fault.name) for fault in planted_faults.missing_barriers()),
        ("address", "a row beyond the last"),
        ("address", "a run ends late"),
    ],
)
def test_sanitizers_find_planted_faults(sanitizer, fault):
    done = sanitized(sanitizer, fault)
    assert done.returncode != 0
    what = {"thread": "data race", "address": "AddressSanitizer: heap-buffer-overflow"}
    assert what[sanitizer] in done.stderr


def sanitized(sanitizer: str, *fault: str) -> subprocess.CompletedProcess:
    """Run the cases in a process of their own, watched by a sanitizer of g++."""
    name = {"thread": "libtsan.so", "address": "libasan.so"}[sanitizer]
    told = subprocess.run(
        [on_cpu.GXX, f"-print-file-name={name}"], capture_output=True, text=True
    )
    library = Path(told.stdout.strip())
    if not library.is_absolute():
        pytest.skip(f"needs {name} of g++")
    # To the thread sanitizer memory has fixed places.
    fixed = ["setarch", "-R"] if shutil.which("setarch") else []
    script = str(HERE / "sanitized_kernels.py")
    return subprocess.run(
        [*fixed, sys.executable, script, sanitizer, *fault],
        env={
            **os.environ,
            "LD_PRELOAD": str(library),
            "OPENBLAS_NUM_THREADS": "1",
            "TSAN_OPTIONS": "halt_on_error=1 report_bugs=1",
            "ASAN_OPTIONS": "detect_leaks=0",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
