"""Cohorts by months since the first order: retention, repeat customers, revenue and margin per acquired customer.

A month without orders that lies up to as_of was observed and holds zeros; a later one has no row.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods
from clv_lib.contracts.cohorts import COHORT_METRICS
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.metrics.activity import SUMMED, in_segments
from clv_lib.metrics.catalogue import metrics_of
from clv_lib.metrics.segment_ids import parts_of_segment_id

_SUMMED = {
    name: SUMMED[name]
    for name in (
        "new_customer_count",
        "active_customer_count",
        "new_repeat_customer_count",
        "order_count",
        "margin_order_count",
        "net_amount",
        "margin_amount",
    )
}
_COHORT = ("segment_id", "cohort_month")


def cohort_metrics(activity: DataFrame, cohort_types: Collection[str], as_of: dt.date) -> DataFrame:
    """Figures of each first-order month and segment by months since, contract `cohort_metrics`.

    Grain: cohort month, segment and every age from 0 to that of as_of's month. `activity` are `activity_sums`.
    `cohort_types` names the segment types that are cohorts themselves; they are left out. Rates and amounts per
    customer have the cohort's size as denominator at every age. Margins are NULL unless that of every order is known:
    of the month, or up to it with `margin_status`.
    """
    moved = activity.where(F.col("spell_kind").isNull())
    age = months_from("month", "cohort_month").alias("months_since_first_order")
    cells = in_segments(moved, "cohort_month", age, summed=tuple(_SUMMED)).withColumns(parts_of_segment_id())
    of_cohorts = cells.where(~F.col("segment_type").isin(list(cohort_types)))
    known = _with_sums_so_far(_with_every_age(of_cohorts, as_of)).withColumns(
        {
            **parts_of_segment_id(),
            "period_month": F.add_months("cohort_month", F.col("months_since_first_order")),
            "as_of_date": F.lit(as_of),
        }
    )
    return known.withColumns(_margins(as_of)).withColumns(metrics_of(COHORT_METRICS)).select(*COHORT_METRICS.columns)


def months_from(month: Column | str, cohort_month: Column | str) -> Column:
    """Calendar months (INT) between two first days of months, for which `months_between` is a whole number."""
    return F.months_between(month, cohort_month).cast("int")


def _with_every_age(cells: DataFrame, as_of: dt.date) -> DataFrame:
    """Fill the ages without orders, up to that of as_of's month, with zeros."""
    age = F.col("months_since_first_order")
    after_last = months_from(F.lit(periods.month_start(as_of)), "cohort_month") + 1
    next_age = F.coalesce(F.lead(age).over(Window.partitionBy(*_COHORT).orderBy(age)), after_last)
    spread = cells.withColumn("ages", F.sequence(age, next_age - 1)).select("*", F.explode("ages").alias("age"))
    own = [F.when(F.col("age") == age, F.col(name)).otherwise(0).cast(t).alias(name) for name, t in _SUMMED.items()]
    return spread.select(*_COHORT, F.col("age").alias("months_since_first_order"), *own)


def _with_sums_so_far(cells: DataFrame) -> DataFrame:
    """Add the cohort's size, which age 0 holds, and the sums from age 0 to the row's age."""
    so_far = (
        Window.partitionBy(*_COHORT)
        .orderBy("months_since_first_order")
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    return cells.withColumns(
        {
            "cohort_size": F.sum("new_customer_count").over(so_far),
            "repeat_customer_count": F.sum("new_repeat_customer_count").over(so_far),
            "cumulative_order_count": F.sum("order_count").over(so_far),
            "cumulative_margin_order_count": F.sum("margin_order_count").over(so_far),
            "cumulative_net_amount": F.sum("net_amount").over(so_far).cast(MONEY_SUM),
            "known_margin_so_far": F.sum("margin_amount").over(so_far).cast(MONEY_SUM),
        }
    )


def _margins(as_of: dt.date) -> dict[str, Column]:
    """Margins that are known for every order, of the month and up to it, and whether the month had ended."""
    is_known = F.col("cumulative_margin_order_count") == F.col("cumulative_order_count")
    is_month_known = F.col("margin_order_count") == F.col("order_count")
    return {
        "is_complete": F.last_day("period_month") <= F.lit(as_of),
        "margin_amount": F.when(is_month_known, F.col("margin_amount")),
        "cumulative_margin_amount": F.when(is_known, F.col("known_margin_so_far")),
        "margin_status": F.when(is_known, "ok").otherwise("margin_unknown"),
    }
