"""`customer_predictions`, `prediction_bands` and the sums of segments from the forecasts of customers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from clv_lib.contracts.predictions import BANDS, CUSTOMER_PREDICTIONS, NO_CHURN_SEEN, PREDICTION_BANDS
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.scoring.forecasts import ORDER_GRADIENT, RESIDUAL_GRADIENT, VALUE_GRADIENT
from clv_lib.scoring.groups import FIT_SEGMENT, SPEND_FIT_SEGMENT
from clv_lib.scoring.statistics import HISTORY, TIME_UNIT_DAYS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from clv_lib.scoring.fits import Scorers
    from clv_lib.settings.predictions import Predictions

SCORED = (
    "customer_id",
    FIT_SEGMENT,
    SPEND_FIT_SEGMENT,
    *HISTORY,
    "btyd_monetary_value",
    "value_basis",
    "historic_clv_amount",
    "last_order_date",
)
"""What is needed of a customer to be scored and published: forecasts are kept, so a row should be narrow."""

Cuts = Mapping[int, tuple[float, float]]
"""Predicted values from which the spend tier is medium, and high, by horizon."""

_MAX_GAP_DAYS = 36_500
_TIER_BIN_WIDTH = 0.01


def customer_predictions(
    forecasts: DataFrame, scorers: Scorers, cuts: Cuts, settings: Predictions, as_of: dt.date
) -> DataFrame:
    """Contract `customer_predictions`. Grain: customer and horizon, kept.

    `forecasts` are those of `customer_metrics`. Every customer is scored, one-time buyers at the population mean spend;
    without a usable model the figures are NULL and `prediction_status` says why. So it does where the model knows no
    churn, which leaves P(alive), churn and residual value NULL.
    """
    has_value = F.col("historic_clv_amount").isNotNull()
    money = {
        "predicted_clv_amount": "expected_value",
        "predicted_clv_mean_lower_amount": "expected_value_lower",
        "predicted_clv_mean_upper_amount": "expected_value_upper",
        "predicted_clv_lower_amount": "value_lower",
        "predicted_clv_upper_amount": "value_upper",
        "residual_clv_amount": "residual_value",
        "residual_clv_mean_lower_amount": "residual_value_lower",
        "residual_clv_mean_upper_amount": "residual_value_upper",
    }
    variance = F.col("value_variance")
    figures = forecasts.withColumns(
        {
            **{name: F.when(has_value, F.col(source)).cast(MONEY_SUM) for name, source in money.items()},
            "predicted_clv_variance": F.when(has_value & (variance < F.lit(float("inf"))), variance),
            "model_id": F.lit(scorers.model_id),
            "interval_level": F.lit(settings.interval_level),
            "prediction_status": _status(scorers),
            "as_of_date": F.lit(as_of),
            **_next_order(scorers),
        }
    )
    banded = figures.withColumns(
        {
            "total_clv_amount": (F.col("historic_clv_amount") + F.col("predicted_clv_amount")).cast(MONEY_SUM),
            "churn_risk": _band(F.col("churn_probability"), settings.churn_risk_cuts),
            "spend_tier": _spend_tier(cuts),
        }
    )
    return banded.select(*CUSTOMER_PREDICTIONS.columns)


def _status(scorers: Scorers) -> Column:
    if scorers.pooled.model is None:
        is_small = scorers.pooled.status == "too_few_customers"
        return F.lit("too_few_customers" if is_small else "model_not_converged")
    if scorers.pooled_spend.model is None:
        return F.lit("spend_model_unusable")
    known = "ok" if scorers.knows_churn else NO_CHURN_SEEN
    return F.when(F.col("historic_clv_amount").isNull(), "margin_unknown").otherwise(known)


def _next_order(scorers: Scorers) -> dict[str, Column]:
    """Last order + (alpha + t_x) (2^(1 / (r + x)) - 1): the median gap, as it looked after the last order.

    The gap of a customer who comes back has the survival ((alpha + t_x) / (alpha + t_x + t))^(r + x), since the rate of
    orders is then Gamma(r + x, alpha + t_x).
    """
    nothing = {"expected_next_order_date": F.lit(None).cast("date"), "next_order_status": F.lit("no_model")}
    if scorers.pooled.model is None:
        return nothing
    x, recency = F.col("btyd_frequency"), F.col("btyd_recency_days") / F.lit(TIME_UNIT_DAYS)
    doubling = F.pow(F.lit(2.0), 1 / (_parameter(scorers, "r") + x)) - 1
    days = F.ceil((_parameter(scorers, "alpha") + recency) * doubling * TIME_UNIT_DAYS)
    is_near = days <= _MAX_GAP_DAYS
    status = F.when(~is_near, "too_far").when(x == 0, "population_gap").otherwise("own_gaps")
    near = F.least(days, F.lit(_MAX_GAP_DAYS)).cast("int")
    return {
        "expected_next_order_date": F.when(is_near, F.date_add("last_order_date", near)),
        "next_order_status": status,
    }


def _parameter(scorers: Scorers, name: str) -> Column:
    """A parameter of the fit of each customer's group."""
    value = F.lit(None).cast("double")
    for segment_id, fit in scorers.transactions.items():
        own = float(fit.parameters[fit.parameter_names.index(name)])
        value = F.when(F.col(FIT_SEGMENT) == segment_id, F.lit(own)).otherwise(value)
    return value


def _band(value: Column, cuts: tuple[float, float]) -> Column:
    low, medium, high = BANDS
    return F.when(value >= cuts[1], high).when(value >= cuts[0], medium).when(value.isNotNull(), low)


def _spend_tier(cuts: Cuts) -> Column:
    value = F.col("predicted_clv_amount").cast("double")
    tiers = [F.when(F.col("horizon_days") == days, _band(value, ends)) for days, ends in cuts.items()]
    return F.coalesce(*tiers, F.lit(None).cast("string"))


def spend_tier_cuts(forecasts: DataFrame, settings: Predictions) -> dict[int, tuple[float, float]]:
    """Values at which the tiers begin, by horizon: the best `spend_tier_shares` of the customers are above them.

    Values are counted in bins of 1 % of their logarithm, so the cuts do not depend on how the rows are spread, and cost
    one group-by of any number of customers. Collects the counted bins; empty without predictions.
    """
    value = F.when(F.col("historic_clv_amount").isNotNull(), F.col("expected_value"))
    bins = F.floor(F.log(F.greatest(value, F.lit(1e-4))) / _TIER_BIN_WIDTH)
    counted = forecasts.where(value.isNotNull()).groupBy("horizon_days", bins.alias("bin")).count().toPandas()
    cuts = {}
    for days in sorted(set(counted["horizon_days"])):
        rows = counted[counted["horizon_days"] == days]
        best_first = rows.sort_values("bin", ascending=False)
        share = (best_first["count"].cumsum() / best_first["count"].sum()).to_numpy()
        at = [int(np.searchsorted(share, wanted)) for wanted in settings.spend_tier_shares]
        high, medium = (float(np.exp(best_first["bin"].iloc[place] * _TIER_BIN_WIDTH)) for place in at)
        cuts[int(days)] = (medium, high)
    return cuts


def prediction_bands(predictions: DataFrame, cuts: Cuts, settings: Predictions, as_of: dt.date) -> DataFrame:
    """Contract `prediction_bands` from `customer_predictions`. Grain: band type, horizon and band with customers."""
    risk = dict.fromkeys(settings.horizons_days, settings.churn_risk_cuts)
    counted = [
        predictions.where(F.col(name).isNotNull())
        .groupBy(F.lit(name).alias("band_type"), "horizon_days", F.col(name).alias("band"))
        .agg(F.count(F.lit(1)).alias("customer_count"))
        .withColumns(_limits(limits))
        for name, limits in (("churn_risk", risk), ("spend_tier", cuts))
    ]
    both = counted[0].unionByName(counted[1]).withColumn("as_of_date", F.lit(as_of))
    return both.select(*PREDICTION_BANDS.columns)


def _limits(cuts: Cuts) -> dict[str, Column]:
    lower, upper = F.lit(None).cast("double"), F.lit(None).cast("double")
    for days, (medium, high) in cuts.items():
        for band, begin, end in zip(BANDS, (0.0, medium, high), (medium, high, None), strict=True):
            here = (F.col("horizon_days") == days) & (F.col("band") == band)
            lower = F.when(here, F.lit(begin)).otherwise(lower)
            upper = F.when(here, F.lit(end).cast("double")).otherwise(upper)
    return {"lower_value": lower, "upper_value": upper}


_GROUP = ("horizon_days", FIT_SEGMENT, SPEND_FIT_SEGMENT, "value_basis")


def segment_sums(forecasts: DataFrame, customer_segments: DataFrame) -> DataFrame:
    """Sums of expected figures, own variances and gradients over members.

    Grain: segment, horizon, FIT_SEGMENT, SPEND_FIT_SEGMENT, and value_basis, which all customers share. All that the
    intervals of a segment need, in one aggregation: parameters of different fits have different errors, so their
    gradients are summed apart. Value is summed over members for whom it is predicted.
    """
    has_value = F.col("historic_clv_amount").isNotNull() & F.col("expected_value").isNotNull()
    of_orders = ("expected_orders", "orders_variance", *ORDER_GRADIENT)
    of_value = ("value_variance", *VALUE_GRADIENT, "residual_variance", *RESIDUAL_GRADIENT)
    amounts = {
        name: F.when(has_value, F.col(figure)).cast(MONEY_SUM)
        for name, figure in (("predicted_clv", "expected_value"), ("residual_clv", "residual_value"))
    }
    rows = forecasts.select(
        "customer_id",
        *_GROUP,
        *of_orders,
        *(F.when(has_value, F.col(name)).alias(name) for name in of_value),
        *(amount.alias(name) for name, amount in amounts.items()),
        has_value.alias("has_value"),
    )
    members = customer_segments.select("customer_id", "segment_id").join(rows, "customer_id")
    # A text in an aggregate instead of in its key would make Spark sort all members instead of hashing them.
    return members.groupBy("segment_id", *_GROUP).agg(
        F.count(F.lit(1)).alias("customer_count"),
        F.count_if("has_value").alias("predicted_customer_count"),
        *(F.sum(name).alias(name) for name in (*of_orders, *of_value, *amounts)),
    )
