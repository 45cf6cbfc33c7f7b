"""How far predictions can be off: by the estimated parameters, and by what customers do at random.

Parameters are treated in logarithms, with Fitted.log_covariance; everything expensive is a function of (x, T) alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from clv_lib.models.sufficient_statistics import FloatArray, as_floats
from clv_lib.models.survivors import QUANTILE_LEVELS

_LEVEL_TOLERANCE = 1e-9


def order_interval(
    alive: ArrayLike, quantiles: NDArray[np.integer], level: float, levels: tuple[float, ...] = QUANTILE_LEVELS
) -> tuple[FloatArray, FloatArray]:
    """Predictive interval of each customer's number of orders; it holds at least `level` of the probability.

    alive: P(alive), shape (customers,); quantiles: the customer's row of order_quantiles_if_alive. The quantile at q is
    0 if q <= 1 - p, else that of a survivor at (q - (1 - p)) / p, taken from the next lower level for the low end and
    the next higher one for the high end. NaN in alive gives NaN. The parameters count as known.
    """
    p, tail = as_floats(alive), (1 - _checked(level)) / 2
    rows = np.arange(len(p))
    low_level, high_level = level_given(tail, 1 - p), level_given(1 - tail, 1 - p)
    below = np.searchsorted(levels, low_level + _LEVEL_TOLERANCE, side="right") - 1
    above = np.searchsorted(levels, high_level - _LEVEL_TOLERANCE, side="left")
    if (high_level > levels[-1] + _LEVEL_TOLERANCE).any():
        raise ValueError(f"the levels end at {levels[-1]}, below what an interval of {level} needs")
    low, high = (quantiles[rows, np.clip(at, 0, len(levels) - 1)] for at in (below, above))
    low, high = np.where(low_level > 0, low, 0.0), np.where(high_level > 0, high, 0.0)
    return np.where(np.isnan(p), np.nan, low), np.where(np.isnan(p), np.nan, high)


def level_given(level: float, none: FloatArray) -> FloatArray:
    """Level within the rest of a distribution with an atom `none` at 0: (level - none) / (1 - none), at least 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(level > none, (level - none) / (1 - none), 0.0)
    return np.where(np.isnan(none), np.nan, rest)


def gradient_of_product(
    first: FloatArray, first_gradient: FloatArray, second: FloatArray, second_gradient: FloatArray
) -> FloatArray:
    """Gradient of first * second, rows by parameters, as of P(alive) times expected purchases if alive."""
    return first[..., None] * second_gradient + second[..., None] * first_gradient


def parameter_variance(gradient: FloatArray, log_covariance: FloatArray) -> FloatArray:
    """Variance g'Vg that the estimated parameters cause; gradient: rows by parameters, or sums of rows."""
    variance = np.sum((gradient @ log_covariance) * gradient, axis=-1)
    return as_floats(np.maximum(variance, 0.0))


def mean_interval(mean: ArrayLike, variance: ArrayLike, level: float) -> tuple[FloatArray, FloatArray]:
    """Interval of an expected value above 0, from the variance that the parameters cause.

    Normal on the log scale, exp(ln mean -+ z sd / mean), so never below 0; a mean of 0 gives (0, 0), NaN gives NaN.
    """
    centre, spread = np.broadcast_arrays(as_floats(mean), np.sqrt(as_floats(variance)))
    relative = np.where(centre > 0, spread / np.where(centre > 0, centre, 1.0), 0.0 * centre)
    factor = np.exp(special.ndtri((1 + _checked(level)) / 2) * relative)
    return centre / factor, centre * factor


def probability_interval(alive: ArrayLike, variance: ArrayLike, level: float) -> tuple[FloatArray, FloatArray]:
    """Interval of P(alive) from the variance that the parameters cause: normal on the scale of the log-odds.

    Probabilities 0 and 1 give themselves, NaN gives NaN.
    """
    p, spread = np.broadcast_arrays(as_floats(alive), np.sqrt(as_floats(variance)))
    inner = p * (1 - p)
    relative = np.where(inner > 0, spread / np.where(inner > 0, inner, 1.0), 0.0 * p)
    shift = special.ndtri((1 + _checked(level)) / 2) * relative
    return special.expit(special.logit(p) - shift), special.expit(special.logit(p) + shift)


def sum_interval(mean: ArrayLike, variance: ArrayLike, level: float) -> tuple[FloatArray, FloatArray]:
    """Predictive interval of the realised sum over the customers of a segment, or of all.

    mean: sum of the expected values; variance: sum of the customers' own variances plus G'VG, with G the sum of their
    gradients: own randomness averages out over customers, errors of the parameters do not. The sum is taken as
    gamma-distributed with these moments, which is skewed for few customers and normal for many. An infinite or unknown
    variance gives NaN, a mean of 0 gives (0, 0). Counts: round the low end down and the high end up.
    """
    tail = (1 - _checked(level)) / 2
    centre, spread = np.broadcast_arrays(as_floats(mean), as_floats(variance))
    usable = (centre > 0) & (spread > 0) & np.isfinite(spread)
    shape = np.where(usable, centre, 1.0) ** 2 / np.where(usable, spread, 1.0)
    ends = (np.where(usable, centre, 1.0) * gamma_quantile(shape, q) / shape for q in (tail, 1 - tail))
    certain = np.where((spread == 0) | (centre == 0), centre, np.nan)
    low, high = (np.where(usable, end, certain) for end in ends)
    return low, high


def gamma_quantile(shape: FloatArray, level: ArrayLike) -> FloatArray:
    """Quantile of Gamma(shape, 1); from shape 1e6 on by Wilson and Hilferty's cube, there exact to 1e-9 relative."""
    q = as_floats(level)
    small = np.minimum(shape, 1e6)
    exact = special.gammaincinv(small, q)
    cube = shape * (1 - 1 / (9 * shape) + special.ndtri(q) / (3 * np.sqrt(shape))) ** 3
    return np.where(shape < 1e6, exact, cube)


def _checked(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval must be between 0 and 1; found {level}")
    return level
