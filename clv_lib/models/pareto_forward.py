"""What a survivor of Pareto/NBD buys from here on: mean, second moment, distribution, discounted total.

A survivor buys at rate ~ Gamma(r, alpha) and leaves at rate ~ Gamma(s, beta), both updated with the history (r + x,
alpha + T, s, beta + T). Arguments broadcast, s is one number, NaN in gives NaN out.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from clv_lib.models.sufficient_statistics import FloatArray, as_floats

_NEGLIGIBLE = 45.0
_BLOCK_VALUES = 60_000
_RESTART = 64


def gauss_legendre(count: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of the rule of that many points on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return as_floats((nodes + 1) / 2), as_floats(weights / 2)


_NODES, _WEIGHTS = gauss_legendre(64)


def expected_purchases(horizon: FloatArray, r: FloatArray, alpha: FloatArray, s: float, beta: FloatArray) -> FloatArray:
    """E[N], N the purchases within horizon: r beta / alpha * (1 - (1 + horizon / beta)^(1-s)) / (s - 1).

    Schmittlein, Morrison and Colombo 1987; right at and around s = 1.
    """
    log_time = np.log1p(horizon / beta)
    lived: FloatArray = beta * log_time * special.exprel((1.0 - s) * log_time)
    return r / alpha * lived


def second_moment(horizon: FloatArray, r: FloatArray, alpha: FloatArray, s: float, beta: FloatArray) -> FloatArray:
    """E[N^2] = E[N] + r (r+1) / alpha^2 * E[min(life, horizon)^2]; own derivation.

    The last factor is 2 beta^2 times the integral of (e^y - 1) e^((1-s) y) over y from 0 to ln(1 + horizon / beta).
    """
    t, shape, rate, life = np.broadcast_arrays(horizon, r, alpha, beta)
    reach = np.log1p(t / life)
    if s > 2:
        reach = np.minimum(reach, _NEGLIGIBLE / (s - 2))
    integral = np.zeros(t.shape)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        integral += weight * np.expm1(node * reach) * np.exp((1.0 - s) * node * reach)
    squares = 2 * life**2 * reach * integral
    total: FloatArray = expected_purchases(horizon, r, alpha, s, beta) + shape * (shape + 1) / rate**2 * squares
    return total


def discounted_purchases(
    discount_rate: FloatArray, r: FloatArray, alpha: FloatArray, s: float, beta: FloatArray
) -> FloatArray:
    """Discounted expected purchases without end: r beta / alpha * U(1, 2 - s, discount_rate beta).

    U is Tricomi's function, U(1, 2-s, z) = z^(s-1) U(s, s, z) (Fader, Hardie and Lee 2005, eq. 2), computed as the
    integral of e^((1-s) y) exp(-z (e^y - 1)) over y > 0: SciPy's hyperu is off by up to 1e-3 around s = 1 and not a
    number at s = 50. Raises ValueError for a discount rate that is not above 0.
    """
    if np.any(discount_rate <= 0):
        raise ValueError(f"the discount rate must be above 0; found {np.nanmin(discount_rate)}")
    delta, shape, rate, life = np.broadcast_arrays(discount_rate, r, alpha, beta)
    z = delta * life
    reach = np.log1p((_NEGLIGIBLE + np.log1p(1 / z)) / z)
    if s > 1:
        reach = np.minimum(reach, _NEGLIGIBLE / (s - 1))
    integral = np.zeros(z.shape)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        integral += weight * np.exp((1.0 - s) * node * reach - z * np.expm1(node * reach))
    total: FloatArray = shape / rate * life * reach * integral
    return total


def order_probabilities(
    horizon: FloatArray, r: FloatArray, alpha: FloatArray, s: float, beta: FloatArray, most: int
) -> FloatArray:
    """P(N = 0), ..., P(N = most) along a new last axis; own derivation, every term positive.

    P(N = n) = P(life > horizon) NB(n; horizon) + integral over u < horizon of the density of life at u times NB(n; u),
    NB(n; u) the negative binomial of the purchases within u. Raises ValueError for a negative `most`.
    """
    if most < 0:
        raise ValueError(f"the highest number of orders must not be negative; found {most}")
    arrays = np.broadcast_arrays(horizon, r, alpha, beta)
    t, shape, rate, life = (array.reshape(-1) for array in arrays)
    result = np.empty((t.size, most + 1))
    quickest = np.minimum(rate / (shape + 1), life / (s + 1))
    panels = _doublings(t, quickest)
    nodes, weights = gauss_legendre(12 + math.ceil(0.65 * math.sqrt(most)))
    rows = max(1, _BLOCK_VALUES // (panels * len(nodes)))
    for low in range(0, t.size, rows):
        block = slice(low, low + rows)
        edges = np.minimum(quickest[block, np.newaxis] * 2.0 ** np.arange(panels), t[block, np.newaxis])
        edges[:, -1] = t[block]
        ends, chance = _observed_times(edges, nodes, weights, s, life[block])
        result[block] = _mixed_counts(ends, chance, shape[block], rate[block], most)
    return result.reshape(*arrays[0].shape, most + 1)


def _doublings(horizon: FloatArray, quickest: FloatArray) -> int:
    """How many panels reach the horizon if the first is as long as the quickest process and each next one doubles."""
    ratio = (horizon / quickest)[np.isfinite(horizon / quickest)]
    return 1 + int(np.ceil(np.log2(max(float(np.max(ratio, initial=1.0)), 1.0))))


def _observed_times(
    edges: FloatArray, nodes: FloatArray, weights: FloatArray, s: float, beta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Points at which a customer may stop to be observed, by death or at the horizon, and their probabilities."""
    starts = np.column_stack([np.zeros(len(edges)), edges[:, :-1]])
    width, life = edges - starts, beta[:, np.newaxis]
    deaths = (starts[:, :, np.newaxis] + width[:, :, np.newaxis] * nodes).reshape(len(edges), -1)
    lengths = (width[:, :, np.newaxis] * weights).reshape(len(edges), -1)
    density = s / life * np.exp(-(s + 1) * np.log1p(deaths / life))
    horizon = edges[:, -1:]
    survives = np.exp(-s * np.log1p(horizon / life))
    return np.hstack([deaths, horizon]), np.hstack([lengths * density, survives])


def _mixed_counts(times: FloatArray, chance: FloatArray, r: FloatArray, alpha: FloatArray, most: int) -> FloatArray:
    """Sum over times of chance times the negative binomial, for 0 to most purchases.

    A recursion over the counts, started anew from logarithms before an underflow at its start could matter.
    """
    share = times / (alpha[:, np.newaxis] + times)
    log_none = -r[:, np.newaxis] * np.log1p(times / alpha[:, np.newaxis])
    log_share = np.log(np.maximum(share, 1e-300))
    log_ways = np.zeros(len(times))
    result = np.empty((len(times), most + 1))
    for n in range(most + 1):
        if n % _RESTART == 0:
            term = chance * np.exp(log_none + n * log_share + log_ways[:, np.newaxis])
        result[:, n] = term.sum(axis=1)
        ways = (r + n) / (n + 1)
        term *= share * ways[:, np.newaxis]
        log_ways += np.log(ways)
    return result
