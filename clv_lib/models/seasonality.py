"""Seasonality of counts by calendar month, beside what a model expected of the same customers on the same days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from clv_lib.models.sufficient_statistics import FloatArray, IntArray

MINIMUM_MONTHS = 24
SIGNIFICANCE_LEVEL = 0.05

_MONTHS = 12
_STEPS = 50
_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Seasonality:
    """Factors of the twelve calendar months, January first, with the standard errors of their logarithms.

    All factors are 1 and all errors 0 unless `status` is `seasonal`. p_value: of the F-test; None if the history is too
    short. The factors are scaled so that what the model expected of the whole history keeps its sum.
    """

    status: Literal["seasonal", "not_seasonal", "history_too_short"]
    factors: FloatArray
    standard_errors: FloatArray
    p_value: float | None


def no_seasons() -> Seasonality:
    """What is known of a history that is too short."""
    return Seasonality("history_too_short", np.ones(_MONTHS), np.zeros(_MONTHS), None)


def seasonality(actual: FloatArray, expected: FloatArray, calendar_month: IntArray) -> Seasonality:
    """Estimate the factors from complete consecutive months: counts, what a model expected, and 1 to 12.

    `expected` holds how many customers there are, how old they are, and how long the month is, so none of these is
    taken for a season. Log-linear regression ln E[actual] = ln expected + level + trend t + month (quasi-Poisson,
    McCullagh and Nelder 1989, ch. 4 and 9); an F-test of the eleven month effects against the trend alone decides at
    5 %. The effects are shrunk by 1 - 1/F, as James and Stein would: what noise explains is taken off. Fewer than 24
    months with expected orders: `history_too_short`.
    """
    used = expected > 0
    if np.count_nonzero(used) < MINIMUM_MONTHS or not np.sum(actual[used]):
        return no_seasons()
    y, offset, month = actual[used], np.log(expected[used]), calendar_month[used]
    trend = np.linspace(-0.5, 0.5, len(y))
    small = np.column_stack([np.ones(len(y)), trend])
    # Effects add up to 0: December is minus the sum of the others.
    effects = np.eye(_MONTHS)[month - 1]
    large = np.column_stack([small, effects[:, :-1] - effects[:, -1:]])
    restricted, full = _fit(y, offset, small), _fit(y, offset, large)
    freedom = len(y) - large.shape[1]
    dispersion = max(1.0, full.pearson / freedom)
    f_value = max(0.0, (restricted.deviance - full.deviance) / (_MONTHS - 1) / dispersion)
    p_value = float(special.fdtrc(_MONTHS - 1, freedom, f_value))
    if p_value >= SIGNIFICANCE_LEVEL:
        return Seasonality("not_seasonal", np.ones(_MONTHS), np.zeros(_MONTHS), p_value)
    contrast = np.vstack([np.eye(_MONTHS - 1), -np.ones(_MONTHS - 1)])
    shrunk = 1.0 - 1.0 / f_value
    factors = np.exp(shrunk * contrast @ full.coefficients[2:])
    covariance = contrast @ (dispersion * full.inverse_information[2:, 2:]) @ contrast.T
    kept = np.sum(expected[used]) / np.sum(expected[used] * factors[month - 1])
    return Seasonality("seasonal", factors * kept, np.sqrt(shrunk * np.diag(covariance)), p_value)


@dataclass(frozen=True)
class _Regression:
    coefficients: FloatArray
    inverse_information: FloatArray
    deviance: float
    pearson: float


def _fit(y: FloatArray, offset: FloatArray, columns: FloatArray) -> _Regression:
    """Poisson regression with a logarithmic link by iteratively reweighted least squares."""
    beta = np.zeros(columns.shape[1])
    beta[0] = np.log(np.sum(y) / np.sum(np.exp(offset)))
    for _ in range(_STEPS):
        mean = np.exp(offset + columns @ beta)
        step = np.linalg.pinv((columns.T * mean) @ columns) @ (columns.T @ (y - mean))
        beta = beta + np.clip(step, -2.0, 2.0)
        if np.max(np.abs(step)) < _TOLERANCE:
            break
    mean = np.exp(offset + columns @ beta)
    deviance = 2.0 * float(np.sum(special.xlogy(y, y / mean) - (y - mean)))
    pearson = float(np.sum((y - mean) ** 2 / mean))
    return _Regression(beta, np.linalg.pinv((columns.T * mean) @ columns), deviance, pearson)
