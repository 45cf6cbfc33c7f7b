"""The additive facts of segments and months: movements of customers, orders, money, and their running sums.

Everything comes from `activity_sums`; customers are never crossed with months.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.metrics.activity import SUMMED, in_segments

_SUMMED = {
    name: SUMMED[name]
    for name in (
        "new_customer_count",
        "reactivated_customer_count",
        "churned_customer_count",
        "active_customer_count",
        "order_count",
        "margin_order_count",
        "net_amount",
        "margin_amount",
        "first_day_number",
    )
}

MONTHS_POOLED = 12


def segment_months(activity: DataFrame, as_of: dt.date) -> DataFrame:
    """Facts of each segment and calendar month from its first order to as_of, with their sums so far.

    Grain: `segment_id` and `period_month`, without gaps. `activity` are `activity_sums`. Counts and amounts are 0 in a
    month without orders. Margins are sums of the known ones, to be judged by `margin_order_count`.
    `customer_count_start_12m` and `churned_customer_count_12m` are sums over the last 12 complete months.
    """
    moved = activity.where(F.col("spell_kind").isNull())
    of_segments = in_segments(moved, "month", summed=tuple(_SUMMED))
    return _with_sums_so_far(_with_every_month(of_segments, as_of), as_of)


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
