"""Gold tables about what customers cost and whether they pay."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, money, status
from clv_lib.contracts.types import RATIO, Field, Metric, Rule, Table

ACQUISITION_COSTS = Table(
    name="acquisition_costs",
    layer="gold",
    grain="one row per month, type of CAC and channel; channel all is the total",
    key=("period_month", "cac_type", "channel"),
    partition_by=SNAPSHOT,
    fields=(
        Field("period_month", "date", "First day of the month.", required=True),
        status(
            "cac_type",
            "paid: spend marked paid. blended: all acquisition spend of type media. fully_loaded: every cost type.",
            "blended",
            "paid",
            "fully_loaded",
        ),
        Field("channel", "string", "Channel; all: every channel; unattributed: no channel known.", required=True),
        money("spend_amount", "Spend of the month; NULL: spend_missing."),
        count("new_customer_count", "Customers whose first order lies in the month."),
        Metric(
            "cac_amount",
            RATIO,
            "Customer acquisition cost.",
            numerator="spend_amount",
            denominator="new_customer_count",
            unit="currency per new customer",
            status_column="cac_status",
        ),
        status("cac_status", "Why CAC is NULL or 0.", "ok", "zero_spend", "no_new_customers", "spend_missing"),
        Field("attribution_model", "string", "How customers got their channel.", required=True),
        Field("is_final", "boolean", "The month had ended at as_of.", required=True),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    measures={
        "spend_all": "coalesce(sum(case when channel = 'all' then spend_amount end), 0)",
        "spend_channels": "coalesce(sum(case when channel <> 'all' then spend_amount end), 0)",
        "new_all": "sum(case when channel = 'all' and cac_type = 'blended' then new_customer_count end)",
        "new_channels": "sum(case when channel <> 'all' and cac_type = 'blended' then new_customer_count end)",
    },
    adds_up_over="the months, and the channels, of one type of CAC",
)

UNIT_ECONOMICS = Table(
    name="unit_economics",
    layer="gold",
    grain="one row per cohort month, type of CAC and channel; channel all is the total",
    key=("cohort_month", "cac_type", "channel"),
    partition_by=SNAPSHOT,
    fields=(
        Field("cohort_month", "date", "Month of the first order.", required=True),
        status("cac_type", "As in acquisition_costs.", "blended", "paid", "fully_loaded"),
        Field("channel", "string", "Acquisition channel; all: every channel.", required=True),
        count("customer_count", "Customers of the cohort."),
        status("clv_basis", "What value is measured in.", "contribution_margin", "net_revenue"),
        Field("clv_horizon_days", "int", "Horizon of the predicted part, in days.", required=True),
        Field("historic_clv_avg", RATIO, "Value so far per customer of the cohort, in clv_basis."),
        Field("predicted_clv_avg", RATIO, "Predicted value per customer over the horizon; NULL: not predicted."),
        Field("clv_amount", RATIO, "historic + predicted per customer; without predictions historic alone."),
        status("clv_status", "What clv_amount holds.", "ok", "historic_only", "value_unknown", "no_customers"),
        Field("cac_amount", RATIO, "CAC of the same cohort, channel and type."),
        Field("ltv_to_cac_ratio", RATIO, "clv_amount / cac_amount."),
        status("ratio_status", "Why the ratio is NULL.", "ok", "zero_cac", "cac_unknown", "value_unknown"),
        Field("monthly_value_per_customer", RATIO, "Value so far per customer-month of the cohort."),
        Field(
            "cac_payback_months",
            "int",
            "Months from the first-order month (0) to the first month in which the cohort's value so far per acquired"
            " customer, in clv_basis, reached cac_amount; refunds count in the month of their order.",
            check="cac_payback_months >= 0",
        ),
        Field("break_even_month", "date", "That calendar month; NULL: see payback_status."),
        status(
            "payback_status",
            "Why cac_payback_months is NULL or 0; incomplete_month: the cohort's own month has not ended.",
            "ok",
            "not_reached",
            "zero_cac",
            "cac_unknown",
            "value_unknown",
            "incomplete_month",
        ),
        Field(
            "is_sustained",
            "boolean",
            "The value stayed at or above the cost in all later months; NULL: not reached, or a later value not known.",
        ),
        Field(
            "observed_months",
            "int",
            "Complete months of the cohort up to as_of, its first included: in these not_reached was not reached.",
            True,
            "observed_months >= 0",
        ),
        Field("first_order_margin_amount", RATIO, "Margin of the customers' first days per customer."),
        Field("is_first_order_profitable", "boolean", "first_order_margin_amount is at least cac_amount."),
        status(
            "first_order_status",
            "Why the first order has no verdict.",
            "ok",
            "margin_unknown",
            "cac_unknown",
            "no_customers",
            "incomplete_month",
        ),
        Field(
            "simple_payback_months",
            RATIO,
            "cac_amount / monthly_value_per_customer, as if value came evenly; NULL: see simple_payback_status.",
        ),
        status(
            "simple_payback_status",
            "Why the simple payback is NULL or 0.",
            "ok",
            "zero_cac",
            "cac_unknown",
            "value_unknown",
            "no_value",
        ),
        Field("target_ltv_to_cac", RATIO, "Ratio that a new customer must reach.", required=True),
        Field("payback_cap_months", "int", "Months after which a new customer must have paid its cost.", True),
        Field(
            "payback_cap_value_amount",
            RATIO,
            "Value per customer from month 0 to month payback_cap_months; NULL until that month is over.",
        ),
        Field(
            "max_allowable_cac_amount",
            RATIO,
            "The smaller of clv_amount / target_ltv_to_cac and payback_cap_value_amount; 0 where it is not positive.",
        ),
        status(
            "max_cac_status",
            "How the maximum is to be read; cap_month_not_observed: by the ratio alone.",
            "ok",
            "cap_month_not_observed",
            "unprofitable",
            "value_unknown",
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule(
            "break_even_is_payback_after_cohort",
            "break_even_month <=> add_months(cohort_month, cac_payback_months)",
            "the break-even month is the cohort's month and the payback",
        ),
        Rule(
            "payback_where_reached",
            "(payback_status in ('ok', 'zero_cac')) = (cac_payback_months is not null)",
            "a payback is there exactly where its status says so",
        ),
    ),
    measures={
        "customers_all": "sum(case when channel = 'all' and cac_type = 'blended' then customer_count end)",
        "customers_channels": "sum(case when channel <> 'all' and cac_type = 'blended' then customer_count end)",
    },
)
