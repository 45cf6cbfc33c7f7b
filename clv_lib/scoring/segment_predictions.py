"""`segment_predictions`: intervals of the sums over members, from sums of variances and of gradients."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clv_lib.contracts.predictions import NO_CHURN_SEEN, SEGMENT_PREDICTIONS
from clv_lib.models import FloatArray, mean_interval, parameter_variance, sum_interval
from clv_lib.scoring.forecasts import ORDER_GRADIENT, ORDER_PARAMETERS, RESIDUAL_GRADIENT, VALUE_GRADIENT
from clv_lib.scoring.groups import FIT_SEGMENT, SPEND_FIT_SEGMENT

if TYPE_CHECKING:
    from clv_lib.models import Fitted
    from clv_lib.scoring.fits import Scorers
    from clv_lib.settings.predictions import Predictions

_GRAIN = ["segment_id", "horizon_days"]
_AMOUNTS = ["predicted_clv", "residual_clv"]


def segment_predictions(
    sums: pd.DataFrame, scorers: Scorers, settings: Predictions, as_of: dt.date
) -> list[tuple[object, ...]]:
    """Rows of contract `segment_predictions` from the collected `segment_sums`."""
    ordered, level = _over_fits(sums, scorers), settings.interval_level
    orders = _sum_intervals(ordered, "expected_orders", "orders", level)
    value = _sum_intervals(ordered, "predicted_clv", "value", level)
    residual = _sum_intervals(ordered, "residual_clv", "residual", level)
    rows = ordered.assign(
        model_id=scorers.model_id,
        expected_orders_lower=orders[0],
        expected_orders_upper=orders[1],
        orders_lower=np.floor(orders[2]),
        orders_upper=np.ceil(orders[3]),
        predicted_clv_amount=ordered["predicted_clv"],
        residual_clv_amount=ordered["residual_clv"],
        **_named("predicted_clv", value),
        **_named("residual_clv", residual),
        interval_level=level,
        interval_status=_interval_status(ordered),
        residual_status=_residual_status(ordered, scorers, settings),
        as_of_date=as_of,
    )
    return [
        tuple(None if pd.isna(cell) else cell for cell in row)
        for row in rows[list(SEGMENT_PREDICTIONS.columns)].itertuples(index=False, name=None)
    ]


def _named(name: str, ends: tuple[FloatArray, ...]) -> Mapping[str, FloatArray]:
    parts = ("mean_lower", "mean_upper", "lower", "upper")
    return {f"{name}_{part}_amount": end for part, end in zip(parts, ends, strict=True)}


def _over_fits(sums: pd.DataFrame, scorers: Scorers) -> pd.DataFrame:
    """`segment_sums` over the fits: one row per segment and horizon, in ascending order, with `_by_parameters`.

    A sum is NULL where it is so for every fit.
    """
    grouped = sums.drop(columns=[FIT_SEGMENT, SPEND_FIT_SEGMENT, *_AMOUNTS]).groupby(_GRAIN, sort=True)
    # Decimals stay decimals where no missing value is among them.
    exact = {name: sums.dropna(subset=name).groupby(_GRAIN)[name].sum() for name in _AMOUNTS}
    total = grouped.sum(min_count=1, numeric_only=True).assign(value_basis=grouped["value_basis"].first(), **exact)
    by_orders, by_spend = scorers.transactions, scorers.spend
    parameters = {"orders_by_parameters": _by_parameters(sums, FIT_SEGMENT, ORDER_GRADIENT, by_orders)}
    for measure, gradient in (("value", VALUE_GRADIENT), ("residual", RESIDUAL_GRADIENT)):
        of_orders = _by_parameters(sums, FIT_SEGMENT, gradient[:ORDER_PARAMETERS], by_orders)
        of_spend = _by_parameters(sums, SPEND_FIT_SEGMENT, gradient[ORDER_PARAMETERS:], by_spend)
        parameters[f"{measure}_by_parameters"] = of_orders + of_spend
    return total.assign(**parameters).reset_index()


def _by_parameters(
    sums: pd.DataFrame, column: str, gradient: Sequence[str], fits: Mapping[str, Fitted[Any]]
) -> pd.Series[float]:
    """Variance by estimated parameters: G'VG per fit, G the sum of its customers' gradients, added up over the fits.

    Fits of different groups are independent.
    """
    of_fit = sums.groupby([*_GRAIN, column], sort=True)[list(gradient)].sum(min_count=1)
    segments = of_fit.index.get_level_values(column)
    rows = of_fit.to_numpy(float)
    matrices = [fits[str(segment)].log_covariance for segment in segments]
    variances = [
        float(parameter_variance(row[: len(matrix)], matrix)) for row, matrix in zip(rows, matrices, strict=True)
    ]
    return pd.Series(variances, index=of_fit.index, dtype=float).groupby(level=_GRAIN).sum(min_count=1)


def _sum_intervals(
    sums: pd.DataFrame, mean: str, measure: str, level: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Interval of the mean and predictive interval of each sum, which is never the narrower one.

    The two have different shapes, which shows where the parameters are so uncertain that chance hardly matters.
    """
    expected = sums[mean].to_numpy(float)
    by_parameters = sums[f"{measure}_by_parameters"].to_numpy(float)
    low, high = mean_interval(expected, by_parameters, level)
    realised = sum_interval(expected, sums[f"{measure}_variance"].to_numpy(float) + by_parameters, level)
    return low, high, np.minimum(realised[0], low), np.maximum(realised[1], high)


def _interval_status(sums: pd.DataFrame, variance: str = "value_variance") -> FloatArray:
    none = sums["predicted_customer_count"].to_numpy() == 0
    infinite = ~np.isfinite(sums[variance].to_numpy(float))
    return np.where(none, "not_predicted", np.where(infinite, "infinite_variance", "ok"))


def _residual_status(sums: pd.DataFrame, scorers: Scorers, settings: Predictions) -> FloatArray:
    found = _interval_status(sums, "residual_variance")
    if scorers.knows_churn and settings.annual_discount_rate > 0:
        return found
    reason = "no_discount_rate" if scorers.knows_churn else NO_CHURN_SEEN
    return np.where(found == "not_predicted", found, reason)
