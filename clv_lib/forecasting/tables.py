"""Rows of the published tables from figures in arrays: rounded so that segments add up exactly to their total."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from clv_lib.contracts.forecasts import (
    ALL,
    CUMULATIVE,
    EXISTING,
    LEVELS,
    MARGIN,
    MONTH,
    NET,
    NEW,
    ORDERS,
    REVENUE_FORECASTS,
)
from clv_lib.forecasting.backtest import KEYS, PastForecast, error_scales, interval
from clv_lib.forecasting.calendar import Window
from clv_lib.forecasting.existing_customers import Figures, Forecast
from clv_lib.forecasting.new_customers import Planned
from clv_lib.models import FloatArray, Seasonality
from clv_lib.scoring.fits import POOLED_SEGMENT

Units = dict[str, list[list[int | None]]]
"""Expected figures of months in whole units by measure, segment and window; None: not known."""

_PERIODS = (MONTH, CUMULATIVE)
_UNIT = 10_000
"""Published decimals are whole multiples of 1 / 10,000."""

_EXPECTED = {ORDERS: "expected_orders", NET: "expected_net_amount", MARGIN: "expected_margin_amount"}


@dataclass(frozen=True)
class Said:
    """What is the same for every row of the forecast."""

    as_of: dt.date
    model_id: str
    status: str
    season: Seasonality
    history: Sequence[PastForecast]


def forecast_rows(existing: Forecast, planned: Planned | None, said: Said) -> list[tuple[object, ...]]:
    """Rows of contract `revenue_forecasts`; those of both groups together are the sums of the published ones."""
    known = _units(existing)
    rows = list(_group_rows(EXISTING, existing, known, said))
    if planned is not None:
        whole = with_total(planned)
        new = _units(whole.forecast)
        rows += _planned_rows(NEW, whole, new, said)
        both = together(existing, whole)
        rows += _planned_rows(ALL, both, _sums_of_units(both, (existing, known), (whole.forecast, new)), said)
    return [tuple(row.get(name) for name in REVENUE_FORECASTS.columns) for row in rows]


def with_total(planned: Planned) -> Planned:
    """The plan with all customers, who are the sum of its segments."""
    forecast = planned.forecast
    if POOLED_SEGMENT in forecast.segments:
        return planned
    figures = {
        key: Figures(_with_sum(found.mean), _with_sum(found.variance)) for key, found in forecast.figures.items()
    }
    total = Forecast((*forecast.segments, POOLED_SEGMENT), forecast.windows, figures)
    return Planned(total, _with_sum(planned.customers), _with_known_sum(planned.spend_amount))


def _with_sum(rows: FloatArray) -> FloatArray:
    return np.vstack([rows, rows.sum(axis=0)])


def _with_known_sum(rows: FloatArray) -> FloatArray:
    """With the sum of what is planned; NaN where nothing is."""
    none = np.isnan(rows).all(axis=0)
    return np.vstack([rows, np.where(none, np.nan, np.nansum(rows, axis=0))])


def together(existing: Forecast, planned: Planned) -> Planned:
    """Known and planned customers of the segments and windows that both have; their chances are independent."""
    forecast = planned.forecast
    segments = tuple(name for name in existing.segments if name in forecast.segments)
    own = [existing.segments.index(name) for name in segments]
    other = [forecast.segments.index(name) for name in segments]
    columns = [existing.windows.index(window) for window in forecast.windows]
    figures = {}
    for key, found in existing.figures.items():
        new = forecast.figures[key]
        figures[key] = Figures(
            found.mean[np.ix_(own, columns)] + new.mean[other],
            found.variance[np.ix_(own, columns)] + new.variance[other],
        )
    both = Forecast(segments, forecast.windows, figures)
    return Planned(both, planned.customers[other], planned.spend_amount[other])


def _group_rows(group: str, forecast: Forecast, units: Units, said: Said) -> Iterator[dict[str, Any]]:
    """A row per segment, window and kind of period, by column name."""
    scales = {key: error_scales(said.history, key, forecast.segments) for key in KEYS}
    ends = {
        (key, level): interval(found, scales[key], level / 100)
        for key, found in forecast.figures.items()
        for level in LEVELS
    }
    for number, segment in enumerate(forecast.segments):
        for column, window in enumerate(forecast.windows):
            for period in (MONTH, CUMULATIVE):
                row = place(segment, period) | _of_window(window, period, said) | {"customer_group": group}
                for measure, name in _EXPECTED.items():
                    row[name] = _decimal(units[measure], number, column, period)
                    is_known = row[name] is not None
                    for level in LEVELS:
                        found = ends.get(((period, measure), level)) if is_known else None
                        for end, values in zip(("lower", "upper"), found or (None, None), strict=True):
                            row[f"{measure}_{end}_{level}"] = None if values is None else _money(values[number, column])
                scale, is_tested = scales[period, NET], scales[period, ORDERS] is not None
                row["error_scale"] = None if scale is None else float(scale[number])
                yield row | _statuses(row, group, is_tested, said)


def _planned_rows(group: str, planned: Planned, units: Units, said: Said) -> Iterator[dict[str, Any]]:
    """As `_group_rows`, with the plan."""
    forecast = planned.forecast
    places = [(n, c, p) for n in range(len(forecast.segments)) for c in range(len(forecast.windows)) for p in _PERIODS]
    for row, (number, column, period) in zip(_group_rows(group, forecast, units, said), places, strict=True):
        yield row | {
            "planned_new_customers": _plan(planned.customers, number, column, period),
            "planned_spend_amount": _plan(planned.spend_amount, number, column, period),
        }


def _of_window(window: Window, period: str, said: Said) -> dict[str, Any]:
    return {
        "forecast_month": window.month,
        "months_ahead": window.months_ahead,
        "period_start_date": window.start if period == MONTH else said.as_of + dt.timedelta(days=1),
        "period_end_date": window.end,
        "model_id": said.model_id,
        "seasonal_index": float(said.season.factors[window.month.month - 1]) if period == MONTH else None,
        "seasonality_status": said.season.status,
        "seasonality_p_value": said.season.p_value,
        "as_of_date": said.as_of,
    }


def _statuses(row: Mapping[str, Any], group: str, is_tested: bool, said: Said) -> dict[str, Any]:
    is_known = row["expected_orders"] is not None and row["expected_net_amount"] is not None
    why = said.status if said.status != "ok" and group != NEW else "curve_too_short"
    has_margin = row["expected_margin_amount"] is not None
    method = "model_and_backtest" if is_tested else "model"
    return {
        "forecast_status": "ok" if is_known else why,
        "margin_status": "ok" if has_margin else "margin_unknown" if is_known else "not_forecast",
        "interval_method": method if row["orders_lower_80"] is not None else "not_forecast",
    }


def place(segment: str, period: str) -> dict[str, Any]:
    """The columns of a segment and of the kind of period."""
    kind, _, name = segment.partition(":")
    return {"segment_id": segment, "segment_type": kind, "segment_name": name, "period_type": period}


def _units(forecast: Forecast) -> Units:
    return {measure: _units_of(forecast, measure) for measure in _EXPECTED}


def _units_of(forecast: Forecast, measure: str) -> list[list[int | None]]:
    """Means of months in whole units by segment and window; segments of a type add up exactly; None: not known."""
    found = forecast.figures.get((MONTH, measure))
    if found is None:
        return [[None] * len(forecast.windows) for _ in forecast.segments]
    scaled = found.mean * _UNIT
    units: list[list[int | None]] = [[None if np.isnan(v) else round(v) for v in row] for row in scaled.tolist()]
    types: dict[str, list[int]] = {}
    for number, segment in enumerate(forecast.segments):
        types.setdefault(segment.partition(":")[0], []).append(number)
    total = forecast.segments.index(POOLED_SEGMENT)
    for members in types.values():
        for column in range(len(forecast.windows)):
            _agree(units, scaled[:, column], members, total, column)
    return units


def _sums_of_units(both: Planned, *parts: tuple[Forecast, Units]) -> Units:
    """Units of the segments and windows of `both`, added up over the parts."""
    sums: Units = {}
    for measure in _EXPECTED:
        sums[measure] = []
        for segment in both.forecast.segments:
            rows = [units[measure][forecast.segments.index(segment)] for forecast, units in parts]
            places = [[forecast.windows.index(window) for forecast, _ in parts] for window in both.forecast.windows]
            values = [[row[at] for row, at in zip(rows, place, strict=True)] for place in places]
            sums[measure].append([None if None in pair else sum(v or 0 for v in pair) for pair in values])
    return sums


def _agree(units: list[list[int | None]], exact: FloatArray, members: Sequence[int], total: int, column: int) -> None:
    """Hand out the units by which the rounded members miss the rounded total."""
    values, wanted = [units[member][column] for member in members], units[total][column]
    if wanted is None or None in values:
        return
    missing = wanted - sum(value for value in values if value is not None)
    # Members of a plan or of a type hold all customers, so the difference is rounding alone.
    lost = {member: float(exact[member]) - (units[member][column] or 0) for member in members}
    order = sorted(members, key=lambda member: (-lost[member] if missing > 0 else lost[member], member))
    for turn in range(abs(missing)):
        member = order[turn % len(order)]
        units[member][column] = (units[member][column] or 0) + (1 if missing > 0 else -1)


def _decimal(units: list[list[int | None]], number: int, column: int, period: str) -> Decimal | None:
    """A month, or the sum of the months up to it; None if one of them is not known."""
    months = units[number][column : column + 1] if period == MONTH else units[number][: column + 1]
    known = [value for value in months if value is not None]
    return Decimal(sum(known)).scaleb(-4) if len(known) == len(months) else None


def _plan(values: FloatArray, number: int, column: int, period: str) -> Decimal | None:
    """What is planned of a month, or up to it; None where nothing is said."""
    months = values[number, column : column + 1] if period == MONTH else values[number, : column + 1]
    known = months[~np.isnan(months)]
    return _money(float(np.sum(known))) if len(known) else None


def _money(value: float) -> Decimal | None:
    return Decimal(round(value * _UNIT)).scaleb(-4) if np.isfinite(value) else None
