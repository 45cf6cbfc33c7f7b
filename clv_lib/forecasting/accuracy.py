"""`forecast_backtest` and `forecast_accuracy`: forecasts of the past beside what came, and how good they were."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clv_lib.contracts.forecasts import FORECAST_ACCURACY, FORECAST_BACKTEST, LEVELS, ORDERS
from clv_lib.forecasting.backtest import KEYS, Key, PastForecast, error_scales, interval
from clv_lib.forecasting.tables import place
from clv_lib.models import FloatArray


def backtest_rows(history: Sequence[PastForecast], as_of: dt.date) -> list[tuple[object, ...]]:
    """Rows of contract `forecast_backtest`.

    The interval of a forecast holds the error scales of the other days' forecasts, never of itself.
    """
    rows = []
    for number, one in enumerate(history):
        others = [*history[:number], *history[number + 1 :]]
        for key in KEYS:
            rows += list(_tested_rows(one, key, error_scales(others, key, one.forecast.segments), as_of))
    return [tuple(row[name] for name in FORECAST_BACKTEST.columns) for row in rows]


def _tested_rows(one: PastForecast, key: Key, scales: FloatArray | None, as_of: dt.date) -> Iterator[dict[str, Any]]:
    period, measure = key
    found = one.forecast.figures.get(key)
    ends = {level: interval(found, scales, level / 100) for level in LEVELS} if found else {}
    for number, segment in enumerate(one.forecast.segments):
        for column, window in enumerate(one.forecast.windows):
            actual = _number(one.actual[key][number, column])
            row: dict[str, Any] = place(segment, period) | {
                "origin_date": one.origin,
                "forecast_month": window.month,
                "months_ahead": window.months_ahead,
                "measure": measure,
                "actual_value": actual,
                "forecast_value": _number(found.mean[number, column]) if found else None,
                "baseline_value": _number(one.baseline[key][number, column]),
                "baseline": one.baseline_name,
                "seasonality_status": one.seasonality_status,
                "as_of_date": as_of,
            }
            for level in LEVELS:
                low, high = (_number(end[number, column]) for end in ends[level]) if ends else (None, None)
                row |= {f"lower_{level}": low, f"upper_{level}": high}
                row[f"is_within_{level}"] = _is_within(actual, low, high)
            row["backtest_status"] = _backtest_status(one.status, measure, row)
            yield row


def _is_within(actual: float | None, low: float | None, high: float | None) -> bool | None:
    return None if actual is None or low is None or high is None else low <= actual <= high


def _backtest_status(status: str, measure: str, row: Mapping[str, Any]) -> str:
    if row["forecast_value"] is not None and row["actual_value"] is not None:
        return "ok"
    if status == "model_unusable" or (status == "spend_model_unusable" and measure != ORDERS):
        return status
    return "margin_unknown"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def accuracy_rows(backtest: Sequence[tuple[object, ...]], as_of: dt.date) -> list[tuple[object, ...]]:
    """Rows of contract `forecast_accuracy` from those of `forecast_backtest`, of what was forecast and came."""
    frame = pd.DataFrame(list(backtest), columns=list(FORECAST_BACKTEST.columns))
    usable = frame[frame["backtest_status"] == "ok"]
    rows = []
    for (segment, period, measure), own in usable.groupby(["segment_id", "period_type", "measure"], sort=True):
        actual, forecast = own["actual_value"].astype(float), own["forecast_value"].astype(float)
        baseline = own["baseline_value"].astype(float)
        total = float(actual.sum())
        error, naive = float((forecast - actual).abs().sum()), float((baseline - actual).abs().sum(skipna=False))
        wape = error / total if total > 0 else None
        baseline_wape = naive / total if total > 0 and np.isfinite(naive) else None
        figures = place(str(segment), str(period)) | {
            "measure": measure,
            "origin_count": int(own["origin_date"].nunique()),
            "period_count": len(own),
            "bias_ratio": float(forecast.sum()) / total if total > 0 else None,
            "wape": wape,
            "baseline_wape": baseline_wape,
            "beats_baseline": None if wape is None or baseline_wape is None else wape < baseline_wape,
            "as_of_date": as_of,
        }
        for level in LEVELS:
            within = own[f"is_within_{level}"].dropna()
            figures[f"coverage_{level}"] = float(within.astype(float).mean()) if len(within) else None
        rows.append(tuple(figures[name] for name in FORECAST_ACCURACY.columns))
    return rows
