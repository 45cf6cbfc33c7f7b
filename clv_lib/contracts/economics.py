"""Gold tables about what customers cost and whether they pay."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, money, status
from clv_lib.contracts.types import RATIO, Field, Table

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
        Field("cac_amount", RATIO, "spend_amount / new_customer_count."),
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
        Field("simple_payback_months", RATIO, "cac_amount / monthly_value_per_customer; NULL: see payback_status."),
        status(
            "payback_status",
            "Why the payback is NULL or 0.",
            "ok",
            "zero_cac",
            "cac_unknown",
            "value_unknown",
            "no_value",
        ),
        Field("target_ltv_to_cac", RATIO, "Ratio that a new customer must reach.", required=True),
        Field("max_allowable_cac_amount", RATIO, "clv_amount / target_ltv_to_cac; 0 where the value is not positive."),
        status("max_cac_status", "How the maximum is to be read.", "ok", "unprofitable", "value_unknown"),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    measures={
        "customers_all": "sum(case when channel = 'all' and cac_type = 'blended' then customer_count end)",
        "customers_channels": "sum(case when channel <> 'all' and cac_type = 'blended' then customer_count end)",
    },
)
