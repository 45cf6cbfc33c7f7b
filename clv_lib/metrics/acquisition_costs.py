"""What a new customer cost, by month, kind of cost, channel, campaign and segment, attribution model and lag.

Missing spend, no spend and no customers are three different things, at every level; and a sum without a part that is
missing is a fourth.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods
from clv_lib.contracts.acquisition_costs import ACQUISITION_COSTS
from clv_lib.contracts.acquisitions import DECLARED_MODEL, UNATTRIBUTED
from clv_lib.contracts.types import MONEY_SUM, RATIO
from clv_lib.metrics.attribution import (
    ALL,
    DECLARED,
    EVERYBODY,
    Attribution,
    credited_customers,
    with_segments,
)
from clv_lib.metrics.catalogue import metrics_of
from clv_lib.metrics.spend_allocation import (
    CAC_TYPES,
    UNALLOCATED,
    places,
    spend_by_type,
    spend_of_places,
    spend_of_segments,
)

_PLACE = ("channel", "campaign_name", "segment_id")
_CUSTOMERS = ("period_month", "attribution_model", *_PLACE)
_SPEND = (*_CUSTOMERS, "lag_months", "cac_type")


def new_customers(
    customer_metrics: DataFrame,
    credited: DataFrame | None = None,
    members: DataFrame | None = None,
    models: Sequence[str] = DECLARED.models,
) -> DataFrame:
    """Customers by the month of their first order, by each attribution model: the small table behind the costs.

    Grain: `period_month, attribution_model, channel, campaign_name, segment_id`; `new_customer_count`, as credits. A
    campaign is told apart for everybody (all:all) alone. `credited` are `acquisition_credits`, `members` `memberships`.
    """
    customers = credited_customers(customer_metrics, credited, models)
    placed = with_segments(customers, members)
    ids = F.array_append("segment_ids", F.lit(EVERYBODY))
    named = placed.withColumnRenamed("cohort_month", "period_month").withColumn("segment_id", F.explode(ids))
    campaign = F.when(F.col("segment_id") == EVERYBODY, F.col("campaign_name")).otherwise(F.lit(ALL))
    summed = named.withColumn("campaign_name", campaign).groupBy(*_CUSTOMERS)
    return summed.agg(F.sum("credit").cast(RATIO).alias("new_customer_count"))


def acquisition_costs(
    won: DataFrame,
    spend: DataFrame | None,
    as_of: dt.date,
    segment_types: Sequence[str] = (),
    attribution: Attribution = DECLARED,
    lags: Sequence[int] = (0,),
) -> DataFrame:
    """Spend, new customers and their quotient, from the first month with either to that of as_of.

    Grain: contract `acquisition_costs`; months have no gaps, but campaigns only rows with spend or customers. `won` are
    `new_customers`, read several times; `spend` is `monthly_spend` of acquisition up to as_of, None if the source is
    not configured. NULL: `spend_missing` if a channel or campaign has had spend rows of the type, but none in the month
    `lag_months` before, or nobody has one there; `spend_incomplete` if the spend of a channel with new customers is
    missing in the sum; `no_new_customers` if the spend brought none. A place spends 0 before its first row.
    """
    spent = None if spend is None else _spent(spend_by_type(spend), won, segment_types, attribution.models, lags)
    brought = _by_place(won)
    rows = _every_row(brought, spend, spent, attribution.models, lags, as_of)
    counted = rows.join(brought, on=list(_CUSTOMERS), how="left")
    if spent is None:
        amounts = {name: F.lit(None).cast(MONEY_SUM) for name in ("spend_rows_amount", "allocated_amount")}
        costs = counted.withColumns(amounts)
    else:
        costs = counted.join(spent.withColumnRenamed("spend_amount", "spend_rows_amount"), on=list(_SPEND), how="left")
    return _with_figures(costs, attribution.chosen, lags[0], as_of).select(*ACQUISITION_COSTS.columns)


def credited_costs(costs: DataFrame) -> DataFrame:
    """Rows of contract `acquisition_costs` in which credits gave a channel new customers. Grain: kept.

    No row if nobody with orders is credited to a channel, as where all credits are of strangers.
    """
    by_credits = (F.col("attribution_model") != DECLARED_MODEL) & ~F.col("channel").isin(ALL, UNATTRIBUTED)
    return costs.where(by_credits & (F.col("new_customer_count") > 0))


def _by_place(won: DataFrame) -> DataFrame:
    """New customers of every campaign, channel, segment and in total: `_CUSTOMERS`."""
    total = F.slice(places(), 3, 1)
    own = F.when(F.col("segment_id") == EVERYBODY, places()).otherwise(total)
    placed = won.select("period_month", "attribution_model", "segment_id", "new_customer_count", F.inline(own))
    return placed.groupBy(*_CUSTOMERS).agg(F.sum("new_customer_count").cast(RATIO).alias("new_customer_count"))


def _spent(
    typed: DataFrame, won: DataFrame, segment_types: Sequence[str], models: Sequence[str], lags: Sequence[int]
) -> DataFrame:
    columns = (*_SPEND, "spend_amount", "allocated_amount")
    spent = spend_of_places(typed, models, lags).select(*columns)
    if not segment_types:
        return spent
    members = won.where(F.col("segment_id") != EVERYBODY).drop("campaign_name")
    return spent.unionByName(spend_of_segments(typed, members, segment_types, models, lags).select(*columns))


def _every_row(
    brought: DataFrame,
    spend: DataFrame | None,
    spent: DataFrame | None,
    models: Sequence[str],
    lags: Sequence[int],
    as_of: dt.date,
) -> DataFrame:
    """Every month from the first to that of as_of with every place, model, lag and kind of cost: no customers."""
    place = F.struct(*_PLACE).alias("place")
    keys = brought.select("period_month", place)
    first = keys.agg(F.min("period_month").alias("first_month"))
    if spent is not None and spend is not None:
        keys = keys.unionByName(spent.select("period_month", place))
        first_spend = spend.agg(F.min("period_month").alias("first_spend_month"))
        first = first.crossJoin(first_spend).select(F.least("first_month", "first_spend_month").alias("first_month"))
    found = keys.agg(F.collect_set("place").alias("places")).crossJoin(first)
    months = F.sequence("first_month", F.lit(periods.month_start(as_of)), F.expr("interval 1 month"))
    each = found.select("places", F.explode(months).alias("period_month"))
    for name, values in (("attribution_model", models), ("lag_months", lags), ("cac_type", CAC_TYPES)):
        each = each.select("*", F.explode(F.array(*(F.lit(value) for value in values))).alias(name))
    return each.select("period_month", "attribution_model", "lag_months", "cac_type", F.inline("places"))


def _with_figures(costs: DataFrame, chosen: str, first_lag: int, as_of: dt.date) -> DataFrame:
    stated = costs.withColumns(
        {
            "new_customer_count": F.coalesce("new_customer_count", F.lit(0)).cast(RATIO),
            "level": _level(),
            "allocation_method": _allocation_method(),
            "is_primary": (F.col("attribution_model") == chosen) & (F.col("lag_months") == first_lag),
            "is_final": F.last_day("period_month") <= F.lit(as_of),
            "as_of_date": F.lit(as_of),
        }
    )
    is_silent = F.col("spend_rows_amount").isNull() & (F.col("new_customer_count") == 0)
    shown = _with_spend(stated).where((F.col("level") != "campaign") | ~is_silent)
    return shown.withColumn("cac_status", _cac_status()).withColumns(metrics_of(ACQUISITION_COSTS))


def _level() -> Column:
    return (
        F.when(F.col("segment_id") != EVERYBODY, "segment")
        .when(F.col("campaign_name") != ALL, "campaign")
        .when(F.col("channel") != ALL, "channel")
        .otherwise("all")
    )


def _with_spend(rows: DataFrame) -> DataFrame:
    """Add `spend_amount`, and `is_incomplete`: the sum of the month lacks a channel with new customers.

    NULL if nobody has a row of the type in the month, or the place or its channel has none since an earlier one. Before
    its first row a place cost nothing. Customers are those by any model, since the spend is the same by each.
    """
    month, level = ("period_month", "lag_months", "cac_type"), F.col("level")
    of_month, of_channel = Window.partitionBy(*month), Window.partitionBy(*month, "channel")
    has_rows = F.col("spend_rows_amount").isNotNull()
    earlier = Window.partitionBy(*_SPEND[1:]).orderBy("period_month").rowsBetween(Window.unboundedPreceding, -1)
    followed = rows.withColumn("has_begun", F.count("spend_rows_amount").over(earlier) > 0)
    lacks = ~has_rows & F.col("has_begun") & level.isin("channel", "campaign")
    is_channel = lacks & (level == "channel")
    judged = followed.withColumns(
        {
            "is_reported": F.bool_or(has_rows).over(of_month),
            "is_incomplete": F.bool_or(is_channel & (F.col("new_customer_count") > 0)).over(of_month),
            "is_missing": lacks | F.bool_or(is_channel).over(of_channel),
        }
    )
    amount = F.when(F.col("is_reported") & ~F.col("is_missing"), F.coalesce("spend_rows_amount", F.lit(0)))
    return judged.withColumn("spend_amount", amount.cast(MONEY_SUM))


def _allocation_method() -> Column:
    is_lost = F.col("segment_id").endswith(f":{UNALLOCATED}")
    return (
        F.when(F.col("spend_rows_amount").isNull() | is_lost, "none")
        .when(F.col("allocated_amount") > 0, "allocated")
        .otherwise("direct")
    )


def _cac_status() -> Column:
    return (
        F.when(F.col("spend_amount").isNull(), "spend_missing")
        .when(F.col("level").isin("all", "segment") & F.col("is_incomplete"), "spend_incomplete")
        .when(F.col("new_customer_count") == 0, "no_new_customers")
        .when(F.col("spend_amount") == 0, "zero_spend")
        .otherwise("ok")
    )
