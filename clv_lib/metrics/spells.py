"""Spells of customers, counted: gaps between orders and lifetimes, ended or still open at as_of.

Everything comes from `customer_months`, in one aggregation; what leaves Spark is as small as the distinct lengths are.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib.metrics.segment_months import with_movements

FIRST_GAP = "first"
LATER_GAP = "later"
LIFETIME = "lifetime"


def spell_counts(
    customer_months: DataFrame, customer_segments: DataFrame, inactivity_days: int, as_of: dt.date
) -> DataFrame:
    """How many spells of each length a segment's members have had. Grain: segment_id, spell_kind and days.

    Columns: `spell_kind`, `days`, `ended_count` and `open_count` (still open at as_of: right-censored). The kinds are
    `first` (gap from the first to the second day with orders), `later` (every other gap) and `lifetime` (from the first
    order to the first churn by the fixed rule; a later return does not undo it). Members are those at as_of.
    """
    spells = spells_of_customers(customer_months, inactivity_days, as_of)
    members = customer_segments.select("customer_id", "segment_id")
    joined = spells.join(members, on="customer_id", how="inner")
    return joined.groupBy("segment_id", "spell_kind", "days").agg(
        F.sum("ended_count").alias("ended_count"), F.sum("open_count").alias("open_count")
    )


def spells_of_customers(customer_months: DataFrame, inactivity_days: int, as_of: dt.date) -> DataFrame:
    """Spells in the month in which they end, or in that of the last order. Grain: customer, month, kind and length.

    Gaps between months are exact. Those within a month add up to the days between its first and last order and are
    placed at their mean, in whole days: exact where there is one, and never longer than 30 days.
    """
    history = Window.partitionBy("customer_id").orderBy("month")
    before = history.rowsBetween(Window.unboundedPreceding, -1)
    so_far = history.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    months = with_movements(customer_months, inactivity_days, as_of).withColumns(
        {
            "days_before": F.coalesce(F.sum("active_day_count").over(before), F.lit(0)),
            "previous_date": F.lag("last_ordered_date").over(history),
            "is_last": F.lead("month").over(history).isNull(),
            "first_date": F.first("first_ordered_date").over(so_far),
            "had_churned": F.count("churned_date").over(before) > 0,
        }
    )
    spells = F.array(*_gaps(as_of), _lifetime(as_of))
    # An array holds NULL where the month has no spell of that kind, and inline would make a row of it.
    return months.select("customer_id", F.inline(F.filter(spells, lambda spell: spell.isNotNull())))


def _gaps(as_of: dt.date) -> list[Column]:
    """Gap before the month's first order, gaps within the month, and the open one after the last order of all."""
    before, within = F.col("days_before"), F.col("active_day_count") - 1
    entering = F.date_diff("first_ordered_date", "previous_date")
    mean = F.round(F.try_divide(F.date_diff("last_ordered_date", "first_ordered_date"), within)).cast("int")
    is_second_day = before == 0
    waiting = F.date_diff(F.lit(as_of), F.col("last_ordered_date"))
    return [
        F.when(before > 0, _spell(_gap_kind(before == 1), entering, ended=F.lit(1))),
        F.when((within > 0) & is_second_day, _spell(F.lit(FIRST_GAP), mean, ended=F.lit(1))),
        F.when(
            within > F.when(is_second_day, 1).otherwise(0),
            _spell(F.lit(LATER_GAP), mean, ended=within - F.when(is_second_day, 1).otherwise(0)),
        ),
        F.when(F.col("is_last"), _spell(_gap_kind(before + within == 0), waiting, opened=F.lit(1))),
    ]


def _gap_kind(is_first: Column) -> Column:
    return F.when(is_first, FIRST_GAP).otherwise(LATER_GAP)


def _lifetime(as_of: dt.date) -> Column:
    """The life up to the first churn, in the month of the order before it; up to as_of if there was none."""
    first, churned = F.col("first_date"), F.col("churned_date")
    return F.when(
        ~F.col("had_churned") & churned.isNotNull(),
        _spell(F.lit(LIFETIME), F.date_diff(churned, first), ended=F.lit(1)),
    ).when(
        ~F.col("had_churned") & F.col("is_last"),
        _spell(F.lit(LIFETIME), F.date_diff(F.lit(as_of), first), opened=F.lit(1)),
    )


def _spell(kind: Column, days: Column, ended: Column | None = None, opened: Column | None = None) -> Column:
    none = F.lit(0)
    return F.struct(
        kind.alias("spell_kind"),
        days.cast("int").alias("days"),
        (none if ended is None else ended).cast("bigint").alias("ended_count"),
        (none if opened is None else opened).cast("bigint").alias("open_count"),
    )
