"""`churn_reasons`: why contracts ended, by month, voluntary and involuntary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from clv_lib.contracts.churn import CHURN_REASONS
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.metrics.catalogue import metrics_of
from clv_lib.recurring.movements import is_churn

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def churn_reasons(mrr_movements: DataFrame) -> DataFrame:
    """Contract `churn_reasons` from `mrr_movements`. Grain: month, type and reason, `unknown` included.

    A month without churn has no row. Shares are never NULL, since each row counts at least one churn.
    """
    counted = (
        mrr_movements.where(is_churn())
        .groupBy("period_month", "is_final", "churn_type", "churn_reason", "as_of_date")
        .agg(
            F.count(F.lit(1)).alias("churned_customer_count"),
            F.sum("churn_amount").cast(MONEY_SUM).alias("churn_amount"),
        )
    )
    month = Window.partitionBy("period_month")
    whole = {
        "month_churned_customer_count": F.sum("churned_customer_count").over(month),
        "month_churn_amount": F.sum("churn_amount").over(month).cast(MONEY_SUM),
    }
    return counted.withColumns(whole).withColumns(metrics_of(CHURN_REASONS)).select(*CHURN_REASONS.columns)
