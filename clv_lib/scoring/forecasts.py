"""Forecasts of single customers, with what is uncertain about them, in Arrow batches over the broadcast survivor table.

Nothing in a batch depends on other customers of it; the special functions were evaluated before, once per (x, T).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from clv_lib.models import (
    Fitted,
    FloatArray,
    GammaGamma,
    Residual,
    SpendMoments,
    SurvivorTable,
    TransactionModel,
    ValueForecast,
    mean_interval,
    order_forecast,
    order_interval,
    parameter_variance,
    probability_interval,
    residual_forecast,
    value_forecast,
    value_interval,
)
from clv_lib.scoring.groups import FIT_SEGMENT, SPEND_FIT_SEGMENT
from clv_lib.scoring.statistics import HISTORY, TIME_UNIT_DAYS
from clv_lib.scoring.survivors import PAIR, survivors, unpacked

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.scoring.fits import Scorers

ORDER_GRADIENT = tuple(f"orders_by_{number}" for number in range(4))
VALUE_GRADIENT = tuple(f"value_by_{number}" for number in range(7))
RESIDUAL_GRADIENT = tuple(f"residual_by_{number}" for number in range(7))
"""Derivatives of the expected value in the log-parameters of orders (0 to 3) and of spend (4 to 6)."""

ORDER_PARAMETERS = len(ORDER_GRADIENT)
"""Most parameters of a model of orders; one with fewer has derivatives of 0 in the others."""

FORECASTS = (
    "probability_alive",
    "probability_alive_lower",
    "probability_alive_upper",
    "churn_probability",
    "active_probability",
    "expected_orders",
    "expected_orders_lower",
    "expected_orders_upper",
    "orders_lower",
    "orders_upper",
    "orders_variance",
    *ORDER_GRADIENT,
    "expected_order_value",
    "expected_value",
    "expected_value_lower",
    "expected_value_upper",
    "value_lower",
    "value_upper",
    "value_variance",
    *VALUE_GRADIENT,
    "residual_value",
    "residual_value_lower",
    "residual_value_upper",
    "residual_variance",
    *RESIDUAL_GRADIENT,
)


_OF_LEAVING = {name for name in FORECASTS if name.startswith(("probability_alive", "churn", "residual"))}
"""What only a model knows in which customers leave: without a horizon, value is how long they stay."""


def forecasts(
    states: DataFrame,
    pairs: pd.DataFrame,
    scorers: Scorers,
    horizons_days: Iterable[int],
    annual_discount_rate: float,
    level: float,
    names: Sequence[str] = FORECASTS,
) -> DataFrame:
    """`states` with `horizon_days` and a column for each of `names`, some of FORECASTS. Grain: customer, horizon_days.

    `states` has the four btyd columns of `customer_metrics`, FIT_SEGMENT and SPEND_FIT_SEGMENT, which name two of the
    scorers' fits for each customer; `pairs` are its `distinct_pairs`. Orders are days with orders within the horizon;
    values are discounted, in the currency of btyd_monetary_value. `_lower` and `_upper` of an expected figure hold the
    uncertainty of the parameters, `orders_` and `value_` are predictive intervals with the customer's own randomness.
    Value is NULL without a spend model, and for a repeat customer without a known value; all is NULL without a model of
    orders, and P(alive), churn and residual value by one in which nobody leaves.
    """
    horizons = F.explode(F.array(*(F.lit(days) for days in horizons_days)))
    rows = states.withColumn("horizon_days", horizons)
    if scorers.pooled.model is None:
        return rows.withColumns({name: F.lit(None).cast("double") for name in names})
    table = survivors(states.sparkSession, pairs, scorers.transactions, horizons_days, annual_discount_rate)
    known = rows.join(F.broadcast(table), [*PAIR, "horizon_days"], "left")
    arguments = [F.col(name).cast("double") for name in (*HISTORY, "btyd_monetary_value")]
    schema = ", ".join(f"{name} double" for name in names)
    forecast = pandas_udf(_forecaster(scorers, level, names), schema)  # type: ignore[call-overload]
    fits = (F.col(FIT_SEGMENT), F.col(SPEND_FIT_SEGMENT))
    return known.withColumn("forecast", forecast(*fits, *arguments, F.col("survivor"))).select(
        *rows.columns, "forecast.*"
    )


def _forecaster(scorers: Scorers, level: float, wanted: Sequence[str]) -> Callable[..., pd.DataFrame]:
    """The function of an Arrow batch, group by group; only the arguments travel to the workers."""

    def forecast(
        segment_id: pd.Series,
        spend_segment_id: pd.Series,
        frequency: pd.Series,
        recency_days: pd.Series,
        age_days: pd.Series,
        mean_spend: pd.Series,
        survivor: pd.DataFrame,
    ) -> pd.DataFrame:
        x, m = frequency.to_numpy(float), mean_spend.to_numpy(float)
        recency, age = (days.to_numpy(float) / TIME_UNIT_DAYS for days in (recency_days, age_days))
        figures = {name: np.full(len(x), np.nan) for name in wanted}
        (orders, names), (spend, spend_names) = (pd.factorize(ids) for ids in (segment_id, spend_segment_id))
        for one, other in sorted(set(zip(orders.tolist(), spend.tolist(), strict=True))):
            rows, fits = np.flatnonzero((orders == one) & (spend == other)), (names[one], spend_names[other])
            history = (x[rows], recency[rows], age[rows], m[rows])
            found = _of_group(scorers, fits, history, survivor.iloc[rows], level)
            for name in figures.keys() & found.keys():
                figures[name][rows] = found[name]
        return pd.DataFrame(figures)

    return forecast


def _of_group(
    scorers: Scorers,
    fits: tuple[str, str],
    history: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    survivor: pd.DataFrame,
    level: float,
) -> dict[str, FloatArray]:
    """Figures of customers of one fit of orders and one of spend, with the churn probability of maybe another model."""
    segment_id, spend_segment_id = fits
    figures = _forecast(scorers.transactions[segment_id], scorers.spend[spend_segment_id], history, survivor, level)
    if not scorers.knows_churn:
        return {name: values for name, values in figures.items() if name not in _OF_LEAVING}
    churn = scorers.churn_of(segment_id).model
    if churn is not None:
        figures["churn_probability"] = 1 - churn.probability_alive(*history[:3])
    return figures


def _forecast(
    transactions: Fitted[TransactionModel],
    spend: Fitted[GammaGamma],
    history: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    survivor: pd.DataFrame,
    level: float,
) -> dict[str, FloatArray]:
    """Figures of customers by name; history: x, recency and age in weeks, mean value of repeat days."""
    x, recency, age, m = history
    model = transactions.model
    if model is None:
        return {}
    table, residual = unpacked(survivor)
    alive = model.probability_alive(x, recency, age)
    gradient = model.probability_alive_gradient(x, recency, age)
    orders = order_forecast(alive, gradient, table)
    covariance = transactions.log_covariance
    spread = parameter_variance(orders.gradient, covariance)
    figures: dict[str, FloatArray] = {
        "probability_alive": alive,
        **_around(
            "probability_alive", alive, probability_interval(alive, parameter_variance(gradient, covariance), level)
        ),
        "active_probability": 1 - orders.none,
        "expected_orders": orders.mean,
        **_around("expected_orders", orders.mean, mean_interval(orders.mean, spread, level)),
        **_ends("orders", order_interval(alive, table.quantiles, level)),
        "orders_variance": orders.own_variance,
        **_by_parameter(ORDER_GRADIENT, padded_gradient(orders.gradient)),
    }
    if spend.model is None:
        return figures
    positive = np.maximum(m, 0.0)
    spent = (spend.model.spend_moments(x, positive), spend.model.expected_spend_gradient(x, positive))
    covariances = (covariance, spend.log_covariance)
    return figures | _of_value((alive, gradient), (table, residual), spent, covariances, level)


def _of_value(
    alive_and_gradient: tuple[FloatArray, FloatArray],
    table_and_residual: tuple[SurvivorTable, Residual],
    spent: tuple[SpendMoments, FloatArray],
    covariances: tuple[FloatArray, FloatArray],
    level: float,
) -> dict[str, FloatArray]:
    """Figures of value by name, from P(alive), what survivors do, and what they spend, each with its gradient."""
    alive, gradient = alive_and_gradient
    table, residual = table_and_residual
    moments, spend_gradient = spent
    value = value_forecast(alive, gradient, table, moments, spend_gradient)
    ends = value_interval(level, value, alive, table, moments, covariances)
    later = residual_forecast(alive, gradient, residual, moments, spend_gradient)
    of_later = mean_interval(later.mean, later.parameter_variance(*covariances), level)
    return {
        "expected_order_value": moments.mean,
        "expected_value": value.mean,
        **_around("expected_value", value.mean, (ends.mean_low, ends.mean_high)),
        **_ends("value", (ends.low, ends.high)),
        "value_variance": value.own_variance,
        **_by_both(VALUE_GRADIENT, value),
        "residual_value": later.mean,
        **_around("residual_value", later.mean, of_later),
        "residual_variance": later.own_variance,
        **_by_both(RESIDUAL_GRADIENT, later),
    }


def _around(name: str, value: FloatArray, ends: tuple[FloatArray, FloatArray]) -> Mapping[str, FloatArray]:
    """The ends of the interval of a mean, which the last digit must not put on the wrong side of it."""
    return _ends(name, (np.minimum(ends[0], value), np.maximum(ends[1], value)))


def _ends(name: str, ends: tuple[FloatArray, FloatArray]) -> Mapping[str, FloatArray]:
    return {f"{name}_lower": ends[0], f"{name}_upper": ends[1]}


def _by_parameter(names: tuple[str, ...], gradient: FloatArray) -> Mapping[str, FloatArray]:
    return dict(zip(names, gradient.T, strict=True))


def _by_both(names: tuple[str, ...], value: ValueForecast) -> Mapping[str, FloatArray]:
    return _by_parameter(names, np.concatenate([padded_gradient(value.order_gradient), value.spend_gradient], axis=1))


def padded_gradient(gradient: FloatArray) -> FloatArray:
    """The gradient of a model of orders with ORDER_PARAMETERS columns."""
    more = ORDER_PARAMETERS - gradient.shape[1]
    return np.pad(gradient, ((0, 0), (0, more)))
