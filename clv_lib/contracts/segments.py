"""Gold tables about segments: which there are, who is in them, and their figures by month."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, money, share, status
from clv_lib.contracts.types import RATIO, Field, Rule, Table

SEGMENTS = Table(
    name="segments",
    layer="gold",
    grain="one row per segment",
    key=("segment_id",),
    partition_by=SNAPSHOT,
    fields=(
        Field("segment_id", "string", "segment_type:segment_name.", required=True),
        Field(
            "segment_type",
            "string",
            "Within a type each customer is in exactly one segment; all: the total.",
            required=True,
        ),
        Field("segment_name", "string", "Name; unknown where the attribute is not known.", required=True),
        Field("definition", "string", "How membership is decided.", required=True),
        count("customer_count", "Members at as_of."),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    measures={"types": "count(distinct segment_type)", "memberships": "sum(customer_count)"},
)

CUSTOMER_SEGMENTS = Table(
    name="customer_segments",
    layer="gold",
    grain="one row per customer and segment type",
    key=("customer_id", "segment_type"),
    partition_by=SNAPSHOT,
    fields=(
        Field("customer_id", "string", "The customer.", required=True),
        Field("segment_id", "string", "The segment.", required=True),
        Field("segment_type", "string", "Its type.", required=True),
        Field("segment_name", "string", "Its name.", required=True),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    measures={"memberships": "count(1)", "in_total": "count_if(segment_type = 'all')"},
)

SEGMENT_METRICS = Table(
    name="segment_metrics",
    layer="gold",
    grain="one row per segment and calendar month from its first order to as_of; members are those at as_of",
    key=("segment_id", "period_month"),
    partition_by=SNAPSHOT,
    fields=(
        Field("segment_id", "string", "The segment.", required=True),
        Field("segment_type", "string", "Its type.", required=True),
        Field("segment_name", "string", "Its name.", required=True),
        Field("period_month", "date", "First day of the month.", required=True),
        Field("is_final", "boolean", "The month had ended at as_of.", required=True),
        Field("is_latest", "boolean", "The month of as_of: the row to read for figures so far.", required=True),
        count("customer_count_start", "Active customers when the month began."),
        count("new_customer_count", "First orders in the month."),
        count("reactivated_customer_count", "Orders after a churn, first of the new spell."),
        count("churned_customer_count", "Customers of the start whose churn date lies in the month."),
        count("customer_count_end", "Active customers at the end of the month or at as_of."),
        count("active_customer_count", "Customers with an order in the month."),
        count("order_count", "Orders of the month."),
        money("net_amount", "Net revenue of the month's orders.", True),
        money("margin_amount", "Contribution margin of the month's orders; NULL: a cost is not known."),
        Field("average_order_value", RATIO, "net_amount / order_count; NULL: no_orders."),
        Field("arpu_amount", RATIO, "net_amount / active_customer_count; NULL: no_active_customers."),
        status("month_status", "Why the month's averages are NULL.", "ok", "no_active_customers"),
        Field(
            "monthly_churn_rate",
            RATIO,
            "churned_customer_count / customer_count_start.",
            check="monthly_churn_rate between 0 and 1",
        ),
        Field("churn_rate_lower", RATIO, "Wilson interval of the month's rate at confidence_level."),
        Field("churn_rate_upper", RATIO, "Wilson interval of the month's rate at confidence_level."),
        status("churn_status", "Whether the month's rate stands.", "ok", "no_starting_customers", "incomplete_month"),
        Field("churn_rate_12m", RATIO, "Churned over starting customers, summed over the last 12 complete months."),
        Field("churn_rate_12m_lower", RATIO, "Wilson interval of churn_rate_12m."),
        Field("churn_rate_12m_upper", RATIO, "Wilson interval of churn_rate_12m."),
        Field("churn_rate_stddev_12m", "double", "Standard deviation of the last 12 complete monthly rates."),
        Field("expected_lifetime_months", RATIO, "1 / churn_rate_12m; NULL: zero_churn or no history."),
        Field(
            "expected_lifetime_months_lower",
            RATIO,
            "1 / upper bound of the churn rate; with zero churn customer-months / 3.",
        ),
        Field(
            "expected_lifetime_months_capped",
            RATIO,
            "expected_lifetime_months up to lifetime_cap_months, which also stands for zero churn.",
        ),
        status("lifetime_status", "Why the lifetime is NULL.", "ok", "zero_churn", "no_starting_customers"),
        count("lifetime_customer_count", "Members whose first order is not after the month."),
        count("lifetime_order_count", "Their orders up to the end of the month."),
        money("lifetime_net_amount", "Their net revenue up to the end of the month.", True),
        money("lifetime_margin_amount", "Their margin up to the end of the month; NULL: a cost is not known."),
        count("exposure_days", "Their days since first order, summed, both ends counted."),
        Field("lifetime_average_order_value", RATIO, "lifetime_net_amount / lifetime_order_count."),
        Field(
            "purchase_frequency",
            RATIO,
            "Orders per customer-month: lifetime_order_count / exposure months of 365.25/12 days.",
        ),
        Field(
            "customer_value_amount", RATIO, "Net revenue per customer-month: average order value x purchase_frequency."
        ),
        Field(
            "margin_rate", RATIO, "lifetime_margin_amount / lifetime_net_amount; NULL: cost not known or no revenue."
        ),
        Field("historic_clv_avg", RATIO, "Net revenue so far per member."),
        Field("historic_margin_avg", RATIO, "Margin so far per member; NULL: a cost is not known."),
        Field(
            "clv_formula_amount",
            RATIO,
            "Average order value x purchase frequency x expected lifetime (x margin_rate if known).",
        ),
        Field("clv_formula_capped_amount", RATIO, "The same with expected_lifetime_months_capped."),
        Field("clv_discounted_amount", RATIO, "Value per month x (1 + d) / (d + churn), d the monthly discount rate."),
        status("clv_basis", "What the formula CLV is measured in.", "contribution_margin", "net_revenue"),
        Field(
            "predicted_clv_avg", RATIO, "Mean predicted CLV of the members, in the latest month; NULL: not predicted."
        ),
        count("predicted_customer_count", "Members with a prediction, in the latest month.", required=False),
        share("value_share", "Share of lifetime_net_amount within the segment type."),
        share("customer_share", "Share of lifetime_customer_count within the segment type."),
        Field(
            "clv_rank",
            "int",
            "1: highest historic plus predicted value per member within the type; ties share.",
            True,
            "clv_rank >= 1",
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule(
            "customers_bridge",
            "customer_count_start + new_customer_count + reactivated_customer_count - churned_customer_count"
            " = customer_count_end",
            "start + new + reactivated - churned = end",
        ),
    ),
    measures={
        "net_all": "sum(case when segment_type = 'all' then net_amount end)",
        "net_by_type": "sum(net_amount)",
        "orders_by_type": "sum(order_count)",
        "orders_all": "sum(case when segment_type = 'all' then order_count end)",
        "new_all": "sum(case when segment_type = 'all' then new_customer_count end)",
        "types": "count(distinct segment_type)",
    },
)
