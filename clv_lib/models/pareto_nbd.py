"""Pareto/NBD: Schmittlein, Morrison and Colombo 1987, Management Science 33:1; Fader and Hardie 2005, note 009.

ll = ll of the NBD - s ln((beta+T)/beta) + ln(1 + exp d), with the log-odds of death d = (r+x) ln((alpha+T)/(alpha+t_x))
+ s ln((beta+T)/(beta+t_x)) + ln J(x, t_x, T); J < 1 integrates smooth functions, and no power is ever formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from clv_lib.models import fitting, pareto_forward
from clv_lib.models.fitting_with_death import Starts, fit_with_death
from clv_lib.models.nbd import PurchaseSums, log_likelihood_without_death
from clv_lib.models.pareto_likelihood import BLOCK_ROWS, DeathIntegral, Likelihood
from clv_lib.models.sufficient_statistics import DistinctRows, FloatArray, TransactionStatistics, as_floats

_SHAPE_OF_LEAVING = 2
"""The number of s among the parameters: it grows without end where customers leave alike."""

_LEAVING_STARTS = ((0.7, 0.7), (0.1, 0.1), (2.0, 10.0), (5.0, 1.0), (0.02, 5.0))


@dataclass(frozen=True)
class ParetoNbd:
    """Parameters and predictions; arguments broadcast, times in the unit of alpha, NaN in gives NaN out.

    Purchase rate ~ Gamma(shape r, rate alpha), rate of leaving ~ Gamma(shape s, rate beta), at any time.
    """

    r: float
    alpha: float
    s: float
    beta: float

    name: ClassVar[str] = "pareto_nbd"
    parameter_names: ClassVar[tuple[str, ...]] = ("r", "alpha", "s", "beta")
    knows_churn: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse parameters that are not positive numbers."""
        if not all(0 < value < np.inf for value in (self.r, self.alpha, self.s, self.beta)):
            raise ValueError(f"{self.name} needs positive finite parameters; found {self}")

    @classmethod
    def fit(cls, statistics: TransactionStatistics, *, minimum_customers: int = 1) -> fitting.Fitted[ParetoNbd]:
        """Estimate r, alpha, s, beta; r or s is held where customers hardly differ (status 'homogeneous')."""
        names = cls.name, cls.parameter_names
        return fit_with_death(cls, names, _problem, _LEAVING_STARTS, _SHAPE_OF_LEAVING, statistics, minimum_customers)

    def log_likelihood(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Log-likelihood of each row (note 009, eq. 18 to 20)."""
        x, ages = as_floats(frequency), as_floats(age)
        stayed = log_likelihood_without_death(self.r, self.alpha, x, ages) - self.s * np.log1p(ages / self.beta)
        with np.errstate(invalid="ignore"):
            total: FloatArray = stayed + np.logaddexp(0.0, self.log_odds_of_death(x, recency, ages))
        return total

    def log_odds_of_death(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """d of the module's docstring; minus infinity where recency equals age, NaN where it exceeds age."""
        x, t_x, ages = np.broadcast_arrays(as_floats(frequency), as_floats(recency), as_floats(age))
        silence = (self.r + x) * np.log1p((ages - t_x) / (self.alpha + t_x))
        outlived = self.s * np.log1p((ages - t_x) / (self.beta + t_x))
        with np.errstate(divide="ignore", invalid="ignore"):
            odds: FloatArray = np.log(self.death_integral(x, t_x, ages)) + silence + outlived
        return odds

    def death_integral(self, frequency: ArrayLike, time: ArrayLike, until: ArrayLike) -> FloatArray:
        """J(x, t, e) = s * integral over u from t to e of ((alpha+t)/(alpha+u))^(r+x) ((beta+t)/(beta+u))^s / (beta+u).

        The chance that a customer with x purchases, alive at t, leaves before e without another purchase. It
        splits the odds of death, exp d, into functions of (x, t_x) and of (x, T), and tables of them are small.
        """
        x, start, end = np.broadcast_arrays(as_floats(frequency), as_floats(time), as_floats(until))
        parameters = np.array([self.r, self.alpha, self.s, self.beta])
        values = np.empty(x.size)
        columns = [column.reshape(-1) for column in (x, start, end)]
        for low in range(0, x.size, BLOCK_ROWS):
            block = tuple(column[low : low + BLOCK_ROWS] for column in columns)
            values[low : low + BLOCK_ROWS] = DeathIntegral(parameters, *block).value
        return values.reshape(x.shape)

    def probability_alive(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """1 / (1 + exp d), with d the log-odds of death (note 009, eq. 36)."""
        alive: FloatArray = special.expit(-self.log_odds_of_death(frequency, recency, age))
        return alive

    def probability_alive_gradient(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Derivatives of P(alive) in ln r, ln alpha, ln s, ln beta on a last axis; 0 where recency equals age."""
        x, t_x, ages = np.broadcast_arrays(as_floats(frequency), as_floats(recency), as_floats(age))
        parameters = np.array([self.r, self.alpha, self.s, self.beta])
        result = np.empty((x.size, 4))
        columns = [column.reshape(-1) for column in (x, t_x, ages)]
        for low in range(0, x.size, BLOCK_ROWS):
            block = tuple(column[low : low + BLOCK_ROWS] for column in columns)
            result[low : low + BLOCK_ROWS] = (_gradient_of_log_odds(parameters, *block) * parameters[:, np.newaxis]).T
        alive = self.probability_alive(x, t_x, ages)
        return np.asarray(-(alive * (1 - alive))[..., np.newaxis] * result.reshape(*x.shape, 4), dtype=np.float64)

    def expected_purchases_if_alive(self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Purchases in (age, age + horizon]: a survivor is a new customer with r + x, alpha + T, s, beta + T."""
        return pareto_forward.expected_purchases(as_floats(horizon), *self._survivor(frequency, age))

    def second_moment_if_alive(self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike) -> FloatArray:
        """E[N^2] of the number N of purchases in (age, age + horizon] of a survivor."""
        return pareto_forward.second_moment(as_floats(horizon), *self._survivor(frequency, age))

    def order_probabilities_if_alive(
        self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike, most: int
    ) -> FloatArray:
        """P(N = 0), ..., P(N = most) for the N of `second_moment_if_alive`, along a new last axis."""
        return pareto_forward.order_probabilities(as_floats(horizon), *self._survivor(frequency, age), most)

    def expected_purchases(
        self, horizon: ArrayLike, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> FloatArray:
        """Expected purchases in (age, age + horizon] (note 009, eq. 41)."""
        alive = self.probability_alive(frequency, recency, age)
        return alive * self.expected_purchases_if_alive(horizon, frequency, age)

    def expected_purchases_new(self, horizon: ArrayLike) -> FloatArray:
        """E[X(t)] of a random new customer, repeat purchases only."""
        return self.expected_purchases_if_alive(horizon, 0.0, 0.0)

    def residual_purchases_closed_form(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, discount_rate: ArrayLike
    ) -> FloatArray:
        """Discounted expected purchases after `age` without end (Fader, Hardie and Lee 2005, RFM and CLV, eq. 2).

        discount_rate is continuously compounded and per unit of time, above 0: ln(1.15) / 52 for 15 % a year in weeks.
        """
        alive = self.probability_alive(frequency, recency, age)
        later = pareto_forward.discounted_purchases(as_floats(discount_rate), *self._survivor(frequency, age))
        return alive * later

    def _survivor(self, frequency: ArrayLike, age: ArrayLike) -> tuple[FloatArray, FloatArray, float, FloatArray]:
        x, ages = np.broadcast_arrays(as_floats(frequency), as_floats(age))
        return self.r + x, self.alpha + ages, self.s, self.beta + ages


def _gradient_of_log_odds(parameters: FloatArray, x: FloatArray, t_x: FloatArray, age: FloatArray) -> FloatArray:
    """Derivatives of d in r, alpha, s, beta: one row each; those of ln J count as 0 where J is."""
    r, alpha, s, beta = map(float, parameters)
    integral = DeathIntegral(parameters, x, t_x, age)
    of_log = np.divide(integral.gradient(), integral.value, out=np.zeros((4, len(x))), where=integral.value != 0)
    silence, outlived = (np.log1p((age - t_x) / (since + t_x)) for since in (alpha, beta))
    by_alpha, by_beta = (1 / (since + age) - 1 / (since + t_x) for since in (alpha, beta))
    by_power = np.array([silence, (r + x) * by_alpha, outlived, s * by_beta])
    return np.asarray(of_log + by_power, dtype=np.float64)


def _problem(rows: DistinctRows, scale: float, starts: Starts) -> fitting.Likelihood:
    sums = PurchaseSums(rows, scale)
    total, units = Likelihood(rows, scale, sums), np.array([1.0, scale, 1.0, scale])
    return fitting.Likelihood(total.evaluate, total.hessian, sums.weight, units, sums.log_scale, starts)
