"""Tables of churn and retention: gaps between orders, survival by age, three definitions side by side, reasons."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, money, probability, status
from clv_lib.contracts.predictions import ordered
from clv_lib.contracts.subscriptions import CHURN_TYPES
from clv_lib.contracts.types import RATIO, Field, Metric, Rule, Table

GAP_KINDS = ("first", "later", "all")
"""From the first to the second day with orders, between later ones, and both together."""

SURVIVAL_MONTHS = (12, 24)
"""Ages at which survival is a column of `segment_churn`."""

_SEGMENT = (
    Field("segment_id", "string", "The segment; members are those at as_of.", required=True),
    Field("segment_type", "string", "Its type.", required=True),
    Field("segment_name", "string", "Its name.", required=True),
)
_AS_OF = Field("as_of_date", "date", "Last day that counts.", required=True)


def _days(name: str, meaning: str) -> Field:
    return Field(name, "int", meaning, check=f"{name} >= 0")


def _months(name: str, meaning: str) -> Field:
    return Field(name, "double", meaning, check=f"{name} >= 0")


ORDER_GAPS = Table(
    name="order_gaps",
    layer="gold",
    grain="one row per segment, kind of gap and quantile of the days between two days with orders",
    key=("segment_id", "gap_kind", "quantile"),
    partition_by=SNAPSHOT,
    fields=(
        *_SEGMENT,
        status(
            "gap_kind", "Which gaps: from the first to the second day with orders, later ones, or both.", *GAP_KINDS
        ),
        Field("quantile", "double", "Share of the gaps.", True, "quantile > 0 and quantile < 1"),
        Field("is_rule", "boolean", "It is churn.gap_quantile, by which customers are judged.", required=True),
        _days("gap_days", "Days within which this share of the gaps ends, open gaps right-censored (Kaplan-Meier)."),
        _days(
            "gap_days_lower", "Low end of its interval at churn.confidence_level, also where gap_days is not reached."
        ),
        _days("gap_days_upper", "High end of its interval at churn.confidence_level; NULL: not reached."),
        status("gap_status", "Why gap_days is NULL.", "ok", "not_reached", "too_few", "no_gaps"),
        _days("closed_gap_days", "The same over closed gaps only, for comparison: too short, as long gaps are open."),
        count("closed_gap_count", "Gaps that ended with an order."),
        count("open_gap_count", "Customers whose gap since their last order is of this kind."),
        _days("longest_gap_days", "Longest gap, closed or open: the curve ends there. NULL: no gap."),
        probability("last_survival", "Share of the gaps that last longer, where the curve ends. NULL: no gap."),
        count("judged_customer_count", "open_gap_count where gap_days is known, else 0."),
        count("overdue_customer_count", "Customers whose open gap is longer than gap_days; NULL as it is.", False),
        Metric(
            "overdue_rate",
            RATIO,
            "Share of the customers whose open gap is longer than gap_days.",
            numerator="overdue_customer_count",
            denominator="judged_customer_count",
            unit="ratio",
            status_column="gap_status",
        ),
        _AS_OF,
    ),
    rules=(
        ordered("gap_days_lower", "gap_days", "gap_days_upper"),
        Rule("gap_has_status", "(gap_status = 'ok') = (gap_days is not null)", "gap_days is there if the status is ok"),
        Rule(
            "overdue_are_open",
            "coalesce(overdue_customer_count <= judged_customer_count, true)",
            "overdue gaps are open",
        ),
    ),
    measures={
        "closed_all": "sum(case when is_rule and segment_type = 'all' and gap_kind = 'all' then closed_gap_count end)",
        "open_all": "sum(case when is_rule and segment_type = 'all' and gap_kind = 'all' then open_gap_count end)",
        "of_kinds": "sum(case when is_rule and gap_kind <> 'all' then closed_gap_count + open_gap_count end)",
        "of_both_kinds": "sum(case when is_rule and gap_kind = 'all' then closed_gap_count + open_gap_count end)",
    },
    adds_up_over="the segments of one type, for one kind of gap and quantile, each judged by its own gap_days",
)

CUSTOMER_SURVIVAL = Table(
    name="customer_survival",
    layer="gold",
    grain="one row per segment and age in months since the first order, up to that of the oldest member",
    key=("segment_id", "age_months"),
    partition_by=SNAPSHOT,
    fields=(
        *_SEGMENT,
        Field("age_months", "int", "Months of 30.4375 days since the first order.", True, "age_months >= 0"),
        Field(
            "survival",
            "double",
            "Share of customers who have not churned by this age, not once (Kaplan-Meier).",
            True,
            "survival between 0 and 1",
        ),
        probability("survival_lower", "Low end of its interval; NULL while nobody or after everybody has churned."),
        probability("survival_upper", "High end of its interval; NULL while nobody or after everybody has churned."),
        count("at_risk_count", "Customers who were observed and not churned when the month up to this age began."),
        count("churned_count", "Of them, who churned for the first time in that month."),
        count("censored_count", "Of them, who had not churned at as_of, at an age in that month."),
        _AS_OF,
    ),
    rules=(
        ordered("survival_lower", "survival", "survival_upper"),
        Rule("leaving_were_at_risk", "churned_count + censored_count <= at_risk_count", "who left was at risk"),
        Rule("begins_alive", "age_months > 0 or survival = 1", "survival is 1 at age 0"),
    ),
    measures={"customers_all": "sum(case when segment_type = 'all' and age_months = 0 then at_risk_count end)"},
)


def _survival_columns(months: int) -> tuple[Field, ...]:
    name = f"survival_{months}_months"
    return (
        probability(name, f"Share of customers who have not churned within {months} months of the first order."),
        probability(f"{name}_lower", "Low end of its interval; NULL: nobody or everybody has churned by then."),
        probability(f"{name}_upper", "High end of its interval; NULL: nobody or everybody has churned by then."),
        status(f"{name}_status", "Why it is NULL: no member is that old.", "ok", "not_observed"),
    )


def _hazard_columns(period: str, ages: str) -> tuple[Field, ...]:
    return (
        count(f"{period}_churned_customer_count", f"First churns at {ages}."),
        count(f"{period}_exposure_days", f"Days at risk of members who had not churned, at {ages}."),
        Metric(
            f"{period}_monthly_hazard",
            RATIO,
            f"Risk of the first churn per customer-month at {ages}; may be above 1.",
            numerator=f"{period}_churned_customer_count",
            denominator=f"{period}_exposure_days",
            over="days",
            unit="churns per customer-month",
            status_column="hazard_status",
        ),
    )


_EARLY = "ages from churn.inactivity_days on, for 365 days"

SEGMENT_CHURN = Table(
    name="segment_churn",
    layer="gold",
    grain="one row per segment: who is lost at as_of by each of three definitions, and how long customers stay",
    key=("segment_id",),
    partition_by=SNAPSHOT,
    fields=(
        *_SEGMENT,
        count("customer_count", "Members."),
        count("fixed_rule_churned_customer_count", "Without an order for churn.inactivity_days."),
        Metric(
            "fixed_rule_churned_share",
            RATIO,
            "Share of the members lost by the fixed rule.",
            numerator="fixed_rule_churned_customer_count",
            denominator="customer_count",
            unit="ratio",
        ),
        _days("quantile_rule_first_gap_days", "gap_days of one-time buyers in order_gaps, at churn.gap_quantile."),
        _days("quantile_rule_later_gap_days", "gap_days of customers with two or more days with orders."),
        count("quantile_rule_judged_customer_count", "Members for whose kind of gap there is a quantile."),
        count("quantile_rule_churned_customer_count", "Of them, without an order for longer than that.", False),
        Metric(
            "quantile_rule_churned_share",
            RATIO,
            "Share of the judged members lost by the quantile rule.",
            numerator="quantile_rule_churned_customer_count",
            denominator="quantile_rule_judged_customer_count",
            unit="ratio",
            status_column="quantile_rule_status",
        ),
        status(
            "quantile_rule_status",
            "Whether the rule judges every member; no_rule: no quantile is reached, so the share is NULL.",
            "ok",
            "partly_judged",
            "no_rule",
        ),
        count("model_predicted_customer_count", "Members with a churn_probability in customer_predictions."),
        Field("model_churn_probability_sum", RATIO, "Expected number of them who have left; NULL: not predicted."),
        Metric(
            "model_churn_probability_avg",
            RATIO,
            "Mean churn_probability of the model.",
            numerator="model_churn_probability_sum",
            denominator="model_predicted_customer_count",
            over="amount",
            unit="ratio",
            status_column="model_status",
        ),
        status("model_status", "Whether the model speaks of every member.", "ok", "partly_predicted", "not_predicted"),
        count("ever_churned_customer_count", "Members who have churned by the fixed rule, also if they came back."),
        _months("restricted_mean_months", "Mean months to the first churn, as far as restricted_to_months (area)."),
        _months("restricted_mean_months_lower", "Low end of its interval; NULL: nobody has churned."),
        _months("restricted_mean_months_upper", "High end of its interval; NULL: nobody has churned."),
        Field(
            "restricted_to_months",
            "double",
            "churn.lifetime_cap_months, or the age of the oldest member if it is younger and some have not churned.",
            True,
            "restricted_to_months >= 0",
        ),
        status(
            "restricted_mean_status",
            "Whether the mean reaches the cap; not_observed: every first order is of as_of.",
            "ok",
            "observed_age_only",
            "not_observed",
        ),
        _months("median_lifetime_months", "Age by which half of the customers have churned."),
        _months("median_lifetime_months_lower", "Low end of its interval, also where the median is not reached."),
        _months("median_lifetime_months_upper", "High end of its interval; NULL: not reached."),
        status("median_lifetime_status", "Why the median is NULL.", "ok", "not_reached"),
        *(column for months in SURVIVAL_MONTHS for column in _survival_columns(months)),
        *_hazard_columns("early", _EARLY),
        *_hazard_columns("late", "later ages"),
        status(
            "hazard_status",
            "Why late_monthly_hazard is NULL (early_only), or both (not_observed).",
            "ok",
            "early_only",
            "not_observed",
        ),
        Field("expected_lifetime_months", RATIO, "1 / churn of segment_metrics at as_of, for comparison."),
        Field("lifetime_status", "string", "Why it is NULL, as in segment_metrics."),
        _AS_OF,
    ),
    rules=(
        ordered("restricted_mean_months_lower", "restricted_mean_months", "restricted_mean_months_upper"),
        ordered("median_lifetime_months_lower", "median_lifetime_months", "median_lifetime_months_upper"),
        Rule("lost_are_members", "fixed_rule_churned_customer_count <= customer_count", "who is lost is a member"),
        Rule(
            "churned_are_early_or_late",
            "early_churned_customer_count + late_churned_customer_count = ever_churned_customer_count",
            "each first churn is early or late",
        ),
    ),
    measures={
        "customers_all": "sum(case when segment_type = 'all' then customer_count end)",
        "churned_all": "sum(case when segment_type = 'all' then fixed_rule_churned_customer_count end)",
        "churned_types": "sum(fixed_rule_churned_customer_count)",
        "churned_totals": "sum(case when segment_type = 'all' then fixed_rule_churned_customer_count end)"
        " * count(distinct segment_type)",
    },
    adds_up_over="the segments of one type; by the quantile rule each is judged by its own gaps",
)

CHURN_REASONS = Table(
    name="churn_reasons",
    layer="gold",
    grain="one row per month, type and reason of churned contracts",
    key=("period_month", "churn_type", "churn_reason"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    fields=(
        Field("period_month", "date", "First day of the month.", required=True),
        Field("is_final", "boolean", "The month had ended at as_of.", required=True),
        status("churn_type", "Whether the customer wanted it.", *CHURN_TYPES),
        Field("churn_reason", "string", "As the source says, else paused or unpaid, else unknown.", required=True),
        count("churned_customer_count", "Customers whose MRR fell to 0 for this reason."),
        money("churn_amount", "MRR lost for this reason.", True),
        count("month_churned_customer_count", "Customers whose MRR fell to 0 in the month."),
        money("month_churn_amount", "MRR lost by churn in the month.", True),
        Metric(
            "customer_share",
            RATIO,
            "Share of the month's churned customers.",
            numerator="churned_customer_count",
            denominator="month_churned_customer_count",
            unit="ratio",
        ),
        Metric(
            "amount_share",
            RATIO,
            "Share of the month's churned MRR.",
            numerator="churn_amount",
            denominator="month_churn_amount",
            over="amount",
            unit="ratio",
        ),
        _AS_OF,
    ),
    rules=(
        Rule("has_churn", "churned_customer_count > 0 and churn_amount > 0", "a row counts a churn"),
        Rule("part_of_month", "churn_amount <= month_churn_amount", "a reason is a part of the month"),
    ),
    measures={
        "churn": "coalesce(sum(churn_amount), 0)",
        "churned_customers": "coalesce(sum(churned_customer_count), 0)",
    },
    adds_up_over="the months that have a row of it, for one type and reason: shares of the churn of these months",
)
