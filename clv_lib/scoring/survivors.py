"""What a customer who is alive will do, once per distinct (x, T): evaluated on the driver, joined as a broadcast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
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

SURVIVOR_SCHEMA = "figures binary, quantiles binary"
"""Rows of doubles and of whole numbers (int32), packed: Arrow and pandas carry them as they are, arrays one by one."""

_FIGURE, _QUANTILE = np.dtype("<f8"), np.dtype("<i4")
_NUMBERS = ("mean", "second_moment", "none", "discounted")
_RESIDUAL = ("purchases", "squares", "second_moment")


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

    Grain: PAIR and horizon_days. Without a discount rate what is residual is NaN: the sum over an infinite horizon may
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
    """The rows of one group, per horizon; tables are made at once, since NumPy lets other threads run meanwhile."""
    if model is None:
        raise ValueError("customers can be scored only by a fit that is usable")
    x = pairs["btyd_frequency"].to_numpy(float)
    age = pairs["btyd_age_days"].to_numpy(float) / TIME_UNIT_DAYS

    def table_of(days: int) -> SurvivorTable:
        return survivor_table(
            model,
            x,
            age,
            horizon_days=days,
            annual_discount_rate=annual_discount_rate,
            time_unit_days=TIME_UNIT_DAYS,
        )

    with ThreadPoolExecutor() as pool:
        made = {days: pool.submit(table_of, days) for days in horizons_days}
        residual = _residual(model, x, age, annual_discount_rate)
    return [pairs.assign(horizon_days=days, **_columns(table.result(), residual)) for days, table in made.items()]


def unpacked(rows: pd.DataFrame) -> tuple[SurvivorTable, Residual]:
    """The survivor table of an Arrow batch, row by row, and what it says of the time without a horizon."""
    figures = _matrix(rows["figures"], _FIGURE)
    numbers, rest = figures[:, : len(_NUMBERS) + len(_RESIDUAL)].T, figures[:, len(_NUMBERS) + len(_RESIDUAL) :]
    gradients = np.split(rest, 3, axis=1)
    table = SurvivorTable(
        **dict(zip(_NUMBERS, numbers[: len(_NUMBERS)], strict=True)),
        mean_gradient=gradients[0],
        discounted_gradient=gradients[1],
        quantiles=_matrix(rows["quantiles"], _QUANTILE).astype(np.int64),
    )
    residual = dict(zip(_RESIDUAL, numbers[len(_NUMBERS) :], strict=True))
    return table, Residual(**residual, gradient=gradients[2])


def _residual(model: TransactionModel, x: FloatArray, age: FloatArray, annual_discount_rate: float) -> Residual:
    """NaN without a discount rate."""
    if annual_discount_rate == 0:
        unknown = np.full_like(x, np.nan)
        return Residual(unknown, unknown, unknown, np.full((len(x), len(model.parameter_names)), np.nan))
    return residual_if_alive(model, x, age, annual_discount_rate=annual_discount_rate, time_unit_days=TIME_UNIT_DAYS)


def _columns(table: SurvivorTable, residual: Residual) -> dict[str, list[bytes]]:
    numbers = [getattr(table, name) for name in _NUMBERS] + [getattr(residual, name) for name in _RESIDUAL]
    gradients = (table.mean_gradient, table.discounted_gradient, residual.gradient)
    figures = np.concatenate([np.stack(numbers, axis=1), *gradients], axis=1)
    return {"figures": _packed(figures, _FIGURE), "quantiles": _packed(table.quantiles, _QUANTILE)}


def _packed(matrix: np.ndarray[Any, Any], kind: np.dtype[Any]) -> list[bytes]:
    """The bytes of each row."""
    width, text = matrix.shape[1] * kind.itemsize, matrix.astype(kind).tobytes()
    return [text[start : start + width] for start in range(0, len(text), width)]


def _matrix(column: pd.Series[bytes], kind: np.dtype[Any]) -> Any:
    """The rows whose bytes `_packed` gave."""
    return np.frombuffer(b"".join(column), kind).reshape(len(column), -1)
