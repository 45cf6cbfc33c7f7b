"""`prediction_tracking`: repeat orders month by month, as they came and as a model expects them of new customers."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from clv_lib.periods import add_months, month_end, month_start
from clv_lib.scoring.statistics import TIME_UNIT_DAYS

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

    from clv_lib.scoring.fits import Fits


def repeat_orders_by_month(months: DataFrame, first_days: DataFrame) -> DataFrame:
    """Repeat purchase days of the customers of `first_days`, by calendar month. Grain: month.

    `months` are `customer_months`; `first_days` has customer_id and first_order_date.
    """
    own = months.join(first_days, "customer_id")
    is_first = F.col("month") == F.trunc("first_order_date", "month")
    repeat = F.col("active_day_count") - F.when(is_first, 1).otherwise(0)
    return own.groupBy("month").agg(F.sum(repeat).cast("double").alias("orders"))


def tracking_rows(
    actual: pd.DataFrame, first_days: pd.DataFrame, fits: Fits, calibration_end: dt.date, as_of: dt.date
) -> list[tuple[object, ...]]:
    """Rows of contract `prediction_tracking`, in the order of its columns.

    `actual` are the collected `repeat_orders_by_month`; `first_days` the number of `customers` by `first_order_date`.
    Expected are the sum over customers of E[X(t)], t since the first order: how many repeat orders the whole cohort
    should have placed by the end of each month, from nothing but the days of the first orders.
    """
    if first_days.empty:
        return []
    began, ends = list(first_days["first_order_date"]), _month_ends(min(first_days["first_order_date"]), as_of)
    orders = {month: float(count) for month, count in zip(actual["month"], actual["orders"], strict=True)}
    weeks = np.array([[max((end - day).days, 0) for day in began] for end in ends]).reshape(len(ends), len(began))
    customers = first_days["customers"].to_numpy(float)
    rows: list[tuple[object, ...]] = []
    for name, fit in fits.compared.items():
        if fit.model is None:
            continue
        predicted = fit.model.expected_purchases_new(weeks / TIME_UNIT_DAYS) @ customers
        cumulative = 0.0
        for number, end in enumerate(ends):
            observed = orders.get(month_start(end), 0.0)
            cumulative += observed
            before = float(predicted[number - 1]) if number else 0.0
            total = float(predicted[number])
            is_holdout = end > calibration_end
            rows.append(
                (
                    name,
                    calibration_end,
                    month_start(end),
                    observed,
                    total - before,
                    cumulative,
                    total,
                    is_holdout,
                    as_of,
                )
            )
    return rows


def _month_ends(first: dt.date, as_of: dt.date) -> list[dt.date]:
    """Last day of each month from that of `first` to the last one that had ended at `as_of`."""
    ends, month = [], month_start(first)
    while month_end(month) <= as_of:
        ends.append(month_end(month))
        month = add_months(month, 1)
    return ends
