"""What a customer of a cohort and channel is worth against what it cost: ratio, break-even, the most it may cost."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib.contracts.economics import UNIT_ECONOMICS
from clv_lib.contracts.types import MONEY_SUM, RATIO
from clv_lib.metrics.acquisition_costs import ALL_CHANNELS
from clv_lib.metrics.break_even import cohort_values, crossings, cumulative_payback, first_order, observed_months
from clv_lib.metrics.ratios import per_month, published, quotient, ratio
from clv_lib.settings.models import Economics


def unit_economics(
    customer_months: DataFrame,
    customer_metrics: DataFrame,
    predictions: DataFrame | None,
    acquisition_costs: DataFrame,
    economics: Economics,
    as_of: dt.date,
) -> DataFrame:
    """Value, cost, and their ratio of each cohort, from customers and spend of the same month and channel.

    Grain: cohort month, cac_type and channel, as in `acquisition_costs`; a month without new customers keeps its row.
    `predictions` are `customer_predictions` of one model at `economics.horizon_days`, or None. A cohort's value is NULL
    unless it is known for every customer; it is `historic_only` unless each of them has a prediction. Break-even takes
    the value so far of `customer_months` alone, never a prediction.
    """
    costs = acquisition_costs.withColumnRenamed("period_month", "cohort_month").select(
        "cohort_month", "cac_type", "channel", "spend_amount", "cac_amount"
    )
    values = cohort_values(customer_months, customer_metrics, as_of)
    reached = crossings(values, costs, economics.payback_cap_months)
    joined = costs.join(_cohorts(customer_metrics, predictions), on=["cohort_month", "channel"], how="left")
    joined = joined.join(reached, on=["cohort_month", "channel", "cac_type"], how="left")
    stated = joined.withColumns(_stated(economics, as_of))
    valued = stated.withColumns({**_value_per_customer(), "clv_status": _clv_status()})
    compared = valued.withColumns({**_ratio_to_cost(), **cumulative_payback(), **first_order(), **_simple_payback()})
    return compared.withColumns(_maximum_cost()).select(*UNIT_ECONOMICS.columns)


def _stated(economics: Economics, as_of: dt.date) -> dict[str, Column]:
    """What holds for every row, also for a month without customers."""
    basis_of_run = F.max("clv_basis").over(Window.partitionBy("cac_type"))
    return {
        "customer_count": F.coalesce("customer_count", F.lit(0).cast("bigint")),
        "clv_basis": F.coalesce("clv_basis", basis_of_run, F.lit("net_revenue")),
        "clv_horizon_days": F.lit(economics.horizon_days),
        "target_ltv_to_cac": F.lit(economics.target_ltv_to_cac).cast(RATIO),
        "payback_cap_months": F.lit(economics.payback_cap_months),
        "observed_months": observed_months(as_of),
        "as_of_date": F.lit(as_of),
    }


def _cohorts(customer_metrics: DataFrame, predictions: DataFrame | None) -> DataFrame:
    """Sums over the customers of each first-order month and channel, and of all channels; NULL if one is not known."""
    customers = customer_metrics.select(
        "customer_id",
        "value_basis",
        "historic_clv_amount",
        "exposure_days",
        F.col("cohort_month"),
        F.explode(F.array("acquisition_channel", F.lit(ALL_CHANNELS))).alias("channel"),
    )
    if predictions is None:
        valued = customers.withColumn("predicted_clv_amount", F.lit(None).cast(MONEY_SUM))
    else:
        amounts = predictions.select("customer_id", "predicted_clv_amount")
        valued = customers.join(amounts, on="customer_id", how="left")
    return valued.groupBy("cohort_month", "channel").agg(
        F.count("*").alias("customer_count"),
        F.max("value_basis").alias("clv_basis"),
        F.sum("exposure_days").alias("exposure_days"),
        _sum_if_all_known("historic_clv_amount").alias("historic_clv_sum"),
        _sum_if_all_known("predicted_clv_amount").alias("predicted_clv_sum"),
    )


def _sum_if_all_known(name: str) -> Column:
    return F.when(F.count(name) == F.count("*"), F.sum(name)).cast(MONEY_SUM)


def _value_per_customer() -> dict[str, Column]:
    historic, predicted, count = F.col("historic_clv_sum"), F.col("predicted_clv_sum"), F.col("customer_count")
    return {
        "historic_clv_avg": ratio(historic, count),
        "predicted_clv_avg": ratio(predicted, count),
        "clv_amount": ratio(historic + F.coalesce(predicted, F.lit(0)), count),
        "monthly_value_per_customer": published(per_month(historic, F.col("exposure_days"))),
    }


def _clv_status() -> Column:
    return (
        F.when(F.col("customer_count") == 0, "no_customers")
        .when(F.col("historic_clv_sum").isNull(), "value_unknown")
        .when(F.col("predicted_clv_sum").isNull(), "historic_only")
        .otherwise("ok")
    )


def _ratio_to_cost() -> dict[str, Column]:
    """LTV:CAC; a cost of 0 has no ratio, a negative value gives a negative one."""
    cost, value = F.col("cac_amount"), F.col("clv_amount")
    status = (
        F.when(cost.isNull(), "cac_unknown").when(cost == 0, "zero_cac").when(value.isNull(), "value_unknown")
    ).otherwise("ok")
    return {"ltv_to_cac_ratio": quotient(value, cost), "ratio_status": status}


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
    value, nothing = F.col("clv_amount"), F.lit(0).cast(RATIO)
    is_cap_over = F.col("observed_months") > F.col("payback_cap_months")
    by_cap = F.when(is_cap_over, ratio(F.col("cap_value_sum"), F.col("customer_count")))
    smaller = F.least(quotient(value, F.col("target_ltv_to_cac")), by_cap)  # of the ratio alone where the cap is NULL
    status = (
        F.when(value.isNull(), "value_unknown")
        .when((value <= 0) | F.coalesce(by_cap <= 0, F.lit(False)), "unprofitable")
        .when(by_cap.isNull(), "cap_month_not_observed")
        .otherwise("ok")
    )
    return {
        "payback_cap_value_amount": by_cap,
        "max_allowable_cac_amount": F.when(value.isNotNull(), F.greatest(smaller, nothing)),
        "max_cac_status": status,
    }
