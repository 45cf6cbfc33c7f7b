"""The published recurring revenue of the demo data is the truth from which the data was drawn, month by month."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F
from scipy.stats import beta, binomtest

from clv_lib.demo import DemoParameters
from clv_lib.lake import register_views

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def views(spark: SparkSession, published: Any) -> SparkSession:
    """The session with a view of every published table."""
    register_views(published.demo.lake, published.outcome.publication)
    return spark


def test_mrr_of_all_customers_is_the_truth_of_each_month(published: Any, views: SparkSession) -> None:
    months = published.truth.recurring.months
    assert len(months) >= 24
    rows = views.table("mrr_metrics").where("segment_id = 'all:all'").select(*months.columns).collect()
    found = {row.period_month: row.asDict() for row in rows}
    assert len(found) == len(rows)
    assert found == {row["period_month"]: row for row in months.to_dict("records")}


def test_each_movement_of_a_customer_is_the_true_one(published: Any, views: SparkSession) -> None:
    movements = published.truth.recurring.movements
    rows = views.table("mrr_movements").where("movement_type <> 'none'").select(*movements.columns).collect()
    assert len(rows) == len(movements) > 30
    assert {tuple(row) for row in rows} == set(movements.itertuples(index=False, name=None))


def test_published_churn_is_that_of_the_parameters(published: Any, views: SparkSession) -> None:
    total = views.table("mrr_metrics").where("segment_id = 'all:all' and is_final")
    cancelled = F.col("voluntary_churned_customer_count") + F.col("involuntary_churned_customer_count")
    row = total.agg(F.sum(cancelled).alias("lost"), F.sum("customer_count_start").alias("at_risk")).collect()[0]
    interval = binomtest(row.lost, row.at_risk).proportion_ci(0.95, method="wilson")
    assert row.at_risk > 300
    assert interval.low <= published.truth.recurring.monthly_churn_rate <= interval.high


def test_faulty_periods_are_quarantined_each_for_its_own_reason(published: Any, views: SparkSession) -> None:
    faults = dict(published.truth.recurring.rows_by_fault)
    accepted = faults.pop("accepted")
    rows = views.table("quarantined_rows").where("source_name = 'subscriptions'").collect()
    assert Counter(tuple(row.reasons) for row in rows) == {(name,): count for name, count in faults.items()}
    assert views.table("subscription_periods").count() == accepted


def test_lifetimes_are_those_of_the_movements_and_end_at_the_true_rate(published: Any, views: SparkSession) -> None:
    kinds = Counter(published.truth.recurring.movements["movement_type"])
    [row] = views.table("contract_retention").where("segment_id = 'all:all'").collect()
    assert row.lifetime_count == kinds["new"] + kinds["reactivation"]
    assert (row.lost_count, row.subscriber_count) == (kinds["churn"], row.lifetime_count - kinds["churn"])
    assert row.mrr_amount == published.truth.recurring.months["mrr_end"].iloc[-1]
    rates = DemoParameters().subscriptions
    # Who pauses pays nothing: the lifetime ends as if by churn.
    truth = published.truth.recurring.monthly_churn_rate + rates.pause_rate
    interval = binomtest(row.lost_count, row.renewal_count).proportion_ci(0.95, method="wilson")
    assert interval.low <= truth <= interval.high
    mean, spread = rates.monthly_churn_rate, rates.churn_concentration or 0.0
    chances = beta(mean * spread, (1 - mean) * spread)
    left = chances.expect(lambda chance: (1 - chance - rates.pause_rate) ** 12)
    assert row.fit_status == "converged" and row.survival_12m == pytest.approx(left, abs=0.12)
    # Churn falls with age, which the formula does not see.
    assert row.new_subscriber_clv_amount > row.simple_discounted_clv_amount
    small = views.table("contract_retention").where("lifetime_count < 30").collect()
    assert small and {one.clv_status for one in small} == {"no_model"}
