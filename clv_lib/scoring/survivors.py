"""What a customer who is alive will do, once per distinct (x, T): evaluated on the driver, joined as a broadcast."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clv_lib.models import (
    FloatArray,
    SurvivorTable,
    TransactionModel,
    residual_purchases_if_alive,
    survivor_table,
)
from clv_lib.scoring.statistics import TIME_UNIT_DAYS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PAIR = ("btyd_frequency", "btyd_age_days")
SURVIVOR_SCHEMA = (
    "mean double, second_moment double, none double, discounted double, mean_gradient array<double>,"
    " discounted_gradient array<double>, quantiles array<int>, residual double"
)


def distinct_pairs(states: DataFrame) -> pd.DataFrame:
    """The distinct (x, T in days) of customers in ascending order, collected: a small table."""
    return states.select(*PAIR).distinct().orderBy(*PAIR).toPandas()


def survivors(
    spark: SparkSession,
    pairs: pd.DataFrame,
    model: TransactionModel,
    horizons_days: Iterable[int],
    annual_discount_rate: float,
) -> DataFrame:
    """The survivor table of a model for every (x, T) of `pairs` as a struct `survivor`.

    Grain: btyd_frequency, btyd_age_days (days) and horizon_days. Without a discount rate `residual` is NULL: the sum
    over an infinite horizon may be infinite.
    """
    x = pairs["btyd_frequency"].to_numpy(float)
    age = pairs["btyd_age_days"].to_numpy(float) / TIME_UNIT_DAYS
    residual = _residual(model, x, age, annual_discount_rate)
    tables = []
    for days in horizons_days:
        table = survivor_table(
            model,
            x,
            age,
            horizon_days=days,
            annual_discount_rate=annual_discount_rate,
            time_unit_days=TIME_UNIT_DAYS,
        )
        tables.append(pairs.assign(horizon_days=days, **_columns(table), residual=residual))
    flat = spark.createDataFrame(
        pd.concat(tables), f"btyd_frequency int, btyd_age_days int, horizon_days int, {SURVIVOR_SCHEMA}"
    )
    names = [part.split()[0] for part in SURVIVOR_SCHEMA.split(", ")]
    return flat.selectExpr(*PAIR, "horizon_days", f"struct({', '.join(names)}) as survivor")


def unpacked(rows: pd.DataFrame) -> tuple[SurvivorTable, FloatArray]:
    """The survivor table of an Arrow batch, row by row, and the discounted purchases without a horizon."""
    numbers = {name: rows[name].to_numpy(float) for name in ("mean", "second_moment", "none", "discounted")}
    table = SurvivorTable(
        **numbers,
        mean_gradient=_matrix(rows["mean_gradient"]),
        discounted_gradient=_matrix(rows["discounted_gradient"]),
        quantiles=_matrix(rows["quantiles"]).astype(np.int64),
    )
    return table, rows["residual"].to_numpy(float)


def _residual(model: TransactionModel, x: FloatArray, age: FloatArray, annual_discount_rate: float) -> FloatArray:
    if annual_discount_rate == 0:
        return np.full_like(x, np.nan)
    return residual_purchases_if_alive(
        model, x, age, annual_discount_rate=annual_discount_rate, time_unit_days=TIME_UNIT_DAYS
    )


def _columns(table: SurvivorTable) -> dict[str, Any]:
    return {
        "mean": table.mean,
        "second_moment": table.second_moment,
        "none": table.none,
        "discounted": table.discounted,
        "mean_gradient": list(table.mean_gradient),
        "discounted_gradient": list(table.discounted_gradient),
        "quantiles": list(table.quantiles.astype(np.int32)),
    }


def _matrix(column: pd.Series[float]) -> FloatArray:
    """Rows of equal length as a matrix; an Arrow batch may be empty."""
    return np.stack(list(column)).astype(np.float64) if len(column) else np.zeros((0, 1))
