"""The report's lines on experiments and contracts: which estimate is told, and what stands where none is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pyspark.sql import Row

from clv_lib.report.experiments import outcome
from clv_lib.report.recurring import _contract


def _result(**changes: Any) -> Row:
    known = {
        "experiment_id": "coupon",
        "variant": "b",
        "control_variant": "control",
        "metric": "net_revenue",
        "outcome_months": 3,
        "customer_count": 1200,
        "control_customer_count": 1190,
        "difference_amount": 5.0,
        "difference_lower_amount": -1.0,
        "difference_upper_amount": 11.0,
        "relative_uplift": 0.1,
        "relative_uplift_lower": -0.02,
        "relative_uplift_upper": 0.22,
        "cuped_difference_amount": 4.0,
        "cuped_difference_lower_amount": 2.0,
        "cuped_difference_upper_amount": 6.0,
        "cuped_relative_uplift": 0.08,
        "cuped_relative_uplift_lower": 0.04,
        "cuped_relative_uplift_upper": 0.12,
        "best_estimate": "cuped",
        "is_significant": True,
        "srm_status": "ok",
        "result_status": "ok",
    }
    return Row(**{**known, **changes})


def test_the_adjusted_difference_is_told_where_there_is_one() -> None:
    assert outcome(_result(), "GBP") == (
        "coupon, b against control: GBP 4.00 (2.00 to 6.00) net revenue per customer in 3 months, 8.0 % (4.0-12.0),"
        " significant, 1,200 and 1,190 customers"
    )
    plain = outcome(_result(best_estimate="difference", is_significant=False), "GBP")
    assert "GBP 5.00 (-1.00 to 11.00)" in plain and "10.0 % (-2.0-22.0), not significant" in plain


def test_a_result_that_is_not_there_says_why_and_sizes_that_do_not_fit_warn() -> None:
    text = outcome(_result(result_status="no_control", control_variant=None, srm_status="mismatch"), "GBP")
    assert text == "coupon, b against nothing: no_control; sizes of the variants do not fit: do not trust"
    assert outcome(_result(srm_status="mismatch"), "GBP").endswith("do not trust")


def test_contracts_stand_beside_the_formula() -> None:
    known = {
        "monthly_churn_rate": Decimal("0.03"),
        "simple_discounted_clv_amount": Decimal(900),
        "new_subscriber_clv_amount": Decimal(1200),
        "clv_status": "ok",
        "fit_status": "converged",
    }
    assert _contract(Row(**known), "GBP") == (
        "a new subscriber is worth GBP 1,200.00 by ages, GBP 900.00 by one churn rate of 3.0 % a month, discounted,"
        " without costs; sBG fit: converged"
    )
    alone = _contract(Row(**{**known, "clv_status": "no_model", "fit_status": "at_bound"}), "GBP")
    assert alone.startswith("a new subscriber is worth GBP 900.00 by one churn rate") and alone.endswith("at_bound")
