"""The columns of parameters N, tokens D and FLOPs C: two of them give the third."""

import numpy as np

from minillm.errors import UsageError
from minillm.laws.table import Table

ROLES = {"D": "the tokens (--d)", "C": "the FLOPs (--c)", "N": "the parameters (--n)"}


def given_columns(table: Table, asked: dict[str, str | None]) -> dict[str, str]:
    """The columns of N, D and C by what they are: those asked for, or so called.

    Raises UsageError where there are fewer than two.
    """
    given = {
        what: name or what
        for what, name in asked.items()
        if name or what in table.columns
    }
    missing = [what for what in ROLES if what not in given]
    if len(missing) > 1:
        raise UsageError(
            f"{table.source}: no column {' or '.join(missing)}; name "
            f"{' or '.join(ROLES[what] for what in missing)} among "
            f"{', '.join(table.columns)} (two of the three are enough)"
        )
    return given


def derive(columns: dict[str, np.ndarray]) -> str | None:
    """Fill in what is missing of N, D and C, by C = 6·N·D; returns how, in words."""
    if "C" not in columns:
        columns["C"] = 6 * columns["N"] * columns["D"]
        return "C = 6·N·D"
    for missing, other in ("ND", "DN"):
        if missing not in columns:
            columns[missing] = columns["C"] / (6 * columns[other])
            return f"{missing} = C/(6·{other})"
    return None
