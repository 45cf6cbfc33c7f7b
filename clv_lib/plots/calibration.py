"""Purchases after the end of calibration, as they came and as they were predicted, by group of customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from clv_lib.models.sufficient_statistics import as_floats
from clv_lib.plots.axes import arrays_by_label, axes_or_new, draw_bars, draw_lines, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_calibration_purchases_vs_holdout_purchases(
    frequency: ArrayLike,
    actual: ArrayLike,
    predicted: ArrayLike | Mapping[str, ArrayLike],
    *,
    max_frequency: int = 7,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean number of purchases in the holdout period by repeat purchases in the calibration period.

    One value per customer: frequency, actual and predicted purchases of the holdout; predicted: of one model, or of
    several by label. The last group is max_frequency and more; the ticks say how many customers a group has, and groups
    without customers are left out.
    """
    capped = np.minimum(as_floats(frequency), max_frequency)
    groups, place, customers = np.unique(capped, return_inverse=True, return_counts=True)
    actual_mean = np.bincount(place, as_floats(actual)) / customers
    means = {label: np.bincount(place, values) / customers for label, values in arrays_by_label(predicted).items()}
    ax = axes_or_new(ax)
    draw_lines(ax, groups, actual_mean, means, marker="o")
    names = [f"{group:.0f}" + ("+" if group == max_frequency else "") for group in groups]
    ax.set_xticks(groups, [f"{name}\nn={count}" for name, count in zip(names, customers, strict=True)])
    ax.set_ylim(bottom=0)
    title = "Purchases in the holdout period, actual and predicted"
    return finish(ax, title, "Repeat purchases in the calibration period", "Mean purchases in the holdout period")


def plot_calibration_by_decile(
    bucket: ArrayLike,
    actual_orders_mean: ArrayLike,
    predicted_orders_mean: ArrayLike | Mapping[str, ArrayLike],
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw actual and predicted orders per customer by tenth of the customers, 1 the highest predictions.

    The arguments are columns of the published table prediction_calibration: rows of one model, end of calibration and
    horizon, of bucket_type predicted_decile, in any order. A missing prediction leaves a gap.
    """
    decile = as_floats(bucket)
    order = np.argsort(decile)
    predicted = {label: values[order] for label, values in arrays_by_label(predicted_orders_mean).items()}
    ax = axes_or_new(ax)
    draw_bars(ax, as_floats(actual_orders_mean)[order], predicted, [f"{name:.0f}" for name in decile[order]])
    title = "Orders in the holdout period, actual and predicted"
    return finish(ax, title, "Tenth of the customers by predicted orders (1 = highest)", "Mean orders per customer")
