"""Counted statistics out of Spark: what the models are fitted on, as small as the distinct histories are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.models import SpendStatistics, TransactionStatistics

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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
    """1, or the share of customers that keeps the distinct rows below the limit (they grow slower than customers)."""
    if states.count() <= max_rows:
        return 1.0
    distinct = distinct_histories(states).count()
    return 1.0 if distinct <= max_rows else int(_HASH_BUCKETS * max_rows / distinct) / _HASH_BUCKETS


def sampled(customers: DataFrame, share: float) -> DataFrame:
    """The customers whose hash falls in the share, the same ones in every run; all of them for 1. Grain: kept."""
    if share >= 1.0:
        return customers
    return customers.where(F.pmod(F.xxhash64("customer_id"), F.lit(_HASH_BUCKETS)) < int(share * _HASH_BUCKETS))


def transaction_statistics(states: DataFrame) -> TransactionStatistics:
    """Distinct (x, t_x, T) in weeks with their customers, on the driver."""
    rows = distinct_histories(states).toPandas()
    return TransactionStatistics(
        frequency=rows["btyd_frequency"].to_numpy(float),
        recency=rows["btyd_recency_days"].to_numpy(float) / TIME_UNIT_DAYS,
        age=rows["btyd_age_days"].to_numpy(float) / TIME_UNIT_DAYS,
        weight=rows["customers"].to_numpy(float),
    )


def spend_statistics(states: DataFrame) -> tuple[SpendStatistics, int, float | None]:
    """Distinct (x, m) of repeat customers, how many were left out for m <= 0, and the correlation of x and m.

    Above 200,000 repeat customers, values are put into bins of 1 % by their logarithm and stand for it with their mean,
    which moves the parameters by less than 0.02 %. The correlation is None where it is not defined.
    """
    repeaters = states.where("btyd_frequency > 0 and btyd_monetary_value is not null")
    usable = repeaters.where("btyd_monetary_value > 0")
    value = F.col("btyd_monetary_value")
    m = F.when(value > 0, value.cast("double"))
    x = F.when(value > 0, F.col("btyd_frequency").cast("double"))
    # Spark's corr divides by zero where one of the two never differs.
    correlation_of_both = F.try_divide(F.covar_pop(x, m), F.stddev_pop(x) * F.stddev_pop(m))
    excluded, count, correlation = repeaters.agg(
        F.count_if(value <= 0), F.count(F.lit(1)), correlation_of_both
    ).collect()[0]
    bin_or_value = F.floor(F.log(value.cast("double")) / _SPEND_BIN_WIDTH) if count > _EXACT_SPEND_ROWS else value
    grouped = usable.groupBy("btyd_frequency", bin_or_value.alias("bin")).agg(
        F.avg(value).cast("double").alias("mean_spend"), F.count(F.lit(1)).alias("customers")
    )
    rows = grouped.orderBy("btyd_frequency", "bin").toPandas()
    statistics = SpendStatistics(
        frequency=rows["btyd_frequency"].to_numpy(float),
        mean_spend=rows["mean_spend"].to_numpy(float),
        weight=rows["customers"].to_numpy(float),
    )
    return statistics, int(excluded), correlation
