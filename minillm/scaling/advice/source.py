"""Where a law to plan with comes from: a series, a table, or `fit --json`."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minillm.errors import DataError, MinillmError, UsageError
from minillm.kinds import NUMBER, POSITIVE, Number, check
from minillm.reading import read_object
from minillm.scaling.advice.optimum import Law
from minillm.scaling.compare.runs import SCALE, read_series
from minillm.scaling.fitting import fit
from minillm.scaling.law import LawFit
from minillm.scaling.table import read_table

DIFFERENT = 1e-3  # of a loss
EXPONENT = Number(-100, 100)
CONSTANTS = {
    "E?": NUMBER,
    "A": NUMBER,
    "alpha": EXPONENT,
    "B?": NUMBER,
    "beta?": EXPONENT,
}
# What `minillm fit --json` or `scale --json` prints, as far as it is read here.
FIT = {
    "law?": str,
    "parameters": {str: NUMBER},
    "interval95?": {str: [NUMBER, NUMBER]},
    "ranges?": {str: [POSITIVE, POSITIVE]},
    "warnings?": [str],
}


@dataclass(frozen=True)
class KnownLaw:
    """A law, how surely it is known, and from where.

    samples: the laws that could be, as arrays; None where only constants are known.
    ranges: {"N": (least, largest), "D": …} of the data. tokens: the one D of a law of N
    alone. model: settings of the models it was measured on; text: their `data` and
    `tokenizer`. corpus_tokens: of its text.
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


def read_law(source: str | Path | None = None) -> KnownLaw:
    """The law in a series folder, a CSV file or a JSON file; by default that of the
    newest series in runs/.

    A CSV file has columns N, loss, and D for a law of both. Raises DataError or
    UsageError.
    """
    path = newest_series() if source is None else Path(source)
    if path.is_dir():
        return _of_series(path)
    if path.suffix.lower() != ".json":
        return _of_table(path)
    if path.name == "scale.json":
        return _of_series(path.parent)
    return _of_record(path)


def newest_series(runs: Path = Path("runs")) -> Path:
    """The series in runs/ that was finished last. Raises DataError."""
    found = sorted(runs.glob("*/scale.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise DataError(
            f"{runs}: holds no finished series: train one with `minillm scale`, or "
            f"give a law with --law"
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
        law=_law(found.parameters),
        source=source,
        formula=found.law,
        interval95=found.interval95,
        samples=_samples(found),
        ranges=ranges,
        **more,
    )


def _of_table(path: Path) -> KnownLaw:
    table = read_table(path)
    names = {name.lower(): name for name in table.columns}
    if "n" not in names or "loss" not in names:
        raise UsageError(
            f"{path}: needs columns N and loss (and D): it has "
            f"{', '.join(table.columns)}; fit it with `minillm fit … --json` and give "
            f"that file"
        )
    d = names.get("d")
    tokens = np.unique(table.numbers(d)) if d else np.array([])
    x = [names["n"], d] if len(tokens) > 1 else [names["n"]]
    found = fit(table, x, names["loss"])
    return known(
        found, str(path), tokens=float(tokens[0]) if len(tokens) == 1 else None
    )


def _of_series(path: Path) -> KnownLaw:
    series = read_series(path)
    if series.several:
        raise UsageError(
            f"{path}: its runs are of different {' and '.join(series.several)}: no one "
            f"law holds for them"
        )
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
        law=_law(stated["parameters"]),
        source=answer.source,
        formula=stated.get("law") or answer.formula,
        interval95=stated.get("interval95") or {},
        ranges=answer.ranges,
        warnings=tuple(stated.get("warnings") or ()),
        **more,
    )


def _of_record(path: Path) -> KnownLaw:
    """What `minillm fit --json` or `scale --json` has printed."""
    source, record = str(path), read_object(path)
    with _no_law(source):
        if "parameters" not in record and isinstance(record.get("law"), dict):
            check(record, SCALE)
            record = _stated(record, 2) or record["law"]
        check(record, FIT)
    formula = record.get("law") or ""
    variables = re.findall(r"[AB]·(\w+)\^", formula)
    if variables and not variables[0].lower().startswith(("n", "param")):
        raise UsageError(
            f"{source}: the law's first variable is {variables[0]}, not the parameters "
            f"N: fit with --x N, or --x N --x D"
        )
    with _no_law(source):
        found = record["parameters"]
        check(found, CONSTANTS, "parameters")
        if ("B" in found) != ("beta" in found):
            raise ValueError("of B and beta, it has one")
        law = _law(found)
    warnings = list(record.get("warnings") or ())
    ranges = {
        name: tuple(ends)
        for name, ends in zip("ND", (record.get("ranges") or {}).values(), strict=False)
    }
    if not ranges:
        warnings.append(
            f"{source} does not say over which N and D the law was measured: whether "
            f"the answers lie within them is not known"
        )
    return KnownLaw(
        law=law,
        source=source,
        formula=formula,
        interval95=record.get("interval95") or {},
        ranges=ranges,
        warnings=tuple(warnings),
    )


@contextlib.contextmanager
def _no_law(source: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{source}: holds no law ({error}): give what `minillm fit --json` prints, "
            f"a CSV file, or a folder of `minillm scale`"
        ) from None


def _stated(scale: dict, n_variables: int) -> dict | None:
    """The law of so many variables that scale.json states; None where there is none."""
    for value in scale.values():
        if isinstance(value, dict) and isinstance(value.get("parameters"), dict):
            names = value["parameters"]
            if "alpha" in names and ("beta" in names) == (n_variables == 2):
                return value
    return None


def _agree(stated: dict, found: LawFit) -> bool:
    law = _law(stated["parameters"])
    return bool(
        np.all(np.abs(law.loss(*found.x) / found.predict(*found.x) - 1) < DIFFERENT)
    )


def _law(parameters: dict) -> Law:
    return Law(**{"E": 0.0, **{name: float(v) for name, v in parameters.items()}})


def _samples(found: LawFit) -> Law:
    """The laws of all resamples at once."""
    columns = found.form.natural(found.resamples.theta).T
    named = dict(zip(found.parameters, columns, strict=True))
    return Law(**{"E": np.zeros(columns.shape[1]), **named})
