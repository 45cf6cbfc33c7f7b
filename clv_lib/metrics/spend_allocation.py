"""Spend of each kind of acquisition cost by channel and campaign, and its share of each segment.

Spend that names a segment is the segment's; the rest of a channel is allocated by the channel's new customers.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib.contracts.types import MONEY_SUM
from clv_lib.metrics.attribution import ALL, EVERYBODY

CAC_TYPES = ("blended", "paid", "fully_loaded")
UNALLOCATED = "unallocated"
"""Name of the part of a segment type that holds the spend of channels without new customers."""

# Types for which Spark's rules of decimal precision keep 20 decimals of the product.
_AMOUNT = "decimal(20,4)"
_SHARE = "decimal(18,17)"
_COUNT = "decimal(16,8)"


def spend_by_type(spend: DataFrame) -> DataFrame:
    """`monthly_spend` as rows of each kind of cost that counts it.

    Grain: `spend_month, cac_type, channel, campaign_name, segment_id`; `spend_amount`. Kinds overlap: media is blended
    and fully loaded.
    """
    counted = {"blended": F.col("cost_type") == "media", "paid": F.col("is_paid"), "fully_loaded": F.lit(True)}
    kinds = F.array(*(F.when(counted[name], F.lit(name)) for name in CAC_TYPES))
    typed = spend.withColumn("cac_type", F.explode(F.array_compact(kinds)))
    keys = (F.col("period_month").alias("spend_month"), "cac_type", "channel", "campaign_name", "segment_id")
    return typed.groupBy(*keys).agg(F.sum("spend_amount").cast(MONEY_SUM).alias("spend_amount"))


def places() -> Column:
    """Structs of `channel` and `campaign_name` in which a row counts: its campaign, its channel, and the total."""
    named = [("channel", "campaign_name"), ("channel", None), (None, None)]
    return F.array(
        *(
            F.struct(
                (F.col(channel) if channel else F.lit(ALL)).alias("channel"),
                (F.col(campaign) if campaign else F.lit(ALL)).alias("campaign_name"),
            )
            for channel, campaign in named
        )
    )


def spend_of_places(typed: DataFrame, models: Sequence[str], lags: Sequence[int]) -> DataFrame:
    """`spend_by_type` of every campaign, channel and in total, for the customers of `lag_months` later, by each model.

    Grain: `period_month, attribution_model, lag_months, cac_type, channel, campaign_name`; `segment_id` is all:all;
    `spend_amount`, and `allocated_amount` of 0.
    """
    keys = ("spend_month", "cac_type", "channel", "campaign_name")
    placed = typed.select("spend_month", "cac_type", "spend_amount", F.inline(places()))
    summed = placed.groupBy(*keys).agg(F.sum("spend_amount").cast(MONEY_SUM).alias("spend_amount"))
    nothing = {"segment_id": F.lit(EVERYBODY), "allocated_amount": F.lit(0).cast(MONEY_SUM)}
    return _moved(summed, models, lags).withColumns(nothing)


def spend_of_segments(
    typed: DataFrame, new_customers: DataFrame, segment_types: Sequence[str], models: Sequence[str], lags: Sequence[int]
) -> DataFrame:
    """`spend_by_type` of every segment: what names it, and its share of the rest of each channel.

    Grain and columns as `spend_of_places`, with channel and campaign `all`. `new_customers` has `period_month,
    attribution_model, channel, segment_id, new_customer_count`. `allocated_amount` is the part by share. Segments of a
    type add up to all spend: a channel without new customers is in TYPE:unallocated.
    """
    types = F.array(*(F.lit(name) for name in segment_types))
    own = F.when(F.substring_index("segment_id", ":", 1) == F.col("segment_type"), F.col("segment_id"))
    by_type = typed.select("*", F.explode(types).alias("segment_type")).withColumn("segment_id", own)
    keys = ("spend_month", "cac_type", "channel", "segment_type", "segment_id")
    summed = by_type.groupBy(*keys).agg(F.sum("spend_amount").cast(MONEY_SUM).alias("spend_amount"))
    moved = _moved(summed, models, lags)
    direct = moved.where("segment_id is not null").withColumn("allocated_amount", F.lit(0).cast(MONEY_SUM))
    shared = _allocated(moved.where("segment_id is null").drop("segment_id"), new_customers)
    row = ("period_month", "attribution_model", "lag_months", "cac_type", "segment_id")
    both = direct.select(*row, "spend_amount", "allocated_amount").unionByName(
        shared.select(*row, "spend_amount", F.col("spend_amount").alias("allocated_amount"))
    )
    sums = [F.sum(name).cast(MONEY_SUM).alias(name) for name in ("spend_amount", "allocated_amount")]
    return both.groupBy(*row).agg(*sums).withColumns({"channel": F.lit(ALL), "campaign_name": F.lit(ALL)})


def _moved(spend: DataFrame, models: Sequence[str], lags: Sequence[int]) -> DataFrame:
    """The spend of each month at the month of its customers, for every lag and model."""
    lag = F.explode(F.array(*(F.lit(lag) for lag in lags))).alias("lag_months")
    model = F.explode(F.array(*(F.lit(name) for name in models))).alias("attribution_model")
    each = spend.select("*", lag).select("*", model)
    return each.withColumn("period_month", F.add_months("spend_month", F.col("lag_months"))).drop("spend_month")


def _allocated(shared: DataFrame, new_customers: DataFrame) -> DataFrame:
    """Each channel's shared spend by segment.

    Running sums are rounded, not parts: these add up to the whole, and each is less than 0.0001 off its exact share.
    """
    cell = ("period_month", "attribution_model", "channel", "segment_type")
    won = new_customers.where("new_customer_count > 0")
    members = won.withColumn("segment_type", F.substring_index("segment_id", ":", 1))
    joined = shared.join(members, on=list(cell), how="left")
    whole = Window.partitionBy(*cell, "lag_months", "cac_type")
    in_order = whole.orderBy("segment_id")
    so_far = F.sum("new_customer_count").over(in_order.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    total = F.sum("new_customer_count").over(whole)
    share = F.coalesce(F.try_divide(so_far.cast(_COUNT), total.cast(_COUNT)).cast(_SHARE), F.lit(1).cast(_SHARE))
    reached = F.round(F.col("spend_amount").cast(_AMOUNT) * share, 4).cast(MONEY_SUM)
    split = joined.withColumn("reached", reached)
    part = F.col("reached") - F.coalesce(F.lag("reached").over(in_order), F.lit(0))
    name = F.coalesce("segment_id", F.concat("segment_type", F.lit(f":{UNALLOCATED}")))
    return split.withColumn("spend_amount", part.cast(MONEY_SUM)).withColumn("segment_id", name)
