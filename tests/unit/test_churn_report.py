"""The block of the report on churn: three definitions that are told apart, and what is not known."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pyspark.sql import Row

from clv_lib.report.churn import by_gaps, by_model, staying


def row(**changes: Any) -> Row:
    known = {
        "customer_count": 100,
        "quantile_rule_first_gap_days": 300,
        "quantile_rule_later_gap_days": 120,
        "quantile_rule_judged_customer_count": 100,
        "quantile_rule_churned_share": Decimal("0.25"),
        "model_status": "ok",
        "model_churn_probability_avg": Decimal("0.31"),
        "restricted_mean_months": 14.21,
        "restricted_mean_months_lower": 13.9,
        "restricted_mean_months_upper": 14.5,
        "restricted_to_months": 29.98,
        "restricted_mean_status": "observed_age_only",
        "survival_12_months": 0.614,
        "early_monthly_hazard": Decimal("0.0512"),
        "late_monthly_hazard": Decimal("0.021"),
        "late_churned_customer_count": 12,
        "late_exposure_days": 17393,
        "hazard_status": "ok",
    }
    return Row(**{**known, **changes})


def test_the_rule_by_gaps_says_whom_it_judges() -> None:
    assert by_gaps(row(), 0.9) == "25.0 % by 90 % of gaps (300 days for the first gap and 120 days for the later gap)"
    some = row(quantile_rule_first_gap_days=None, quantile_rule_judged_customer_count=40)
    assert by_gaps(some, 0.9) == "25.0 % of 40 customers whom it judges by 90 % of gaps (120 days for the later gap)"
    none = row(quantile_rule_first_gap_days=None, quantile_rule_later_gap_days=None)
    assert by_gaps(none, 0.9) == "no rule by gaps: not known within how many days 90 % of them end"


def test_a_model_that_says_nothing_is_no_number() -> None:
    assert by_model(row()) == "31.0 % by the model"
    assert by_model(row(model_status="not_predicted", model_churn_probability_avg=None)) == "not predicted by a model"


def test_survival_says_how_far_it_was_seen() -> None:
    assert staying(row()) == (
        "14.2 (13.9-14.5) of the first 30 months on average before the first churn; 61 % stay 12 months;"
        " risk 5.1 % a month in the first year of risk, 2.1 % later"
    )
    unknown = row(late_churned_customer_count=0, late_monthly_hazard=Decimal(0), late_exposure_days=700)
    assert staying(unknown).endswith(
        "; risk 5.1 % a month in the first year of risk, none seen later in 23 customer-months"
    )
    young = row(restricted_mean_months_lower=None, survival_12_months=None, hazard_status="early_only")
    assert staying(young) == "14.2 of the first 30 months on average before the first churn"
    assert staying(row(restricted_mean_status="not_observed")) == "not known: every customer is of today"
