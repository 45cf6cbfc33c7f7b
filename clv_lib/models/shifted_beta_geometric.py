"""Shifted beta-geometric model of contract renewals: Fader and Hardie 2007, Journal of Interactive Marketing 21:76.

At every renewal a customer leaves with his own constant probability theta ~ Beta(alpha, beta). Residual lifetimes:
Fader and Hardie 2010, Marketing Science 29:85. Written as logarithms of ratios: nothing under- or overflows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from clv_lib.models import fitting
from clv_lib.models.curvature import symmetric
from clv_lib.models.sufficient_statistics import FloatArray, as_floats, columns_of_one_length, refuse_rows

NO_LOSSES = "no_losses"
NO_RENEWALS = "no_renewals"
TOO_FEW_RENEWALS = "too_few_renewals"

SMALLEST_DISCOUNT_RATE = 1e-6

_STARTS = ((1.0, 1.0), (0.5, 5.0), (5.0, 5.0), (0.1, 0.5), (20.0, 100.0))
_ASYMPTOTIC_ABOVE = 20.0


@dataclass(frozen=True)
class RetentionStatistics:
    """Customers by number of renewals; rows of equal number add up, so cohorts of different length can be joined.

    renewals: t, a count; lost: customers who left at their t-th renewal (0 where t is 0); active: customers who were
    still there when observation ended, after t renewals. Raises ValueError that names the first impossible row.
    """

    renewals: FloatArray
    lost: FloatArray
    active: FloatArray

    def __post_init__(self) -> None:
        """Convert to doubles and refuse what cannot have happened."""
        columns = columns_of_one_length(renewals=self.renewals, lost=self.lost, active=self.active)
        renewals, lost, active = columns.values()
        refuse_rows(~(np.isfinite(renewals) & np.isfinite(lost) & np.isfinite(active)), "not a finite number", columns)
        refuse_rows((renewals < 0) | (renewals != np.floor(renewals)), "renewals is not a count", columns)
        refuse_rows((lost < 0) | (active < 0), "a number of customers is negative", columns)
        refuse_rows((renewals == 0) & (lost > 0), "customers are lost before their first renewal", columns)
        for name, array in columns.items():
            object.__setattr__(self, name, array)

    @classmethod
    def of_cohorts(cls, cohorts: Iterable[ArrayLike]) -> RetentionStatistics:
        """Take the customers of each cohort who are left after 0, 1, 2, ... renewals; the last number is censored."""
        rows = [(np.empty(0), np.empty(0), np.empty(0))]
        for cohort in cohorts:
            left = as_floats(cohort)
            if left.ndim != 1 or left.size == 0 or not (np.diff(left) <= 0).all():
                raise ValueError(f"the survivors of a cohort must be a list that never grows; found {left.tolist()}")
            active = np.where(np.arange(left.size) == left.size - 1, left, 0.0)
            rows.append((np.arange(left.size, dtype=np.float64), np.append(0.0, -np.diff(left)), active))
        return cls(*(np.concatenate(column) for column in zip(*rows, strict=True)))

    @property
    def customer_count(self) -> int:
        """Number of customers, those included who have not met a renewal yet."""
        return round(float(self.lost.sum() + self.active.sum()))

    def decisions(self) -> tuple[FloatArray, FloatArray]:
        """Return the customers who left, and those who stayed, at renewal 1, 2, ... up to the last that anyone met."""
        code = self.renewals.astype(np.int64)
        size = int(code.max(initial=0)) + 1
        lost, active = (as_floats(np.bincount(code, column, size)) for column in (self.lost, self.active))
        reached = np.cumsum((lost + active)[::-1])[::-1]
        met = int(np.count_nonzero(reached))
        return lost[1:met], (reached - lost)[1:met]


@dataclass(frozen=True)
class ShiftedBetaGeometric:
    """Parameters and predictions; arguments broadcast, NaN in gives NaN out.

    Mean probability to leave at the first renewal: alpha / (alpha + beta). A customer with n renewals is a new one of
    the same model with beta + n.
    """

    alpha: float
    beta: float

    name: ClassVar[str] = "sbg"
    parameter_names: ClassVar[tuple[str, ...]] = ("alpha", "beta")

    def __post_init__(self) -> None:
        """Refuse parameters that are not positive numbers."""
        if not (0 < self.alpha < np.inf and 0 < self.beta < np.inf):
            raise ValueError(f"{self.name} needs positive finite parameters; found {self}")

    @classmethod
    def fit(
        cls, statistics: RetentionStatistics, *, minimum_customers: int = 1
    ) -> fitting.Fitted[ShiftedBetaGeometric]:
        """Estimate alpha and beta; `model` of the result is None unless its status is 'converged'."""
        lost, stayed = statistics.decisions()
        counts = statistics.customer_count, len(lost)
        status = _refusal(lost, stayed, statistics.customer_count, minimum_customers)
        if status:
            return fitting.refused(cls.name, cls.parameter_names, status, *counts)
        total, customers = _Likelihood(lost, stayed), float(lost[0] + stayed[0])
        likelihood = fitting.Likelihood(total.evaluate, total.hessian, customers, np.ones(2), 0.0, _STARTS)
        optimum = fitting.maximise(likelihood)
        parameters, covariance, log_likelihood = fitting.natural_scale(likelihood, optimum)
        model = cls(*map(float, parameters)) if optimum.status == fitting.CONVERGED else None
        return fitting.Fitted(
            cls.name, cls.parameter_names, optimum.status, model, parameters, covariance, log_likelihood, *counts,
            optimum.gradient_norm, optimum.evaluations,
        )  # fmt: skip

    def log_survival(self, periods: ArrayLike, renewals: ArrayLike = 0) -> FloatArray:
        """Logarithm of `survival`."""
        t, n = _not_below(0, "periods", periods), _not_below(0, "renewals", renewals)
        b, shorter, longer = self.beta + n, np.minimum(t, self.alpha), np.maximum(t, self.alpha)
        return _log_gamma_ratio(b, shorter) - _log_gamma_ratio(b + longer, shorter)

    def survival(self, periods: ArrayLike, renewals: ArrayLike = 0) -> FloatArray:
        """S(t | n) = B(alpha, beta + n + t) / B(alpha, beta + n): t more renewals of a customer who has made n."""
        return np.exp(self.log_survival(periods, renewals))

    def retention_rate(self, renewal: ArrayLike) -> FloatArray:
        """r(t) = (beta + t - 1) / (alpha + beta + t - 1): share who make the t-th renewal (t >= 1) of who meet it."""
        before = self.beta + _not_below(1, "renewal", renewal) - 1
        return before / (self.alpha + before)

    def churn_probability(self, renewal: ArrayLike) -> FloatArray:
        """P(T = t) = B(alpha + 1, beta + t - 1) / B(alpha, beta): a new customer leaves at renewal t (t >= 1)."""
        return np.exp(self._log_churn(_not_below(1, "renewal", renewal)))

    def log_likelihood(self, renewals: ArrayLike, lost: ArrayLike) -> FloatArray:
        """Log-likelihood of each customer: lost at the renewal of that number, or else still active after it."""
        t, left = np.broadcast_arrays(_not_below(0, "renewals", renewals), np.asarray(lost, dtype=np.bool_))
        if (left & (t < 1)).any():
            raise ValueError("a customer cannot be lost before the first renewal")
        return np.where(left, self._log_churn(np.maximum(t, 1.0)), self.log_survival(t))

    def discounted_lifetime(self, discount_rate: float) -> FloatArray:
        """DEL: expected discounted number of periods of a new customer, the first, which is certain, included in full.

        2F1(1, beta; alpha + beta; 1 / (1 + d)), d the rate per period. d = 0 is the plain expected lifetime, which is
        finite only if alpha > 1: ValueError otherwise.
        """
        return discounted_periods(self.alpha, as_floats(self.beta), discount_rate)

    def discounted_residual_lifetime(self, renewals: ArrayLike, discount_rate: float) -> FloatArray:
        """DERL: expected discounted number of further periods of a customer who has made n renewals, the next one due.

        (beta + n) / (alpha + beta + n) 2F1(1, beta + n + 1; alpha + beta + n + 1; 1 / (1 + d)): the period that the due
        renewal buys counts in full, the one after it 1 / (1 + d). Fader and Hardie 2010, who count periods paid for: n
        here plus 1. d = 0 is the plain expected number, which is finite only if alpha > 1: ValueError otherwise.
        """
        b = self.beta + _not_below(0, "renewals", renewals)
        return b / (self.alpha + b) * discounted_periods(self.alpha, b + 1.0, discount_rate)

    def _log_churn(self, t: FloatArray) -> FloatArray:
        log_churn: FloatArray = np.log(self.alpha / (self.alpha + self.beta + t - 1)) + self.log_survival(t - 1)
        return log_churn


def discounted_periods(alpha: float, beta: FloatArray, discount_rate: float) -> FloatArray:
    """Sum of S(t) / (1 + d)^t over t = 0, 1, ... under sBG(alpha, beta) = 2F1(1, beta; alpha + beta; 1 / (1 + d)).

    d is a rate per period: 0, which needs alpha > 1, or at least 1e-6. By Pfaff's transformation this is (1 + d) / d
    times 2F1(1, alpha; alpha + beta; -1 / d), whose continued fraction (Gauss) has positive terms only, so no digits
    are lost where the series and scipy's hyp2f1 lose them: large beta, small d, alpha near a whole number.
    """
    if discount_rate == 0 and alpha > 1:
        return as_floats((alpha + beta - 1.0) / (alpha - 1.0))
    if not SMALLEST_DISCOUNT_RATE <= discount_rate < np.inf:
        raise ValueError(
            f"the discount rate must be at least {SMALLEST_DISCOUNT_RATE} per period, or 0 if the probability to leave "
            f"has a first parameter above 1 (the lifetime is infinite otherwise); found {discount_rate} with {alpha}"
        )
    x, total = 1.0 / discount_rate, alpha + beta
    root = np.sqrt(1.0 + x)
    terms = int(np.ceil(20.0 / np.log((root + 1.0) / (root - 1.0)))) + 10
    tail = np.ones_like(total)
    for m in range(terms, 0, -1):
        odd = (alpha + m) * (total - 1.0 + m) / ((total + 2 * m - 1.0) * (total + 2 * m))
        even = m * (beta + m - 1.0) / ((total + 2 * m - 2.0) * (total + 2 * m - 1.0))
        tail = 1.0 + x * even / (1.0 + x * odd / tail)
    return as_floats((1.0 + x) / (1.0 + x * (alpha / total) / tail))


def expected_periods(alpha: float, beta: FloatArray, horizon: ArrayLike) -> FloatArray:
    """Sum of S(t) over t = 0 .. horizon - 1 under sBG(alpha, beta), term by term; horizon counts periods."""
    periods, b = np.broadcast_arrays(_not_below(0, "horizon", horizon), as_floats(beta))
    if ((periods != np.floor(periods)) & ~np.isnan(periods) | np.isinf(periods)).any():
        raise ValueError("the horizon must be a whole number of periods")
    total, surviving = 0.0 * (periods + b), np.ones(b.shape)
    for t in range(int(np.nanmax(periods, initial=0.0))):
        total = total + np.where(t < periods, surviving, 0.0)
        surviving = surviving * (b + t) / (alpha + b + t)
    return as_floats(total)


def _not_below(lowest: int, what: str, values: ArrayLike) -> FloatArray:
    found = as_floats(values)
    if (found < lowest).any():
        raise ValueError(f"{what} must be at least {lowest}; found {np.nanmin(found)}")
    return found


def _log_gamma_ratio(x: FloatArray, a: FloatArray) -> FloatArray:
    """Return ln(Gamma(x + a) / Gamma(x)); for large x by Stirling's series, whose large parts cancel on paper."""
    large = np.maximum(x, _ASYMPTOTIC_ABOVE)
    leading = (large + a - 0.5) * np.log1p(a / large) + a * (np.log(large) - 1.0)
    by_series = leading + _stirling_rest(large + a) - _stirling_rest(large)
    small = np.minimum(x, _ASYMPTOTIC_ABOVE)
    return np.where(x > _ASYMPTOTIC_ABOVE, by_series, special.gammaln(small + a) - special.gammaln(small))


def _stirling_rest(x: FloatArray) -> FloatArray:
    square = 1.0 / (x * x)
    rest: FloatArray = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / x
    return rest


def _refusal(lost: FloatArray, stayed: FloatArray, customers: int, minimum_customers: int) -> str | None:
    """Say why the model cannot be fitted, or None: one renewal shows one proportion, too little for two parameters."""
    if customers < max(minimum_customers, 1):
        return fitting.TOO_FEW_CUSTOMERS
    if len(lost) and not lost.any():
        return NO_LOSSES
    if len(lost) and not stayed.any():
        return NO_RENEWALS
    return None if len(lost) > 1 else TOO_FEW_RENEWALS


class _Likelihood:
    """Total log-likelihood and gradient in (alpha, beta): at renewal t, stayed ln r(t) + lost ln(1 - r(t))."""

    def __init__(self, lost: FloatArray, stayed: FloatArray) -> None:
        self.lost, self.stayed, self.met = float(lost.sum()), stayed, lost + stayed
        self.before = np.arange(len(lost), dtype=np.float64)

    def evaluate(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """No gamma function is needed: both probabilities of a renewal are quotients."""
        alpha, beta = map(float, parameters)
        b = beta + self.before
        left = self.met / (alpha + b)
        value = self.lost * np.log(alpha) + np.sum(self.stayed * np.log(b)) - np.sum(self.met * np.log(alpha + b))
        return float(value), np.array([self.lost / alpha - np.sum(left), np.sum(self.stayed / b) - np.sum(left)])

    def hessian(self, parameters: FloatArray) -> FloatArray:
        """Second derivatives in (alpha, beta)."""
        alpha, beta = map(float, parameters)
        b = beta + self.before
        both = float(np.sum(self.met / (alpha + b) ** 2))
        return symmetric((both - self.lost / alpha**2, both), (both - float(np.sum(self.stayed / b**2)),))
