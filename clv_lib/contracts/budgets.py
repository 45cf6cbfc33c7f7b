"""Gold tables of what may be spent: on new customers of a channel or segment, and on keeping those of a segment."""

from __future__ import annotations

from clv_lib.contracts.acquisition_costs import attributed
from clv_lib.contracts.columns import SNAPSHOT, count, money, status
from clv_lib.contracts.types import RATIO, Field, Identity, Metric, Rule, Table

MARKETING_BUDGETS = Table(
    name="marketing_budgets",
    layer="gold",
    grain="one row per month to come (the next three, and those planned) and channel or planned segment",
    key=("period_month", "channel", "segment_id"),
    partition_by=SNAPSHOT,
    fields=(
        Field("period_month", "date", "First day of the month.", required=True),
        Field("channel", "string", "Acquisition channel; all: every channel.", required=True),
        Field("segment_id", "string", "Planned segment; all:all: everybody, as of the channels.", required=True),
        attributed(
            "customer_count",
            "Customers of the cohorts behind clv_amount: the latest 12 complete months, those whose value is known.",
        ),
        money("clv_total_amount", "Value of these cohorts so far and predicted; NULL: none known."),
        Metric(
            "clv_amount",
            RATIO,
            "Value of a customer.",
            numerator="clv_total_amount",
            denominator="customer_count",
            unit="currency per customer",
            over="amount",
            status_column="max_cac_status",
        ),
        money("clv_lower_total_amount", "Sum of the cohorts' low ends; NULL: one of them has none."),
        attributed(
            "payback_cap_customer_count",
            "Customers of the cohorts behind the cap: the latest 12 whose month payback_cap_months is over.",
        ),
        money("payback_cap_total_amount", "What these cohorts had earned by that month; NULL: none known."),
        Metric(
            "payback_cap_value_amount",
            RATIO,
            "Value of a customer by the cap month.",
            numerator="payback_cap_total_amount",
            denominator="payback_cap_customer_count",
            unit="currency per customer",
            over="amount",
            status_column="max_cac_status",
        ),
        Field("target_ltv_to_cac", RATIO, "Ratio that a new customer must reach.", required=True),
        Field("payback_cap_months", "int", "Months after which a new customer must have paid its cost.", True),
        Field(
            "max_allowable_cac_amount",
            RATIO,
            "The most that a new customer may cost: the smaller of clv_amount / target_ltv_to_cac and"
            " payback_cap_value_amount; 0 where it is not positive.",
        ),
        Field(
            "max_allowable_cac_conservative_amount",
            RATIO,
            "The same with the low end of the value; NULL: it has none.",
        ),
        status(
            "max_cac_status",
            "How the maximum is to be read; cap_month_not_observed: by the ratio alone; historic_only: a cohort has no"
            " prediction.",
            "ok",
            "historic_only",
            "cap_month_not_observed",
            "unprofitable",
            "value_unknown",
        ),
        Field(
            "planned_new_customers", RATIO, "Planned new customers; NULL: no plan.", check="planned_new_customers >= 0"
        ),
        money("planned_spend_amount", "Planned spend; NULL: no plan."),
        money("budget_ceiling_amount", "max_allowable_cac_amount x planned_new_customers."),
        money("budget_ceiling_conservative_amount", "The same with the conservative maximum."),
        Field(
            "is_within_ceiling", "boolean", "planned_spend_amount is at most budget_ceiling_amount; NULL: not known."
        ),
        status("budget_status", "Why there is no ceiling.", "ok", "no_plan", "max_cac_unknown"),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule(
            "ceiling_where_planned",
            "(budget_status = 'ok') = (budget_ceiling_amount is not null)",
            "a ceiling is there exactly where its status says so",
        ),
    ),
    adds_up_over="the channels of one month, or its segments of one type",
)

RETENTION_BUDGETS = Table(
    name="retention_budgets",
    layer="gold",
    grain="one row per segment and variant of an experiment on it; experiment_id none: no experiment",
    key=("segment_id", "experiment_id", "variant"),
    partition_by=SNAPSHOT,
    fields=(
        Field("segment_id", "string", "The segment; all:all is every customer.", required=True),
        Field("experiment_id", "string", "The experiment that measured the uplift.", required=True),
        Field("variant", "string", "What the customers got in it; none: no experiment.", required=True),
        count("predicted_customer_count", "Members with a predicted value."),
        money("residual_clv_amount", "Expected discounted value of all their future orders; NULL: see budget_status."),
        Field("relative_uplift", "double", "Measured uplift of value per customer, as a ratio; NULL: no experiment."),
        Field("relative_uplift_lower", "double", "Low end of its interval."),
        money(
            "max_retention_spend_amount",
            "residual_clv_amount x relative_uplift, as if the uplift held for all future orders; 0 where it is not"
            " positive.",
        ),
        money("max_retention_spend_conservative_amount", "The same with the low end; 0 where it is not positive."),
        Metric(
            "max_retention_spend_per_customer",
            RATIO,
            "The ceiling for a customer.",
            numerator="max_retention_spend_amount",
            denominator="predicted_customer_count",
            unit="currency per customer",
            status_column="budget_status",
        ),
        status(
            "budget_status",
            "no_uplift_estimate: no experiment, no figure; not_significant: the uplift may be chance; no_uplift: it is"
            " not positive; no_residual_value: nothing predicted, or no discount.",
            "ok",
            "not_significant",
            "no_uplift",
            "no_uplift_estimate",
            "no_residual_value",
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule(
            "ceiling_where_measured",
            "(budget_status in ('ok', 'not_significant', 'no_uplift')) = (max_retention_spend_amount is not null)",
            "a ceiling is there exactly where an uplift was measured",
        ),
    ),
    adds_up_over="the segments of one type with one variant of an experiment",
)

_COSTS, _ECONOMICS = "acquisition_costs", "unit_economics"


def _agree(name: str, table: str, left: str, right: str, meaning: str) -> Identity:
    return Identity(name, ((table, left),), ((table, right),), meaning)


ECONOMIC_IDENTITIES: tuple[Identity, ...] = (
    _agree("channels_spend_total", _COSTS, "spend_channel", "spend_all", "channels add up to all spend"),
    _agree("channels_new_total", _COSTS, "new_channel", "new_all", "channels add up to all new customers"),
    _agree("campaigns_spend_total", _COSTS, "spend_campaign", "spend_all", "campaigns add up to all spend"),
    _agree("campaigns_new_total", _COSTS, "new_campaign", "new_all", "campaigns add up to all new customers"),
    _agree(
        "cost_segments_spend_total",
        _COSTS,
        "spend_segment",
        "spend_all_by_types",
        "segments of each type add up to all spend",
    ),
    _agree(
        "cost_segments_new_total",
        _COSTS,
        "new_segment",
        "new_all_by_types",
        "segments of each type add up to all new customers",
    ),
    _agree(
        "models_new_total",
        _COSTS,
        "new_all",
        "new_primary_by_rows",
        "by every attribution model and lag the new customers are the same",
    ),
    Identity(
        "new_customers_have_costs",
        ((_COSTS, "new_primary"),),
        (("customer_metrics", "customers"),),
        "every customer is a new customer once",
    ),
    Identity(
        "credits_are_customers",
        (("acquisition_credits", "credits"),),
        (("acquisition_credits", "customers_by_models"),),
        "the credits of a customer by a model add up to 1",
    ),
    Identity(
        "cohorts_customers_total",
        ((_ECONOMICS, "customers_all"),),
        (("customer_metrics", "customers"),),
        "cohorts add up to all customers",
    ),
    _agree(
        "cohort_channels_customers_total",
        _ECONOMICS,
        "customers_channels",
        "customers_all",
        "channels add up to all customers",
    ),
    _agree(
        "economic_segments_customers_total",
        _ECONOMICS,
        "customers_segments",
        "customers_all_by_types",
        "segments of each type add up to all customers",
    ),
)
