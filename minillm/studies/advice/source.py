"""The law to plan with: from a series, a table, or `fit --json`."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minillm.errors import DataError, MinillmError, UsageError, option, typed
from minillm.kinds import check
from minillm.laws.fitting import fit
from minillm.laws.json_table import columns_of, read_values
from minillm.laws.law import LawFit
from minillm.laws.quantities import LETTERS, column_of, quantity_of, renamed
from minillm.laws.runs_file import is_json, read_text
from minillm.laws.runs_table import Table, left_out, table_of
from minillm.studies.advice.compute_optimal import Law
from minillm.studies.advice.law_record import NO_LAW, law_of_record
from minillm.studies.run_folders import SCALE, read_series

DIFFERENT = 1e-3  # of a loss


@dataclass(frozen=True)
class KnownLaw:
    """A law, its intervals, and its source.

    samples: the resampled laws, as arrays; None where only constants are known.
    ranges: {"N": (least, largest), "D": …} of the data. tokens: the one D of a law of N
    alone. model: settings of the measured models; text: their `data` and `tokenizer`.
    corpus_tokens: of that text. y: the name of the loss. constants: by their names in
    the formula, which may have D before N. notes: how the source was read.
    """

    law: Law
    source: str
    formula: str
    interval95: dict = field(default_factory=dict)
    samples: Law | None = None
    ranges: dict = field(default_factory=dict)
    tokens: float | None = None
    model: dict = field(default_factory=dict)
    text: dict = field(default_factory=dict)
    corpus_tokens: int | None = None
    warnings: tuple[str, ...] = ()
    y: str = "loss"
    constants: dict = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_law(
    source: str | Path | None = None, *, decimal: str | None = None
) -> KnownLaw:
    """The law in a series folder, a table's file, or a record of `fit --json`; by
    default that of the newest series in runs/.

    A table has columns of N, of a loss, and of D for a law of both: by these names, or
    by others that `quantities.py` knows. decimal: as in `read_table`. Raises DataError
    or UsageError.
    """
    path = newest_series() if source is None else Path(source)
    if path.is_dir():
        return _of_series(path)
    if path.name == "scale.json":
        return _of_series(path.parent)
    text = read_text(path)
    record = _record(text, str(path))
    if record is None:
        return _of_table(table_of(text, str(path), decimal))
    return KnownLaw(source=str(path), **law_of_record(record, str(path)))


def newest_series(runs: Path = Path("runs")) -> Path:
    """The series in runs/ that was finished last. Raises DataError."""
    found = sorted(runs.glob("*/scale.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise DataError(
            f"{runs}: holds no finished series: train one with `minillm scale`, or "
            f"give a law with {option('law' if typed() else 'source')}"
        )
    return found[-1].parent


def known(found: LawFit, source: str, **more) -> KnownLaw:
    """A fit of N, or of N and D, as a law to plan with."""
    ranges = {
        name: (float(x.min()), float(x.max()))
        for name, x in zip(("N", "D"), found.x, strict=False)
    }
    more = {"warnings": tuple(found.warnings), **more}
    return KnownLaw(
        law=Law.of(found.parameters),
        source=source,
        formula=found.law,
        interval95=found.interval95,
        samples=Law.resamples(found),
        ranges=ranges,
        **more,
    )


def _record(text: str, source: str) -> dict | None:
    """The record of a law in a text; None where the text is a table."""
    if not is_json(text):
        return None
    values = read_values(text, source)
    record = values[0][1]
    if len(values) > 1 or isinstance(record, list):
        return None
    if "parameters" not in record and isinstance(record.get("law"), dict):
        with _no_law(source):
            check(record, SCALE)
        return _stated(record, 2) or record["law"]
    is_law = "parameters" in record or columns_of(record) is None
    return record if is_law else None


def _of_table(table: Table) -> KnownLaw:
    n, d, y = (_column(table, of) for of in ("parameters", "tokens", "loss"))
    if n is None or y is None:
        raise UsageError(
            f"{table.source}: needs columns N and loss (and D): it has "
            f"{', '.join(table.columns)}; fit it with `minillm fit … --json` and give "
            f"that file"
        )
    x = [n] if d is None else [n, d]
    rows, excluded = table.usable(y, x)
    notes = table.reading_notes([*x, y])
    names = renamed(dict(zip(LETTERS, x, strict=False)))
    gone = f"{len(excluded)} left out: {left_out(excluded)}" if excluded else ""
    table = table.rows(rows)
    lengths = np.unique(table.numbers(d)) if d else np.array([])
    x = [n, d] if len(lengths) > 1 else [n]
    try:
        found = fit(table, x, y)
    except UsageError as error:
        # `fit` advises to leave a variable out; `plan` has no option for that.
        what, _, way_out = str(error).partition("; ")
        if len(x) > 1:
            way_out = (
                f"add such runs, or keep those of one {d} alone, for a law of {n} at "
                f"that length"
            )
        raise UsageError("; ".join(filter(None, [what, gone, way_out]))) from None
    tokens = float(lengths[0]) if len(lengths) == 1 else None
    notes += [f"{table.source}: {note}" for note in (names, gone) if note]
    return known(found, table.source, tokens=tokens, y=y, notes=tuple(notes))


def _column(table: Table, quantity: str) -> str | None:
    """The column of a quantity. Raises UsageError where several could be it."""
    found = column_of(quantity, table.columns)
    others = [name for name in table.columns if quantity_of(name) == quantity]
    if found is None and others:
        raise UsageError(
            f"{table.source}: {' and '.join(others)} could each be the {quantity}: "
            f"call one of them {LETTERS.get(quantity, quantity)}"
        )
    return found


def _of_series(path: Path) -> KnownLaw:
    series = read_series(path)
    series.check_alike()
    try:
        found = series.law_of_both or series.law_of_size
    except MinillmError as error:
        raise UsageError(f"{path}: no law to plan with: {error}") from None
    run = series.fitted[-1]
    one_length = series.points_of_size[0].tokens
    more = {
        "tokens": None if len(found.variables) > 1 else float(one_length),
        "model": run.get("model") or run.get("config") or {},
        "text": {
            name: value
            for name in ("data", "tokenizer")
            if (value := run.get("options", name))
        },
        "corpus_tokens": run.get("data", "train_tokens"),
    }
    stated = _stated(series.scale, len(found.variables))
    answer = known(found, str(path), **more)
    if stated is None or _agree(stated, found):
        return answer
    return KnownLaw(
        law=Law.of(stated["parameters"]),
        source=answer.source,
        formula=stated.get("law") or answer.formula,
        interval95=stated.get("interval95") or {},
        ranges=answer.ranges,
        warnings=tuple(stated.get("warnings") or ()),
        **more,
    )


@contextlib.contextmanager
def _no_law(source: str) -> Iterator[None]:
    """Turn a value of a wrong kind inside the block into a DataError."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise DataError(f"{source}: {NO_LAW} ({error})") from None


def _stated(scale: dict, n_variables: int) -> dict | None:
    """The law of so many variables in a scale.json; None without any."""
    for value in scale.values():
        if isinstance(value, dict) and isinstance(value.get("parameters"), dict):
            names = value["parameters"]
            if "alpha" in names and ("beta" in names) == (n_variables == 2):
                return value
    return None


def _agree(stated: dict, found: LawFit) -> bool:
    law = Law.of(stated["parameters"])
    return bool(
        np.all(np.abs(law.loss(*found.x) / found.predict(*found.x) - 1) < DIFFERENT)
    )
