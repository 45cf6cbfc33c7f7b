"""What the customers of a cohort are expected to be worth, with an interval, and when that pays their cost."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib.metrics.attribution import in_cells
from clv_lib.metrics.break_even import COHORT
from clv_lib.metrics.cohort_metrics import months_from
from clv_lib.metrics.ratios import normal_quantile

_AMOUNTS = ("predicted_clv_amount", "predicted_clv_mean_lower_amount", "predicted_clv_mean_upper_amount")
_VARIANCE = "predicted_clv_variance"


def predicted_values(predictions: DataFrame, placed: DataFrame, interval_level: float) -> DataFrame:
    """Predicted value of each cohort and cell by horizon, with the interval of the sum to be realised.

    Grain: `COHORT` and `horizon_days`; `predicted_amount` (decimal), `predicted_lower` and `predicted_upper` (DOUBLE),
    and how many members (counted whole) have a value and a finite variance: `predicted_members`, `varied_members`. The
    ends are NULL unless each has a value; where one has no finite variance, they are those of the mean alone.
    `predictions` are `customer_predictions` of one model, `placed` are `with_places`.

    The parameters' part of the variance is that of errors which move all customers together: the ends of their
    means are added up, and their distance on the log scale is 2 z relative standard errors. The customers' own
    variances add up; a customer of several channels counts in each with its credit. The sum is taken as
    gamma-distributed, as in models.sum_interval, with quantiles by Wilson and Hilferty (1931).
    """
    known = predictions.select("customer_id", "horizon_days", *_AMOUNTS, _VARIANCE)
    customers = placed.select("customer_id", "cohort_month", "places")
    counts = {"predicted_members": _AMOUNTS[0], "varied_members": _VARIANCE}
    sums = (
        known.join(customers, on="customer_id", how="inner")
        .groupBy("cohort_month", "places", "horizon_days")
        .agg(
            F.count(F.lit(1)).alias("members"),
            *(F.sum(name).alias(name) for name in (*_AMOUNTS, _VARIANCE)),
            *(F.count(name).alias(count) for count, name in counts.items()),
        )
    )
    keys = ("cohort_month", "horizon_days")
    cells = in_cells(sums, keys, _AMOUNTS, ("members", *counts), (_VARIANCE,))
    ends = _ends(normal_quantile(interval_level))
    figures = {"predicted_amount": F.col(_AMOUNTS[0]), **ends}
    return cells.withColumns(figures).select(*COHORT, "horizon_days", *figures, *counts)


def _ends(z: float) -> dict[str, Column]:
    is_known = F.col("predicted_members") == F.col("members")
    has_variance = F.col("varied_members") == F.col("members")
    variance = _variance(z)
    sides = {"predicted_lower": (-z, _AMOUNTS[1]), "predicted_upper": (z, _AMOUNTS[2])}
    return {
        name: F.when(is_known, F.when(has_variance, _end(variance, at)).otherwise(F.col(of_mean).cast("double")))
        for name, (at, of_mean) in sides.items()
    }


def _variance(z: float) -> Column:
    mean, low, high = (F.col(name).cast("double") for name in _AMOUNTS)
    relative = F.when(low > 0, F.log(F.try_divide(high, low)) / (2 * z)).otherwise(F.lit(0.0))
    return F.col(_VARIANCE) + F.pow(relative * mean, F.lit(2.0))


def _end(variance: Column, z: float) -> Column:
    """Quantile of a gamma distribution with the mean and the variance, at z of the normal; never below 0."""
    mean = F.col(_AMOUNTS[0]).cast("double")
    inverse_shape = F.try_divide(variance, F.pow(mean, F.lit(2.0)))
    cube = 1 - inverse_shape / 9 + z * F.sqrt(inverse_shape) / 3
    return F.when(mean > 0, mean * F.pow(F.greatest(cube, F.lit(0.0)), F.lit(3.0))).otherwise(F.lit(0.0))


def days_to_cost(predicted: DataFrame, gaps: DataFrame) -> DataFrame:
    """Days after as_of until the predicted value has closed the `gap_amount` between cost and value so far.

    Grain: `COHORT` and `cac_type` of `gaps`, where every member is predicted (`member_count` of `gaps`). Value grows
    evenly from one horizon to the next. `days_expected`, `days_earliest` (by the high end) and `days_latest` (by the
    low end) are NULL if the longest horizon does not reach it.
    """
    in_order = Window.partitionBy(*COHORT).orderBy("horizon_days")
    curves = {"expected": "predicted_amount", "earliest": "predicted_upper", "latest": "predicted_lower"}
    values = {name: F.col(column).cast("double") for name, column in curves.items()}
    before = {f"{name}_before": F.coalesce(F.lag(name).over(in_order), F.lit(0.0)) for name in curves}
    days_before = F.coalesce(F.lag("horizon_days").over(in_order), F.lit(0))
    curve = predicted.withColumns(values).withColumns({**before, "days_before": days_before})
    joined = curve.join(gaps, on=list(COHORT)).where("predicted_members = member_count")
    found = [F.min(_crossing(name)).alias(f"days_{name}") for name in curves]
    return joined.groupBy(*COHORT, "cac_type").agg(*found)


def _crossing(name: str) -> Column:
    value, before, gap = F.col(name), F.col(f"{name}_before"), F.col("gap_amount").cast("double")
    width = F.col("horizon_days") - F.col("days_before")
    return F.when(
        (before < gap) & (value >= gap), F.col("days_before") + F.try_divide(width * (gap - before), value - before)
    )


def forecast_payback(as_of: dt.date) -> dict[str, Column]:
    """`forecast_payback_months` with its ends and status, from `payback_status` and the days of `days_to_cost`.

    Months are calendar months from the cohort's to that of the day. A forecast is made where the cost was not reached
    in the months observed, and nowhere else.
    """
    is_open = F.col("payback_status") == "not_reached"
    status = (
        F.when(F.col("payback_status").isin("ok", "zero_cac"), "observed")
        .when(~is_open, F.col("payback_status"))
        .when(~F.col("is_predicted"), "no_prediction")
        .when(F.col("days_expected").isNull(), "beyond_horizon")
        .otherwise("ok")
    )
    ends = {"": "expected", "_lower": "earliest", "_upper": "latest"}
    months = {f"forecast_payback_months{end}": F.when(is_open, _month_of(name, as_of)) for end, name in ends.items()}
    return {**months, "forecast_payback_status": status}


def _month_of(name: str, as_of: dt.date) -> Column:
    day = F.date_add(F.lit(as_of), F.ceil(f"days_{name}").cast("int"))
    return months_from(F.trunc(day, "month"), "cohort_month")
