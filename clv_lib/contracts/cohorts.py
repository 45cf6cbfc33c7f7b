"""Gold table of cohorts: what the customers of a first-order month did in each month since."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, money, status, sums_by_type
from clv_lib.contracts.types import RATIO, Field, Metric, Rule, Table

COHORT_METRICS = Table(
    name="cohort_metrics",
    layer="gold",
    grain="one row per first-order month, segment and month since, from 0 to the month of as_of",
    key=("cohort_month", "segment_id", "months_since_first_order"),
    partition_by=SNAPSHOT,
    fields=(
        Field("cohort_month", "date", "Month of the first order.", required=True),
        Field("segment_id", "string", "The segment.", required=True),
        Field("segment_type", "string", "Its type.", required=True),
        Field("segment_name", "string", "Its name.", required=True),
        Field(
            "months_since_first_order",
            "int",
            "Calendar months since cohort_month, which is 0.",
            True,
            "months_since_first_order >= 0",
        ),
        Field("period_month", "date", "First day of that calendar month.", required=True),
        Field("is_complete", "boolean", "The month had ended at as_of.", required=True),
        Field("cohort_size", "bigint", "Customers of the cohort: fixed for all months.", True, "cohort_size >= 1"),
        count("active_customer_count", "Customers with an order in the month."),
        Metric(
            "retention_rate",
            RATIO,
            "Share of the cohort's customers with an order in the month.",
            True,
            "retention_rate between 0 and 1",
            numerator="active_customer_count",
            denominator="cohort_size",
            unit="ratio",
        ),
        count("repeat_customer_count", "Customers who had ordered on a second day by the end of the month or as_of."),
        Metric(
            "repeat_customer_rate",
            RATIO,
            "Share of the cohort's customers who had ordered on a second day.",
            True,
            "repeat_customer_rate between 0 and 1",
            numerator="repeat_customer_count",
            denominator="cohort_size",
            unit="ratio",
        ),
        count("order_count", "Orders of the month."),
        money(
            "net_amount",
            "Net revenue of the month's orders; a refund lowers the month of its order, whenever paid back.",
            True,
        ),
        money("margin_amount", "Contribution margin of the month's orders; NULL: a cost is not known."),
        money("cumulative_net_amount", "net_amount up to this month; falls where a month's is negative.", True),
        money("cumulative_margin_amount", "margin_amount up to this month; NULL: see margin_status."),
        Metric(
            "cumulative_net_per_customer",
            RATIO,
            "Net revenue so far per acquired customer.",
            required=True,
            numerator="cumulative_net_amount",
            denominator="cohort_size",
            unit="currency per acquired customer",
        ),
        Metric(
            "cumulative_margin_per_customer",
            RATIO,
            "Contribution margin so far per acquired customer.",
            numerator="cumulative_margin_amount",
            denominator="cohort_size",
            unit="currency per acquired customer",
            status_column="margin_status",
        ),
        status("margin_status", "Whether the cost of every order up to this month is known.", "ok", "margin_unknown"),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule(
            "period_is_age_of_cohort",
            "period_month = add_months(cohort_month, months_since_first_order)",
            "the calendar month is the cohort's month and its age",
        ),
        Rule(
            "retention_of_month_0_is_1",
            "months_since_first_order > 0 or retention_rate = 1",
            "every customer of a cohort ordered in its first month",
        ),
        Rule("active_up_to_size", "active_customer_count <= cohort_size", "no more active customers than acquired"),
        Rule("repeat_up_to_size", "repeat_customer_count <= cohort_size", "no more repeat customers than acquired"),
        Rule(
            "known_margin_has_amount",
            "(margin_status = 'ok') = (cumulative_margin_amount is not null)",
            "a margin is known or has no amount",
        ),
    ),
    measures={
        "new_all": "sum(case when segment_type = 'all' and months_since_first_order = 0 then cohort_size end)",
        "net_all": "sum(case when segment_type = 'all' then net_amount end)",
        "orders_all": "sum(case when segment_type = 'all' then order_count end)",
        **sums_by_type({"net": "net_amount", "active": "active_customer_count"}),
    },
    adds_up_over="the segments of one type, and cohorts of the same age",
)
