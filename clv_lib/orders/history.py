"""`customer_orders`: each order with its place in its customer's history, by window functions in one shuffle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from clv_lib.contracts.silver import CUSTOMER_ORDERS, TRAILING_DAYS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, WindowSpec


def customer_orders(orders: DataFrame) -> DataFrame:
    """Orders with refunds applied, as contract `customer_orders`. Grain: order, kept.

    Orders of a customer are ordered by day, time and order id. All windows share the customer as partition and a prefix
    of that order, so the rows are shuffled and sorted once.
    """
    day_number = F.unix_date("ordered_date")
    numbered = orders.withColumns({"day_number": day_number, "ordered_month": F.trunc("ordered_date", "month")})
    placed = numbered.withColumns(_places(_by_order()))
    measured = placed.withColumns(_trailing(Window.partitionBy("customer_id").orderBy("day_number")))
    return measured.withColumns(_derived()).select(*CUSTOMER_ORDERS.columns)


def _by_order() -> WindowSpec:
    return Window.partitionBy("customer_id").orderBy("day_number", "ordered_at", "order_id")


def _places(by_order: WindowSpec) -> dict[str, Column]:
    """Numbers, gaps and running values; NULL where there is no order before or after."""
    so_far = by_order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    days = F.col("day_number")
    return {
        "order_number": F.row_number().over(by_order),
        "days_since_previous_order": days - F.lag(days).over(by_order),
        "days_until_next_order": F.lead(days).over(by_order) - days,
        "first_ordered_date": F.first("ordered_date").over(so_far),
        "cumulative_net_amount": F.sum("net_amount").over(so_far),
        "cumulative_margin_amount": F.sum("margin_amount").over(so_far),
    }


def _trailing(by_day: WindowSpec) -> dict[str, Column]:
    """Sums over trailing days as the difference of two running sums.

    A sliding frame costs each order its whole window again, which a customer with a million orders does not survive.
    """
    up_to_day = by_day.rangeBetween(Window.unboundedPreceding, Window.currentRow)
    sums = {"net_amount": F.sum("net_amount"), "order_count": F.count(F.lit(1))}
    return {
        f"{name}_{days}d": total.over(up_to_day)
        - F.coalesce(total.over(by_day.rangeBetween(Window.unboundedPreceding, -days)), F.lit(0))
        for days in TRAILING_DAYS
        for name, total in sums.items()
    } | {"occasion_number": F.dense_rank().over(by_day)}


def _derived() -> dict[str, Column]:
    first = F.col("first_ordered_date")
    cohort = F.trunc(first, "month")
    return {
        "is_first_order": F.col("order_number") == 1,
        "is_latest_order": F.col("days_until_next_order").isNull(),
        "days_since_first_order": F.date_diff("ordered_date", first),
        "cohort_month": cohort,
        "months_since_first_order": F.months_between("ordered_month", cohort).cast("int"),
    }
