"""Sums that must agree across tables, exactly: the audit takes each side from the stored tables and compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clv_lib.contracts.budgets import ECONOMIC_IDENTITIES
from clv_lib.contracts.churn_identities import CHURN_IDENTITIES
from clv_lib.contracts.experiments import EXPERIMENT_IDENTITIES
from clv_lib.contracts.forecasts import FORECAST_IDENTITIES
from clv_lib.contracts.recurring import RECURRING_IDENTITIES
from clv_lib.contracts.types import Identity


def _types_add_up(table: str, prefix: str, meanings: Mapping[str, str]) -> Iterator[Identity]:
    """One identity for each of the `sums_by_type` of a table, named `{prefix}_{name}_total`."""
    for name, meaning in meanings.items():
        yield Identity(
            f"{prefix}_{name}_total",
            ((table, f"{name}_by_type"),),
            ((table, f"{name}_all_by_types"),),
            f"segments of each type add up to the total's {meaning}",
        )


def _accounted(measure: str, table: str, stored: str, meaning: str) -> Identity:
    """The account of source rows beside the whole silver table in which they lie."""
    return Identity(f"{measure}_accounted", (("conservation", measure),), ((table, stored),), meaning)


IDENTITIES: tuple[Identity, ...] = (
    _accounted("accepted_order_rows", "customer_orders", "source_rows", "accepted rows are those that orders are of"),
    _accounted(
        "accepted_order_amounts", "customer_orders", "original_amounts", "their money is that of the stored orders"
    ),
    _accounted("accepted_refunds", "customer_refunds", "refund_count", "accepted refunds are those that are stored"),
    _accounted(
        "accepted_refund_amounts", "customer_refunds", "original_amounts", "their money is that of the stored refunds"
    ),
    _accounted("rows_put_aside", "rows_put_aside", "rows", "rows put aside are those that are stored"),
    Identity("net_of_months", (("customer_months", "net"),), (("customer_orders", "net"),), "months add up to orders"),
    Identity(
        "orders_of_months", (("customer_months", "orders"),), (("customer_orders", "orders"),), "no order is lost"
    ),
    Identity(
        "refunds_of_orders",
        (("customer_orders", "refunds"),),
        (("customer_refunds", "refunds"),),
        "every valid refund lowers exactly one order",
    ),
    Identity(
        "refunds_by_date",
        (("customer_months", "refunds_by_refund_date"),),
        (("customer_refunds", "refunds"),),
        "refunds by refund date add up to the refunds",
    ),
    Identity(
        "net_of_customers", (("customer_metrics", "net"),), (("customer_orders", "net"),), "customers add up to orders"
    ),
    Identity(
        "orders_of_customers", (("customer_metrics", "orders"),), (("customer_orders", "orders"),), "no order is lost"
    ),
    Identity(
        "customers_have_first_orders",
        (("customer_metrics", "customers"),),
        (("customer_orders", "customers"),),
        "each customer has exactly one first order",
    ),
    Identity(
        "rfm_covers_customers",
        (("customer_rfm", "customers"),),
        (("customer_metrics", "customers"),),
        "each customer is scored",
    ),
    Identity(
        "rfm_rules_are_complete",
        (("rfm_segment_rules", "codes"),),
        (("rfm_segment_rules", "all_codes"),),
        "each rule set names each of the 125 codes",
    ),
    Identity(
        "segments_cover_customers",
        (("segments", "memberships"),),
        (("segments", "customers_by_types"),),
        "the segments of each type add up to all customers",
    ),
    Identity(
        "segments_count_members",
        (("segments", "memberships"),),
        (("customer_segments", "memberships"),),
        "the segments' sizes add up to the memberships",
    ),
    Identity(
        "everybody_is_in_the_total",
        (("customer_segments", "in_total"),),
        (("customer_metrics", "customers"),),
        "the total segment holds each customer once",
    ),
    *_types_add_up(
        "segment_concentration",
        "concentration",
        {"customers": "customers", "orders": "orders", "net": "net revenue"},
    ),
    Identity(
        "metrics_of_every_type",
        (("segment_metrics", "types"),),
        (("segments", "types"),),
        "each segment type has its months",
    ),
    *_types_add_up(
        "segment_metrics",
        "segment_types",
        {
            "net": "net revenue",
            "orders": "orders",
            "new": "new customers",
            "churned": "churned customers",
            "start": "customers at the start",
        },
    ),
    Identity(
        "segments_net_total",
        (("segment_metrics", "net_all"),),
        (("customer_metrics", "net"),),
        "months of the total add up",
    ),
    Identity(
        "segments_orders_total",
        (("segment_metrics", "orders_all"),),
        (("customer_metrics", "orders"),),
        "months of the total add up to all orders",
    ),
    Identity(
        "segments_new_total",
        (("segment_metrics", "new_all"),),
        (("customer_metrics", "customers"),),
        "first orders are new customers",
    ),
    Identity(
        "cohorts_new_total",
        (("cohort_metrics", "new_all"),),
        (("customer_metrics", "customers"),),
        "cohort sizes add up to all new customers",
    ),
    Identity(
        "cohorts_net_total",
        (("cohort_metrics", "net_all"),),
        (("customer_metrics", "net"),),
        "months of the cohorts add up to all net revenue",
    ),
    Identity(
        "cohorts_orders_total",
        (("cohort_metrics", "orders_all"),),
        (("customer_metrics", "orders"),),
        "months of the cohorts add up to all orders",
    ),
    Identity(
        "cohort_segments_net_total",
        (("cohort_metrics", "net_by_type"),),
        (("cohort_metrics", "net_all_by_types"),),
        "cohorts of each segment type add up to the total's net revenue",
    ),
    Identity(
        "cohort_segments_active_total",
        (("cohort_metrics", "active_by_type"),),
        (("cohort_metrics", "active_all_by_types"),),
        "cohorts of each segment type add up to the total's active customers",
    ),
    *ECONOMIC_IDENTITIES,
    Identity(
        "predicted_value_of_segments",
        (("segment_predictions", "predicted_all"),),
        (("customer_predictions", "predicted"),),
        "the predicted value of all customers is the sum of theirs",
    ),
    *EXPERIMENT_IDENTITIES,
    *FORECAST_IDENTITIES,
    *RECURRING_IDENTITIES,
    *CHURN_IDENTITIES,
)
