"""Rank agreement from counted cells against direct computations over single customers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clv_lib.models import Cells, normalised_gini, predicted_decile, spearman, top_decile_capture


def cells_of(predicted: np.ndarray, actual: np.ndarray) -> Cells:
    """Cells in which customers with the same prediction and outcome are counted together."""
    pairs, count = np.unique(np.stack([predicted, actual], axis=1), axis=0, return_counts=True)
    first, second = pairs.T
    bins = [np.unique(values, return_inverse=True)[1] for values in (first, second)]
    return Cells(bins[0], bins[1], count.astype(float), second * count)


@pytest.fixture(scope="module")
def customers() -> tuple[np.ndarray, np.ndarray]:
    """Predictions in steps, so that there are ties, and outcomes that follow them loosely."""
    random = np.random.default_rng(11)
    predicted = np.round(random.gamma(1.0, 1.0, 3000), 1)
    return predicted, random.poisson(predicted).astype(float)


def test_spearman_is_that_of_scipy(customers: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, actual = customers
    assert spearman(cells_of(predicted, actual)) == pytest.approx(stats.spearmanr(predicted, actual).statistic, 1e-12)


def test_gini_by_hand() -> None:
    """Outcomes 3, 1, 0, 0 have the Gini 0.625, and in the order 1, 3, 0, 0 it is 0.375."""
    actual = np.array([0.0, 0.0, 1.0, 3.0])
    assert normalised_gini(cells_of(np.array([1.0, 2.0, 3.0, 4.0]), actual)) == pytest.approx(1)
    # Shares of value after each customer are 1/4, 1, 1, 1: by trapezoids an area of 0.6875.
    assert normalised_gini(cells_of(np.array([1.0, 2.0, 4.0, 3.0]), actual)) == pytest.approx(0.375 / 0.625)
    assert normalised_gini(cells_of(-np.array([1.0, 2.0, 3.0, 4.0]), actual)) == pytest.approx(-1)
    assert normalised_gini(cells_of(np.ones(4), actual)) == pytest.approx(0)


def test_without_differences_there_is_no_agreement() -> None:
    same = cells_of(np.array([1.0, 2.0]), np.array([5.0, 5.0]))
    assert np.isnan(spearman(same)) and np.isnan(normalised_gini(same))
    assert np.isnan(top_decile_capture(cells_of(np.array([1.0, 2.0]), np.zeros(2))))


def test_top_decile_takes_a_part_of_a_bin() -> None:
    """Ten customers in the highest bin of 50 stand for a fifth; half of what they did is in the tenth."""
    predicted = np.repeat([2.0, 1.0], [10, 40])
    actual = np.repeat([3.0, 1.0], [10, 40])
    assert top_decile_capture(cells_of(predicted, actual)) == pytest.approx(15 / 70)


def test_deciles_hold_a_tenth_each(customers: tuple[np.ndarray, np.ndarray]) -> None:
    predicted = np.arange(1000.0)
    deciles = predicted_decile(predicted.astype(np.int64), np.ones(1000))
    assert np.bincount(deciles).tolist() == [0, *[100] * 10]
    assert deciles[-1] == 1 and deciles[0] == 10
