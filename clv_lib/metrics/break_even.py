"""When a cohort has earned what it cost: its value by months since the first order against its own spend.

Value per acquired customer reaches CAC exactly when the cohort's value reaches its spend, so sums of money are compared
and no quotient is rounded. A refund lowers the month of its order, so a later refund can change an earlier month.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods
from clv_lib.customers.metrics import CONTRIBUTION_MARGIN, NET_REVENUE
from clv_lib.metrics.attribution import in_cells
from clv_lib.metrics.cohort_metrics import months_from

_AMOUNTS = ("net_amount", "margin_amount", "first_day_margin_amount")
_COUNTS = ("order_count", "margin_order_count")
COHORT = ("cohort_month", "channel", "segment_id")
"""A cell of unit economics: a cohort's customers of a channel, of every channel (`all`), or of a segment."""


def cohort_values(activity: DataFrame) -> DataFrame:
    """Value so far of each cohort and cell by months since the first order.

    Grain: `COHORT` and `months_since_first_order`, for months with orders or churns only: between them the value does
    not change. `activity` are `activity_sums`. `cumulative_value_amount` is in the customers' `value_basis`, NULL from
    the first month on in which the margin of an order is not known. `first_day_margin_amount` is the margin of the
    customers' first days, in month 0; NULL unless the margin of every order of that month is known.
    """
    basis = F.when(F.col("in_margin"), CONTRIBUTION_MARGIN).otherwise(NET_REVENUE)
    age = months_from("month", "cohort_month")
    placed = activity.where(F.col("places").isNotNull())
    sums = placed.withColumns({"value_basis": basis, "months_since_first_order": age})
    cells = in_cells(sums, ("cohort_month", "months_since_first_order"), _AMOUNTS, _COUNTS)
    figures = {"cumulative_value_amount": _value_so_far(), "first_day_margin_amount": _first_day_margin()}
    return cells.withColumns(figures).select(*COHORT, "months_since_first_order", *figures)


def _value_so_far() -> Column:
    so_far = (
        Window.partitionBy(*COHORT)
        .orderBy("months_since_first_order")
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    is_known = F.sum("margin_order_count").over(so_far) == F.sum("order_count").over(so_far)
    margin = F.when(is_known, F.sum("margin_amount").over(so_far))
    in_margin = F.col("value_basis") == CONTRIBUTION_MARGIN
    return F.when(in_margin, margin).otherwise(F.sum("net_amount").over(so_far))


def _first_day_margin() -> Column:
    is_known = F.col("margin_order_count") == F.col("order_count")
    is_first = F.col("months_since_first_order") == 0
    return F.when(is_first & is_known, F.col("first_day_margin_amount"))


def crossings(values: DataFrame, costs: DataFrame, payback_cap_months: int) -> DataFrame:
    """Where the `cohort_values` reach the `spend_amount` of the same cohort and cell.

    Grain: `COHORT` and `cac_type` of `costs`, where there are customers. `first_paid_age` is the first
    month since the first order in which value >= spend, `last_unpaid_age` the last in which it is less; NULL: none, or
    spend not known. `is_value_known` is for every month. `cap_value_sum` is the value up to month `payback_cap_months`.
    """
    age, value = F.col("months_since_first_order"), F.col("cumulative_value_amount")
    is_paid = value >= F.col("spend_amount")
    spent = costs.select(*COHORT, "cac_type", "spend_amount")
    return (
        values.join(spent, on=list(COHORT), how="inner")
        .groupBy(*COHORT, "cac_type")
        .agg(
            F.min(F.when(is_paid, age)).alias("first_paid_age"),
            F.max(F.when(~is_paid, age)).alias("last_unpaid_age"),
            F.bool_and(value.isNotNull()).alias("is_value_known"),
            F.max_by(value, F.when(age <= payback_cap_months, age)).alias("cap_value_sum"),
            F.max("first_day_margin_amount").alias("first_day_margin_sum"),
        )
    )


def observed_months(as_of: dt.date) -> Column:
    """Complete calendar months (INT) of a cohort up to as_of, that of the first order included."""
    first_incomplete = periods.month_start(as_of + dt.timedelta(days=1))
    return months_from(F.lit(first_incomplete), "cohort_month")


def cumulative_payback() -> dict[str, Column]:
    """`cac_payback_months` (k = 0: month of the first order), `break_even_month`, `payback_status`, `is_sustained`.

    `cac_unknown`; `incomplete_month`: spend and customers of the cohort's month are not complete; `zero_cac`: 0 months;
    `value_unknown`: not reached while the value was known; `not_reached` in the months observed. Sustained is false if
    the value was below the cost in a later month, NULL if it is not known in one or nothing was reached.
    """
    cost, reached = F.col("cac_amount"), F.col("first_paid_age")
    status = (
        F.when(cost.isNull(), "cac_unknown")
        .when(F.col("observed_months") == 0, "incomplete_month")
        .when(cost == 0, "zero_cac")
        .when(reached.isNotNull(), "ok")
        .when(F.col("is_value_known"), "not_reached")
        .otherwise("value_unknown")
    )
    months = F.when(status == "ok", reached).when(status == "zero_cac", 0)
    is_below_later = F.coalesce(F.col("last_unpaid_age") > reached, F.lit(False))
    sustained = F.when(is_below_later, F.lit(False)).when(F.col("is_value_known"), F.lit(True))
    return {
        "payback_status": status,
        "cac_payback_months": months,
        "break_even_month": F.add_months("cohort_month", months),
        "is_sustained": F.when(status == "ok", sustained),
    }


def first_order() -> dict[str, Column]:
    """Whether the margin of the first days has paid the cost already; NULL: `first_order_status`."""
    margin = F.col("first_day_margin_sum")
    status = (
        F.when(F.col("customer_count") == 0, "no_customers")
        .when(margin.isNull(), "margin_unknown")
        .when(F.col("spend_amount").isNull(), "cac_unknown")
        .when(F.col("observed_months") == 0, "incomplete_month")
        .otherwise("ok")
    )
    return {
        "is_first_order_profitable": F.when(status == "ok", margin >= F.col("spend_amount")),
        "first_order_status": status,
    }
