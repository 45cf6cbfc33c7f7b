"""What BG/NBD and MBG/NBD share: gamma-mixed Poisson purchases, beta-mixed chance to leave at a purchase.

With k chances to leave so far (BG/NBD: k = x; MBG/NBD: k = x + 1, the first purchase counts too) both have
ll = ll of the NBD + ln(B(a, b + k) / B(a, b)) + ln(1 + exp d), with d the log-odds of death; no power is ever formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from clv_lib.models import fitting
from clv_lib.models.curvature import sum_of_products, symmetric
from clv_lib.models.fitting_with_death import Starts, fit_with_death
from clv_lib.models.forward_process import (
    expected_purchases_of_survivor,
    order_probabilities_of_survivor,
    second_moment_of_survivor,
)
from clv_lib.models.nbd import PurchaseSums, log_likelihood_without_death
from clv_lib.models.sufficient_statistics import DistinctRows, FloatArray, TransactionStatistics, as_floats

if TYPE_CHECKING:
    from typing_extensions import Self

_SHAPE_OF_LEAVING = 3
"""The number of b among the parameters: it grows without end where customers leave alike."""

_LEAVING_STARTS = ((1.0, 2.5), (0.1, 1.0), (5.0, 5.0), (0.5, 0.1), (0.05, 20.0))


@dataclass(frozen=True)
class BetaGeometric:
    """Parameters and predictions; arguments broadcast, times in the unit of alpha, NaN in gives NaN out."""

    r: float
    alpha: float
    a: float
    b: float

    name: ClassVar[str]
    parameter_names: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    knows_churn: ClassVar[bool] = True
    first_purchase_may_be_last: ClassVar[bool]

    def __post_init__(self) -> None:
        """Refuse parameters that are not positive numbers."""
        if not all(0 < value < np.inf for value in (self.r, self.alpha, self.a, self.b)):
            raise ValueError(f"{self.name} needs positive finite parameters; found {self}")

    @classmethod
    def fit(cls, statistics: TransactionStatistics, *, minimum_customers: int = 1) -> fitting.Fitted[Self]:
        """Estimate r, alpha, a, b; r or b is held where customers hardly differ (status 'homogeneous')."""
        problem = partial(_problem, int(cls.first_purchase_may_be_last))
        names = cls.name, cls.parameter_names
        return fit_with_death(cls, names, problem, _LEAVING_STARTS, _SHAPE_OF_LEAVING, statistics, minimum_customers)

    def log_likelihood(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Log-likelihood of each row."""
        x, ages = as_floats(frequency), as_floats(age)
        k = x + self.first_purchase_may_be_last
        survived = special.betaln(self.a, self.b + k) - special.betaln(self.a, self.b)
        without_death = log_likelihood_without_death(self.r, self.alpha, x, ages)
        total: FloatArray = without_death + survived + np.logaddexp(0.0, self.log_odds_of_death(x, recency, ages))
        return total

    def log_odds_of_death(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """d = (r + x) ln((alpha + T) / (alpha + t_x)) + ln a - ln(b + k - 1); minus infinity where k = 0."""
        x, t_x, ages = np.broadcast_arrays(as_floats(frequency), as_floats(recency), as_floats(age))
        k = x + self.first_purchase_may_be_last
        silence = (self.r + x) * np.log1p((ages - t_x) / (self.alpha + t_x))
        odds = silence + np.log(self.a) - np.log(np.where(k == 0, 1.0, self.b + k - 1))
        return np.where(k == 0, -np.inf, odds)

    def probability_alive(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """1 / (1 + exp d), with d the log-odds of death."""
        alive: FloatArray = special.expit(-self.log_odds_of_death(frequency, recency, age))
        return alive

    def probability_alive_gradient(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Derivatives of P(alive) in ln r, ln alpha, ln a, ln b on a last axis; 0 where k = 0."""
        x, t_x, ages = np.broadcast_arrays(as_floats(frequency), as_floats(recency), as_floats(age))
        k = x + self.first_purchase_may_be_last
        alive = self.probability_alive(x, t_x, ages)
        shrink = 1 / (self.alpha + ages) - 1 / (self.alpha + t_x)
        by_log_b = -self.b / np.where(k == 0, 1.0, self.b + k - 1)
        by_log_r = self.r * np.log1p((ages - t_x) / (self.alpha + t_x))
        of_odds = [by_log_r, self.alpha * (self.r + x) * shrink, np.ones_like(x), by_log_b]
        return np.asarray(-(alive * (1 - alive))[..., None] * np.stack(of_odds, axis=-1), dtype=np.float64)

    def expected_purchases_if_alive(self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike) -> FloatArray:
        """G(x, T): a survivor is a fresh customer with parameters r + x, alpha + T, a, b + k."""
        return expected_purchases_of_survivor(as_floats(horizon), *self._survivor(frequency, age))

    def second_moment_if_alive(self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike) -> FloatArray:
        """E[N^2] of the purchases N in (age, age + horizon] if alive."""
        return second_moment_of_survivor(as_floats(horizon), *self._survivor(frequency, age))

    def order_probabilities_if_alive(
        self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike, most: int
    ) -> FloatArray:
        """P(N = 0), ..., P(N = most) if alive, on a last axis; N as in second_moment_if_alive."""
        return order_probabilities_of_survivor(as_floats(horizon), *self._survivor(frequency, age), most)

    def _survivor(self, frequency: ArrayLike, age: ArrayLike) -> tuple[FloatArray, FloatArray, float, FloatArray]:
        """Parameters r + x, alpha + T, a, b + k of the process after age."""
        x, ages = as_floats(frequency), as_floats(age)
        return self.r + x, self.alpha + ages, self.a, self.b + x + self.first_purchase_may_be_last

    def expected_purchases(
        self, horizon: ArrayLike, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> FloatArray:
        """Expected purchases in (age, age + horizon]: P(alive) times G(x, T)."""
        alive = self.probability_alive(frequency, recency, age)
        return alive * self.expected_purchases_if_alive(horizon, frequency, age)

    def expected_purchases_new(self, horizon: ArrayLike) -> FloatArray:
        """E[X(t)] of a random new customer, repeat purchases only."""
        k = int(self.first_purchase_may_be_last)
        stays = self.b / (self.a + self.b) if k else 1.0
        t, r, alpha = as_floats(horizon), as_floats(self.r), as_floats(self.alpha)
        return stays * expected_purchases_of_survivor(t, r, alpha, self.a, as_floats(self.b + k))


def _problem(chances_at_start: int, rows: DistinctRows, scale: float, starts: Starts) -> fitting.Likelihood:
    sums = PurchaseSums(rows, scale)
    total = _Likelihood(rows, scale, sums, chances_at_start)
    units = np.array([1.0, scale, 1.0, 1.0])
    return fitting.Likelihood(total.evaluate, total.hessian, sums.weight, units, sums.log_scale, starts)


class _Likelihood:
    """Total log-likelihood and gradient over distinct rows; per row only the log-odds of death are evaluated."""

    def __init__(self, rows: DistinctRows, time_scale: float, sums: PurchaseSums, chances_at_start: int) -> None:
        frequency, recency, age = rows.columns
        exposed = np.flatnonzero(frequency.rows + chances_at_start > 0)
        self.sums = sums
        self.chances = sums.x + chances_at_start
        self.recency = recency.values / time_scale
        self.age = age.values / time_scale
        x_code, self.recency_code, self.age_code = (column.code[exposed] for column in rows.columns)
        self.weight = rows.weight[exposed]
        # Rows are in ascending order of x, so sums per x are sums over runs of rows.
        self.x_present, self.run_start, self.run_length = np.unique(x_code, return_index=True, return_counts=True)

    def evaluate(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Gradient in the order r, alpha, a, b."""
        _, _, a, b = map(float, parameters)
        value, by_rate = self.sums.evaluate(parameters[:2])
        k, weight = self.chances, self.sums.weight_of_x
        survived = special.betaln(a, b + k) - special.betaln(a, b)
        shared = special.digamma(a + b) - special.digamma(a + b + k)
        by_b = shared + special.digamma(b + k) - special.digamma(b)
        by_leaving = np.array([np.sum(weight * shared), np.sum(weight * by_b)], dtype=np.float64)
        death, by_death = self._death(*map(float, parameters))
        total = value + float(np.sum(weight * survived)) + death
        return total, np.concatenate([by_rate, by_leaving]) + by_death

    def _death(self, r: float, alpha: float, a: float, b: float) -> tuple[float, FloatArray]:
        """Sum of ln(1 + exp d) and its gradient."""
        x, after_last = self.sums.x[self.x_present], b + self.chances[self.x_present] - 1
        silence, odds = self._silence_and_odds(r, alpha, a, b)
        small = np.exp(-np.abs(odds))
        value = float(np.sum(self.weight * (np.log1p(small) + np.maximum(odds, 0.0))))
        dead = self.weight * np.maximum(small, odds > 0) / (1.0 + small)
        shrink = (1 / (alpha + self.age))[self.age_code] - (1 / (alpha + self.recency))[self.recency_code]
        dead_of_x, shrink_of_x = (np.add.reduceat(sums, self.run_start) for sums in (dead, dead * shrink))
        gradient = (np.sum(dead * silence), np.sum((r + x) * shrink_of_x), np.sum(dead_of_x) / a)
        return value, np.array([*gradient, -np.sum(dead_of_x / after_last)], dtype=np.float64)

    def _silence_and_odds(self, r: float, alpha: float, a: float, b: float) -> tuple[FloatArray, FloatArray]:
        """ln((alpha + T) / (alpha + t_x)) and d of each row."""
        x, after_last = self.sums.x[self.x_present], b + self.chances[self.x_present] - 1
        silence = np.log(alpha + self.age)[self.age_code] - np.log(alpha + self.recency)[self.recency_code]
        odds = np.repeat(r + x, self.run_length) * silence + np.repeat(np.log(a / after_last), self.run_length)
        return silence, odds

    def hessian(self, parameters: FloatArray) -> FloatArray:
        """Second derivatives in the order r, alpha, a, b."""
        _, _, a, b = map(float, parameters)
        k, weight = self.chances, self.sums.weight_of_x
        shared = special.polygamma(1, a + b) - special.polygamma(1, a + b + k)
        by_b = shared + special.polygamma(1, b + k) - special.polygamma(1, b)
        total = self._hessian_of_death(*map(float, parameters))
        total[:2, :2] += self.sums.hessian(parameters[:2])
        total[2:, 2:] += symmetric((np.sum(weight * shared), np.sum(weight * shared)), (np.sum(weight * by_b),))
        return total

    def _hessian_of_death(self, r: float, alpha: float, a: float, b: float) -> FloatArray:
        """Of the sum of ln(1 + exp d): two ways, of which being alive has the gradient 0."""
        silence, odds = self._silence_and_odds(r, alpha, a, b)
        x, after_last = (
            np.repeat(values[self.x_present], self.run_length) for values in (self.sums.x, b + self.chances - 1)
        )
        at_end, at_last = (1 / (alpha + self.age))[self.age_code], (1 / (alpha + self.recency))[self.recency_code]
        shrink, dead = at_end - at_last, self.weight * special.expit(odds)
        gradients = np.array([silence, (r + x) * shrink, np.full_like(x, 1 / a), -1 / after_last])
        by_alpha = -np.sum(dead * (r + x) * shrink * (at_end + at_last))
        bend = symmetric(
            (0.0, np.sum(dead * shrink), 0.0, 0.0),
            (by_alpha, 0.0, 0.0),
            (-np.sum(dead) / a**2, 0.0),
            (np.sum(dead / after_last**2),),
        )
        return bend + sum_of_products(gradients, dead * special.expit(-odds))
