"""The lines of the report on how value is spread over customers, what less churn would be worth, and small segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clv_lib.experiments.cells import unaffected_types
from clv_lib.report.text import amount, count, labelled, percent
from clv_lib.settings.segments import SUPPRESSED_SEGMENT

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

    from clv_lib.settings import Settings

_CONCENTRATION = """
SELECT spread.*, latest.churn_rate_12m_lower
FROM segment_concentration AS spread JOIN segment_metrics AS latest USING (segment_id)
WHERE latest.is_latest
ORDER BY spread.segment_type, spread.segment_name
"""
_A_POINT = 0.01
_SHARED = f"SELECT * FROM segments WHERE segment_name = '{SUPPRESSED_SEGMENT}' ORDER BY segment_type"


def concentration(spark: SparkSession, settings: Settings) -> list[str]:
    """Lines on the spread of value, on a point less of churn, and on segments that are not shown one by one."""
    types = unaffected_types(settings.segments)
    smallest = settings.small_segments.minimum_customers
    shared = spark.sql(_SHARED).collect() if smallest else []
    lines = spread_lines(spark.sql(_CONCENTRATION).collect(), types, settings.reporting.currency)
    return lines + suppression_lines(shared, smallest)


def spread_lines(rows: Sequence[Row], types: Sequence[str], currency: str) -> list[str]:
    """Shares of the most valuable tenth of all customers, and where a point less of churn is worth most.

    `rows` are those of `segment_concentration` with the lower end of the churn rate. Of segments only the given `types`
    are compared: those formed by what customers did until now lose few or many by definition. Segments that may lose
    less than a point are left out, because the formula makes most of the smallest rates, which are the least certain,
    and those without active customers, in which there is nothing to gain.
    """
    total = next((row for row in rows if row["segment_type"] == "all"), None)
    if total is None or total["historic_top_decile_share"] is None:
        return labelled("Concentration", "not known: value so far is not known of every customer, or not above 0")
    lines = labelled("Concentration", _tenth(total))
    if total["churn_point_discounted_gain_amount"] is None:
        return lines
    return lines + labelled("", _gains(total, [row for row in rows if row["segment_type"] in types], currency))


def _tenth(total: Row) -> str:
    so_far = percent(total["historic_top_decile_share"], 0)
    text = f"the most valuable tenth of customers has {so_far} of the value so far (Gini {total['historic_gini']:.2f})"
    if total["total_top_decile_share"] is None:
        return text
    return f"{text}, {percent(total['total_top_decile_share'], 0)} with the predicted value"


def _gains(total: Row, rows: Sequence[Row], currency: str) -> str:
    gain = "churn_point_discounted_gain"
    text = (
        "a churn rate lower by one point a month would be worth"
        f" {amount(total[f'{gain}_amount'], currency, places=0)} (formula, discounted)"
    )
    known = [row for row in rows if row[f"{gain}_amount"] is not None and row["churn_rate_12m_lower"] > _A_POINT]
    gaining = [row for row in known if row["active_customer_count"]]
    if not gaining:
        return text
    most = max(gaining, key=lambda row: row[f"{gain}_amount"])
    members, whole = count(most["active_customer_count"], "active customer"), most[f"{gain}_amount"]
    return (
        f"{text}; by the rate of each segment most in {most['segment_id']}: {amount(whole, currency, places=0)},"
        f" {amount(most[f'{gain}_avg'], currency)} for each of {members}"
    )


def suppression_lines(rows: Sequence[Row], smallest: int) -> list[str]:
    """Which types have segments that are too small to be shown one by one; nothing where none is held back.

    `rows` are those of `segments` with the shared name, `smallest` is `small_segments.minimum_customers`.
    """
    if smallest == 0:
        return []
    if not rows:
        return labelled("", f"every segment has {smallest} customers or more, so each is shown")
    listed = ", ".join(f"{count(row['customer_count'], 'customer')} of {row['segment_type']}" for row in rows)
    return labelled(
        "", f"segments of fewer than {smallest} customers are shown together as {SUPPRESSED_SEGMENT}: {listed}"
    )
