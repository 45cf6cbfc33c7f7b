"""Acquisition cost and unit economics: missing spend, no spend and no customers are three different things."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.contracts.acquisition_costs import ACQUISITION_COSTS
from clv_lib.contracts.acquisitions import DECLARED_MODEL
from clv_lib.contracts.economics import UNIT_ECONOMICS
from clv_lib.metrics.acquisition_costs import acquisition_costs, new_customers
from clv_lib.metrics.attribution import with_places
from clv_lib.metrics.predicted_values import predicted_values
from clv_lib.metrics.unit_economics import unit_economics
from clv_lib.settings.models import Economics
from tests.spark.activity import activity_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AS_OF = dt.date(2024, 5, 15)
JANUARY, FEBRUARY, MARCH, APRIL, MAY = (dt.date(2024, m, 1) for m in range(1, 6))
ECONOMICS = Economics(horizon_days=365, target_ltv_to_cac=Decimal(3))

METRICS = (
    "customer_id string, cohort_month date, acquisition_channel string, acquisition_campaign string,"
    " value_basis string, historic_clv_amount decimal(28,4), exposure_days int"
)
SPEND = (
    "period_month date, channel string, campaign_name string, segment_id string, cost_type string, is_paid boolean,"
    " spend_amount decimal(28,4)"
)
MONTHS = (
    "customer_id string, month date, order_count bigint, margin_order_count bigint, net_amount decimal(28,4),"
    " margin_amount decimal(28,4), first_day_margin_amount decimal(28,4)"
)
PREDICTIONS = (
    "customer_id string, horizon_days int, predicted_clv_amount decimal(28,4), predicted_clv_mean_lower_amount"
    " decimal(28,4), predicted_clv_mean_upper_amount decimal(28,4), predicted_clv_variance double"
)

CUSTOMERS = [
    ("a", JANUARY, "search", 90, 120),
    ("b", JANUARY, "search", 30, 120),
    ("c", JANUARY, "unattributed", 10, 100),
    ("d", MARCH, "search", -5, 60),
    ("e", APRIL, "mail", 40, 30),
]
BOOKINGS = [
    (JANUARY, "search", "media", True, "60.01"),
    (JANUARY, "search", "agency", False, "20"),
    (JANUARY, "tv", "media", True, "10"),
    (JANUARY, "mail", "media", False, "5"),
    (MARCH, "search", "media", True, "0"),
    (MARCH, "tv", "media", True, "30"),
    (APRIL, "mail", "tool", False, "8"),
]

Cells = dict[tuple[dt.date, str, str], Any]


def customers(spark: SparkSession, rows: list[tuple[Any, ...]] = CUSTOMERS) -> DataFrame:
    typed = [
        (c, cohort, channel, None, "contribution_margin", None if value is None else Decimal(value), days)
        for c, cohort, channel, value, days in rows
    ]
    return spark.createDataFrame(typed, METRICS)


def months(spark: SparkSession, rows: list[tuple[Any, ...]] = CUSTOMERS) -> DataFrame:
    """One order per customer, in the first month, that gave all of its value."""
    found = []
    for customer, cohort, _, value, _ in rows:
        amount = Decimal(value or 0)
        found.append((customer, cohort, 1, int(value is not None), 2 * amount, amount, amount))
    return spark.createDataFrame(found, MONTHS)


def spend(spark: SparkSession) -> DataFrame:
    rows = [(month, channel, "none", None, *kind, Decimal(amount)) for month, channel, *kind, amount in BOOKINGS]
    return spark.createDataFrame(rows, SPEND)


def cells(frame: DataFrame, month: str) -> Cells:
    return {
        (row[month], row.cac_type, row.channel): row for row in frame.where("level in ('all', 'channel')").collect()
    }


def placed(metrics: DataFrame) -> DataFrame:
    return with_places(metrics, None, None, DECLARED_MODEL)


@pytest.fixture(scope="module")
def costs(spark_session: SparkSession) -> Cells:
    found = acquisition_costs(new_customers(customers(spark_session)), spend(spark_session), AS_OF)
    assert dict(found.dtypes) == ACQUISITION_COSTS.schema
    return cells(found, "period_month")


@pytest.fixture(scope="module")
def economics(spark_session: SparkSession) -> Cells:
    expected = [("a", Decimal(50)), ("b", Decimal(10)), ("c", Decimal(3)), ("d", Decimal(2)), ("e", None)]
    rows = [(customer, 365, value, value, value, None) for customer, value in expected]
    predictions = spark_session.createDataFrame(rows, PREDICTIONS)
    metrics = customers(spark_session)
    of_cohorts = acquisition_costs(new_customers(metrics), spend(spark_session), AS_OF)
    predicted = predicted_values(predictions, placed(metrics), 0.95)
    activity = activity_of(months(spark_session), placed=placed(metrics), as_of=AS_OF)
    found = unit_economics(activity, placed(metrics), predicted, of_cohorts, ECONOMICS, 0.95, AS_OF)
    assert dict(found.dtypes) == UNIT_ECONOMICS.schema
    return cells(found, "cohort_month")


def cost(row: Any) -> tuple[Any, ...]:
    return row.spend_amount, row.new_customer_count, row.cac_amount, row.cac_status


def test_kinds_of_cost(costs: Cells) -> None:
    total = {kind: cost(costs[JANUARY, kind, "all"]) for kind in ("blended", "paid", "fully_loaded")}
    assert total == {
        "blended": (Decimal("75.01"), 3, Decimal("25.00333333"), "ok"),
        "paid": (Decimal("70.01"), 3, Decimal("23.33666667"), "ok"),
        "fully_loaded": (Decimal("95.01"), 3, Decimal("31.67"), "ok"),
    }
    assert cost(costs[JANUARY, "paid", "search"]) == (Decimal("60.01"), 2, Decimal("30.005"), "ok")


def test_spend_without_customers_and_customers_without_spend_stay(costs: Cells) -> None:
    assert cost(costs[JANUARY, "blended", "tv"]) == (10, 0, None, "no_new_customers")
    assert cost(costs[JANUARY, "blended", "unattributed"]) == (0, 1, 0, "zero_spend")
    assert cost(costs[JANUARY, "paid", "mail"]) == (0, 0, None, "no_new_customers")


def test_missing_spend_is_not_zero_spend(costs: Cells) -> None:
    assert cost(costs[FEBRUARY, "blended", "all"]) == (None, 0, None, "spend_missing")
    assert cost(costs[MARCH, "blended", "search"]) == (0, 1, 0, "zero_spend")
    assert cost(costs[MARCH, "blended", "all"]) == (30, 1, 30, "ok")
    assert cost(costs[APRIL, "blended", "mail"]) == (None, 1, None, "spend_missing")  # a tool, but no media
    assert cost(costs[APRIL, "fully_loaded", "mail"]) == (8, 1, 8, "ok")
    assert cost(costs[APRIL, "fully_loaded", "search"]) == (None, 0, None, "spend_missing")
    assert cost(costs[APRIL, "fully_loaded", "all"]) == (8, 1, 8, "ok")  # nobody came through search, which has ended
    assert {row.is_final for (month, *_), row in costs.items() if month == MAY} == {False}
    assert {row.is_final for (month, *_), row in costs.items() if month != MAY} == {True}


def test_channels_add_up_to_all_to_the_cent(costs: Cells) -> None:
    for (month, kind, channel), total in costs.items():
        if channel == "all":
            parts = [row for (m, k, c), row in costs.items() if (m, k) == (month, kind) and c != "all"]
            assert len(parts) == 4
            assert sum(row.new_customer_count for row in parts) == total.new_customer_count
            assert total.spend_amount is not None or {row.spend_amount for row in parts} == {None}
            assert sum((row.spend_amount or 0) for row in parts) == (total.spend_amount or 0)
    assert sum(row.new_customer_count for (_, k, c), row in costs.items() if (k, c) == ("blended", "all")) == 5


def test_without_a_source_every_month_is_missing(spark: SparkSession) -> None:
    rows = acquisition_costs(new_customers(customers(spark)), None, AS_OF).collect()
    assert {(row.cac_status, row.spend_amount, row.cac_amount) for row in rows} == {("spend_missing", None, None)}
    assert {row.period_month for row in rows} == {JANUARY, FEBRUARY, MARCH, APRIL, MAY}


def test_value_and_cost_are_of_the_same_cohort(economics: Cells) -> None:
    row = economics[JANUARY, "paid", "search"]
    assert (row.customer_count, row.historic_clv_avg, row.predicted_clv_avg, row.clv_amount) == (2, 60, 30, 90)
    assert (row.clv_basis, row.clv_horizon_days, row.clv_status) == ("contribution_margin", 365, "ok")
    assert row.cac_amount == Decimal("30.005")
    assert (row.ltv_to_cac_ratio, row.ratio_status) == (Decimal("2.99950008"), "ok")  # 90 / 30.005
    assert row.monthly_value_per_customer == Decimal("15.21875")  # 120 x 30.4375 / 240 days
    assert (row.simple_payback_months, row.simple_payback_status) == (Decimal("1.97158111"), "ok")  # 30.005 / 15.21875
    assert (row.max_allowable_cac_amount, row.max_cac_status) == (30, "cap_month_not_observed")
    # The predictions have no variance, so the ends are those of the mean: 60 and 60 on top of 120.
    assert (row.clv_lower_amount, row.clv_upper_amount, row.clv_interval_status) == (90, 90, "mean_only")
    total = economics[JANUARY, "blended", "all"]
    assert (total.customer_count, total.clv_amount) == (3, Decimal("64.33333333"))


def test_each_kind_of_cost_has_its_break_even(economics: Cells) -> None:
    # January's search customers earned 120 with their first orders: media cost 60.01, everything 80.01.
    found = {kind: economics[JANUARY, kind, "search"] for kind in ("paid", "fully_loaded")}
    assert {kind: row.cac_amount for kind, row in found.items()} == {
        "paid": Decimal("30.005"),
        "fully_loaded": Decimal("40.005"),
    }
    assert {(r.cac_payback_months, r.break_even_month, r.payback_status) for r in found.values()} == {
        (0, JANUARY, "ok")
    }
    assert {(r.first_order_margin_amount, r.is_first_order_profitable) for r in found.values()} == {(60, True)}
    free, nobody = economics[JANUARY, "blended", "unattributed"], economics[JANUARY, "blended", "tv"]
    assert (free.cac_payback_months, free.payback_status) == (0, "zero_cac")
    assert (nobody.cac_payback_months, nobody.payback_status, nobody.observed_months) == (None, "cac_unknown", 4)
    loss = economics[MARCH, "blended", "all"]
    assert (loss.cac_payback_months, loss.payback_status, loss.observed_months) == (None, "not_reached", 2)
    assert economics[APRIL, "fully_loaded", "mail"].payback_status == "ok"


def test_undefined_economics_have_a_status(economics: Cells) -> None:
    free = economics[JANUARY, "blended", "unattributed"]
    assert (free.ltv_to_cac_ratio, free.ratio_status) == (None, "zero_cac")
    assert (free.simple_payback_months, free.simple_payback_status) == (0, "zero_cac")
    nobody = economics[JANUARY, "blended", "tv"]
    assert (nobody.customer_count, nobody.clv_amount, nobody.clv_status) == (0, None, "no_customers")
    assert (nobody.ratio_status, nobody.simple_payback_status, nobody.max_cac_status) == (
        "cac_unknown",
        "cac_unknown",
        "value_unknown",
    )
    assert nobody.clv_basis == "contribution_margin"
    loss = economics[MARCH, "blended", "all"]
    assert (loss.clv_amount, loss.ltv_to_cac_ratio, loss.ratio_status) == (-3, Decimal("-0.1"), "ok")
    assert (loss.simple_payback_months, loss.simple_payback_status) == (None, "no_value")
    assert (loss.max_allowable_cac_amount, loss.max_cac_status) == (0, "unprofitable")
    past = economics[APRIL, "fully_loaded", "mail"]
    assert (past.clv_amount, past.predicted_clv_avg, past.clv_status) == (40, None, "historic_only")


def test_one_unknown_value_makes_the_cohort_unknown(spark: SparkSession) -> None:
    bought = [("a", MAY, "search", 10, 5), ("b", MAY, "search", None, 5)]
    metrics = customers(spark, bought)
    costs = acquisition_costs(new_customers(metrics), spend(spark), AS_OF)
    activity = activity_of(months(spark, bought), placed=placed(metrics), as_of=AS_OF)
    found = unit_economics(activity, placed(metrics), None, costs, ECONOMICS, 0.95, AS_OF)
    row = cells(found, "cohort_month")[MAY, "blended", "search"]
    assert (row.customer_count, row.historic_clv_avg, row.clv_amount, row.clv_status) == (
        2,
        None,
        None,
        "value_unknown",
    )
    assert (row.max_allowable_cac_amount, row.max_cac_status) == (None, "value_unknown")


def test_customers_are_not_fanned_out(economics: Cells) -> None:
    for kind in ("blended", "paid", "fully_loaded"):
        counts = [row.customer_count for (_, k, c), row in economics.items() if k == kind and c == "all"]
        parts = [row.customer_count for (_, k, c), row in economics.items() if k == kind and c != "all"]
        assert sum(counts) == sum(parts) == len(CUSTOMERS)
