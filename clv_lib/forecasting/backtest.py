"""The past forecast again from earlier days: what came, what was expected, and what a simple rule would have said.

Compared are customers who had ordered by that day: of later ones nobody knew how many would come.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from clv_lib.contracts.forecasts import CUMULATIVE, MARGIN, MONTH, NET, ORDERS
from clv_lib.forecasting.existing_customers import Figures, Forecast
from clv_lib.forecasting.new_customers import COHORT_COLUMNS
from clv_lib.models import FloatArray, sum_interval
from clv_lib.periods import add_months, month_start
from clv_lib.scoring.fits import POOLED_SEGMENT

SEASONAL_NAIVE, LAST_MONTH = "seasonal_naive", "last_month"
Key = tuple[str, str]
"""Kind of period and measure."""

KEYS: tuple[Key, ...] = tuple((period, measure) for period in (MONTH, CUMULATIVE) for measure in (ORDERS, NET, MARGIN))


@dataclass(frozen=True)
class PastForecast:
    """A forecast of the past and what came; arrays by segment in rows and window in columns, NaN: not known."""

    origin: dt.date
    forecast: Forecast
    actual: dict[Key, FloatArray]
    baseline: dict[Key, FloatArray]
    baseline_name: str
    seasonality_status: str
    status: str


def past_forecast(
    origin: dt.date, forecast: Forecast, cohorts: pd.DataFrame, seasonality_status: str, status: str
) -> PastForecast:
    """Put a forecast beside rows of `cohort_metrics` of its segments, complete months."""
    first, months = min(cohorts["cohort_month"]), [window.month for window in forecast.windows]
    known = month_start(origin)
    year_before = add_months(known, -12)
    is_seasonal = year_before >= first
    actual, baseline = {}, {}
    for measure in (ORDERS, NET, MARGIN):
        came = _values(cohorts, measure, forecast.segments, [(known, month) for month in months])
        if is_seasonal:
            shifts = [-12 * ((number // 12) + 1) for number in range(len(months))]
            places = [(add_months(known, by), add_months(m, by)) for by, m in zip(shifts, months, strict=True)]
        else:
            places = [(add_months(known, -1), known)] * len(months)
        naive = _values(cohorts, measure, forecast.segments, places)
        for period, total in ((MONTH, np.asarray), (CUMULATIVE, _cumulated)):
            actual[period, measure], baseline[period, measure] = total(came), total(naive)
    name = SEASONAL_NAIVE if is_seasonal else LAST_MONTH
    return PastForecast(origin, forecast, actual, baseline, name, seasonality_status, status)


def _cumulated(values: FloatArray) -> FloatArray:
    return np.asarray(np.cumsum(values, axis=1), dtype=np.float64)


def _values(
    cohorts: pd.DataFrame, measure: str, segments: Sequence[str], places: Sequence[tuple[dt.date, dt.date]]
) -> FloatArray:
    """Sums over the cohorts up to a month in another month, by segment and (cohorts up to, month); NaN: not known."""
    column = COHORT_COLUMNS[measure]
    found = np.zeros((len(segments), len(places)))
    by_month = dict(iter(cohorts.groupby("period_month")))
    first = min(cohorts["cohort_month"])
    for number, (known, month) in enumerate(places):
        rows = by_month.get(month)
        if rows is None or known < first:
            found[:, number] = np.nan
            continue
        own = rows[rows["cohort_month"] <= known]
        sums = own[column].fillna(np.inf).groupby(own["segment_id"]).sum().reindex(list(segments)).fillna(0.0)
        found[:, number] = np.where(np.isinf(sums.to_numpy(float)), np.nan, sums.to_numpy(float))
    return found


def error_scale(history: Sequence[PastForecast], key: Key, segment: str = POOLED_SEGMENT) -> float | None:
    """Relative standard error of a segment's forecasts beyond their own variance, from how they came out.

    The square is (sum of squared errors - sum of variances) / sum of squared forecasts, at least 0: the estimate by
    moments of a common factor by which whole forecasts are off, as between studies (DerSimonian and Laird 1986). None
    without a forecast of the past.
    """
    error, variance, square = 0.0, 0.0, 0.0
    for one in history:
        if segment not in one.forecast.segments or key not in one.forecast.figures:
            continue
        row = one.forecast.segments.index(segment)
        figures, actual = one.forecast.figures[key], one.actual[key][row]
        known = np.isfinite(figures.mean[row]) & np.isfinite(actual)
        error += float(np.sum((actual - figures.mean[row])[known] ** 2))
        variance += float(np.sum(figures.variance[row][known]))
        square += float(np.sum(figures.mean[row][known] ** 2))
    return max(0.0, (error - variance) / square) ** 0.5 if square else None


def error_scales(history: Sequence[PastForecast], key: Key, segments: Sequence[str]) -> FloatArray | None:
    """The error scale of each segment: that of all customers, or its own where that was tested and is larger.

    The market that moves all customers moves each segment; a model that fits all of them may not fit one.
    """
    total = error_scale(history, key)
    if total is None:
        return None
    own = [error_scale(history, key, segment) for segment in segments]
    return np.array([max(total, scale or 0.0) for scale in own])


def interval(figures: Figures, scales: FloatArray | None, level: float) -> tuple[FloatArray, FloatArray]:
    """Ends of the predictive interval with the errors of the backtest; NaN where mean or variance is.

    `scales` are the `error_scales` of the segments. A positive sum is taken as gamma-distributed, a negative one as
    normal; where nothing is expected, nothing is the lower end.
    """
    relative = np.zeros((1, 1)) if scales is None else scales[:, None]
    variance = figures.variance + (relative * figures.mean) ** 2
    low, high = sum_interval(np.maximum(figures.mean, 0.0), variance, level)
    spread = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(variance)
    is_positive, lowest = figures.mean > 0, np.where(figures.mean == 0, 0.0, figures.mean - spread)
    return np.where(is_positive, low, lowest), np.where(is_positive, high, figures.mean + spread)
