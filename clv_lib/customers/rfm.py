"""RFM scores and value deciles from published cuts: equal values always get equal scores."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.customers import CUSTOMER_RFM, RFM_THRESHOLDS
from clv_lib.contracts.types import RATIO
from clv_lib.customers.quantiles import exact_quantiles

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
    """The exact quantiles of each measure over all customers: `exact_quantiles`. Grain: dimension and cut."""
    return exact_quantiles(metrics, _MEASURES)


def rfm_thresholds(cuts: DataFrame, as_of: dt.date) -> DataFrame:
    """The cuts as contract `rfm_thresholds`. Grain: dimension and cut, kept."""
    values = {"cut_value": F.col("cut_value").cast(RATIO), "as_of_date": F.lit(as_of)}
    return cuts.withColumns(values).select(*RFM_THRESHOLDS.columns)


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


def _cuts_below(value: str, cuts: Sequence[Decimal]) -> Column:
    below = [F.when(F.lit(cut) < F.col(value), 1).otherwise(0) for cut in cuts]
    total = F.lit(0)
    for one in below:
        total = total + one
    return total
