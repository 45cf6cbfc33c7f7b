"""Blocks of the report on customers, their value, churn, and the best segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clv_lib.contracts.predictions import NO_CHURN_SEEN
from clv_lib.report.text import amount, count, interval, labelled, percent, table

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

    from clv_lib.settings import Settings

BASIS_NAMES = {"contribution_margin": "contribution margin", "net_revenue": "net revenue"}
SEGMENT_LINES = 10

_CUSTOMERS = """
SELECT count(1) AS customers, count_if(is_active) AS active_customers, count_if(is_churned) AS churned_customers,
  count_if(is_repeat_customer) AS repeat_customers, sum(lifetime_order_count) AS orders,
  sum(lifetime_net_amount) AS net_revenue, sum(net_amount_365d) AS net_revenue_365d,
  sum(lifetime_refund_amount) AS refunds, max(value_basis) AS value_basis,
  count(historic_clv_amount) AS valued_customers, sum(historic_clv_amount) AS historic_value
FROM customer_metrics
"""

_PREDICTED = """
SELECT count(predicted_clv_amount) AS predicted_customers, sum(predicted_clv_amount) AS predicted_value,
  sum(expected_orders) AS expected_orders,
  max(case when prediction_status not in ('ok', '{no_churn}') then prediction_status end) AS problem,
  coalesce(bool_or(prediction_status = '{no_churn}'), false) AS is_no_churn_seen
FROM customer_predictions WHERE horizon_days = {horizon}
"""

_SEGMENTS = """
SELECT segment_type, segment_name, lifetime_customer_count, customer_share, value_share, predicted_clv_avg,
  CASE WHEN clv_basis = 'contribution_margin' THEN historic_margin_avg ELSE historic_clv_avg END AS historic_avg,
  churn_rate_12m, churn_rate_12m_lower, churn_rate_12m_upper,
  expected_lifetime_months, expected_lifetime_months_lower, lifetime_status,
  row_number() OVER (PARTITION BY segment_type ORDER BY clv_rank, segment_name) AS place
FROM segment_metrics
WHERE is_latest AND lifetime_customer_count > 0
ORDER BY segment_type, place
"""


def customer_figures(spark: SparkSession, settings: Settings) -> dict[str, Any]:
    """Counts, revenue, value so far and predicted value, by name."""
    horizon = settings.economics.horizon_days
    known = spark.sql(_CUSTOMERS).collect()[0].asDict()
    predicted = spark.sql(_PREDICTED.format(horizon=int(horizon), no_churn=NO_CHURN_SEEN)).collect()[0].asDict()
    problem = predicted.pop("problem")
    return {**known, "horizon_days": horizon, **predicted, "prediction_problem": problem}


def customers(figures: Mapping[str, Any], settings: Settings) -> list[str]:
    """How many customers, what they bought, and what they are worth so far and in the horizon."""
    currency = settings.reporting.currency
    total = figures["customers"]
    if not total:
        return labelled("Customers", "none: no valid order up to this day")
    basis = BASIS_NAMES[figures["value_basis"]]
    inactive = settings.churn.inactivity_days
    lines = labelled(
        "Customers",
        f"{count(total)}: {count(figures['active_customers'])} active ({_of(figures['active_customers'], total)}),"
        f" {count(figures['churned_customers'])} churned (no order for {inactive} days);"
        f" {_of(figures['repeat_customers'], total)} came back",
    )
    average = amount(figures["net_revenue"] / figures["orders"], currency)
    lines += labelled("Orders", f"{count(figures['orders'])}, on average {average}")
    lines += labelled(
        "Net revenue",
        f"{amount(figures['net_revenue'], currency)} after {amount(figures['refunds'], currency)} of refunds;"
        f" last 365 days {amount(figures['net_revenue_365d'], currency)}",
    )
    return lines + _value_lines(figures, settings, basis)


def _value_lines(figures: Mapping[str, Any], settings: Settings, basis: str) -> list[str]:
    total, valued, currency = figures["customers"], figures["valued_customers"], settings.reporting.currency
    if valued:
        text = f"{amount(figures['historic_value'] / valued, currency)} per customer in {basis}"
        text += f", known for {count(valued)} of them" if valued < total else ""
    else:
        text = f"not known: no customer has a complete {basis}"
    lines = labelled("Value so far", text)
    ahead, predicted = f"Next {figures['horizon_days']} days", figures["predicted_customers"]
    if not predicted:
        problem = figures["prediction_problem"] or "no customers"
        if problem == "too_few_customers":
            problem += f", fewer than predictions.minimum_customers ({settings.predictions.minimum_customers})"
        return lines + labelled(ahead, f"not predicted: {problem}")
    problem = "" if predicted == total else f", for {count(predicted)} of them ({figures['prediction_problem']})"
    problem += f" as if all of them stayed ({NO_CHURN_SEEN})" if figures["is_no_churn_seen"] else ""
    return lines + labelled(
        ahead,
        f"{amount(figures['predicted_value'] / predicted, currency)} per customer predicted{problem},"
        f" {amount(figures['predicted_value'], currency)} in total;"
        f" {count(round(figures['expected_orders'] or 0), 'day')} with orders",
    )


def segment_rows(spark: SparkSession) -> list[Row]:
    """Figures at as_of of each segment with members, best first within its type."""
    return spark.sql(_SEGMENTS).collect()


def churn(segments: Sequence[Row], settings: Settings) -> list[str]:
    """The pooled monthly churn rate of all customers with its interval, and the expected lifetime."""
    rows = [row for row in segments if row["segment_type"] == "all"]
    if not rows or rows[0]["churn_rate_12m"] is None:
        return labelled("Churn", "not known: no complete month with customers at its start")
    row, level = rows[0], percent(settings.churn.confidence_level, 0)
    lines = labelled(
        "Churn",
        f"{interval(row['churn_rate_12m'], row['churn_rate_12m_lower'], row['churn_rate_12m_upper'])}"
        f" of active customers a month, last 12 complete months ({level} interval)",
    )
    least = f"at least {amount(row['expected_lifetime_months_lower'], places=1)}"
    if row["lifetime_status"] == "zero_churn":
        return lines + labelled("Lifetime", f"{least} months; no customer churned, so it has no estimate")
    expected = amount(row["expected_lifetime_months"], places=1)
    return lines + labelled("Lifetime", f"{expected} months expected ({least})")


def best_segments(segments: Sequence[Row], settings: Settings) -> list[str]:
    """The segments of each type whose members are worth most, historic and predicted value together."""
    rows = [row for row in segments if row["segment_type"] != "all"]
    if not rows:
        return []
    types = len({row["segment_type"] for row in rows})
    per_type = max(1, SEGMENT_LINES // types)
    shown = [row for row in rows if row["place"] <= per_type]
    title = f"Best segments by value per member so far and in the next {settings.economics.horizon_days} days"
    header = ("type", "segment", "customers", "share", "of revenue", "so far", "predicted", "churn a month")
    return [f"{title} ({settings.reporting.currency})", *table(header, [_segment_cells(row) for row in shown], left=2)]


def _segment_cells(row: Row) -> tuple[str, ...]:
    return (
        row["segment_type"][:20],
        row["segment_name"][:20],
        count(row["lifetime_customer_count"]),
        percent(row["customer_share"], 0),
        percent(row["value_share"], 0),
        amount(row["historic_avg"]),
        amount(row["predicted_clv_avg"]),
        interval(row["churn_rate_12m"], row["churn_rate_12m_lower"], row["churn_rate_12m_upper"]),
    )


def _of(part: int, total: int) -> str:
    return percent(part / total, 0)
