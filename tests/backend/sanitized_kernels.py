"""Run the cases under a sanitizer, which ends the process where it finds something:
`sanitized_kernels.py thread|address [name of a planted fault]`."""

import sys

import kernel_cases
import on_cpu
import planted_faults
import strict

from minillm import backend

FLAGS = {
    "thread": ["-fsanitize=thread", "-g"],
    "address": ["-fsanitize=address", "-fsanitize-sections=shared_memory", "-g"],
}


def main(sanitizer: str, fault: str | None = None) -> None:
    on_cpu.FENCED = False
    source, cases = None, kernel_cases.large()
    if fault is not None:
        faults = [*planted_faults.FAULTS, *planted_faults.missing_barriers()]
        (planted,) = (each for each in faults if each.name == fault)
        source, cases = planted.planted(), planted.cases()
    device = backend.add_backend(on_cpu.device(strict, 7, source, FLAGS[sanitizer]))
    for case in cases:
        with backend.use(device):
            found = kernel_cases.found(case)
        wanted = kernel_cases.expected(case)
        assert fault or not kernel_cases.problem(case, wanted, found, 1e-3)
    print(len(cases), "cases passed")


if __name__ == "__main__":
    main(*sys.argv[1:])
