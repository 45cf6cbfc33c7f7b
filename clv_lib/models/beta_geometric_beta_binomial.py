"""BG/BB: Fader, Hardie and Shang 2010, Marketing Science 29:1086; one chance to buy per period, silent death between.

While alive a customer buys in a period with probability p ~ Beta(alpha, beta); before each period he dies with
probability theta ~ Beta(gamma, delta). All sums are over the periods after the last purchase, in logarithms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from clv_lib.models import fitting
from clv_lib.models.period_histories import Histories, Likelihood
from clv_lib.models.shifted_beta_geometric import discounted_periods, expected_periods
from clv_lib.models.sufficient_statistics import (
    DistinctRows,
    FloatArray,
    as_floats,
    columns_of_one_length,
    distinct_rows,
    refuse_rows,
)

TOO_FEW_PERIODS = "too_few_periods"

_PERIODS_NEEDED = 3
_STARTS = (
    (1.0, 1.0, 0.5, 3.0),
    (0.5, 5.0, 0.5, 5.0),
    (5.0, 5.0, 1.0, 20.0),
    (0.3, 0.3, 0.1, 1.0),
    (2.0, 30.0, 5.0, 5.0),
)


@dataclass(frozen=True)
class PeriodStatistics:
    """Distinct (frequency, recency, periods) with the number of customers that have them.

    frequency: x, periods with a purchase; recency: t_x, the last period with one, 0 if none; periods: n, chances to buy
    so far; weight: customers. All but weight are counts. Raises ValueError that names the first impossible row.
    """

    frequency: FloatArray
    recency: FloatArray
    periods: FloatArray
    weight: FloatArray

    def __post_init__(self) -> None:
        """Convert to doubles and refuse what cannot have happened."""
        columns = columns_of_one_length(
            frequency=self.frequency, recency=self.recency, periods=self.periods, weight=self.weight
        )
        x, t_x, n, weight = columns.values()
        refuse_rows(
            ~np.all([np.isfinite(column) for column in columns.values()], axis=0), "not a finite number", columns
        )
        fractions = np.any([column != np.floor(column) for column in (x, t_x, n)], axis=0)
        refuse_rows(fractions | (x < 0), "frequency, recency and periods are not counts", columns)
        refuse_rows((t_x < x) | (t_x > n), "recency is not between frequency and periods", columns)
        refuse_rows((x == 0) & (t_x > 0), "recency must be 0 when frequency is 0", columns)
        refuse_rows(weight <= 0, "weight is not positive", columns)
        for name, array in columns.items():
            object.__setattr__(self, name, array)

    @classmethod
    def unweighted(cls, frequency: ArrayLike, recency: ArrayLike, periods: ArrayLike) -> PeriodStatistics:
        """Take one row per customer."""
        x = as_floats(frequency)
        return cls(x, as_floats(recency), as_floats(periods), np.ones_like(x))

    @property
    def customer_count(self) -> int:
        """Number of customers: the sum of the weights."""
        return round(float(self.weight.sum()))

    def distinct(self) -> DistinctRows:
        """Return the distinct tuples; columns in the order frequency, recency, periods."""
        return distinct_rows((self.frequency, self.recency, self.periods), self.weight)


@dataclass(frozen=True)
class BgBb:
    """Parameters and predictions; arguments broadcast, NaN in gives NaN out, impossible histories raise ValueError.

    Alive means alive in period n + 1, the next one. Given that, p ~ Beta(alpha + x, beta + n - x) and theta ~
    Beta(gamma, delta + n + 1), whatever t_x is.
    """

    alpha: float
    beta: float
    gamma: float
    delta: float

    name: ClassVar[str] = "bg_bb"
    parameter_names: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma", "delta")

    def __post_init__(self) -> None:
        """Refuse parameters that are not positive numbers."""
        if not all(0 < value < np.inf for value in self._parameters):
            raise ValueError(f"{self.name} needs positive finite parameters; found {self}")

    @classmethod
    def fit(cls, statistics: PeriodStatistics, *, minimum_customers: int = 1) -> fitting.Fitted[BgBb]:
        """Estimate the parameters; `model` of the result is None unless its status is 'converged'."""
        rows = statistics.distinct()
        counts = statistics.customer_count, len(rows)
        status = _refusal(statistics, minimum_customers)
        if status:
            return fitting.refused(cls.name, cls.parameter_names, status, *counts)
        surface = Likelihood(rows)
        likelihood = fitting.Likelihood(
            surface.evaluate, surface.hessian, float(rows.weight.sum()), np.ones(4), 0.0, _STARTS
        )
        optimum = fitting.maximise(likelihood)
        parameters, covariance, total = fitting.natural_scale(likelihood, optimum)
        model = cls(*map(float, parameters)) if optimum.status == fitting.CONVERGED else None
        return fitting.Fitted(
            cls.name, cls.parameter_names, optimum.status, model, parameters, covariance, total, *counts,
            optimum.gradient_norm, optimum.evaluations,
        )  # fmt: skip

    def log_likelihood(self, frequency: ArrayLike, recency: ArrayLike, periods: ArrayLike) -> FloatArray:
        """Log-likelihood of each row: of its purchases in their order, so without a binomial coefficient."""

        def of_distinct(x: FloatArray, t_x: FloatArray, n: FloatArray) -> FloatArray:
            histories = _checked(x, t_x, n)
            return histories.log_sum(histories.log_terms(self._parameters))

        return _of_each_distinct(of_distinct, frequency, recency, periods)

    def probability_alive(self, frequency: ArrayLike, recency: ArrayLike, periods: ArrayLike) -> FloatArray:
        """Probability that the customer is alive in period n + 1 (eq. A10)."""

        def of_distinct(x: FloatArray, t_x: FloatArray, n: FloatArray) -> FloatArray:
            histories = _checked(x, t_x, n)
            terms = histories.log_terms(self._parameters)
            alive_at_n = np.exp(terms[histories.at_end] - histories.log_sum(terms))
            return as_floats(alive_at_n * (self.delta + n) / (self.gamma + self.delta + n))

        return _of_each_distinct(of_distinct, frequency, recency, periods)

    def purchase_probability_if_alive(self, frequency: ArrayLike, periods: ArrayLike) -> FloatArray:
        """E[p | x, n, alive] = (alpha + x) / (alpha + beta + n)."""
        return (self.alpha + as_floats(frequency)) / (self.alpha + self.beta + as_floats(periods))

    def expected_purchases_if_alive(self, horizon: ArrayLike, frequency: ArrayLike, periods: ArrayLike) -> FloatArray:
        """Expected purchases in the periods n + 1 .. n + horizon of a customer who is alive in period n + 1."""
        lived = expected_periods(self.gamma, self.delta + 1.0 + as_floats(periods), horizon)
        return self.purchase_probability_if_alive(frequency, periods) * lived

    def expected_purchases(
        self, horizon: ArrayLike, frequency: ArrayLike, recency: ArrayLike, periods: ArrayLike
    ) -> FloatArray:
        """Expected purchases in the periods n + 1 .. n + horizon, a whole number of periods (eq. 13)."""
        alive = self.probability_alive(frequency, recency, periods)
        return alive * self.expected_purchases_if_alive(horizon, frequency, periods)

    def expected_purchases_new(self, horizon: ArrayLike) -> FloatArray:
        """E[X(n)]: expected purchases of a random new customer in the first `horizon` periods."""
        return self.expected_purchases(horizon, 0.0, 0.0, 0.0)

    def probability_of_purchases(self, frequency: ArrayLike, periods: ArrayLike) -> FloatArray:
        """P(X(n) = x): a random new customer buys in x of the first n periods (eq. 7); 0 where x > n."""

        def of_distinct(x: FloatArray, n: FloatArray) -> FloatArray:
            possible = x <= n
            histories = _checked(np.where(possible, x, 0.0), np.where(possible, x, 0.0), n)
            terms = histories.log_terms(self._parameters) + histories.log_orders()
            return np.where(possible, np.exp(histories.log_sum(terms)), 0.0)

        return _of_each_distinct(of_distinct, frequency, periods)

    def residual_purchases_if_alive(
        self, frequency: ArrayLike, periods: ArrayLike, *, discount_rate: float
    ) -> FloatArray:
        """Discounted expected purchases from period n + 1 on of a customer alive then; see residual_purchases."""
        lived = discounted_periods(self.gamma, self.delta + 1.0 + as_floats(periods), discount_rate)
        return self.purchase_probability_if_alive(frequency, periods) * lived / (1.0 + discount_rate)

    def residual_purchases(
        self, frequency: ArrayLike, recency: ArrayLike, periods: ArrayLike, *, discount_rate: float
    ) -> FloatArray:
        """DERT: discounted expected purchases from period n + 1 on; a purchase in period n + k counts (1 + d)^-k.

        discount_rate is d per period. d = 0 is finite only if gamma > 1: ValueError otherwise.
        """
        alive = self.probability_alive(frequency, recency, periods)
        return alive * self.residual_purchases_if_alive(frequency, periods, discount_rate=discount_rate)

    @property
    def _parameters(self) -> FloatArray:
        return np.array([self.alpha, self.beta, self.gamma, self.delta])


def _of_each_distinct(compute: Callable[..., FloatArray], *columns: ArrayLike) -> FloatArray:
    """Compute once per distinct row, and give every row its value; NaN where one of its columns is NaN."""
    arrays = np.broadcast_arrays(*map(as_floats, columns))
    table = np.stack([array.ravel() for array in arrays], axis=1)
    known = ~np.isnan(table).any(axis=1)
    result = np.full(len(table), np.nan)
    if known.any():
        distinct, where = np.unique(table[known], axis=0, return_inverse=True)
        result[known] = compute(*distinct.T)[where.reshape(-1)]
    return result.reshape(arrays[0].shape)


def _checked(x: FloatArray, t_x: FloatArray, n: FloatArray) -> Histories:
    """Return the histories, or refuse those that cannot have happened."""
    counts = PeriodStatistics.unweighted(x, t_x, n)
    whole = (column.astype(np.int64) for column in (counts.frequency, counts.recency, counts.periods))
    return Histories(*whole)


def _refusal(statistics: PeriodStatistics, minimum_customers: int) -> str | None:
    """Say why the model cannot be fitted, or None: two periods show three proportions, too few for four parameters."""
    if statistics.customer_count < max(minimum_customers, 1):
        return fitting.TOO_FEW_CUSTOMERS
    if not statistics.frequency.any():
        return fitting.NO_REPEAT_PURCHASES
    return None if statistics.periods.max() >= _PERIODS_NEEDED else TOO_FEW_PERIODS
