"""Customers as they were on several days, and what their forecasts need of them, added up: small tables for the driver.

Refunds lower the month of their order, whenever they were paid back, so a past state knows those that came later.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from clv_lib.exact_sums import from_halves, halves, sum_of_doubles
from clv_lib.models import GammaGamma, TransactionModel
from clv_lib.periods import month_start
from clv_lib.scoring.fits import POOLED_SEGMENT
from clv_lib.scoring.forecasts import ORDER_PARAMETERS, padded_gradient
from clv_lib.scoring.groups import FIT_SEGMENT, SPEND_FIT_SEGMENT
from clv_lib.scoring.statistics import TIME_UNIT_DAYS, spend_bin

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from clv_lib.forecasting.fits import DayFit

PAIR = ("btyd_frequency", "age_weeks")
FIT_SEGMENTS = (FIT_SEGMENT, SPEND_FIT_SEGMENT)
"""Whose fits of orders and of spend are a customer's, in `customer_predictions`."""

HISTORY = (FIT_SEGMENT, "btyd_frequency", "btyd_recency_days", "btyd_age_days")
ALIVE_GRADIENT = tuple(f"alive_by_{number}" for number in range(ORDER_PARAMETERS))
_EXPECTED = ("alive", *ALIVE_GRADIENT, "net", "margin")


def states_at(
    months: DataFrame, days: Sequence[dt.date], *, in_margin: bool, groups: DataFrame | None = None
) -> DataFrame:
    """Customers as of each day, from `customer_months`. Grain: day (`origin_date`) and customer with an order up to it.

    Each day ends a month, or no later month has rows. Adds the btyd columns of `customer_metrics`, `order_count`,
    `day_count`, `net_mean` per day with orders, and `value_mean` per repeat day: in contribution margin if `in_margin`,
    NULL without a repeat day or where the margin of an order is not known (`is_value_known` false). FIT_SEGMENTS are
    those of `groups` (per customer, whose fits of orders and of spend are theirs), all:all without.
    """
    parts = [
        F.struct(F.lit(day).alias("origin_date"), *(F.col(f"{name}_{number}").alias(name) for name in _facts(day)))
        for number, day in enumerate(days)
    ]
    sums = [column.alias(f"{name}_{n}") for n, day in enumerate(days) for name, column in _facts(day).items()]
    # Months are sent to their customer as they are: a customer has few in a file, and their sums of all days are wider.
    of_customers = months.select("customer_id", "month", *_READ).repartition("customer_id")
    by_day = of_customers.groupBy("customer_id").agg(*sums).select("customer_id", F.inline(F.array(*parts)))
    repeat_days = (F.col("day_count") - 1).cast("int")
    is_known = (F.col("margin_order_count") == F.col("order_count")) if in_margin else F.lit(True)
    repeat = F.col("margin") - F.col("first_margin") if in_margin else F.col("net") - F.col("first_net")
    value = F.try_divide(repeat.cast("double"), repeat_days)
    if groups is not None:
        by_day = by_day.join(groups, "customer_id", "left")
    group = {name: F.lit(None).cast("string") if groups is None else F.col(name) for name in FIT_SEGMENTS}
    return by_day.where("day_count > 0").select(
        "origin_date",
        "customer_id",
        *(F.coalesce(column, F.lit(POOLED_SEGMENT)).alias(name) for name, column in group.items()),
        repeat_days.alias("btyd_frequency"),
        F.date_diff("last_day", "first_day").alias("btyd_recency_days"),
        F.date_diff("origin_date", "first_day").alias("btyd_age_days"),
        "order_count",
        "day_count",
        (F.col("net").cast("double") / F.col("day_count")).alias("net_mean"),
        F.when(is_known, value).alias("value_mean"),
        is_known.alias("is_value_known"),
    )


_READ = (
    "order_count",
    "active_day_count",
    "margin_order_count",
    "net_amount",
    "margin_amount",
    "first_day_net_amount",
    "first_day_margin_amount",
    "first_ordered_date",
    "last_ordered_date",
)


def _facts(day: dt.date) -> dict[str, Column]:
    is_before = F.col("month") <= F.lit(month_start(day))
    summed = {
        "order_count": "order_count",
        "day_count": "active_day_count",
        "margin_order_count": "margin_order_count",
        "net": "net_amount",
        "margin": "margin_amount",
        "first_net": "first_day_net_amount",
        "first_margin": "first_day_margin_amount",
    }
    return {
        **{name: F.sum(F.when(is_before, F.col(column))) for name, column in summed.items()},
        "first_day": F.min(F.when(is_before, F.col("first_ordered_date"))),
        "last_day": F.max(F.when(is_before, F.col("last_ordered_date"))),
    }


def counted_histories(states: DataFrame) -> DataFrame:
    """What a model of orders is fitted on: customers, orders and days. Grain: day, group and distinct (x, t_x, T)."""
    return states.groupBy("origin_date", *HISTORY).agg(
        F.count(F.lit(1)).alias("customers"),
        F.sum("order_count").alias("orders"),
        F.sum("day_count").alias("days"),
    )


def counted_spend(states: DataFrame) -> DataFrame:
    """What the spend model is fitted on. Grain: day, group, x > 0 and bin of 1 % of a positive value per repeat day.

    Has the mean value, customers, and the sums over repeat days of value, of net revenue and of the squared value.
    """
    value, x = F.col("value_mean"), F.col("btyd_frequency")
    usable = states.where((x > 0) & (value > 0))
    return usable.groupBy("origin_date", SPEND_FIT_SEGMENT, "btyd_frequency", spend_bin(value).alias("bin")).agg(
        (sum_of_doubles(value) / F.count(F.lit(1))).alias("mean_spend"),
        F.count(F.lit(1)).alias("customers"),
        sum_of_doubles(x * value).alias("value_sum"),
        sum_of_doubles(x * F.col("net_mean")).alias("net_sum"),
        sum_of_doubles(x * value * value).alias("square_sum"),
    )


def member_sums(
    states: DataFrame,
    members: DataFrame,
    fits: Mapping[dt.date, DayFit],
    today: dt.date,
    tested_types: Collection[str],
) -> DataFrame:
    """All that the forecasts of a segment need of its members. Grain: day, segment, groups, x and T in whole weeks.

    Sums of P(alive) (`alive`), of its square and gradient, of P(alive) times the expected net revenue (`net`) and value
    in margin (`margin`) of a day with orders, and of the squares of those. `members` are `packed_members`; on days
    before today they count in segments of `tested_types` alone, which do not depend on what a customer did. Days
    without a usable fit have no rows.
    """
    usable = {day: fit for day, fit in fits.items() if fit.pooled is not None}
    known = _expected(states.where(F.col("origin_date").isin(list(usable))), usable)
    tested = F.transform(
        "packs", lambda pack: F.filter(pack, lambda name: F.substring_index(name, ":", 1).isin(list(tested_types)))
    )
    joined = members.withColumn("tested_packs", tested).join(known, "customer_id")
    packs = F.when(F.col("origin_date") == F.lit(today), F.col("packs")).otherwise(F.col("tested_packs"))
    cell = ("origin_date", *FIT_SEGMENTS, *PAIR)
    of_packs = joined.select(F.explode(packs).alias("segment_ids"), *cell, *_COUNTED, *_HALVES)
    added_up = [F.try_sum(name).alias(name) for name in (*_COUNTED, *_HALVES)]
    each = of_packs.groupBy("segment_ids", *cell).agg(*added_up)
    sums = each.withColumn("segment_id", F.explode("segment_ids")).groupBy("segment_id", *cell).agg(*added_up)
    exact = (from_halves(F.col(f"{name}_ones"), F.col(f"{name}_parts")).alias(name) for name in _EXACT_SUMS)
    return sums.select("segment_id", *cell, *_COUNTED, *exact)


_COUNTED = ("customers", "unknown_values")
_EXACT_SUMS = (
    "alive",
    "alive_squared",
    *ALIVE_GRADIENT,
    "net",
    "net_second",
    "net_squared",
    "margin",
    "margin_second",
    "margin_squared",
)
_HALVES = tuple(f"{name}_{half}" for name in _EXACT_SUMS for half in ("ones", "parts"))


def _expected(states: DataFrame, fits: Mapping[dt.date, DayFit]) -> DataFrame:
    """What is added up of each customer and day, as `_HALVES`, whose sums do not depend on the order of the rows."""
    history = ("btyd_frequency", "btyd_recency_days", "btyd_age_days", "net_mean", "value_mean")
    expect = pandas_udf(_expectation(fits), ", ".join(f"{name} double" for name in _EXPECTED))  # type: ignore[call-overload]
    expected = expect(
        F.col("origin_date").cast("string"),
        *(F.col(name) for name in FIT_SEGMENTS),
        *(F.col(name).cast("double") for name in history),
    )
    known = states.select(
        "origin_date",
        "customer_id",
        *FIT_SEGMENTS,
        "btyd_frequency",
        F.floor(F.col("btyd_age_days") / TIME_UNIT_DAYS).cast("int").alias("age_weeks"),
        F.lit(1).alias("customers"),
        (~F.col("is_value_known")).cast("int").alias("unknown_values"),
        expected.alias("e"),
    )
    of_products = [half for column in _products().values() for half in halves(column)]
    return known.withColumns(dict(zip(_HALVES, of_products, strict=True))).drop("e")


def _products() -> dict[str, Column]:
    alive, net, margin = (F.col(f"e.{name}") for name in ("alive", "net", "margin"))
    return {
        "alive": alive,
        "alive_squared": alive * alive,
        **{name: F.col(f"e.{name}") for name in ALIVE_GRADIENT},
        "net": alive * net,
        "net_second": alive * net * net,
        "net_squared": alive * alive * net * net,
        "margin": alive * margin,
        "margin_second": alive * margin * margin,
        "margin_squared": alive * alive * margin * margin,
    }


def _expectation(fits: Mapping[dt.date, DayFit]) -> Callable[..., pd.DataFrame]:
    """The function of an Arrow batch: P(alive), its gradient, and the expected amounts of a day with orders."""
    by_text = {day.isoformat(): fit for day, fit in fits.items()}

    def expect(
        day: pd.Series,
        group: pd.Series,
        spend_group: pd.Series,
        frequency: pd.Series,
        recency_days: pd.Series,
        age_days: pd.Series,
        net_mean: pd.Series,
        value_mean: pd.Series,
    ) -> pd.DataFrame:
        x, m, n = (column.to_numpy(float) for column in (frequency, value_mean, net_mean))
        recency, age = (column.to_numpy(float) / TIME_UNIT_DAYS for column in (recency_days, age_days))
        found = np.full((len(x), len(_EXPECTED)), np.nan)
        keys = [column.to_numpy(str) for column in (day, group, spend_group)]
        for text, segment, spender in sorted(set(zip(*(key.tolist() for key in keys), strict=True))):
            rows, fit = (keys[0] == text) & (keys[1] == segment) & (keys[2] == spender), by_text[text]
            orders, spend = fit.orders_of(segment), fit.spend_of(spender)
            found[rows, :5] = _alive(orders.model, x[rows], recency[rows], age[rows])
            if spend.model is not None:
                found[rows, 5:] = _amounts(spend.model, x[rows], m[rows], n[rows], spend.net_per_value, fit.in_margin)
        return pd.DataFrame(found, columns=list(_EXPECTED))

    return expect


def _alive(model: TransactionModel, x: np.ndarray, recency: np.ndarray, age: np.ndarray) -> np.ndarray:
    gradient = padded_gradient(model.probability_alive_gradient(x, recency, age))
    return np.column_stack([model.probability_alive(x, recency, age), gradient])


def _amounts(
    spend: GammaGamma, x: np.ndarray, value: np.ndarray, net: np.ndarray, net_per_value: float, in_margin: bool
) -> np.ndarray:
    """Expected net revenue and margin (NaN in net revenue) of a day with orders.

    Of the value by Gamma-Gamma. Net revenue beside a margin: the customer's mean so far and the mean of all, in the
    weights that Gamma-Gamma gives to the two.
    """
    expected = spend.expected_spend(x, np.maximum(value, 0.0))
    if not in_margin:
        return np.column_stack([expected, np.full_like(expected, np.nan)])
    weight = spend.p * x / (spend.p * x + spend.q - 1)
    mean = spend.population_mean * net_per_value
    return np.column_stack([weight * np.maximum(net, 0.0) + (1 - weight) * mean, expected])
