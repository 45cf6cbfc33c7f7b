"""The block of the report on who is lost, by each of three definitions, and on how long customers stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clv_lib.periods import DAYS_PER_MONTH
from clv_lib.report.text import amount, count, labelled, percent

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

    from clv_lib.settings import Settings

_TOTAL = "SELECT * FROM segment_churn WHERE segment_id = 'all:all'"


def lost_and_staying(spark: SparkSession, settings: Settings) -> list[str]:
    """Share of all customers lost at as_of by rule, by gaps and by the model, and the survival-based lifetime."""
    rows = spark.sql(_TOTAL).collect()
    if not rows:
        return []
    [row] = rows
    fixed = f"{percent(row['fixed_rule_churned_share'])} by no order for {settings.churn.inactivity_days} days"
    texts = (fixed, by_gaps(row, settings.churn.gap_quantile), by_model(row))
    return labelled("Lost by now", "; ".join(texts)) + labelled("Survival", staying(row))


def by_gaps(row: Row, quantile: float) -> str:
    """What the quantile rule says, or that there is none."""
    gaps = ((row[f"quantile_rule_{kind}_gap_days"], kind) for kind in ("first", "later"))
    known = " and ".join(f"{count(days, 'day')} for the {kind} gap" for days, kind in gaps if days is not None)
    if not known:
        return f"no rule by gaps: not known within how many days {percent(quantile, 0)} of them end"
    judged = row["quantile_rule_judged_customer_count"]
    of_whom = "" if judged == row["customer_count"] else f" of {count(judged, 'customer')} whom it judges"
    return f"{percent(row['quantile_rule_churned_share'])}{of_whom} by {percent(quantile, 0)} of gaps ({known})"


def by_model(row: Row) -> str:
    """The mean probability of the model, or that there is none."""
    if row["model_status"] == "not_predicted":
        return "not predicted by a model"
    return f"{percent(row['model_churn_probability_avg'])} by the model"


def staying(row: Row) -> str:
    """Mean lifetime within the ages that were seen, how many stay a year, and how the risk changes with age."""
    if row["restricted_mean_status"] == "not_observed":
        return "not known: every customer is of today"
    ends = (row["restricted_mean_months_lower"], row["restricted_mean_months_upper"])
    interval = "" if ends[0] is None else f" ({amount(ends[0], places=1)}-{amount(ends[1], places=1)})"
    seen = f"{amount(row['restricted_to_months'], places=0 if row['restricted_to_months'] >= 10 else 1)} months"
    mean = amount(row["restricted_mean_months"], places=1)
    parts = [f"{mean}{interval} of the first {seen} on average before the first churn"]
    if row["survival_12_months"] is not None:
        parts.append(f"{percent(row['survival_12_months'], 0)} stay 12 months")
    if row["hazard_status"] == "ok":
        parts.append(f"risk {percent(row['early_monthly_hazard'])} a month in the first year of risk, {_later(row)}")
    return "; ".join(parts)


def _later(row: Row) -> str:
    """The risk after the first year; where nobody churned then, in how much time that was seen."""
    if row["late_churned_customer_count"]:
        return f"{percent(row['late_monthly_hazard'])} later"
    return f"none seen later in {count(round(row['late_exposure_days'] / DAYS_PER_MONTH), 'customer-month')}"
