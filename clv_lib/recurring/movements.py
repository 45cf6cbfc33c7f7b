"""MRR per customer and month: what it was, what moved it, and why it ended.

A period counts in a month if it holds at the month's end (at as_of in the current month), so a change within a month
is one movement, and a period that begins and ends within a month never counts.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods
from clv_lib.contracts.recurring import MOVEMENTS, MRR_MOVEMENTS
from clv_lib.contracts.types import MONEY_SUM

MONTHS_OF_RETENTION = 12

_UNKNOWN = "unknown"


def mrr_changes(subscription_periods: DataFrame) -> DataFrame:
    """By how much a customer's MRR at the month's end differs from that of the month before.

    Grain: customer and month with a difference; columns `customer_id, month, change_amount, churn_type, churn_reason`,
    the last two what the month's ended periods say, the latest of it, NULL where they say nothing. A period counts
    from the month of its start up to the month before that of its end; subscriptions of a customer add up.
    """
    started = _event(F.col("started_date"), F.col("mrr_amount"), is_end=False)
    ended = _event(F.col("ended_date"), -F.col("mrr_amount"), is_end=True)
    events = F.when(F.col("ended_date").isNull(), F.array(started)).otherwise(F.array(started, ended))
    changes = subscription_periods.select("customer_id", F.inline(events)).groupBy("customer_id", "month")
    summed = changes.agg(
        F.sum("change_amount").cast(MONEY_SUM).alias("change_amount"),
        F.max("told_type")["value"].alias("churn_type"),
        F.max("told_reason")["value"].alias("churn_reason"),
    )
    return summed.where(F.col("change_amount") != 0)


def _event(day: Column, change: Column, *, is_end: bool) -> Column:
    return F.struct(
        F.trunc(day, "month").alias("month"),
        change.alias("change_amount"),
        _told(day, F.col("cancellation_type"), _type_by_status(), is_end).alias("told_type"),
        _told(day, F.col("cancellation_reason"), _reason_by_status(), is_end).alias("told_reason"),
    )


def _told(day: Column, given: Column, by_status: Column, is_end: bool) -> Column:
    """What a paying period says at its end, or one that stopped paying at its start; what is given comes first."""
    said = given if is_end else F.coalesce(given, by_status)
    speaks = F.col("is_paying") if is_end else ~F.col("is_paying") & (F.col("status") != "trialing")
    answer = F.struct(
        given.isNotNull().alias("is_given"),
        day.alias("day"),
        F.col("subscription_period_id").alias("id"),
        said.alias("value"),
    )
    return F.when(speaks & said.isNotNull(), answer)


def _type_by_status() -> Column:
    """A bill that stays unpaid is not the customer's wish."""
    return F.when(F.col("status") == "unpaid", "involuntary")


def _reason_by_status() -> Column:
    return F.when(F.col("status").isin("paused", "unpaid"), F.col("status"))


def mrr_movements(changes: DataFrame, reactivation_window_months: int | None, as_of: dt.date) -> DataFrame:
    """Contract `mrr_movements` from `mrr_changes`: every month of a customer's life, without gaps.

    Grain: customer and month, from the first with MRR to that of the last churn, or of as_of if there is MRR. A
    customer who comes back after more than `reactivation_window_months` without MRR is new again; None: never.
    """
    moved = _with_kinds(changes, reactivation_window_months)
    after_last = F.when(F.col("mrr_end") > 0, F.lit(periods.month_start(as_of))).otherwise(F.col("month"))
    last_month = F.coalesce(F.add_months("next_month", -1), after_last)
    months = F.sequence("month", last_month, F.expr("interval 1 month"))
    spread = moved.withColumn("months", months).select("*", F.explode("months").alias("period_month"))
    own = F.col("period_month") == F.col("month")
    told = {
        name: F.when(own & is_churn(), F.coalesce(name, F.lit(_UNKNOWN))) for name in ("churn_type", "churn_reason")
    }
    amount = F.abs("change_amount")
    amounts = {
        f"{kind}_amount": F.when(own & (F.col("movement_type") == kind), amount).otherwise(0).cast(MONEY_SUM)
        for kind in MOVEMENTS
    }
    lived = spread.withColumns(
        {
            **told,
            **amounts,
            "mrr_start": F.when(own, F.col("mrr_start")).otherwise(F.col("mrr_end")),
            "mrr_12m_before": _mrr_before(),
            "is_final": F.last_day("period_month") <= F.lit(as_of),
            "as_of_date": F.lit(as_of),
        }
    )
    kind = F.when(own, F.col("movement_type")).otherwise("none")
    return lived.withColumn("movement_type", kind).select(*MRR_MOVEMENTS.columns)


def is_churn() -> Column:
    """The movement is a churn."""
    return F.col("movement_type") == "churn"


def _mrr_before() -> Column:
    """A life has no gaps, so the row of 12 months before is 12 rows up."""
    life = Window.partitionBy("customer_id").orderBy("period_month")
    return F.coalesce(F.lag("mrr_end", MONTHS_OF_RETENTION).over(life), F.lit(0)).cast(MONEY_SUM)


def _with_kinds(changes: DataFrame, window_months: int | None) -> DataFrame:
    """Add MRR before and after each change, its kind, and since when the customer pays without a break."""
    history = Window.partitionBy("customer_id").orderBy("month")
    so_far = history.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    end = F.sum("change_amount").over(so_far)
    measured = changes.withColumns(
        {
            "mrr_end": end.cast(MONEY_SUM),
            "mrr_start": (end - F.col("change_amount")).cast(MONEY_SUM),
            "previous_month": F.lag("month").over(history),
            "next_month": F.lead("month").over(history),
        }
    )
    kinds = measured.withColumn("movement_type", movement_type(window_months))
    began = F.when(F.col("mrr_start") == 0, F.col("month"))
    since = F.when(F.col("mrr_end") > 0, F.last(began, ignorenulls=True).over(so_far))
    return kinds.withColumn("paying_since_month", since)


def movement_type(window_months: int | None) -> Column:
    """Kind of a change, tested in an order in which each kind is reached: first who starts at 0, then who ends at 0.

    `previous_month` of who starts at 0 is the month of the churn, NULL if there was never MRR before.
    """
    months_without = F.expr("datediff(month, previous_month, month)")
    is_new = F.col("previous_month").isNull()
    if window_months is not None:
        is_new = is_new | (months_without > window_months)
    return (
        F.when((F.col("mrr_start") == 0) & is_new, "new")
        .when(F.col("mrr_start") == 0, "reactivation")
        .when(F.col("mrr_end") == 0, "churn")
        .when(F.col("mrr_end") > F.col("mrr_start"), "expansion")
        .otherwise("contraction")
    )
