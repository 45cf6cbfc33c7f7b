"""A whole run over demo data whose truth is known: what is published, and that the same run again does nothing."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from clv_lib.contracts import PUBLISHED_TABLES
from clv_lib.contracts.control import PIPELINE_RUNS
from clv_lib.contracts.identities import IDENTITIES
from clv_lib.contracts.types import Table
from clv_lib.lake import register_views
from clv_lib.pipeline import run_all
from clv_lib.quality.profile import structure_faults
from clv_lib.steps import STEPS

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

NOW = dt.datetime(2025, 7, 1, 6, tzinfo=dt.timezone.utc)
DAYS_PER_MONTH = Fraction("30.4375")


@pytest.fixture
def views(spark: SparkSession, published: Any) -> SparkSession:
    """The session with a view of every published table."""
    register_views(published.demo.lake, published.outcome.publication)
    return spark


def commits(lake: str) -> dict[str, int]:
    """Commits of every table of a lake."""
    return {str(log): len(list(log.glob("*.json"))) for log in sorted(Path(lake).glob("*/*/_delta_log"))}


def test_a_run_goes_through_every_step_and_publishes_itself(published: Any) -> None:
    outcome = published.outcome
    assert outcome.status == "published"
    assert [step.name for step in outcome.progress.steps] == list(STEPS)
    assert outcome.publication.snapshot_id == outcome.run.run_id
    assert outcome.publication.sequence == 1 and outcome.publication.previous_snapshot_id is None
    row = published.demo.lake.read_rows(PIPELINE_RUNS).collect()[0]
    assert (row.run_id, row.status, row.as_of_date) == (outcome.run.run_id, "published", published.demo.as_of)


def test_a_warning_publishes_and_is_shown(published: Any, views: SparkSession) -> None:
    assert published.outcome.verdict.status == "warned"
    warned = [result.expectation.label for result in published.outcome.verdict.warnings]
    assert any("refunds_warn_quarantined_ppm" in label for label in warned)
    assert all(any(label in note for note in published.outcome.progress.notes) for label in warned)
    shown = views.table("data_quality_results").where("not is_success").collect()
    assert {row.severity for row in shown} == {"warning"} and len(shown) == len(warned)


def test_every_published_table_has_rows_and_fits_its_contract(views: SparkSession) -> None:
    for table in PUBLISHED_TABLES:
        view = views.table(table.name)
        assert list(view.columns) == list(table.read_schema)
        assert structure_faults(view.select(*table.columns).schema, table) == []
        assert view.limit(1).count() == 1, f"{table.name} is empty"


def test_every_identity_was_judged_and_holds(views: SparkSession) -> None:
    rows = views.table("data_quality_results").where("is_success").select("expectation", "unexpected_count").collect()
    judged = {row.expectation: row.unexpected_count for row in rows}
    assert {identity.name: judged.get(identity.name) for identity in IDENTITIES} == {one.name: 0 for one in IDENTITIES}


def test_orders_customers_and_money_are_those_of_the_truth(published: Any, views: SparkSession) -> None:
    truth = published.truth
    orders = views.table("customer_orders")
    by_currency = orders.groupBy("currency_code").agg(F.sum("net_amount_original")).collect()
    expected = {code: money["gross_amount"] - money["discount_amount"] for code, money in truth.accepted_money.items()}
    assert {row[0]: row[1] for row in by_currency} == expected
    totals = orders.agg(F.count("*"), F.sum(F.col("net_amount") + F.col("refund_amount"))).collect()[0]
    assert totals[0] == truth.accepted_orders
    # Each order is rounded to 0.0001 once for its gross amount and once for its discount.
    assert abs(totals[1] - truth.accepted_net_amount) <= Decimal("0.0001") * truth.accepted_orders
    refunds = views.table("customer_refunds").groupBy("currency_code").agg(F.sum("refund_amount_original")).collect()
    expected = {code: money["refund_amount"] for code, money in truth.accepted_refund_money.items()}
    assert {row[0]: row[1] for row in refunds} == expected
    assert views.table("customer_refunds").count() == truth.accepted_refunds


def test_each_customer_has_the_orders_and_days_of_the_truth(published: Any, views: SparkSession) -> None:
    rows = views.table("customer_metrics").collect()
    found = {
        row.customer_id: (
            row.lifetime_order_count,
            row.lifetime_occasion_count,
            row.first_order_date,
            row.last_order_date,
        )
        for row in rows
    }
    truth = published.truth.customers.itertuples()
    assert found == {
        row.customer_id: (row.order_count, row.purchase_day_count, row.first_order_date, row.last_order_date)
        for row in truth
    }


def test_every_injected_fault_is_accounted_for(published: Any, views: SparkSession) -> None:
    rows = (
        views.table("conservation").groupBy("source_name", "disposition").agg(F.sum("row_count").alias("n")).collect()
    )
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        counts[row.source_name][row.disposition] = row.n
    for source, faults in (
        ("orders", published.truth.order_rows_by_fault),
        ("refunds", published.truth.refund_rows_by_fault),
    ):
        assert counts[source]["input"] == sum(faults.values())
        assert counts[source]["accepted"] == faults["accepted"]
    assert counts["orders"]["anonymous"] == published.truth.order_rows_by_fault["anonymous"]
    assert views.table("quarantined_rows").count() == sum(c.get("quarantined", 0) for c in counts.values())


def test_acquisition_cost_by_channel_is_exactly_the_truth(published: Any, views: SparkSession) -> None:
    rows = (
        views.table("acquisition_costs")
        .where("is_primary and level in ('all', 'channel')")
        .groupBy("cac_type", "channel")
        .agg(F.sum("new_customer_count").alias("new_customers"), F.sum("spend_amount").alias("spend"))
        .collect()
    )
    found = {(row.cac_type, row.channel): (row.new_customers, row.spend) for row in rows}
    for name, channel in published.truth.channels.items():
        assert found["fully_loaded", name] == (channel.new_customers, channel.spend_amount or 0)
        assert found["paid", name][1] == (channel.paid_spend_amount or 0)
        if channel.cac_amount is not None:
            new_customers, spend = found["fully_loaded", name]
            assert spend / new_customers == channel.cac_amount
    new_customers, spend = found["fully_loaded", "all"]
    assert spend / new_customers == published.truth.cac_amount


def test_segments_of_each_type_add_up_to_the_total(published: Any, views: SparkSession) -> None:
    sums = ("customer_count_end", "lifetime_customer_count", "lifetime_order_count", "lifetime_net_amount")
    latest = views.table("segment_metrics").where("is_latest")
    rows = latest.groupBy("segment_type").agg(*(F.sum(name).alias(name) for name in sums)).collect()
    assert len(rows) == 1 + len(published.demo.settings.segments)
    assert len({tuple(row[name] for name in sums) for row in rows}) == 1
    shares = latest.groupBy("segment_type").agg(F.sum("value_share").alias("share")).collect()
    assert all(abs(row.share - 1) < Decimal("0.000001") for row in shares)


def lifetime_of(months: list[Row], segment_id: str) -> Fraction:
    """Expected months of a segment's customers from its published counts of the last 12 complete months."""
    complete = sorted((row for row in months if row.segment_id == segment_id and row.is_final), key=_month)[-12:]
    started = sum(row.customer_count_start for row in complete)
    return Fraction(started, sum(row.churned_customer_count for row in complete))


def _month(row: Row) -> dt.date:
    month: dt.date = row.period_month
    return month


def test_formula_clv_is_the_product_of_its_parts(views: SparkSession) -> None:
    months = views.table("segment_metrics").collect()
    latest = [row for row in months if row.is_latest and row.lifetime_status == "ok"]
    assert len(latest) > 10
    for row in latest:
        customer_months = Fraction(row.exposure_days) / DAYS_PER_MONTH
        average_order_value = Fraction(row.lifetime_net_amount) / row.lifetime_order_count
        frequency = row.lifetime_order_count / customer_months
        lifetime = lifetime_of(months, row.segment_id)
        margin_rate = Fraction(row.lifetime_margin_amount) / Fraction(row.lifetime_net_amount)
        customer_value = Fraction(row.lifetime_net_amount) / customer_months
        product = average_order_value * frequency * lifetime * margin_rate
        assert product == customer_value * lifetime * margin_rate
        assert row.clv_basis == "contribution_margin"
        assert abs(Fraction(row.clv_formula_amount) - product) <= Fraction(1, 10**8)
        assert abs(Fraction(row.customer_value_amount) - customer_value) <= Fraction(1, 10**8)


def test_average_order_value_divided_by_frequency_is_not_customer_value(views: SparkSession) -> None:
    """Customer value times customer-months must give back the revenue; the quotient misses it by frequency squared."""
    row = views.table("segment_metrics").where("segment_id = 'all:all' and is_latest").collect()[0]
    customer_months = float(Fraction(row.exposure_days) / DAYS_PER_MONTH)
    value, frequency = float(row.lifetime_average_order_value), float(row.purchase_frequency)
    revenue = float(row.lifetime_net_amount)
    assert value * frequency * customer_months == pytest.approx(revenue, rel=1e-6)
    quotient = value / frequency
    assert quotient * customer_months == pytest.approx(revenue / frequency**2, rel=1e-6)
    assert frequency < 0.7 and quotient * customer_months > 2 * revenue
    assert float(row.customer_value_amount) == pytest.approx(value * frequency, rel=1e-6)


def test_a_prediction_exists_for_each_customer_and_horizon(published: Any, views: SparkSession) -> None:
    rows = views.table("customer_predictions").groupBy("horizon_days", "prediction_status").count().collect()
    horizons = published.demo.settings.predictions.horizons_days
    customers = published.truth.accepted_customers
    assert {(row.horizon_days, row.prediction_status): row["count"] for row in rows} == {
        (h, "ok"): customers for h in horizons
    }


def test_the_same_run_again_is_unchanged_and_writes_nothing(published: Any, views: SparkSession) -> None:
    before = commits(published.demo.lake.root)
    again = run_all(views, published.demo.settings, published.demo.as_of, clock=lambda: NOW)
    assert again.status == "unchanged" and again.verdict is None and again.progress.steps == []
    assert again.publication == published.outcome.publication
    assert commits(published.demo.lake.root) == before


def test_tables_stay_readable_for_old_readers(published: Any, spark: SparkSession) -> None:
    def reader_version(table: Table) -> int:
        detail = spark.sql(f"DESCRIBE DETAIL {published.demo.lake.reference(table)}").collect()[0]
        return int(detail.minReaderVersion)

    assert {table.name: reader_version(table) for table in PUBLISHED_TABLES} == {t.name: 1 for t in PUBLISHED_TABLES}
