"""Gold table of what customers are worth against what they cost, and whether they pay."""

from __future__ import annotations

from clv_lib.contracts.acquisition_costs import CAC_TYPE, SEGMENT_TYPES, attributed
from clv_lib.contracts.columns import SNAPSHOT, money, status
from clv_lib.contracts.types import RATIO, Field, Metric, Rule, Table

_REASONS_OF_VALUE = ("ok", "historic_only", "value_unknown", "no_customers")
_PER_CUSTOMER = "currency per customer of the cohort"


def per_customer(name: str, meaning: str, total: str, status_column: str, defined_when: str | None = None) -> Metric:
    """A sum over the cohort per acquired customer."""
    return Metric(
        name,
        RATIO,
        meaning,
        numerator=total,
        denominator="customer_count",
        unit=_PER_CUSTOMER,
        over="amount",
        defined_when=defined_when,
        status_column=status_column,
    )


UNIT_ECONOMICS = Table(
    name="unit_economics",
    layer="gold",
    grain="one row per cohort month, type of CAC, and all, a channel, or a segment",
    key=("cohort_month", "cac_type", "channel", "segment_id"),
    partition_by=SNAPSHOT,
    fields=(
        Field("cohort_month", "date", "Month of the first order.", required=True),
        status("level", "What the row is of, as in acquisition_costs.", "all", "channel", "segment"),
        CAC_TYPE,
        Field("channel", "string", "Acquisition channel; all: every channel.", required=True),
        Field("segment_id", "string", "Segment; all:all: everybody.", required=True),
        Field("attribution_model", "string", "How customers got their channel.", required=True),
        attributed("customer_count", "Customers of the cohort; where several channels won one, their credits."),
        status("clv_basis", "What value is measured in.", "contribution_margin", "net_revenue"),
        Field("clv_horizon_days", "int", "Horizon of the predicted part, in days.", required=True),
        money(
            "historic_clv_total_amount", "Value so far of the cohort, in clv_basis; NULL: not known for each customer."
        ),
        money("predicted_clv_total_amount", "Predicted value over the horizon; NULL: not predicted for each customer."),
        money("clv_total_amount", "Both together; without predictions the value so far alone."),
        per_customer("historic_clv_avg", "Value so far.", "historic_clv_total_amount", "clv_status"),
        per_customer("predicted_clv_avg", "Predicted value.", "predicted_clv_total_amount", "clv_status"),
        per_customer("clv_amount", "Value so far and predicted.", "clv_total_amount", "clv_status"),
        status("clv_status", "What clv_amount holds.", *_REASONS_OF_VALUE),
        money("clv_lower_total_amount", "Value so far and the low end of the predicted one, for the whole cohort."),
        Field(
            "clv_lower_amount",
            RATIO,
            "Low end of the interval of clv_amount: the customers' own variances add up, errors of the parameters move"
            " all of them together, and the sum is taken as gamma-distributed.",
        ),
        Field("clv_upper_amount", RATIO, "High end of that interval."),
        Field("clv_interval_level", "double", "Level of both intervals of this table; NULL: nothing predicted."),
        status(
            "clv_interval_status",
            "What the interval holds; mean_only: the spend of a customer has no finite variance, so the ends are those"
            " of the expected value, without what customers do at random.",
            "ok",
            "mean_only",
            "not_predicted",
            "value_unknown",
            "no_customers",
        ),
        money(
            "spend_amount",
            "Spend on the cohort: that of the same row of acquisition_costs; NULL: spend_missing or spend_incomplete.",
        ),
        per_customer("cac_amount", "CAC of the same cohort.", "spend_amount", "payback_status"),
        Metric(
            "ltv_to_cac_ratio",
            RATIO,
            "Value over cost of the same customers.",
            numerator="clv_total_amount",
            denominator="spend_amount",
            unit="ratio",
            over="amount",
            status_column="ratio_status",
        ),
        status("ratio_status", "Why the ratio is NULL.", "ok", "zero_cac", "cac_unknown", "value_unknown"),
        Field("exposure_days", "bigint", "Customer-days since the first orders; NULL: no customers."),
        Metric(
            "monthly_value_per_customer",
            RATIO,
            "Value so far per customer-month.",
            numerator="historic_clv_total_amount",
            denominator="exposure_days",
            unit="currency per customer and month",
            over="days",
            status_column="simple_payback_status",
        ),
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
        Field(
            "forecast_payback_months",
            "int",
            "Where not_reached: months from the first-order month to that in which the value so far and the predicted"
            " value (discounted, straight between the horizons) reach the cost.",
            check="forecast_payback_months >= 0",
        ),
        Field("forecast_payback_months_lower", "int", "The same by the high end of the value; NULL: not by then."),
        Field("forecast_payback_months_upper", "int", "The same by the low end of the value; NULL: not by then."),
        status(
            "forecast_payback_status",
            "Where the forecast comes from; observed: see cac_payback_months; beyond_horizon: not within the longest"
            " horizon.",
            "ok",
            "observed",
            "beyond_horizon",
            "no_prediction",
            "cac_unknown",
            "value_unknown",
            "incomplete_month",
        ),
        money(
            "first_order_margin_total_amount", "Margin of the customers' first days; NULL: not known for each order."
        ),
        per_customer(
            "first_order_margin_amount",
            "Margin of the first day.",
            "first_order_margin_total_amount",
            "first_order_status",
        ),
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
        money(
            "payback_cap_total_amount", "Value from month 0 to month payback_cap_months; NULL until that month is over."
        ),
        per_customer(
            "payback_cap_value_amount", "Value by the cap month.", "payback_cap_total_amount", "max_cac_status"
        ),
        Field(
            "max_allowable_cac_amount",
            RATIO,
            "The smaller of clv_amount / target_ltv_to_cac and payback_cap_value_amount; 0 where it is not positive.",
        ),
        Field(
            "max_allowable_cac_conservative_amount",
            RATIO,
            "The same with clv_lower_amount; NULL: see clv_interval_status.",
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
        Rule(
            "forecast_where_not_reached",
            "(forecast_payback_status = 'ok') = (forecast_payback_months is not null)"
            " and (forecast_payback_status not in ('ok', 'beyond_horizon', 'no_prediction')"
            " or payback_status = 'not_reached')",
            "a payback is forecast where it was not reached, and nowhere else",
        ),
        Rule(
            "conservative_up_to_maximum",
            "coalesce(max_allowable_cac_conservative_amount <= max_allowable_cac_amount, true)",
            "the conservative maximum is not above the maximum",
        ),
    ),
    measures={
        "customers_all": "sum(case when level = 'all' and cac_type = 'blended' then customer_count end)",
        "customers_channels": "sum(case when level = 'channel' and cac_type = 'blended' then customer_count end)",
        "customers_segments": (
            "coalesce(sum(case when level = 'segment' and cac_type = 'blended' then customer_count end), 0)"
        ),
        "customers_all_by_types": (
            f"sum(case when level = 'all' and cac_type = 'blended' then customer_count end) * {SEGMENT_TYPES}"
        ),
    },
    adds_up_over="the cohort months, and the rows of one level (segments: of one type), of one CAC type",
)
