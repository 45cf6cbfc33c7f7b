"""Present number of future purchases: in monthly steps to a horizon, or continuously without one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from clv_lib.models.protocol import TransactionModel
from clv_lib.models.sufficient_statistics import FloatArray, as_floats

DAYS_PER_MONTH = 30.4375
DAYS_PER_YEAR = 12 * DAYS_PER_MONTH

NODES = 40
_FROM, _TO = 1e-5, 40.0


def month_ends(horizon_days: float) -> list[float]:
    """Days from now to the end of each month of the horizon; the last one, maybe a part, ends with the horizon."""
    if not 0 < horizon_days < math.inf:
        raise ValueError(f"the horizon must be a positive number of days; found {horizon_days}")
    whole = math.ceil(horizon_days / DAYS_PER_MONTH) - 1
    return [month * DAYS_PER_MONTH for month in range(1, whole + 1)] + [float(horizon_days)]


def discounted_purchases_if_alive(
    model: TransactionModel,
    frequency: ArrayLike,
    age: ArrayLike,
    *,
    horizon_days: float,
    annual_discount_rate: float,
    time_unit_days: float = 7.0,
) -> FloatArray:
    """Discounted expected purchases of each (x, T) if alive; times P(alive) it is that of the customer.

    Purchases of a month count at its end: the increment of G over the month times (1 + rate)^-(years to its end), a
    year being 365.25 days. age is in the model's unit, which is time_unit_days long.
    """
    if not annual_discount_rate > -1:
        raise ValueError(f"the annual discount rate must be above -1; found {annual_discount_rate}")
    x, ages = as_floats(frequency), as_floats(age)
    total: FloatArray = 0.0 * (x + ages)
    before = total
    for end in month_ends(horizon_days):
        until = model.expected_purchases_if_alive(end / time_unit_days, x, ages)
        total = total + (until - before) * (1.0 + annual_discount_rate) ** (-end / DAYS_PER_YEAR)
        before = until
    return total


def residual_purchases_if_alive(
    model: TransactionModel,
    frequency: ArrayLike,
    age: ArrayLike,
    *,
    annual_discount_rate: float,
    time_unit_days: float = 7.0,
    nodes: int = NODES,
) -> FloatArray:
    """DERT of each (x, T) if alive: discounted expected purchases without a horizon; times P(alive) the customer's.

    The integral of exp(-y) G(y / delta) over y > 0, with delta = ln(1 + annual rate) per time unit, a year being 365.25
    days, and G of any model: discounting is continuous (Fader, Hardie and Lee 2005, RFM and CLV, integrated by parts).
    The integrand is smooth in ln y, so Gauss-Legendre there is right to 1e-7 from 1 % to 50 % a year, where 64 nodes of
    Gauss-Laguerre are off by up to 4e-3; with 20 `nodes` it is right to 1e-3. A rate of 0 raises ValueError: the sum
    may be infinite.
    """
    delta = _delta(annual_discount_rate, time_unit_days)
    x, ages = as_floats(frequency), as_floats(age)
    # Below the first node G is a straight line for all that matters: a triangle.
    total: FloatArray = _FROM / 2 * model.expected_purchases_if_alive(_FROM / delta, x, ages)
    for y, weight in _nodes(nodes, _single_density):
        total = total + weight * model.expected_purchases_if_alive(y / delta, x, ages)
    return total


def residual_pairs_if_alive(
    model: TransactionModel,
    frequency: ArrayLike,
    age: ArrayLike,
    *,
    annual_discount_rate: float,
    time_unit_days: float = 7.0,
    nodes: int = NODES,
) -> FloatArray:
    """E[sum over i, j of exp(-delta (t_i + t_j))] of the purchases at t_i, i and j different, without a horizon.

    With the same sum for i = j, which is DERT at delta twice, it is the second moment of the discounted purchases. In
    every model here a customer who buys at s and later at t must have lived until t, and s does not matter beyond: the
    density of such a pair is g(t). So E[N (N - 1)] up to h is F(h) = 2 integral of t g(t), and the pairs are the
    integral of F(y / delta) times minus the derivative of (exp(-y) - exp(-2 y)) / y (own derivation, by parts).
    """
    delta = _delta(annual_discount_rate, time_unit_days)
    x, ages = as_floats(frequency), as_floats(age)
    total: FloatArray = 0.0 * (x + ages)
    for y, weight in _nodes(nodes, _pair_density):
        horizon = y / delta
        mean = model.expected_purchases_if_alive(horizon, x, ages)
        total = total + weight * np.maximum(model.second_moment_if_alive(horizon, x, ages) - mean, 0.0)
    return total


def _delta(annual_discount_rate: float, time_unit_days: float) -> float:
    """Continuous discount rate per time unit; ValueError where the sum over all time may be infinite."""
    if not 0 < annual_discount_rate < math.inf:
        raise ValueError(f"without a horizon the annual discount rate must be above 0; found {annual_discount_rate}")
    if not 0 < time_unit_days < math.inf:
        raise ValueError(f"the time unit must be a positive number of days; found {time_unit_days}")
    return math.log1p(annual_discount_rate) * time_unit_days / DAYS_PER_YEAR


def _pair_density(y: FloatArray) -> FloatArray:
    """Minus the derivative of (exp(-y) - exp(-2 y)) / y."""
    density: FloatArray = (np.exp(-y) - 2 * np.exp(-2 * y)) / y - np.exp(-y) * np.expm1(-y) / y**2
    return density


def _single_density(y: FloatArray) -> FloatArray:
    """Minus the derivative of exp(-y)."""
    density: FloatArray = np.exp(-y)
    return density


def _nodes(count: int, density: Callable[[FloatArray], FloatArray]) -> list[tuple[float, float]]:
    """Return y and its weight in an integral with the density: Gauss-Legendre over ln y, with dy = y d(ln y)."""
    position, weight = np.polynomial.legendre.leggauss(count)
    half = math.log(_TO / _FROM) / 2
    y = _FROM * np.exp(half * (position + 1))
    return list(zip(y.tolist(), (half * weight * y * density(y)).tolist(), strict=True))
