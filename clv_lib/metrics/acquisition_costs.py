"""What a new customer cost, by month, kind of cost and channel: missing spend, no spend and no customers differ."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods
from clv_lib.contracts.economics import ACQUISITION_COSTS
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.metrics.catalogue import metrics_of

ALL_CHANNELS = "all"
ATTRIBUTION_MODEL = "declared_else_first_order"
"""A customer belongs wholly to one channel: the one that customers names, else that of the first order."""

CAC_TYPES = ("blended", "paid", "fully_loaded")


def acquisition_costs(customer_metrics: DataFrame, spend: DataFrame | None, as_of: dt.date) -> DataFrame:
    """Spend, new customers and their quotient, from the first month with either to that of as_of.

    Grain: month, cac_type and channel, without gaps; `all` is the sum of the channels. `spend` has `period_month`,
    `channel`, `cost_type`, `is_paid` and `spend_amount`, of acquisition only, in reporting currency, up to as_of; None
    if the source is not configured. NULL: `spend_missing` if the month has no spend row of the type in any channel,
    `no_new_customers` if the spend brought none. A channel without rows in a month with spend spent 0.
    """
    cells = _customers_and_spend(customer_metrics, spend)
    totals = cells.withColumn("channel", F.explode(F.array(F.col("channel"), F.lit(ALL_CHANNELS))))
    summed = totals.groupBy("period_month", "channel").agg(
        F.sum("new_customer_count").alias("new_customer_count"),
        *(F.sum(name).cast(MONEY_SUM).alias(name) for name in CAC_TYPES),
    )
    every_cell = _every_month_and_channel(cells, as_of).join(summed, on=["period_month", "channel"], how="left")
    costs = [F.struct(F.lit(name).alias("cac_type"), F.col(name).alias("spend_rows_amount")) for name in CAC_TYPES]
    customers = F.coalesce("new_customer_count", F.lit(0).cast("bigint"))
    typed = every_cell.select(
        "period_month", "channel", customers.alias("new_customer_count"), F.inline(F.array(*costs))
    )
    figures = {
        **metrics_of(ACQUISITION_COSTS),
        "cac_status": _cac_status(),
        "attribution_model": F.lit(ATTRIBUTION_MODEL),
        "is_final": F.last_day("period_month") <= F.lit(as_of),
        "as_of_date": F.lit(as_of),
    }
    return typed.withColumn("spend_amount", _spend_of_cell()).withColumns(figures).select(*ACQUISITION_COSTS.columns)


def _customers_and_spend(customer_metrics: DataFrame, spend: DataFrame | None) -> DataFrame:
    """New customers and spend of each type by month and channel, in rows of their own; NULL spend: no such rows."""
    customers = customer_metrics.groupBy(
        F.col("cohort_month").alias("period_month"), F.col("acquisition_channel").alias("channel")
    ).agg(F.count("*").alias("new_customer_count"))
    unspent = {name: F.lit(None).cast(MONEY_SUM) for name in CAC_TYPES}
    if spend is None:
        return customers.withColumns(unspent)
    counted = {"blended": F.col("cost_type") == "media", "paid": F.col("is_paid"), "fully_loaded": F.lit(True)}
    amounts = {name: F.sum(F.when(counted[name], F.col("spend_amount"))).cast(MONEY_SUM) for name in CAC_TYPES}
    spent = spend.groupBy("period_month", "channel").agg(*(total.alias(name) for name, total in amounts.items()))
    return customers.withColumns(unspent).unionByName(spent.withColumn("new_customer_count", F.lit(0).cast("bigint")))


def _every_month_and_channel(cells: DataFrame, as_of: dt.date) -> DataFrame:
    """Every month from the first to that of as_of with every channel and `all`: tens of channels, not customers."""
    last_month = F.lit(periods.month_start(as_of))
    extent = cells.agg(F.min("period_month").alias("first_month"), F.collect_set("channel").alias("channels"))
    months = F.sequence("first_month", last_month, F.expr("interval 1 month"))
    monthly = extent.select("channels", F.explode(months).alias("period_month"))
    channels = F.array_append("channels", F.lit(ALL_CHANNELS))
    return monthly.select("period_month", F.explode(channels).alias("channel"))


def _spend_of_cell() -> Column:
    """NULL if no channel has a row of the type in the month; else the channel's sum, 0 without rows of its own."""
    of_month = Window.partitionBy("period_month", "cac_type")
    is_reported = F.count("spend_rows_amount").over(of_month) > 0
    return F.when(is_reported, F.coalesce("spend_rows_amount", F.lit(0))).cast(MONEY_SUM)


def _cac_status() -> Column:
    return (
        F.when(F.col("spend_amount").isNull(), "spend_missing")
        .when(F.col("new_customer_count") == 0, "no_new_customers")
        .when(F.col("spend_amount") == 0, "zero_spend")
        .otherwise("ok")
    )
