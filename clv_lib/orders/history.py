"""`customer_orders`: each order with its place in its customer's history, by window functions in one shuffle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from clv_lib.contracts.silver import CUSTOMER_ORDERS, TRAILING_DAYS
from clv_lib.contracts.types import MONEY_SUM

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, WindowSpec


BUCKET = "customer_bucket"


def customer_bucket(buckets: int) -> Column:
    """In which of the buckets of customers a row lies: a hash of `customer_id` modulo their number."""
    return F.pmod(F.xxhash64("customer_id"), F.lit(buckets)).cast("int").alias(BUCKET)


def customer_orders(orders: DataFrame, buckets: int = 1, before: DataFrame | None = None) -> DataFrame:
    """Orders with refunds applied, as contract `customer_orders`. Grain: order, kept.

    Orders of a customer are ordered by day, time and order id. All windows share the customer as partition and a prefix
    of that order, so the rows are shuffled and sorted once; with several buckets by bucket, so that each bucket of a
    month becomes one file; the hash of a customer comes first, since Spark tells most rows apart by a first number.

    `before` are the `sums_before` of customers whose earlier orders are left out: numbers and running values go on from
    them. Trailing sums see only the orders that are there, so `orders` must begin a year before those that matter.
    """
    day_number = F.unix_date("ordered_date")
    numbered = orders.withColumns(
        {
            "day_number": day_number,
            "ordered_month": F.trunc("ordered_date", "month"),
            "customer_hash": F.xxhash64("customer_id"),
            BUCKET: customer_bucket(buckets),
        }
    )
    if before is not None:
        numbered = numbered.join(before, "customer_id", "left")
    else:
        numbered = numbered.withColumns({name: F.lit(None).cast(kind) for name, kind in SUMS_BEFORE.items()})
    if buckets > 1:
        numbered = numbered.repartition(buckets, BUCKET)
    placed = numbered.withColumns(_places(_customer().orderBy("day_number", "ordered_at", "order_id")))
    measured = placed.withColumns(_trailing(_customer().orderBy("day_number")))
    return measured.withColumns(_derived()).select(*CUSTOMER_ORDERS.columns)


SEEN_OF_EARLIER_ORDERS = ("customer_id", "ordered_date", "ordered_at", "net_amount", "margin_amount")
"""What the windows read of orders that only come before those that matter; their other columns may be NULL."""

SUMS_BEFORE = {
    "orders_before": "bigint",
    "days_before": "bigint",
    "net_before": MONEY_SUM,
    "margin_before": MONEY_SUM,
    "first_before": "date",
    "last_before": "date",
}
"""What a customer did before some month: orders, days with orders, money, first and last day; NULL: nothing."""


def sums_before(months: DataFrame) -> DataFrame:
    """The `SUMS_BEFORE` of customers from rows of `customer_months` before some month. Grain: customer."""
    margin = F.when(F.sum("margin_order_count") > 0, F.sum("margin_amount"))
    sums = {
        "orders_before": F.sum("order_count"),
        "days_before": F.sum("active_day_count"),
        "net_before": F.sum("net_amount"),
        "margin_before": margin,
        "first_before": F.min("first_ordered_date"),
        "last_before": F.max("last_ordered_date"),
    }
    return months.groupBy("customer_id").agg(*(sums[name].cast(kind).alias(name) for name, kind in SUMS_BEFORE.items()))


def _customer() -> WindowSpec:
    """By bucket too: rows that are shuffled by bucket alone need no other shuffle."""
    return Window.partitionBy("customer_hash", BUCKET, "customer_id")


def _places(by_order: WindowSpec) -> dict[str, Column]:
    """Numbers, gaps and running values; NULL where there is no order before."""
    so_far = by_order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    none, days = F.lit(0), F.col("day_number")
    margin = F.sum("margin_amount").over(so_far)
    previous = F.coalesce(F.lag(days).over(by_order), F.unix_date("last_before"))
    return {
        "order_number": F.row_number().over(by_order) + F.coalesce("orders_before", none),
        "days_since_previous_order": days - previous,
        "first_ordered_date": F.coalesce("first_before", F.first("ordered_date").over(so_far)),
        "cumulative_net_amount": F.sum("net_amount").over(so_far) + F.coalesce("net_before", none),
        "cumulative_margin_amount": F.coalesce(margin + F.col("margin_before"), margin, "margin_before"),
    }


def _trailing(by_day: WindowSpec) -> dict[str, Column]:
    """Sums over trailing days as the difference of two running sums.

    A sliding frame costs each order its whole window again, which a customer with a million orders does not survive.
    """
    up_to_day = by_day.rangeBetween(Window.unboundedPreceding, Window.currentRow)
    sums = {"net_amount": F.sum("net_amount"), "order_count": F.count(F.lit(1))}
    occasion = F.dense_rank().over(by_day) + F.coalesce("days_before", F.lit(0))
    return {
        f"{name}_{days}d": total.over(up_to_day)
        - F.coalesce(total.over(by_day.rangeBetween(Window.unboundedPreceding, -days)), F.lit(0))
        for days in TRAILING_DAYS
        for name, total in sums.items()
    } | {"occasion_number": occasion}


def _derived() -> dict[str, Column]:
    first = F.col("first_ordered_date")
    cohort = F.trunc(first, "month")
    return {
        "is_first_order": F.col("order_number") == 1,
        "days_since_first_order": F.date_diff("ordered_date", first),
        "cohort_month": cohort,
        "months_since_first_order": F.months_between("ordered_month", cohort).cast("int"),
    }
