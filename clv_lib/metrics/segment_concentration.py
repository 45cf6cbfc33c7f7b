"""How value is spread over segments and over the customers of each, and what a point less of churn would be worth."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods
from clv_lib.contracts.concentration import SEGMENT_CONCENTRATION
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.metrics.catalogue import metrics_of
from clv_lib.metrics.member_values import COUNTED_ONCE, MEASURES
from clv_lib.metrics.ratios import per_month, published, quotient, ratio
from clv_lib.metrics.segment_ids import parts_of_segment_id

_TOP_SHARE = 0.1
_POINTS = 100
"""Points in a rate of 1."""
_AMOUNT, _COUNT = "decimal(22,4)", "decimal(14,0)"  # their product is an exact decimal(37,4)


def segment_concentration(
    values: DataFrame, segment_metrics: DataFrame, annual_discount_rate: float, as_of: dt.date
) -> DataFrame:
    """Contract `segment_concentration`. Grain: segment.

    `values` are `member_values`: counts of members in bins of their value, at most some thousand rows per segment. A
    figure of value is NULL if the value of one member is not known; a status says why.
    """
    sums = spread(values).withColumns(parts_of_segment_id())
    gains = churn_gains(segment_metrics, annual_discount_rate)
    joined = sums.join(F.broadcast(gains), "segment_id").withColumns({**_values(), "as_of_date": F.lit(as_of)})
    figures = joined.withColumns({**metrics_of(SEGMENT_CONCENTRATION), **_statuses()})
    return figures.withColumns({**_shares_of_type(), **_ranks(), **_spreads()}).select(*SEGMENT_CONCENTRATION.columns)


def spread(values: DataFrame) -> DataFrame:
    """Sums, Gini coefficient and share of the top tenth by measure, from `member_values`. Grain: segment.

    Gini = 1 - sum of n_i (2 S_(i-1) + s_i) / (n S), with n_i customers and amount s_i of the bins in ascending order
    and S_(i-1) the amount before: members of a bin count as worth its mean. With bins of 1 % it is too low by at most
    0.0025, the Gini coefficient of amounts that differ by no more than that. The top tenth takes the last bins, and of
    the bin at its edge the share that it needs; its error is at most 1 % of that bin's share.
    """
    one = Window.partitionBy("segment_id", "measure")
    so_far = one.orderBy("bin").rowsBetween(Window.unboundedPreceding, Window.currentRow)
    count, amount = F.col("customer_count"), F.col("amount")
    before = F.sum("amount").over(so_far) - amount
    above = F.sum("customer_count").over(one) - F.sum("customer_count").over(so_far)
    taken = F.greatest(
        F.lit(0.0), F.least(count.cast("double"), F.sum("customer_count").over(one) * _TOP_SHARE - above)
    )
    placed = values.withColumns(
        {
            "weighted": (2 * before + amount).cast(_AMOUNT) * count.cast(_COUNT),
            "top": taken / count * amount.cast("double"),
        }
    )
    once = {name: _of(COUNTED_ONCE, F.col(name)) for name in _ONCE}
    return placed.groupBy("segment_id").agg(
        F.max("value_basis").alias("value_basis"),
        *(F.sum(column).alias(name) for name, column in once.items()),
        *(column.alias(name) for measure in MEASURES for name, column in _sums_of(measure).items()),
    )


_ONCE = ("customer_count", "order_count", "net_amount", "predicted_amount", "predicted_count")


def _of(measure: str, value: Column) -> Column:
    return F.when(F.col("measure") == measure, value)


def _sums_of(measure: str) -> dict[str, Column]:
    """Sums over the bins of a measure; the amount is NULL if that of a member is not known."""
    unknown = F.coalesce(F.sum(_of(measure, F.when(F.col("bin").isNull(), F.col("customer_count")))), F.lit(0))
    return {
        f"{measure}_value_amount": F.when(unknown == 0, F.sum(_of(measure, F.col("amount")))).cast(MONEY_SUM),
        f"{measure}_weighted": F.sum(_of(measure, F.col("weighted"))),
        f"{measure}_top": F.sum(_of(measure, F.col("top"))),
    }


def _values() -> dict[str, Column]:
    is_predicted = F.col("predicted_count") == F.col("customer_count")
    return {
        "predicted_value_amount": F.when(is_predicted, F.col("predicted_amount")).cast(MONEY_SUM),
        "net_amount": F.col("net_amount").cast(MONEY_SUM),
    }


def _statuses() -> dict[str, Column]:
    """Why values and their spread are not known."""
    historic, total = F.col("historic_value_amount"), F.col("total_value_amount")
    predicted = F.col("predicted_value_amount")
    return {
        "historic_status": F.when(historic.isNull(), "value_unknown")
        .when(historic <= 0, "not_positive")
        .otherwise("ok"),
        "predicted_status": F.when(predicted.isNull(), "not_predicted").otherwise("ok"),
        "total_status": F.when(historic.isNull(), "value_unknown")
        .when(total.isNull(), "not_predicted")
        .when(total <= 0, "not_positive")
        .otherwise("ok"),
    }


def _shares_of_type() -> dict[str, Column]:
    """Shares of customers and values of the segment type; NULL if that of a segment is not known, or the sum is 0."""
    in_type = Window.partitionBy("segment_type")
    shares = {"customer_share": ratio(F.col("customer_count"), F.sum("customer_count").over(in_type))}
    for kind in ("historic", "predicted"):
        amount = F.col(f"{kind}_value_amount")
        is_known = F.count(amount).over(in_type) == F.count("*").over(in_type)
        whole = F.when(is_known, F.sum(amount).over(in_type)).cast(MONEY_SUM)
        shares[f"{kind}_value_share"] = quotient(amount, whole)
    return shares


def _ranks() -> dict[str, Column]:
    """1 for the highest value per member within the type; equal values share a rank, NULL has none."""
    ranks = {}
    for kind in ("historic", "predicted"):
        average = F.col(f"{kind}_value_avg")
        best_first = Window.partitionBy("segment_type").orderBy(average.desc_nulls_last())
        ranks[f"{kind}_rank"] = F.when(average.isNotNull(), F.rank().over(best_first))
    return ranks


def _spreads() -> dict[str, Column]:
    """Gini coefficient and share of the top tenth of each measure; NULL unless its sum is above 0."""
    spreads = {}
    for measure in MEASURES:
        is_defined = F.col(f"{measure}_status") == "ok"
        amount = F.col(f"{measure}_value_amount")
        whole = (amount.cast(_AMOUNT) * F.col("customer_count").cast(_COUNT)).cast("double")
        gini = F.lit(1.0) - F.try_divide(F.col(f"{measure}_weighted").cast("double"), whole)
        top = F.try_divide(F.col(f"{measure}_top"), amount.cast("double"))
        spreads[f"{measure}_gini"] = F.when(is_defined, published(gini))
        spreads[f"{measure}_top_decile_share"] = F.when(is_defined, published(top))
    return spreads


def churn_gains(segment_metrics: DataFrame, annual_discount_rate: float) -> DataFrame:
    """What a fall of `churn_rate_12m` by 0.01 adds to the formula CLV. Grain: segment.

    Per customer m (1 / (c - 0.01) - 1 / c), discounted m (1 + d) (1 / (d + c - 0.01) - 1 / (d + c)): m the value per
    customer-month in `clv_basis`, c the churn rate, d the monthly discount rate. In all: times the customers who are
    active at as_of, since who has left cannot stay longer.
    """
    latest = segment_metrics.where("is_latest")
    events, trials = F.col("churned_customer_count_12m"), F.col("customer_count_start_12m")
    status = (
        F.when(trials == 0, "no_starting_customers")
        .when(events * _POINTS <= trials, "churn_below_a_point")
        .otherwise("ok")
    )
    amount = F.coalesce("lifetime_margin_amount", "lifetime_net_amount")
    rated = latest.select(
        "segment_id",
        "clv_basis",
        F.col("customer_count_end").alias("active_customer_count"),
        status.alias("churn_point_status"),
        per_month(amount, F.col("exposure_days")).cast("double").alias("monthly_value"),
        F.when(status == "ok", events / trials).alias("rate"),
        F.when(status == "ok", (events * _POINTS - trials) / (trials * _POINTS)).alias("lower_rate"),
    )
    d = periods.monthly_discount_rate(annual_discount_rate)
    monthly, rate, lower = F.col("monthly_value"), F.col("rate"), F.col("lower_rate")
    gains = {
        "churn_point_gain": monthly * (1 / lower - 1 / rate),
        "churn_point_discounted_gain": monthly * (1 + d) * (1 / (d + lower) - 1 / (d + rate)),
    }
    each = {f"{name}_avg": published(gain) for name, gain in gains.items()}
    whole = {f"{name}_amount": published(gain * F.col("active_customer_count")) for name, gain in gains.items()}
    return rated.withColumns({**each, **whole}).drop("monthly_value", "rate", "lower_rate")
