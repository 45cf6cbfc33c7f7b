"""What a customer who is alive will do, once per distinct (x, T): evaluated on the driver, joined as a broadcast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clv_lib.models import (
    Fitted,
    FloatArray,
    Residual,
    SurvivorTable,
    TransactionModel,
    residual_if_alive,
    survivor_table,
)
from clv_lib.scoring.groups import FIT_SEGMENT
from clv_lib.scoring.statistics import TIME_UNIT_DAYS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PAIR = (FIT_SEGMENT, "btyd_frequency", "btyd_age_days")
"""What the future of a customer who is alive depends on: whose fit, x, and T in days."""

SURVIVOR_SCHEMA = (
    "mean double, second_moment double, none double, discounted double, residual double, residual_squares double,"
    " residual_second_moment double, gradients array<double>, quantiles array<int>"
)
"""gradients: of mean, discounted and residual, one after the other; one array is unpacked faster than three."""

_NUMBERS = ("mean", "second_moment", "none", "discounted")
_RESIDUAL = {"residual": "purchases", "residual_squares": "squares", "residual_second_moment": "second_moment"}


def distinct_pairs(states: DataFrame) -> pd.DataFrame:
    """The distinct PAIR of customers in ascending order, collected: a small table."""
    return states.select(*PAIR).distinct().orderBy(*PAIR).toPandas()


def survivors(
    spark: SparkSession,
    pairs: pd.DataFrame,
    fits: Mapping[str, Fitted[TransactionModel]],
    horizons_days: Iterable[int],
    annual_discount_rate: float,
) -> DataFrame:
    """The survivor table of every PAIR of `pairs` by the fit of its group, as a struct `survivor`.

    Grain: PAIR and horizon_days. Without a discount rate what is residual is NULL: the sum over an infinite horizon may
    be infinite.
    """
    horizons = tuple(horizons_days)
    tables = [
        table
        for segment_id, rows in pairs.groupby(FIT_SEGMENT, sort=True)
        for table in _tables(rows, fits[str(segment_id)].model, horizons, annual_discount_rate)
    ]
    schema = f"{FIT_SEGMENT} string, btyd_frequency int, btyd_age_days int, horizon_days int, {SURVIVOR_SCHEMA}"
    flat = spark.createDataFrame(pd.concat(tables) if tables else [], schema)
    names = [part.split()[0] for part in SURVIVOR_SCHEMA.split(", ")]
    return flat.selectExpr(*PAIR, "horizon_days", f"struct({', '.join(names)}) as survivor")


def _tables(
    pairs: pd.DataFrame, model: TransactionModel | None, horizons_days: Iterable[int], annual_discount_rate: float
) -> list[pd.DataFrame]:
    """The rows of one group, per horizon."""
    if model is None:
        raise ValueError("customers can be scored only by a fit that is usable")
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
        tables.append(pairs.assign(horizon_days=days, **_columns(table, residual)))
    return tables


def unpacked(rows: pd.DataFrame) -> tuple[SurvivorTable, Residual]:
    """The survivor table of an Arrow batch, row by row, and what it says of the time without a horizon."""
    gradients = np.split(_matrix(rows["gradients"]), 3, axis=1)
    table = SurvivorTable(
        **{name: rows[name].to_numpy(float) for name in _NUMBERS},
        mean_gradient=gradients[0],
        discounted_gradient=gradients[1],
        quantiles=_matrix(rows["quantiles"]).astype(np.int64),
    )
    residual = {field: rows[name].to_numpy(float) for name, field in _RESIDUAL.items()}
    return table, Residual(**residual, gradient=gradients[2])


def _residual(model: TransactionModel, x: FloatArray, age: FloatArray, annual_discount_rate: float) -> Residual:
    """NaN without a discount rate."""
    if annual_discount_rate == 0:
        unknown = np.full_like(x, np.nan)
        return Residual(unknown, unknown, unknown, np.full((len(x), len(model.parameter_names)), np.nan))
    return residual_if_alive(model, x, age, annual_discount_rate=annual_discount_rate, time_unit_days=TIME_UNIT_DAYS)


def _columns(table: SurvivorTable, residual: Residual) -> dict[str, Any]:
    gradients = np.concatenate([table.mean_gradient, table.discounted_gradient, residual.gradient], axis=1)
    return {
        **{name: getattr(table, name) for name in _NUMBERS},
        **{name: getattr(residual, field) for name, field in _RESIDUAL.items()},
        "gradients": list(gradients),
        "quantiles": list(table.quantiles.astype(np.int32)),
    }


def _matrix(column: pd.Series[float]) -> FloatArray:
    """Rows of equal length as a matrix."""
    return np.stack(list(column)).astype(np.float64)
