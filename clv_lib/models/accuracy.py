"""How well predictions rank and fit what happened, from counted cells of predicted and actual values.

A cell is a bin of predictions and a bin of outcomes with its number of customers and their sums, so that any number of
customers is judged from a small table; customers of one bin count as tied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clv_lib.models.sufficient_statistics import FloatArray, IntArray

_TOP_SHARE = 0.1


@dataclass(frozen=True)
class Cells:
    """One row per cell. predicted_bin and actual_bin: ascending codes; count: customers; actual: sum of outcomes."""

    predicted_bin: IntArray
    actual_bin: IntArray
    count: FloatArray
    actual: FloatArray


def spearman(cells: Cells) -> float:
    """Rank correlation of predictions and outcomes, ties at their middle rank; NaN if one of them never differs."""
    first, second = (_middle_ranks(bins, cells.count) for bins in (cells.predicted_bin, cells.actual_bin))
    total = cells.count.sum()
    first, second = (ranks - np.sum(cells.count * ranks) / total for ranks in (first, second))
    spread = np.sqrt(np.sum(cells.count * first**2) * np.sum(cells.count * second**2))
    return float(np.sum(cells.count * first * second) / spread) if spread > 0 else float("nan")


def normalised_gini(cells: Cells) -> float:
    """Gini of outcomes sorted by prediction over Gini of outcomes sorted by themselves; NaN if all are the same."""
    best = _gini(cells.actual_bin, cells)
    return _gini(cells.predicted_bin, cells) / best if best > 0 else float("nan")


def top_decile_capture(cells: Cells) -> float:
    """Share of all outcomes that the tenth of customers with the highest predictions has; NaN if the sum is not > 0."""
    share, value = _lorenz(cells.predicted_bin, cells)
    return float(np.interp(_TOP_SHARE, share, value))


def predicted_decile(predicted_bin: IntArray, count: FloatArray) -> IntArray:
    """Tenth of the customers by prediction, 1 the highest, of each cell: the one in which its middle rank lies."""
    ranks = _middle_ranks(predicted_bin, count)
    place = 1 - (ranks - 0.5) / count.sum()
    return np.asarray(np.clip(np.floor(10 * place) + 1, 1, 10), dtype=np.int64)


def _middle_ranks(bins: IntArray, count: FloatArray) -> FloatArray:
    """Middle rank, from 1, of the customers of each cell."""
    _, code = np.unique(bins, return_inverse=True)
    per_bin = np.bincount(code, count)
    below = np.cumsum(per_bin) - per_bin
    middle: FloatArray = (below + (per_bin + 1) / 2)[code]
    return middle


def _lorenz(bins: IntArray, cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Share of outcomes over share of customers, the highest bins first; both begin with 0."""
    _, code = np.unique(-bins, return_inverse=True)
    count, actual = np.bincount(code, cells.count), np.bincount(code, cells.actual)
    total = actual.sum()
    value = np.cumsum(actual) / total if total > 0 else np.full(len(actual), np.nan)
    return np.append(0.0, np.cumsum(count) / count.sum()), np.append(0.0, value)


def _gini(bins: IntArray, cells: Cells) -> float:
    """Twice the area between the curve of the highest first and equality."""
    share, value = _lorenz(bins, cells)
    return float(np.sum(np.diff(share) * (value[1:] + value[:-1])) - 1)
