"""Repeat purchases of a cohort, as they came and as a model expects them: by customer, and over time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from clv_lib.models import FloatArray, TransactionModel, TransactionStatistics
from clv_lib.models.sufficient_statistics import as_floats
from clv_lib.plots.axes import arrays_by_label, axes_or_new, by_label, draw_bars, draw_lines, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_period_transactions(
    model: TransactionModel | Mapping[str, TransactionModel],
    statistics: TransactionStatistics,
    *,
    max_frequency: int = 7,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many customers made 0, 1, ... repeat purchases in calibration, and how many a model expects.

    model: one, or several by label; statistics: what they were fitted on; the last bars are max_frequency and more.
    Expected are the exact numbers of expected_customers_by_frequency.
    """
    frequency = np.minimum(statistics.frequency, max_frequency).astype(np.int64)
    actual = as_floats(np.bincount(frequency, statistics.weight, max_frequency + 1))
    expected = {
        label: expected_customers_by_frequency(one, statistics.age, statistics.weight, max_frequency=max_frequency)
        for label, one in by_label(model).items()
    }
    ax = axes_or_new(ax)
    draw_bars(ax, actual, expected, [*map(str, range(max_frequency)), f"{max_frequency}+"])
    return finish(ax, "Frequency of repeat transactions", "Repeat purchases in the calibration period", "Customers")


def expected_customers_by_frequency(
    model: TransactionModel, age: ArrayLike, weight: ArrayLike | None = None, *, max_frequency: int = 7
) -> FloatArray:
    """Expected number of customers with 0, 1, ..., max_frequency and more repeat purchases; adds up to all customers.

    age: time since the first purchase, in the model's unit; weight: customers of each age, 1 if it is None. A new
    customer is still there right after the first purchase with P(alive | x = 0, t_x = 0, T = 0), which is 1 unless the
    first purchase may be the last, and then buys as a survivor of age 0. Raises ValueError for max_frequency below 1.
    """
    if max_frequency < 1:
        raise ValueError(f"max_frequency must be at least 1; found {max_frequency}")
    ages, place = np.unique(as_floats(age), return_inverse=True)
    customers = np.bincount(place, None if weight is None else as_floats(weight), len(ages))
    stays = float(model.probability_alive(0, 0, 0))
    probabilities = stays * model.order_probabilities_if_alive(ages, 0, 0, max_frequency - 1)
    probabilities[:, 0] += 1 - stays
    counts = customers @ probabilities
    return np.append(counts, customers.sum() - counts.sum())


def plot_cumulative_transactions(
    times: ArrayLike,
    actual: ArrayLike,
    predicted: ArrayLike | Mapping[str, ArrayLike],
    *,
    end_of_calibration: float | dt.date | None = None,
    time_unit: str = "weeks",
    ax: Axes | None = None,
) -> Axes:
    """Draw the repeat purchases that all customers have made by each time, and those a model expected (tracking plot).

    times: numbers or days; actual: cumulated repeat purchases; predicted: the same of one model, or of several by
    label, such as expected_cumulative_transactions. A dotted line marks the end of calibration. time_unit: for the
    label of an axis of numbers.
    """
    ax = _tracking(times, actual, predicted, end_of_calibration, ax)
    return finish(ax, "Tracking cumulative transactions", _time_label(times, time_unit), "Cumulative repeat purchases")


def plot_incremental_transactions(
    times: ArrayLike,
    actual: ArrayLike,
    predicted: ArrayLike | Mapping[str, ArrayLike],
    *,
    end_of_calibration: float | dt.date | None = None,
    time_unit: str = "weeks",
    ax: Axes | None = None,
) -> Axes:
    """Draw the repeat purchases of all customers period by period, as they came and as a model expected them.

    times: end of each period, numbers or days; actual and predicted: repeat purchases within it, not cumulated; the
    rest as in plot_cumulative_transactions.
    """
    ax = _tracking(times, actual, predicted, end_of_calibration, ax)
    return finish(ax, "Tracking incremental transactions", _time_label(times, time_unit), "Repeat purchases per period")


def expected_cumulative_transactions(
    model: TransactionModel, first_purchase: ArrayLike, times: ArrayLike
) -> FloatArray:
    """Repeat purchases that all customers are expected to have made by each time: the sum of E[X(time - first)].

    first_purchase: when each customer began; times: any points on the same clock, in the model's unit. Customers who
    have not begun count nothing.
    """
    first, customers = np.unique(as_floats(first_purchase), return_counts=True)
    since = np.maximum(as_floats(times)[:, np.newaxis] - first, 0.0)
    return as_floats(model.expected_purchases_new(since) @ customers)


def _tracking(
    times: ArrayLike,
    actual: ArrayLike,
    predicted: ArrayLike | Mapping[str, ArrayLike],
    end_of_calibration: float | dt.date | None,
    ax: Axes | None,
) -> Axes:
    ax = axes_or_new(ax)
    draw_lines(ax, np.asarray(times), as_floats(actual), arrays_by_label(predicted))
    if end_of_calibration is not None:
        # matplotlib converts days to numbers itself once the axis has days on it.
        ax.axvline(end_of_calibration, color="0.5", linestyle=":", label="End of calibration")  # type: ignore[arg-type]
    ax.set_ylim(bottom=0)
    return ax


def _time_label(times: ArrayLike, time_unit: str) -> str:
    return f"Time ({time_unit})" if np.issubdtype(np.asarray(times).dtype, np.number) else "Date"
