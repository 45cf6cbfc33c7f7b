"""The block of the report on recurring revenue: what it is now, how it moved, and what was kept of a year ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clv_lib.report.text import amount, count, interval, labelled, percent

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

    from clv_lib.settings import Settings

_MONTHS = """
SELECT * FROM mrr_metrics
WHERE segment_id = 'all:all' AND (is_latest
  OR period_month = (SELECT max(period_month) FROM mrr_metrics WHERE segment_id = 'all:all' AND is_final))
ORDER BY period_month
"""


def recurring(spark: SparkSession, settings: Settings) -> list[str]:
    """MRR at as_of, the movements and churn of the last complete month, and retention over 12 months."""
    rows = spark.sql(_MONTHS).collect()
    if not rows:
        return []
    currency, now = settings.reporting.currency, rows[-1]
    lines = labelled(
        "Recurring",
        f"MRR {amount(now['mrr_end'], currency)} of {count(now['customer_count_end'], 'customer')},"
        f" {amount(now['arpa_amount'], currency)} each; ARR {amount(now['arr_amount'], currency)}",
    )
    final = [row for row in rows if row["is_final"]]
    return lines + labelled("", _moved(final[-1])) if final else lines


def _moved(row: Row) -> str:
    gained = f"new {amount(row['new_amount'])}, reactivated {amount(row['reactivation_amount'])}"
    changed = f"expansion {amount(row['expansion_amount'])}, contraction {amount(row['contraction_amount'])}"
    churned = interval(row["monthly_churn_rate"], row["churn_rate_lower"], row["churn_rate_upper"])
    kept = f"{percent(row['nrr_12m'])} of the revenue of 12 months before is left"
    return (
        f"in {row['period_month']:%Y-%m}: {gained}, {changed}, churned {amount(row['churn_amount'])};"
        f" {churned} of customers left;"
        f" {kept}, without expansion {percent(row['grr_12m'])}"
    )
