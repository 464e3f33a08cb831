"""Formula of a law: y = E + A·x^(−alpha), or E + A/N^alpha + B/D^beta.

A curve is a row of numbers `theta` = [E, ln A, alpha, ln B, beta] (the last two with a
second variable only, no beta where it is tied to alpha): ln A, because A is positive
and may be huge.
Every function here takes many curves at once: theta is (curves, columns).
"""

from dataclasses import dataclass

import numpy as np

AMPLITUDES = ("A", "B")
EXPONENTS = ("alpha", "beta")
COLUMNS = ("E", "A", "alpha", "B", "beta")  # of theta, A and B by their logarithms


@dataclass(frozen=True)
class Form:
    """The form of a law: its variables, and whether it has a floor E or a ceiling E.

    variables: their names, one or two, e.g. ("N",) or ("N", "D").
    floor: False is the pure power law, E = 0.
    ceiling: True is y = E − A·x^(−alpha), which rises towards E, as accuracy does.
    tied: True is one exponent for both variables, beta = alpha.
    fixed: ((name, value), ...) of known parameters, which are not fitted.
    """

    variables: tuple[str, ...]
    floor: bool = True
    ceiling: bool = False
    tied: bool = False
    fixed: tuple[tuple[str, float], ...] = ()

    @property
    def sign(self) -> float:
        return -1.0 if self.ceiling else 1.0

    @property
    def n_columns(self) -> int:
        """The length of theta; E keeps its place where there is no floor."""
        return 1 + 2 * len(self.variables) - self.tied

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters: E, A, alpha, B, beta."""
        pairs = zip(AMPLITUDES, EXPONENTS, strict=True)
        names = [name for pair in pairs for name in pair][: 2 * len(self.variables)]
        return ("E", *names) if self.floor else tuple(names)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of theta's columns; a tied beta has none."""
        return COLUMNS[: self.n_columns]

    @property
    def held(self) -> np.ndarray:
        """(columns,): the fixed values of theta, NaN where it is fitted."""
        held = np.full(self.n_columns, np.nan)
        if not self.floor:
            held[0] = 0
        for name, value in self.fixed:
            column = self.columns.index(name)
            held[column] = np.log(value) if name in AMPLITUDES else value
        return held

    @property
    def free(self) -> np.ndarray:
        """The columns of theta that are fitted."""
        return np.flatnonzero(np.isnan(self.held))

    @property
    def unknowns(self) -> tuple[str, ...]:
        """The names of the fitted parameters, in the order of theta."""
        return tuple(self.columns[column] for column in self.free)

    @property
    def exponents(self) -> tuple[str, ...]:
        """The names of the fitted exponents: alpha, beta."""
        return tuple(name for name in EXPONENTS if name in self.unknowns)

    @property
    def seeks_floor(self) -> bool:
        """Whether a floor E is fitted, which might be 0."""
        return not self.ceiling and "E" in self.unknowns

    def formula(self, y: str) -> str:
        """The law as a line of text, e.g. `loss = E + A·N^(−alpha)`."""
        operator = " − " if self.ceiling else " + "
        terms = [
            f"{amplitude}·{variable}^(−{exponent})"
            for variable, amplitude, exponent in zip(
                self.variables,
                AMPLITUDES,
                2 * EXPONENTS[:1] if self.tied else EXPONENTS,
                strict=False,
            )
        ]
        start = f"{y} = E{operator}" if self.floor else f"{y} = "
        return start + operator.join(terms)

    def untied(self, theta: np.ndarray) -> np.ndarray:
        """The same curves with a beta of their own."""
        return np.concatenate([theta, theta[:, 2:3]], 1) if self.tied else theta

    def natural(self, theta: np.ndarray) -> np.ndarray:
        """(curves, columns) -> (curves, names): A in place of ln A, no E = 0."""
        values = self.untied(theta).copy()
        values[:, 1::2] = np.exp(theta[:, 1::2])
        for name, value in self.fixed:
            values[:, COLUMNS.index(name)] = value
        return values if self.floor else values[:, 1:]


def terms(theta: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    """A·x^(−alpha) by variable: log_x (variables, n) -> (curves, variables, n).

    A tied exponent, the only one, is broadcast over the variables.
    """
    # Too large a step may end at infinity; the minimiser sees that and goes back.
    with np.errstate(over="ignore"):
        return np.exp(theta[:, 1::2, None] - theta[:, 2::2, None] * log_x)


def values(form: Form, theta: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    """y of every curve at every x: (curves, n)."""
    return theta[:, :1] + form.sign * terms(theta, log_x).sum(1)
