"""Sums of experiments by variant and segment, from which everything else is computed: no customer leaves Spark.

Value is that of whole calendar months, after and before the month of the assignment, because months are what adds up.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clv_lib.contracts.types import MONEY
from clv_lib.periods import add_months, month_start
from clv_lib.segments.definitions import ALL
from clv_lib.settings.segments import (
    UNKNOWN_SEGMENT,
    AttributeSegments,
    ChannelSegments,
    CohortSegments,
    SegmentType,
)

AMOUNTS = {"net_revenue": "net_amount", "contribution_margin": "margin_amount"}
"""Metric to the column of `customer_months` that adds up to it."""

SUMS = ("y", "yy", "x", "xx", "xy")
"""Of each metric: y the value after the assignment, x that before it."""


def unaffected_types(kinds: Sequence[SegmentType]) -> list[str]:
    """Names of the segment types that a treatment cannot change, so that variants of a segment stay comparable.

    Attributes, channel and cohort of the first order. Types by behaviour (RFM, deciles, SQL) are formed at as_of, after
    the treatment: who is in them is part of what it did.
    """
    return [kind.name for kind in kinds if isinstance(kind, AttributeSegments | ChannelSegments | CohortSegments)]


def last_mature_day(outcome_months: int, as_of: dt.date) -> dt.date:
    """Last day of assignment whose outcome months were over at as_of."""
    next_month = month_start(as_of + dt.timedelta(days=1))
    return add_months(next_month, -outcome_months) - dt.timedelta(days=1)


def compared_months(first_day: dt.date, last_day: dt.date, outcome_months: int) -> tuple[dt.date, dt.date]:
    """First and last month that are compared for customers who were assigned from one day to another."""
    return add_months(month_start(first_day), -outcome_months), add_months(month_start(last_day), outcome_months)


def experiment_cells(
    assigned: DataFrame,
    customer_months: DataFrame,
    customer_metrics: DataFrame,
    customer_segments: DataFrame,
    segment_types: Sequence[str],
    outcome_months: int,
    as_of: dt.date,
) -> DataFrame:
    """Counts and sums of squares and products, exact decimals, so that they do not depend on the order of rows.

    Grain: experiment, variant (NULL: assigned to several) and segment, of the given types and the total. Columns
    `assigned_count`, `immature_count`, `customer_count` (their outcome months are over), and of the latter
    `unknown_margin_count` (orders in either period whose margin is not known) and `METRIC_y, _yy, _x, _xx, _xy`.

    `customer_months` may be left to the `compared_months`. A customer without an order before the assignment is
    `unknown` in every type: what is known of others may come from an order that the treatment caused. Without orders
    the value is 0.
    """
    valued = _valued(assigned, customer_months, customer_metrics, outcome_months)
    mature = F.col("assigned_date") <= F.lit(last_mature_day(outcome_months, as_of))
    measured = _with_segments(valued.withColumn("is_mature", mature), customer_segments, segment_types)
    counts = {
        "assigned_count": F.lit(1),
        "immature_count": (~F.col("is_mature")).cast("bigint"),
        "customer_count": F.col("is_mature").cast("bigint"),
        "unknown_margin_count": F.when(F.col("is_mature"), F.col("unknown_margin_count")).otherwise(0),
    }
    sums = {name: F.sum(one).cast("bigint") for name, one in counts.items()}
    for metric in AMOUNTS:
        sums |= _sums(metric)
    return measured.groupBy("experiment_id", "variant", "segment_type", "segment_name").agg(
        *(total.alias(name) for name, total in sums.items())
    )


def experiments_without_orders(cells: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Experiments of whose customers none ordered in the compared months, with their number, by name.

    `cells` are collected `experiment_cells`; customers whose outcome months are not over do not count.
    """
    customers: Counter[str] = Counter()
    ordered = set()
    for cell in cells:
        if cell["segment_type"] == ALL:
            customers[cell["experiment_id"]] += cell["customer_count"]
            if cell["unknown_margin_count"] or any(cell[f"{metric}_{name}"] for metric in AMOUNTS for name in SUMS):
                ordered.add(cell["experiment_id"])
    return {name: count for name, count in sorted(customers.items()) if count and name not in ordered}


def _valued(
    assigned: DataFrame, customer_months: DataFrame, customer_metrics: DataFrame, outcome_months: int
) -> DataFrame:
    """Add what each customer was worth after and before the assignment. Grain: kept."""
    months = customer_months.select("customer_id", "month", "order_count", "margin_order_count", *AMOUNTS.values())
    joined = assigned.join(months, on="customer_id", how="left")
    offset = F.expr("datediff(month, trunc(assigned_date, 'month'), month)")
    is_after, is_before = offset.between(1, outcome_months), offset.between(-outcome_months, -1)
    values = {
        f"{metric}_{name}": F.coalesce(F.sum(F.when(counts, F.col(column))), F.lit(0)).cast(MONEY)
        for metric, column in AMOUNTS.items()
        for name, counts in (("y", is_after), ("x", is_before))
    }
    unknown = F.sum(F.when(is_after | is_before, F.col("order_count") - F.col("margin_order_count")))
    summed = joined.groupBy("experiment_id", "customer_id", "variant", "assigned_date").agg(
        *(value.alias(name) for name, value in values.items()),
        F.coalesce(unknown, F.lit(0)).alias("unknown_margin_count"),
    )
    first_orders = customer_metrics.select("customer_id", "first_order_date")
    is_known = F.coalesce(F.col("first_order_date") < F.col("assigned_date"), F.lit(False))
    return summed.join(first_orders, "customer_id", "left").withColumn("is_known", is_known).drop("first_order_date")


def _with_segments(valued: DataFrame, customer_segments: DataFrame, segment_types: Sequence[str]) -> DataFrame:
    """A row per customer and segment. Grain: experiment, customer and segment type, the total included."""
    own = customer_segments.where(F.col("segment_type").isin(list(segment_types)))
    names = F.map_from_entries(F.collect_list(F.struct("segment_type", "segment_name")))
    named = valued.join(own.groupBy("customer_id").agg(names.alias("names")), on="customer_id", how="left")
    types = F.array(*(F.lit(name) for name in (ALL, *segment_types)))
    spread = named.withColumn("segment_type", F.explode(types))
    name = F.when(F.col("is_known"), F.try_element_at("names", F.col("segment_type")))
    known = F.coalesce(name, F.lit(UNKNOWN_SEGMENT))
    return spread.withColumn("segment_name", F.when(F.col("segment_type") == ALL, ALL).otherwise(known))


def _sums(metric: str) -> dict[str, Column]:
    """Sums over mature customers; a product of two amounts is exact with 8 decimals."""
    parts = {"y": F.col(f"{metric}_y"), "x": F.col(f"{metric}_x")}
    products = {"yy": ("y", "y"), "xx": ("x", "x"), "xy": ("x", "y")}
    of_customer = {**parts, **{name: parts[a] * parts[b] for name, (a, b) in products.items()}}
    return {
        f"{metric}_{name}": F.coalesce(F.sum(F.when(F.col("is_mature"), of_customer[name])), F.lit(0)) for name in SUMS
    }
