"""What the members of segments are worth and are expected to be, added up once: a small table of segments and bins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.types import MONEY_SUM, RATIO
from clv_lib.customers.metrics import CONTRIBUTION_MARGIN, NET_REVENUE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MEASURES = ("historic", "total")
"""Values of which the spread over customers is measured."""

COUNTED_ONCE = "historic"
"""Every member is in one bin of each measure: sums of anything but the amount are taken over the bins of this one."""

_BIN_WIDTH = 0.01
_ABOVE_SMALLEST_BIN = 1000  # ln(0.0001) / ln(1.01) is -925.6: every positive bin gets a positive number

_SUMMED = {
    "customer_count": "bigint",
    "amount": MONEY_SUM,
    "order_count": "bigint",
    "net_amount": MONEY_SUM,
    "predicted_amount": MONEY_SUM,
    "predicted_count": "bigint",
    "churn_probability": "decimal(38,16)",
    "churn_probability_count": "bigint",
}
_FLAGS = ("in_margin", "predicted_in_margin")


def member_values(customer_metrics: DataFrame, members: DataFrame, predictions: DataFrame) -> DataFrame:
    """Members of segments counted by value. Grain: segment, measure (`historic`, `total`) and bin.

    Of each bin `customer_count`, `amount` of the measure, and of the members orders, net revenue, predicted value and
    churn probability, with the number of those that have one, and `value_basis` and `predicted_basis` (NULL: none is
    predicted). `members` are `packed_members`, `predictions` `customer_predictions` of one horizon. Probabilities are
    added up as decimals, so the order of the rows does not matter.
    """
    valued = members.join(_valued(customer_metrics, predictions), "customer_id")
    each = [
        F.struct(F.lit(measure).alias("measure"), F.col(f"{measure}_clv_amount").alias("amount"))
        for measure in MEASURES
    ]
    binned = valued.select("*", F.inline(F.array(*each))).withColumn("bin", _bin(F.col("amount")))
    of_packs = _added_up(binned.select("*", F.explode("packs").alias("segment_ids")), "segment_ids")
    of_segments = _added_up(of_packs.select("*", F.explode("segment_ids").alias("segment_id")), "segment_id")
    bases = {"value_basis": _basis("in_margin"), "predicted_basis": _basis("predicted_in_margin")}
    return of_segments.withColumns(bases).drop(*_FLAGS)


def _valued(customer_metrics: DataFrame, predictions: DataFrame) -> DataFrame:
    """What is added up of each customer. Grain: customer. A text in a sum would make Spark sort instead of hash."""
    probability = F.col("churn_probability").cast("decimal(18,16)")
    predicted = predictions.select(
        "customer_id",
        _in_margin().alias("predicted_in_margin"),
        F.col("predicted_clv_amount").alias("predicted_amount"),
        F.col("predicted_clv_amount").isNotNull().cast("bigint").alias("predicted_count"),
        "total_clv_amount",
        probability.alias("churn_probability"),
        probability.isNotNull().cast("bigint").alias("churn_probability_count"),
    )
    facts = customer_metrics.select(
        "customer_id",
        _in_margin().alias("in_margin"),
        F.lit(1).alias("customer_count"),
        F.col("lifetime_order_count").alias("order_count"),
        F.col("lifetime_net_amount").alias("net_amount"),
        "historic_clv_amount",
    )
    return facts.join(predicted, "customer_id", "left")


def _added_up(rows: DataFrame, key: str) -> DataFrame:
    sums = [F.sum(name).cast(kind).alias(name) for name, kind in _SUMMED.items()]
    flags = [F.bool_or(name).alias(name) for name in _FLAGS]
    return rows.groupBy(key, "measure", "bin").agg(*sums, *flags)


def _in_margin() -> Column:
    return F.col("value_basis") == CONTRIBUTION_MARGIN


def _basis(flag: str) -> Column:
    return F.when(F.col(flag), CONTRIBUTION_MARGIN).when(~F.col(flag), NET_REVENUE)


def _bin(amount: Column) -> Column:
    """Number of the bin of an amount: 0 for 0, bins 1 % wide above and below it, ascending; NULL for NULL."""
    number = F.floor(F.ln(F.abs(amount).cast("double")) / math.log1p(_BIN_WIDTH)) + _ABOVE_SMALLEST_BIN
    return F.when(amount == 0, 0).when(amount > 0, number).when(amount < 0, -number)


def predicted_of_segments(values: DataFrame) -> DataFrame:
    """Predictions of the members from `member_values`. Grain: segment.

    `predicted_clv_amount`, `predicted_customer_count` and `predicted_basis`; of churn `probability` and `predicted`,
    the number of members with one.
    """
    once = values.where(F.col("measure") == COUNTED_ONCE)
    return once.groupBy("segment_id").agg(
        F.sum("predicted_amount").cast(MONEY_SUM).alias("predicted_clv_amount"),
        F.coalesce(F.sum("predicted_count"), F.lit(0)).alias("predicted_customer_count"),
        F.max("predicted_basis").alias("predicted_basis"),
        F.coalesce(F.sum("churn_probability_count"), F.lit(0)).alias("predicted"),
        F.sum("churn_probability").cast(RATIO).alias("probability"),
    )
