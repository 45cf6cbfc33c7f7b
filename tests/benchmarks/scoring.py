"""Scoring of simulated customers in Spark, beside SciPy per row in Arrow batches and beside lifetimes on the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from clv_lib.models import (
    Fitted,
    FloatArray,
    GammaGamma,
    SpendStatistics,
    TransactionModel,
    discounted_purchases_if_alive,
    mean_interval,
    order_forecast,
    order_interval,
    parameter_variance,
    survivor_table,
)
from clv_lib.models.fitting import TOO_FEW_CUSTOMERS, refused
from clv_lib.scoring import Scorers, assigned, forecasts
from clv_lib.scoring.fits import POOLED_SEGMENT
from clv_lib.scoring.statistics import TIME_UNIT_DAYS
from clv_lib.scoring.survivors import distinct_pairs, survivors
from tests.benchmarks import peers
from tests.benchmarks.measuring import heading, noop, session, timed

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

HORIZON_DAYS = 365
DISCOUNT_RATE = 0.10
LEVEL = 0.95
WARM_UP_CUSTOMERS = 2_000
SAMPLE_CUSTOMERS = 50_000
_FILES = 8
_HISTORY = ("btyd_frequency", "btyd_recency_days", "btyd_age_days", "btyd_monetary_value")
_HORIZON = HORIZON_DAYS / TIME_UNIT_DAYS
_UNIT = "clv: orders with intervals"
_SAMPLED = f"SciPy per row: orders with intervals, from up to {SAMPLE_CUSTOMERS:,} of them"
_SPEND_ROWS = 200_000

Scored = Mapping[str, Callable[["DataFrame"], object]]


def measure(folder: Path, customers: pd.DataFrame, fits: Mapping[str, Fitted[TransactionModel]]) -> None:
    """Score all customers by each model that was fitted, in every way, and print seconds, ratios and agreement."""
    _stored(customers, folder / "customers")
    _stored(customers.head(WARM_UP_CUSTOMERS), folder / "warm_up")
    _stored(customers.head(SAMPLE_CUSTOMERS), folder / "sample")
    spark = session(folder)
    states, warm_up, sample = (spark.read.parquet(str(folder / name)) for name in ("customers", "warm_up", "sample"))
    repeaters = customers[customers["btyd_frequency"] > 0].head(_SPEND_ROWS)
    spend = GammaGamma.fit(SpendStatistics.unweighted(repeaters["btyd_frequency"], repeaters["btyd_monetary_value"]))
    for name, fit in fits.items():
        if fit.model is None:
            print(f"\nScoring by {name}: not measured, the fit is {fit.status}")
            continue
        churn = fits["mbg_nbd"] if name == "bg_nbd" else fit
        scorers = Scorers.of_pooled(fit, churn, spend)
        ways = _ways(fit.model, scorers)
        heading(f"Scoring by {name}: {len(customers):,} customers, {HORIZON_DAYS} days; one run, warmed up on a few")
        seconds = {way: _seconds(action, warm_up, states) for way, action in ways.items()}
        all_by_row = _seconds(partial(_score_by_row, fit), warm_up, sample)
        seconds[_SAMPLED] = all_by_row * max(1.0, len(customers) / SAMPLE_CUSTOMERS)
        _show(seconds, len(customers))
        _show_agreement(states, fit.model, scorers)
    spark.stop()


def _ways(model: TransactionModel, scorers: Scorers) -> Scored:
    """What is measured, by name; each takes the customers and leaves nothing."""
    no_spend: Fitted[GammaGamma] = refused(GammaGamma.name, GammaGamma.parameter_names, TOO_FEW_CUSTOMERS, 0, 0)
    orders_only = replace(scorers, spend={POOLED_SEGMENT: no_spend})
    return {
        "read": noop,
        "Arrow batches of a function that does nothing": lambda states: noop(_with(states, _nothing)),
        "clv: survivor table alone": lambda states: noop(_table(states, scorers)),
        _UNIT: lambda states: noop(_forecasts(states, orders_only)),
        "clv: orders and value with intervals": lambda states: noop(_forecasts(states, scorers)),
        "SciPy per row: expected orders, nothing else": lambda states: noop(_with(states, partial(_orders, model))),
        "SciPy per row: discounted orders, nothing else": lambda states: noop(
            _with(states, partial(_discounted, model))
        ),
        "lifetimes on the driver: expected orders and P(alive)": lambda states: peers.score(
            model, _HORIZON, states.select(*_HISTORY[:3]).toPandas(), TIME_UNIT_DAYS
        ),
    }


def _table(states: DataFrame, scorers: Scorers) -> DataFrame:
    pairs = distinct_pairs(assigned(states))
    return survivors(states.sparkSession, pairs, scorers.transactions, [HORIZON_DAYS], DISCOUNT_RATE)


def _forecasts(states: DataFrame, scorers: Scorers) -> DataFrame:
    """As the job scores, from finding the distinct (x, T) on."""
    everybody = assigned(states)
    return forecasts(everybody, distinct_pairs(everybody), scorers, [HORIZON_DAYS], DISCOUNT_RATE, LEVEL)


def _score_by_row(fit: Fitted[TransactionModel], states: DataFrame) -> None:
    noop(_with(states, partial(_orders_with_intervals, fit)))


def _with(states: DataFrame, function: Callable[..., FloatArray]) -> DataFrame:
    return states.withColumn("scored", _per_batch(function))


def _per_batch(function: Callable[..., FloatArray]) -> Column:
    """A column by a function of x, t_x and T (weeks), called once per Arrow batch."""

    def batch(x: pd.Series, recency_days: pd.Series, age_days: pd.Series) -> pd.Series:
        weeks = (days.to_numpy(float) / TIME_UNIT_DAYS for days in (recency_days, age_days))
        return pd.Series(function(x.to_numpy(float), *weeks))

    scored: Column = pandas_udf(batch, "double")(*(F.col(name) for name in _HISTORY[:3]))  # type: ignore[call-overload]
    return scored


def _nothing(x: FloatArray, recency: FloatArray, age: FloatArray) -> FloatArray:
    return x


def _orders(model: TransactionModel, x: FloatArray, recency: FloatArray, age: FloatArray) -> FloatArray:
    return model.expected_purchases(_HORIZON, x, recency, age)


def _discounted(model: TransactionModel, x: FloatArray, recency: FloatArray, age: FloatArray) -> FloatArray:
    later = discounted_purchases_if_alive(
        model, x, age, horizon_days=HORIZON_DAYS, annual_discount_rate=DISCOUNT_RATE, time_unit_days=TIME_UNIT_DAYS
    )
    return model.probability_alive(x, recency, age) * later


def _orders_with_intervals(
    fit: Fitted[TransactionModel], x: FloatArray, recency: FloatArray, age: FloatArray
) -> FloatArray:
    """The figures of orders that clv looks up in the survivor table, evaluated anew for every row."""
    model = fit.model
    if model is None or not len(x):
        return np.zeros(0)
    table = survivor_table(
        model, x, age, horizon_days=HORIZON_DAYS, annual_discount_rate=DISCOUNT_RATE, time_unit_days=TIME_UNIT_DAYS
    )
    alive, gradient = model.probability_alive(x, recency, age), model.probability_alive_gradient(x, recency, age)
    orders = order_forecast(alive, gradient, table)
    spread = parameter_variance(orders.gradient, fit.log_covariance)
    mean_interval(orders.mean, spread, LEVEL)
    order_interval(alive, table.quantiles, LEVEL)
    return orders.mean


def _stored(customers: pd.DataFrame, folder: Path) -> None:
    """As Parquet in several files, so that both cores have work."""
    folder.mkdir(parents=True)
    for number in range(_FILES):
        customers.iloc[number::_FILES].to_parquet(folder / f"part-{number}.parquet", index=False)


def _seconds(action: Callable[[DataFrame], object], warm_up: DataFrame, states: DataFrame) -> float:
    action(warm_up)
    return timed(lambda: action(states))


def _show(seconds: Mapping[str, float], customers: int) -> None:
    for way, value in seconds.items():
        rate, ratio = value / customers * 1e6, value / seconds[_UNIT]
        print(f"{value:9.2f} s {rate:8.2f} s per million {ratio:7.2f}x  {way}", flush=True)


def _show_agreement(states: DataFrame, model: TransactionModel, scorers: Scorers) -> None:
    """Print how far expected orders and P(alive) of the others are from ours, over all customers."""
    own = _forecasts(_with(states, partial(_orders, model)), scorers)
    rows = own.select(*_HISTORY[:3], "scored", "expected_orders", "probability_alive").toPandas()
    theirs = peers.score(model, _HORIZON, rows, TIME_UNIT_DAYS)
    pairs = {
        "expected orders, SciPy per row": (rows["scored"], rows["expected_orders"]),
        "expected orders, lifetimes": (theirs["expected_orders"], rows["expected_orders"]),
        "P(alive), lifetimes": (theirs["probability_alive"], rows["probability_alive"]),
    }
    for name, (other, ours) in pairs.items():
        finite = np.isfinite(other.to_numpy())
        apart = np.abs(other - ours)[finite] / np.maximum(ours[finite], 1e-12)
        print(f"{apart.max():9.1e}  largest relative difference, {name}; {(~finite).sum():,} rows are not finite")
