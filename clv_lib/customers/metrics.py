"""`customer_metrics`: what each customer has been worth up to as_of, from the additive state alone."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.acquisitions import UNATTRIBUTED
from clv_lib.contracts.customers import CUSTOMER_METRICS, METRIC_WINDOWS_DAYS
from clv_lib.contracts.silver import TRAILING_DAYS
from clv_lib.contracts.types import MONEY_SUM, RATIO
from clv_lib.periods import DAYS_PER_MONTH, cutoff_date, month_start

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CONTRIBUTION_MARGIN = "contribution_margin"
NET_REVENUE = "net_revenue"

_DECLARED = ("acquisition_channel", "acquisition_campaign")


def boundary_months(as_of: dt.date) -> list[dt.date]:
    """Months in which a trailing window begins: only for their orders must `customer_orders` be read."""
    return sorted({month_start(cutoff_date(as_of, days)) for days in METRIC_WINDOWS_DAYS})


def boundary_sums(orders: DataFrame, as_of: dt.date) -> DataFrame:
    """The part of each trailing window that lies in the month in which it begins. Grain: customer.

    `orders` are `customer_orders` of `boundary_months`. A window is that part and the whole months after it, so the sum
    is exact without reading the orders of the months between.
    """
    sums = {}
    for days in METRIC_WINDOWS_DAYS:
        first_day = cutoff_date(as_of, days)
        inside = (F.col("ordered_month") == F.lit(month_start(first_day))) & (F.col("ordered_date") >= F.lit(first_day))
        sums[f"boundary_count_{days}d"] = F.count_if(inside)
        sums[f"boundary_net_{days}d"] = F.sum(F.when(inside, F.col("net_amount")))
    return orders.groupBy("customer_id").agg(*(column.alias(name) for name, column in sums.items()))


def customer_metrics(
    months: DataFrame,
    boundary: DataFrame,
    attributes: DataFrame | None,
    *,
    as_of: dt.date,
    inactivity_days: int,
    value_basis: str,
) -> DataFrame:
    """Contract `customer_metrics` from `customer_months`. Grain: customer with an order.

    `boundary` are the `boundary_sums`; `attributes` the mapped customers, of which acquisition channel and
    campaign are taken. Trailing windows end on `as_of`; the first-days windows are NULL until they have passed.
    """
    # Months are sent to their customer as they are: a customer has few in a file, and the sums are wider than a month.
    of_customers = months.repartition("customer_id").groupBy("customer_id")
    facts = of_customers.agg(*_totals(as_of, inactivity_days)).where("lifetime_order_count > 0")
    facts = facts.join(boundary, "customer_id", "left")
    if attributes is not None:
        facts = facts.join(attributes.select("customer_id", *_DECLARED), "customer_id", "left")
    else:
        facts = facts.withColumns({name: F.lit(None).cast("string") for name in _DECLARED})
    facts = facts.withColumns(_ages(as_of)).withColumns(_amounts(value_basis))
    facts = facts.withColumns(_behaviour(inactivity_days))
    return facts.withColumns(_windows()).select(*CUSTOMER_METRICS.columns)


def _totals(as_of: dt.date, inactivity_days: int) -> list[Column]:
    summed = {
        "lifetime_order_count": "order_count",
        "lifetime_occasion_count": "active_day_count",
        "refunded_order_count": "refunded_order_count",
        "lifetime_gross_amount": "gross_amount",
        "lifetime_discount_amount": "discount_amount",
        "lifetime_refund_amount": "refund_amount",
        "lifetime_net_amount": "net_amount",
        "known_margin_amount": "margin_amount",
        "margin_order_count": "margin_order_count",
        "first_day_net_amount": "first_day_net_amount",
        "first_day_margin_amount": "first_day_margin_amount",
        **{f"net_first_{days}d": f"net_amount_first_{days}d" for days in TRAILING_DAYS},
    }
    after = {
        f"after_{name}_{days}d": F.sum(
            F.when(F.col("month") > F.lit(month_start(cutoff_date(as_of, days))), F.col(column))
        )
        for days in METRIC_WINDOWS_DAYS
        for name, column in (("count", "order_count"), ("net", "net_amount"))
    }
    # A gap of 31 or more days always precedes the first order of its month.
    comeback = F.when(F.col("longest_gap_days") > inactivity_days, F.col("first_ordered_date"))
    return [
        *(F.sum(column).alias(name) for name, column in summed.items()),
        *(column.alias(name) for name, column in after.items()),
        F.min("first_ordered_date").alias("first_order_date"),
        F.max("last_ordered_date").alias("last_order_date"),
        F.max("longest_gap_days").alias("longest_gap_days"),
        F.max(comeback).alias("reactivated_date"),
        F.max("first_order_channel").alias("first_order_channel"),
    ]


def _ages(as_of: dt.date) -> dict[str, Column]:
    today = F.lit(as_of)
    first, last = F.col("first_order_date"), F.col("last_order_date")
    return {
        "as_of_date": today,
        "cohort_month": F.trunc(first, "month"),
        "days_since_first_order": F.date_diff(today, first),
        "days_since_last_order": F.date_diff(today, last),
        "exposure_days": F.date_diff(today, first) + 1,
        "btyd_frequency": F.col("lifetime_occasion_count").cast("int") - 1,
        "btyd_recency_days": F.date_diff(last, first),
        "btyd_age_days": F.date_diff(today, first),
        "acquisition_channel": F.coalesce("acquisition_channel", "first_order_channel", F.lit(UNATTRIBUTED)),
    }


def _amounts(value_basis: str) -> dict[str, Column]:
    """Margin is known if it is known for every order; value is margin or net revenue, for all customers alike."""
    net = F.col("lifetime_net_amount")
    is_known = F.col("margin_order_count") == F.col("lifetime_order_count")
    margin = F.when(is_known, F.col("known_margin_amount"))
    in_margin = F.lit(value_basis == CONTRIBUTION_MARGIN)
    value = F.when(in_margin, margin).otherwise(net)
    repeat_net = net - F.col("first_day_net_amount")
    repeat_margin = margin - F.col("first_day_margin_amount")
    repeat = F.when(in_margin, repeat_margin).otherwise(repeat_net)
    return {
        "value_basis": F.lit(value_basis),
        "lifetime_margin_amount": margin.cast(MONEY_SUM),
        "historic_clv_amount": value.cast(MONEY_SUM),
        "value_status": F.when(value.isNull(), "margin_unknown").when(value < 0, "negative_value").otherwise("ok"),
        "average_order_value": _money_per(net, "lifetime_order_count"),
        "btyd_monetary_value": _money_per(repeat, "btyd_frequency"),
    }


def _money_per(amount: Column, count: str) -> Column:
    """With these types Spark divides to 14 decimals; a sum divided by a bigint would have only six."""
    return F.try_divide(amount.cast(MONEY_SUM), F.col(count).cast("int")).cast(RATIO)


def _behaviour(inactivity_days: int) -> dict[str, Column]:
    """Frequency over exposure, never over (last - first): a one-time buyer has an exposure, too."""
    gap = F.try_divide(F.col("btyd_recency_days"), F.col("btyd_frequency"))
    has_exposure = F.col("exposure_days") > 1
    monthly = F.try_divide(F.col("lifetime_order_count") * F.lit(DAYS_PER_MONTH), F.col("exposure_days"))
    is_churned = F.col("days_since_last_order") >= inactivity_days
    due = F.date_add("last_order_date", inactivity_days)
    return {
        "orders_per_month": F.when(has_exposure, monthly).cast(RATIO),
        "orders_per_month_status": F.when(has_exposure, "ok").otherwise("too_short_exposure"),
        "average_days_between_orders": gap.cast(RATIO),
        "is_repeat_customer": F.col("btyd_frequency") > 0,
        "is_churned": is_churned,
        "is_active": ~is_churned,
        "churned_date": F.when(is_churned, due),
        "churn_due_date": due,
    }


def _windows() -> dict[str, Column]:
    none = F.lit(0)
    trailing = {
        f"{target}_{days}d": F.coalesce(f"boundary_{name}_{days}d", none) + F.coalesce(f"after_{name}_{days}d", none)
        for days in METRIC_WINDOWS_DAYS
        for target, name in (("order_count", "count"), ("net_amount", "net"))
    }
    first = {
        f"net_amount_first_{days}d": F.when(F.col("exposure_days") >= days, F.col(f"net_first_{days}d"))
        for days in TRAILING_DAYS
    }
    return trailing | first
