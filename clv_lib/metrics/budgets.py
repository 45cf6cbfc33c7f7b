"""What may be spent: on the new customers that are planned, and on keeping the customers of a segment."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods
from clv_lib.contracts.budgets import MARKETING_BUDGETS, RETENTION_BUDGETS
from clv_lib.contracts.types import MONEY_SUM, RATIO
from clv_lib.metrics.attribution import ALL, EVERYBODY
from clv_lib.metrics.catalogue import metrics_of
from clv_lib.metrics.ratios import quotient
from clv_lib.metrics.unit_economics import maximum_of

POOLED_MONTHS = 12
COMING_MONTHS = 3
NO_EXPERIMENT = "none"

_PLACE = ("channel", "segment_id")
_CHANNEL = "channel:"
"""How a plan names a channel by its segment."""


def marketing_budgets(unit_economics: DataFrame, plans: DataFrame | None, as_of: dt.date) -> DataFrame:
    """The most that a new customer of a channel or segment may cost, and that a plan may spend: `marketing_budgets`.

    Grain: month and channel, `all` included, for the three months after that of as_of and those of `plans_by_place`;
    month and segment for those of the plans alone. Value is pooled over the latest 12 complete cohorts, sums over sums;
    the cap over the latest 12 whose cap month is over. NULL: `no_plan` without planned customers, `max_cac_unknown`
    without a cohort of known value.
    """
    values = unit_economics.where("cac_type = 'blended'")
    pooled = values.groupBy(*_PLACE).agg(*_pooled(as_of))
    planned = _months_to_come(pooled.where(F.col("segment_id") == EVERYBODY), plans, as_of)
    targets = values.agg(*(F.max(name).alias(name) for name in ("target_ltv_to_cac", "payback_cap_months")))
    known = planned.join(pooled, on=list(_PLACE), how="left").crossJoin(targets)
    counts = ("customer_count", "payback_cap_customer_count")
    counted = known.withColumns({name: F.coalesce(name, F.lit(0)).cast(RATIO) for name in counts})
    limits = counted.withColumns(metrics_of(MARKETING_BUDGETS)).withColumns(_maximum()).withColumns(_ceilings())
    stated = limits.withColumns({**_verdict(), "as_of_date": F.lit(as_of)})
    return stated.select(*MARKETING_BUDGETS.columns)


def _months_to_come(channels: DataFrame, plans: DataFrame | None, as_of: dt.date) -> DataFrame:
    """The coming months of `channels`, and those of the plans, with what is planned. Grain: place and month."""
    months = [periods.add_months(periods.month_start(as_of), number + 1) for number in range(COMING_MONTHS)]
    rows = channels.select(*_PLACE, F.explode(F.array(*(F.lit(month) for month in months))).alias("period_month"))
    empty = {"planned_new_customers": RATIO, "planned_spend_amount": MONEY_SUM}
    rows = rows.withColumns({name: F.lit(None).cast(kind) for name, kind in empty.items()})
    if plans is not None:
        rows = rows.unionByName(plans.select(*_PLACE, "period_month", *empty))
    sums = (F.sum(name).cast(kind).alias(name) for name, kind in empty.items())
    return rows.groupBy(*_PLACE, "period_month").agg(*sums)


def plans_by_place(plans: DataFrame) -> DataFrame:
    """Planned customers and spend by month and channel or segment; the month of `all` is the sum of its channels.

    Grain: `period_month, channel, segment_id`, of which the one that is not planned is that of everybody;
    `planned_new_customers, planned_spend_amount`. `plans` are mapped rows. A plan for all customers stands in place of
    the sum; segments are in no sum. Segment `channel:NAME` is that channel.
    """
    named = plans.withColumns({**_planned_place(), "period_month": F.trunc("period_month", "month")})
    known = named.where("period_month is not null")
    is_segment = F.col("segment_id") != EVERYBODY
    has_total = F.max(~is_segment & (F.col("channel") == ALL)).over(Window.partitionBy("period_month"))
    in_total = F.when(has_total | is_segment, F.array("channel")).otherwise(F.array("channel", F.lit(ALL)))
    amounts = ("planned_new_customers", "planned_spend_amount")
    rows = known.withColumn("channels", in_total).select(
        "period_month", "segment_id", F.explode("channels").alias("channel"), *amounts
    )
    return rows.groupBy("period_month", *_PLACE).agg(*(F.sum(name).alias(name) for name in amounts))


def _planned_place() -> dict[str, Column]:
    """Channel and segment of a row of the plans."""
    segment = F.coalesce("segment_id", F.lit(EVERYBODY))
    is_channel, is_everybody = segment.startswith(_CHANNEL), F.lower(segment).isin(ALL, EVERYBODY)
    name = F.when(is_channel, F.substr(segment, F.lit(len(_CHANNEL) + 1)))
    return {
        "channel": F.coalesce(name, "channel", F.lit(ALL)),
        "segment_id": F.when(is_channel | is_everybody, EVERYBODY).otherwise(segment),
    }


def _pooled(as_of: dt.date) -> list[Column]:
    """Sums over the cohorts of a place that are recent and of known value, and over those whose cap month is over."""
    end = F.lit(periods.month_start(as_of + dt.timedelta(days=1)))
    capped = F.add_months(end, -F.col("payback_cap_months"))
    cohort, year = F.col("cohort_month"), F.lit(-POOLED_MONTHS)
    value, by_cap = F.col("clv_total_amount"), F.col("payback_cap_total_amount")
    is_recent = (cohort >= F.add_months(end, year)) & (cohort < end) & value.isNotNull()
    is_capped = (cohort >= F.add_months(capped, year)) & (cohort < capped) & by_cap.isNotNull()
    lower = F.when(is_recent, F.col("clv_lower_total_amount"))
    has_ends = F.count(lower) == F.count_if(is_recent)
    sums = {
        "customer_count": (is_recent, F.col("customer_count"), RATIO),
        "clv_total_amount": (is_recent, value, MONEY_SUM),
        "payback_cap_customer_count": (is_capped, F.col("customer_count"), RATIO),
        "payback_cap_total_amount": (is_capped, by_cap, MONEY_SUM),
    }
    return [
        *(F.sum(F.when(of, amount)).cast(kind).alias(name) for name, (of, amount, kind) in sums.items()),
        F.when(has_ends, F.sum(lower)).cast(MONEY_SUM).alias("clv_lower_total_amount"),
        F.bool_and(F.when(is_recent, F.col("clv_status") == "ok")).alias("is_predicted"),
    ]


def _maximum() -> dict[str, Column]:
    value, by_cap = F.col("clv_amount"), F.col("payback_cap_value_amount")
    lower = quotient(F.col("clv_lower_total_amount"), F.col("customer_count"))
    status = (
        F.when(value.isNull(), "value_unknown")
        .when((value <= 0) | F.coalesce(by_cap <= 0, F.lit(False)), "unprofitable")
        .when(~F.col("is_predicted"), "historic_only")
        .when(by_cap.isNull(), "cap_month_not_observed")
        .otherwise("ok")
    )
    return {
        "max_allowable_cac_amount": maximum_of(value, by_cap),
        "max_allowable_cac_conservative_amount": maximum_of(lower, by_cap),
        "max_cac_status": status,
    }


def _ceilings() -> dict[str, Column]:
    planned = F.col("planned_new_customers")
    names = {"": "max_allowable_cac_amount", "_conservative": "max_allowable_cac_conservative_amount"}
    return {f"budget_ceiling{end}_amount": (F.col(name) * planned).cast(MONEY_SUM) for end, name in names.items()}


def _verdict() -> dict[str, Column]:
    status = F.when(F.col("planned_new_customers").isNull(), "no_plan")
    return {
        "is_within_ceiling": F.col("planned_spend_amount") <= F.col("budget_ceiling_amount"),
        "budget_status": status.when(F.col("max_allowable_cac_amount").isNull(), "max_cac_unknown").otherwise("ok"),
    }


_UPLIFT = {
    "experiment_id": "string",
    "variant": "string",
    "relative_uplift": "double",
    "relative_uplift_lower": "double",
    "is_significant": "boolean",
}


def measured_uplifts(experiment_results: DataFrame, value_basis: str) -> DataFrame:
    """Uplifts of value in `value_basis` that can be trusted, by their best estimate. Grain: segment and variant.

    Left out: experiments whose variants have not the intended sizes, and uplifts that are NULL.
    """
    is_adjusted = F.col("best_estimate") == "cuped"
    best = {
        name: F.when(is_adjusted, F.col(f"cuped_{name}")).otherwise(F.col(name)).cast("double")
        for name in ("relative_uplift", "relative_uplift_lower")
    }
    trusted = experiment_results.where((F.col("metric") == value_basis) & (F.col("srm_status") != "mismatch"))
    return trusted.withColumns(best).where("relative_uplift is not null").select("segment_id", *_UPLIFT)


def retention_budgets(segment_predictions: DataFrame, uplifts: DataFrame | None, as_of: dt.date) -> DataFrame:
    """The most that may be spent on keeping the customers of a segment: contract `retention_budgets`.

    Grain: segment, experiment and variant, `none` for a segment without. `uplifts` are `measured_uplifts`; None:
    nothing was measured. The residual value holds for every horizon, so that of the longest is taken.
    """
    longest = {name: F.max_by(name, "horizon_days") for name in ("residual_clv_amount", "predicted_customer_count")}
    segments = segment_predictions.groupBy("segment_id").agg(*(c.alias(name) for name, c in longest.items()))
    if uplifts is None:
        joined = segments.withColumns({name: F.lit(None).cast(kind) for name, kind in _UPLIFT.items()})
    else:
        joined = segments.join(uplifts, on="segment_id", how="left")
    stated = joined.withColumns({**_retention_spend(), "as_of_date": F.lit(as_of)})
    unnamed = {name: F.coalesce(name, F.lit(NO_EXPERIMENT)) for name in ("experiment_id", "variant")}
    return stated.withColumns(unnamed).withColumns(metrics_of(RETENTION_BUDGETS)).select(*RETENTION_BUDGETS.columns)


def _retention_spend() -> dict[str, Column]:
    """Residual value times uplift, 0 where it is not positive."""
    residual, uplift = F.col("residual_clv_amount"), F.col("relative_uplift")
    status = (
        F.when(uplift.isNull(), "no_uplift_estimate")
        .when(residual.isNull(), "no_residual_value")
        .when(uplift <= 0, "no_uplift")
        .when(~F.coalesce("is_significant", F.lit(False)), "not_significant")
        .otherwise("ok")
    )
    ends = {"": uplift, "_conservative": F.col("relative_uplift_lower")}
    worth = {end: residual.cast("double") * F.greatest(rate, F.lit(0.0)) for end, rate in ends.items()}
    spend = {f"max_retention_spend{end}_amount": F.when(rate.isNotNull(), worth[end]) for end, rate in ends.items()}
    return {**{name: amount.cast(MONEY_SUM) for name, amount in spend.items()}, "budget_status": status}
