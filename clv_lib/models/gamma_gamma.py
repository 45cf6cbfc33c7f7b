"""Gamma-Gamma model of mean spend: Fader, Hardie and Lee 2005 (RFM and CLV); Fader and Hardie 2013, note 025."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from clv_lib.models import fitting, limits
from clv_lib.models.curvature import symmetric
from clv_lib.models.sufficient_statistics import DistinctRows, FloatArray, SpendStatistics, as_floats

_STARTS = ((2.0, 3.0, 2.0), (1.0, 1.5, 0.5), (6.0, 4.0, 0.5), (0.5, 8.0, 10.0), (20.0, 20.0, 1.0))
_CONSTRAINED_STARTS = tuple((p, q - 1) for p, q, _ in _STARTS)

LARGEST_SHAPE = 1e4
"""Where p or q - 1 is held if the likelihood rises without end: values then have a standard deviation of 1 %."""

MOST_TIMES_THE_MEAN = 2.0
"""A population mean of more than so many times the mean that was observed is said by the tail, not by customers."""


@dataclass(frozen=True)
class GammaGamma:
    """Value of a purchase ~ Gamma(p, nu), nu ~ Gamma(q, v); independent of how often the customer buys.

    v is in the currency of the spend. Only q > 1 has a finite mean: other parameters raise ValueError.
    """

    p: float
    q: float
    v: float

    name: ClassVar[str] = "gamma_gamma"
    parameter_names: ClassVar[tuple[str, ...]] = ("p", "q", "v")

    def __post_init__(self) -> None:
        """Refuse parameters without a finite mean spend."""
        if not (0 < self.p < np.inf and 1 < self.q < np.inf and 0 < self.v < np.inf):
            raise ValueError(f"gamma_gamma needs p > 0, q > 1 and v > 0; found {self}")

    @classmethod
    def fit(cls, statistics: SpendStatistics, *, minimum_customers: int = 1) -> fitting.Fitted[GammaGamma]:
        """Estimate p, q, v.

        Where that gives no finite mean that is near the observed one (q at most 1, or hardly above it: a heavy tail, as
        of a few companies among consumers), or no peak (values that hardly differ), the mean is given instead: p and q
        are estimated with p v / (q - 1) equal to the mean over customers, and with p and q - 1 up to LARGEST_SHAPE. The
        status is then 'mean_constrained'.
        """
        rows = statistics.distinct()
        counts = statistics.customer_count, len(rows)
        if statistics.customer_count < max(minimum_customers, 1):
            return fitting.refused(cls.name, cls.parameter_names, fitting.TOO_FEW_CUSTOMERS, *counts)
        total_weight = float(np.sum(rows.weight))
        scale = float(np.exp(np.sum(rows.weight * np.log(rows.columns[1].rows)) / total_weight))
        units, log_scale = np.array([1.0, 1.0, scale]), -total_weight * float(np.log(scale))
        surface = _Likelihood(rows, scale)
        likelihood = fitting.Likelihood(surface.evaluate, surface.hessian, total_weight, units, log_scale, _STARTS)
        optimum = fitting.maximise(likelihood)
        parameters, covariance, total = fitting.natural_scale(likelihood, optimum)
        status, gradient_norm = optimum.status, optimum.gradient_norm
        if status != fitting.CONVERGED or not _has_mean_near(parameters, surface.mean * scale):
            status = fitting.INFINITE_MEAN_SPEND if status == fitting.CONVERGED else status
            found = _with_observed_mean(surface)
            if found is not None:
                status, gradient_norm = fitting.MEAN_CONSTRAINED, found.gradient_norm
                parameters, total = found.parameters * units, found.log_likelihood + log_scale
                covariance = found.log_covariance * np.outer(parameters, parameters)
        model = cls(*map(float, parameters)) if status in fitting.USABLE else None
        return fitting.Fitted(
            cls.name, cls.parameter_names, status, model, parameters, covariance, total, *counts,
            gradient_norm, optimum.evaluations,
        )  # fmt: skip

    @property
    def population_mean(self) -> float:
        """Expected spend per purchase of a customer about whom nothing is known: p v / (q - 1)."""
        return self.p * self.v / (self.q - 1)

    def log_likelihood(self, frequency: ArrayLike, mean_spend: ArrayLike) -> FloatArray:
        """Log-density of the mean spend of each row with at least one repeat purchase."""
        return self._log_density(self.q, self.v, frequency, mean_spend)

    def later_log_likelihood(
        self, frequency: ArrayLike, mean_spend: ArrayLike, later_frequency: ArrayLike, later_spend: ArrayLike
    ) -> FloatArray:
        """Log-density of the mean spend of later purchases, at least one per row, given (x, m) of the ones before.

        Of log_likelihood with the posterior A = q + p x and B = v + x m for q and v; m does not matter where x = 0.
        """
        known = self.spend_moments(frequency, mean_spend)
        return self._log_density(known.shape, known.scale, later_frequency, later_spend)

    def _log_density(self, q: ArrayLike, v: ArrayLike, frequency: ArrayLike, mean_spend: ArrayLike) -> FloatArray:
        """Of the mean of x purchases of a customer with nu ~ Gamma(q, v)."""
        x, m, before = as_floats(frequency), as_floats(mean_spend), as_floats(q)
        shape, relative = self.p * x, x * m / as_floats(v)
        total: FloatArray = (
            -special.betaln(shape, before) - before * np.log1p(relative) - shape * np.log1p(1 / relative) - np.log(m)
        )
        return total

    def expected_spend(self, frequency: ArrayLike, mean_spend: ArrayLike) -> FloatArray:
        """E[M | x, m] = p (v + x m) / (p x + q - 1); the population mean where x = 0, whatever m is there."""
        x, m = np.broadcast_arrays(as_floats(frequency), as_floats(mean_spend))
        spent = np.where(x == 0, 0.0, x * m)
        expected: FloatArray = self.p * (self.v + spent) / (self.p * x + self.q - 1)
        return expected

    def spend_moments(self, frequency: ArrayLike, mean_spend: ArrayLike) -> SpendMoments:
        """What is known of a customer's spend: nu given (x, m) is Gamma(A, B), A = q + p x, B = v + x m.

        Arguments broadcast; where x = 0 the mean spend does not matter, else NaN in gives NaN out.
        """
        x, m = np.broadcast_arrays(as_floats(frequency), as_floats(mean_spend))
        return SpendMoments(self.p, self.q + self.p * x, self.v + np.where(x == 0, 0.0, x * m))

    def expected_spend_gradient(self, frequency: ArrayLike, mean_spend: ArrayLike) -> FloatArray:
        """Derivatives of E[M | x, m] = p B / (A - 1) in ln p, ln q, ln v on a last axis.

        They are E (q - 1) / (A - 1), -E q / (A - 1) and E v / B.
        """
        known = self.spend_moments(frequency, mean_spend)
        below = known.shape - 1
        shares = [(self.q - 1) / below, -self.q / below, self.v / known.scale]
        return np.asarray(known.mean[..., None] * np.stack(shares, axis=-1), dtype=np.float64)


@dataclass(frozen=True)
class SpendMoments:
    """Posterior of a customer's mean spend M = p / nu, nu ~ Gamma(shape A, rate B), and of single purchases.

    p: shape of a purchase's value given nu; shape and scale: arrays A and B, scale in currency.
    """

    p: float
    shape: FloatArray
    scale: FloatArray

    @property
    def mean(self) -> FloatArray:
        """E[M] = p B / (A - 1)."""
        return self.p * self.scale / (self.shape - 1)

    @property
    def second_moment(self) -> FloatArray:
        """E[M^2] = p^2 B^2 / ((A - 1) (A - 2)); infinite where A <= 2."""
        return self.p * self.purchase_variance

    @property
    def purchase_variance(self) -> FloatArray:
        """E[p / nu^2] = p B^2 / ((A - 1) (A - 2)), the variance of a purchase given nu; infinite where A <= 2."""
        finite = self.shape > 2
        below = np.where(finite, (self.shape - 1) * (self.shape - 2), 1.0)
        return np.where(finite | np.isnan(self.shape), self.p * self.scale**2 / below, np.inf)


class _Likelihood:
    """Total log-likelihood and gradient in (p, q, v) over distinct (x, m), spend divided by scale.

    mean, variance_of_mean: of m over customers, divided by scale.
    """

    def __init__(self, rows: DistinctRows, scale: float) -> None:
        frequency, mean = rows.columns
        self.x, self.code, self.weight = frequency.values, frequency.code, rows.weight
        self.spent = (mean.values / scale)[mean.code] * frequency.rows
        self.weight_of_x = np.bincount(self.code, rows.weight, len(self.x))
        self.log_spent_of_x = np.bincount(self.code, rows.weight * np.log(self.spent), len(self.x))
        self.log_mean = float(np.sum(rows.weight * np.log(mean.values / scale)[mean.code]))
        values, self.total_weight = mean.rows / scale, float(np.sum(rows.weight))
        self.mean = float(np.sum(rows.weight * values)) / self.total_weight
        self.variance_of_mean = float(np.sum(rows.weight * (values - self.mean) ** 2)) / self.total_weight**2

    def evaluate(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """ll = -ln B(px, q) + q ln v + px ln(xm) - (px + q) ln(xm + v) - ln m, summed with weights."""
        p, q, v = map(float, parameters)
        shape, weight, total = p * self.x, self.weight_of_x, float(np.sum(self.weight))
        log_all = np.bincount(self.code, self.weight * np.log(self.spent + v), len(self.x))
        inverse = np.bincount(self.code, self.weight / (self.spent + v), len(self.x))
        both, log_v = special.digamma(shape + q), float(np.log(v))
        per_x = shape * self.log_spent_of_x - (shape + q) * log_all - weight * special.betaln(shape, q)
        value = float(np.sum(per_x)) + total * q * log_v - self.log_mean
        by_p = self.x * (weight * (both - special.digamma(shape)) + self.log_spent_of_x - log_all)
        by_q = weight * (both - special.digamma(q)) - log_all
        by_v = total * q / v - float(np.sum((shape + q) * inverse))
        return value, np.array([float(np.sum(by_p)), float(np.sum(by_q)) + total * log_v, by_v])

    def hessian(self, parameters: FloatArray) -> FloatArray:
        """Second derivatives in the order p, q, v."""
        p, q, v = map(float, parameters)
        x, weight, total = self.x, self.weight_of_x, float(np.sum(self.weight))
        inverse, square = (np.bincount(self.code, self.weight / (self.spent + v) ** power, len(x)) for power in (1, 2))
        both, bought, before = (special.polygamma(1, shape) for shape in (p * x + q, p * x, q))
        return symmetric(
            (np.sum(x**2 * weight * (both - bought)), np.sum(x * weight * both), -np.sum(x * inverse)),
            (np.sum(weight * (both - before)), total / v - np.sum(inverse)),
            (np.sum((p * x + q) * square) - total * q / v**2,),
        )


def _has_mean_near(parameters: FloatArray, mean: float) -> bool:
    """Whether the population mean is finite, and not far above the mean that was observed."""
    p, q, v = map(float, parameters)
    return q > 1 and p * v / (q - 1) <= MOST_TIMES_THE_MEAN * mean


@dataclass(frozen=True)
class _Constrained:
    """An estimate with the observed mean, spend divided by scale; log_covariance of ln p, ln q and ln v."""

    parameters: FloatArray
    log_covariance: FloatArray
    log_likelihood: float
    gradient_norm: float


class _WithObservedMean:
    """Log-likelihood in p and e = q - 1, with v = mean e / p."""

    def __init__(self, surface: _Likelihood) -> None:
        self.surface = surface

    def parameters(self, p: float, e: float) -> FloatArray:
        """p, q and v."""
        return np.array([p, 1 + e, self.surface.mean * e / p])

    def evaluate(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Total and gradient, by the chain rule."""
        value, gradient = self.surface.evaluate(self.parameters(*parameters))
        return value, gradient @ self._derivatives(*parameters)

    def hessian(self, parameters: FloatArray) -> FloatArray:
        """Second derivatives; v is no linear function of p and e."""
        p, e = parameters
        every, by_parameter = self.parameters(p, e), self._derivatives(p, e)
        by_v = self.surface.evaluate(every)[1][2]
        of_v = symmetric((2 * every[2] / p**2, -self.surface.mean / p**2), (0.0,))
        return as_floats(by_parameter.T @ self.surface.hessian(every) @ by_parameter + by_v * of_v)

    def log_covariance(self, e: float, of_both: FloatArray) -> FloatArray:
        """Of ln p, ln q and ln v, given that of ln p and ln e; the mean is an estimate, too."""
        by_log = np.array([[1.0, 0.0], [0.0, e / (1 + e)], [-1.0, 1.0]])
        of_mean = np.zeros((3, 3))
        of_mean[2, 2] = self.surface.variance_of_mean / self.surface.mean**2
        return as_floats(by_log @ of_both @ by_log.T + of_mean)

    def _derivatives(self, p: float, e: float) -> FloatArray:
        """Of p, q and v in p and e."""
        return np.array([[1.0, 0.0], [0.0, 1.0], [-self.surface.mean * e / p**2, self.surface.mean / p]])


def _with_observed_mean(surface: _Likelihood) -> _Constrained | None:
    """The best p and q with the observed mean; a shape is held at its limit where the likelihood rises towards it."""
    tied = _WithObservedMean(surface)
    weight = surface.total_weight
    likelihood = fitting.Likelihood(tied.evaluate, tied.hessian, weight, np.ones(2), 0.0, _CONSTRAINED_STARTS)
    found = [
        estimate
        for held in ({}, {0: LARGEST_SHAPE}, {1: LARGEST_SHAPE}, {0: LARGEST_SHAPE, 1: LARGEST_SHAPE})
        if (estimate := _constrained(tied, likelihood, held)) is not None
    ]
    return max(found, key=lambda estimate: estimate.log_likelihood, default=None)


def _constrained(
    tied: _WithObservedMean, likelihood: fitting.Likelihood, held: Mapping[int, float]
) -> _Constrained | None:
    """The optimum with shapes held; None without one below the limits, or if it lies below what is held."""
    free = [number for number in range(2) if number not in held]
    shapes, of_both = np.full(2, LARGEST_SHAPE), np.zeros((2, 2))
    if free:
        optimum = fitting.maximise(limits.held(likelihood, held))
        if optimum.status != fitting.CONVERGED:
            return None
        shapes[free] = np.exp(optimum.log_parameters)
        of_both[np.ix_(free, free)] = np.linalg.inv(optimum.hessian) / likelihood.weight
    downhill, gradient = likelihood.descend(np.log(shapes))
    if (shapes > LARGEST_SHAPE).any() or (gradient[list(held)] > 0).any():
        return None
    p, e = map(float, shapes)
    norm = float(np.abs(gradient[free]).max(initial=0.0))
    covariance = tied.log_covariance(e, of_both)
    return _Constrained(tied.parameters(p, e), covariance, -downhill * likelihood.weight, norm)
