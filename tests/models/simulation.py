"""Simulated customers with known parameters, of every model, for the tests of the models and the studies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Customers:
    """One value per customer; `future` counts the purchases in (age, age + horizon]."""

    frequency: FloatArray
    recency: FloatArray
    age: FloatArray
    alive: NDArray[np.bool_]
    future: FloatArray


def simulate(
    parameters: tuple[float, float, float, float],
    age: FloatArray,
    seed: int,
    *,
    horizon: float = 0.0,
    first_purchase_may_be_last: bool = False,
) -> Customers:
    """Follow every customer from purchase to purchase until death or the end of age + horizon."""
    r, alpha, a, b = parameters
    random = np.random.default_rng(seed)
    count = len(age)
    rate, leaving = random.gamma(r, 1 / alpha, count), random.beta(a, b, count)
    frequency, recency, future, now = (np.zeros(count) for _ in range(4))
    alive = random.random(count) >= leaving if first_purchase_may_be_last else np.ones(count, dtype=bool)
    active = np.flatnonzero(alive)
    while len(active):
        now[active] += random.exponential(1.0, len(active)) / np.maximum(rate[active], 1e-300)
        active = active[now[active] <= age[active] + horizon]
        before = now[active] <= age[active]
        seen = active[before]
        frequency[seen] += 1
        recency[seen] = now[seen]
        future[active[~before]] += 1
        stays = random.random(len(active)) >= leaving[active]
        alive[seen] = stays[before]
        active = active[stays]
    return Customers(frequency, recency, age, alive, future)


def simulate_pareto(
    parameters: tuple[float, float, float, float], age: FloatArray, seed: int, *, horizon: float = 0.0
) -> Customers:
    """Draw customers of Pareto/NBD: given their number, purchase times are uniform over the time alive."""
    r, alpha, s, beta = parameters
    random = np.random.default_rng(seed)
    count = len(age)
    rate, leaving = random.gamma(r, 1 / alpha, count), random.gamma(s, 1 / beta, count)
    life = random.exponential(1.0, count) / np.maximum(leaving, 1e-300)
    observed = np.minimum(life, age)
    frequency = random.poisson(rate * observed).astype(np.float64)
    latest = random.random(count) ** (1 / np.maximum(frequency, 1))
    recency = np.where(frequency > 0, observed * latest, 0.0)
    future = random.poisson(rate * np.clip(life - age, 0.0, horizon)).astype(np.float64)
    return Customers(frequency, recency, age, life > age, future)


def simulate_spend(
    parameters: tuple[float, float, float], frequency: FloatArray, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Mean spend of customers with the given frequency (at least 1) under Gamma-Gamma, and their true mean."""
    p, q, v = parameters
    random = np.random.default_rng(seed)
    scale = random.gamma(q, 1 / v, len(frequency))
    return random.gamma(p * frequency, 1 / (scale * frequency)), p / scale


def simulate_renewals(
    parameters: tuple[float, float], observed: FloatArray, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Renewals met, lost (1 or 0) and active (0 or 1) of customers of sBG who meet at most `observed` renewals."""
    random = np.random.default_rng(seed)
    leaving_at = random.geometric(random.beta(*parameters, len(observed))).astype(np.float64)
    lost = (leaving_at <= observed).astype(np.float64)
    return np.minimum(leaving_at, observed), lost, 1 - lost


def simulate_periods(
    parameters: tuple[float, float, float, float], periods: FloatArray, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Frequency, recency and periods of customers of BG/BB with so many chances to buy."""
    random, (alpha, beta, gamma, delta) = np.random.default_rng(seed), parameters
    count, longest = len(periods), int(periods.max())
    chance, lived = random.beta(alpha, beta, count), random.geometric(random.beta(gamma, delta, count)) - 1
    number = np.arange(1, longest + 1)
    buys = random.random((count, longest)) < chance[:, np.newaxis]
    buys &= number <= np.minimum(lived, periods)[:, np.newaxis]
    return buys.sum(axis=1).astype(np.float64), (buys * number).max(axis=1).astype(np.float64), periods


def simulate_loyal(count: int, age: float, seed: int) -> Customers:
    """Nobody leaves, and last purchases are later than even chance has them: models with death end at the NBD."""
    random = np.random.default_rng(seed)
    ages = np.full(count, age)
    frequency = random.poisson(random.gamma(0.8, 1 / 9.0, count) * ages).astype(float)
    late = random.random(count) ** (0.5 / np.maximum(frequency, 1))
    recency = np.where(frequency > 0, ages * late, 0.0)
    return Customers(frequency, recency, ages, np.ones(count, dtype=bool), np.zeros(count))
