"""Expected purchases of a survivor of the beta-geometric process, in Euler's form with a quadrature behind it."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from clv_lib.models.sufficient_statistics import FloatArray

_NEAR_ONE = 1e-3
_NODES = (-2.0, -1.0, 1.0, 2.0)
_LOST_DIGITS = 1e-6


def expected_purchases_of_survivor(
    horizon: FloatArray, r: FloatArray, alpha: FloatArray, a: float, b: FloatArray
) -> FloatArray:
    """Purchases within horizon of a customer with rate ~ Gamma(r, alpha) and chance to leave ~ Beta(a, b).

    (a+b-1)/(a-1) [1 - (1-z)^(a-1) 2F1(a+b-1-r, a-1; a+b-1; z)], z = horizon / (alpha + horizon): Fader, Hardie and
    Lee 2005, eq. 9 and 10 after Euler's transformation, which removes every power of order x. Arguments broadcast.
    Where |a - 1| < 1e-3 the form loses its digits and values around 1 are interpolated; relative error below 2e-8.
    """
    if abs(a - 1.0) >= _NEAR_ONE:
        return _away_from_one(horizon, r, alpha, a, b)
    total = np.zeros(())
    for node, weight in zip(_NODES, _cubic_weights((a - 1.0) / _NEAR_ONE), strict=True):
        total = total + weight * _away_from_one(horizon, r, alpha, 1.0 + node * _NEAR_ONE, b)
    return total


def _cubic_weights(position: float) -> list[float]:
    """Lagrange's weights of _NODES at a position between them."""
    others = [[other for other in _NODES if other != node] for node in _NODES]
    return [
        math.prod((position - other) / (node - other) for other in rest)
        for node, rest in zip(_NODES, others, strict=True)
    ]


def _away_from_one(horizon: FloatArray, r: FloatArray, alpha: FloatArray, a: float, b: FloatArray) -> FloatArray:
    """Return the closed form, and the integral where the closed form is not finite or has lost its digits."""
    t, rate_shape, rate, leave_b = np.broadcast_arrays(horizon, r, alpha, b)
    z, c = t / (rate + t), a + leave_b - 1.0
    with np.errstate(all="ignore"):
        inside = special.hyp2f1(c - rate_shape, a - 1.0, c, z)
        values = np.asarray(c / (a - 1.0) * (1.0 - (rate / (rate + t)) ** (a - 1.0) * inside), dtype=np.float64)
        trusted = np.isfinite(values) & (values * abs(a - 1.0) > _LOST_DIGITS * np.abs(c)) & (np.abs(c) > _LOST_DIGITS)
    known = np.isfinite(t) & np.isfinite(rate_shape) & np.isfinite(rate) & np.isfinite(leave_b)
    doubtful = known & (t > 0) & ~trusted
    values = np.where(known, values, np.nan)
    values[t == 0] = 0.0 if values.ndim else values[t == 0]
    for place in zip(*np.nonzero(np.atleast_1d(doubtful)), strict=True):
        index = place if values.ndim else ()
        values[index] = _by_quadrature(
            float(t[index]), float(rate_shape[index]), float(rate[index]), a, float(leave_b[index])
        )
    return values


def _by_quadrature(horizon: float, r: float, alpha: float, a: float, b: float) -> float:
    """E[(1 - (1 + p t / alpha)^-r) / p] over p ~ Beta(a, b) by the trapezoid rule in the log-odds u of p.

    The integrand is analytic and falls off exponentially on both sides, so the rule converges exponentially.
    """
    step = min(0.25, 0.5 / np.sqrt(a))
    busy = max(np.log(horizon / alpha * r), 0.0)
    left = np.log(a / (a + b)) - busy - 45.0 / a - 8.0 / np.sqrt(a)
    right = np.log(a / b) + 45.0 / b + 12.0 / np.sqrt(min(a, b)) + 5.0
    u = np.arange(left, right + step, step)
    log_p, log_rest = -np.logaddexp(0.0, -u), -np.logaddexp(0.0, u)
    p = np.exp(np.maximum(log_p, -600.0))
    purchases = -np.expm1(-r * np.log1p(p * horizon / alpha)) / p
    return float(np.sum(np.exp(a * log_p + b * log_rest - special.betaln(a, b)) * purchases) * step)
