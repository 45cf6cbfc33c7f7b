"""Groups of customers that may have a fit of their own: who is in which, and their counted histories."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.types import MONEY_SUM
from clv_lib.scoring.fits import POOLED_SEGMENT
from clv_lib.scoring.statistics import HISTORY, counted_spend, spend_bin
from clv_lib.segments.definitions import segment_name, source_of
from clv_lib.settings.predictions import FIRST_ORDER_VALUE_BAND
from clv_lib.settings.segments import UNKNOWN_SEGMENT, SegmentType

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column, DataFrame

FIT_SEGMENT = "fit_segment_id"
"""Column of customers that are scored: the segment whose fit of the model of orders is theirs."""

SPEND_FIT_SEGMENT = "spend_fit_segment_id"
"""Column of customers that are scored: the segment whose fit of spend is theirs."""

BAND_SHARES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Groupings:
    """What divides customers into groups: configured segment types, and the cuts of first_order_value_band or None."""

    kinds: Sequence[SegmentType]
    band_cuts: tuple[float, ...] | None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the groupings, the configured types first."""
        band = () if self.band_cuts is None else (FIRST_ORDER_VALUE_BAND,)
        return (*(kind.name for kind in self.kinds), *band)


def group_column(grouping: str) -> str:
    """The column of `with_groups` that holds a customer's group, as its segment_id."""
    return f"group_by_{grouping}"


def first_order_value() -> Column:
    """Value of the first day with orders, in value_basis; NULL where a margin is not known.

    It is what btyd_monetary_value leaves out: the value so far less x times the mean value of the x later days.
    """
    repeated = F.when(F.col("btyd_frequency") == 0, 0).otherwise(F.col("btyd_frequency") * F.col("btyd_monetary_value"))
    return (F.col("historic_clv_amount") - repeated).cast(MONEY_SUM).cast("double")


def band_cuts(states: DataFrame) -> tuple[float, ...]:
    """The quartiles of `first_order_value` over `customer_metrics`, ascending; empty if it is known of nobody."""
    [row] = states.agg(F.percentile(first_order_value(), list(BAND_SHARES)).alias("cuts")).collect()
    return tuple(sorted(set(row["cuts"] or ())))


def band_limits(segment_id: str, cuts: Sequence[float]) -> tuple[float | None, float | None]:
    """Above which value a group of first_order_value_band begins, and with which it ends; None: without an end."""
    name = segment_id.partition(":")[2]
    if name == UNKNOWN_SEGMENT:
        return None, None
    number = int(name.removeprefix("q"))
    return (cuts[number - 2] if number > 1 else None), (cuts[number - 1] if number <= len(cuts) else None)


def _band(cuts: Sequence[float]) -> Column:
    """q1 for the lowest values; equal values are in one band."""
    number = F.lit(1)
    for cut in cuts:
        number = number + (first_order_value() > F.lit(cut)).cast("int")
    return F.coalesce(F.concat(F.lit("q"), number.cast("string")), F.lit(UNKNOWN_SEGMENT))


def with_groups(states: DataFrame, attributes: DataFrame | None, groupings: Groupings) -> DataFrame:
    """`customer_metrics` with a `group_column` per grouping. Grain: kept.

    `attributes` is the customers contract, one row per customer; attribute types need it.
    """
    own = [kind for kind in groupings.kinds if source_of(kind) == "customers"]
    named = {kind.name: segment_name(kind) for kind in groupings.kinds if kind not in own}
    if groupings.band_cuts is not None:
        named[FIRST_ORDER_VALUE_BAND] = _band(groupings.band_cuts)
    rows = states.withColumns({group_column(name): _segment_id(name, column) for name, column in named.items()})
    if attributes is None or not own:
        return rows
    given = attributes.select("customer_id", *(segment_name(kind).alias(group_column(kind.name)) for kind in own))
    joined = rows.join(given, "customer_id", "left")
    return joined.withColumns(
        {group_column(kind.name): _segment_id(kind.name, F.col(group_column(kind.name))) for kind in own}
    )


def _segment_id(grouping: str, name: Column) -> Column:
    return F.concat(F.lit(f"{grouping}:"), F.coalesce(name, F.lit(UNKNOWN_SEGMENT)))


def counted_by_group(states: DataFrame, groupings: Groupings, *also: str) -> pd.DataFrame:
    """Distinct groups, histories and columns `also` with their number of `customers`, collected, in ascending order.

    One row stands for all groupings at once, so there are never more rows than customers.
    """
    key = [*map(group_column, groupings.names), *HISTORY, *also]
    counted = states.groupBy(*key).agg(F.count(F.lit(1)).alias("customers")).toPandas()
    return counted.sort_values(key, ignore_index=True)


def counted_spend_by_group(states: DataFrame, groupings: Groupings) -> pd.DataFrame:
    """`counted_spend` by the groups of all groupings at once; what `SpendRows.of` takes for each group."""
    return counted_spend(states, *map(group_column, groupings.names))


LATER_SPEND = ("btyd_frequency", "mean_spend", "later_days", "later_mean_spend")
"""x and mean value of repeat days before a day, and the days with orders after it with their mean value."""


def counted_later_spend(outcomes: DataFrame, groupings: Groupings) -> pd.DataFrame:
    """Distinct groups and LATER_SPEND with their number of `customers`, collected, in ascending order.

    `outcomes` are `holdout.outcomes` with a `group_column` per grouping. Left out is who did not buy in the holdout,
    whose value there is not above 0, and whose value before is not known. Both values are in bins of 1 % by their
    logarithm, and stand for them with their mean.
    """
    before, days = F.col("btyd_monetary_value"), F.col("actual_orders")
    later = F.try_divide(F.col("actual_amount"), days)
    is_known = (F.col("btyd_frequency") == 0) | before.isNotNull()
    bought = outcomes.where((days > 0) & (F.col("actual_amount") > 0) & is_known)
    key = [*map(group_column, groupings.names), "btyd_frequency", "bin", "later_days", "later_bin"]
    binned = bought.withColumns({"bin": spend_bin(before), "later_days": days, "later_bin": spend_bin(later)})
    counted = binned.groupBy(*key).agg(
        F.avg(F.greatest(F.coalesce(before, F.lit(0)), F.lit(0))).cast("double").alias("mean_spend"),
        F.avg(later).alias("later_mean_spend"),
        F.count(F.lit(1)).alias("customers"),
    )
    return counted.toPandas().sort_values(key, ignore_index=True).drop(columns=["bin", "later_bin"])


@dataclass(frozen=True)
class Taken:
    """A grouping that scores, and the groups with a usable fit of their own."""

    grouping: str
    fitted: Collection[str]


def assigned(states: DataFrame, orders: Taken | None = None, spend: Taken | None = None) -> DataFrame:
    """`states` with FIT_SEGMENT and SPEND_FIT_SEGMENT: a customer's group where it has a fit, else the pooled one.

    `states` has the `group_column` of the groupings; None: everybody is scored by the pooled fit. Grain: kept.
    """
    return states.withColumns({FIT_SEGMENT: _fit_of(orders), SPEND_FIT_SEGMENT: _fit_of(spend)})


def _fit_of(taken: Taken | None) -> Column:
    pooled = F.lit(POOLED_SEGMENT)
    if taken is None:
        return pooled
    group = F.col(group_column(taken.grouping))
    return F.when(group.isin(*taken.fitted), group).otherwise(pooled)
