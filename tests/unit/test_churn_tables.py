"""Rows of order_gaps, customer_survival and segment_churn from counted spells, worked out by hand; no Spark."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clv_lib.contracts.churn import CUSTOMER_SURVIVAL, ORDER_GAPS, SEGMENT_CHURN
from clv_lib.contracts.types import Table
from clv_lib.metrics.order_gaps import Spells, order_gaps, spells_by_segment
from clv_lib.metrics.segment_churn import segment_churn
from clv_lib.metrics.survival import customer_survival, lifetime_figures
from clv_lib.settings.models import Churn

AS_OF = dt.date(2024, 12, 10)
CHURN = Churn(inactivity_days=60, gap_quantile=0.75, minimum_gap_count=3, lifetime_cap_months=12)
COLUMNS = ["segment_id", "spell_kind", "days", "ended_count", "open_count"]
COUNTS = [
    # Ten first gaps, of which four ended: the curve falls to 8/10, 7/10 and, without the open four, to 7/10 x 2/3.
    ("all:all", "first", 10, 2, 0),
    ("all:all", "first", 20, 1, 4),
    ("all:all", "first", 30, 1, 1),
    ("all:all", "first", 70, 0, 1),
    # Eight later gaps, all but one ended within 12 days.
    ("all:all", "later", 5, 4, 0),
    ("all:all", "later", 12, 3, 0),
    ("all:all", "later", 90, 0, 1),
    ("all:all", "lifetime", 30, 0, 4),
    ("all:all", "lifetime", 100, 1, 0),
    ("all:all", "lifetime", 200, 0, 2),
    ("kind:a:b", "first", 0, 0, 1),
    ("kind:a:b", "lifetime", 0, 0, 1),
    ("kind:few", "first", 3, 1, 0),
    ("kind:few", "later", 61, 0, 1),
    ("kind:few", "lifetime", 60, 0, 1),
]

Rows = dict[tuple[Any, ...], dict[str, Any]]


def spells() -> dict[str, dict[str, Spells]]:
    return spells_by_segment(pd.DataFrame(COUNTS, columns=COLUMNS).sample(frac=1, random_state=1))


@pytest.fixture(scope="module")
def gaps() -> list[dict[str, Any]]:
    return order_gaps(spells(), CHURN, AS_OF)


def pick(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def keyed(table: Table, rows: list[dict[str, Any]]) -> Rows:
    """By the table's key; each row has every column but the metrics, which Spark adds."""
    assert all(set(row) == set(table.columns) - {metric.name for metric in table.metrics} for row in rows)
    found = {tuple(row[name] for name in table.key): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_gaps_are_longer_than_closed_ones_alone_say(gaps: list[dict[str, Any]]) -> None:
    rows = keyed(ORDER_GAPS, gaps)
    names = ("gap_status", "gap_days", "closed_gap_days", "closed_gap_count", "open_gap_count", "longest_gap_days")
    assert pick(rows["all:all", "first", 0.75], *names) == ("not_reached", None, 20, 4, 6, 70)
    assert rows["all:all", "first", 0.75]["last_survival"] == pytest.approx(7 / 15)
    assert pick(rows["all:all", "first", 0.5], *names) == ("ok", 30, 10, 4, 6, 70)
    assert pick(rows["all:all", "later", 0.75], *names) == ("ok", 12, 12, 7, 1, 90)
    assert pick(rows["all:all", "all", 0.75], *names[3:]) == (11, 7, 90)
    quantiles = [row["quantile"] for row in gaps if row["segment_id"] == "all:all" and row["gap_kind"] == "all"]
    assert quantiles == [0.5, 0.75, 0.8, 0.9]
    assert {row["quantile"] for row in gaps if row["is_rule"]} == {0.75}


def test_customers_are_overdue_beyond_the_quantile_only(gaps: list[dict[str, Any]]) -> None:
    rows = keyed(ORDER_GAPS, gaps)
    names = ("judged_customer_count", "overdue_customer_count")
    assert pick(rows["all:all", "later", 0.75], *names) == (1, 1)
    assert pick(rows["all:all", "first", 0.5], *names) == (6, 1)  # 30 days are not more than 30
    assert pick(rows["all:all", "first", 0.75], *names) == (0, None)


def test_too_few_gaps_and_none_have_no_quantile(gaps: list[dict[str, Any]]) -> None:
    rows = keyed(ORDER_GAPS, gaps)
    names = ("segment_type", "segment_name", "gap_status", "gap_days", "closed_gap_days", "longest_gap_days")
    assert pick(rows["kind:a:b", "first", 0.75], *names) == ("kind", "a:b", "no_gaps", None, None, 0)
    assert pick(rows["kind:a:b", "later", 0.75], *names) == ("kind", "a:b", "no_gaps", None, None, None)
    assert pick(rows["kind:few", "all", 0.75], *names) == ("kind", "few", "too_few", None, None, 61)


def test_survival_by_age_counts_who_is_at_risk() -> None:
    rows = keyed(CUSTOMER_SURVIVAL, customer_survival(spells(), 0.95, AS_OF))
    ages = [age for segment, age in rows if segment == "all:all"]
    assert ages == [0, 1, 2, 3, 4, 5, 6]  # 200 days
    names = ("survival", "at_risk_count", "churned_count", "censored_count")
    found = {age: pick(rows["all:all", age], *names) for age in ages}
    assert found[0] == (1, 7, 0, 0)
    assert found[1] == (1, 7, 0, 4)
    assert found[3] == (1, 3, 0, 0)
    assert found[4] == (pytest.approx(2 / 3), 3, 1, 0)  # 100 days are in the fourth month
    assert found[6] == (pytest.approx(2 / 3), 2, 0, 0)
    assert pick(rows["all:all", 3], "survival_lower", "survival_upper") == (None, None)
    assert 0 < rows["all:all", 4]["survival_lower"] < 2 / 3 < rows["all:all", 4]["survival_upper"] < 1
    assert pick(rows["kind:a:b", 0], *names) == (1, 1, 0, 1)


def test_three_definitions_stand_side_by_side(gaps: list[dict[str, Any]]) -> None:
    predicted: Any = {"all:all": {"predicted": 7, "probability": Decimal("1.5")}, "kind:few": {"predicted": 0}}
    expected: Any = {"all:all": {"expected_lifetime_months": Decimal(9), "lifetime_status": "ok"}}
    rows = keyed(SEGMENT_CHURN, segment_churn(spells(), gaps, predicted, expected, CHURN, AS_OF))
    total, young, few = rows[("all:all",)], rows[("kind:a:b",)], rows[("kind:few",)]
    assert pick(total, "customer_count", "fixed_rule_churned_customer_count") == (7, 2)
    assert pick(few, "customer_count", "fixed_rule_churned_customer_count") == (1, 1)
    rule = ("first_gap_days", "later_gap_days", "judged_customer_count", "churned_customer_count", "status")
    by_quantile = [f"quantile_rule_{name}" for name in rule]
    assert pick(total, *by_quantile) == (None, 12, 1, 1, "partly_judged")
    assert pick(young, *by_quantile) == (None, None, 0, None, "no_rule")
    model = ("model_predicted_customer_count", "model_churn_probability_sum", "model_status")
    assert pick(total, *model) == (7, Decimal("1.5"), "ok")
    assert pick(few, *model) == pick(young, *model) == (0, None, "not_predicted")
    assert pick(total, "expected_lifetime_months", "lifetime_status") == (9, "ok")
    assert pick(few, "expected_lifetime_months", "lifetime_status") == (None, None)


def test_a_model_that_leaves_members_out_says_so(gaps: list[dict[str, Any]]) -> None:
    predicted: Any = {"all:all": {"predicted": 5, "probability": Decimal("1.5")}}
    total = keyed(SEGMENT_CHURN, segment_churn(spells(), gaps, predicted, {}, CHURN, AS_OF))[("all:all",)]
    model = ("customer_count", "model_predicted_customer_count", "model_churn_probability_sum", "model_status")
    assert pick(total, *model) == (7, 5, Decimal("1.5"), "partly_predicted")


def lifetimes(*spells_of_length: tuple[int, int, int]) -> Spells:
    return Spells(*(np.array(column, dtype=float) for column in zip(*spells_of_length, strict=True)))


def test_lifetimes_are_restricted_to_what_was_seen() -> None:
    found = lifetime_figures(spells()["all:all"]["lifetime"], CHURN)
    assert found["restricted_mean_status"] == "observed_age_only"
    assert found["restricted_to_months"] == pytest.approx(200 / 30.4375)
    assert found["restricted_mean_months"] == pytest.approx((100 + 100 * 2 / 3) / 30.4375)
    median = ("median_lifetime_months", "median_lifetime_months_upper", "median_lifetime_status")
    assert pick(found, *median) == (None, None, "not_reached")
    assert found["median_lifetime_months_lower"] == pytest.approx(100 / 30.4375)
    assert pick(found, "survival_12_months", "survival_12_months_status") == (None, "not_observed")
    early = ("early_churned_customer_count", "early_exposure_days", "late_exposure_days", "hazard_status")
    assert pick(found, *early) == (1, 41 + 2 * 141, 0, "early_only")


def test_lifetimes_up_to_the_cap() -> None:
    found = lifetime_figures(lifetimes((100, 6, 0), (800, 2, 0), (900, 0, 2)), CHURN)
    assert pick(found, "restricted_mean_status", "restricted_to_months") == ("ok", 12)
    assert found["restricted_mean_months"] == pytest.approx((100 + 265.25 * 0.4) / 30.4375)
    assert found["median_lifetime_months"] == pytest.approx(100 / 30.4375)
    assert pick(found, "survival_12_months", "survival_24_months") == (pytest.approx(0.4), pytest.approx(0.4))
    # At risk from day 60 on, on early days up to day 424.
    names = ("early_churned_customer_count", "early_exposure_days", "late_churned_customer_count", "late_exposure_days")
    assert pick(found, *names, "hazard_status") == (6, 6 * 41 + 4 * 365, 2, 2 * 376 + 2 * 476, "ok")


def test_customers_of_today_and_customers_who_all_left() -> None:
    today = lifetime_figures(lifetimes((0, 0, 3)), CHURN)
    names = ("restricted_mean_months", "restricted_to_months", "restricted_mean_status", "hazard_status")
    assert pick(today, *names) == (None, 0, "not_observed", "not_observed")
    gone = lifetime_figures(lifetimes((400, 5, 0)), CHURN)
    assert pick(gone, "survival_12_months", "survival_12_months_lower", "restricted_mean_months") == (1, None, 12)
    assert pick(gone, "median_lifetime_status", "survival_24_months", "survival_24_months_status") == ("ok", 0, "ok")
    assert pick(lifetime_figures(lifetimes((100, 5, 0)), CHURN), *names[:3]) == (100 / 30.4375, 12, "ok")
