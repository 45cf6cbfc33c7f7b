"""Order lines are added up to orders; negative lines become refunds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.put_aside import ACCEPTED
from clv_lib.contracts.types import MONEY
from clv_lib.orders.disposition import REFUND_LINE
from clv_lib.orders.mapping import PAYLOAD

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_ADDED_UP = (
    "gross_amount",
    "discount_amount",
    "net_amount",
    "fulfilment_cost_amount",
    "payment_fee_amount",
    "total_amount",
)
LINE_REFUND_ENDING = "#refund"
"""Ends the ids of refunds that are made of negative lines."""
_HEADER = ("customer_id", "currency_code")


def contradictory_orders(lines: DataFrame) -> DataFrame:
    """Orders whose lines name different customers or currencies. Grain: order, column `order_id`."""
    differs = [F.min(name) != F.max(name) for name in _HEADER]
    return lines.groupBy("order_id").agg((differs[0] | differs[1]).alias("differs")).where("differs").select("order_id")


def without_contradictions(judged: DataFrame, contradictory: DataFrame | None) -> DataFrame:
    """Judged lines of contradictory orders break the rule `contradictory_order`. Grain: line, kept."""
    if contradictory is None:
        return judged
    hits = F.broadcast(contradictory.withColumn("is_contradictory", F.lit(True)))
    marked = judged.join(hits, "order_id", "left")
    is_hit = F.coalesce("is_contradictory", F.lit(False))
    reasons = F.when(is_hit, F.array_append("reasons", F.lit("contradictory_order"))).otherwise(F.col("reasons"))
    return marked.withColumns({"reasons": reasons, "competes": F.col("competes") & ~is_hit}).drop("is_contradictory")


def orders_of_lines(lines: DataFrame) -> DataFrame:
    """Accepted lines added up. Grain: order; the columns that `in_reporting_currency` reads.

    An order begins with its earliest line; its cost is NULL if one line's cost is not known.
    """
    return (
        lines.where(F.col("disposition") == ACCEPTED)
        .groupBy("order_id")
        .agg(
            *(F.min(name).alias(name) for name in (*_HEADER, "channel", "ordered_at", "ordered_date", "exchange_rate")),
            *(F.sum(name).cast(MONEY).alias(name) for name in _ADDED_UP),
            _sum_if_known("cost_amount").alias("cost_amount"),
            F.count(F.lit(1)).alias("source_row_count"),
        )
    )


def refunds_of_lines(lines: DataFrame) -> DataFrame:
    """Negative lines as refunds, one per order id, positive amounts. Grain: order id of the negative lines.

    Columns of the contract `refunds` with `refunded_date` and `exchange_rate`; a shop's credit note has an order id of
    its own, so the refund may name no known order and then belongs to the customer's latest order before it.
    """
    return (
        lines.where(F.col("disposition") == REFUND_LINE)
        .groupBy("order_id")
        .agg(
            F.concat("order_id", F.lit(LINE_REFUND_ENDING)).alias("refund_id"),
            F.min("customer_id").alias("customer_id"),
            (-F.sum("net_amount")).cast(MONEY).alias("refund_amount"),
            F.coalesce(-F.sum("cost_amount"), F.lit(0)).cast(MONEY).alias("cost_recovered_amount"),
            F.min("ordered_at").alias("refunded_at"),
            F.min("currency_code").alias("currency_code"),
            F.lit(False).alias("is_deleted"),
            F.min("ordered_date").alias("refunded_date"),
            F.min("exchange_rate").alias("exchange_rate"),
            F.array().cast("array<string>").alias("reasons"),
            F.struct(F.col("order_id"), F.count(F.lit(1)).alias("line_count")).alias(PAYLOAD),
        )
    )


def _sum_if_known(name: str) -> Column:
    return F.when(F.count(name) == F.count(F.lit(1)), F.sum(name)).cast(MONEY)
