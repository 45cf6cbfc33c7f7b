"""Rows of the source subscriptions: what is refused, what counts, and at which exchange rate."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from clv_lib.contracts.inputs import PERIODS_TOGETHER, subscription_rules
from clv_lib.orders.disposition import disposition_totals
from clv_lib.recurring.movements import mrr_changes, mrr_movements
from tests.spark.subscriptions import (
    AS_OF,
    RATES,
    judged,
    kept,
    lives_of,
    period,
    settings_with,
    stored_periods,
    story,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BAD: dict[str, dict[str, str | None]] = {
    "null_subscription_period_id": {"subscription_period_id": " "},
    "unprintable_subscription_period_id": {"subscription_period_id": "p\u200b1"},
    "null_subscription_id": {"subscription_id": None},
    "null_customer_id": {"customer_id": " "},
    "unprintable_customer_id": {"customer_id": "c\u200b1"},
    "unreadable_started_date": {"started_date": "soon"},
    "before_earliest_date": {"started_date": "1899-12-31"},
    "ended_before_started": {"ended_date": "2023-12-31"},
    "unknown_interval": {"billing_interval": "moon"},
    "bad_interval_count": {"billing_interval_count": "1.5"},
    "unknown_status": {"status": "asleep"},
    "unreadable_amount": {"recurring_amount": "much"},
    "negative_amount": {"recurring_amount": "-5"},
    "amount_too_large": {"recurring_amount": "100000001"},
    "negative_discount": {"discount_amount": "-1"},
    "discount_above_amount": {"discount_amount": "50.01"},
    "unknown_currency": {"currency_code": "pounds"},
    "no_exchange_rate": {"currency_code": "EUR"},
}


def test_every_rule_has_a_row_that_breaks_it(spark: SparkSession) -> None:
    rows = [
        period(f"bad{n}", "2024-01-01", None, "50") | {"quantity": str(n)} | broken
        for n, broken in enumerate(BAD.values())
    ]
    rows += [
        period("o", "2024-01-01", "2024-03-02", "50") | {"quantity": "100"},
        period("o", "2024-03-01", None, "50") | {"quantity": "101"},
        period("wide", "2024-01-01", None, "50") | {"quantity": "102"},
        period("wide", "2024-02-01", "2024-02-10", "50") | {"quantity": "103"},
        period("wide", "2024-03-01", "2024-03-10", "50") | {"quantity": "104"},
    ]
    found = judged(spark, rows, settings_with(), None, AS_OF).collect()
    reasons = {int(row.quantity): (row.disposition, row.reasons) for row in found}
    expected = {n: ("quarantined", [reason]) for n, reason in enumerate(BAD)}
    assert reasons == expected | {n: ("quarantined", ["overlapping_periods"]) for n in range(100, 105)}
    rules = (*subscription_rules("1990-01-01", 100_000_000), *PERIODS_TOGETHER)
    assert {rule.name for rule in rules} == {*BAD, "overlapping_periods"}


def test_every_row_has_one_disposition(spark: SparkSession) -> None:
    newer: dict[str, str | None] = {"subscription_period_id": "n", "updated_at": "2024-02-01T00:00:00Z"}
    clash: dict[str, str | None] = {"subscription_period_id": "x", "subscription_id": "x"}
    rows = [
        period("a", "2024-01-01", "2024-06-16", "50"),
        period("a", "2024-06-16", None, "70"),
        period("b", "2024-01-01", None, "10"),
        period("b", "2024-01-01", None, "10"),
        period("n", "2024-01-01", None, "20", **newer),
        period("n", "2024-01-01", None, "25", **{**newer, "updated_at": "2024-01-01T00:00:00Z"}),
        period("x", "2024-01-01", None, "1", **clash),
        period("x", "2024-01-01", None, "2", **clash),
    ]
    rows_judged = judged(spark, rows, settings_with(), None, AS_OF)
    totals = disposition_totals(rows_judged, "subscriptions", "recurring_amount").collect()
    assert {row.disposition: (row.row_count, row.amount) for row in totals} == {
        "accepted": (3, 80),
        "after_as_of": (1, 70),
        "exact_duplicate": (1, 10),
        "superseded": (1, 25),
        "quarantined": (2, 3),
    }


def test_exchange_rates_alone_move_nothing(spark: SparkSession) -> None:
    days = [("2024-01-10", "0.85"), ("2024-03-10", "0.95"), ("2024-04-10", "0.99")]
    rates = spark.createDataFrame([(dt.date.fromisoformat(d), "EUR", Decimal(r)) for d, r in days], RATES)
    rows = [
        period("e", "2024-01-10", "2024-03-10", "100", currency_code=" eur"),
        period("e", "2024-03-10", "2024-05-20", "100", currency_code="EUR", subscription_id="renewed"),
        period("e", "2024-05-20", None, "90", currency_code="GBP"),
        period("f", "2024-04-10", None, "33.3333", currency_code="EUR"),
        period("u", "2024-01-11", None, "100", currency_code="EUR"),
    ]
    periods = stored_periods(spark, rows, rates=rates)
    found = lives_of(mrr_movements(mrr_changes(kept(periods)), None, AS_OF))
    moved = {month: told for month, told in story(found["e"]).items() if told[0] != "none"}
    assert moved == {"24-01": ("new", 85), "24-05": ("expansion", 90)}
    assert found["f"]["24-04"].mrr_end == 33  # 32.999967
    assert "u" not in found
