"""Huber loss of the residuals, which a fit minimises, with its exact derivatives."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from minillm.laws.formula import Form, terms

# Huber's loss is quadratic within delta and linear outside: with no end to delta it is
# least squares, and as delta goes to 0 (each step a start for the next) it is l1.
DELTAS = {
    "huber": (1e-3,),
    "l1": (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10),
    "lsq": (np.inf,),
}
EPSILON = np.finfo(float).eps


@dataclass(frozen=True)
class Problem:
    """The points and the objective of a fit: Σ weight · huber(residual).

    log_x: (variables, n). y and weights: (curves, n), one row for each data set that a
    curve is fitted to. A residual is ln(curve) − ln(y) where in_logs, as in Hoffmann et
    al. (2022), equation 3, else curve − y; it is divided by sigma (n,). loss: a key of
    DELTAS; delta: Huber's, one of its values.
    """

    form: Form
    log_x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    sigma: np.ndarray
    in_logs: bool = True
    loss: str = "huber"
    delta: float = 1e-3

    def curves(self, index) -> "Problem":
        """The same points with the data sets of some of the curves."""
        return replace(self, y=self.y[index], weights=self.weights[index])

    def about(self, centre: np.ndarray) -> "Problem":
        """The same points with ln x counted from `centre` (variables, 1)."""
        return replace(self, log_x=self.log_x - centre)

    def residuals(self, theta: np.ndarray) -> np.ndarray:
        """(curves, n); NaN or infinite where a curve has no logarithm."""
        signed = self.form.sign * terms(theta, self.log_x)
        return self._difference(theta[:, :1] + signed.sum(1))

    def objective(self, theta: np.ndarray) -> np.ndarray:
        """(curves,); infinite where a residual is."""
        return self._sum(np.abs(self.residuals(theta)))

    def total(self, residuals: np.ndarray) -> float:
        """Σρ(r): ρ is r²/2 for `lsq`, |r| for `l1`, Huber's loss with δ = 1e-3."""
        size = np.abs(residuals)
        loss = size if self.loss == "l1" else huber(size, DELTAS[self.loss][0])
        return float(loss.sum())

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """The residuals' derivatives by the unknowns: (curves, unknowns, n)."""
        signed, _, unit = self._parts(theta)
        by_theta = self._by_theta(signed, unit)
        if self.form.tied:
            by_theta = fold(by_theta)
        return by_theta[:, self.form.free]

    def slopes(self, theta: np.ndarray) -> "Slopes":
        """The objective of every curve with its derivatives by theta."""
        theta = self.form.untied(theta)
        signed, curve, unit = self._parts(theta)
        residual = self._difference(curve)
        size = np.abs(residual)
        jacobian = self._by_theta(signed, unit)

        # np.clip and fancy indices cost more than the sums of so few points.
        pull = self.weights * np.maximum(np.minimum(residual, self.delta), -self.delta)
        inside = self.weights * (size <= self.delta)
        # (ln m)'' = m''/m − (m'/m)²: in logs, the square joins the first-order part.
        first_order = inside - self.sigma * pull if self.in_logs else inside
        hessian = (jacobian * first_order[:, None]) @ jacobian.swapaxes(1, 2)
        bend = signed * (pull / unit)[:, None]
        amplitudes = bend.sum(2)
        mixed = (bend * self.log_x).sum(2)
        exponents = (bend * self.log_x**2).sum(2)
        for at in range(len(self.log_x)):
            a, alpha = 1 + 2 * at, 2 + 2 * at
            hessian[:, a, a] += amplitudes[:, at]
            hessian[:, a, alpha] -= mixed[:, at]
            hessian[:, alpha, a] -= mixed[:, at]
            hessian[:, alpha, alpha] += exponents[:, at]
        even = self.weights * np.minimum(1, self.delta / np.maximum(size, 1e-300))

        strength = np.abs(pull)
        pull_rounding = inside * self.last_digit + 4 * EPSILON * strength
        slopes = Slopes(
            value=self._sum(size),
            gradient=(jacobian @ pull[:, :, None])[:, :, 0],
            gradient_rounding=(np.abs(jacobian) @ pull_rounding[:, :, None])[:, :, 0],
            hessian=hessian,
            reweighted=(jacobian * even[:, None]) @ jacobian.swapaxes(1, 2),
            rounding=self.least + (strength * self.last_digit).sum(1),
            least=self.least,
        )
        return slopes.tied() if self.form.tied else slopes

    @cached_property
    def log_y(self) -> np.ndarray:
        return np.log(self.y)

    @cached_property
    def last_digit(self) -> np.ndarray:
        """The rounding error of residuals: (curves, n)."""
        size_of_y = 1 + np.abs(self.log_y) if self.in_logs else np.abs(self.y)
        return 4 * EPSILON * size_of_y / self.sigma

    @cached_property
    def least(self) -> np.ndarray:
        """The objective that rounding cannot tell from 0: (curves,)."""
        return (self.weights * self.last_digit**2).sum(1)

    def _parts(self, theta: np.ndarray):
        """The terms with their signs (curves, variables, n), the curve (curves, n), and
        the divisor of its changes in a residual (curves, n)."""
        signed = self.form.sign * terms(theta, self.log_x)
        curve = theta[:, :1] + signed.sum(1)
        unit = self.sigma * (curve if self.in_logs else np.ones_like(curve))
        return signed, curve, unit

    def _by_theta(self, signed: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """The residuals' derivatives by an untied theta: (curves, columns, n)."""
        curves, variables, n = signed.shape
        by_theta = np.empty((curves, 1 + 2 * variables, n))
        by_theta[:, 0] = 1
        by_theta[:, 1::2] = signed
        by_theta[:, 2::2] = -self.log_x * signed
        return by_theta / unit[:, None]

    def _difference(self, curve: np.ndarray) -> np.ndarray:
        if not self.in_logs:
            return (curve - self.y) / self.sigma
        with np.errstate(invalid="ignore", divide="ignore"):
            return (np.log(curve) - self.log_y) / self.sigma

    def _sum(self, size: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):
            total = huber(size, self.delta, self.weights).sum(1)
        return np.where(np.isfinite(total), total, np.inf)


def huber(size: np.ndarray, delta: float, weights=1.0) -> np.ndarray:
    """Huber's loss of residuals of this size, weighted: size²/2 up to delta, and beyond
    it the tangent delta·(size − delta/2)."""
    near = np.minimum(size, delta)
    return weights * near * (size - 0.5 * near)


@dataclass(frozen=True)
class Slopes:
    """The objective of every curve, with gradient and Hessian for Newton's method.

    reweighted: the matrix of iteratively reweighted least squares, always positive. It
    leads down from anywhere, the Hessian to the last digit.
    rounding, gradient_rounding: the rounding errors of value and gradient; least: a
    value that rounding cannot tell from 0.
    """

    value: np.ndarray
    gradient: np.ndarray
    gradient_rounding: np.ndarray
    hessian: np.ndarray
    reweighted: np.ndarray
    rounding: np.ndarray
    least: np.ndarray

    def tied(self) -> "Slopes":
        """The slopes of the same curves by a single exponent."""

        def fold_both(matrix: np.ndarray) -> np.ndarray:
            return fold(fold(matrix).swapaxes(1, 2))

        return replace(
            self,
            gradient=fold(self.gradient),
            gradient_rounding=fold(self.gradient_rounding),
            hessian=fold_both(self.hessian),
            reweighted=fold_both(self.reweighted),
        )

    def newton(self, held: np.ndarray, damping: np.ndarray):
        """The step for every curve, with the `held` parameters (curves, columns) fixed.

        damping (curves,): 0 gives Newton's step; more makes it shorter and nearer to
        that of reweighted least squares. Returns the step, twice the decrease that it
        promises, and the Hessian in units in which `reweighted` has ones on its
        diagonal.
        """
        scale = np.sqrt(np.einsum("rii->ri", self.reweighted))
        scale = np.where(held | (scale == 0), 1, scale)
        units = scale[:, :, None] * scale[:, None, :]
        free = ~held[:, :, None] & ~held[:, None, :]
        eye = np.eye(held.shape[1])
        gradient = np.where(held, 0, self.gradient / scale)
        hessian = np.where(free, self.hessian / units, eye)
        reweighted = np.where(free, self.reweighted / units, eye)
        bends, along = np.linalg.eigh(hessian + damping[:, None, None] * reweighted)
        # Downhill also where the objective bends down.
        bends = np.maximum(np.abs(bends), 1e-13)
        part = (along * gradient[:, :, None]).sum(1) / bends
        # Rounding may not move a held parameter.
        step = np.where(held, 0, -(along * part[:, None]).sum(2))
        return step / scale, -(gradient * step).sum(1), hessian


def fold(slope: np.ndarray) -> np.ndarray:
    """The slope by a tied exponent, the sum of those by alpha and by beta:
    (curves, 5, ...) -> (curves, 4, ...)."""
    slope = slope.copy()
    slope[:, 2] += slope[:, 4]
    return slope[:, :4]
