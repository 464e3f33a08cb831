"""Compute budgets of a table: its columns N, D and C, and the rows of each budget."""

import numpy as np

from minillm.errors import UsageError, option
from minillm.laws.runs_table import Table

ROLES = {"D": "tokens", "C": "FLOPs", "N": "parameters"}
# Runs nearer than this factor to a neighbour are meant to have one budget, unless they
# chain into a span wider than the second; then budgets are the third wide.
NEIGHBOUR = 1.2
WIDEST_BUDGET = 1.5
ONE_BUDGET = 1.25


def given_columns(table: Table, asked: dict[str, str | None]) -> dict[str, str]:
    """The columns of N, D and C, {role: name}: those asked for, or so called.

    Raises UsageError where there are fewer than two.
    """
    given = {
        role: name or role
        for role, name in asked.items()
        if name or role in table.columns
    }
    missing = [role for role in ROLES if role not in given]
    if len(missing) > 1:
        raise UsageError(
            f"{table.source}: no column {' or '.join(missing)}; name "
            f"{' or '.join(map(_role, missing))} among "
            f"{', '.join(table.columns)} (two of the three are enough)"
        )
    return given


def _role(role: str) -> str:
    return f"the {ROLES[role]} ({option(role.lower())})"


def derive(columns: dict[str, np.ndarray]) -> str | None:
    """Add the missing one of N, D and C, by C = 6·N·D; returns its formula."""
    if "C" not in columns:
        columns["C"] = 6 * columns["N"] * columns["D"]
        return "C = 6·N·D"
    for missing, other in ("ND", "DN"):
        if missing not in columns:
            columns[missing] = columns["C"] / (6 * columns[other])
            return f"{missing} = C/(6·{other})"
    return None


def same_budget(flops: np.ndarray) -> list[np.ndarray]:
    """The indices of the runs of each budget, the smallest budget first."""
    order = np.argsort(flops, kind="stable")
    found = []
    for same in np.split(order, _gaps(flops[order])):
        found += _densest(flops, same) if _too_wide(flops[same]) else [same]
    return sorted(found, key=lambda same: flops[same[0]])


def flops_warnings(
    flops: np.ndarray, six_nd: np.ndarray, names: dict[str, str]
) -> list[str]:
    """Warnings about C itself: budgets without gaps between them, FLOPs unlike
    6·N·D."""
    found = []
    ascending = np.sort(flops)
    for chain in filter(_too_wide, np.split(ascending, _gaps(ascending))):
        found.append(
            f"runs from {chain[0]:.3g} to {chain[-1]:.3g} FLOPs leave no gap between "
            f"budgets, and are cut where most are within a factor of {ONE_BUDGET}: "
            f"name each run's budget in a column ({option('c')})"
        )
    ratio = np.exp(np.median(np.log(flops / six_nd)))
    if not 1 / 3 < ratio < 3:
        found.append(
            f"{names['C']} is {ratio:.3g} × 6·{names['N']}·{names['D']}: check its "
            "unit, FLOPs"
        )
    return found


def _gaps(ascending: np.ndarray) -> np.ndarray:
    """The indices of the first run after each gap between neighbours."""
    return np.flatnonzero(np.diff(np.log(ascending)) > np.log(NEIGHBOUR)) + 1


def _too_wide(flops: np.ndarray) -> bool:
    return flops.max() > WIDEST_BUDGET * flops.min()


def _densest(flops: np.ndarray, order: np.ndarray) -> list[np.ndarray]:
    """Runs of ever larger budgets (their indices), cut where most are together."""
    found = []
    while len(order):
        ends = np.searchsorted(flops[order], ONE_BUDGET * flops[order], side="right")
        start = int((ends - np.arange(len(order))).argmax())
        found.append(order[start : ends[start]])
        order = np.delete(order, slice(start, ends[start]))
    return found
