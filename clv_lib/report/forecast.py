"""The block of the report on the months to come: orders, revenue and margin, and how such forecasts came out before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clv_lib.report.text import MISSING, amount, count, labelled, percent, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Row, SparkSession

    from clv_lib.settings import Settings

_FORECAST = """
SELECT * FROM (
  SELECT *, max(months_ahead) OVER (PARTITION BY customer_group) AS last_month_ahead
  FROM revenue_forecasts WHERE segment_id = 'all:all'
)
WHERE (period_type = 'month' AND months_ahead <= 3)
  OR (period_type = 'cumulative' AND months_ahead = last_month_ahead)
ORDER BY period_type DESC, forecast_month, CASE customer_group WHEN 'existing' THEN 1 WHEN 'new' THEN 2 ELSE 3 END
"""

_ACCURACY = """
SELECT * FROM forecast_accuracy WHERE segment_id = 'all:all' AND measure = 'net' AND period_type = 'month'
"""


def forecast(spark: SparkSession, settings: Settings) -> list[str]:
    """The next three months and all that are forecast together, with 80 % intervals; nothing if none is."""
    return forecast_lines(spark.sql(_FORECAST).collect(), spark.sql(_ACCURACY).collect(), settings.reporting.currency)


def forecast_lines(rows: Sequence[Row], accuracy: Sequence[Row], currency: str) -> list[str]:
    """The block from rows of `revenue_forecasts` of all customers and of `forecast_accuracy`."""
    if not rows:
        return []
    problem = rows[0]["forecast_status"]
    if rows[0]["expected_orders"] is None:
        return labelled("Forecast", f"none: {problem}")
    header = ("until", "customers", "orders", "net revenue", "80 % interval", "margin")
    lines = [f"Forecast by month and in total ({currency}; {_seasons(rows[0])})"]
    groups = {row["customer_group"] for row in rows}
    months = "all" if "all" in groups else "existing"
    shown = [row for row in rows if row["period_type"] == "cumulative" or row["customer_group"] == months]
    lines += table(header, [_cells(row) for row in shown], left=2)
    if "new" not in groups:
        lines += labelled("", "no new customers are planned: existing customers alone")
    return lines + _accuracy_lines(accuracy)


def _cells(row: Row) -> tuple[str, ...]:
    ends = row["net_lower_80"], row["net_upper_80"]
    is_month = row["period_type"] == "month"
    return (
        f"{row['period_end_date']:%Y-%m-%d}" if is_month else f"total {row['period_end_date']:%Y-%m-%d}",
        row["customer_group"],
        MISSING if row["expected_orders"] is None else count(round(row["expected_orders"])),
        amount(row["expected_net_amount"], places=0),
        MISSING if None in ends else f"{amount(ends[0], places=0)} to {amount(ends[1], places=0)}",
        amount(row["expected_margin_amount"], places=0),
    )


def _seasons(row: Row) -> str:
    p_value = row["seasonality_p_value"]
    known = "" if p_value is None else f", p = {p_value:.3f}"
    said = {
        "seasonal": f"with the seasons of the history{known}",
        "not_seasonal": f"the history shows no seasons{known}",
        "history_too_short": "history too short to show seasons",
    }
    return said[row["seasonality_status"]]


def _accuracy_lines(accuracy: Sequence[Row]) -> list[str]:
    if not accuracy or accuracy[0]["wape"] is None:
        return labelled("", "not compared with the past: too short")
    row = accuracy[0]
    baseline = row["baseline_wape"]
    beaten = "" if baseline is None else f" (a simple rule: {percent(baseline)})"
    return labelled(
        "",
        f"the same from {count(row['origin_count'], 'earlier day')}, existing customers: monthly revenue was off by"
        f" {percent(row['wape'])}{beaten}, {percent(row['coverage_80'], 0)} of months within the 80 % interval",
    )
