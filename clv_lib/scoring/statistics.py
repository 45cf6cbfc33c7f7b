"""Counted statistics out of Spark: what the models are fitted on, as small as the distinct histories are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from clv_lib.models import FloatArray, SpendStatistics, TransactionStatistics

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column, DataFrame

TIME_UNIT_DAYS = 7.0
"""Days per unit of time of the models: weeks, never floored."""

HISTORY = ("btyd_frequency", "btyd_recency_days", "btyd_age_days")
"""x, t_x and T of a customer in `customer_metrics`, times in days."""

_EXACT_SPEND_ROWS = 200_000
_SPEND_BIN_WIDTH = 0.01
_HASH_BUCKETS = 1_000_000


def distinct_histories(states: DataFrame) -> DataFrame:
    """Grain: (x, t_x, T) in days with the number of customers, in ascending order."""
    return states.groupBy(*HISTORY).agg(F.count(F.lit(1)).alias("customers")).orderBy(*HISTORY)


def share_to_fit(states: DataFrame, max_rows: int) -> float:
    """1, or the largest share of customers in whose sample there are no more distinct rows than the limit.

    A history is in the sample if the lowest bucket of its customers is. Collects a count per bucket, at most a million.
    """
    if states.count() <= max_rows:
        return 1.0
    lowest = states.groupBy(*HISTORY).agg(F.min(_bucket()).alias("bucket"))
    counted = lowest.groupBy("bucket").count().toPandas().sort_values("bucket")
    too_many = counted["bucket"][counted["count"].cumsum() > max_rows]
    return 1.0 if too_many.empty else float(too_many.iloc[0]) / _HASH_BUCKETS


def sampled(customers: DataFrame, share: float) -> DataFrame:
    """The customers whose hash falls in the share, the same ones in every run; all of them for 1. Grain: kept."""
    if share >= 1.0:
        return customers
    return customers.where(_bucket() < round(share * _HASH_BUCKETS))


def _bucket() -> Column:
    return F.pmod(F.xxhash64("customer_id"), F.lit(_HASH_BUCKETS))


def transaction_statistics(states: DataFrame) -> TransactionStatistics:
    """Distinct (x, t_x, T) in weeks with their customers, on the driver."""
    rows = distinct_histories(states).toPandas()
    return TransactionStatistics(
        frequency=rows["btyd_frequency"].to_numpy(float),
        recency=rows["btyd_recency_days"].to_numpy(float) / TIME_UNIT_DAYS,
        age=rows["btyd_age_days"].to_numpy(float) / TIME_UNIT_DAYS,
        weight=rows["customers"].to_numpy(float),
    )


def counted_spend(states: DataFrame, *by: str) -> pd.DataFrame:
    """Distinct (`btyd_frequency`, `mean_spend`) of repeat customers with their number of `customers`, on the driver.

    Also distinct are the columns `by`; in ascending order. Above 200,000 repeat customers, values are put into bins of
    1 % by their logarithm and stand for it with their mean, which moves the parameters by less than 0.02 %. Values that
    are not above 0 have `mean_spend` NaN.
    """
    value = F.col("btyd_monetary_value")
    repeaters = states.where((F.col("btyd_frequency") > 0) & value.isNotNull())
    is_usable = value > 0
    is_binned = repeaters.count() > _EXACT_SPEND_ROWS
    bin_or_value = spend_bin(value) if is_binned else F.when(is_usable, value)
    key = [*by, "btyd_frequency", "bin"]
    grouped = repeaters.groupBy(*by, "btyd_frequency", bin_or_value.alias("bin")).agg(
        F.avg(F.when(is_usable, value)).cast("double").alias("mean_spend"), F.count(F.lit(1)).alias("customers")
    )
    return grouped.toPandas().sort_values(key, ignore_index=True).drop(columns="bin")


def spend_bin(value: Column) -> Column:
    """Number of the bin of 1 % by the logarithm in which a value lies; NULL for values that are not above 0."""
    return F.when(value > 0, F.floor(F.log(value.cast("double")) / _SPEND_BIN_WIDTH))


@dataclass(frozen=True)
class SpendRows:
    """Counted spend of some customers: what Gamma-Gamma is fitted to, and what it takes for granted.

    excluded_customers: left out of the statistics for a mean value that is not above 0; correlation: of x and the mean
    value, which the model takes as 0; None where it is not defined.
    """

    statistics: SpendStatistics
    excluded_customers: int
    correlation: float | None

    @classmethod
    def of(cls, counted: pd.DataFrame) -> SpendRows:
        """Rows of `counted_spend`, all of them or those of a group."""
        usable = counted[counted["mean_spend"].notna()]
        x, mean, weight = (usable[name].to_numpy(float) for name in ("btyd_frequency", "mean_spend", "customers"))
        excluded = int(counted["customers"].sum() - usable["customers"].sum())
        return cls(SpendStatistics(x, mean, weight), excluded, _correlation(x, mean, weight))


def _correlation(x: FloatArray, m: FloatArray, weight: FloatArray) -> float | None:
    if not len(x):
        return None
    of_x, of_m = (column - np.average(column, weights=weight) for column in (x, m))
    spread = float(np.sqrt((weight @ of_x**2) * (weight @ of_m**2)))
    return float(weight @ (of_x * of_m)) / spread if spread > 0 else None
