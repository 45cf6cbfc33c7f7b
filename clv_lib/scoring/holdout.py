"""Models and baselines on a part of the data that they have not seen: what they said, and what happened.

Per customer, model and measure one row of figures, counted in cells by Spark; `scoring.accuracy` judges the cells.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clv_lib.contracts.accuracy import BY_GROUP, HIATUS, LAST_PERIOD, MEAN_RATE
from clv_lib.scoring.fits import POOLED_SEGMENT, Fits, Scorers
from clv_lib.scoring.forecasts import ORDER_GRADIENT, VALUE_GRADIENT, forecasts
from clv_lib.scoring.groups import FIT_SEGMENT, SPEND_FIT_SEGMENT, assigned
from clv_lib.scoring.survivors import distinct_pairs

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column

ORDERS, AMOUNT, ACTIVITY, FREQUENCY = "orders", "amount", "activity", "frequency"
"""Measures: orders and amounts by bins of both, chance of any order, and orders by repeat purchase days so far."""

LARGEST_FREQUENCY = 7
_BIN_WIDTH = 0.05
_SMALLEST = 1e-6
_GRADIENT = tuple(f"by_{number}" for number in range(7))


@dataclass(frozen=True)
class Holdout:
    """A comparison: customers as they were at `calibration_end`, and the days after it."""

    calibration_end: dt.date
    days: int
    inactivity_days: int
    interval_level: float

    @property
    def end(self) -> dt.date:
        """Last day of the holdout."""
        return self.calibration_end + dt.timedelta(days=self.days)


def outcomes(before: DataFrame, after: DataFrame, earlier: DataFrame) -> DataFrame:
    """What each customer of `before` did until `after`, and in as many days before. Grain: customer of `before`.

    All three are `customer_metrics`: of the end of calibration, of the end of the holdout, and of as many days before
    the calibration ended. Amounts are those known at each day, so a refund counts when it is paid back; `later_` are
    x and t_x (days) of `after`.
    """

    def sums(metrics: DataFrame, name: str, *also: Column) -> DataFrame:
        return metrics.select(
            "customer_id",
            F.col("lifetime_occasion_count").alias(f"orders_{name}"),
            F.col("historic_clv_amount").cast("double").alias(f"amount_{name}"),
            *also,
        )

    later = (F.col(name).alias(name.replace("btyd", "later")) for name in ("btyd_frequency", "btyd_recency_days"))
    joined = before.join(sums(after, "after", *later), "customer_id")
    joined = joined.join(sums(earlier, "earlier"), "customer_id", "left")
    now_orders, now_amount = F.col("lifetime_occasion_count"), F.col("historic_clv_amount").cast("double")
    none = F.lit(0)
    return joined.withColumns(
        {
            "actual_orders": (F.col("orders_after") - now_orders).cast("double"),
            "actual_amount": F.col("amount_after") - now_amount,
            "last_orders": (now_orders - F.coalesce("orders_earlier", none)).cast("double"),
            "last_amount": now_amount
            - F.when(F.col("orders_earlier").isNull(), 0.0).otherwise(F.col("amount_earlier")),
        }
    )


def said(customers: DataFrame, fits: Fits, holdout: Holdout) -> DataFrame:
    """What each model and baseline said of each customer of `outcomes`. Grain: customer and model_id.

    `customers` have their `segment_ids` at the end of calibration as well, which go along, so that cells are counted
    without a join of what was said.
    """
    everybody = assigned(customers)
    pairs = distinct_pairs(everybody)

    def of_fit(name: str) -> DataFrame:
        fit = fits.compared[name]
        return _of_model(everybody, pairs, Scorers.of_pooled(fit, fit, fits.spend.fit), holdout, name)

    usable = [name for name, fit in fits.compared.items() if fit.model is not None]
    with ThreadPoolExecutor() as pool:  # the survivor tables take NumPy longest, which lets other threads run
        frames = [_baselines(everybody, holdout), *pool.map(of_fit, usable)]
    return reduce(DataFrame.unionByName, frames)


def said_by_group(customers: DataFrame, scorers: Scorers, holdout: Holdout) -> DataFrame:
    """As `said`, by the fits of groups at the end of calibration; `customers` are `assigned`."""
    return _of_model(customers, distinct_pairs(customers), scorers, holdout, BY_GROUP)


_FITS = (FIT_SEGMENT, SPEND_FIT_SEGMENT)
_FACTS = ("segment_ids", *_FITS, "btyd_frequency", "actual_orders", "actual_amount")


_FORECASTS = {
    "orders": "expected_orders",
    "orders_lower": "orders_lower",
    "orders_upper": "orders_upper",
    "orders_variance": "orders_variance",
    "amount": "expected_value",
    "amount_lower": "value_lower",
    "amount_upper": "value_upper",
    "amount_variance": "value_variance",
    "active": "active_probability",
    **{gradient: gradient for gradient in (*ORDER_GRADIENT, *VALUE_GRADIENT)},
}
"""Names of the forecasts that are compared."""


def _of_model(
    customers: DataFrame, pairs: pd.DataFrame, scorers: Scorers, holdout: Holdout, model_id: str
) -> DataFrame:
    names = tuple(_FORECASTS.values())
    scored = forecasts(customers, pairs, scorers, (holdout.days,), 0.0, holdout.interval_level, names)
    columns = [F.col(source).alias(target) for target, source in _FORECASTS.items()]
    return scored.select(*_FACTS, F.lit(model_id).alias("model_id"), *columns)


def _baselines(customers: DataFrame, holdout: Holdout) -> DataFrame:
    """The last period again; the mean rate of repeat orders over at least one holdout's length; activity by silence."""
    unknown = F.lit(None).cast("double")
    days = float(holdout.days)
    per_order = F.try_divide(F.col("historic_clv_amount").cast("double"), F.col("lifetime_occasion_count"))
    rate = F.col("btyd_frequency") / F.greatest(F.col("btyd_age_days").cast("double"), F.lit(days)) * F.lit(days)
    is_recent = F.col("days_since_last_order") < holdout.inactivity_days
    figures: Mapping[str, tuple[Column, Column, Column]] = {
        LAST_PERIOD: (F.col("last_orders"), F.col("last_amount"), (F.col("last_orders") > 0).cast("double")),
        MEAN_RATE: (rate, rate * per_order, 1 - F.exp(-rate)),
        HIATUS: (unknown, unknown, is_recent.cast("double")),
    }
    intervals = [f"{measure}_{part}" for measure in ("orders", "amount") for part in ("lower", "upper", "variance")]
    structs = [
        F.struct(
            F.lit(name).alias("model_id"),
            orders.alias("orders"),
            amount.alias("amount"),
            active.alias("active"),
            *(unknown.alias(column) for column in (*intervals, *ORDER_GRADIENT, *VALUE_GRADIENT)),
        )
        for name, (orders, amount, active) in figures.items()
    ]
    return customers.select(*_FACTS, F.inline(F.array(*structs)))


def cells(statements: DataFrame) -> DataFrame:
    """Counts and sums of what was said and what happened. Grain: segment, model, its two fits, measure and two bins.

    `statements` is `said`. Bins of orders and amounts are 5 % wide by the logarithm, actual orders are their own bins,
    so the result does not grow with customers. FREQUENCY is counted of all customers together alone.
    """
    measured = statements.select("segment_ids", "model_id", *_FITS, F.inline(F.array(*_measures())))
    members = measured.withColumn("segment_id", F.explode("segment_ids"))
    members = members.where((F.col("measure") != FREQUENCY) | (F.col("segment_id") == POOLED_SEGMENT))
    error = F.col("predicted") - F.col("actual")
    inside = (F.col("actual") >= F.col("lower")) & (F.col("actual") <= F.col("upper"))
    summed = ("predicted", "actual", "variance", *_GRADIENT)
    return members.groupBy("segment_id", "model_id", *_FITS, "measure", "predicted_bin", "actual_bin").agg(
        F.count(F.lit(1)).alias("customers"),
        F.count_if(inside).alias("covered"),
        F.sum(F.abs(error)).alias("absolute_error"),
        F.sum(error * error).alias("squared_error"),
        *(F.sum(name).alias(name) for name in summed),
    )


def _measures() -> list[Column]:
    """One struct per measure; a value that is not known is left out of its sums."""
    nothing = F.lit(None).cast("double")
    no_bounds = {"lower": nothing, "upper": nothing, "variance": nothing, **dict.fromkeys(_GRADIENT, nothing)}
    is_active = (F.col("actual_orders") > 0).cast("double")
    zero = F.lit(0).cast("bigint")

    def bounds(measure: str, gradient: tuple[str, ...]) -> dict[str, Column]:
        known = dict(zip(_GRADIENT, (F.col(name) for name in gradient), strict=False))
        ends = {part: F.col(f"{measure}_{part}") for part in ("lower", "upper", "variance")}
        return {**no_bounds, **ends, **known}

    frequency = F.least(F.col("btyd_frequency"), F.lit(LARGEST_FREQUENCY)).cast("bigint")
    rows = [
        (ORDERS, _bin("orders"), F.col("actual_orders").cast("bigint"), "orders", F.col("actual_orders"),
         bounds("orders", ORDER_GRADIENT)),
        (AMOUNT, _bin("amount"), _bin("actual_amount"), "amount", F.col("actual_amount"),
         bounds("amount", VALUE_GRADIENT)),
        (ACTIVITY, zero, zero, "active", is_active, no_bounds),
        (FREQUENCY, frequency, zero, "orders", F.col("actual_orders"), no_bounds),
    ]  # fmt: skip
    return [
        F.struct(
            F.lit(measure).alias("measure"),
            predicted_bin.alias("predicted_bin"),
            actual_bin.alias("actual_bin"),
            F.col(predicted).alias("predicted"),
            actual.alias("actual"),
            *(column.alias(name) for name, column in limits.items()),
        )
        for measure, predicted_bin, actual_bin, predicted, actual, limits in rows
    ]


def _bin(name: str) -> Column:
    """Bin of a value by its logarithm; 0 and less share the lowest bin, NULL has none."""
    value = F.greatest(F.col(name), F.lit(_SMALLEST))
    return F.when(F.col(name).isNotNull(), F.floor(F.log(value) / _BIN_WIDTH).cast("bigint"))
