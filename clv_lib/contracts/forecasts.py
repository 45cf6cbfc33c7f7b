"""Gold tables of the forecast: what is expected by month and segment, and how such forecasts of the past came out."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, money, status
from clv_lib.contracts.predictions import ordered
from clv_lib.contracts.types import MONEY_SUM, Field, Identity, Rule, Table

LEVELS = (80, 95)
"""Levels of the intervals, in per cent."""

MONTH, CUMULATIVE = "month", "cumulative"
EXISTING, NEW, ALL = "existing", "new", "all"
ORDERS, NET, MARGIN = "orders", "net", "margin"

_SEGMENT = (
    Field("segment_id", "string", "The segment; all:all is every customer.", required=True),
    Field("segment_type", "string", "Its type.", required=True),
    Field("segment_name", "string", "Its name.", required=True),
)
_PERIOD = status(
    "period_type", "month: of the row alone; cumulative: from the day after as_of, for totals.", MONTH, CUMULATIVE
)
_AHEAD = Field("months_ahead", "int", "Whole months after as_of; 0: the rest of its month.", True, "months_ahead >= 0")
_SEASONALITY = status(
    "seasonality_status",
    "Whether the history shows seasons; history_too_short: fewer than 24 months.",
    "seasonal",
    "not_seasonal",
    "history_too_short",
)
_AS_OF = Field("as_of_date", "date", "Last day that counts.", required=True)


def _ends(name: str, what: str) -> tuple[Field, ...]:
    return tuple(
        Field(f"{name}_{end}_{level}", MONEY_SUM, f"{'Low' if end == 'lower' else 'High'} end, {level} %, of {what}.")
        for level in LEVELS
        for end in ("lower", "upper")
    )


def _in_order(name: str) -> Rule:
    return ordered(f"{name}_lower_95", f"{name}_lower_80", f"{name}_upper_80", f"{name}_upper_95")


def _of_types(column: str) -> dict[str, str]:
    """Sums over segments of the existing customers of every type, and over types of the total; planned ones alike."""
    existing, planned = f"case when customer_group = '{EXISTING}'", f"case when customer_group = '{NEW}'"
    of_total = "segment_type = 'all'"
    types = "count(distinct case when customer_group = '{0}' then segment_type end)"
    return {
        f"{column}_existing": f"coalesce(sum({existing} then {column} end), 0)",
        f"{column}_existing_by_types": (
            f"coalesce(sum({existing} and {of_total} then {column} end), 0) * {types.format(EXISTING)}"
        ),
        f"{column}_new": f"coalesce(sum({planned} then {column} end), 0)",
        f"{column}_new_by_types": (
            f"coalesce(sum({planned} and {of_total} then {column} end), 0) * {types.format(NEW)}"
        ),
    }


REVENUE_FORECASTS = Table(
    name="revenue_forecasts",
    layer="gold",
    grain="one row per segment, month to come, kind of period and group of customers",
    key=("segment_id", "forecast_month", "period_type", "customer_group"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    fields=(
        *_SEGMENT,
        Field("forecast_month", "date", "First day of the month; of a cumulative row, of its last month.", True),
        _PERIOD,
        status(
            "customer_group",
            "existing: with an order up to as_of; new: planned; all: both, where customers are planned.",
            EXISTING,
            NEW,
            ALL,
        ),
        _AHEAD,
        Field("period_start_date", "date", "First day of the period.", required=True),
        Field("period_end_date", "date", "Last day of the period.", True, "period_start_date <= period_end_date"),
        Field("model_id", "string", "Models of orders and of spend.", required=True),
        Field("expected_orders", MONEY_SUM, "Expected orders; NULL: see forecast_status."),
        *_ends("orders", "the orders to come"),
        money("expected_net_amount", "Expected net revenue; NULL: see forecast_status."),
        *_ends("net", "the net revenue to come"),
        money("expected_margin_amount", "Expected contribution margin; NULL: see margin_status."),
        *_ends("margin", "the margin to come"),
        money("planned_new_customers", "Planned customers of the period; NULL: existing customers."),
        money("planned_spend_amount", "Their planned cost of acquisition; NULL: not planned."),
        Field("seasonal_index", "double", "Factor of the month: 1 is as without seasons; NULL: cumulative row."),
        _SEASONALITY,
        Field(
            "seasonality_p_value", "double", "Of the test for seasons, which shows them below 0.05; NULL: too short."
        ),
        status(
            "forecast_status",
            "Why figures are NULL; curve_too_short: no cohort has been observed for so long; model_unusable: no orders"
            " model, spend_model_unusable: no revenue.",
            "ok",
            "model_unusable",
            "spend_model_unusable",
            "curve_too_short",
        ),
        status("margin_status", "Why the margin is NULL.", "ok", "margin_unknown", "not_forecast"),
        status(
            "interval_method",
            "What the intervals hold: chance and estimated parameters (model); with the errors of the backtest beyond"
            " those (model_and_backtest).",
            "model",
            "model_and_backtest",
            "not_forecast",
        ),
        Field(
            "error_scale",
            "double",
            "Relative standard error of net revenue beyond chance and parameters, from the backtest of all customers or"
            " of the segment, whichever is larger; NULL: the backtest has no revenue.",
            check="error_scale >= 0",
        ),
        _AS_OF,
    ),
    rules=(
        _in_order("orders"),
        _in_order("net"),
        _in_order("margin"),
        Rule(
            "ok_means_forecast",
            "(forecast_status = 'ok') = (expected_net_amount is not null and expected_orders is not null)",
            "a forecast with status ok has orders and revenue",
        ),
        Rule(
            "known_margin_is_forecast",
            "(margin_status = 'ok') = (expected_margin_amount is not null)",
            "a margin is forecast or has a reason",
        ),
    ),
    measures={**_of_types("expected_orders"), **_of_types("expected_net_amount")},
)

FORECAST_BACKTEST = Table(
    name="forecast_backtest",
    layer="gold",
    grain="one row per earlier day, segment, month after it, kind of period and measure",
    key=("origin_date", "segment_id", "forecast_month", "period_type", "measure"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    fields=(
        Field("origin_date", "date", "Last day that the forecast knew.", required=True),
        *_SEGMENT,
        Field("forecast_month", "date", "First day of the month; of a cumulative row, of its last month.", True),
        _PERIOD,
        Field("months_ahead", "int", "Months after origin_date.", True, "months_ahead >= 1"),
        status("measure", "What is compared, of the customers who had ordered by origin_date.", ORDERS, NET, MARGIN),
        Field("actual_value", "double", "What came: orders or money."),
        Field("forecast_value", "double", "What was expected."),
        *(
            Field(f"{end}_{level}", "double", f"{'Low' if end == 'lower' else 'High'} end, {level} %.")
            for level in LEVELS
            for end in ("lower", "upper")
        ),
        *(Field(f"is_within_{level}", "boolean", f"The {level} % interval held it; NULL: none.") for level in LEVELS),
        Field("baseline_value", "double", "What the baseline said; NULL: no month to take it from."),
        status(
            "baseline",
            "seasonal_naive: the same months a year before, of the customers of a year before; last_month: the last"
            " month again, where there is no such year.",
            "seasonal_naive",
            "last_month",
        ),
        _SEASONALITY,
        status(
            "backtest_status", "Why figures are NULL.", "ok", "model_unusable", "spend_model_unusable", "margin_unknown"
        ),
        _AS_OF,
    ),
    rules=(ordered("lower_95", "lower_80", "upper_80", "upper_95"),),
)

FORECAST_ACCURACY = Table(
    name="forecast_accuracy",
    layer="gold",
    grain="one row per segment, kind of period and measure: the backtest of all earlier days together",
    key=("segment_id", "period_type", "measure"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    fields=(
        *_SEGMENT,
        _PERIOD,
        status("measure", "What is compared.", ORDERS, NET, MARGIN),
        count("origin_count", "Earlier days from which was forecast."),
        count("period_count", "Months, or sums of months, that were compared."),
        Field("bias_ratio", "double", "Sum of forecasts / sum of actual values; 1 is unbiased; NULL: nothing came."),
        Field("wape", "double", "Sum of absolute errors / sum of actual values.", check="wape >= 0"),
        Field("baseline_wape", "double", "The same of the baseline.", check="baseline_wape >= 0"),
        Field("beats_baseline", "boolean", "wape is below that of the baseline; NULL: one is not known."),
        *(
            Field(f"coverage_{level}", "double", f"Share of actual values in the {level} % interval.")
            for level in LEVELS
        ),
        _AS_OF,
    ),
)

FORECAST_TABLES = (REVENUE_FORECASTS, FORECAST_BACKTEST, FORECAST_ACCURACY)

FORECAST_IDENTITIES: tuple[Identity, ...] = tuple(
    Identity(
        f"forecast_{group}_{what}_total",
        ((REVENUE_FORECASTS.name, f"{column}_{group}"),),
        ((REVENUE_FORECASTS.name, f"{column}_{group}_by_types"),),
        f"segments of each type add up to the {what} expected of all {group} customers",
    )
    for group in (EXISTING, NEW)
    for what, column in (("orders", "expected_orders"), ("net", "expected_net_amount"))
)
