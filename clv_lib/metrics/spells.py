"""Spells of customers: gaps between orders and lifetimes, ended or still open at as_of, as they are counted.

Counted by length they are a small table: what leaves Spark is as small as the distinct lengths are.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column
from pyspark.sql import functions as F

FIRST_GAP = "first"
LATER_GAP = "later"
LIFETIME = "lifetime"


def spells(as_of: dt.date) -> list[dict[str, Column]]:
    """The spells that a month with orders may end, over the columns of `with_movements`.

    Each has `is_there`, and where that is true `spell_kind`, `days`, `ended_count` and `open_count` (still open at
    as_of: right-censored). Kinds are `first` (gap from the first to the second day with orders), `later` (every other
    gap) and `lifetime` (from the first order to the first churn by the fixed rule; a later return does not undo it).
    Spells lie in the month in which they end, or in that of the last order.

    Gaps between months are exact. Those within a month add up to the days between its first and last order and are
    placed at their mean, in whole days: exact where there is one, and never longer than 30 days.
    """
    return [*_gaps(as_of), _lifetime(as_of)]


def _gaps(as_of: dt.date) -> list[dict[str, Column]]:
    """Gap before the month's first order, gaps within the month, and the open one after the last order of all."""
    before, within = F.col("days_before"), F.col("active_day_count") - 1
    entering = F.date_diff("first_ordered_date", "previous_date")
    mean = F.round(F.try_divide(F.date_diff("last_ordered_date", "first_ordered_date"), within)).cast("int")
    is_second_day = before == 0
    later = within - F.when(is_second_day, 1).otherwise(0)
    waiting = F.date_diff(F.lit(as_of), F.col("last_ordered_date"))
    return [
        _spell(before > 0, _gap_kind(before == 1), entering, ended=F.lit(1)),
        _spell((within > 0) & is_second_day, F.lit(FIRST_GAP), mean, ended=F.lit(1)),
        _spell(later > 0, F.lit(LATER_GAP), mean, ended=later),
        _spell(F.col("is_last"), _gap_kind(before + within == 0), waiting, opened=F.lit(1)),
    ]


def _gap_kind(is_first: Column) -> Column:
    return F.when(is_first, FIRST_GAP).otherwise(LATER_GAP)


def _lifetime(as_of: dt.date) -> dict[str, Column]:
    """The life up to the first churn, in the month of the order before it; up to as_of if there was none."""
    churned = F.col("churned_date")
    has_ended = churned.isNotNull()
    is_there = ~F.col("had_churned") & (has_ended | F.col("is_last"))
    days = F.date_diff(F.coalesce(churned, F.lit(as_of)), F.col("first_date"))
    ended = has_ended.cast("bigint")
    return _spell(is_there, F.lit(LIFETIME), days, ended=ended, opened=1 - ended)


def _spell(
    is_there: Column, kind: Column, days: Column, ended: Column | None = None, opened: Column | None = None
) -> dict[str, Column]:
    none = F.lit(0)
    return {
        "is_there": is_there,
        "spell_kind": kind,
        "days": days,
        "ended_count": none if ended is None else ended,
        "open_count": none if opened is None else opened,
    }
