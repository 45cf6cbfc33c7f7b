"""RFM scores and value deciles from published cuts: equal values always get equal scores."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.customers import CUSTOMER_RFM, RFM_THRESHOLDS
from clv_lib.contracts.types import RATIO

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

QUINTILES = (0.2, 0.4, 0.6, 0.8)
DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_MEASURES: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "recency": ("days_since_last_order", QUINTILES),
    "frequency": ("lifetime_order_count", QUINTILES),
    "monetary": ("lifetime_net_amount", QUINTILES),
    "value_decile": ("lifetime_net_amount", DECILES),
}


def cut_values(metrics: DataFrame) -> DataFrame:
    """The exact quantiles of each measure over all customers. Grain: one row; an array column per dimension."""
    return metrics.agg(
        *(F.percentile(F.col(column), list(shares)).alias(name) for name, (column, shares) in _MEASURES.items())
    )


def rfm_thresholds(cuts: DataFrame, as_of: dt.date) -> DataFrame:
    """The cuts as contract `rfm_thresholds`. Grain: dimension and cut."""
    dimensions = F.explode(
        F.array(
            *(
                F.struct(F.lit(name).alias("dimension"), _numbered(name, shares).alias("cuts"))
                for name, (_, shares) in _MEASURES.items()
            )
        )
    )
    exploded = cuts.select(dimensions.alias("d")).select("d.dimension", F.explode("d.cuts").alias("cut"))
    return exploded.select(
        "dimension",
        F.col("cut.cut_number").alias("cut_number"),
        F.col("cut.quantile").alias("quantile"),
        F.col("cut.cut_value").cast(RATIO).alias("cut_value"),
        F.lit(as_of).alias("as_of_date"),
    ).select(*RFM_THRESHOLDS.columns)


def customer_rfm(
    metrics: DataFrame, thresholds: Mapping[str, Sequence[Decimal]], segment: Column, rule_set: str
) -> DataFrame:
    """Contract `customer_rfm`. Grain: customer, kept.

    A score is 1 plus the number of cuts below the value (recency: 5 less that number), so equal values score equally
    however they are ordered. `thresholds` are the published cuts by dimension; `segment` names a row by its scores.
    """
    scored = metrics.select(
        "customer_id",
        F.col("days_since_last_order").alias("recency_days"),
        F.col("lifetime_order_count").alias("frequency"),
        F.col("lifetime_net_amount").alias("monetary_amount"),
        (5 - _cuts_below("days_since_last_order", thresholds["recency"])).alias("recency_score"),
        (1 + _cuts_below("lifetime_order_count", thresholds["frequency"])).alias("frequency_score"),
        (1 + _cuts_below("lifetime_net_amount", thresholds["monetary"])).alias("monetary_score"),
        (10 - _cuts_below("lifetime_net_amount", thresholds["value_decile"])).alias("value_decile"),
        "as_of_date",
    )
    code = F.concat("recency_score", "frequency_score", "monetary_score")
    named = scored.withColumns({"rfm_code": code, "rfm_segment": segment, "rule_set": F.lit(rule_set)})
    return named.select(*CUSTOMER_RFM.columns)


def _numbered(name: str, shares: Sequence[float]) -> Column:
    return F.array(
        *(
            F.struct(
                F.lit(i + 1).alias("cut_number"), F.lit(share).alias("quantile"), F.col(name)[i].alias("cut_value")
            )
            for i, share in enumerate(shares)
        )
    )


def _cuts_below(value: str, cuts: Sequence[Decimal]) -> Column:
    below = [F.when(F.lit(cut) < F.col(value), 1).otherwise(0) for cut in cuts]
    total = F.lit(0)
    for one in below:
        total = total + one
    return total
