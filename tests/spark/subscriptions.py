"""Small sources of subscriptions for tests, and their way to stored periods and movements."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from clv_lib.contracts.inputs import SUBSCRIPTIONS
from clv_lib.orders.disposition import repeated_ids
from clv_lib.orders.mapping import map_source
from clv_lib.recurring.movements import mrr_changes, mrr_movements
from clv_lib.recurring.subscription_periods import (
    PERIOD_KEY,
    judged_periods,
    subscription_periods,
    with_period_dispositions,
)
from clv_lib.settings import load_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from clv_lib.settings import Settings

AS_OF = dt.date(2024, 6, 15)
COLUMNS = SUBSCRIPTIONS.columns
RATES = "rate_day date, rate_currency string, exchange_rate decimal(28,12)"

Rows = list[dict[str, str | None]]
Lives = dict[str, dict[str, Any]]


def settings_with(*recurring: str) -> Settings:
    """Settings with their defaults but for the given keys of `recurring`."""
    given = ["lake=./lake", "reporting.currency=GBP", "sources.orders.table=./orders"]
    return load_settings(None, [*given, *(f"recurring.{one}" for one in recurring)], {}).settings


def period(customer: str, start: str, end: str | None, amount: str, **given: str | None) -> dict[str, str | None]:
    """A row of the source; by default monthly, active, in pounds, and of the customer's only subscription."""
    plain = dict.fromkeys(COLUMNS) | {
        "subscription_period_id": f"{customer}/{given.get('subscription_id', 's')}/{start}/{end}",
        "subscription_id": f"{customer}/s",
        "customer_id": customer,
        "billing_interval": "month",
        "billing_interval_count": "1",
        "currency_code": "GBP",
        "recurring_amount": amount,
        "status": "active",
        "started_date": start,
        "ended_date": end,
    }
    return plain | given


def judged(spark: SparkSession, rows: Rows, settings: Settings, rates: DataFrame | None, as_of: dt.date) -> DataFrame:
    """The rows with dispositions."""
    raw = spark.createDataFrame(
        [tuple(row[name] for name in COLUMNS) for row in rows], ", ".join(f"{name} string" for name in COLUMNS)
    )
    mapped = map_source(raw, SUBSCRIPTIONS, {}, currency="GBP", time_zone="UTC")
    own = judged_periods(mapped, settings, as_of)
    return with_period_dispositions(own, repeated_ids(mapped, PERIOD_KEY), rates, "GBP", as_of)


def stored_periods(
    spark: SparkSession,
    rows: Rows,
    *recurring: str,
    rates: DataFrame | None = None,
    as_of: dt.date = AS_OF,
) -> DataFrame:
    """The accepted rows as they are stored."""
    settings = settings_with(*recurring)
    return subscription_periods(judged(spark, rows, settings, rates, as_of), settings.recurring, as_of)


def movements_of(spark: SparkSession, rows: Rows, *recurring: str, as_of: dt.date = AS_OF) -> DataFrame:
    """As in a run, what comes next reads stored periods: plans stay short."""
    window = settings_with(*recurring).recurring.reactivation_window_months
    return mrr_movements(mrr_changes(kept(stored_periods(spark, rows, *recurring, as_of=as_of))), window, as_of)


def kept(frame: DataFrame) -> DataFrame:
    """The rows of the frame without its plan."""
    return frame.sparkSession.createDataFrame(frame.collect(), frame.schema)


def lives_of(movements: DataFrame) -> Lives:
    """Customer to month (yy-mm) to row, in order."""
    lives: Lives = {}
    for row in movements.orderBy("customer_id", "period_month").collect():
        lives.setdefault(row.customer_id, {})[f"{row.period_month:%y-%m}"] = row
    return lives


def story(life: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    """Month to kind of movement and MRR at its end."""
    return {month: (row.movement_type, row.mrr_end) for month, row in life.items()}
