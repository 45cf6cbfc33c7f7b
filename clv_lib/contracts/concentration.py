"""Gold table of how value is spread over segments and over their customers, and what less churn would be worth."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, money, share, status, sums_by_type
from clv_lib.contracts.types import RATIO, Field, Metric, Table


def _rank(name: str, meaning: str) -> Field:
    return Field(name, "int", f"{meaning}; ties share a rank.", check=f"{name} >= 1")


def _average(kind: str, meaning: str) -> Metric:
    return Metric(
        f"{kind}_value_avg",
        RATIO,
        meaning,
        numerator=f"{kind}_value_amount",
        denominator="customer_count",
        unit="currency per customer",
        status_column=f"{kind}_status",
    )


def _spread(kind: str, meaning: str) -> tuple[Field, ...]:
    return (
        Field(
            f"{kind}_gini",
            RATIO,
            f"Gini coefficient of {meaning} over the members, 0 if all are worth the same; at most 0.0025 too low.",
            check=f"{kind}_gini >= 0",
        ),
        Field(
            f"{kind}_top_decile_share", RATIO, f"Share of {meaning} that the most valuable tenth of the members has."
        ),
    )


SEGMENT_CONCENTRATION = Table(
    name="segment_concentration",
    layer="gold",
    grain="one row per segment; members and values are those at as_of",
    key=("segment_id",),
    partition_by=SNAPSHOT,
    fields=(
        Field("segment_id", "string", "The segment.", required=True),
        Field("segment_type", "string", "Its type.", required=True),
        Field("segment_name", "string", "Its name.", required=True),
        status("value_basis", "What value is measured in.", "contribution_margin", "net_revenue"),
        count("customer_count", "Members."),
        count("order_count", "Their orders so far."),
        money("net_amount", "Their net revenue so far.", True),
        share("customer_share", "Share of the customers of the segment type."),
        money("historic_value_amount", "Value so far, in value_basis; NULL: value_unknown."),
        _average("historic", "Value so far per member."),
        share("historic_value_share", "Share of the value so far of the segment type; NULL: total 0 or not known."),
        _rank("historic_rank", "1: highest value so far per member within the type"),
        *_spread("historic", "value so far"),
        status(
            "historic_status",
            "Why figures of value so far are NULL; not_positive: the sum is not above 0, so it cannot be shared out.",
            "ok",
            "value_unknown",
            "not_positive",
        ),
        money("predicted_value_amount", "Predicted value over economics.horizon_days; NULL: see predicted_status."),
        _average("predicted", "Predicted value per member."),
        share("predicted_value_share", "Share of the predicted value of the segment type."),
        _rank("predicted_rank", "1: highest predicted value per member within the type"),
        status("predicted_status", "Why predicted figures are NULL.", "ok", "not_predicted"),
        money("total_value_amount", "Value so far and predicted value; NULL: one of them is not known."),
        *_spread("total", "value so far and predicted value"),
        status(
            "total_status",
            "Why figures of the total are NULL, as historic_status and predicted_status.",
            "ok",
            "value_unknown",
            "not_predicted",
            "not_positive",
        ),
        count("active_customer_count", "Members who had not churned at as_of."),
        status("clv_basis", "What the formula CLV is measured in.", "contribution_margin", "net_revenue"),
        Field(
            "churn_point_gain_avg",
            RATIO,
            "By how much clv_formula_amount rises if churn_rate_12m falls by 0.01, per active customer.",
        ),
        Field("churn_point_gain_amount", RATIO, "churn_point_gain_avg x active_customer_count."),
        Field(
            "churn_point_discounted_gain_avg",
            RATIO,
            "The same for clv_discounted_amount.",
        ),
        Field("churn_point_discounted_gain_amount", RATIO, "The same x active_customer_count."),
        status(
            "churn_point_status",
            "Why the gains are NULL; churn_below_a_point: churn_rate_12m is 0.01 or less.",
            "ok",
            "churn_below_a_point",
            "no_starting_customers",
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    measures=sums_by_type({"customers": "customer_count", "orders": "order_count", "net": "net_amount"}),
    adds_up_over="the segments of one type",
)
