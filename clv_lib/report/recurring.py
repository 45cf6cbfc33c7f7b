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
_CONTRACT = "SELECT * FROM contract_retention WHERE segment_id = 'all:all' AND simple_clv_status = 'ok'"


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
    lines += labelled("", _moved(final[-1])) if final else []
    worth = spark.sql(_CONTRACT).collect()
    return lines + (labelled("", _contract(worth[0], currency)) if worth else [])


def _contract(row: Row, currency: str) -> str:
    """What a new subscriber is worth: by sBG where it could be fitted, else by the one churn rate."""
    simple = f"by one churn rate of {percent(row['monthly_churn_rate'])} a month"
    value = f"{amount(row['simple_discounted_clv_amount'], currency)} {simple}"
    if row["clv_status"] == "ok":
        value = f"{amount(row['new_subscriber_clv_amount'], currency)} by ages, {value}"
    return f"a new subscriber is worth {value}, discounted, without costs; sBG fit: {row['fit_status']}"


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
