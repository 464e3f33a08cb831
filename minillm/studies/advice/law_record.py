"""Record of a law, as `fit --json` or `scale --json` prints it, read back.

Its `variables` say which quantity goes with A and alpha, and which with B and beta. An
older record, or one written by hand, may have its formula alone.
"""

import re

from minillm.errors import DataError, UsageError, option
from minillm.kinds import Number, check
from minillm.laws.quantities import quantity_of, renamed
from minillm.studies.advice.compute_optimal import Law

PAIRS = {"A": "alpha", "B": "beta"}
AMPLITUDE = Number(-1e300, 1e300)  # 1e6 tokens to the power of 6 are 1e36
EXPONENT = Number(-100, 100)
CONSTANTS = {
    "E?": AMPLITUDE,
    "A": AMPLITUDE,
    "alpha": EXPONENT,
    "B?": AMPLITUDE,
    "beta?": EXPONENT,
}
PLANNED = {"parameters": "N", "tokens": "D"}
TERM = r"[AB]·(.+?)\^\([−-](?:alpha|beta)\)"
OTHERWISE = {"perplexity": ", or --y of a column of ln(perplexity), which is a loss"}
NO_LAW = (
    "holds no law: give what `minillm fit --json` prints, a table, or a folder of "
    "`minillm scale`"
)


def law_of_record(record: dict, source: str) -> dict:
    """The `law`, and `constants`, `interval95`, `formula`, `y`, `ranges`, `warnings`
    and `notes` of a KnownLaw; constants and intervals have the names of the formula.

    Raises UsageError for a law of other quantities than N and D, or of no loss, and
    DataError for a record of no law.
    """
    if not isinstance(record.get("parameters"), dict):
        raise DataError(f"{source}: {NO_LAW}")
    formula = str(record.get("law") or "a law")
    y, notes = _measured(record, formula, source)
    variables = _variables(record, formula, source)
    if not variables:
        notes.append(
            "does not say what its variables are: A is taken for the term of N, B for "
            "that of D"
        )
        variables = list(PLANNED.items())[: 1 + ("B" in record["parameters"])]
    of = dict(variables)
    notes += filter(None, [renamed(of)])
    constants = _constants(record["parameters"], len(variables), source)
    terms = dict(zip(of, PAIRS.items(), strict=False))
    law = {"E": constants.get("E", 0.0)}
    for name, quantity in zip(PAIRS, PLANNED, strict=True):
        if quantity in terms:
            amplitude, exponent = terms[quantity]
            law |= {name: constants[amplitude], PAIRS[name]: constants[exponent]}
    ranges = _pairs(record.get("ranges"))
    ranges = {
        letter: found
        for quantity, letter in PLANNED.items()
        if (found := ranges.get(of.get(quantity)) or ranges.get(letter))
    }
    warnings = record.get("warnings") or []
    warnings = [warnings] if isinstance(warnings, str) else list(warnings)
    if not ranges:
        warnings.append(
            f"{source} does not say over which N and D the law was measured: whether "
            f"the answers lie within them is not known"
        )
    return {
        "law": Law(**law),
        "constants": constants,
        "formula": formula,
        "y": y,
        "interval95": _pairs(record.get("interval95")),
        "ranges": ranges,
        "warnings": tuple(map(str, warnings)),
        "notes": tuple(f"{source}: {note}" for note in notes),
    }


def _measured(record: dict, formula: str, source: str) -> tuple[str, list[str]]:
    """The name of y, and a note where the name does not say that it is a loss."""
    left, equals, right = formula.partition(" = ")
    said = record.get("measured")
    said = said if isinstance(said, dict) else {}
    y = str(said.get("column") or (left if equals else "loss"))
    quantity = quantity_of(str(said.get("quantity") or y))
    if re.match(r"E [−-]", right):
        quantity = "which rises towards E"
    if quantity not in (None, "loss"):
        raise UsageError(
            f"{source}: its law is of {y}, {quantity}, and `plan` advises on a loss: "
            f"fit with {option('y', 'loss')}{OTHERWISE.get(quantity, '')}"
        )
    return y, [] if quantity else [f"{y} is taken for a loss, in its own unit"]


def _variables(record: dict, formula: str, source: str) -> list[tuple[str, str]]:
    """(quantity, column) of A's term, and of B's if it has one; [] where the record
    names none. Raises UsageError for other quantities than N, or N and D."""
    columns = re.findall(TERM, formula)
    said = record.get("variables")
    if said is None:
        found = [(quantity_of(column), column) for column in columns]
    elif isinstance(said, list) and all(isinstance(one, dict) for one in said):
        found = [
            (
                quantity_of(str(one.get("quantity") or one.get("column"))),
                one.get("column"),
            )
            for one in said
        ]
        if columns and columns != [column for _, column in found]:
            raise DataError(
                f"{source}: the law is of {', '.join(columns)}, and its `variables` "
                f"are others: correct one of them"
            )
    else:
        raise DataError(
            f'{source}: variables: write [{{"column": "N", "quantity": "parameters"}}]'
        )
    for place, (quantity, column) in zip(("first", "second"), found, strict=False):
        if quantity is None:
            raise UsageError(
                f"{source}: the law's {place} variable, {column}, could be anything: "
                f"call its column N (parameters) or D (tokens) and fit again, or write "
                f"`parameters` or `tokens` as its quantity into `variables`"
            )
        if quantity not in PLANNED:
            raise UsageError(
                f"{source}: the law's {place} variable, {column}, is {quantity}, and "
                f"`plan` needs parameters N and tokens D: fit with "
                f"{option('x', 'N', 'D')}"
            )
    quantities = [quantity for quantity, _ in found]
    if found and sorted(quantities) not in (["parameters"], ["parameters", "tokens"]):
        names = " and ".join(f"{column} ({quantity})" for quantity, column in found)
        raise UsageError(
            f"{source}: the law is of {names}, and `plan` needs the parameters N "
            f"first, then the tokens D: fit with {option('x', 'N', 'D')}"
        )
    return found


def _constants(parameters: dict, n_variables: int, source: str) -> dict[str, float]:
    names = [name for pair in PAIRS.items() for name in pair][: 2 * n_variables]
    if set(parameters) - {"E"} != set(names):
        raise DataError(
            f"{source}: a law of {n_variables} variables has the parameters E, "
            f"{', '.join(names)}, not {', '.join(parameters) or 'none'}"
        )
    found = {name: _number(value) for name, value in parameters.items()}
    try:
        check(found, CONSTANTS, "parameters")
    except ValueError as error:
        raise DataError(f"{source}: {error}") from None
    return found


def _number(value):
    """A number, also one that was written as a text; anything else as it stands."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _pairs(record) -> dict[str, tuple[float, float]]:
    """{name: its two ends}, without those that are not known."""
    return {
        name: tuple(ends)
        for name, ends in (record.items() if isinstance(record, dict) else ())
        if isinstance(ends, list)
        and len(ends) == 2
        and all(isinstance(end, int | float) for end in ends)
    }
