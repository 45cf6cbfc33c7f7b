"""The published results of the demo's experiments cover the effects with which the data was drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.lake import register_views

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def views(spark: SparkSession, published: Any) -> SparkSession:
    """The session with a view of every published table."""
    register_views(published.demo.lake, published.outcome.publication)
    return spark


def test_intervals_of_the_total_cover_the_true_effect(published: Any, views: SparkSession) -> None:
    truth = published.truth.experiments["retention_coupon"]
    rows = views.table("experiment_results").where("experiment_id = 'retention_coupon'").collect()
    total = {row.metric: row for row in rows if row.segment_id == "all:all"}
    assert set(total) == {"net_revenue", "contribution_margin"}
    for row in total.values():
        assert (row.result_status, row.srm_status, row.best_estimate) == ("ok", "ok", "cuped")
        assert (row.variant, row.control_variant, row.outcome_months) == ("coupon", "control", 3)
        assert {"coupon": row.customer_count, "control": row.control_customer_count} == truth.customers
        assert row.conflicting_customer_count == truth.conflicting_customers
        for prefix in ("", "cuped_"):
            assert row[f"{prefix}relative_uplift_lower"] <= truth.uplift <= row[f"{prefix}relative_uplift_upper"]
        assert row.cuped_variance_reduction > 0.3
    revenue = total["net_revenue"]
    assert revenue.cuped_difference_lower_amount <= truth.effect_amount <= revenue.cuped_difference_upper_amount
    small = [row for row in rows if row.customer_count < 50]
    assert len(small) > 20 and {row.result_status for row in small} == {"too_few_customers"}
    assert {row.segment_type for row in rows} == {"all", "channel", "cohort", "customer_type", "industry", "region"}


def test_an_experiment_whose_months_are_not_over_has_no_result(published: Any, views: SparkSession) -> None:
    truth = published.truth.experiments["free_samples"]
    [row] = views.sql(
        "select * from experiment_results"
        " where experiment_id = 'free_samples' and segment_id = 'all:all' and metric = 'net_revenue'"
    ).collect()
    assert (row.result_status, row.customer_count, row.difference_amount) == ("outcome_not_over", 0, None)
    waiting = {"samples": row.immature_customer_count, "control": row.control_immature_customer_count}
    assert waiting == truth.customers
    assert row.srm_p_value > 0.9


def test_every_assignment_is_accounted_for(published: Any, views: SparkSession) -> None:
    experiments = published.truth.experiments.values()
    accounts = views.table("conservation").where("source_name = 'experiment_assignments'").collect()
    assert {row.disposition: row.row_count for row in accounts if row.disposition != "input"} == {
        "accepted": sum(sum(one.customers.values()) for one in experiments),
        "conflicting_assignment": sum(2 * one.conflicting_customers for one in experiments),
        "repeated_assignment": sum(one.repeated_rows for one in experiments),
    }
