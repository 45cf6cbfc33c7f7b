"""What the customers of a cohort, channel or segment are worth against what they cost, and the most they may cost."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib.contracts.economics import UNIT_ECONOMICS
from clv_lib.contracts.types import MONEY_SUM, RATIO
from clv_lib.customers.metrics import CONTRIBUTION_MARGIN, NET_REVENUE
from clv_lib.metrics.attribution import in_cells
from clv_lib.metrics.break_even import (
    COHORT,
    cohort_values,
    crossings,
    cumulative_payback,
    first_order,
    observed_months,
)
from clv_lib.metrics.catalogue import metrics_of
from clv_lib.metrics.predicted_values import days_to_cost, forecast_payback
from clv_lib.metrics.ratios import quotient
from clv_lib.settings.economics import Economics

_PREDICTED = {
    "predicted_amount": "decimal(38,12)",
    "predicted_lower": "double",
    "predicted_upper": "double",
    "predicted_members": "bigint",
    "varied_members": "bigint",
}


def unit_economics(
    activity: DataFrame,
    placed: DataFrame,
    predicted: DataFrame | None,
    acquisition_costs: DataFrame,
    economics: Economics,
    interval_level: float,
    as_of: dt.date,
) -> DataFrame:
    """Value, cost, and their ratio of each cohort, from customers and spend of the same month and cell.

    Grain: cohort month, cac_type, and all, a channel or a segment, as in the primary rows of `acquisition_costs`; a
    month without new customers keeps its row. `activity` are `activity_sums`, `placed` is `customer_metrics` with
    `places`; `predicted` are `predicted_values`, or None. A cohort's value is NULL unless it is known for every
    customer; it is `historic_only` unless each of them has a prediction. Break-even takes the value so far of
    `activity` alone; only where it was not reached, a forecast of it takes predictions.
    """
    costs = _primary(acquisition_costs)
    cohorts = _cohorts(placed)
    reached = crossings(cohort_values(activity), costs, economics.payback_cap_months)
    joined = costs.join(cohorts, on=list(COHORT), how="left").join(reached, on=[*COHORT, "cac_type"], how="left")
    valued = _with_predicted(joined, predicted, economics.horizon_days)
    stated = valued.withColumns(_stated(economics, interval_level, as_of)).withColumns(_totals())
    figures = stated.withColumns(metrics_of(UNIT_ECONOMICS))
    compared = figures.withColumns({**_value(), **_ratio_status(), **cumulative_payback(), **first_order()})
    forecast = _with_forecast(compared, predicted).withColumns(forecast_payback(as_of))
    return forecast.withColumns({**_simple_payback(), **_maximum_cost()}).select(*UNIT_ECONOMICS.columns)


def _primary(acquisition_costs: DataFrame) -> DataFrame:
    """The spend of each cohort: rows of the attribution model and lag that count here; campaigns have no cohorts.

    NULL also where it is a sum that lacks a channel: customers of that channel are not free.
    """
    rows = acquisition_costs.where(F.col("is_primary") & (F.col("level") != "campaign"))
    complete = F.when(F.col("cac_status") != "spend_incomplete", F.col("spend_amount"))
    renamed = rows.withColumnRenamed("period_month", "cohort_month").withColumn("spend_amount", complete)
    return renamed.select(*COHORT, "level", "cac_type", "attribution_model", "spend_amount")


def _cohorts(placed: DataFrame) -> DataFrame:
    """Sums over the customers of each cohort and cell; `members` and `valued_members` count them whole."""
    # The greatest text would make Spark sort the customers; the greatest boolean lets it hash them.
    in_margin = F.col("value_basis") == CONTRIBUTION_MARGIN
    sums = placed.groupBy("cohort_month", "places").agg(
        F.bool_or(in_margin).alias("in_margin"),
        F.count(F.lit(1)).alias("customer_count"),
        F.count(F.lit(1)).alias("member_count"),
        F.count("historic_clv_amount").alias("valued_members"),
        F.sum("historic_clv_amount").alias("historic_clv_amount"),
        F.sum("exposure_days").alias("exposure_days"),
    )
    sums = sums.withColumn("value_basis", F.when(F.col("in_margin"), CONTRIBUTION_MARGIN).otherwise(NET_REVENUE))
    amounts = ("customer_count", "historic_clv_amount", "exposure_days")
    return in_cells(sums, ("cohort_month",), amounts, ("member_count", "valued_members"))


def _with_predicted(joined: DataFrame, predicted: DataFrame | None, horizon_days: int) -> DataFrame:
    """Add the predicted value at the horizon, NULL without predictions."""
    if predicted is None:
        return joined.withColumns({name: F.lit(None).cast(kind) for name, kind in _PREDICTED.items()})
    of_horizon = predicted.where(F.col("horizon_days") == horizon_days).drop("horizon_days")
    return joined.join(of_horizon, on=list(COHORT), how="left")


def _stated(economics: Economics, interval_level: float, as_of: dt.date) -> dict[str, Column]:
    """What holds for every row, also for a month without customers."""
    basis_of_run = F.max("value_basis").over(Window.partitionBy("cac_type"))
    is_predicted = F.coalesce(F.col("predicted_members") == F.col("member_count"), F.lit(False))
    return {
        "customer_count": F.coalesce("customer_count", F.lit(0)).cast(RATIO),
        "exposure_days": F.round("exposure_days").cast("bigint"),
        "clv_basis": F.coalesce("value_basis", basis_of_run, F.lit("net_revenue")),
        "clv_horizon_days": F.lit(economics.horizon_days),
        "is_predicted": is_predicted,
        "clv_interval_level": F.when(is_predicted, F.lit(interval_level)),
        "target_ltv_to_cac": F.lit(economics.target_ltv_to_cac).cast(RATIO),
        "payback_cap_months": F.lit(economics.payback_cap_months),
        "observed_months": observed_months(as_of),
        "as_of_date": F.lit(as_of),
    }


def _totals() -> dict[str, Column]:
    """Sums of the cohort, each NULL unless it is known for every member."""
    is_valued = F.col("valued_members") == F.col("member_count")
    historic = F.when(is_valued, F.col("historic_clv_amount"))
    predicted = F.when(F.col("is_predicted"), F.col("predicted_amount"))
    is_cap_over = F.col("observed_months") > F.col("payback_cap_months")
    lower = F.least(F.col("predicted_lower").cast(MONEY_SUM), predicted.cast(MONEY_SUM))
    lower = historic + F.when(predicted.isNotNull() & F.col("predicted_lower").isNotNull(), lower)
    return {
        "historic_clv_total_amount": historic.cast(MONEY_SUM),
        "predicted_clv_total_amount": predicted.cast(MONEY_SUM),
        "clv_total_amount": (historic + F.coalesce(predicted, F.lit(0))).cast(MONEY_SUM),
        "clv_lower_total_amount": lower.cast(MONEY_SUM),
        "clv_upper_total_amount": (historic + F.col("predicted_upper").cast(MONEY_SUM)).cast(MONEY_SUM),
        "first_order_margin_total_amount": F.col("first_day_margin_sum").cast(MONEY_SUM),
        "payback_cap_total_amount": F.when(is_cap_over, F.col("cap_value_sum")).cast(MONEY_SUM),
    }


def _value() -> dict[str, Column]:
    """What the value holds, and the ends of its interval per customer."""
    is_empty, is_unknown = F.col("customer_count") == 0, F.col("historic_clv_total_amount").isNull()
    reasons = F.when(is_empty, "no_customers").when(is_unknown, "value_unknown")
    count, lower = F.col("customer_count"), F.col("clv_lower_total_amount")
    return {
        "clv_status": reasons.when(~F.col("is_predicted"), "historic_only").otherwise("ok"),
        "clv_interval_status": reasons.when(~F.col("is_predicted"), "not_predicted")
        .when(F.col("varied_members") < F.col("member_count"), "mean_only")
        .otherwise("ok"),
        "clv_lower_amount": quotient(lower, count),
        "clv_upper_amount": quotient(F.col("clv_upper_total_amount"), count),
    }


def _ratio_status() -> dict[str, Column]:
    """LTV:CAC; a cost of 0 has no ratio, a negative value gives a negative one."""
    cost, value = F.col("cac_amount"), F.col("clv_total_amount")
    reasons = F.when(cost.isNull(), "cac_unknown").when(cost == 0, "zero_cac").when(value.isNull(), "value_unknown")
    return {"ratio_status": reasons.otherwise("ok")}


def _with_forecast(compared: DataFrame, predicted: DataFrame | None) -> DataFrame:
    """Add the days until the predicted value closes the gap to the cost, where it was not reached."""
    days = ("days_expected", "days_earliest", "days_latest")
    if predicted is None:
        return compared.withColumns({name: F.lit(None).cast("double") for name in days})
    gap = F.col("spend_amount") - F.col("historic_clv_total_amount")
    open_rows = compared.where("payback_status = 'not_reached'")
    gaps = open_rows.select(*COHORT, "cac_type", "member_count", gap.alias("gap_amount"))
    return compared.join(days_to_cost(predicted, gaps), on=[*COHORT, "cac_type"], how="left")


def _simple_payback() -> dict[str, Column]:
    """Months until the mean value per month has paid the cost; 0 for a cost of 0, NULL if nothing is earned."""
    cost, monthly = F.col("cac_amount"), F.col("monthly_value_per_customer")
    status = (
        F.when(cost.isNull(), "cac_unknown")
        .when(cost == 0, "zero_cac")
        .when(monthly.isNull(), "value_unknown")
        .when(monthly <= 0, "no_value")
        .otherwise("ok")
    )
    months = F.when(cost == 0, F.lit(0).cast(RATIO)).when(monthly > 0, quotient(cost, monthly))
    return {"simple_payback_months": months, "simple_payback_status": status}


def _maximum_cost() -> dict[str, Column]:
    """The most that a new customer may cost: for the target ratio, and to be paid back by the cap month.

    The smaller of both; while the cap month is not over, that of the ratio alone, `cap_month_not_observed`. 0
    `unprofitable` if one of them is not positive.
    """
    value, by_cap = F.col("clv_amount"), F.col("payback_cap_value_amount")
    status = (
        F.when(value.isNull(), "value_unknown")
        .when((value <= 0) | F.coalesce(by_cap <= 0, F.lit(False)), "unprofitable")
        .when(by_cap.isNull(), "cap_month_not_observed")
        .otherwise("ok")
    )
    return {
        "max_allowable_cac_amount": maximum_of(value, by_cap),
        "max_allowable_cac_conservative_amount": maximum_of(F.col("clv_lower_amount"), by_cap),
        "max_cac_status": status,
    }


def maximum_of(value: Column, by_cap: Column) -> Column:
    """The smaller of value over `target_ltv_to_cac` and the value by the cap month where it is known; at least 0."""
    smaller = F.least(quotient(value, F.col("target_ltv_to_cac")), by_cap)
    return F.when(value.isNotNull(), F.greatest(smaller, F.lit(0).cast(RATIO)))
