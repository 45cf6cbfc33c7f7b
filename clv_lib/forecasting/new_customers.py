"""Expected orders, net revenue and margin of planned customers, from what the cohorts before them did by age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clv_lib.contracts.forecasts import CUMULATIVE, MARGIN, MONTH, NET, ORDERS
from clv_lib.forecasting.calendar import Window
from clv_lib.forecasting.existing_customers import Figures, Forecast
from clv_lib.forecasting.plans import PlannedMonth
from clv_lib.models import FloatArray, Seasonality
from clv_lib.scoring.fits import POOLED_SEGMENT

COHORT_COLUMNS = {ORDERS: "order_count", NET: "net_amount", MARGIN: "margin_amount"}
"""Measure to column of `cohort_metrics`."""


@dataclass(frozen=True)
class Curve:
    """What a new customer does by calendar months since the first order (0: that of the first order).

    mean: per customer; variance: per customer of a cohort, in the month and up to it, from how cohorts differ;
    customers: on whom an age was observed. NaN: not observed, with fewer than two cohorts no variance, margin unknown.
    """

    mean: FloatArray
    variance: FloatArray
    variance_so_far: FloatArray
    customers: FloatArray


def curve(cohorts: pd.DataFrame, measure: str, ages: int) -> Curve:
    """The curve of one measure from rows of `cohort_metrics` of one segment, complete months only.

    At each age the ratio of sums over the cohorts that have been observed for so long. The variance between cohorts,
    weighted by their size, holds chance as well as what differs from cohort to cohort.
    """
    keyed = cohorts.set_index(["cohort_month", "months_since_first_order"])
    sums = keyed[COHORT_COLUMNS[measure]].unstack().reindex(columns=range(ages)).to_numpy(float)
    is_seen = keyed["cohort_size"].unstack().reindex(columns=range(ages)).notna().to_numpy()
    sizes = cohorts.groupby("cohort_month")["cohort_size"].max().to_numpy(float)
    customers = (is_seen * sizes[:, None]).sum(axis=0)
    mean = _per_customer(sums, is_seen, customers)
    so_far = np.cumsum(sums, axis=1)
    return Curve(
        mean,
        _between(sums, is_seen, sizes, mean),
        _between(so_far, is_seen, sizes, _per_customer(so_far, is_seen, customers)),
        customers,
    )


def _per_customer(sums: FloatArray, is_seen: np.ndarray, customers: FloatArray) -> FloatArray:
    """NaN where no cohort was seen, or the sum of one that was is not known."""
    total = np.where(is_seen, sums, 0.0).sum(axis=0)
    return np.where(customers > 0, total / np.where(customers > 0, customers, 1.0), np.nan)


def _between(sums: FloatArray, is_seen: np.ndarray, sizes: FloatArray, mean: FloatArray) -> FloatArray:
    """Weighted variance of the cohorts' means times their size: the variance of one customer."""
    count = is_seen.sum(axis=0)
    deviation = np.where(is_seen, sizes[:, None] * (sums / sizes[:, None] - mean) ** 2, 0.0).sum(axis=0)
    return np.where(count > 1, deviation / np.where(count > 1, count - 1, 1), np.nan)


@dataclass(frozen=True)
class Planned:
    """The forecast of planned customers with the plan itself: by segment in rows, window in columns; NaN: no cost."""

    forecast: Forecast
    customers: FloatArray
    spend_amount: FloatArray


def new_customers(
    plan: Sequence[PlannedMonth], cohorts: pd.DataFrame, windows: Sequence[Window], season: Seasonality
) -> Planned | None:
    """Forecast of the planned customers, None without a plan for one of the windows.

    `cohorts` are complete months of `cohort_metrics`, those of the cohorts that shall count. A segment without cohorts
    of its own takes the curve of all customers. Windows up to the last planned month are forecast; the plan counts as
    certain. Months after the first order follow the seasons; the first one does not, since the plan names its month.
    """
    months = [window.month for window in windows]
    own = [one for one in plan if one.month in months]
    if not own:
        return None
    whole = windows[: months.index(max(one.month for one in own)) + 1]
    segments = tuple(sorted({one.segment_id for one in own}))
    customers, spend = _plan_arrays(own, segments, whole)
    factors = np.array([season.factors[window.month.month - 1] for window in whole])
    figures: dict[tuple[str, str], Figures] = {}
    for measure in (ORDERS, NET, MARGIN):
        curves = [curve(_cohorts_of(cohorts, segment), measure, len(whole)) for segment in segments]
        month = [_of_months(n, one, factors) for n, one in zip(customers, curves, strict=True)]
        so_far = [_variance(n, one.variance_so_far, one.customers) for n, one in zip(customers, curves, strict=True)]
        mean = np.stack([found.mean for found in month])
        figures[MONTH, measure] = Figures(mean, np.stack([found.variance for found in month]))
        figures[CUMULATIVE, measure] = Figures(np.cumsum(mean, axis=1), np.stack(so_far))
    return Planned(Forecast(segments, tuple(whole), figures), customers, spend)


def _cohorts_of(cohorts: pd.DataFrame, segment: str) -> pd.DataFrame:
    own = cohorts[cohorts["segment_id"] == segment]
    return own if len(own) else cohorts[cohorts["segment_id"] == POOLED_SEGMENT]


def _plan_arrays(
    plan: Sequence[PlannedMonth], segments: Sequence[str], windows: Sequence[Window]
) -> tuple[FloatArray, FloatArray]:
    months = {window.month: number for number, window in enumerate(windows)}
    customers = np.zeros((len(segments), len(windows)))
    spend = np.full_like(customers, np.nan)
    for one in plan:
        place = segments.index(one.segment_id), months[one.month]
        customers[place] = float(one.customers)
        spend[place] = np.nan if one.spend_amount is None else float(one.spend_amount)
    return customers, spend


def _of_months(customers: FloatArray, one: Curve, factors: FloatArray) -> Figures:
    """Of each month: the customers of every planned month so far, each at its age; months without any need no curve."""
    mean = np.zeros(len(customers))
    for start in np.flatnonzero(customers):
        left = len(customers) - start
        seasonal = np.concatenate([[1.0], factors[start + 1 :]])
        mean[start:] += customers[start] * one.mean[:left] * seasonal
    return Figures(mean, _variance(customers, one.variance, one.customers))


def _variance(customers: FloatArray, of_customer: FloatArray, observed: FloatArray) -> FloatArray:
    """Chance of n customers, and the error of a curve that was observed on N: n v + n^2 v / N."""
    total = np.zeros(len(customers))
    for start in np.flatnonzero(customers):
        left, n = len(customers) - start, customers[start]
        with np.errstate(divide="ignore", invalid="ignore"):
            total[start:] += of_customer[:left] * (n + n**2 / observed[:left])
    return total
