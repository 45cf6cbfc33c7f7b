"""The additive state as it was on an earlier day: whole months before it, and the part of its month."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.silver import CUSTOMER_MONTHS, TRAILING_DAYS
from clv_lib.orders.months import customer_months
from clv_lib.periods import month_start

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def months_as_of(months: DataFrame, orders: DataFrame, refunds: DataFrame, day: dt.date) -> DataFrame:
    """`customer_months` as a run of `day` would have found them, as rows that add up. Grain: customer, month and part.

    `months`, `orders` and `refunds` are the silver tables of a later day. Only the orders of the month of `day` are
    read. Refunds that were paid back after `day` are given back to their orders, since nobody knew of them.
    """
    this_month = F.lit(month_start(day))
    begun = customer_months(
        orders.where((F.col("ordered_month") == this_month) & (F.col("ordered_date") <= F.lit(day))),
        refunds.where((F.col("refunded_month") == this_month) & (F.col("refunded_date") <= F.lit(day))),
    )
    earlier = months.where(F.col("month") < this_month)
    known = earlier.select(*CUSTOMER_MONTHS.columns).unionByName(begun)
    return known.unionByName(_refunded_later(refunds, months, day))


def _refunded_later(refunds: DataFrame, months: DataFrame, day: dt.date) -> DataFrame:
    """What refunds after `day` took from orders up to it, with the sign turned. Grain: refund."""
    first = months.groupBy("customer_id").agg(F.min("first_ordered_date").alias("first_day"))
    late = refunds.where((F.col("refunded_date") > F.lit(day)) & (F.col("ordered_date") <= F.lit(day)))
    known = F.broadcast(late).join(first, "customer_id")
    given_back = _given_back()
    unchanged = {
        field.name: F.lit(0 if field.required else None).cast(field.type)
        for field in CUSTOMER_MONTHS.fields
        if field.name not in given_back
    }
    columns = unchanged | given_back
    return known.select(*(columns[name].cast(kind).alias(name) for name, kind in CUSTOMER_MONTHS.schema.items()))


def _given_back() -> dict[str, Column]:
    amount, margin = F.col("refund_amount"), F.col("refund_amount") - F.col("cost_recovered_amount")
    age = F.date_diff("ordered_date", "first_day")
    zero = F.lit(0)
    return {
        "customer_id": F.col("customer_id"),
        "month": F.trunc("ordered_date", "month"),
        "customer_bucket": F.col("customer_bucket"),
        "refund_amount": -amount,
        "net_amount": amount,
        "margin_amount": margin,
        "first_day_net_amount": F.when(age == 0, amount).otherwise(zero),
        "first_day_margin_amount": F.when(age == 0, margin).otherwise(zero),
        **{f"net_amount_first_{days}d": F.when(age < days, amount).otherwise(zero) for days in TRAILING_DAYS},
    }
