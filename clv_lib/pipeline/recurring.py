"""Recurring revenue in a run: subscriptions are judged in the intake, and measured in a step of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.churn import CHURN_REASONS
from clv_lib.contracts.contract_retention import CONTRACT_RETENTION
from clv_lib.contracts.put_aside import ACCEPTED
from clv_lib.contracts.recurring import MRR_METRICS, MRR_MOVEMENTS
from clv_lib.contracts.segments import CUSTOMER_SEGMENTS
from clv_lib.contracts.subscriptions import SUBSCRIPTION_PERIODS
from clv_lib.orders.disposition import disposition_totals, repeated_ids
from clv_lib.recurring.churn_reasons import churn_reasons
from clv_lib.recurring.contract_retention import (
    RetentionTerms,
    last_complete_month,
    lifetime_counts,
    retention_rows,
)
from clv_lib.recurring.movements import mrr_changes, mrr_movements
from clv_lib.recurring.mrr_metrics import mrr_metrics
from clv_lib.recurring.subscription_periods import (
    PERIOD_KEY,
    judged_periods,
    subscription_periods,
    with_period_dispositions,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace


def subscription_rows(work: Workspace, rates: DataFrame | None) -> DataFrame | None:
    """Rows of the source subscriptions with dispositions, kept; None without such a source."""
    mapped = work.mapped("subscriptions")
    if mapped is None:
        return None
    repeated = work.keep_any(repeated_ids(mapped, PERIOD_KEY))
    judged = judged_periods(mapped, work.settings, work.as_of)
    currency = work.settings.reporting.currency
    return work.keep(with_period_dispositions(judged, repeated, rates, currency, work.as_of))


def write_subscription_periods(work: Workspace, rows: DataFrame | None) -> Workspace:
    """Write subscription_periods, without rows if there is no such source."""
    if rows is None:
        return work.write_state(SUBSCRIPTION_PERIODS, work.frame(SUBSCRIPTION_PERIODS))
    return work.write_state(SUBSCRIPTION_PERIODS, subscription_periods(rows, work.settings.recurring, work.as_of))


def stored_subscriptions(work: Workspace, name: str) -> DataFrame:
    """Accepted periods and their charges, counted where they are stored: contract `conservation`."""
    stored = work.read(SUBSCRIPTION_PERIODS).withColumn("disposition", F.lit(ACCEPTED))
    return disposition_totals(stored, name, "recurring_amount_original")


def recurring(work: Workspace) -> Workspace:
    """Write mrr_movements, mrr_metrics, contract_retention and churn_reasons: empty without subscriptions."""
    settings = work.settings.recurring
    changes = mrr_changes(work.read(SUBSCRIPTION_PERIODS))
    work.write(MRR_MOVEMENTS, mrr_movements(changes, settings.reactivation_window_months, work.as_of))
    figures = mrr_metrics(
        work.read(MRR_MOVEMENTS),
        work.read(CUSTOMER_SEGMENTS),
        work.settings.churn.confidence_level,
        settings.retention_counts_reactivated,
        work.as_of,
    )
    work.write_all(
        (MRR_METRICS, figures),
        (CONTRACT_RETENTION, _contract_retention(work)),
        (CHURN_REASONS, churn_reasons(work.read(MRR_MOVEMENTS))),
    )
    return work


def _contract_retention(work: Workspace) -> DataFrame:
    """Lifetimes are counted in Spark, fitted on the driver."""
    counts = lifetime_counts(
        work.read(MRR_MOVEMENTS), work.read(CUSTOMER_SEGMENTS), last_complete_month(work.as_of)
    ).collect()
    terms = RetentionTerms(
        work.settings.recurring.minimum_lifetimes,
        work.settings.predictions.annual_discount_rate,
        work.settings.churn.lifetime_cap_months,
    )
    rows = retention_rows([row.asDict() for row in counts], terms, work.as_of)
    return work.frame(CONTRACT_RETENTION, rows)
