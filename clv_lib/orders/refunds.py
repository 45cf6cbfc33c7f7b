"""Refunds: judged, attributed to exactly one order each, and added up per order."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from clv_lib.contracts.inputs import refund_rules
from clv_lib.contracts.put_aside import ACCEPTED
from clv_lib.contracts.types import MONEY
from clv_lib.orders.currency import converted, normalised_currency, with_exchange_rate
from clv_lib.orders.disposition import (
    QUARANTINED,
    with_broken_rules,
    with_competition,
    with_disposition,
    with_local_date,
    with_versions_resolved,
)
from clv_lib.orders.history import customer_bucket

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from clv_lib.settings.models import Settings

REFUND_KEY = "refund_id"
BY_ORDER_ID = "order_id"
BY_LATEST_ORDER = "latest_order"
_TOLERANCE = "0.01"


def judged_refunds(mapped: DataFrame, rates: DataFrame | None, settings: Settings, as_of: dt.date) -> DataFrame:
    """Mapped refunds with `refunded_date`, `exchange_rate`, `reasons` and `competes`. Grain: kept."""
    limits = settings.orders
    rules = refund_rules(limits.earliest_date.isoformat(), int(limits.max_amount))
    dated = with_local_date(normalised_currency(mapped), "refunded_at", "refunded_date", settings.reporting.time_zone)
    rated = with_exchange_rate(dated, rates, "refunded_date", settings.reporting.currency)
    return with_competition(with_broken_rules(rated, rules), "refunded_date", as_of)


def resolved_refunds(judged: DataFrame, repeated: DataFrame | None) -> DataFrame:
    """Judged refunds with `version_disposition`: copies and conflicts of one refund id. Grain: kept."""
    timed = judged.withColumn("updated_at", F.lit(None).cast("timestamp"))
    return with_versions_resolved(timed, REFUND_KEY, repeated).drop("competes", "updated_at")


def order_index(orders: DataFrame) -> DataFrame:
    """What a refund must know of the orders, accepted or put aside. Grain: order row, kept."""
    limit = F.greatest("net_amount", F.coalesce("total_amount", "net_amount"))
    return orders.select(
        F.col("order_id").alias("known_order_id"),
        F.col("customer_id").alias("order_customer_id"),
        F.col("disposition").alias("order_disposition"),
        F.col("ordered_at").alias("order_ordered_at"),
        F.col("ordered_date").alias("order_ordered_date"),
        F.col("currency_code").alias("order_currency_code"),
        limit.alias("refundable_amount"),
    )


def with_order(refunds: DataFrame, index: DataFrame, *, fall_back: bool) -> DataFrame:
    """Add the refunded order's columns and `attribution`. Grain: refund, kept.

    The order is the one that the refund names. A refund that names none (or, with `fall_back`, one that is not known)
    belongs to the latest accepted order of its customer up to the time of the refund.
    """
    named = refunds.join(_named_orders(refunds, index), F.col("order_id") == F.col("known_order_id"), "left")
    is_named = F.col("known_order_id").isNotNull()
    may_fall_back = ~is_named & F.col("customer_id").isNotNull() & (F.col("order_id").isNull() | F.lit(fall_back))
    found = named.where(~may_fall_back).withColumn("attribution", F.when(is_named, BY_ORDER_ID))
    lost = named.where(may_fall_back).drop(*index.columns)
    return found.unionByName(_with_latest_order(lost, index))


def _named_orders(refunds: DataFrame, index: DataFrame) -> DataFrame:
    """The orders that refunds name, one row each: the accepted one before versions and rows that were put aside."""
    names = refunds.select(F.col("order_id").alias("known_order_id")).distinct()
    row = F.struct((F.col("order_disposition") != ACCEPTED).alias("is_aside"), *index.columns)
    chosen = index.join(names, "known_order_id", "left_semi").groupBy("known_order_id").agg(F.min(row).alias("order"))
    return chosen.select(*(F.col(f"order.{name}").alias(name) for name in index.columns))


def _with_latest_order(refunds: DataFrame, index: DataFrame) -> DataFrame:
    """Refunds with the latest accepted order of their customer, in one sort of both by customer and time."""
    concerned = refunds.select(F.col("customer_id").alias("order_customer_id")).distinct()
    accepted = index.where(F.col("order_disposition") == ACCEPTED).join(concerned, "order_customer_id", "left_semi")
    event = F.struct(*(F.col(name) for name in index.columns))
    orders = accepted.select(
        F.col("order_customer_id").alias("by_customer"),
        F.col("order_ordered_at").alias("at"),
        F.lit(0).alias("kind"),
        event.alias("order"),
    )
    timed = refunds.withColumns({"by_customer": F.col("customer_id"), "at": F.col("refunded_at"), "kind": F.lit(1)})
    both = timed.unionByName(orders, allowMissingColumns=True)
    before = (
        Window.partitionBy("by_customer")
        .orderBy("at", "kind", "order.known_order_id")
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    latest = both.withColumn("order", F.last("order", ignorenulls=True).over(before)).where("kind = 1")
    return latest.select(
        *refunds.columns,
        *(F.col(f"order.{name}").alias(name) for name in index.columns),
        F.when(F.col("order").isNotNull(), BY_LATEST_ORDER).alias("attribution"),
    )


def with_refund_dispositions(refunds: DataFrame, as_of: dt.date) -> DataFrame:
    """Refunds with `disposition`, and the reasons that only the order shows. Grain: refund, kept.

    A refund of an order that was put aside is put aside with it. Of refunds that name their order, those of an order
    that got back more than it cost are quarantined together.
    """
    is_named = F.col("attribution") == BY_ORDER_ID
    is_counted = ~F.coalesce("is_deleted", F.lit(False)) & (F.col("refunded_date") <= F.lit(as_of))
    is_open = (F.size("reasons") == 0) & F.col("version_disposition").isNull() & is_counted
    of_order = Window.partitionBy("known_order_id").rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    same_currency = F.col("currency_code") == F.col("order_currency_code")
    total = F.sum(F.when(is_open & is_named & same_currency, F.col("refund_amount"))).over(of_order)
    orphan = F.col("known_order_id").isNull()
    broken: dict[str, Column] = {
        "orphan_refund": orphan,
        "refund_before_order": is_named & (F.col("refunded_date") < F.col("order_ordered_date")),
        "refund_exceeds_order": is_named
        & same_currency
        & (F.col("refund_total") > F.col("refundable_amount") + F.expr(_TOLERANCE)),
        "refund_names_other_customer": is_named & (F.col("customer_id") != F.col("order_customer_id")),
    }
    found = F.array_compact(
        F.array(*(F.when(F.coalesce(hit, F.lit(False)), F.lit(name)) for name, hit in broken.items()))
    )
    is_aside = ~orphan & (F.col("order_disposition") != ACCEPTED)
    reasons = F.when(is_open & ~is_aside, F.concat("reasons", found)).otherwise(F.col("reasons"))
    disposition = (
        F.when(F.col("refunded_date") > F.lit(as_of), "after_as_of")
        .when(F.coalesce("is_deleted", F.lit(False)), "deleted")
        .when(F.col("version_disposition").isNotNull(), F.col("version_disposition"))
        .when(F.size("reasons") > 0, QUARANTINED)
        .when(is_aside, "order_put_aside")
        .otherwise(ACCEPTED)
    )
    judged = refunds.withColumn("refund_total", total).withColumn("reasons", reasons)
    return with_disposition(judged, disposition)


def customer_refunds(refunds: DataFrame, buckets: int = 1) -> DataFrame:
    """Accepted refunds as contract `customer_refunds`, in the reporting currency. Grain: refund."""
    accepted = refunds.where(F.col("disposition") == ACCEPTED).drop("customer_id")
    recovered = F.coalesce("cost_recovered_amount", F.lit(0).cast(MONEY))
    named = accepted.withColumns({"customer_id": F.col("order_customer_id"), "cost_recovered_amount": recovered})
    return named.select(
        "refund_id",
        F.col("known_order_id").alias("order_id"),
        "customer_id",
        "attribution",
        F.col("order_ordered_date").alias("ordered_date"),
        converted("refund_amount").alias("refund_amount"),
        converted("cost_recovered_amount").alias("cost_recovered_amount"),
        "currency_code",
        F.col("refund_amount").alias("refund_amount_original"),
        "refunded_date",
        "refunded_at",
        F.trunc("refunded_date", "month").alias("refunded_month"),
        customer_bucket(buckets),
    )


def with_refunds(orders: DataFrame, refunds: DataFrame | None) -> DataFrame:
    """Orders in the reporting currency with `refund_amount`, `net_amount` and `margin_amount`. Grain: order, kept.

    `refunds` are `customer_refunds`; they are added up per order before the join, so no order row is doubled.
    `margin_amount` is NULL where the cost is not known.
    """
    if refunds is None:
        refunded = orders.withColumns(
            {"refund_amount": F.lit(0).cast(MONEY), "cost_recovered_amount": F.lit(0).cast(MONEY)}
        )
    else:
        per_order = refunds.groupBy("order_id").agg(
            F.sum("refund_amount").cast(MONEY).alias("refund_amount"),
            F.sum("cost_recovered_amount").cast(MONEY).alias("cost_recovered_amount"),
        )
        refunded = orders.join(per_order, "order_id", "left").fillna(0, ["refund_amount", "cost_recovered_amount"])
    net = F.col("gross_amount") - F.col("discount_amount") - F.col("refund_amount")
    margin = net - F.col("cost_amount") + F.col("cost_recovered_amount")
    return refunded.withColumns({"net_amount": net.cast(MONEY), "margin_amount": margin.cast(MONEY)}).drop(
        "cost_recovered_amount"
    )
