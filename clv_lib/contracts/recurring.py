"""Gold tables of recurring revenue: what moved per customer and month, and figures of segments."""

from __future__ import annotations

from typing import TypedDict

from clv_lib.contracts.columns import SNAPSHOT, count, money, share, status, within
from clv_lib.contracts.contract_retention import FINAL_MEASURES, RETENTION_IDENTITIES
from clv_lib.contracts.subscriptions import CHURN_TYPES
from clv_lib.contracts.types import MONEY_SUM, RATIO, Divisor, Field, Identity, Metric, Rule, Table

MOVEMENTS = ("new", "reactivation", "expansion", "contraction", "churn")
"""Kinds of movement, each of which has an amount; a month without one is of the kind `none`."""


class _Declared(TypedDict):
    """What several metrics have in common."""

    over: Divisor
    unit: str
    defined_when: str
    status_column: str


_BRIDGE = Rule(
    "bridge",
    "mrr_start + new_amount + reactivation_amount + expansion_amount - contraction_amount - churn_amount = mrr_end",
    "start + new + reactivation + expansion - contraction - churn = end",
)

MRR_MOVEMENTS = Table(
    name="mrr_movements",
    layer="gold",
    grain="one row per customer and month from the first with MRR to that of the last churn, or of as_of",
    key=("customer_id", "period_month"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    fields=(
        Field("customer_id", "string", "The customer.", required=True),
        Field("period_month", "date", "First day of the month.", required=True),
        Field("mrr_start", MONEY_SUM, "MRR at the end of the month before.", True, "mrr_start >= 0"),
        *(Field(f"{kind}_amount", MONEY_SUM, f"MRR by {kind}.", True, f"{kind}_amount >= 0") for kind in MOVEMENTS),
        Field("mrr_end", MONEY_SUM, "MRR at the end of the month, or at as_of.", True, "mrr_end >= 0"),
        status("movement_type", "What happened in the month.", *MOVEMENTS, "none"),
        Field("churn_type", "string", "NULL: no churn.", check=within("churn_type", CHURN_TYPES)),
        Field("churn_reason", "string", "As the source says, else paused or unpaid, else unknown; NULL: no churn."),
        Field("paying_since_month", "date", "First month of the run of months with MRR; NULL: no MRR at the end."),
        Field("mrr_12m_before", MONEY_SUM, "mrr_end 12 months before; 0: none then.", True, "mrr_12m_before >= 0"),
        Field("is_final", "boolean", "The month had ended at as_of.", required=True),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        _BRIDGE,
        Rule(
            "movement_of_amounts",
            "movement_type = case when mrr_start = mrr_end then 'none' when mrr_end = 0 then 'churn'"
            " when mrr_start > 0 and mrr_end > mrr_start then 'expansion' when mrr_start > 0 then 'contraction'"
            " when new_amount > 0 then 'new' else 'reactivation' end",
            "0 to something is new or reactivation, something to 0 is churn, more is expansion, less is contraction",
        ),
        Rule("churn_has_type", "(movement_type = 'churn') = (churn_type is not null)", "each churn has a type"),
        Rule("paying_has_since", "(mrr_end > 0) = (paying_since_month is not null)", "who pays does so since a month"),
    ),
    measures={
        "mrr_starts": "coalesce(sum(mrr_start), 0)",
        "mrr_ends": "coalesce(sum(case when period_month < trunc(as_of_date, 'month') then mrr_end end), 0)",
        "mrr_now": "coalesce(sum(case when period_month = trunc(as_of_date, 'month') then mrr_end end), 0)",
        "churn": "coalesce(sum(churn_amount), 0)",
        "new_customers": "count_if(movement_type = 'new')",
        "churned_customers": "count_if(movement_type = 'churn')",
    },
)

_RATE_OF_MONTH: _Declared = {
    "over": "amount",
    "unit": "ratio per month",
    "defined_when": "is_final",
    "status_column": "churn_status",
}
_RETENTION_OF_YEAR: _Declared = {
    "over": "amount",
    "unit": "ratio per 12 months",
    "defined_when": "is_final",
    "status_column": "retention_status",
}
_WON_PER_LOST: _Declared = {
    "over": "amount",
    "unit": "ratio",
    "defined_when": "is_final",
    "status_column": "quick_ratio_status",
}


def _of_total(name: str, value: str) -> dict[str, str]:
    """Measures `<name>_types`: the sum over all segments; `<name>_totals`: that of the total once per type."""
    total = f"coalesce(sum(case when segment_type = 'all' then {value} end), 0)"
    return {
        f"{name}_types": f"coalesce(sum(case when segment_type <> 'all' then {value} end), 0)",
        f"{name}_totals": f"{total} * greatest(count(distinct segment_type) - 1, 0)",
    }


MRR_METRICS = Table(
    name="mrr_metrics",
    layer="gold",
    grain="one row per segment and calendar month from its first MRR to as_of; members are those at as_of",
    key=("segment_id", "period_month"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    fields=(
        Field("segment_id", "string", "The segment; customers without orders are in all:all and TYPE:unknown.", True),
        Field("segment_type", "string", "Its type.", required=True),
        Field("segment_name", "string", "Its name.", required=True),
        Field("period_month", "date", "First day of the month.", required=True),
        Field("is_final", "boolean", "The month had ended at as_of.", required=True),
        Field("is_latest", "boolean", "The month of as_of.", required=True),
        Field("mrr_start", MONEY_SUM, "MRR at the end of the month before.", True, "mrr_start >= 0"),
        *(Field(f"{kind}_amount", MONEY_SUM, f"MRR by {kind}.", True, f"{kind}_amount >= 0") for kind in MOVEMENTS),
        Field("mrr_end", MONEY_SUM, "MRR at the end of the month, or at as_of.", True, "mrr_end >= 0"),
        *(money(f"{kind}_churn_amount", f"MRR lost by {kind} churn.", True) for kind in CHURN_TYPES),
        count("customer_count_start", "Customers with MRR at the end of the month before."),
        count("new_customer_count", "Customers who paid for the first time."),
        count("reactivated_customer_count", "Customers who came back."),
        count("churned_customer_count", "Customers whose MRR fell to 0."),
        *(count(f"{kind}_churned_customer_count", f"Of them by {kind} churn.") for kind in CHURN_TYPES),
        count("customer_count_end", "Customers with MRR at the end of the month, or at as_of."),
        Metric(
            "gross_mrr_churn_rate",
            RATIO,
            "MRR lost by churn and contraction, per MRR at the start.",
            numerator="churn_amount + contraction_amount",
            denominator="mrr_start",
            **_RATE_OF_MONTH,
        ),
        Metric(
            "net_mrr_churn_rate",
            RATIO,
            "MRR lost less MRR won by expansion and reactivation, per MRR at the start; may be negative.",
            numerator="churn_amount + contraction_amount - expansion_amount - reactivation_amount",
            denominator="mrr_start",
            source="ChartMogul, net MRR churn rate",
            **_RATE_OF_MONTH,
        ),
        Metric(
            "monthly_churn_rate",
            RATIO,
            "Customers whose MRR fell to 0, per customer with MRR at the start.",
            numerator="churned_customer_count",
            denominator="customer_count_start",
            unit="ratio per month",
            defined_when="is_final",
            status_column="churn_status",
        ),
        share("churn_rate_lower", "Wilson interval of monthly_churn_rate at churn.confidence_level."),
        share("churn_rate_upper", "Wilson interval of monthly_churn_rate at churn.confidence_level."),
        status("churn_status", "Why the month's rates are NULL.", "ok", "no_starting_mrr", "incomplete_month"),
        money("mrr_12m_before", "MRR of the members at the end of the month 12 months before; NULL: short_history."),
        money(
            "retained_net_amount", "MRR now of those of them who stayed (recurring.retention_counts_reactivated).", True
        ),
        money("retained_gross_amount", "The same, of each customer at most the MRR of then.", True),
        Metric(
            "nrr_12m",
            RATIO,
            "Net revenue retention: MRR now of the customers of 12 months before, per their MRR then.",
            numerator="retained_net_amount",
            denominator="mrr_12m_before",
            **_RETENTION_OF_YEAR,
        ),
        Metric(
            "grr_12m",
            RATIO,
            "Gross revenue retention: the same without expansion.",
            check="grr_12m between 0 and 1",
            numerator="retained_gross_amount",
            denominator="mrr_12m_before",
            **_RETENTION_OF_YEAR,
        ),
        status(
            "retention_status",
            "Why nrr_12m and grr_12m are NULL.",
            "ok",
            "short_history",
            "no_starting_mrr",
            "incomplete_month",
        ),
        Metric(
            "quick_ratio",
            RATIO,
            "MRR won per MRR lost.",
            numerator="new_amount + expansion_amount + reactivation_amount",
            denominator="contraction_amount + churn_amount",
            **_WON_PER_LOST,
        ),
        Metric(
            "quick_ratio_without_reactivation",
            RATIO,
            "The same without MRR of customers who came back, as many vendors have it.",
            numerator="new_amount + expansion_amount",
            denominator="contraction_amount + churn_amount",
            **_WON_PER_LOST,
        ),
        status("quick_ratio_status", "Why the quick ratios are NULL.", "ok", "no_losses", "incomplete_month"),
        Metric(
            "arpa_amount",
            RATIO,
            "Average revenue per account: MRR per customer with MRR.",
            numerator="mrr_end",
            denominator="customer_count_end",
            unit="currency per customer and month",
            status_column="arpa_status",
        ),
        status("arpa_status", "Why arpa_amount is NULL.", "ok", "no_active_subscribers"),
        money("arr_amount", "12 x mrr_end.", True),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        _BRIDGE,
        Rule(
            "customers_bridge",
            "customer_count_start + new_customer_count + reactivated_customer_count - churned_customer_count"
            " = customer_count_end",
            "start + new + reactivated - churned = end",
        ),
        Rule(
            "churn_of_types",
            "voluntary_churn_amount + involuntary_churn_amount + unknown_churn_amount = churn_amount",
            "the types of churn add up to the churn",
        ),
        Rule(
            "churned_customers_of_types",
            "voluntary_churned_customer_count + involuntary_churned_customer_count + unknown_churned_customer_count"
            " = churned_customer_count",
            "the types of churn add up to the churned customers",
        ),
    ),
    measures={
        "mrr_starts": "coalesce(sum(mrr_start), 0)",
        "mrr_ends": "coalesce(sum(case when not is_latest then mrr_end end), 0)",
        "mrr_now": "coalesce(sum(case when segment_type = 'all' and is_latest then mrr_end end), 0)",
        "churn": "coalesce(sum(case when segment_type = 'all' then churn_amount end), 0)",
        "new_customers": "coalesce(sum(case when segment_type = 'all' then new_customer_count end), 0)",
        **_of_total("mrr", "mrr_end"),
        **_of_total("churn", "churn_amount"),
        **_of_total("customers", "customer_count_end"),
        **FINAL_MEASURES,
    },
    adds_up_over="the segments of one type in one month",
)


def _within(table: str, left: str, right: str, meaning: str) -> Identity:
    return Identity(f"{table}_{left}", ((table, left),), ((table, right),), meaning)


RECURRING_IDENTITIES: tuple[Identity, ...] = (
    Identity(
        "mrr_of_periods",
        (("mrr_movements", "mrr_now"),),
        (("subscription_periods", "mrr_now"),),
        "MRR at as_of is that of the open periods",
    ),
    *(
        Identity(f"{name}_of_movements", (("mrr_metrics", name),), (("mrr_movements", name),), meaning)
        for name, meaning in (
            ("mrr_now", "the total's MRR at as_of is that of the customers"),
            ("churn", "the total's churn is that of the customers"),
            ("new_customers", "the total's new customers are those of the movements"),
        )
    ),
    *(
        _within(table, "mrr_ends", "mrr_starts", "a month starts with the MRR with which the one before ended")
        for table in ("mrr_movements", "mrr_metrics")
    ),
    *(
        _within("mrr_metrics", f"{name}_types", f"{name}_totals", f"segments of each type add up to the total's {name}")
        for name in ("mrr", "churn", "customers")
    ),
    *RETENTION_IDENTITIES,
)
"""Sums of recurring revenue that must agree exactly."""
