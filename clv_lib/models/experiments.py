"""Effects of randomised experiments from sums per variant: differences of means, adjustment by history, many tests.

Means are compared by Welch's test; tests of hypotheses and quantiles are SciPy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from clv_lib.models.sufficient_statistics import FloatArray, as_floats

Number = Decimal | Fraction | float | int


@dataclass(frozen=True)
class Moments:
    """Moments of the customers of a variant: y is their outcome, x the same figure before the assignment.

    Variances and the covariance have the divisor n - 1; NaN for fewer than 2 customers.
    """

    count: int
    mean: float
    variance: float
    history_mean: float
    history_variance: float
    covariance: float

    @classmethod
    def of_sums(cls, count: int, y: Number, yy: Number, x: Number, xx: Number, xy: Number) -> Moments:
        """From the sums of y, y^2, x, x^2 and x y, in exact fractions: large means cost no digits of a variance.

        ValueError without customers.
        """
        if count < 1:
            raise ValueError(f"moments need at least one customer; found {count}")
        mean, history_mean = Fraction(y) / count, Fraction(x) / count

        def spread(products: Number, left: Fraction, right: Fraction) -> float:
            return float((Fraction(products) - count * left * right) / (count - 1)) if count > 1 else np.nan

        return cls(
            count,
            float(mean),
            spread(yy, mean, mean),
            float(history_mean),
            spread(xx, history_mean, history_mean),
            spread(xy, mean, history_mean),
        )

    @property
    def squared_error(self) -> float:
        """Squared standard error of the mean."""
        return self.variance / self.count

    def adjusted(self, theta: float, history_mean: float) -> Moments:
        """Moments of y - theta (x - history_mean); those of x stay."""
        return Moments(
            self.count,
            self.mean - theta * (self.history_mean - history_mean),
            max(self.variance + theta**2 * self.history_variance - 2 * theta * self.covariance, 0.0),
            self.history_mean,
            self.history_variance,
            self.covariance - theta * self.history_variance,
        )


@dataclass(frozen=True)
class Effect:
    """Mean of the variant less mean of the reference, and their quotient less 1, each with its interval.

    The relative uplift is NaN where the mean of the reference is not positive; its interval is NaN where it has no
    ends, because the mean of the reference may be 0.
    """

    difference: float
    lower: float
    upper: float
    relative_uplift: float
    relative_lower: float
    relative_upper: float
    p_value: float
    squared_error: float


def effect(reference: Moments, variant: Moments, confidence_level: float) -> Effect | None:
    """Welch's test and interval of the difference, Fieller's of the quotient; None if nothing varies.

    Welch 1947, Biometrika 34:28; Fieller 1954, JRSS B 16:175. Both intervals take the same quantile, so they agree on
    whether there is an effect. Of adjusted moments the common mean of x counts as known.
    """
    squared_error = reference.squared_error + variant.squared_error
    if not squared_error > 0:
        return None
    test = stats.ttest_ind_from_stats(
        variant.mean, np.sqrt(variant.variance), variant.count,
        reference.mean, np.sqrt(reference.variance), reference.count,
        equal_var=False,
    )  # fmt: skip
    quantile = float(stats.t.ppf((1 + confidence_level) / 2, _degrees_of_freedom(reference, variant)))
    difference, reach = variant.mean - reference.mean, quantile * float(np.sqrt(squared_error))
    relative = _relative(reference, variant, quantile)
    return Effect(difference, difference - reach, difference + reach, *relative, float(test.pvalue), squared_error)


def _degrees_of_freedom(reference: Moments, variant: Moments) -> float:
    """Welch and Satterthwaite: the SciPy function that tests from moments does not return them."""
    errors = np.array([reference.squared_error, variant.squared_error])
    return float(errors.sum() ** 2 / np.sum(errors**2 / np.array([reference.count - 1, variant.count - 1])))


def _relative(reference: Moments, variant: Moments, quantile: float) -> tuple[float, float, float]:
    """Quotient of the means less 1, and the two quotients r at which variant - r reference is quantile errors off 0."""
    if not reference.mean > 0:
        return np.nan, np.nan, np.nan
    centre = variant.mean * reference.mean
    below = reference.mean**2 - quantile**2 * reference.squared_error
    above = variant.mean**2 - quantile**2 * variant.squared_error
    uplift = variant.mean / reference.mean - 1
    if not below > 0:
        return uplift, np.nan, np.nan
    root = float(np.sqrt(centre**2 - below * above))
    return uplift, (centre - root) / below - 1, (centre + root) / below - 1


def history_slope(variants: Sequence[Moments]) -> float:
    """Slope theta of y on x within the variants, pooled; NaN if x does not vary.

    Deng, Xu, Kohavi and Walker 2013 (CUPED), WSDM: theta = cov(y, x) / var(x) makes the variance of y - theta x least,
    by the share rho^2. Pooled, it is the same for each variant, so the expected difference stays that of y.
    """
    weights = np.array([variant.count - 1 for variant in variants], dtype=np.float64)
    spread = float(weights @ np.array([variant.history_variance for variant in variants]))
    shared = float(weights @ np.array([variant.covariance for variant in variants]))
    return shared / spread if spread > 0 else float("nan")


def history_adjusted(variants: Sequence[Moments]) -> tuple[float, list[Moments]] | None:
    """Theta and the variants' moments of y - theta (x - mean of x over all variants); None if x does not vary."""
    theta = history_slope(variants)
    if not np.isfinite(theta):
        return None
    customers = sum(variant.count for variant in variants)
    history_mean = sum(variant.count * variant.history_mean for variant in variants) / customers
    return theta, [variant.adjusted(theta, history_mean) for variant in variants]


def sample_ratio_p_value(counts: ArrayLike, weights: ArrayLike) -> float:
    """P-value of the chi-square test that customers were assigned in the ratio of the weights; NaN if not testable.

    Not testable are fewer than two variants, or no customers. Fabijan and others 2019, KDD: below 0.001 the experiment
    is not analysed as if it had been randomised.
    """
    found, expected = as_floats(counts), as_floats(weights)
    if found.size < 2 or not found.sum() > 0:
        return float("nan")
    return float(stats.chisquare(found, found.sum() * expected / expected.sum()).pvalue)


def holm(p_values: ArrayLike) -> FloatArray:
    """P-values for several tests at once, shape kept: below a all of them, an error among them has at most chance a.

    Holm 1979, Scandinavian Journal of Statistics 6:65, whatever the dependence between the tests; SciPy has only the
    control of the share of false discoveries. NaN is no test and stays NaN.
    """
    p = as_floats(p_values)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    left = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(left * p[order]), 1.0)
    return adjusted
