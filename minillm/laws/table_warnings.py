"""Warnings about the table that a law was fitted to: one sentence each."""

import numpy as np

from minillm.errors import DataError, option
from minillm.laws.quantities import falls, quantity_of
from minillm.laws.runs_table import place
from minillm.laws.sweep import SAME

KEPT_EQUAL = (
    *("batch", "batch_size", "batch_tokens", "epochs", "context", "seq_len"),
    *("vocab_size", "tokenizer", "data", "dataset", "schedule"),
)
ONE_RUN = ("run", "run_id", "run_name", "trunk")


def copies(fit):
    """A row that equals another in every column. Two accuracies may do by chance."""
    if not falls(fit.y_name):
        return
    first, copies = {}, []
    columns = fit.table.columns.values()
    for row in fit.index:
        cells = tuple(str(column[row]).strip() for column in columns)
        if cells in first:
            copies.append((first[cells], row))
        first.setdefault(cells, row)
    if copies:
        one, other = (place(fit.table.numbered(row)) for row in copies[0])
        more = f", and {len(copies) - 1} more such rows" if copies[1:] else ""
        yield (
            f"{one} and {other} are the same in every column{more}: a copy measures "
            "nothing and makes intervals too narrow; leave it out, or add a column, "
            "such as the seed, that tells two runs apart"
        )


def shared_noise(fit):
    """Where intervals take rows of one run for independent."""
    if not fit.noise.seen:
        runs = "one run" if fit.n_runs == 1 else f"{fit.n_runs} runs"
        yield (
            f"the {fit.n} points are of {runs}, too few to see how much luck points "
            "of one run share: the intervals leave it out and are too narrow; add runs "
            "of other sizes"
        )
    name = _column(fit, ONE_RUN)
    if name is None or fit.n_runs < fit.n:
        return
    different = len(set(fit.table.groups(name, fit.index)))
    if different < fit.n:
        yield (
            f"{name} has {different} values in {fit.n} rows: rows of one run share its "
            f"luck, which the intervals leave out; add {option('group', name)}"
        )


def left_out_variable(fit):
    """The variable that a law of one variable leaves out: the tokens, or the size."""
    variable = fit.variables[0]
    of_one = len(fit.variables) == 1 and quantity_of(variable) != "FLOPs"
    if not falls(fit.y_name) or not of_one:
        return
    of_tokens = quantity_of(variable) == "tokens"
    left_out = "parameters" if of_tokens else "tokens"
    names = [n.lower() for n in fit.table.columns if quantity_of(n) == left_out]
    name = _column(fit, names)
    if name is None:
        return
    values = _values(fit, name)
    if len(values) == 1 and fit.form.floor:
        if of_tokens:
            whose = f"L∞({name}) of a model of this size after any number of tokens"
        else:
            whose = "L∞(D) of a model of any size after so many tokens"
        yield (
            f"every run has {name} = {values[0]:.4g}: E is the floor {whose}, not the "
            f"entropy of the text; add runs at two more {name} and fit both variables"
        )
    elif len(values) > 1 and not isinstance(values[0], str):
        yield (
            f"{name} changes from {values[0]:.4g} to {values[-1]:.4g} along the "
            f"series: fit both variables ({option('x', variable, name)})"
        )


def other_columns(fit):
    for name in KEPT_EQUAL:
        found = _column(fit, (name,))
        if found is None:
            continue
        values = _values(fit, found)
        # Under one epoch, no text is read twice.
        if len(values) > 1 and not (name == "epochs" and values[-1] <= SAME):
            ends = [_written(fit, found, values[end]) for end in (0, -1)]
            yield (
                f"{found} changes from {ends[0]} to {ends[-1]} along the series and is "
                f"part of what the curve shows: run it again with equal {found}, or "
                "fit the rows of each alone"
            )


def _written(fit, name: str, value) -> str:
    """A value of a column as the table has it."""
    if isinstance(value, str):
        return value
    at = int(np.flatnonzero(fit.table.numbers(name) == value)[0])
    cell = fit.table.columns[name][at]
    return cell.strip() if isinstance(cell, str) else f"{value:g}"


def _values(fit, name: str) -> list:
    """The different values of a column, sorted: numbers (1 % apart), or else texts."""
    try:
        numbers = fit.table.numbers(name)[fit.index]
    except DataError:
        cells = fit.table.columns[name]
        return sorted({str(cells[row]).strip() for row in fit.index})
    numbers = np.unique(numbers[np.isfinite(numbers)])
    if len(numbers) and numbers[-1] <= SAME * numbers[0]:
        return [float(numbers[0])]
    return [float(number) for number in numbers]


def _column(fit, names: tuple[str, ...]) -> str | None:
    """The table's column of one of these names, if it is no variable of the law."""
    for column in fit.table.columns:
        if column.lower() in names and column not in fit.variables:
            return column
    return None
