"""`customer_months`: the additive state, one row per customer and active month, from which all else is derived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.silver import CUSTOMER_MONTHS, TRAILING_DAYS
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.exact_sums import from_units, with_units

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def customer_months(orders: DataFrame, refunds: DataFrame) -> DataFrame:
    """`customer_orders` and `customer_refunds` added up, as contract `customer_months`. Grain: customer and month.

    One group-by over both; days are counted by a flag on each day's first order, never by a distinct count. The channel
    of a customer's first order is joined: a text among the aggregates would make Spark sort where it can hash.
    """
    own = with_units(orders, _AMOUNTS)
    facts = own.select("customer_id", F.col("ordered_month").alias("month"), *_order_facts())
    paid_back = with_units(refunds, ["refund_amount"]).select(
        "customer_id",
        F.col("refunded_month").alias("month"),
        "customer_bucket",
        F.col("refund_amount").alias("refund_by_refund_date_amount"),
    )
    both = facts.unionByName(paid_back, allowMissingColumns=True)
    totals = both.groupBy("customer_id", "month").agg(*_totals())
    channels = orders.where("is_first_order and channel is not null").select(
        "customer_id", F.col("ordered_month").alias("month"), F.col("channel").alias("first_order_channel")
    )
    joined = totals.join(channels.hint("shuffle_hash"), ["customer_id", "month"], "left")
    return joined.select(*CUSTOMER_MONTHS.columns)


_AMOUNTS = ("gross_amount", "discount_amount", "refund_amount", "net_amount", "margin_amount")


def _order_facts() -> list[Column]:
    """What an order adds to its month, of orders whose amounts are in units."""
    gap, age = F.col("days_since_previous_order"), F.col("days_since_first_order")
    net, margin = F.col("net_amount"), F.col("margin_amount")
    return [
        F.col("customer_bucket"),
        F.lit(1).alias("order_count"),
        F.when(gap.isNull() | (gap > 0), 1).otherwise(0).alias("active_day_count"),
        F.when(F.col("refund_amount") > 0, 1).otherwise(0).alias("refunded_order_count"),
        *(F.col(name) for name in _AMOUNTS),
        F.when(margin.isNotNull(), 1).otherwise(0).alias("margin_order_count"),
        F.col("ordered_date").alias("ordered_date"),
        F.when(age == 0, net).alias("first_day_net_amount"),
        F.when(age == 0, margin).alias("first_day_margin_amount"),
        *(F.when(age < days, net).alias(f"net_amount_first_{days}d") for days in TRAILING_DAYS),
        F.when(gap > 0, gap).alias("longest_gap_days"),
    ]


def _totals() -> list[Column]:
    """Sum, min and max of each fact by the contract's names; a sum over nothing is 0."""
    chosen = {
        "first_ordered_date": F.min("ordered_date"),
        "last_ordered_date": F.max("ordered_date"),
        "longest_gap_days": F.max("longest_gap_days"),
        "customer_bucket": F.min("customer_bucket"),
    }
    others = {*CUSTOMER_MONTHS.key, *chosen, "first_order_channel"}
    added_up = [name for name in CUSTOMER_MONTHS.columns if name not in others]
    sums = {name: F.coalesce(F.sum(name), F.lit(0)) for name in added_up}
    return [
        *((from_units(total) if _is_money(name) else total).alias(name) for name, total in sums.items()),
        *(column.alias(name) for name, column in chosen.items()),
    ]


def _is_money(name: str) -> bool:
    return CUSTOMER_MONTHS.schema[name] == MONEY_SUM
