"""The documented queries over a published lake: each has rows, and those that decide a budget say what they should."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.lake import register_views

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

ROOT = Path(__file__).resolve().parents[3]


def documented(page: str) -> list[str]:
    """The SQL blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```sql\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


README, MORE = documented("README.md"), documented("docs/queries.md")


@pytest.fixture
def views(spark: SparkSession, published: Any) -> SparkSession:
    """The session with a view of every published table."""
    register_views(published.demo.lake, published.outcome.publication)
    return spark


@pytest.mark.parametrize("number", range(len(MORE)))
def test_each_query_of_the_page_has_rows(views: SparkSession, number: int) -> None:
    assert not views.sql(MORE[number]).isEmpty()


def test_the_budget_queries_agree_with_the_truth(published: Any, views: SparkSession) -> None:
    valuable, churn, cost, maximum, revenue = (views.sql(query).collect() for query in README)
    _shares_are_whole(valuable)
    rated = [row for row in churn if row.churn_rate_12m is not None]
    assert rated and all(row.churn_rate_12m_lower <= row.churn_rate_12m <= row.churn_rate_12m_upper for row in rated)
    _costs_are_those_of_the_truth(cost, published.truth)
    _costs_come_back_as_the_cohorts_say(cost, views)
    assert {row.period_month.month for row in maximum} == {7, 8, 9}
    known = [row for row in maximum if row.max_allowable_cac_conservative_amount is not None]
    assert known and all(row.max_allowable_cac_conservative_amount <= row.max_allowable_cac_amount for row in known)
    whole = {row.segment_type: row.expected_net_amount for row in revenue if row.segment_type == "all"}["all"]
    by_channel = sum(row.expected_net_amount for row in revenue if row.segment_type == "channel")
    assert by_channel == whole > 0
    assert all(
        row.net_lower_80 <= float(row.expected_net_amount) <= row.net_upper_80 for row in revenue if row.net_lower_80
    )


def _shares_are_whole(rows: list[Row]) -> None:
    for kind in {row.segment_type for row in rows}:
        shares = [row for row in rows if row.segment_type == kind]
        assert sum(row.customer_share for row in shares) == pytest.approx(Decimal(1), abs=Decimal("0.000001"))
        assert sum(row.value_share for row in shares) == pytest.approx(Decimal(1), abs=Decimal("0.000001"))


def _costs_come_back_as_the_cohorts_say(rows: list[Row], views: SparkSession) -> None:
    """Ratios of sums, and a median in which a cohort that has not paid back yet is slower than those that have."""
    cohorts = views.sql(
        "select * from unit_economics where cac_type = 'fully_loaded' and observed_months >= 6"
    ).collect()
    for row in rows:
        own = [one for one in cohorts if one.channel == row.channel and one.level in ("all", "channel")]
        valued = [one for one in own if one.clv_total_amount is not None or not one.customer_count]
        spent = [one for one in valued if one.spend_amount is not None]
        value, spend = (sum(one[name] or 0 for one in spent) for name in ("clv_total_amount", "spend_amount"))
        known = [one for one in spent if one.customer_count]
        unknown = [one for one in own if one.customer_count and one not in known]
        assert row.ltv_to_cac == (pytest.approx(value / spend, rel=Decimal("1e-4")) if spend else None), row.channel
        paid = sorted(one.cac_payback_months for one in known if one.cac_payback_months is not None)
        counts = (row.cohorts, row.unknown_cohorts, row.cohorts_paid_back)
        assert counts == (len(known) + len(unknown), len(unknown), len(paid)), row.channel
        half = (len(known) + 1) // 2
        assert row.median_payback_months == (paid[half - 1] if len(paid) >= half else None), row.channel
        reached = [one.break_even_month for one in known if one.break_even_month is not None]
        assert row.latest_break_even_month == max(reached, default=None), row.channel
    assert any(row.cohorts_paid_back < row.cohorts for row in rows if row.channel != "all")


def _costs_are_those_of_the_truth(rows: list[Row], truth: Any) -> None:
    """Of cohorts that are half a year old: their customers exactly, their cost near that of the whole history."""
    found = {row.channel: row for row in rows}
    first_orders = truth.customers["first_order_date"].map(lambda day: f"{day:%Y-%m}")
    assert int(found["all"].customers) == int((first_orders <= "2025-01").sum())
    assert sum(row.customers for row in rows if row.channel != "all") == found["all"].customers
    costly = {name: channel.cac_amount for name, channel in truth.channels.items() if channel.cac_amount}
    assert len(costly) >= 4
    for name, cost in costly.items():
        assert float(found[name].cac) == pytest.approx(float(cost), rel=0.25), name
