"""Compute budgets: which rows of a table had the same one."""

import numpy as np

# Runs nearer than this factor to a neighbour are meant to have one budget, unless they
# chain into a span wider than the second; then budgets are the third wide.
NEIGHBOUR = 1.2
WIDEST_BUDGET = 1.5
ONE_BUDGET = 1.25


def alike(flops: np.ndarray) -> list[np.ndarray]:
    """The indices of the runs of each budget, the smallest budget first."""
    order = np.argsort(flops, kind="stable")
    ends = np.flatnonzero(np.diff(np.log(flops[order])) > np.log(NEIGHBOUR)) + 1
    found = []
    for same in np.split(order, ends):
        found += _densest(flops, same) if _too_wide(flops[same]) else [same]
    return sorted(found, key=lambda same: flops[same[0]])


def _too_wide(flops: np.ndarray) -> bool:
    return flops.max() > WIDEST_BUDGET * flops.min()


def _densest(flops: np.ndarray, order: np.ndarray) -> list[np.ndarray]:
    """Runs of ever larger budgets (their indices), cut where the most are together."""
    found = []
    while len(order):
        ends = np.searchsorted(flops[order], ONE_BUDGET * flops[order], side="right")
        start = int((ends - np.arange(len(order))).argmax())
        found.append(order[start : ends[start]])
        order = np.delete(order, slice(start, ends[start]))
    return found


def units(flops: np.ndarray, six_nd: np.ndarray, names: dict[str, str]) -> list[str]:
    """Doubts about C itself: budgets that run into one another, FLOPs unlike 6·N·D."""
    found = []
    gaps = np.diff(np.sort(np.log(flops)))
    chains = np.split(np.sort(flops), np.flatnonzero(gaps > np.log(NEIGHBOUR)) + 1)
    for chain in filter(_too_wide, chains):
        found.append(
            f"runs from {chain[0]:.3g} to {chain[-1]:.3g} FLOPs leave no gap between "
            f"budgets, and are cut where most are within a factor of {ONE_BUDGET}: "
            "name each run's budget in a column (--c)"
        )
    ratio = np.exp(np.median(np.log(flops / six_nd)))
    if not 1 / 3 < ratio < 3:
        found.append(
            f"{names['C']} is {ratio:.3g} × 6·{names['N']}·{names['D']}: check its "
            "unit, FLOPs"
        )
    return found
