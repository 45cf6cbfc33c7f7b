"""Purchases of a survivor of the beta-geometric process: mean (Euler's form), second moment, and probabilities."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from clv_lib.models.sufficient_statistics import FloatArray

_NEAR_ONE = 1e-3
_NODES = (-2.0, -1.0, 1.0, 2.0)
_LOST_DIGITS = 1e-6
_SINH_STEP = 0.08
_ROWS_AT_A_TIME = 4096
_CELLS_AT_A_TIME = 500_000


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
    if doubtful.any():
        values[doubtful] = _by_quadrature(t[doubtful], rate_shape[doubtful], rate[doubtful], a, leave_b[doubtful])
    return values


def _by_quadrature(horizon: FloatArray, r: FloatArray, alpha: FloatArray, a: float, b: FloatArray) -> FloatArray:
    """E[(1 - (1 + p t / alpha)^-r) / p] over p ~ Beta(a, b), one per row, by the trapezoid rule in the log-odds u of p.

    The integrand is analytic and falls off exponentially on both sides, so the rule converges exponentially. All rows
    share nodes at whole multiples of the step: what lies beyond those that a row needs is nothing to it.
    """
    step = min(0.25, 0.5 / np.sqrt(a))
    busy = np.maximum(np.log(horizon / alpha * r), 0.0)
    left = np.log(a / (a + b)) - busy - 45.0 / a - 8.0 / np.sqrt(a)
    right = np.log(a / b) + 45.0 / b + 12.0 / np.sqrt(np.minimum(a, b)) + 5.0
    means = np.empty(len(horizon))
    pending = np.argsort(left - right)
    while len(pending):
        widest = (right[pending[0]] - left[pending[0]]) / step
        part, pending = np.split(pending, [max(1, int(_CELLS_AT_A_TIME / widest))])
        first, last = np.floor(left[part].min() / step), np.ceil(right[part].max() / step)
        u = np.arange(first, last + 1)[:, None] * step
        log_p, log_rest = -np.logaddexp(0.0, -u), -np.logaddexp(0.0, u)
        p = np.exp(np.maximum(log_p, -600.0))
        purchases = -np.expm1(-r[part] * np.log1p(p * (horizon[part] / alpha[part]))) / p
        weight = np.exp(a * log_p + b[part] * log_rest - special.betaln(a, b[part]))
        means[part] = np.sum(weight * purchases, axis=0) * step
    return means


def second_moment_of_survivor(
    horizon: FloatArray, r: FloatArray, alpha: FloatArray, a: float, b: FloatArray
) -> FloatArray:
    """E[N^2] of the purchases within horizon, for rate ~ Gamma(r, alpha) and chance to leave ~ Beta(a, b).

    Given p, with y = p horizon / alpha: E[N] = (1 - (1+y)^-r) / p, and because the first of two purchases must be
    survived, E[N(N-1)] = 2 (1-p) / p^2 [1 - (1+y)^-r - r y (1+y)^(-r-1)]. Both are averaged over p by the trapezoid
    rule in arsinh of its log-odds: every term is positive, nothing cancels. Arguments broadcast; relative error below
    1e-8.
    """
    arrays = np.broadcast_arrays(horizon, r, alpha, b)
    t, shape, rate, leave_b = (np.ravel(array)[:, None] for array in arrays)
    moments = np.empty(len(t))
    for start in range(0, len(moments), _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        moments[part] = _second_moments(t[part], shape[part], rate[part], a, leave_b[part])
    return moments.reshape(arrays[0].shape)


def _second_moments(t: FloatArray, r: FloatArray, alpha: FloatArray, a: float, b: FloatArray) -> FloatArray:
    """Columns of one row per survivor in, one value per survivor out.

    Nodes and weights depend on b alone, which is that of all survivors with as many purchases: each is evaluated once.
    """
    leave_b, of_row = np.unique(b, return_inverse=True)
    of_row, leave_b = of_row.ravel(), leave_b[:, None]
    # Beyond the busy part the integrand falls like exp(-a |u|) to the left and exp(-b u) to the right.
    reach = float(np.arcsinh(30.0 + 50.0 / min(1.0, a, np.nanmin(leave_b, initial=1.0))))
    w = np.arange(-reach, reach + _SINH_STEP / 2, _SINH_STEP)
    width = np.minimum(1.0, np.sqrt(special.polygamma(1, a) + special.polygamma(1, leave_b)))
    u = np.log(a / leave_b) + width * np.sinh(w)
    log_p, log_rest = -np.logaddexp(0.0, -u), -np.logaddexp(0.0, u)
    weight = np.exp(a * log_p + leave_b * log_rest - special.betaln(a, leave_b)) * width * np.cosh(w) * _SINH_STEP
    p = np.exp(np.maximum(log_p, -300.0))
    with np.errstate(over="ignore", invalid="ignore"):
        of_once, of_twice = weight / p, 2 * weight * np.exp(log_rest) / p**2
    y = p[of_row] * (t / alpha)
    grown = np.log1p(y)
    none = np.exp(-r * grown)
    once = -np.expm1(-r * grown)
    # 1 - (1+y)^-r - r y (1+y)^(-r-1) is of order y^2: its series where the difference would lose its digits.
    close = (r + 1) * y < 1e-4
    twice = np.where(close, r * (r + 1) * y**2 * (0.5 - (r + 2) * y / 3), once - r * y / (1 + y) * none)
    with np.errstate(over="ignore", invalid="ignore"):
        purchases = of_once[of_row] * once + of_twice[of_row] * twice
    return np.asarray(np.sum(purchases, axis=-1), dtype=np.float64)


def order_probabilities_of_survivor(
    horizon: FloatArray, r: FloatArray, alpha: FloatArray, a: float, b: FloatArray, most: int
) -> FloatArray:
    """P(N = 0), ..., P(N = most) on a last axis: Fader, Hardie and Lee 2005, eq. 8.

    With M the purchases of a customer who never leaves (negative binomial) and S_n the chance to survive n purchases,
    P(N = n) = S_n P(M = n) + (S_(n-1) - S_n) P(M >= n): sums of positive terms, in logs, the tail added up from its far
    end. a = 0 means that nobody leaves. Arguments broadcast; needs memory for six arrays of the size of the result.
    """
    t, shape, rate, leave_b = (column[..., None] for column in np.broadcast_arrays(horizon, r, alpha, b))
    n = np.arange(1.0, most + 1)
    share = t / (rate + t)
    with np.errstate(divide="ignore"):
        ratio = np.log((shape + n - 1) / n) + np.log(share)
    log_count = _cumulated(-shape * np.log1p(t / rate), ratio)
    log_stays = _cumulated(0.0 * t, -np.log1p(a / (leave_b + n - 1)))
    count = np.exp(log_count)
    beyond = special.betainc(most + 1.0, shape, share)
    at_least = beyond + np.cumsum(count[..., :0:-1], axis=-1)[..., ::-1]
    probabilities: FloatArray = np.exp(log_stays + log_count)
    probabilities[..., 1:] += np.exp(log_stays[..., :-1]) * a / (a + leave_b + n - 1) * at_least
    return probabilities


def _cumulated(first: FloatArray, steps: FloatArray) -> FloatArray:
    """`first` followed by its sums with the steps, on the last axis."""
    shape = (*steps.shape[:-1], 1)
    total: FloatArray = np.cumsum(np.concatenate([np.broadcast_to(first, shape), steps], axis=-1), axis=-1)
    return total
