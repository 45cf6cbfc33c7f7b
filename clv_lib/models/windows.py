"""Purchases of survivors in consecutive windows of time, such as the calendar months ahead."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from clv_lib.models.protocol import TransactionModel
from clv_lib.models.sufficient_statistics import FloatArray, as_floats
from clv_lib.models.survivors import gradient_of_survivor


@dataclass(frozen=True)
class WindowMoments:
    """Purchases N of a customer who is alive now, by (x, T) in rows and windows in columns.

    mean: E[N]; pairs: E[N (N - 1)]; gradient: of the mean in the log-parameters, on a last axis.
    """

    mean: FloatArray
    pairs: FloatArray
    gradient: FloatArray

    def scaled(self, factors: FloatArray) -> WindowMoments:
        """The same with the rate of each window (or of each row and window) times a factor."""
        by = np.broadcast_to(factors, self.mean.shape)
        return WindowMoments(self.mean * by, self.pairs * by**2, self.gradient * by[..., None])


def window_moments(
    model: TransactionModel, frequency: ArrayLike, age: ArrayLike, ends: ArrayLike
) -> tuple[WindowMoments, WindowMoments]:
    """Moments within each window (end of the one before, end], and from now to each end.

    frequency and age: one row per (x, T); ends: ascending times from now, all in the unit of the model. From now to an
    end the moments are the model's. Within a window E[N (N - 1)] is that of a survivor who buys at the rate of today
    and does not leave within the window: G lambda t (1 + 1 / (r + x)), G the expected purchases of the window, t its
    length, lambda = (r + x) / (alpha + T). That is an upper bound, close where few leave within a window.
    """
    x, ages = (as_floats(column)[:, None] for column in (frequency, age))
    times = as_floats(ends)[None, :]
    until = partial(_until, times=times, x=x, ages=ages)
    so_far = until(model)
    second = model.second_moment_if_alive(times, x, ages)
    gradient = gradient_of_survivor(model, until)
    whole = WindowMoments(so_far, np.maximum(second - so_far, 0.0), gradient)
    within = np.diff(so_far, axis=1, prepend=0.0)
    shape, scale = (float(getattr(model, name)) for name in ("r", "alpha"))
    rate = (shape + x) / (scale + ages)
    pairs = within * rate * np.diff(times, prepend=0.0) * (1 + 1 / (shape + x))
    return WindowMoments(within, pairs, np.diff(gradient, axis=1, prepend=0.0)), whole


def _until(model: TransactionModel, times: FloatArray, x: FloatArray, ages: FloatArray) -> FloatArray:
    return model.expected_purchases_if_alive(times, x, ages)
