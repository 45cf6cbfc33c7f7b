"""Figures of recurring revenue per segment and month: churn of money and customers, retention, quick ratio, ARPA.

Each figure is a quotient of sums over the members, never a mean of customers' quotients.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods
from clv_lib.contracts.recurring import MOVEMENTS, MRR_METRICS
from clv_lib.contracts.subscriptions import CHURN_TYPES
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.metrics.catalogue import metrics_of
from clv_lib.metrics.ratios import normal_quantile, published, wilson_lower, wilson_upper
from clv_lib.metrics.segment_ids import parts_of_segment_id
from clv_lib.recurring.movements import MONTHS_OF_RETENTION, is_churn
from clv_lib.segments.definitions import ALL
from clv_lib.settings.segments import UNKNOWN_SEGMENT

_AMOUNTS = (
    "mrr_start",
    *(f"{kind}_amount" for kind in MOVEMENTS),
    "mrr_end",
    *(f"{kind}_churn_amount" for kind in CHURN_TYPES),
    "retained_net_amount",
    "retained_gross_amount",
)
_COUNTS = (
    "customer_count_start",
    "new_customer_count",
    "reactivated_customer_count",
    "churned_customer_count",
    *(f"{kind}_churned_customer_count" for kind in CHURN_TYPES),
    "customer_count_end",
)
_SUMMED = {**dict.fromkeys(_AMOUNTS, MONEY_SUM), **dict.fromkeys(_COUNTS, "bigint")}


def mrr_metrics(
    movements: DataFrame,
    customer_segments: DataFrame,
    confidence_level: float,
    retention_counts_reactivated: bool,
    as_of: dt.date,
) -> DataFrame:
    """Contract `mrr_metrics` from `mrr_movements` and the memberships at as_of.

    Grain: segment and month, from the first with MRR to that of as_of, without gaps. A figure that is not defined is
    NULL and its status says why; what is measured over a month is NULL until the month is over.
    """
    facts = _facts_of_customers(movements, retention_counts_reactivated)
    members = memberships(movements.select("customer_id").distinct(), customer_segments)
    sums = [F.sum(name).cast(kind).alias(name) for name, kind in _SUMMED.items()]
    of_segments = facts.join(members, on="customer_id").groupBy("segment_id", "period_month").agg(*sums)
    history = Window.partitionBy("segment_id").orderBy("period_month")
    placed = _with_every_month(of_segments, as_of).withColumns(
        {
            "mrr_12m_before": F.lag("mrr_end", MONTHS_OF_RETENTION).over(history),
            "is_final": F.last_day("period_month") <= F.lit(as_of),
            "is_latest": F.col("period_month") == F.lit(periods.month_start(as_of)),
            "arr_amount": (F.col("mrr_end") * F.lit(periods.MONTHS_PER_YEAR)).cast(MONEY_SUM),
            **parts_of_segment_id(),
            "as_of_date": F.lit(as_of),
        }
    )
    figures = {**metrics_of(MRR_METRICS), **_churn_interval(confidence_level), **_statuses()}
    return placed.withColumns(figures).select(*MRR_METRICS.columns)


def memberships(customers: DataFrame, customer_segments: DataFrame) -> DataFrame:
    """Each customer with the ids of its segments: one per type, and `all:all`.

    Grain: customer and segment type; columns `customer_id, segment_id`. Customers without orders are not in
    `customer_segments`: they are in the total, and `unknown` in each other type.
    """
    known = customer_segments.select("customer_id", "segment_id").join(customers, on="customer_id", how="left_semi")
    strangers = customers.join(customer_segments, on="customer_id", how="left_anti").select("customer_id")
    in_total = strangers.withColumn("segment_id", F.lit(f"{ALL}:{ALL}"))
    types = customer_segments.where(F.col("segment_type") != ALL).select("segment_type").distinct()
    unknown = types.select(F.concat_ws(":", "segment_type", F.lit(UNKNOWN_SEGMENT)).alias("segment_id"))
    return known.unionByName(in_total).unionByName(strangers.crossJoin(F.broadcast(unknown)))


def _facts_of_customers(movements: DataFrame, counts_reactivated: bool) -> DataFrame:
    """What a customer's month adds to the sums of its segments. Grain: customer and month."""
    lost = {kind: is_churn() & (F.col("churn_type") == kind) for kind in CHURN_TYPES}
    lost_amounts = {f"{kind}_churn_amount": F.when(lost[kind], F.col("churn_amount")).otherwise(0) for kind in lost}
    flags = {
        "customer_count_start": F.col("mrr_start") > 0,
        "new_customer_count": F.col("movement_type") == "new",
        "reactivated_customer_count": F.col("movement_type") == "reactivation",
        "churned_customer_count": is_churn(),
        **{f"{kind}_churned_customer_count": is_lost for kind, is_lost in lost.items()},
        "customer_count_end": F.col("mrr_end") > 0,
    }
    counts = {name: F.coalesce(flag, F.lit(False)).cast("bigint") for name, flag in flags.items()}
    added = movements.withColumns({**lost_amounts, **_retained(counts_reactivated), **counts})
    return added.select("customer_id", "period_month", *_SUMMED)


def _retained(counts_reactivated: bool) -> dict[str, Column]:
    """MRR kept of the customers who had MRR 12 months before, and of each at most what it was then."""
    then, now = F.col("mrr_12m_before"), F.col("mrr_end")
    is_member = then > 0
    if not counts_reactivated:
        stayed = F.col("paying_since_month") <= F.add_months("period_month", -MONTHS_OF_RETENTION)
        is_member = is_member & F.coalesce(stayed, F.lit(False))
    return {
        "retained_net_amount": F.when(is_member, now).otherwise(0),
        "retained_gross_amount": F.when(is_member, F.least(now, then)).otherwise(0),
    }


def _with_every_month(sums: DataFrame, as_of: dt.date) -> DataFrame:
    """Fill the months in which no member has MRR, up to that of as_of, with zeros."""
    after_last = F.lit(periods.add_months(periods.month_start(as_of), 1))
    history = Window.partitionBy("segment_id").orderBy("period_month")
    next_month = F.coalesce(F.lead("period_month").over(history), after_last)
    months = F.sequence("period_month", F.add_months(next_month, -1), F.expr("interval 1 month"))
    spread = sums.withColumn("months", months).select("*", F.explode("months").alias("filled_month"))
    is_own = F.col("filled_month") == F.col("period_month")
    filled = [F.when(is_own, F.col(name)).otherwise(0).cast(kind).alias(name) for name, kind in _SUMMED.items()]
    return spread.select("segment_id", F.col("filled_month").alias("period_month"), *filled)


def _churn_interval(confidence_level: float) -> dict[str, Column]:
    """Wilson interval of the month's churn of customers, once the month is over."""
    events, trials = F.col("churned_customer_count"), F.col("customer_count_start")
    z = normal_quantile(confidence_level)
    bounds = {"churn_rate_lower": wilson_lower(events, trials, z), "churn_rate_upper": wilson_upper(events, trials, z)}
    return {name: F.when(F.col("is_final"), published(bound)) for name, bound in bounds.items()}


def _statuses() -> dict[str, Column]:
    """Why a metric is NULL: what is measured over a month is not defined until the month is over."""
    then, lost = F.col("mrr_12m_before"), F.col("contraction_amount") + F.col("churn_amount")
    over = F.when(~F.col("is_final"), "incomplete_month")
    return {
        "churn_status": over.when(F.col("mrr_start") == 0, "no_starting_mrr").otherwise("ok"),
        "retention_status": over.when(then.isNull(), "short_history")
        .when(then == 0, "no_starting_mrr")
        .otherwise("ok"),
        "quick_ratio_status": over.when(lost == 0, "no_losses").otherwise("ok"),
        "arpa_status": F.when(F.col("customer_count_end") == 0, "no_active_subscribers").otherwise("ok"),
    }
