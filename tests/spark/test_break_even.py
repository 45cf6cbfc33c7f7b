"""Break-even, first-order profit and the maximum CAC with a payback cap, worked out by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib import periods
from clv_lib.metrics.attribution import with_places
from clv_lib.metrics.break_even import observed_months
from clv_lib.metrics.predicted_values import predicted_values
from clv_lib.metrics.unit_economics import unit_economics
from clv_lib.settings.models import Economics
from tests.spark.activity import activity_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MONTHS = (
    "customer_id string, month date, order_count bigint, margin_order_count bigint, net_amount decimal(28,4),"
    " margin_amount decimal(28,4), first_day_margin_amount decimal(28,4)"
)
METRICS = (
    "customer_id string, cohort_month date, acquisition_channel string, value_basis string,"
    " historic_clv_amount decimal(28,4), exposure_days int"
)
COSTS = (
    "period_month date, cac_type string, level string, channel string, segment_id string, attribution_model string,"
    " is_primary boolean, spend_amount decimal(28,4), cac_status string"
)
PREDICTIONS = (
    "customer_id string, horizon_days int, predicted_clv_amount decimal(28,4), predicted_clv_mean_lower_amount"
    " decimal(28,4), predicted_clv_mean_upper_amount decimal(28,4), predicted_clv_variance double"
)

AS_OF = dt.date(2025, 2, 10)
ECONOMICS = Economics(horizon_days=365, target_ltv_to_cac=Decimal(3), payback_cap_months=12)
JANUARY, FEBRUARY, MARCH, MAY = (dt.date(2024, month, 1) for month in (1, 2, 3, 5))
NOW = dt.date(2025, 2, 1)
PENCE = "in pence: "

Curve = dict[int, Any]
Customer = tuple[dt.date, str, Curve]
Rows = dict[tuple[dt.date, str], Any]

# Cohort and channel with the margin of each customer by months since the first order (None: a cost is not known).
CUSTOMERS: list[Customer] = [
    *((JANUARY, "exact", curve) for curve in ({0: 20, 3: 40}, {0: 20}, {0: 20})),
    *((JANUARY, "short", curve) for curve in ({0: 20, 3: "39.9999"}, {0: 20}, {0: 20})),
    (MARCH, "exact", {0: 10, 1: 10}),
    (JANUARY, "at_once", {0: 50}),
    (JANUARY, "second_day", {0: 50}),
    (JANUARY, "falls", {0: 10, 1: 80, 4: -20}),
    (JANUARY, "returns", {0: 100, 1: -40, 2: 60}),
    (JANUARY, "gap", {0: 5, 9: 100}),
    (JANUARY, "now", {0: 1, 13: 100}),
    (JANUARY, "free", {0: 1}),
    (JANUARY, "unspent", {0: 1}),
    (JANUARY, "unknown", {0: 10, 1: None}),
    (JANUARY, "unknown_later", {0: 60, 1: None}),
    (JANUARY, "unknown_first", {0: None}),
    (JANUARY, "revenue", {0: None, 2: None}),
    (NOW, "new", {0: 100}),
    (JANUARY, "after_cap", {0: 10, 13: 200}),
    (JANUARY, "loss_at_cap", {0: -5, 13: 100}),
    (JANUARY, "predicted", {0: 10}),
    (FEBRUARY, "early", {0: 30}),
    (JANUARY, "loss", {0: -5}),
    (JANUARY, "later", {0: 10}),
    (JANUARY, "too_late", {0: 10}),
]
TOGETHER: list[Customer] = [(MAY, "p", {0: 10}), (MAY, "q", {0: 30, 1: 10})]
SPEND = {
    (JANUARY, "exact"): "100",
    (JANUARY, "short"): "100",
    (MARCH, "exact"): "20",
    (JANUARY, "at_once"): "50",
    (JANUARY, "second_day"): "50",
    (JANUARY, "falls"): "85",
    (JANUARY, "returns"): "80",
    (JANUARY, "gap"): "50",
    (JANUARY, "now"): "50",
    (JANUARY, "free"): "0",
    (JANUARY, "unspent"): None,
    (JANUARY, "unknown"): "50",
    (JANUARY, "unknown_later"): "50",
    (JANUARY, "unknown_first"): "50",
    (JANUARY, "revenue"): "50",
    (NOW, "new"): "10",
    (JANUARY, "after_cap"): "20",
    (JANUARY, "loss_at_cap"): "20",
    (JANUARY, "predicted"): "20",
    (FEBRUARY, "early"): "20",
    (JANUARY, "loss"): "1",
    (JANUARY, "nobody"): "70",
    (JANUARY, "later"): "34",
    (JANUARY, "too_late"): "50",
}
SPEND_TOGETHER = {(MAY, "p"): "20", (MAY, "q"): "15", (MAY, "all"): "45"}


PREDICTED = {
    "predicted": [(365, 300, 300, 300)],
    "later": [(90, 18, 9, 27), (365, 30, 15, 45)],
    "too_late": [(90, 18, 9, 27), (365, 30, 15, 45)],
    "loss": [(365, 300, 300, 300)],
}
"""Horizon, expected value, and low and high end of its mean, of each customer of a channel."""

FIRST_DAY = {"second_day": 20, PENCE + "second_day": 2000}
"""Margin of the first day where the month has more."""


def frames(
    spark: SparkSession, customers: list[Customer], spend: dict[Any, Any]
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Months, metrics and costs. An order of a margin m has a net revenue of 2 m, of 30 where it is not known."""
    months, metrics = [], []
    for number, (cohort, channel, curve) in enumerate(customers):
        customer, amounts = f"c{number:03}", {age: None if m is None else Decimal(m) for age, m in curve.items()}
        for age, margin in amounts.items():
            net = Decimal(3000 if channel.startswith(PENCE) else 30) if margin is None else 2 * margin
            of_day = 0 if age or margin is None else (FIRST_DAY.get(channel, margin))
            row = (
                periods.add_months(cohort, age),
                1,
                int(margin is not None),
                net,
                margin or Decimal(0),
                Decimal(of_day),
            )
            months.append((customer, *row))
        basis = "net_revenue" if channel.endswith("revenue") else "contribution_margin"
        known = [m for m in amounts.values() if m is not None]
        value = sum(known, Decimal(0)) if len(known) == len(amounts) else None
        metrics.append((customer, cohort, channel, basis, value, 100))
    costs = []
    for (cohort, channel), text in spend.items():
        level = "all" if channel == "all" else "channel"
        amount = None if text is None else Decimal(text)
        status = "spend_missing" if amount is None else "ok"
        costs.append((cohort, "blended", level, channel, "all:all", "declared_else_first_order", True, amount, status))
    made = (months, MONTHS), (metrics, METRICS), (costs, COSTS)
    first, second, third = (spark.createDataFrame(rows, schema) for rows, schema in made)
    return first, second, third


def economics_of(spark: SparkSession, customers: list[Customer], spend: dict[Any, Any]) -> Rows:
    months, metrics, costs = frames(spark, customers, spend)
    predicted = [
        (f"c{number:03}", days, *(Decimal(amount) for amount in (expected, low, high)), 0.0)
        for number, (_, channel, _) in enumerate(customers)
        if channel in PREDICTED
        for days, expected, low, high in PREDICTED[channel]
    ]
    predictions = spark.createDataFrame(predicted, PREDICTIONS)
    placed = with_places(metrics, None, None, "declared_else_first_order")
    values = predicted_values(predictions, placed, 0.95)
    activity = activity_of(months, placed=placed, as_of=AS_OF)
    found = unit_economics(activity, placed, values, costs, ECONOMICS, 0.95, AS_OF)
    return {(row.cohort_month, row.channel): row for row in found.collect()}


def in_pence(amount: Any) -> Any:
    return None if amount is None else Decimal(amount) * 100


@pytest.fixture(scope="module")
def rows(spark_session: SparkSession) -> Rows:
    pence: list[Customer] = [(m, PENCE + c, {a: in_pence(v) for a, v in curve.items()}) for m, c, curve in CUSTOMERS]
    pence_spent = {(month, PENCE + channel): in_pence(amount) for (month, channel), amount in SPEND.items()}
    return economics_of(spark_session, [*CUSTOMERS, *TOGETHER, *pence], SPEND | SPEND_TOGETHER | pence_spent)


def payback(row: Any) -> tuple[Any, ...]:
    return row.cac_payback_months, row.break_even_month, row.payback_status, row.is_sustained


def test_break_even_is_the_first_month_that_pays_the_cost_to_the_last_digit(rows: Rows) -> None:
    assert payback(rows[JANUARY, "exact"]) == (3, dt.date(2024, 4, 1), "ok", True)  # 100 of 100 for three customers
    assert payback(rows[JANUARY, "short"]) == (None, None, "not_reached", None)  # 99.9999
    assert rows[JANUARY, "short"].observed_months == 13
    assert payback(rows[JANUARY, "at_once"]) == (0, JANUARY, "ok", True)
    assert payback(rows[JANUARY, "gap"]) == (9, dt.date(2024, 10, 1), "ok", True)
    assert payback(rows[JANUARY, "now"]) == (13, NOW, "ok", True)  # in the month that is not over


def test_each_cohort_has_the_payback_of_its_own_curve_and_cost(rows: Rows) -> None:
    assert payback(rows[MARCH, "exact"]) == (1, dt.date(2024, 4, 1), "ok", True)
    assert (rows[MARCH, "exact"].observed_months, rows[NOW, "new"].observed_months) == (11, 0)
    assert payback(rows[MAY, "p"])[2] == "not_reached"
    assert payback(rows[MAY, "q"]) == (0, MAY, "ok", True)
    assert payback(rows[MAY, "all"]) == (1, dt.date(2024, 6, 1), "ok", True)  # 40, then 50, against 45


def test_a_value_that_falls_below_the_cost_again_is_not_sustained(rows: Rows) -> None:
    assert payback(rows[JANUARY, "falls"]) == (1, FEBRUARY, "ok", False)
    assert payback(rows[JANUARY, "returns"]) == (0, JANUARY, "ok", False)  # 100, then 60: not the maximum so far


def test_payback_without_cost_or_value_has_a_status(rows: Rows) -> None:
    assert payback(rows[JANUARY, "free"]) == (0, JANUARY, "zero_cac", None)
    assert payback(rows[JANUARY, "unspent"]) == (None, None, "cac_unknown", None)
    assert payback(rows[JANUARY, "nobody"]) == (None, None, "cac_unknown", None)
    assert payback(rows[JANUARY, "unknown"]) == (None, None, "value_unknown", None)
    assert payback(rows[JANUARY, "unknown_later"]) == (0, JANUARY, "ok", None)  # reached before the unknown cost
    assert payback(rows[NOW, "new"]) == (None, None, "incomplete_month", None)
    assert payback(rows[JANUARY, "revenue"]) == (2, MARCH, "ok", True)  # 30 and 30 of net revenue against 50


def forecast(row: Any) -> tuple[Any, ...]:
    names = ("forecast_payback_months", "forecast_payback_months_lower", "forecast_payback_months_upper")
    return (*(row[name] for name in names), row.forecast_payback_status)


def test_a_break_even_that_was_not_reached_is_forecast(rows: Rows) -> None:
    """10 of 34 were earned up to 10 February 2025; expected are 18 in 90 days and 30 in 365, so 24 after 227.5 days.

    The ends of a gamma distribution with a relative deviation of ln 3 / (2 z) are 1.62 and 0.53 of the mean: the high
    one is 29.2 after 90 days and reaches 24 after 74, the low one is 15.8 after 365.
    """
    assert payback(rows[JANUARY, "later"])[2] == "not_reached"
    assert rows[JANUARY, "later"].observed_months == 13
    assert forecast(rows[JANUARY, "later"]) == (20, 15, None, "ok")  # 26 September 2025, and 26 April
    assert forecast(rows[JANUARY, "too_late"]) == (None, 21, None, "beyond_horizon")  # 40: high end after 243 days
    assert forecast(rows[JANUARY, "loss"]) == (13, 13, 13, "ok")  # 6 of 300 after 7.3 days
    assert forecast(rows[JANUARY, "short"]) == (None, None, None, "no_prediction")
    assert forecast(rows[JANUARY, "exact"]) == (None, None, None, "observed")
    assert forecast(rows[JANUARY, "free"]) == (None, None, None, "observed")
    assert forecast(rows[JANUARY, "unspent"]) == (None, None, None, "cac_unknown")
    assert forecast(rows[JANUARY, "unknown"]) == (None, None, None, "value_unknown")
    assert forecast(rows[NOW, "new"]) == (None, None, None, "incomplete_month")


def test_the_first_order_pays_the_cost_or_not(rows: Rows) -> None:
    names = ("first_order_margin_amount", "is_first_order_profitable", "first_order_status")
    found = {channel: tuple(rows[month, channel][n] for n in names) for month, channel in SPEND}
    assert found["at_once"] == (50, True, "ok")
    assert found["second_day"] == (20, False, "ok")  # the rest of the month is not the first order
    assert rows[JANUARY, "second_day"].cac_payback_months == 0
    assert rows[JANUARY, "exact"].first_order_margin_amount == 20
    assert found["free"] == (1, True, "ok")
    assert found["unspent"] == (1, None, "cac_unknown")
    assert found["unknown_first"] == (None, None, "margin_unknown")
    assert found["revenue"] == (None, None, "margin_unknown")
    assert found["nobody"] == (None, None, "no_customers")
    assert found["new"] == (100, None, "incomplete_month")


def test_the_maximum_cost_is_the_smaller_of_ratio_and_payback_cap(rows: Rows) -> None:
    names = ("clv_amount", "payback_cap_value_amount", "max_allowable_cac_amount", "max_cac_status")
    found = {channel: tuple(rows[month, channel][n] for n in names) for month, channel in SPEND}
    assert found["gap"] == (105, 105, 35, "ok")
    assert found["after_cap"] == (210, 10, 10, "ok")  # 210 / 3 is more than what came back by month 12
    assert found["predicted"] == (310, 10, 10, "ok")
    assert found["early"] == (30, None, 10, "cap_month_not_observed")
    assert found["loss_at_cap"] == (95, -5, 0, "unprofitable")
    assert found["loss"] == (295, -5, 0, "unprofitable")
    assert found["unknown"] == (None, None, None, "value_unknown")
    assert found["nobody"] == (None, None, None, "value_unknown")
    assert {row.payback_cap_months for row in rows.values()} == {12}


def test_the_unit_of_money_changes_no_month(rows: Rows) -> None:
    names = ("payback_status", "cac_payback_months", "is_sustained", "is_first_order_profitable", "observed_months")
    for month, channel in SPEND:
        pounds, pence = rows[month, channel], rows[month, PENCE + channel]
        assert [pounds[name] for name in names] == [pence[name] for name in names], channel
    pounds, pence = rows[JANUARY, "gap"], rows[JANUARY, PENCE + "gap"]
    assert pence.max_allowable_cac_amount == 100 * pounds.max_allowable_cac_amount
    assert (
        pence.simple_payback_months == pounds.simple_payback_months == Decimal("1.56448616")
    )  # 50 / (105 x 30.4375 / 100)


def test_a_month_is_observed_when_it_is_over(spark: SparkSession) -> None:
    days = [
        dt.date(2024, 1, 30),
        dt.date(2024, 1, 31),
        dt.date(2024, 2, 28),
        dt.date(2024, 2, 29),
        dt.date(2025, 1, 31),
    ]
    january = spark.createDataFrame([(JANUARY,)], "cohort_month date")
    (row,) = january.select(*(observed_months(day).alias(str(day)) for day in days)).collect()
    assert list(row) == [0, 1, 1, 2, 13]
