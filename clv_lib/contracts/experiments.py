"""Experiments: the input of assignments with its row rules, and the table of what the variants changed."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, probability, status
from clv_lib.contracts.types import (
    MONEY_SUM,
    RATIO,
    Field,
    Identity,
    InputContract,
    InputField,
    Metric,
    Rule,
    Table,
)

METRICS = ("net_revenue", "contribution_margin")
"""Values per customer that are compared, each in rows of its own."""

EXPERIMENT_ASSIGNMENTS = InputContract(
    name="experiment_assignments",
    grain="one row per customer and experiment",
    without="no experiments are known, so experiment_results is empty",
    key=("experiment_id", "customer_id"),
    fields=(
        InputField("experiment_id", "string", "Identifies the experiment.", required=True),
        InputField("variant", "string", "What the customer got; control: nothing.", required=True),
        InputField("customer_id", "string", "Who was assigned, spelled as in orders.", required=True),
        InputField("assigned_at", "timestamp", "When; without a zone: reporting time.", required=True),
    ),
)


def _difference(prefix: str, what: str) -> tuple[Field, ...]:
    return (
        Field(f"{prefix}difference_amount", "double", f"Mean of the variant less that of the control{what}."),
        Field(f"{prefix}difference_lower_amount", "double", "Low end of its interval (Welch)."),
        Field(f"{prefix}difference_upper_amount", "double", "High end of its interval (Welch)."),
        Field(f"{prefix}relative_uplift", "double", f"Mean of the variant / mean of the control - 1{what}."),
        Field(f"{prefix}relative_uplift_lower", "double", "Low end of its interval (Fieller)."),
        Field(f"{prefix}relative_uplift_upper", "double", "High end of its interval (Fieller)."),
        probability(f"{prefix}p_value", f"Of no difference, two-sided (Welch){what}."),
    )


def _mean(prefix: str, side: str) -> Metric:
    return Metric(
        f"{prefix}mean_value_amount",
        RATIO,
        f"Value per customer of the {side} in the outcome months.",
        numerator=f"{prefix}value_amount",
        denominator=f"{prefix}customer_count",
        unit="currency per customer",
        status_column="result_status",
    )


EXPERIMENT_RESULTS = Table(
    name="experiment_results",
    layer="gold",
    grain="one row per experiment, metric, segment and variant that is compared with the control",
    key=("experiment_id", "metric", "segment_id", "variant"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    adds_up_over="the segments of one type, of an experiment, metric and variant, where all have a result",
    fields=(
        Field("experiment_id", "string", "The experiment.", required=True),
        status("metric", "Value per customer that is compared.", *METRICS),
        Field("segment_id", "string", "The segment: of a type that the treatment cannot change.", required=True),
        Field("segment_type", "string", "Its type.", required=True),
        Field("segment_name", "string", "Its name; unknown: no order before the assignment.", required=True),
        Field("variant", "string", "The variant.", required=True),
        Field("control_variant", "string", "With which it is compared; NULL: no_control."),
        Field("outcome_months", "int", "Calendar months after that of the assignment that count.", True),
        count("customer_count", "Customers of the variant whose outcome months are over."),
        count("control_customer_count", "Customers of the control whose outcome months are over."),
        count("immature_customer_count", "Customers of the variant whose outcome months are not over: left out."),
        count("control_immature_customer_count", "Customers of the control whose outcome months are not over."),
        count("conflicting_customer_count", "Customers assigned to several variants of the experiment: left out."),
        Field("value_amount", MONEY_SUM, "Value of the variant's customers in the outcome months."),
        Field("control_value_amount", MONEY_SUM, "Value of the control's customers in the outcome months."),
        _mean("", "variant"),
        _mean("control_", "control"),
        *_difference("", ""),
        status(
            "uplift_status",
            "Why relative_uplift or its interval is NULL.",
            "ok",
            "control_not_positive",
            "control_may_be_zero",
            "no_result",
        ),
        *_difference("cuped_", ", adjusted by the value before the assignment"),
        Field("cuped_theta", "double", "Value after the assignment per value before it, within variants."),
        Field(
            "cuped_variance_reduction", "double", "Share of the difference's variance that the adjustment takes off."
        ),
        status("cuped_status", "Why adjusted figures are NULL.", "ok", "no_history", "no_result"),
        status("best_estimate", "Which difference to read, and which is tested.", "cuped", "difference", "none"),
        count("test_count", "Tests among which adjusted_p_value holds: variants and segments of the type."),
        probability("adjusted_p_value", "p-value of the best estimate, adjusted for test_count tests (Holm)."),
        Field("is_significant", "boolean", "adjusted_p_value is below 1 - confidence_level; NULL: no result."),
        Field("confidence_level", "double", "Of every interval.", True, "confidence_level between 0 and 1"),
        probability("srm_p_value", "Of the sizes of all variants of the experiment, if assigned as intended."),
        status("srm_status", "mismatch: srm_p_value below 0.001, do not trust.", "ok", "mismatch", "not_tested"),
        status(
            "result_status",
            "Why figures are NULL.",
            "ok",
            "no_control",
            "outcome_not_over",
            "too_few_customers",
            "margin_unknown",
            "no_variance",
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule(
            "ok_means_difference",
            "(result_status = 'ok') = (difference_amount is not null and p_value is not null"
            " and adjusted_p_value is not null and is_significant is not null)",
            "there is a difference if the status says so",
        ),
        Rule(
            "within_interval",
            "coalesce(difference_lower_amount <= difference_amount and difference_amount <= difference_upper_amount"
            " and coalesce(cuped_difference_lower_amount <= cuped_difference_upper_amount, true),"
            " difference_amount is null)",
            "each difference lies in its interval",
        ),
        Rule(
            "adjustment_is_not_smaller",
            "coalesce(adjusted_p_value >= case best_estimate when 'cuped' then cuped_p_value else p_value end, true)",
            "a p-value does not fall because there are more tests",
        ),
    ),
    measures={
        "customers_types": (
            "coalesce(sum(case when segment_type <> 'all' then customer_count + immature_customer_count end), 0)"
        ),
        "customers_totals": (
            "coalesce(sum(case when segment_type = 'all' then customer_count + immature_customer_count end), 0)"
            " * greatest(count(distinct segment_type) - 1, 0)"
        ),
    },
)

EXPERIMENT_IDENTITIES: tuple[Identity, ...] = (
    Identity(
        "experiment_customers_types",
        (("experiment_results", "customers_types"),),
        (("experiment_results", "customers_totals"),),
        "segments of each type add up to the experiment's customers",
    ),
)
"""Sums of experiments that must agree exactly."""


def assignment_rules(earliest_date: str) -> tuple[Rule, ...]:
    """Rules of one assignment; a broken rule's name is the reason in quarantine."""
    return (
        Rule("null_experiment_id", "experiment_id is not null", "the assignment names its experiment"),
        Rule("null_variant", "variant is not null", "the assignment names the variant"),
        Rule("null_customer_id", "customer_id is not null", "the assignment names its customer"),
        Rule("unreadable_assigned_at", "assigned_at is not null", "the time of the assignment can be read"),
        Rule(
            "before_earliest_date",
            f"assigned_date is null or assigned_date >= date'{earliest_date}'",
            f"the assignment is not before {earliest_date}",
        ),
    )
