"""Orders from source rows to accepted ones: judged by the row rules, resolved, and given one disposition each."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.inputs import NEGATIVE_ORDER, order_rules
from clv_lib.contracts.put_aside import ACCEPTED
from clv_lib.contracts.types import MONEY
from clv_lib.orders.currency import converted, normalised_currency, with_exchange_rate
from clv_lib.orders.disposition import (
    REFUND_LINE,
    order_disposition,
    with_broken_rules,
    with_competition,
    with_disposition,
    with_local_date,
    with_versions_resolved,
)
from clv_lib.orders.lines import without_contradictions

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from clv_lib.settings.models import Settings

LINE_KEY = "order_line_id"
ORDER_KEY = "order_id"
_WORKING = ("version_disposition", "competes")


def judged_orders(
    mapped: DataFrame, rates: DataFrame | None, settings: Settings, as_of: dt.date, *, is_line: bool
) -> DataFrame:
    """Mapped order rows with `ordered_date`, `exchange_rate`, `reasons` and `competes`. Grain: kept.

    A negative amount breaks a rule for an order; a negative line is a refund.
    """
    limits = settings.orders
    rules = order_rules(limits.earliest_date.isoformat(), int(limits.max_amount))
    dated = with_local_date(normalised_currency(mapped), "ordered_at", "ordered_date", settings.reporting.time_zone)
    rated = with_exchange_rate(dated, rates, "ordered_date", settings.reporting.currency)
    judged = with_broken_rules(rated, rules if is_line else (*rules, NEGATIVE_ORDER))
    return with_competition(judged, "ordered_date", as_of)


def with_order_dispositions(
    judged: DataFrame, repeated: DataFrame | None, settings: Settings, as_of: dt.date
) -> DataFrame:
    """Judged orders with one `disposition` each. Grain: kept. `repeated` are hashes from `repeated_ids`, or None."""
    resolved = with_versions_resolved(judged, ORDER_KEY, repeated).withColumn("source_row_count", F.lit(1))
    return with_disposition(resolved, F.coalesce("version_disposition", _own_disposition(settings, as_of))).drop(
        *_WORKING
    )


def with_line_dispositions(
    judged: DataFrame, repeated: DataFrame | None, contradictory: DataFrame | None, settings: Settings, as_of: dt.date
) -> DataFrame:
    """Judged lines with one `disposition` each; a negative accepted line becomes `refund_line`. Grain: kept."""
    resolved = with_versions_resolved(without_contradictions(judged, contradictory), LINE_KEY, repeated)
    disposition = F.coalesce("version_disposition", _own_disposition(settings, as_of))
    is_refund = (disposition == ACCEPTED) & (F.col("net_amount") < 0)
    return with_disposition(resolved, F.when(is_refund, REFUND_LINE).otherwise(disposition)).drop(*_WORKING)


def _own_disposition(settings: Settings, as_of: dt.date) -> Column:
    return order_disposition(as_of, settings.orders.exclude_statuses, settings.orders.exclude_gift_cards)


def in_reporting_currency(orders: DataFrame) -> DataFrame:
    """Accepted orders with their amounts converted; the original net amount is kept. Grain: order, kept.

    `discount_amount` is gross less net after conversion, so that the three agree exactly. `cost_amount` becomes cost,
    fulfilment and fees together, NULL where the cost of goods is not known.
    """
    gross, net = converted("gross_amount"), converted("net_amount")
    costs = converted("cost_amount") + converted("fulfilment_cost_amount") + converted("payment_fee_amount")
    return orders.select(
        "order_id",
        "customer_id",
        "channel",
        "ordered_at",
        "ordered_date",
        "currency_code",
        F.col("net_amount").alias("net_amount_original"),
        gross.alias("gross_amount"),
        (gross - net).alias("discount_amount"),
        costs.cast(MONEY).alias("cost_amount"),
        "source_row_count",
    )
