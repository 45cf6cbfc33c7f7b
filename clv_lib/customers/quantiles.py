"""Exact quantiles over all customers from two small aggregations, instead of one buffer that holds every value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from clv_lib.contracts.types import MONEY_SUM

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, WindowSpec

_BINS_PER_UNIT = 1000
"""Bins per unit of the logarithm: each is 0.1 % wide."""

Dimensions = Mapping[str, tuple[str, Sequence[float]]]
"""Name of a dimension to its column and the shares at which it is cut, in ascending order."""


def exact_quantiles(frame: DataFrame, dimensions: Dimensions) -> DataFrame:
    """Quantiles at (n - 1) x share, linear between neighbours, equal to SQL's `percentile`, of each dimension.

    Grain: dimension and cut, columns `dimension, cut_number, quantile, cut_value` (DOUBLE); none without values. NULL
    does not count. Values are counted in bins of 0.1 %, then one by one in the few bins in which a quantile lies: no
    task holds or sorts all values, and the result does not depend on how the rows are partitioned, as a sketch's would.
    """
    values = _binned(frame, sorted({column for column, _ in dimensions.values()}))
    in_bins = values.groupBy("measure", "bin").agg(F.count("*").alias("row_count"))
    total = F.sum("row_count").over(Window.partitionBy("measure"))
    ranked = in_bins.withColumns(
        {"total": total, "cuts": _cuts_of(dimensions), **_ranks(F.lit(0), Window.partitionBy("measure").orderBy("bin"))}
    )
    hit = ranked.where(F.size(_cuts_here()) > 0).select("measure", "bin", "total", F.col("first_rank").alias("before"))
    inside = values.join(F.broadcast(hit), ["measure", "bin"])
    counted = inside.groupBy("measure", "bin", "total", "before", "value").agg(F.count("*").alias("row_count"))
    in_order = Window.partitionBy("measure", "bin").orderBy("value")
    placed = counted.withColumns({"cuts": _cuts_of(dimensions), **_ranks(F.col("before"), in_order)})
    ends = placed.select("total", "first_rank", "last_rank", "value", F.inline(_cuts_here()))
    return ends.groupBy("dimension", "cut_number", "quantile", "total").agg(_interpolated().alias("cut_value"))


def _binned(frame: DataFrame, columns: Sequence[str]) -> DataFrame:
    """Grain: row and column with a value. The bin never falls as the value rises."""
    each = [F.struct(F.lit(name).alias("measure"), F.col(name).cast(MONEY_SUM).alias("value")) for name in columns]
    size = F.log1p(F.abs("value").cast("double")) * _BINS_PER_UNIT
    values = frame.select(F.inline(F.array(*each))).where("value is not null")
    return values.withColumn("bin", F.floor(F.signum("value") * size))


def _ranks(before: Column, order: WindowSpec) -> dict[str, Column]:
    """Ranks from 0 of the first and the last row of each group, `before` rows being smaller than all groups."""
    last = before + F.sum("row_count").over(order.rowsBetween(Window.unboundedPreceding, Window.currentRow)) - 1
    return {"first_rank": last - F.col("row_count") + 1, "last_rank": last}


def _cuts_of(dimensions: Dimensions) -> Column:
    """The cuts wanted of each measure, by its name."""
    by_column: dict[str, list[Column]] = {}
    for dimension, (column, shares) in dimensions.items():
        by_column.setdefault(column, []).extend(
            F.struct(
                F.lit(dimension).alias("dimension"), F.lit(number).alias("cut_number"), F.lit(share).alias("quantile")
            )
            for number, share in enumerate(shares, start=1)
        )
    first, *others = ((F.col("measure") == column, F.array(*cuts)) for column, cuts in by_column.items())
    return reduce(lambda chosen, one: chosen.when(*one), others, F.when(*first))


def _position(quantile: Column) -> Column:
    return (F.col("total") - 1) * quantile


def _cuts_here() -> Column:
    """The cuts of which one of the two neighbouring ranks lies in the row's group."""

    def is_here(cut: Column) -> Column:
        position = _position(cut["quantile"])
        return _holds(F.floor(position)) | _holds(F.ceil(position))

    return F.filter("cuts", is_here)


def _holds(rank: Column) -> Column:
    return rank.between(F.col("first_rank"), F.col("last_rank"))


def _interpolated() -> Column:
    """The value at the position, from the values at the ranks below and above it."""
    position = _position(F.col("quantile"))
    below, above = F.floor(position), F.ceil(position)
    low = F.max(F.when(_holds(below), F.col("value")))
    high = F.max(F.when(_holds(above), F.col("value")))
    weighted = (above - position) * low.cast("double") + (position - below) * high.cast("double")
    return F.when(low == high, low.cast("double")).otherwise(weighted)
