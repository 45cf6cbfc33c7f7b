"""Table of contract retention: how long subscribers of each segment stay by sBG, and what they are worth."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, money, probability, status
from clv_lib.contracts.types import MONEY_SUM, RATIO, Field, Identity, Metric, Rule, Table

FIT_STATUSES = (
    "converged",
    "at_bound",
    "not_converged",
    "too_few_customers",
    "too_few_renewals",
    "no_losses",
    "no_renewals",
)

_MODEL = "NULL: see fit_status."
_LIFETIME = "NULL: see lifetime_status."


def _positive(name: str, meaning: str) -> Field:
    return Field(name, "double", meaning, check=f"{name} >= 0")


def _worth(name: str, meaning: str) -> Field:
    return Field(name, MONEY_SUM, meaning, check=f"{name} >= 0")


def _types_and_totals(name: str) -> dict[str, str]:
    total = f"coalesce(sum(case when segment_type = 'all' then {name} end), 0)"
    return {
        f"{name}_types": f"coalesce(sum(case when segment_type <> 'all' then {name} end), 0)",
        f"{name}_totals": f"{total} * greatest(count(distinct segment_type) - 1, 0)",
        f"{name}_all": total,
    }


CONTRACT_RETENTION = Table(
    name="contract_retention",
    layer="gold",
    grain="one row per segment with a subscriber so far; what is counted ends with the last complete month",
    key=("segment_id",),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    adds_up_over="the segments of one type",
    fields=(
        Field("segment_id", "string", "The segment; customers without orders are in all:all and TYPE:unknown.", True),
        Field("segment_type", "string", "Its type.", required=True),
        Field("segment_name", "string", "Its name.", required=True),
        Field("period_month", "date", "The last complete month.", required=True),
        count("lifetime_count", "Runs of months with MRR so far: from new or reactivation to churn, or still open."),
        count("renewal_count", "Months at whose start a subscriber could leave: renewals that were due."),
        count("lost_count", "Renewals that were not made."),
        Metric(
            "monthly_churn_rate",
            RATIO,
            "Renewals not made, per renewal due, of all ages and months.",
            numerator="lost_count",
            denominator="renewal_count",
            unit="ratio per month",
            status_column="simple_clv_status",
        ),
        count("subscriber_count", "Customers with MRR at the end of the month."),
        money("mrr_amount", "Their MRR.", True),
        Metric(
            "arpa_amount",
            RATIO,
            "MRR per subscriber.",
            numerator="mrr_amount",
            denominator="subscriber_count",
            unit="currency per customer and month",
            status_column="simple_clv_status",
        ),
        _positive("alpha", "sBG: chances to leave are Beta(alpha, beta)."),
        _positive("beta", "sBG: chances to leave are Beta(alpha, beta)."),
        _positive("alpha_standard_error", "NULL: not defined."),
        _positive("beta_standard_error", "NULL: not defined."),
        Field("log_likelihood", "double", "Of the lifetimes; NULL: not fitted."),
        status("fit_status", "Whether the model may be used: only converged.", *FIT_STATUSES),
        probability("survival_1m", f"Share of new subscribers left after 1 month (sBG). {_MODEL}"),
        probability("survival_12m", f"Share left after 12 months (sBG). {_MODEL}"),
        probability("observed_survival_12m", "The same as observed (Kaplan-Meier); NULL: nobody was seen so long."),
        _positive("expected_lifetime_months", f"Months that a new subscriber pays (sBG). {_LIFETIME}"),
        _positive("residual_lifetime_months", f"Further months that a present subscriber pays (sBG). {_LIFETIME}"),
        _positive("capped_lifetime_months", "As expected_lifetime_months, up to churn.lifetime_cap_months."),
        status("lifetime_status", "infinite_mean: alpha is 1 or less.", "ok", "infinite_mean", "no_model"),
        _worth("residual_value_amount", "Discounted MRR to come per present subscriber, by own MRR and age (DERL)."),
        _worth("new_subscriber_clv_amount", "arpa_amount x discounted months of a new subscriber (sBG)."),
        status(
            "clv_status",
            "Why the two amounts before are NULL.",
            "ok",
            "no_model",
            "no_subscribers",
            "infinite_lifetime",
        ),
        _worth("simple_clv_amount", "arpa_amount / monthly_churn_rate."),
        _worth("simple_discounted_clv_amount", "arpa_amount (1 + d) / (d + monthly_churn_rate), d rate per month."),
        status(
            "simple_clv_status",
            "Why the two amounts before are NULL.",
            "ok",
            "no_subscribers",
            "no_renewals_due",
            "zero_churn",
        ),
        Field("annual_discount_rate", "double", "predictions.annual_discount_rate.", True, "annual_discount_rate >= 0"),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule("no_more_lost_than_due", "lost_count <= renewal_count", "no more are lost than could be"),
        Rule(
            "only_converged_is_used",
            "(fit_status = 'converged') = (survival_12m is not null and capped_lifetime_months is not null)",
            "what was not fitted is not scored",
        ),
        Rule(
            "clv_if_ok",
            "(clv_status = 'ok') = (new_subscriber_clv_amount is not null and residual_value_amount is not null)",
            "there is a value if the status says so",
        ),
    ),
    measures={
        name: sql
        for column in ("lost_count", "renewal_count", "subscriber_count", "mrr_amount")
        for name, sql in _types_and_totals(column).items()
    },
)

_LAST_COMPLETE = "segment_type = 'all' and is_final and last_day(add_months(period_month, 1)) > as_of_date"

FINAL_MEASURES = {
    "final_lost": "coalesce(sum(case when segment_type = 'all' and is_final then churned_customer_count end), 0)",
    "final_due": "coalesce(sum(case when segment_type = 'all' and is_final then customer_count_start end), 0)",
    "final_customers": f"coalesce(sum(case when {_LAST_COMPLETE} then customer_count_end end), 0)",
    "final_mrr": f"coalesce(sum(case when {_LAST_COMPLETE} then mrr_end end), 0)",
}
"""Of `mrr_metrics`: what its complete months say of the sums above."""

RETENTION_IDENTITIES: tuple[Identity, ...] = (
    *(
        Identity(
            f"{column}_of_contracts",
            (("contract_retention", f"{column}_all"),),
            (("mrr_metrics", measure),),
            f"the lifetimes' {meaning} those of the complete months",
        )
        for column, measure, meaning in (
            ("lost_count", "final_lost", "losses are"),
            ("renewal_count", "final_due", "renewals are"),
            ("subscriber_count", "final_customers", "subscribers are"),
            ("mrr_amount", "final_mrr", "MRR is"),
        )
    ),
    *(
        Identity(
            f"contract_{column}_types",
            (("contract_retention", f"{column}_types"),),
            (("contract_retention", f"{column}_totals"),),
            f"segments of each type add up to the total's {column}",
        )
        for column in ("lost_count", "renewal_count", "subscriber_count", "mrr_amount")
    ),
)
"""Sums of contract retention that must agree exactly."""
