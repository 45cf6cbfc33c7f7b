"""Simulated customers with known parameters, order by order, for the coverage study; misspecified on request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clv_lib.models import BgNbd, GammaGamma, MbgNbd, ParetoNbd
from clv_lib.models.discounting import DAYS_PER_MONTH, DAYS_PER_YEAR
from clv_lib.models.sufficient_statistics import FloatArray, IntArray

DISCOUNT_RATE = 0.10


@dataclass(frozen=True)
class Scenario:
    """A population; times in weeks. `season` and `coupling` break the models' assumptions unless they are 1 and 0.

    fitted_share: part of the customers whom the fits see, all are predicted; season: how much faster customers buy
    within the horizon than before; coupling: power of a customer's relative purchase rate by which the value of his
    purchases is multiplied.
    """

    name: str
    model: BgNbd | MbgNbd | ParetoNbd
    spend: GammaGamma
    ages: tuple[int, int]
    horizon: int
    fitted_share: float = 1.0
    season: float = 1.0
    coupling: float = 0.0

    @property
    def well_specified(self) -> bool:
        """Whether the fitted models are those that made the data."""
        return self.season == 1.0 and self.coupling == 0.0


@dataclass(frozen=True)
class Population:
    """One value per customer: history up to `age`, then what happened within the horizon.

    mean_spend is NaN without a repeat purchase; value is discounted to the end of the history by whole months.
    """

    frequency: FloatArray
    recency: FloatArray
    age: FloatArray
    mean_spend: FloatArray
    orders: FloatArray
    value: FloatArray


def draw(scenario: Scenario, customers: int, seed: int) -> Population:
    """Follow each customer from purchase to purchase until death or the end of the horizon."""
    random = np.random.default_rng(seed)
    model, spend = scenario.model, scenario.spend
    age = random.integers(scenario.ages[0], scenario.ages[1] + 1, customers).astype(np.float64)
    rate = np.maximum(random.gamma(model.r, 1 / model.alpha, customers), 1e-300)
    is_pareto = isinstance(model, ParetoNbd)
    leaving = (
        random.gamma(model.s, 1 / model.beta, customers) if is_pareto else random.beta(model.a, model.b, customers)
    )
    scale = random.gamma(spend.q, 1 / spend.v, customers) * (rate * model.alpha / model.r) ** -scenario.coupling
    who, when = _orders(scenario, age, rate, leaving, random)
    seen = when <= age[who]
    frequency = np.bincount(who[seen], minlength=customers).astype(np.float64)
    recency = np.zeros(customers)
    np.maximum.at(recency, who[seen], when[seen])
    repeats = np.maximum(frequency, 1)
    mean_spend = np.where(frequency > 0, random.gamma(spend.p * repeats, 1 / (scale * repeats)), np.nan)
    future, days = who[~seen], 7 * (when - age[who])[~seen] / scenario.season
    worth = random.gamma(spend.p, 1 / scale[future]) * (1 + DISCOUNT_RATE) ** (
        -np.minimum(np.ceil(days / DAYS_PER_MONTH) * DAYS_PER_MONTH, 7 * scenario.horizon) / DAYS_PER_YEAR
    )
    orders = np.bincount(future, minlength=customers).astype(np.float64)
    return Population(frequency, recency, age, mean_spend, orders, np.bincount(future, worth, customers))


def _orders(
    scenario: Scenario, age: FloatArray, rate: FloatArray, leaving: FloatArray, random: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """Customer and time of each repeat purchase; after `age` time runs `season` times as fast.

    `leaving` is the chance to leave at a purchase, or of Pareto/NBD the rate at which customers leave at any time.
    """
    end = age + scenario.horizon * scenario.season
    now, active = np.zeros(len(age)), np.arange(len(age))
    if isinstance(scenario.model, ParetoNbd):
        end = np.minimum(end, random.exponential(1.0, len(age)) / np.maximum(leaving, 1e-300))
        leaving = np.zeros(len(age))
    elif scenario.model.first_purchase_may_be_last:
        active = np.flatnonzero(random.random(len(age)) >= leaving)
    who, when = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    while len(active):
        now[active] += random.exponential(1.0, len(active)) / rate[active]
        active = active[now[active] <= end[active]]
        who.append(active)
        when.append(now[active])
        active = active[random.random(len(active)) >= leaving[active]]
    return np.concatenate(who), np.concatenate(when)
