"""Expected orders, net revenue and margin of customers who are known, by segment and month, with their variances.

NumPy on the sums of `states.member_sums`: what depends on (x, T) is evaluated once per distinct pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clv_lib.contracts.forecasts import CUMULATIVE, MARGIN, MONTH, NET, ORDERS
from clv_lib.forecasting.calendar import Window
from clv_lib.forecasting.states import ALIVE_GRADIENT, PAIR
from clv_lib.models import FloatArray, Seasonality, WindowMoments, parameter_variance, window_moments
from clv_lib.scoring.groups import FIT_SEGMENT, SPEND_FIT_SEGMENT
from clv_lib.scoring.statistics import TIME_UNIT_DAYS

if TYPE_CHECKING:
    import datetime as dt

    from clv_lib.forecasting.fits import DayFit, OrdersFit

_MID_WEEK = 3 / 7
"""Mean age, in weeks above the whole ones, of customers whose ages in days are spread over a week."""


@dataclass(frozen=True)
class Figures:
    """Mean and variance by segment in rows and window in columns; NaN where there is no forecast.

    variance: of what comes in fact, by chance and by the estimated parameters and seasons.
    """

    mean: FloatArray
    variance: FloatArray


@dataclass(frozen=True)
class Forecast:
    """Figures of segments by kind of period and measure; the windows are the columns."""

    segments: tuple[str, ...]
    windows: tuple[Window, ...]
    figures: dict[tuple[str, str], Figures]


def existing_customers(
    sums: pd.DataFrame, fit: DayFit, day: dt.date, windows: Sequence[Window], season: Seasonality
) -> Forecast:
    """Forecast from the collected `member_sums` of one day and its fit; empty without rows.

    Means are linear in the members' sums, so segments of a type add up. Amounts are NaN without a spend model, margins
    also where a member's is not known. Orders are days with orders times the orders per such day so far.
    """
    segment, names = pd.factorize(sums["segment_id"], sort=True)
    keys = tuple(str(name) for name in names)
    if fit.pooled is None or sums.empty:
        return Forecast(keys, tuple(windows), {})
    ends = np.array([(window.end - day).days for window in windows]) / TIME_UNIT_DAYS
    factors = np.array([season.factors[window.month.month - 1] for window in windows])
    errors = np.array([season.standard_errors[window.month.month - 1] for window in windows])
    parts = []
    for group, rows in sums.groupby(FIT_SEGMENT, sort=True).indices.items():
        cells, orders = sums.iloc[rows], fit.orders_of(str(group))
        pairs, pair = np.unique(cells[list(PAIR)].to_numpy(float), axis=0, return_inverse=True)
        members = _Members(cells, segment[rows], len(keys), np.ravel(pair), pairs[:, 0])
        moments = window_moments(orders.model, pairs[:, 0], pairs[:, 1] + _MID_WEEK, ends)
        both = dict(zip((MONTH, CUMULATIVE), _seasonal(*moments, factors), strict=True))
        parts.append({period: _measured(members, both[period], orders, fit) for period in both})
    figures = {
        (period, measure): _summed([part[period][measure] for part in parts], fit)
        for period in (MONTH, CUMULATIVE)
        for measure in (ORDERS, NET, MARGIN)
    }
    for measure in (ORDERS, NET, MARGIN):
        by_season = (figures[MONTH, measure].mean * errors) ** 2
        figures[MONTH, measure] = _with_variance(figures[MONTH, measure], by_season)
        figures[CUMULATIVE, measure] = _with_variance(figures[CUMULATIVE, measure], np.cumsum(by_season, axis=1))
    return Forecast(keys, tuple(windows), figures)


def _seasonal(within: WindowMoments, whole: WindowMoments, factors: FloatArray) -> tuple[WindowMoments, WindowMoments]:
    """Months with their factors, and sums of months with the factor that those give them together."""
    seasonal = within.scaled(factors)
    reached, some = np.cumsum(seasonal.mean, axis=1), whole.mean > 0
    return seasonal, whole.scaled(np.where(some, reached / np.where(some, whole.mean, 1.0), 1.0))


@dataclass(frozen=True)
class _Part:
    """Figures of the customers of one fit of orders; variance without that by the parameters of spend.

    by_spend: the mean of the customers of each fit of spend; empty for orders.
    """

    figures: Figures
    by_spend: Mapping[str, FloatArray]


def _summed(parts: Sequence[_Part], fit: DayFit) -> Figures:
    """Fits of different groups are independent, so variances add up; of one fit of spend the amounts do."""
    mean = np.sum([part.figures.mean for part in parts], axis=0)
    variance = np.sum([part.figures.variance for part in parts], axis=0)
    for group in {name for part in parts for name in part.by_spend}:
        amount = np.sum([part.by_spend[group] for part in parts if group in part.by_spend], axis=0)
        variance = variance + fit.spend_of(group).relative_variance * amount**2
    return Figures(mean, variance)


@dataclass(frozen=True)
class _Members:
    """Cells of `member_sums` of one fit, how they add up to segments, and the x of each distinct (x, T)."""

    cells: pd.DataFrame
    segment: np.ndarray
    segments: int
    pair: np.ndarray
    frequency: FloatArray

    def add(self, rows: FloatArray) -> FloatArray:
        """Sums of rows by segment; the first axis becomes that of the segments."""
        total = np.zeros((self.segments, *rows.shape[1:]))
        np.add.at(total, self.segment, rows)
        return total

    @property
    def spenders(self) -> np.ndarray:
        """Whose fit of spend is that of each cell, as a column."""
        return self.cells[SPEND_FIT_SEGMENT].to_numpy(str)[:, None]

    def column(self, name: str) -> FloatArray:
        return np.asarray(self.cells[name].to_numpy(float)[:, None], dtype=np.float64)


def _measured(members: _Members, moments: WindowMoments, orders: OrdersFit, fit: DayFit) -> dict[str, _Part]:
    """Figures of each measure in one kind of period."""
    mean, pairs = moments.mean[members.pair], moments.pairs[members.pair]
    alive = members.column("alive")
    names = ALIVE_GRADIENT[: len(orders.log_covariance)]
    by_alive = members.cells[list(names)].to_numpy(float)[:, None, :] * mean[..., None]
    gradient = by_alive + alive[..., None] * moments.gradient[members.pair]
    own = alive * (mean + pairs) - members.column("alive_squared") * mean**2
    days = members.add(alive * mean)
    variance = members.add(np.maximum(own, 0.0)) + parameter_variance(members.add(gradient), orders.log_covariance)
    found = {ORDERS: _Part(Figures(days * fit.orders_per_day, variance * fit.orders_per_day**2), {})}
    unknown = members.add(members.column("unknown_values"))[:, 0] > 0
    for measure, name in ((NET, "net"), (MARGIN, "margin")):
        if not fit.has_spend or (measure == MARGIN and not fit.in_margin):
            nothing = np.full_like(days, np.nan)
            found[measure] = _Part(Figures(nothing, nothing), {})
            continue
        amount = members.column(name)
        expected = members.add(amount * mean)
        # Within a cell the amounts do not depend on P(alive): Gamma-Gamma takes spend as independent of orders.
        per_day = np.where(alive > 0, amount / np.where(alive > 0, alive, 1.0), 0.0)
        by_parameters = parameter_variance(members.add(per_day[..., None] * gradient), orders.log_covariance)
        chance = members.add(_amount_variance(members, name, mean, pairs, fit))
        total = Figures(expected, chance + by_parameters)
        of_spend = {
            str(group): members.add(np.where(members.spenders == group, amount * mean, 0.0))
            for group in np.unique(members.spenders)
        }
        found[measure] = _Part(_without(total, unknown) if measure == MARGIN else total, of_spend)
    return found


def _amount_variance(members: _Members, name: str, mean: FloatArray, pairs: FloatArray, fit: DayFit) -> FloatArray:
    """Own variance of the amounts of the members of each cell, never negative.

    E[N] E[M^2] / p + E[N^2] E[M^2] - (E[N] E[M])^2 as in Gamma-Gamma, with E[M^2] / E[M]^2 = (A - 1) / (A - 2), A = q +
    p x, but not above the spread between customers that was observed: where the model's variance is infinite or far
    above anything seen, that is taken.
    """
    second, p = np.ones((2, len(members.cells), 1))
    for group in np.unique(members.spenders):
        own, spend = members.spenders[:, 0] == group, fit.spend_of(str(group))
        if spend.model is None:
            continue
        shape = spend.model.q + spend.model.p * members.frequency[members.pair][own]
        finite = shape > 2
        relative = np.where(finite, (shape - 1) / np.where(finite, shape - 2, 1.0), np.inf)
        second[own, 0], p[own] = np.minimum(relative, max(spend.spread, 1.0)), spend.model.p
    chance = (mean / p + mean + pairs) * second * members.column(f"{name}_second")
    return np.asarray(np.maximum(chance - members.column(f"{name}_squared") * mean**2, 0.0), dtype=np.float64)


def _without(figures: Figures, unknown: np.ndarray) -> Figures:
    """The figures, NaN for segments with a member whose margin is not known."""
    hidden = np.where(unknown, np.nan, 0.0)[:, None]
    return Figures(figures.mean + hidden, figures.variance + hidden)


def _with_variance(figures: Figures, more: FloatArray) -> Figures:
    return Figures(figures.mean, figures.variance + more)
