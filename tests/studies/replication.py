"""One replication of the coverage study: draw, fit, predict, and see which intervals held what then happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from clv_lib.models import Fitted, GammaGamma, SpendStatistics, TransactionModel, TransactionStatistics
from clv_lib.models.discounting import discounted_purchases_if_alive
from clv_lib.models.gamma_gamma import SpendMoments
from clv_lib.models.sufficient_statistics import FloatArray, IntArray
from clv_lib.models.survivors import SurvivorTable, survivor_table
from clv_lib.models.uncertainty import mean_interval, order_interval, parameter_variance, sum_interval
from clv_lib.models.value_uncertainty import (
    OrderForecast,
    ValueForecast,
    order_forecast,
    value_forecast,
    value_interval,
)
from tests.studies.populations import DISCOUNT_RATE, Population, Scenario, draw

LEVELS = (0.80, 0.90, 0.95)
SEGMENT_SIZES = (50, 500, 5000)

OWN_ALONE = ", own randomness alone"
PARAMETERS_ALONE = ", parameters alone"

Coverage = dict[str, FloatArray]


@dataclass(frozen=True)
class Forecasts:
    """What is predicted of each customer of a population, and the covariance of the fits behind it."""

    alive: FloatArray
    survivor: SurvivorTable
    spend: SpendMoments
    orders: OrderForecast
    value: ValueForecast
    covariances: tuple[FloatArray, FloatArray]


def replicate(scenario: Scenario, customers: int, seed: int) -> Coverage | None:
    """Share of units whose interval held the truth, by quantity and unit, at each level; None if a fit failed."""
    population = draw(scenario, customers, seed)
    orders, spend = fit(scenario, population)
    if orders.model is None or spend.model is None:
        return None
    forecasts = forecast(orders, spend, population, scenario.horizon)
    coverage = _customers(forecasts, population) | _groups(forecasts, population)
    if scenario.well_specified:
        coverage |= _expected(forecasts, population, scenario) | _parameters(scenario, orders, spend)
    return coverage


def fit(scenario: Scenario, population: Population) -> tuple[Fitted[TransactionModel], Fitted[GammaGamma]]:
    """Fit both models to the share of customers that the scenario lets them see."""
    x, mean = population.frequency, population.mean_spend
    seen = np.arange(len(x)) < scenario.fitted_share * len(x)
    bought = seen & (x > 0)
    history = TransactionStatistics.unweighted(x[seen], population.recency[seen], population.age[seen])
    spend = GammaGamma.fit(SpendStatistics.unweighted(x[bought], mean[bought]))
    return type(scenario.model).fit(history), spend


def forecast(
    orders: Fitted[TransactionModel], spend: Fitted[GammaGamma], population: Population, horizon: int
) -> Forecasts:
    """Evaluate the table once per (x, T) and give each customer the row that it needs."""
    if orders.model is None or spend.model is None:
        raise ValueError("only converged fits predict")
    x, age = population.frequency, population.age
    pairs, row = _distinct_pairs(x, age)
    table = survivor_table(orders.model, *pairs, horizon_days=7 * horizon, annual_discount_rate=DISCOUNT_RATE)
    survivor = table[row]
    history = x, population.recency, age
    alive, by_alive = orders.model.probability_alive(*history), orders.model.probability_alive_gradient(*history)
    moments = spend.model.spend_moments(x, population.mean_spend)
    by_spend = spend.model.expected_spend_gradient(x, population.mean_spend)
    return Forecasts(
        alive=alive,
        survivor=survivor,
        spend=moments,
        orders=order_forecast(alive, by_alive, survivor),
        value=value_forecast(alive, by_alive, survivor, moments, by_spend),
        covariances=(orders.log_covariance, spend.log_covariance),
    )


def _distinct_pairs(x: FloatArray, age: FloatArray) -> tuple[FloatArray, IntArray]:
    pairs, row = np.unique(np.array([x, age]), axis=1, return_inverse=True)
    return pairs, np.ravel(row)


def _customers(found: Forecasts, population: Population) -> Coverage:
    value = [
        value_interval(level, found.value, found.alive, found.survivor, found.spend, found.covariances)
        for level in LEVELS
    ]
    return {
        "orders of a customer": _shares(
            population.orders, (order_interval(found.alive, found.survivor.quantiles, level) for level in LEVELS)
        ),
        "value of a customer": _shares(population.value, ((part.low, part.high) for part in value)),
    }


def _groups(found: Forecasts, population: Population) -> Coverage:
    """Customers come in random order, so each run of them is a segment."""
    count = len(population.orders)
    coverage: Coverage = {}
    for size in (*(size for size in SEGMENT_SIZES if size < count), count):
        unit = "all customers" if size == count else f"{size} customers"
        orders, value = found.orders, found.value
        by_orders = parameter_variance(_sums(orders.gradient, size), found.covariances[0])
        total = ValueForecast(*(_sums(getattr(value, name), size) for name in value.__dataclass_fields__))
        by_value = total.parameter_variance(*found.covariances)
        sums = _sums(orders.mean, size), _sums(orders.own_variance, size)
        coverage |= _both("orders of " + unit, _sums(population.orders, size), *sums, by_orders)
        actual = _sums(population.value, size)
        coverage |= _both("value of " + unit, actual, total.mean, total.own_variance, by_value)
    return coverage


def _sums(column: FloatArray, size: int) -> FloatArray:
    """Sums over runs of `size` rows; a rest that fills no run is left out."""
    whole = len(column) // size * size
    return np.asarray(column[:whole].reshape(-1, size, *column.shape[1:]).sum(axis=1), dtype=np.float64)


def _both(name: str, actual: FloatArray, mean: FloatArray, own: FloatArray, by_parameters: FloatArray) -> Coverage:
    """With both causes of variance, and for the total with either alone, to show what it would miss."""
    variances = {"": own + by_parameters}
    if "all" in name:
        variances |= {OWN_ALONE: own, PARAMETERS_ALONE: by_parameters}
    coverage = {}
    for cause, variance in variances.items():
        ends = [sum_interval(mean, variance, level) for level in LEVELS]
        if name.startswith("orders"):
            ends = [(np.floor(low), np.ceil(high)) for low, high in ends]
        coverage[name + cause] = _shares(actual, ends)
    return coverage


def _expected(found: Forecasts, population: Population, scenario: Scenario) -> Coverage:
    """Intervals of the mean against the expectation under the parameters that made the data."""
    history = population.frequency, population.recency, population.age
    pairs, row = _distinct_pairs(population.frequency, population.age)
    days = 7 * scenario.horizon
    table = discounted_purchases_if_alive(scenario.model, *pairs, horizon_days=days, annual_discount_rate=DISCOUNT_RATE)
    alive = scenario.model.probability_alive(*history)
    spend = scenario.spend.expected_spend(population.frequency, population.mean_spend)
    truth = alive * table[row] * spend
    coverage = {}
    for unit, size in (("a customer", 1), ("all customers", len(truth))):
        value = ValueForecast(*(_sums(getattr(found.value, name), size) for name in found.value.__dataclass_fields__))
        spread = value.parameter_variance(*found.covariances)
        ends = [mean_interval(value.mean, spread, level) for level in LEVELS]
        coverage[f"expected value of {unit}"] = _shares(_sums(truth, size), ends)
    return coverage


def _parameters(scenario: Scenario, orders: Fitted[TransactionModel], spend: Fitted[GammaGamma]) -> Coverage:
    return held_parameters(orders, scenario.model, " of orders") | held_parameters(spend, scenario.spend, " of spend")


def held_parameters(fitted: Fitted[Any], truth: Any, what: str = "") -> Coverage:
    """Whether estimate -+ z standard errors holds the true parameter, in logarithms, and the joint ellipsoid all.

    `truth` has the parameters as attributes; `what` is added to the name of the ellipsoid's row.
    """
    off = np.log(fitted.parameters / [getattr(truth, name) for name in fitted.parameter_names])
    distances = np.abs(off) * fitted.parameters / fitted.standard_errors
    coverage = {
        f"parameter {name}": np.array([distance <= special.ndtri((1 + level) / 2) for level in LEVELS])
        for name, distance in zip(fitted.parameter_names, distances, strict=True)
    }
    joint = off @ np.linalg.solve(fitted.log_covariance, off)
    coverage[f"all parameters{what}"] = np.array([joint <= special.chdtri(len(off), 1 - level) for level in LEVELS])
    return {name: held.astype(np.float64) for name, held in coverage.items()}


def _shares(actual: FloatArray, ends: Iterable[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """Share of units that lie within their interval, at each level; equal up to rounding counts as within."""
    slack = 1e-9 * np.abs(actual)
    return np.array([np.mean((low - slack <= actual) & (actual <= high + slack)) for low, high in ends])
