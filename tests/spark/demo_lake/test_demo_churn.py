"""Published gaps, survival and churn of the demo data against the parameters of that data, and against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scipy.optimize import brentq

from clv_lib.demo import DemoParameters
from clv_lib.lake import register_views

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession


@pytest.fixture
def views(spark: SparkSession, published: Any) -> SparkSession:
    """The session with a view of every published table."""
    register_views(published.demo.lake, published.outcome.publication)
    return spark


def true_gap_days(share: float) -> float:
    """Days within which a share of the customers orders again: a gamma mixture of exponentials (BG/NBD), by type."""

    def waiting(days: float) -> float:
        types = DemoParameters().types
        return sum(kind.share * (kind.alpha_days / (kind.alpha_days + days)) ** kind.r for kind in types)

    return float(brentq(lambda days: waiting(days) - (1 - share), 0, 10_000))


def test_the_first_gap_is_that_of_the_parameters_and_closed_gaps_are_too_short(views: SparkSession) -> None:
    rows = views.table("order_gaps").where("segment_id = 'all:all' and gap_kind = 'first'").collect()
    by_quantile: dict[float, Row] = {row.quantile: row for row in rows}
    for quantile in (0.5, 0.8):
        row = by_quantile[quantile]
        assert row.gap_status == "ok"
        assert row.gap_days_lower <= true_gap_days(quantile) <= row.gap_days_upper
        assert row.closed_gap_days < row.gap_days
    assert by_quantile[0.8].closed_gap_days < true_gap_days(0.8)


def test_the_three_definitions_and_survival_agree_with_the_customers(views: SparkSession) -> None:
    row = views.table("segment_churn").where("segment_id = 'all:all'").collect()[0]
    known = views.sql(
        "SELECT count(1) AS customers, count_if(is_churned) AS churned,"
        " count_if(is_churned or reactivated_date is not null) AS ever_churned,"
        " avg(churn_probability) AS probability, count_if(reactivated_date is not null) AS returned"
        " FROM customer_metrics JOIN customer_predictions USING (customer_id) WHERE horizon_days = 365"
    ).collect()[0]
    assert row.fixed_rule_churned_customer_count == known.churned > 0
    assert row.ever_churned_customer_count == known.ever_churned > known.churned
    assert float(row.model_churn_probability_avg) == pytest.approx(known.probability, abs=1e-7)
    assert 0 < row.survival_24_months < row.survival_12_months < 1
    assert row.early_monthly_hazard > row.late_monthly_hazard  # the risk falls with age
    states = {r.segment_name for r in views.table("segments").where("segment_type = 'lifecycle'").collect()}
    assert {"active", "lapsed", "reactivated"} <= states <= {"active", "at_risk", "lapsed", "new", "reactivated"}


def test_reasons_of_churn_are_known_by_type(views: SparkSession) -> None:
    rows = views.table("churn_reasons").collect()
    assert {"voluntary", "involuntary"} <= {row.churn_type for row in rows}
    by_month: dict[Any, Any] = {}
    for row in rows:
        by_month[row.period_month] = by_month.get(row.period_month, 0) + row.amount_share
    assert all(float(total) == pytest.approx(1, abs=1e-6) for total in by_month.values())
