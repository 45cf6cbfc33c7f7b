"""The readable end of a run: what the published tables say to someone in marketing or finance.

Every block is a small query over the published views, so the text says nothing that the tables do not hold.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clv_lib.report.acquisition import acquisition
from clv_lib.report.churn import lost_and_staying
from clv_lib.report.concentration import concentration
from clv_lib.report.customers import best_segments, churn, customer_figures, customers, segment_rows
from clv_lib.report.experiments import experiments
from clv_lib.report.forecast import forecast
from clv_lib.report.recurring import recurring
from clv_lib.report.trust import accuracy, model_fit, notes, quality

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.pipeline import Outcome
    from clv_lib.settings import Settings

__all__ = ["headline", "summary"]


def summary(spark: SparkSession, settings: Settings, outcome: Outcome, figures: Mapping[str, Any]) -> str:
    """About 65 lines of up to 100 characters on what is published; `figures` are those of `headline`.

    The views of the published tables must be registered in the session under the tables' names.
    """
    segments = segment_rows(spark)
    published = outcome.publication
    when = published.published_at.astimezone(dt.timezone.utc)
    blocks = [
        [
            f"Customer value as of {published.as_of_date} in {settings.reporting.currency}",
            f"snapshot {published.snapshot_id}, published {when:%Y-%m-%d %H:%M} UTC in {settings.lake}",
        ],
        customers(figures, settings),
        churn(segments, settings) + lost_and_staying(spark, settings),
        best_segments(segments, settings) + concentration(spark, settings),
        acquisition(spark, settings),
        recurring(spark, settings),
        forecast(spark, settings),
        experiments(spark, settings),
        model_fit(spark, settings),
        accuracy(spark),
        quality(spark),
        notes(settings, outcome),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def headline(spark: SparkSession, settings: Settings) -> dict[str, Any]:
    """The main figures for programs: counts as integers, money as decimals in the reporting currency, NULL as None."""
    return {"currency": settings.reporting.currency, **customer_figures(spark, settings)}
