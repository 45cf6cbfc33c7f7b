"""Purchases in consecutive windows against a simulation of survivors, and against the model's own horizon."""

from __future__ import annotations

import numpy as np
import pytest

from clv_lib.models import BgNbd, MbgNbd, ParetoNbd, TransactionModel, window_moments

ENDS = np.array([30.0, 61.0, 91.0, 122.0]) / 7
MODELS: list[TransactionModel] = [
    BgNbd(0.9, 6.3, 0.7, 4.1),
    MbgNbd(1.2, 7.7, 1.1, 8.9),
    ParetoNbd(1.2, 9.7, 1.5, 60.0),
]


def simulated(x: float, age: float, customers: int) -> np.ndarray:
    """Purchases of survivors of the MBG/NBD in each window, customers by windows."""
    rng, model = np.random.default_rng(3), MODELS[1]
    assert isinstance(model, MbgNbd)
    rate = rng.gamma(model.r + x, 1.0, customers) / (model.alpha + age)
    leaving = rng.beta(model.a, model.b + x + 1, customers)
    counts, moment, active = np.zeros((customers, len(ENDS))), np.zeros(customers), np.arange(customers)
    while len(active):
        moment[active] += rng.exponential(1 / rate[active])
        active = active[moment[active] <= ENDS[-1]]
        counts[active, np.searchsorted(ENDS, moment[active])] += 1
        active = active[rng.random(len(active)) >= leaving[active]]
    return counts


@pytest.mark.parametrize(("x", "age"), [(0.0, 4.0), (3.0, 40.0), (12.0, 100.0)])
def test_mean_and_pairs_are_those_of_simulated_customers(x: float, age: float) -> None:
    counts = simulated(x, age, 200_000)
    within, whole = window_moments(MODELS[1], [x], [age], ENDS)
    error = counts.std(axis=0) / np.sqrt(len(counts))
    assert np.all(np.abs(counts.mean(axis=0) - within.mean[0]) < 4 * error)
    pairs = (counts * (counts - 1)).mean(axis=0)
    assert np.all(within.pairs[0] > 0.97 * pairs)
    variance = within.mean[0] + within.pairs[0] - within.mean[0] ** 2
    assert np.all(variance < 1.15 * counts.var(axis=0))
    total = counts.cumsum(axis=1)
    assert np.allclose(whole.pairs[0], (total * (total - 1)).mean(axis=0), rtol=0.04)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_windows_add_up_to_the_horizon_of_the_model(model: TransactionModel) -> None:
    x, age = np.array([0.0, 2.0, 9.0]), np.array([3.0, 50.0, 80.0])
    within, whole = window_moments(model, x, age, ENDS)
    assert within.mean.shape == whole.pairs.shape == (3, 4)
    assert within.gradient.shape == (3, 4, 4)
    assert np.allclose(within.mean.cumsum(axis=1), whole.mean)
    assert np.allclose(within.gradient.cumsum(axis=1), whole.gradient)
    assert np.allclose(whole.mean[:, -1], model.expected_purchases_if_alive(ENDS[-1], x, age))
    second = model.second_moment_if_alive(ENDS[-1], x, age)
    assert np.allclose(whole.pairs[:, -1], second - whole.mean[:, -1])
    assert np.all(within.pairs[:, 0] >= 0.999 * whole.pairs[:, 0])


def test_a_factor_of_the_rate_counts_once_for_one_purchase_and_twice_for_two() -> None:
    within, _ = window_moments(MODELS[0], [2.0], [30.0], ENDS)
    scaled = within.scaled(np.array([1.0, 2.0, 0.5, 1.0]))
    assert np.allclose(scaled.mean / within.mean, [[1, 2, 0.5, 1]])
    assert np.allclose(scaled.pairs / within.pairs, [[1, 4, 0.25, 1]])
    assert np.allclose(scaled.gradient / within.gradient, np.array([1, 2, 0.5, 1])[None, :, None])
