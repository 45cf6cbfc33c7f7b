"""Gamma-Gamma model of mean spend: Fader, Hardie and Lee 2005 (RFM and CLV); Fader and Hardie 2013, note 025."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from clv_lib.models import fitting
from clv_lib.models.curvature import symmetric
from clv_lib.models.sufficient_statistics import DistinctRows, FloatArray, SpendStatistics, as_floats

_STARTS = ((2.0, 3.0, 2.0), (1.0, 1.5, 0.5), (6.0, 4.0, 0.5), (0.5, 8.0, 10.0), (20.0, 20.0, 1.0))


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
        """Estimate p, q, v; q <= 1 is reported as 'infinite_mean_spend' and gives no model."""
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
        finite = optimum.status != fitting.CONVERGED or parameters[1] > 1
        status = optimum.status if finite else fitting.INFINITE_MEAN_SPEND
        model = cls(*map(float, parameters)) if status == fitting.CONVERGED else None
        return fitting.Fitted(
            cls.name, cls.parameter_names, status, model, parameters, covariance, total, *counts,
            optimum.gradient_norm, optimum.evaluations,
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
    """Total log-likelihood and gradient in (p, q, v) over distinct (x, m), spend divided by scale."""

    def __init__(self, rows: DistinctRows, scale: float) -> None:
        frequency, mean = rows.columns
        self.x, self.code, self.weight = frequency.values, frequency.code, rows.weight
        self.spent = (mean.values / scale)[mean.code] * frequency.rows
        self.weight_of_x = np.bincount(self.code, rows.weight, len(self.x))
        self.log_spent_of_x = np.bincount(self.code, rows.weight * np.log(self.spent), len(self.x))
        self.log_mean = float(np.sum(rows.weight * np.log(mean.values / scale)[mean.code]))

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
