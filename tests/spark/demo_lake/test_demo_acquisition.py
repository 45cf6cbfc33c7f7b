"""Published cost of acquisition is the truth of the demo: by channel, campaign and segment, and by credits."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.demo.parameters import DemoParameters
from clv_lib.lake import register_views

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MAXIMUM_NEXT_QUARTER = """
select channel, max(max_allowable_cac_amount) as maximum_cac, max(max_allowable_cac_conservative_amount) as low_end,
       max(max_cac_status) as status
from marketing_budgets
where period_month between date '2025-07-01' and date '2025-09-01'
group by channel order by channel
"""


@pytest.fixture
def views(spark: SparkSession, published: Any) -> SparkSession:
    """The session with a view of every published table."""
    register_views(published.demo.lake, published.outcome.publication)
    return spark


def totals(views: SparkSession, level: str) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    """Spend and new customers over all months, fully loaded, without a lag, by model and place."""
    place = ("attribution_model", "channel", "campaign_name", "segment_id")
    rows = views.sql(
        f"select {', '.join(place)}, coalesce(sum(spend_amount), 0) as spend, sum(new_customer_count) as customers"
        f" from acquisition_costs where level = '{level}' and cac_type = 'fully_loaded' and lag_months = 0"
        f" group by {', '.join(place)}"
    ).collect()
    return {tuple(row[name] for name in place): (row.spend, row.customers) for row in rows}


def test_cost_of_each_channel_and_campaign_is_the_truth_by_every_model(published: Any, views: SparkSession) -> None:
    truth = published.acquisition_truth
    models = {"declared_else_first_order": truth.declared, **truth.credits}
    campaigns, channels = totals(views, "campaign"), totals(views, "channel")
    assert {model for model, *_ in campaigns} == set(models) == {"declared_else_first_order", "first_touch", "linear"}
    for model, customers in models.items():
        found = {(channel, name): cell for (m, channel, name, _), cell in campaigns.items() if m == model}
        assert set(found) == {
            place for place in {*truth.spend, *customers} if customers.get(place) or place in truth.spend
        }
        for place, (spend, count) in found.items():
            assert spend == truth.spend.get(place, 0), place
            assert abs(Fraction(count) - customers.get(place, 0)) < Fraction(1, 10**5), place
        for name in {channel for channel, _ in found}:
            spend = sum(amount for (channel, _), amount in truth.spend.items() if channel == name)
            credited = sum(credit for (channel, _), credit in customers.items() if channel == name)
            assert channels[model, name, "all", "all:all"][0] == spend
            assert abs(Fraction(channels[model, name, "all", "all:all"][1]) - credited) < Fraction(1, 10**5)


def test_doubtful_credits_are_quarantined(published: Any, views: SparkSession) -> None:
    rows = views.table("quarantined_rows").where("source_name = 'customer_acquisitions'").collect()
    assert len(rows) == published.acquisition_truth.quarantined_rows > 0
    assert {tuple(row.reasons) for row in rows} == {("credits_do_not_sum_to_1",)}


def test_media_of_a_customer_type_costs_its_customers(published: Any, views: SparkSession) -> None:
    """Media campaigns name their customer type; by region all spend is allocated."""
    truth = published.acquisition_truth
    by_segment = {key[3]: cell for key, cell in totals(views, "segment").items() if key[0].startswith("declared")}
    rows = views.sql(
        "select segment_id, sum(spend_amount - allocated_amount) as direct from acquisition_costs"
        " where level = 'segment' and is_primary and cac_type = 'fully_loaded' group by segment_id"
    ).collect()
    direct = {row.segment_id: row.direct for row in rows}
    for kind in ("b2b", "b2c"):
        media = sum(amount for (_, name), amount in truth.spend.items() if name.endswith(f"_{kind}"))
        assert direct[f"customer_type:{kind}"] == media
        customers = published.truth.customers
        assert by_segment[f"customer_type:{kind}"][1] == int((customers["customer_type"] == kind).sum())
    whole = sum(truth.spend.values())
    for kind in ("customer_type", "region"):
        assert sum(spend for name, (spend, _) in by_segment.items() if name.startswith(f"{kind}:")) == whole
    assert {amount for name, amount in direct.items() if name.startswith("region:")} <= {0, None}


def test_spend_of_a_lag_is_that_of_the_month_before(views: SparkSession) -> None:
    rows = views.sql(
        "select now.spend_amount as here, before.spend_amount as there from acquisition_costs now"
        " join acquisition_costs before using (cac_type, channel, campaign_name, segment_id, attribution_model)"
        " where now.level = 'channel' and now.lag_months = 1 and before.lag_months = 0"
        " and now.period_month = add_months(before.period_month, 1)"
    ).collect()
    assert len(rows) > 100 and all(row.here == row.there for row in rows)


def test_the_months_without_rows_of_spend_are_missing_and_those_with_a_recorded_0_are_not(views: SparkSession) -> None:
    rows = views.sql(
        "select channel, date_format(period_month, 'yyyy-MM') as month, cac_status, payback_status, ratio_status"
        " from acquisition_costs costs join unit_economics economics using (cac_type, channel, segment_id, level)"
        " where period_month = cohort_month and is_primary and cac_type = 'fully_loaded' and level <> 'segment'"
    ).collect()
    found = {(row.channel, row.month): row for row in rows}
    channels = DemoParameters().channels
    missing = {(channel.name, month) for channel in channels for month in channel.missing_months}
    paused = {(channel.name, month) for channel in channels for month in channel.paused_months}
    assert {key for key, row in found.items() if row.cac_status == "spend_missing"} == missing == {("email", "2023-05")}
    assert {key for key, row in found.items() if row.cac_status == "spend_incomplete"} == {("all", "2023-05")}
    for key in (*missing, ("all", "2023-05")):
        assert (found[key].payback_status, found[key].ratio_status) == ("cac_unknown", "cac_unknown"), key
    assert len(paused) == 3
    assert {found[key].cac_status for key in paused} <= {"zero_spend", "no_new_customers"}
    assert {row.cac_status for (channel, _), row in found.items() if channel == "referral"} <= {
        "zero_spend",
        "no_new_customers",
    }


def test_maximum_cac_of_the_next_quarter_is_one_query(published: Any, views: SparkSession) -> None:
    rows = {row.channel: row for row in views.sql(_MAXIMUM_NEXT_QUARTER).collect()}
    assert set(rows) == {"all", *published.truth.channels}
    known = [row for row in rows.values() if row.status in ("ok", "cap_month_not_observed")]
    assert len(known) >= 4
    assert all(0 < row.low_end <= row.maximum_cac < 2_000 for row in known)


def test_a_payback_that_was_not_reached_has_a_forecast(views: SparkSession) -> None:
    rows = views.table("unit_economics").where("payback_status = 'not_reached'").collect()
    assert {row.forecast_payback_status for row in rows} <= {"ok", "beyond_horizon"}
    found = [row for row in rows if row.forecast_payback_status == "ok"]
    assert found
    for row in found:
        assert row.forecast_payback_months >= row.observed_months - 1
        assert (row.forecast_payback_months_lower or 0) <= row.forecast_payback_months
        assert (
            row.forecast_payback_months_upper is None
            or row.forecast_payback_months <= row.forecast_payback_months_upper
        )
