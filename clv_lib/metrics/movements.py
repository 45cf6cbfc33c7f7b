"""Months of customers with what came before and after each: when they came, left and came back, and how long between.

All of it is one sort of `customer_months` by customer and month, over which every window runs.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods


def with_movements(customer_months: DataFrame, inactivity_days: int, as_of: dt.date) -> DataFrame:
    """Say when customers came, left and came back.

    Grain: customer and month with an order, not after as_of. Adds `cohort_month`, `first_date` (first order of all),
    `previous_date` (last order of the months before, NULL: none), `days_before` (days with orders in them), `is_last`
    (no later month), `is_new`, `is_reactivated` (the first order of the month came more than `inactivity_days` after
    the one before), and `churned_date`: last order of the month + inactivity_days, if no order came up to that day and
    as_of has reached it; else NULL. An order on that very day is in time. `had_churned`: there was an earlier churn.
    """
    ordered = customer_months.where((F.col("order_count") > 0) & (F.col("month") <= periods.month_start(as_of)))
    history = Window.partitionBy("customer_id").orderBy("month")
    before = history.rowsBetween(Window.unboundedPreceding, -1)
    so_far = history.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    placed = ordered.withColumns(
        {
            "previous_date": F.lag("last_ordered_date").over(history),
            "next_date": F.lead("first_ordered_date").over(history),
            "first_date": F.first("first_ordered_date").over(so_far),
            "days_before": F.coalesce(F.sum("active_day_count").over(before), F.lit(0)),
        }
    )
    moved = placed.withColumns(_moves(inactivity_days, as_of))
    return moved.withColumn("had_churned", F.count("churned_date").over(before) > 0).drop("next_date")


def _moves(inactivity_days: int, as_of: dt.date) -> dict[str, Column]:
    due, following = F.date_add("last_ordered_date", inactivity_days), F.col("next_date")
    has_lapsed = F.when(following.isNull(), due <= F.lit(as_of)).otherwise(due < following)
    gap_days = F.date_diff("first_ordered_date", "previous_date")
    return {
        "cohort_month": F.trunc("first_date", "month"),
        "is_last": following.isNull(),
        "is_new": F.col("previous_date").isNull(),
        "is_reactivated": F.coalesce(gap_days > inactivity_days, F.lit(False)),
        "churned_date": F.when(has_lapsed, due),
    }
