"""Customers and their segments as they were on an earlier day, by the same functions as on the day of the run."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS, CUSTOMER_REFUNDS
from clv_lib.customers.metrics import NET_REVENUE, boundary_months, boundary_sums, customer_metrics
from clv_lib.customers.rfm import customer_rfm, cut_values, rfm_thresholds
from clv_lib.orders.as_of import months_as_of
from clv_lib.pipeline.attributes import attribute_columns, attributes
from clv_lib.segments.definitions import present_segment_types
from clv_lib.segments.membership import customer_segments
from clv_lib.segments.rfm_rules import rfm_segment

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace


def customers_as_of(work: Workspace, day: dt.date) -> DataFrame:
    """Contract `customer_metrics` as of a day up to that of the run, from the run's silver tables."""
    months, orders = work.read(CUSTOMER_MONTHS), work.read(CUSTOMER_ORDERS)
    if day < work.as_of:
        months = months_as_of(months, orders, work.read(CUSTOMER_REFUNDS), day)
    boundary = orders.where(F.col("ordered_month").isin(boundary_months(day)) & (F.col("ordered_date") <= F.lit(day)))
    return customer_metrics(
        months,
        boundary_sums(boundary, day),
        attributes(work, day),
        as_of=day,
        inactivity_days=work.settings.churn.inactivity_days,
        value_basis=work.run.value_basis or NET_REVENUE,
    )


def segments_as_of(work: Workspace, metrics: DataFrame, day: dt.date) -> DataFrame:
    """Contract `customer_segments` of the `customer_metrics` of an earlier day, with the attributes valid on it."""
    rfm = scored_rfm(work, metrics, rfm_thresholds(cut_values(metrics), day))
    types = present_segment_types(work.settings.segments, attribute_columns(work))
    smallest = work.settings.small_segments.minimum_customers
    return customer_segments(metrics, rfm, attributes(work, day), types, day, smallest)


def scored_rfm(work: Workspace, metrics: DataFrame, thresholds: DataFrame) -> DataFrame:
    """Contract `customer_rfm` of customers by thresholds, a small table that is collected."""
    cuts: dict[str, list[Decimal]] = defaultdict(list)
    for row in thresholds.orderBy("dimension", "cut_number").collect():
        cuts[row["dimension"]].append(row["cut_value"])
    rule_set = work.settings.rfm.rule_set
    name = rfm_segment(F.col("recency_score"), F.col("frequency_score"), F.col("monetary_score"), rule_set)
    return customer_rfm(metrics, cuts, name, rule_set)
