"""The block of the report on what customers cost: CAC, LTV:CAC and the most that a customer may cost, by channel.

Ratios are made from sums over cohorts, never from averages of ratios.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from clv_lib.contracts.acquisitions import UNATTRIBUTED
from clv_lib.report.text import MISSING, amount, count, labelled, table

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

    from clv_lib.settings import Settings

_PAYBACK_AGE_MONTHS = 6
"""Younger cohorts had no time to pay back."""

_BY_CHANNEL = """
WITH months AS (
  SELECT channel, period_month, new_customer_count,
    CASE WHEN cac_status <> 'spend_incomplete' THEN spend_amount END AS spend_amount,
    is_final AND period_month > add_months(max(CASE WHEN is_final THEN period_month END) OVER (), -12) AS is_recent
  FROM acquisition_costs WHERE cac_type = 'fully_loaded' AND is_primary AND level IN ('all', 'channel')
)
SELECT months.channel,
  CAST(round(sum(new_customer_count)) AS BIGINT) AS customers,
  sum(CASE WHEN months.spend_amount IS NOT NULL THEN new_customer_count END) AS paid_customers,
  count_if(months.spend_amount IS NULL AND new_customer_count > 0) AS missing_months,
  sum(months.spend_amount) AS spend,
  sum(CASE WHEN is_recent THEN months.spend_amount END) AS recent_spend,
  sum(CASE WHEN is_recent AND months.spend_amount IS NOT NULL THEN new_customer_count END) AS recent_customers,
  sum(clv_total_amount) AS clv,
  sum(CASE WHEN clv_total_amount IS NOT NULL THEN customer_count END) AS valued_customers,
  sum(CASE WHEN months.spend_amount IS NOT NULL THEN clv_total_amount END) AS paid_clv,
  bool_and(clv_total_amount IS NOT NULL OR customer_count = 0 OR months.spend_amount IS NULL) AS is_paid_clv_known
FROM months JOIN (
  SELECT * FROM unit_economics WHERE cac_type = 'fully_loaded' AND level IN ('all', 'channel')
) AS cohorts
  ON cohorts.channel = months.channel AND cohorts.cohort_month = months.period_month
GROUP BY months.channel
ORDER BY months.channel = 'all', customers DESC, months.channel
"""

_TOTALS = """
SELECT cac_type, sum(spend_amount) AS spend,
  sum(CASE WHEN spend_amount IS NOT NULL THEN new_customer_count END) AS customers
FROM acquisition_costs
WHERE level = 'all' AND is_primary AND is_final AND cac_status <> 'spend_incomplete'
  AND period_month > add_months((SELECT max(period_month) FROM acquisition_costs WHERE is_final), -12)
GROUP BY cac_type
"""


_PAYBACK = f"""
SELECT channel, count(*) AS cohorts, count(cac_payback_months) AS paid_back,
  nullif(percentile_disc(0.5) WITHIN GROUP (ORDER BY coalesce(cac_payback_months, 999)), 999) AS median_months
FROM unit_economics
WHERE cac_type = 'fully_loaded' AND level IN ('all', 'channel') AND observed_months >= {_PAYBACK_AGE_MONTHS}
  AND customer_count > 0 AND spend_amount > 0 AND clv_total_amount IS NOT NULL
GROUP BY channel
ORDER BY channel = 'all', channel
"""
"""A cohort that has not paid back yet counts as slower than those that have: its month is censored, not missing."""


def acquisition(spark: SparkSession, settings: Settings) -> list[str]:
    """CAC by channel with LTV:CAC and maximum CAC; without spend, what is still known and why the rest is not."""
    rows = spark.sql(_BY_CHANNEL).collect()
    if not rows:
        return []
    target = settings.economics.target_ltv_to_cac
    header = ("channel", "customers", "CAC 12 m", "CAC to date", "value", "LTV:CAC", "maximum CAC", "spend missing")
    parts = f"every cost; value so far + next {settings.economics.horizon_days} days; maximum CAC for {target:f}:1"
    lines = [f"Acquisition by channel ({settings.reporting.currency}; {parts})"]
    cells = [_cells(row, target) for row in rows]
    width = len(header) if any(row[-1] for row in cells) else len(header) - 1
    lines += table(header[:width], [row[:width] for row in cells])
    if all(row["spend"] is None for row in rows):
        return lines + labelled("", "no spend is known, so CAC and LTV:CAC are NULL with status spend_missing")
    totals = {row["cac_type"]: quotient(row["spend"], row["customers"]) for row in spark.sql(_TOTALS).collect()}
    blended, paid = (amount(totals.get(name), settings.reporting.currency) for name in ("blended", "paid"))
    lines.append(f"  media only, last 12 complete months: blended CAC {blended}, paid CAC {paid}")
    return lines + under_two_names(rows) + _paid_back(spark.sql(_PAYBACK).collect())


def _paid_back(rows: Sequence[Row]) -> list[str]:
    """When the cost had come back in half of the cohorts of each channel; nothing without such cohorts."""
    told = []
    for row in rows:
        when = "not yet" if row["median_months"] is None else f"after {count(int(row['median_months']), 'month')}"
        told.append(f"{row['channel']} {when} ({row['paid_back']} of {row['cohorts']})")
    since = f"(cohorts of {_PAYBACK_AGE_MONTHS} months and more; in brackets those that are even)"
    return labelled("", f"cost earned back by half of the cohorts: {', '.join(told)} {since}") if told else []


def under_two_names(rows: Sequence[Row]) -> list[str]:
    """A hint where some channels have spend alone and others customers alone, as when one is written in two ways."""
    channels = [row for row in rows if row["channel"] not in ("all", UNATTRIBUTED)]
    spent = [row["channel"] for row in channels if row["spend"] and not row["customers"]]
    won = [row["channel"] for row in channels if row["customers"] and row["spend"] is None]
    if not spent or not won:
        return []
    told = f"spend without customers: {', '.join(spent)}; customers without spend: {', '.join(won)}"
    return labelled("", f"{told}. If that is a channel under two names, map it to one in both sources")


def quotient(numerator: Decimal | None, denominator: Decimal | int | None) -> Decimal | None:
    """The quotient, NULL if a part is NULL or the denominator 0."""
    return numerator / denominator if numerator is not None and denominator else None


def ltv_to_cac(row: Row) -> Decimal | None:
    """Value over cost of the cohorts whose spend is known; NULL if the value of one of them is not."""
    return quotient(row["paid_clv"], row["spend"]) if row["is_paid_clv_known"] else None


def maximum_cac(row: Row, target: Decimal) -> Decimal | None:
    """Mean value over the target ratio, 0 if it is not positive."""
    value = quotient(row["clv"], row["valued_customers"])
    return None if value is None else max(value, Decimal(0)) / target


def _cells(row: Row, target: Decimal) -> tuple[str, ...]:
    ratio, missing = ltv_to_cac(row), row["missing_months"]
    return (
        row["channel"],
        count(row["customers"]),
        amount(quotient(row["recent_spend"], row["recent_customers"])),
        amount(quotient(row["spend"], row["paid_customers"])),
        amount(quotient(row["clv"], row["valued_customers"])),
        MISSING if ratio is None else f"{ratio:.2f}",
        amount(maximum_cac(row, target)),
        count(missing, "month") if missing else "",
    )
