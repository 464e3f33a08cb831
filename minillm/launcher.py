"""Launchers: whether `mpiexec` or `srun` has started this process as one of several.

Only the environment is looked at: to import mpi4py.MPI is to start MPI.
"""

import os
import sys
from collections.abc import Mapping

# (rank, number of ranks): of Open MPI; of MPICH, Intel MPI and MS-MPI; of srun.
VARIABLES = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)
# How the names of all begin by which a launcher speaks to what it starts.
PREFIXES = ("OMPI_", "PMI_", "PMIX_", "PRTE_", "PRRTE_", "HYDRA_", "MPI_", "SLURM_")


def place(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """(the rank of this process, the number of ranks); (0, 1) without a launcher."""
    for rank, n in VARIABLES:
        values = environment.get(rank, ""), environment.get(n, "")
        if all(value.isdecimal() for value in values):
            return int(values[0]), int(values[1])
    return 0, 1


def without_launcher(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment for a process that is to be no rank."""
    return {k: v for k, v in environment.items() if not k.startswith(PREFIXES)}


def everywhere(error: BaseException) -> BaseException:
    """Mark an error that every rank raises: rank 0 says it, and nobody has to be
    ended."""
    error.everywhere = True
    return error


def is_everywhere(error: BaseException) -> bool:
    return getattr(error, "everywhere", False)


def abort(code: int) -> None:
    """End every rank at once, where MPI has started: they would wait for this one."""
    MPI = sys.modules.get("mpi4py.MPI")
    if MPI and MPI.Is_initialized() and not MPI.Is_finalized():
        sys.stderr.flush()
        MPI.COMM_WORLD.Abort(code)
