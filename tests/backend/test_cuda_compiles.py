"""NVIDIA's compiler takes the kernels for every GPU since 2018, with CUDA 12 and 13; no
GPU is needed to ask it. A number that "spills" from a thread's registers would lie in
slow memory."""

import nvrtc
import pytest

from minillm.backend import cuda_kernels
from minillm.models.architectures import SIZES

pytestmark = pytest.mark.nvrtc

# T4, A100, RTX 30, RTX 40 and L4, H100, B200, RTX 50
CHIPS = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
HEADS = sorted({size.d_model // size.n_heads for size in SIZES.values()})


@pytest.fixture(params=nvrtc.WHEELS, ids=lambda major: f"CUDA {major}", scope="module")
def compiler(request):
    path = nvrtc.library(request.param)
    if path is None:
        pytest.skip("needs the extra `nvrtc`")
    return nvrtc.Nvrtc(path)


@pytest.mark.parametrize("chip", CHIPS)
def test_every_kernel_compiles_and_keeps_its_numbers_in_registers(compiler, chip):
    source = cuda_kernels.source()
    constants = [{}, *({"HEAD": width} for width in HEADS)]
    found = {}
    for each in constants:
        kernels = compiler.compile(source, chip, **each)
        found |= kernels
        for name, taken in kernels.items():
            assert taken["registers"] > 0, (name, each)
            assert not taken["spilled"], (name, each)
            assert taken["shared"] <= 48 * 1024, (name, each)
    assert set(found) == set(cuda_kernels.signatures(source))


@pytest.mark.parametrize("width", [1, 17, 24, 34, 48])
def test_heads_of_other_widths_compile(compiler, width):
    """Perhaps with a few numbers spilled."""
    for taken in compiler.compile(cuda_kernels.source(), "sm_75", HEAD=width).values():
        assert taken["spilled"] <= 64


def test_a_wide_row_would_not_fit_into_one_thread(compiler):
    """Why two threads share the rows of wide heads, and that spilling is seen."""
    source = cuda_kernels.source()
    lanes = "(HEAD > 32 ? 2 : 1)"
    assert lanes in source
    kernels = compiler.compile(source.replace(lanes, "1"), "sm_80", HEAD=64)
    assert kernels["attention_backward_keys"]["spilled"] > 0


def test_what_is_no_cuda_is_refused_with_its_line(compiler):
    source = cuda_kernels.source().replace("warp_sum(sum)", "warp_sun(sum)")
    with pytest.raises(RuntimeError, match=r'sm_80: kernels.cu\(.*"warp_sun"'):
        compiler.compile(source, "sm_80")
