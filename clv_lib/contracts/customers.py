"""Gold tables with one row per customer, and the cuts of their scores."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, money, status
from clv_lib.contracts.silver import TRAILING_DAYS
from clv_lib.contracts.types import RATIO, Field, Rule, Table

METRIC_WINDOWS_DAYS = (30, 60, 90, 365)
"""Trailing windows of customer_metrics, in days."""

CUSTOMER_METRICS = Table(
    name="customer_metrics",
    layer="gold",
    grain="one row per customer with an order",
    key=("customer_id",),
    partition_by=SNAPSHOT,
    fields=(
        Field("customer_id", "string", "The customer.", required=True),
        status("value_basis", "What value is measured in.", "contribution_margin", "net_revenue"),
        status("value_status", "Whether the value is complete.", "ok", "margin_unknown", "negative_value"),
        Field("cohort_month", "date", "Month of the first order.", required=True),
        Field(
            "acquisition_channel",
            "string",
            "From customers, else the channel of the first order, else unattributed.",
            required=True,
        ),
        Field("acquisition_campaign", "string", "From customers; NULL: not given."),
        count("lifetime_order_count", "Orders."),
        count("lifetime_occasion_count", "Days with orders."),
        count("refunded_order_count", "Orders that were refunded in part or whole."),
        money("lifetime_gross_amount", "Goods before discounts.", True),
        money("lifetime_discount_amount", "Discounts.", True),
        money("lifetime_refund_amount", "Refunds of the customer's orders.", True),
        money("lifetime_net_amount", "Net revenue so far: historic CLV in revenue.", True),
        money(
            "lifetime_margin_amount", "Contribution margin so far: historic CLV in margin; NULL: a cost is not known."
        ),
        money("historic_clv_amount", "Value so far, in value_basis; NULL: a cost is not known."),
        Field("average_order_value", RATIO, "lifetime_net_amount / lifetime_order_count.", required=True),
        Field("exposure_days", "int", "Days from the first order to as_of, both counted.", True, "exposure_days >= 1"),
        Field("orders_per_month", RATIO, "Orders per month of 365.25/12 days since the first order; NULL: too short."),
        status("orders_per_month_status", "Why orders_per_month is NULL.", "ok", "too_short_exposure"),
        Field("average_days_between_orders", RATIO, "Mean gap between days with orders; NULL: one such day."),
        Field("longest_gap_days", "int", "Longest gap between days with orders; NULL: one such day."),
        *(count(f"order_count_{d}d", f"Orders in the {d} days up to as_of.") for d in METRIC_WINDOWS_DAYS),
        *(money(f"net_amount_{d}d", f"Net revenue of the {d} days up to as_of.", True) for d in METRIC_WINDOWS_DAYS),
        *(
            money(f"net_amount_first_{d}d", f"Net revenue of the first {d} days; NULL until they have passed.")
            for d in TRAILING_DAYS
        ),
        Field(
            "days_since_first_order", "int", "Days from the first order to as_of.", True, "days_since_first_order >= 0"
        ),
        Field("days_since_last_order", "int", "Days from the last order to as_of.", True, "days_since_last_order >= 0"),
        Field("btyd_frequency", "int", "x: days with orders after the first.", True, "btyd_frequency >= 0"),
        Field(
            "btyd_recency_days", "int", "t_x: days from the first to the last order.", True, "btyd_recency_days >= 0"
        ),
        Field("btyd_age_days", "int", "T: days from the first order to as_of.", True, "btyd_age_days >= 0"),
        Field(
            "btyd_monetary_value",
            RATIO,
            "Mean value (value_basis) per repeat day; NULL: no repeat day or cost not known.",
        ),
        Field("is_repeat_customer", "boolean", "Ordered on more than one day.", required=True),
        Field("is_active", "boolean", "Not churned.", required=True),
        Field("is_churned", "boolean", "No order for inactivity_days.", required=True),
        Field("first_order_date", "date", "Day of the first order.", required=True),
        Field("last_order_date", "date", "Day of the last order.", required=True),
        Field("churned_date", "date", "Last order + inactivity_days, if churned."),
        Field(
            "churn_due_date",
            "date",
            "Last order + inactivity_days: churned from then on unless there is an order.",
            True,
        ),
        Field(
            "reactivated_date",
            "date",
            "First order after the latest gap of more than inactivity_days; NULL: never away so long.",
            check="reactivated_date > first_order_date and reactivated_date <= last_order_date",
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule("recency_up_to_age", "btyd_recency_days <= btyd_age_days", "t_x <= T"),
        Rule("days_up_to_orders", "lifetime_occasion_count <= lifetime_order_count", "no more days than orders"),
        Rule("churned_or_active", "is_active <> is_churned", "a customer is active or churned"),
        Rule(
            "repeat_has_gap",
            "is_repeat_customer = (longest_gap_days is not null)"
            " and coalesce(longest_gap_days between 1 and btyd_recency_days, true)",
            "repeat customers have a longest gap, within first and last order",
        ),
        Rule("churned_has_date", "is_churned = (churned_date is not null)", "churned customers have a churn date"),
    ),
    measures={
        "net": "sum(lifetime_net_amount)",
        "orders": "sum(lifetime_order_count)",
        "refunds": "sum(lifetime_refund_amount)",
        "customers": "count(1)",
        "churned": "count_if(is_churned)",
        "repeat_days": "sum(btyd_frequency)",
    },
)

CUSTOMER_RFM = Table(
    name="customer_rfm",
    layer="gold",
    grain="one row per customer with an order",
    key=("customer_id",),
    partition_by=SNAPSHOT,
    fields=(
        Field("customer_id", "string", "The customer.", required=True),
        Field("recency_days", "int", "Days since the last order.", True, "recency_days >= 0"),
        count("frequency", "Orders."),
        money("monetary_amount", "Net revenue so far.", True),
        *(
            Field(
                f"{name}_score",
                "tinyint",
                f"1 (worst) to 5 (best) by quintile of {name}; equal values score equally.",
                True,
                f"{name}_score between 1 and 5",
            )
            for name in ("recency", "frequency", "monetary")
        ),
        Field("rfm_code", "string", "The three scores, R F M.", required=True),
        Field("rfm_segment", "string", "Name by the rule set.", required=True),
        Field("rule_set", "string", "Which naming rules.", required=True),
        Field(
            "value_decile",
            "tinyint",
            "1 (most net revenue) to 10; equal values share a decile.",
            True,
            "value_decile between 1 and 10",
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    measures={"customers": "count(1)", "net": "sum(monetary_amount)"},
)

RFM_THRESHOLDS = Table(
    name="rfm_thresholds",
    layer="gold",
    grain="one row per dimension and cut",
    key=("dimension", "cut_number"),
    partition_by=SNAPSHOT,
    fields=(
        Field("dimension", "string", "recency, frequency, monetary, value_decile.", required=True),
        Field("cut_number", "int", "1 for the lowest cut.", True, "cut_number >= 1"),
        Field("quantile", "double", "Share of customers at or below the cut.", True, "quantile > 0 and quantile < 1"),
        Field("cut_value", RATIO, "The cut: a value above it belongs to the next score.", required=True),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
)

RFM_SEGMENT_RULES = Table(
    name="rfm_segment_rules",
    layer="gold",
    grain="one row per rule set and code of three scores: every code has one name in each set",
    key=("rule_set", "rfm_code"),
    partition_by=SNAPSHOT,
    fields=(
        Field("rule_set", "string", "classic or eleven.", required=True),
        Field("rfm_code", "string", "The three scores, R F M.", True, "rfm_code rlike '^[1-5]{3}$'"),
        *(
            Field(
                f"{name}_score", "tinyint", f"1 (worst) to 5 (best) by {name}.", True, f"{name}_score between 1 and 5"
            )
            for name in ("recency", "frequency", "monetary")
        ),
        Field("rfm_segment", "string", "Name of the code by the rule set.", required=True),
    ),
    measures={"codes": "count(1)", "all_codes": "125 * count(distinct rule_set)"},
)
