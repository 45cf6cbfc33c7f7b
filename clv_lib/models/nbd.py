"""NBD: gamma-mixed Poisson purchases without death (Ehrenberg 1959); the baseline every other model has to beat.

Its likelihood, of the purchase times and not of the count, is also a factor of the beta-geometric models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from clv_lib.models import fitting, limits
from clv_lib.models.curvature import symmetric
from clv_lib.models.forward_process import order_probabilities_of_survivor
from clv_lib.models.sufficient_statistics import DistinctRows, FloatArray, TransactionStatistics, as_floats

_STARTS = ((0.5, 0.5), (0.05, 0.05), (5.0, 5.0), (1.0, 20.0), (0.1, 3.0))


def log_likelihood_without_death(r: float, alpha: float, x: FloatArray, age: FloatArray) -> FloatArray:
    """ln [Gamma(r + x) / Gamma(r) * alpha^r / (alpha + T)^(r + x)], written so that a large alpha does not cancel."""
    rising = special.gammaln(r + x) - special.gammaln(r)
    total: FloatArray = rising - r * np.log1p(age / alpha) - x * np.log(alpha + age)
    return total


class PurchaseSums:
    """The part of a likelihood that depends on x and T one at a time, added up once per distinct x and per T."""

    def __init__(self, rows: DistinctRows, time_scale: float) -> None:
        """Take distinct (frequency, recency, age); ages are divided by time_scale."""
        frequency, _, age = rows.columns
        self.x = frequency.values
        self.weight_of_x = np.bincount(frequency.code, rows.weight, len(self.x))
        self.age = age.values / time_scale
        self.weight_of_age = np.bincount(age.code, rows.weight, len(self.age))
        self.purchases_of_age = np.bincount(age.code, rows.weight * frequency.rows, len(self.age))
        self.weight = float(np.sum(rows.weight))
        self.log_scale = -float(np.sum(self.purchases_of_age) * np.log(time_scale))

    def evaluate(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Total log-likelihood without death and its gradient in (r, alpha)."""
        r, alpha = float(parameters[0]), float(parameters[1])
        at_end = alpha + self.age
        log_growth = np.log1p(self.age / alpha)
        rising = special.gammaln(r + self.x) - special.gammaln(r)
        rate_of_rising = special.digamma(r + self.x) - special.digamma(r)
        waited = float(np.sum(self.weight_of_age * log_growth))
        bought = float(np.sum(self.purchases_of_age * np.log(at_end)))
        value = float(np.sum(self.weight_of_x * rising)) - r * waited - bought
        by_r = float(np.sum(self.weight_of_x * rate_of_rising)) - waited
        per_age = self.weight_of_age * r * self.age / alpha - self.purchases_of_age
        return value, np.array([by_r, float(np.sum(per_age / at_end))])

    def hessian(self, parameters: FloatArray) -> FloatArray:
        """Second derivatives of the log-likelihood without death in (r, alpha)."""
        r, alpha = float(parameters[0]), float(parameters[1])
        at_end = alpha + self.age
        bend_of_rising = special.polygamma(1, r + self.x) - special.polygamma(1, r)
        waited = self.weight_of_age * self.age / (alpha * at_end)
        per_age = self.purchases_of_age / at_end**2 - r * waited * (1 / alpha + 1 / at_end)
        return symmetric(
            (float(np.sum(self.weight_of_x * bend_of_rising)), float(np.sum(waited))), (float(np.sum(per_age)),)
        )


@dataclass(frozen=True)
class Nbd:
    """Purchase rate ~ Gamma(shape r, rate alpha); nobody ever leaves. Times in the unit of alpha."""

    r: float
    alpha: float

    name: ClassVar[str] = "nbd"
    parameter_names: ClassVar[tuple[str, ...]] = ("r", "alpha")
    knows_churn: ClassVar[bool] = False

    @classmethod
    def fit(cls, statistics: TransactionStatistics, *, minimum_customers: int = 1) -> fitting.Fitted[Nbd]:
        """Estimate r and alpha, r held where customers hardly differ; see protocol.TransactionModel."""
        rows = statistics.distinct()
        status = fitting.refusal(statistics, minimum_customers)
        if status:
            return fitting.refused(cls.name, cls.parameter_names, status, statistics.customer_count, len(rows))
        scale = mean_age(rows)
        likelihood, optimum = cls.search(PurchaseSums(rows, scale), scale)
        values: Mapping[int, float] = {}
        if optimum.status != fitting.CONVERGED:
            optimum, values = limits.at_limits(likelihood, [{0: limits.LARGEST}]) or (optimum, values)
        parameters, covariance, total = limits.natural_scale_of_held(likelihood, values, optimum)
        model = cls(*map(float, parameters)) if optimum.status in fitting.USABLE else None
        return fitting.Fitted(
            cls.name, cls.parameter_names, optimum.status, model, parameters, covariance, total,
            statistics.customer_count, len(rows), optimum.gradient_norm, optimum.evaluations,
        )  # fmt: skip

    @staticmethod
    def search(sums: PurchaseSums, scale: float) -> tuple[fitting.Likelihood, fitting.Optimum]:
        """Fit in scaled time; the beta-geometric models start from this and are compared with it."""
        likelihood = fitting.Likelihood(
            sums.evaluate, sums.hessian, sums.weight, np.array([1.0, scale]), sums.log_scale, _STARTS
        )
        return likelihood, fitting.maximise(likelihood)

    def log_likelihood(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Log-likelihood of each row; recency carries no information here."""
        x, _, ages = np.broadcast_arrays(as_floats(frequency), as_floats(recency), as_floats(age))
        return log_likelihood_without_death(self.r, self.alpha, x, ages)

    def probability_alive(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Return 1 for everyone."""
        shape = np.broadcast_shapes(np.shape(frequency), np.shape(recency), np.shape(age))
        return np.ones(shape, dtype=np.float64)

    def probability_alive_gradient(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Return 0 for both parameters and everyone."""
        alive = self.probability_alive(frequency, recency, age)
        return np.zeros((*alive.shape, len(self.parameter_names)), dtype=np.float64)

    def expected_purchases(
        self, horizon: ArrayLike, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> FloatArray:
        """Expected purchases in (age, age + horizon]; recency carries no information here."""
        alive = self.probability_alive(frequency, recency, age)
        return alive * self.expected_purchases_if_alive(horizon, frequency, age)

    def expected_purchases_if_alive(self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Horizon times the posterior mean rate (r + x) / (alpha + T)."""
        return as_floats(horizon) * (self.r + as_floats(frequency)) / (self.alpha + as_floats(age))

    def second_moment_if_alive(self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike) -> FloatArray:
        """E[N^2] of a negative binomial: m + m^2 (1 + 1 / (r + x)), m its mean."""
        mean = self.expected_purchases_if_alive(horizon, frequency, age)
        return mean + mean**2 * (1 + 1 / (self.r + as_floats(frequency)))

    def order_probabilities_if_alive(
        self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike, most: int
    ) -> FloatArray:
        """P(N = 0), ..., P(N = most) of a negative binomial, on a last axis."""
        x, ages = as_floats(frequency), as_floats(age)
        return order_probabilities_of_survivor(
            as_floats(horizon), self.r + x, self.alpha + ages, 0.0, np.ones_like(x), most
        )

    def expected_purchases_new(self, horizon: ArrayLike) -> FloatArray:
        """Horizon times the mean rate r / alpha."""
        return as_floats(horizon) * self.r / self.alpha


def mean_age(rows: DistinctRows) -> float:
    """Weighted mean of T: the time scale of the search, so that the unit of the data does not matter to it."""
    return float(np.sum(rows.weight * rows.columns[2].rows) / np.sum(rows.weight))
