"""The additive facts of segments and months: movements of customers, orders, money, and their running sums.

Everything comes from `customer_months`; customers are never crossed with months.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods
from clv_lib.contracts.types import MONEY_SUM

_SUMMED = {
    "new_customer_count": "bigint",
    "reactivated_customer_count": "bigint",
    "churned_customer_count": "bigint",
    "active_customer_count": "bigint",
    "order_count": "bigint",
    "margin_order_count": "bigint",
    "net_amount": MONEY_SUM,
    "margin_amount": MONEY_SUM,
    "first_day_number": "bigint",
}

MONTHS_POOLED = 12


def segment_months(
    customer_months: DataFrame, customer_segments: DataFrame, inactivity_days: int, as_of: dt.date
) -> DataFrame:
    """Facts of each segment and calendar month from its first order to as_of, with their sums so far.

    Grain: `segment_id` and `period_month`, without gaps. Counts and amounts are 0 in a month without orders. Margins
    are sums of the known ones, to be judged by `margin_order_count`. `customer_count_start_12m` and
    `churned_customer_count_12m` are sums over the last 12 complete months.
    """
    facts = _facts_of_customers(with_movements(customer_months, inactivity_days, as_of))
    members = customer_segments.select("customer_id", "segment_id")
    summed = [F.sum(name).cast(kind).alias(name) for name, kind in _SUMMED.items()]
    of_segments = facts.join(members, on="customer_id", how="inner").groupBy("segment_id", "month").agg(*summed)
    return _with_sums_so_far(_with_every_month(of_segments, as_of), as_of)


def with_movements(customer_months: DataFrame, inactivity_days: int, as_of: dt.date) -> DataFrame:
    """Say when customers came, left and came back.

    Grain: customer and month with an order. Adds `is_new`, `is_reactivated` (the first order of the month came more
    than `inactivity_days` after the one before) and `churned_date`: last order of the month + inactivity_days, if no
    order came up to that day and as_of has reached it; else NULL. An order on that very day is in time.
    """
    ordered = customer_months.where((F.col("order_count") > 0) & (F.col("month") <= periods.month_start(as_of)))
    history = Window.partitionBy("customer_id").orderBy("month")
    previous_date = F.lag("last_ordered_date").over(history)
    next_date = F.lead("first_ordered_date").over(history)
    due_date = F.date_add("last_ordered_date", inactivity_days)
    has_lapsed = F.when(next_date.isNull(), due_date <= F.lit(as_of)).otherwise(due_date < next_date)
    gap_days = F.date_diff(F.col("first_ordered_date"), previous_date)
    return ordered.withColumns(
        {
            "is_new": previous_date.isNull(),
            "is_reactivated": F.coalesce(gap_days > inactivity_days, F.lit(False)),
            "churned_date": F.when(has_lapsed, due_date),
        }
    )


def _facts_of_customers(movements: DataFrame) -> DataFrame:
    """Rows of summable facts: one in the month of the orders and one in the month of the churn, if any."""
    flag = {
        "new_customer_count": F.col("is_new").cast("bigint"),
        "reactivated_customer_count": F.col("is_reactivated").cast("bigint"),
        "churned_customer_count": F.lit(0),
        "active_customer_count": F.lit(1),
        "first_day_number": F.when(F.col("is_new"), F.unix_date("first_ordered_date")).otherwise(0),
    }
    activity = _fact(F.col("month"), {name: flag.get(name, F.col(name)) for name in _SUMMED})
    left = {name: F.lit(1 if name == "churned_customer_count" else 0) for name in _SUMMED}
    churn = _fact(F.trunc("churned_date", "month"), left)
    facts = F.when(F.col("churned_date").isNull(), F.array(activity)).otherwise(F.array(activity, churn))
    return movements.select("customer_id", F.inline(facts))


def _fact(month: Column, values: dict[str, Column]) -> Column:
    return F.struct(month.alias("month"), *(values[name].cast(kind).alias(name) for name, kind in _SUMMED.items()))


def _with_every_month(facts: DataFrame, as_of: dt.date) -> DataFrame:
    """Fill the months without facts, up to that of as_of, with zeros."""
    after_last = F.lit(periods.add_months(periods.month_start(as_of), 1))
    next_month = F.coalesce(F.lead("month").over(Window.partitionBy("segment_id").orderBy("month")), after_last)
    months = F.sequence("month", F.add_months(next_month, -1), F.expr("interval 1 month"))
    spread = facts.withColumn("months", months).select("*", F.explode("months").alias("period_month"))
    has_facts = F.col("period_month") == F.col("month")
    own = [F.when(has_facts, F.col(name)).otherwise(0).cast(kind).alias(name) for name, kind in _SUMMED.items()]
    return spread.select("segment_id", "period_month", *own)


def over_complete_months(aggregate: Column) -> Column:
    """An aggregate over the last 12 complete months of the segment; fewer where its history is shorter.

    They end with the row's month, or with the month before where that one is not over (`is_final` is false).
    """
    history = Window.partitionBy("segment_id").orderBy("period_month")
    ending_here = aggregate.over(history.rowsBetween(1 - MONTHS_POOLED, 0))
    ending_before = aggregate.over(history.rowsBetween(-MONTHS_POOLED, -1))
    return F.when(F.col("is_final"), ending_here).otherwise(ending_before)


def _with_sums_so_far(months: DataFrame, as_of: dt.date) -> DataFrame:
    """Add sums since the first order, days of exposure, customers at start and end, and sums over complete months."""
    history = Window.partitionBy("segment_id").orderBy("period_month")
    so_far = history.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    gained = F.col("new_customer_count") + F.col("reactivated_customer_count") - F.col("churned_customer_count")
    customers, end = F.sum("new_customer_count").over(so_far), F.sum(gained).over(so_far)
    period_end = F.least(F.last_day("period_month"), F.lit(as_of))
    # Days of all members, both ends counted: members x (day after the period's end) - sum of their first days.
    exposure = customers * (F.unix_date(period_end) + 1) - F.sum("first_day_number").over(so_far)
    summed = months.withColumns(
        {
            "is_final": F.last_day("period_month") <= F.lit(as_of),
            "customer_count_start": end - gained,
            "customer_count_end": end,
            "lifetime_customer_count": customers,
            "lifetime_order_count": F.sum("order_count").over(so_far),
            "lifetime_margin_order_count": F.sum("margin_order_count").over(so_far),
            "lifetime_net_amount": F.sum("net_amount").over(so_far).cast(MONEY_SUM),
            "lifetime_known_margin_amount": F.sum("margin_amount").over(so_far).cast(MONEY_SUM),
            "exposure_days": exposure,
        }
    )
    pooled = {
        "customer_count_start_12m": over_complete_months(F.sum("customer_count_start")),
        "churned_customer_count_12m": over_complete_months(F.sum("churned_customer_count")),
    }
    return summed.withColumns({name: F.coalesce(total, F.lit(0)) for name, total in pooled.items()})
