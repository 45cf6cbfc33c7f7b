"""Quotients of sums: exact decimals, NULL for a zero or missing denominator, and intervals of rates.

A part is an unrounded quotient with 16 decimals, from which several published figures are made.
"""

from __future__ import annotations

from statistics import NormalDist

from pyspark.sql import Column
from pyspark.sql import functions as F

from clv_lib.contracts.types import RATIO
from clv_lib.periods import DAYS_PER_MONTH

# Types for which Spark's rules of decimal precision keep at least 12 decimals of a quotient or product.
_AMOUNT = "decimal(22,4)"
_COUNT = "decimal(14,0)"
_OPERAND = "decimal(26,8)"
_PART = "decimal(28,16)"


def published(value: Column) -> Column:
    """The value as a published ratio, rounded half up to 8 decimals; NULL if it does not fit."""
    return value.try_cast(RATIO)


def part(amount: Column, count: Column) -> Column:
    """Unrounded amount (or count) per unit of an integer count; NULL if the count is 0 or NULL."""
    return F.try_divide(amount.cast(_AMOUNT), count.cast(_COUNT)).try_cast(_PART)


def per_month(amount: Column, days: Column) -> Column:
    """Unrounded amount per month of 365.25/12 days, from an amount and a number of days; NULL without days."""
    return times(part(amount, days), F.lit(DAYS_PER_MONTH))


def times(left: Column, right: Column) -> Column:
    """Unrounded product of two parts; NULL if one is NULL."""
    return (left.cast(_PART) * right.cast(_PART)).try_cast(_PART)


def ratio(amount: Column, count: Column) -> Column:
    """Published amount (or count) per unit of an integer count; NULL if the count is 0 or NULL."""
    return published(part(amount, count))


def quotient(left: Column, right: Column) -> Column:
    """Published quotient of two amounts or ratios; NULL if the right one is 0 or NULL."""
    return published(F.try_divide(left.cast(_OPERAND), right.cast(_OPERAND)))


def normal_quantile(confidence_level: float) -> float:
    """z of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + confidence_level) / 2)


def wilson_lower(events: Column, trials: Column, z: float) -> Column:
    """Lower end (DOUBLE, 0 to 1) of the Wilson score interval of events / trials; NULL without trials."""
    return _wilson(events, trials, z, -1)


def wilson_upper(events: Column, trials: Column, z: float) -> Column:
    """Upper end (DOUBLE, 0 to 1) of the Wilson score interval of events / trials; NULL without trials."""
    return _wilson(events, trials, z, +1)


def _wilson(events: Column, trials: Column, z: float, side: int) -> Column:
    """Wilson (1927): (x + z^2/2 +- z sqrt(x (n - x) / n + z^2/4)) / (n + z^2)."""
    x, n = events.cast("double"), trials.cast("double")
    spread = F.sqrt(F.try_divide(x * (n - x), n) + z * z / 4)
    bound = (x + z * z / 2 + side * z * spread) / (n + z * z)
    within = F.greatest(F.lit(0.0), F.least(F.lit(1.0), bound))
    return F.when(trials > 0, within)
