"""Sums that must agree exactly between the tables of churn, of customers and of recurring revenue."""

from __future__ import annotations

from clv_lib.contracts.types import Identity


def _equal(name: str, left: tuple[str, str], right: tuple[str, str], meaning: str) -> Identity:
    return Identity(name, (left,), (right,), meaning)


CHURN_IDENTITIES: tuple[Identity, ...] = (
    _equal(
        "gaps_are_repeat_days",
        ("order_gaps", "closed_all"),
        ("customer_metrics", "repeat_days"),
        "each day with orders but a customer's first ends one gap",
    ),
    _equal(
        "each_customer_has_an_open_gap",
        ("order_gaps", "open_all"),
        ("customer_metrics", "customers"),
        "each customer has one open gap",
    ),
    _equal("gaps_of_kinds", ("order_gaps", "of_kinds"), ("order_gaps", "of_both_kinds"), "a gap is first or later"),
    _equal(
        "survival_begins_with_customers",
        ("customer_survival", "customers_all"),
        ("customer_metrics", "customers"),
        "each customer has one lifetime",
    ),
    _equal(
        "lost_by_fixed_rule",
        ("segment_churn", "churned_all"),
        ("customer_metrics", "churned"),
        "churned by the fixed rule are those of customer_metrics",
    ),
    _equal(
        "lost_of_types",
        ("segment_churn", "churned_types"),
        ("segment_churn", "churned_totals"),
        "segments of each type add up to the total's churned",
    ),
    _equal("churn_of_reasons", ("churn_reasons", "churn"), ("mrr_metrics", "churn"), "reasons add up to the churn"),
    _equal(
        "churned_customers_of_reasons",
        ("churn_reasons", "churned_customers"),
        ("mrr_movements", "churned_customers"),
        "reasons add up to the churned customers",
    ),
)
"""Sums of churn that must agree exactly."""
