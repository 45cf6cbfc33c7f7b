"""The block of the report on experiments: for each variant what it changed per customer, and whether to believe it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clv_lib.report.text import amount, count, interval, labelled

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

    from clv_lib.settings import Settings

_TOTALS = """
SELECT * FROM experiment_results
WHERE segment_id = 'all:all' AND metric = (SELECT min(metric) FROM experiment_results)
ORDER BY experiment_id, variant
"""
_MOST = 8


def experiments(spark: SparkSession, settings: Settings) -> list[str]:
    """A line or two per variant: in contribution margin where costs are known, else in net revenue."""
    rows = spark.sql(_TOTALS).collect()
    texts = [outcome(row, settings.reporting.currency) for row in rows[:_MOST]]
    if len(rows) > _MOST:
        texts.append(f"and {len(rows) - _MOST} more in experiment_results")
    return [line for number, text in enumerate(texts) for line in labelled("" if number else "Experiments", text)]


def outcome(row: Row, currency: str) -> str:
    """What a variant changed against the control by the estimate to read, or why that is not known."""
    name = f"{row['experiment_id']}, {row['variant']} against {row['control_variant'] or 'nothing'}"
    warning = "; sizes of the variants do not fit: do not trust" if row["srm_status"] == "mismatch" else ""
    if row["result_status"] != "ok":
        return f"{name}: {row['result_status']}{warning}"
    prefix = "cuped_" if row["best_estimate"] == "cuped" else ""
    low, high = (row[f"{prefix}difference_{end}_amount"] for end in ("lower", "upper"))
    uplift = interval(*(row[f"{prefix}relative_uplift{end}"] for end in ("", "_lower", "_upper")))
    verdict = "significant" if row["is_significant"] else "not significant"
    customers = f"{count(row['customer_count'])} and {count(row['control_customer_count'])} customers"
    return (
        f"{name}: {amount(row[f'{prefix}difference_amount'], currency)} ({amount(low)} to {amount(high)})"
        f" {row['metric'].replace('_', ' ')} per customer in {count(row['outcome_months'], 'month')}, {uplift},"
        f" {verdict}, {customers}{warning}"
    )
