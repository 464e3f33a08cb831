"""On a real GPU: every body equals its definition on the cases of the kernels, and
gives the same bits twice."""

import kernel_cases
import numpy as np
import pytest

from minillm import backend
from minillm.backend import cuda_products

pytestmark = pytest.mark.gpu
CASES = kernel_cases.large()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_body_equals_its_definition(case):
    wanted = kernel_cases.expected(case)
    with backend.use("cuda"):
        found, again = kernel_cases.found(case), kernel_cases.found(case)
    assert not kernel_cases.problem(case, wanted, found, 2e-4)
    for a, b in zip(found, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_cublas_multiplies():
    with backend.use("cuda") as device:
        found = cuda_products.library(device)
    assert found == {"name": "cuBLAS", "problem": None}
