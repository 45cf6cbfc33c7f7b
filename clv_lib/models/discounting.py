"""Present number of future purchases: monthly steps, compounded at an annual rate."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from clv_lib.models.protocol import TransactionModel
from clv_lib.models.sufficient_statistics import FloatArray, as_floats

DAYS_PER_MONTH = 30.4375
DAYS_PER_YEAR = 12 * DAYS_PER_MONTH


def month_ends(horizon_days: float) -> list[float]:
    """Days from now to the end of each month of the horizon; the last one, maybe a part, ends with the horizon."""
    if not 0 < horizon_days < math.inf:
        raise ValueError(f"the horizon must be a positive number of days; found {horizon_days}")
    whole = math.ceil(horizon_days / DAYS_PER_MONTH) - 1
    return [month * DAYS_PER_MONTH for month in range(1, whole + 1)] + [float(horizon_days)]


def discounted_purchases_if_alive(
    model: TransactionModel,
    frequency: ArrayLike,
    age: ArrayLike,
    *,
    horizon_days: float,
    annual_discount_rate: float,
    time_unit_days: float = 7.0,
) -> FloatArray:
    """Discounted expected purchases of each (x, T) if alive; times P(alive) it is that of the customer.

    Purchases of a month count at its end: the increment of G over the month times (1 + rate)^-(years to its end), a
    year being 365.25 days. age is in the model's unit, which is time_unit_days long.
    """
    if not annual_discount_rate > -1:
        raise ValueError(f"the annual discount rate must be above -1; found {annual_discount_rate}")
    x, ages = as_floats(frequency), as_floats(age)
    total: FloatArray = 0.0 * (x + ages)
    before = total
    for end in month_ends(horizon_days):
        until = model.expected_purchases_if_alive(end / time_unit_days, x, ages)
        total = total + (until - before) * (1.0 + annual_discount_rate) ** (-end / DAYS_PER_YEAR)
        before = until
    return total
