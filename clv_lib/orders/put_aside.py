"""Rows of orders and refunds that give no order and no refund: kept with what became of them, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.put_aside import ACCEPTED, INPUT, LINE_REFUNDS, NO_DAY, ORDERS, ROWS_PUT_ASIDE
from clv_lib.orders.disposition import QUARANTINED, REFUND_LINE, counted
from clv_lib.orders.mapping import PAYLOAD

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def rows_put_aside(rows: DataFrame, source_name: str, key: str, amount: str, day: str) -> DataFrame:
    """Rows with a disposition, those that are not accepted, as contract `rows_put_aside`. Grain: source row."""
    aside = rows.where(F.col("disposition") != ACCEPTED)
    columns = {
        "source_name": F.lit(source_name),
        "row_key": F.col(key),
        "amount_original": F.col(amount),
        "row_date": F.col(day),
        "payload": F.col(PAYLOAD),
        "row_month": F.coalesce(F.trunc(day, "month"), F.lit(NO_DAY).cast("date")),
    }
    return aside.select(*(columns.get(name, F.col(name)).alias(name) for name in ROWS_PUT_ASIDE.columns))


def quarantined_of(aside: DataFrame) -> DataFrame:
    """The quarantined ones of `rows_put_aside` as contract `quarantined_rows`. Grain: source row."""
    columns = ("source_name", "row_key", "reasons", "amount_original", "currency_code", "payload")
    return aside.where(F.col("disposition") == QUARANTINED).select(*columns)


def counted_aside(aside: DataFrame) -> DataFrame:
    """What `totals` adds up, of `rows_put_aside`. Grain: kept."""
    return counted(aside, F.col("source_name"), "amount_original", F.col("disposition"))


def refunds_in_lines(aside: DataFrame) -> DataFrame:
    """How many refunds, of how much money, are made of the lines that were put aside for it. Grain: order id."""
    lines = aside.where((F.col("source_name") == ORDERS) & (F.col("disposition") == REFUND_LINE))
    made = lines.groupBy("order_id").agg(
        F.min("currency_code").alias("currency_code"), (-F.sum("amount_original")).alias("amount")
    )
    return counted(made, LINE_REFUNDS, "amount", F.lit(INPUT))
