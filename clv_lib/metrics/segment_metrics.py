"""Published figures of segments by month: averages, churn, expected lifetime, customer value, rank.

The contract declares the quotients of sums; made here are statuses, intervals, bounds, formulas and ranks. Customer
value is average order value TIMES purchase frequency: currency/order x orders/month = currency/month.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib import periods
from clv_lib.contracts.segments import SEGMENT_METRICS
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.metrics.catalogue import metrics_of
from clv_lib.metrics.member_values import predicted_of_segments
from clv_lib.metrics.ratios import (
    normal_quantile,
    part,
    per_month,
    published,
    quotient,
    ratio,
    times,
    wilson_lower,
    wilson_upper,
)
from clv_lib.metrics.segment_ids import parts_of_segment_id
from clv_lib.metrics.segment_months import over_complete_months, segment_months
from clv_lib.settings.models import Churn

RULE_OF_THREE = 3
"""Without an event in n trials the 95 % upper bound of the rate is 3 / n."""


def segment_metrics(
    activity: DataFrame,
    values: DataFrame | None,
    churn: Churn,
    annual_discount_rate: float,
    as_of: dt.date,
) -> DataFrame:
    """Figures of each segment and calendar month from its first order to as_of.

    Grain: segment and month. `activity` are `activity_sums`, `values` are `member_values`; None: no predictions. A
    figure that is not defined is NULL and its status says why.
    """
    months = segment_months(activity, as_of)
    known = months.withColumns(
        {
            "margin_amount": _known(F.col("margin_amount"), "margin_order_count", "order_count"),
            "lifetime_margin_amount": _known(
                F.col("lifetime_known_margin_amount"), "lifetime_margin_order_count", "lifetime_order_count"
            ),
            "is_latest": F.col("period_month") == F.lit(periods.month_start(as_of)),
            **parts_of_segment_id(),
            "as_of_date": F.lit(as_of),
        }
    )
    predicted = _with_predictions(known, values)
    rated = predicted.withColumns(metrics_of(SEGMENT_METRICS)).withColumns(
        {**statuses(), **churn_intervals(churn), **lifetime_bounds(churn)}
    )
    valued = rated.withColumns(
        {"churn_rate_stddev_12m": _churn_volatility(), **formula_clv(churn, annual_discount_rate)}
    )
    return valued.withColumns({**shares_of_type(), "clv_rank": clv_rank()}).select(*SEGMENT_METRICS.columns)


def _known(margin: Column, margin_order_count: str, order_count: str) -> Column:
    """The margin if that of every order is known, else NULL."""
    return F.when(F.col(margin_order_count) == F.col(order_count), margin)


def statuses() -> dict[str, Column]:
    """Why a metric is NULL, and what customer value is measured in. Zero churn is a rate of 0."""
    events, trials = F.col("churned_customer_count_12m"), F.col("customer_count_start_12m")
    incomplete, unstarted = ~F.col("is_final"), F.col("customer_count_start") == 0
    return {
        "month_status": F.when(F.col("active_customer_count") == 0, "no_active_customers").otherwise("ok"),
        "churn_status": F.when(incomplete, "incomplete_month").when(unstarted, "no_starting_customers").otherwise("ok"),
        "lifetime_status": F.when(trials == 0, "no_starting_customers").when(events == 0, "zero_churn").otherwise("ok"),
        "clv_basis": F.when(F.col("lifetime_margin_amount").isNull(), "net_revenue").otherwise("contribution_margin"),
    }


def churn_intervals(churn: Churn) -> dict[str, Column]:
    """Wilson intervals of the month's rate, once the month is over, and of the rate of 12 months."""
    z = normal_quantile(churn.confidence_level)
    month = (F.col("churned_customer_count"), F.col("customer_count_start"), z)
    year = (F.col("churned_customer_count_12m"), F.col("customer_count_start_12m"), z)
    return {
        "churn_rate_lower": F.when(F.col("is_final"), published(wilson_lower(*month))),
        "churn_rate_upper": F.when(F.col("is_final"), published(wilson_upper(*month))),
        "churn_rate_12m_lower": published(wilson_lower(*year)),
        "churn_rate_12m_upper": published(wilson_upper(*year)),
    }


def _churn_volatility() -> Column:
    """Sample standard deviation of the last 12 complete monthly rates; NULL with fewer than two rates."""
    return over_complete_months(F.stddev_samp(F.col("monthly_churn_rate").cast("double")))


def _lifetime_months() -> Column:
    """Mean of a geometric lifetime, 1 / churn, unrounded: starting over churned customers of 12 months."""
    return part(F.col("customer_count_start_12m"), F.col("churned_customer_count_12m"))


def _capped_lifetime_months(cap: int) -> Column:
    """The lifetime up to the cap, which also stands for zero churn; NULL without starting customers."""
    lifetime = F.coalesce(_lifetime_months(), F.lit(cap).cast("decimal(28,16)"))
    return F.when(F.col("customer_count_start_12m") > 0, F.least(lifetime, F.lit(cap).cast("decimal(28,16)")))


def lifetime_bounds(churn: Churn) -> dict[str, Column]:
    """Lower bound and capped value of the expected lifetime.

    With zero churn the lower bound is customer-months / 3 (rule of three), otherwise 1 / upper bound of the rate.
    """
    events, trials = F.col("churned_customer_count_12m"), F.col("customer_count_start_12m")
    upper = wilson_upper(events, trials, normal_quantile(churn.confidence_level))
    lower = F.when(events > 0, F.try_divide(F.lit(1.0), upper)).when(trials > 0, trials / F.lit(RULE_OF_THREE))
    return {
        "expected_lifetime_months_lower": published(lower),
        "expected_lifetime_months_capped": published(_capped_lifetime_months(churn.lifetime_cap_months)),
    }


def formula_clv(churn: Churn, annual_discount_rate: float) -> dict[str, Column]:
    """Value per customer-month x expected lifetime, from unrounded parts; NULL where the lifetime is.

    Average order value x purchase frequency (x margin rate) is the value per customer-month in `clv_basis`: the
    orders (and the revenue) cancel, so the short form is taken and also holds at a revenue of 0. Discounted: value of
    a month paid in advance, m (1 + d) / (d + c), also finite without churn; NULL without starting customers.
    """
    amount = F.coalesce("lifetime_margin_amount", "lifetime_net_amount")
    monthly_value = per_month(amount, F.col("exposure_days"))
    d = periods.monthly_discount_rate(annual_discount_rate)
    rate = F.try_divide(
        F.col("churned_customer_count_12m").cast("double"), F.col("customer_count_start_12m").cast("double")
    )
    discounted = F.try_divide(monthly_value.cast("double") * (1 + d), rate + d)
    return {
        "clv_formula_amount": published(times(monthly_value, _lifetime_months())),
        "clv_formula_capped_amount": published(
            times(monthly_value, _capped_lifetime_months(churn.lifetime_cap_months))
        ),
        "clv_discounted_amount": published(discounted),
    }


def _with_predictions(months: DataFrame, values: DataFrame | None) -> DataFrame:
    """Add sum, number and basis of the members' predictions to the latest month; NULL in other months, without any."""
    if values is None:
        return months.withColumns({name: F.lit(None).cast(kind) for name, kind in _PREDICTED.items()})
    of_segments = predicted_of_segments(values).select("segment_id", *_PREDICTED)
    joined = months.join(of_segments.withColumn("is_latest", F.lit(True)), on=["segment_id", "is_latest"], how="left")
    count = F.when(F.col("is_latest"), F.coalesce("predicted_customer_count", F.lit(0)))
    return joined.withColumn("predicted_customer_count", count)


_PREDICTED = {"predicted_clv_amount": MONEY_SUM, "predicted_customer_count": "bigint", "predicted_basis": "string"}


def shares_of_type() -> dict[str, Column]:
    """Share of the segment type's net revenue so far and of its customers; NULL if the total is 0."""
    in_type = Window.partitionBy("segment_type", "period_month")
    revenue = F.sum("lifetime_net_amount").over(in_type).cast(MONEY_SUM)
    customers = F.sum("lifetime_customer_count").over(in_type)
    return {
        "value_share": quotient(F.col("lifetime_net_amount"), revenue),
        "customer_share": ratio(F.col("lifetime_customer_count"), customers),
    }


def clv_rank() -> Column:
    """1 for the highest value per member, so far plus predicted; equal values share a rank.

    Measured in margin if it is known for every segment of the type and month, else in net revenue. Predictions count
    where they are in the same measure, so that revenue and margin are never added up.
    """
    in_type = Window.partitionBy("segment_type", "period_month")
    margin_everywhere = F.count("historic_margin_avg").over(in_type) == F.count("*").over(in_type)
    measure = F.when(margin_everywhere, "contribution_margin").otherwise("net_revenue")
    so_far = F.when(margin_everywhere, F.col("historic_margin_avg")).otherwise(F.col("historic_clv_avg"))
    comparable = F.when(F.col("predicted_basis") == measure, F.col("predicted_clv_avg"))
    value = so_far + F.coalesce(comparable, F.lit(0))
    return F.rank().over(in_type.orderBy(value.desc_nulls_last()))
