"""Fits whose likelihood rises without end as customers differ less: parameters are held where they hardly differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from clv_lib.models.fitting import CONVERGED, HOMOGENEOUS, Likelihood, Optimum, maximise, natural_scale
from clv_lib.models.sufficient_statistics import FloatArray, as_floats

LARGEST = 1e3
"""Where r, b or s is held if customers hardly differ: rates then have a standard deviation of 3 %, chances of 1.6 %."""


def held(likelihood: Likelihood, values: Mapping[int, float]) -> Likelihood:
    """The same problem with some of its scaled parameters held at values: one in the others, in their order."""
    free = _free(likelihood, values)

    def evaluate(parameters: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = likelihood.evaluate(_whole(likelihood, values, parameters))
        return value, gradient[free]

    def hessian(parameters: FloatArray) -> FloatArray:
        return as_floats(likelihood.hessian(_whole(likelihood, values, parameters))[np.ix_(free, free)])

    return replace(
        likelihood,
        evaluate=evaluate,
        hessian=hessian,
        units=likelihood.units[free],
        starts=tuple(dict.fromkeys(tuple(start[number] for number in free) for start in likelihood.starts)),
        sample=None if likelihood.sample is None else held(likelihood.sample, values),
    )


def at_limits(
    likelihood: Likelihood, limits: Sequence[Mapping[int, float]]
) -> tuple[Optimum, Mapping[int, float]] | None:
    """The best optimum of `held` with one of the limits, and that limit; its status is HOMOGENEOUS.

    Parameters 0 and 1, and 2 and 3, are pairs: one grows in proportion to the other where customers hardly differ. None
    where the likelihood has no peak beside any limit, or does not rise beyond it.
    """
    found = []
    for values in limits:
        near = _starting_at(likelihood, values)
        optimum = maximise(held(near, values))
        if optimum.status == CONVERGED and rises_beyond(near, values, optimum):
            found.append((replace(optimum, status=HOMOGENEOUS), values))
    return max(found, key=lambda one: one[0].value, default=None)


def _starting_at(likelihood: Likelihood, values: Mapping[int, float]) -> Likelihood:
    """The problem with starts in which a parameter has its value and its pair the same ratio as before."""

    def moved(start: tuple[float, ...]) -> tuple[float, ...]:
        factors = {number // 2: value / start[number] for number, value in values.items()}
        return tuple(one * factors.get(number // 2, 1.0) for number, one in enumerate(start))

    starts = tuple(map(moved, likelihood.starts))
    sample = None if likelihood.sample is None else _starting_at(likelihood.sample, values)
    return replace(likelihood, starts=starts, sample=sample)


def rises_beyond(likelihood: Likelihood, values: Mapping[int, float], optimum: Optimum) -> bool:
    """Whether the likelihood would be higher with larger values than those at which parameters were held."""
    _, gradient = likelihood.descend(np.log(_whole(likelihood, values, np.exp(optimum.log_parameters))))
    return bool((gradient[list(values)] <= 0).all())


def natural_scale_of_held(
    likelihood: Likelihood, values: Mapping[int, float], optimum: Optimum
) -> tuple[FloatArray, FloatArray, float]:
    """As `natural_scale` for the optimum of `held`: of all parameters, those that were held without covariance."""
    of_free, covariance_of_free, total = natural_scale(held(likelihood, values), optimum)
    free, covariance = _free(likelihood, values), np.zeros((len(likelihood.units),) * 2)
    covariance[np.ix_(free, free)] = covariance_of_free
    at_values = {number: value * float(likelihood.units[number]) for number, value in values.items()}
    return _whole(likelihood, at_values, of_free), covariance, total


def _free(likelihood: Likelihood, values: Mapping[int, float]) -> list[int]:
    return [number for number in range(len(likelihood.units)) if number not in values]


def _whole(likelihood: Likelihood, values: Mapping[int, float], of_free: FloatArray) -> FloatArray:
    every = np.empty(len(likelihood.units))
    every[_free(likelihood, values)], every[list(values)] = of_free, list(values.values())
    return every
