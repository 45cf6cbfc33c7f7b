"""Weighted maximum likelihood in log-parameters: one optimiser and one result for every model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

import numpy as np
from scipy import optimize

from clv_lib.models.sufficient_statistics import FloatArray, TransactionStatistics, as_floats

CONVERGED = "converged"
HOMOGENEOUS = "homogeneous"
MEAN_CONSTRAINED = "mean_constrained"
NOT_CONVERGED = "not_converged"
AT_BOUND = "at_bound"
WORSE_THAN_NBD = "worse_than_nbd"
INFINITE_MEAN_SPEND = "infinite_mean_spend"
TOO_FEW_CUSTOMERS = "too_few_customers"
NO_REPEAT_PURCHASES = "no_repeat_purchases"

USABLE = (CONVERGED, HOMOGENEOUS, MEAN_CONSTRAINED)
"""With any other status there is no model: nothing is scored by it."""

LOG_BOUND = 10.0
GRADIENT_TOLERANCE = 1e-6
STEP_TOLERANCE = 1e-3
_SAME_CURVATURE = 1e-6

ModelT_co = TypeVar("ModelT_co", covariant=True)


@dataclass(frozen=True)
class Fitted(Generic[ModelT_co]):
    """An estimate with its evidence. `model` is None unless `status` is one of USABLE: nothing else may be scored.

    parameters, standard_errors: natural scale, in the order of parameter_names (NaN where undefined, or where the
    parameter was held); covariance: matrix of the parameters, from the analytic Hessian in their logarithms by the
    delta method, 0 for a parameter that was held; log_likelihood: total over customers, in the unit of the statistics;
    gradient_norm: largest absolute derivative of the mean log-likelihood with respect to a log-parameter.
    """

    name: str
    parameter_names: tuple[str, ...]
    status: str
    model: ModelT_co | None
    parameters: FloatArray
    covariance: FloatArray
    log_likelihood: float
    customer_count: int
    distinct_statistics_count: int
    gradient_norm: float
    evaluations: int

    @property
    def converged(self) -> bool:
        """Whether the estimate may be used."""
        return self.status in USABLE

    @property
    def standard_errors(self) -> FloatArray:
        """Standard error of each parameter."""
        variances = np.diag(self.covariance)
        return as_floats(np.sqrt(np.where(variances > 0, variances, np.nan)))

    @property
    def log_covariance(self) -> FloatArray:
        """Covariance matrix of the logarithms of the parameters."""
        return self.covariance / np.outer(self.parameters, self.parameters)

    def estimates(self) -> dict[str, tuple[float | None, float | None]]:
        """Return estimate and standard error by parameter name; None where undefined."""
        pairs = zip(self.parameters, self.standard_errors, strict=True)
        values = [tuple(float(v) if np.isfinite(v) else None for v in pair) for pair in pairs]
        return {name: (value[0], value[1]) for name, value in zip(self.parameter_names, values, strict=True)}


@dataclass(frozen=True)
class Likelihood:
    """A problem in scaled units: total log-likelihood with its gradient, and its Hessian, in the scaled parameters.

    units: a parameter in the user's unit is the scaled one times this; log_scale: what the change of unit adds to the
    total log-likelihood; starts: scaled parameters, tried in turn until one converges; sample: the same problem on a
    part of the rows, whose optimum and curvature save most evaluations of this one.
    """

    evaluate: Callable[[FloatArray], tuple[float, FloatArray]]
    hessian: Callable[[FloatArray], FloatArray]
    weight: float
    units: FloatArray
    log_scale: float
    starts: tuple[tuple[float, ...], ...]
    sample: Likelihood | None = None

    def descend(self, log_parameters: FloatArray) -> tuple[float, FloatArray]:
        """Minus the mean log-likelihood and its gradient in the log-parameters."""
        parameters = np.exp(log_parameters)
        value, gradient = self.evaluate(parameters)
        return -value / self.weight, -gradient * parameters / self.weight

    def curvature(self, log_parameters: FloatArray, gradient: FloatArray) -> FloatArray:
        """Hessian of minus the mean log-likelihood in the log-parameters, given its gradient in them."""
        parameters = np.exp(log_parameters)
        matrix = -self.hessian(parameters) * np.outer(parameters, parameters) / self.weight
        return as_floats((matrix + matrix.T) / 2 + np.diag(gradient))


@dataclass(frozen=True)
class Optimum:
    """Where the search ended: scaled log-parameters, in which Hessian and gradient are of the mean log-likelihood."""

    log_parameters: FloatArray
    value: float
    gradient_norm: float
    hessian: FloatArray
    status: str
    evaluations: int


def maximise(likelihood: Likelihood) -> Optimum:
    """Search from each start in turn until one converges; otherwise return the best end point with its fault."""
    evaluations = 0
    best: Optimum | None = None
    for search in _searches(likelihood):
        optimum = search()
        evaluations += optimum.evaluations
        if best is None or optimum.status == CONVERGED or optimum.value > best.value:
            best = optimum
        if optimum.status == CONVERGED:
            break
    if best is None:
        raise ValueError("a likelihood needs at least one start")
    return replace(best, evaluations=evaluations)


def _searches(likelihood: Likelihood) -> Iterator[Callable[[], Optimum]]:
    """Yield the ways to the optimum in the order in which to try them."""
    if likelihood.sample is not None:
        sampled = maximise(likelihood.sample)
        if sampled.status == CONVERGED:
            yield partial(_search_near, likelihood, sampled)
    for start in likelihood.starts:
        yield partial(_search_from, likelihood, np.log(start))


def _search_from(likelihood: Likelihood, start: FloatArray) -> Optimum:
    found = optimize.minimize(
        likelihood.descend,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-LOG_BOUND, LOG_BOUND)] * len(start),
        options={"maxiter": 500, "maxcor": 20, "ftol": 1e-13, "gtol": GRADIENT_TOLERANCE / 10},
    )
    return _settle(likelihood, np.asarray(found.x, dtype=np.float64), int(found.nfev))


def _search_near(likelihood: Likelihood, sampled: Optimum) -> Optimum:
    """Newton's method with the curvature of the sample: each step divides the distance by about ten."""
    point, evaluations = sampled.log_parameters, 0
    for _ in range(10):
        _, gradient = likelihood.descend(point)
        evaluations += 1
        step = _newton_step(sampled.hessian, gradient)
        if np.abs(gradient).max() < GRADIENT_TOLERANCE or not np.abs(step).max() < 1:
            break
        point = point + step
    return _settle(likelihood, point, evaluations)


def _settle(likelihood: Likelihood, point: FloatArray, evaluations: int) -> Optimum:
    """Judge an end point, after one more Newton step with its own curvature if that brings it closer."""
    value, gradient = likelihood.descend(point)
    hessian = likelihood.curvature(point, gradient)
    step = _newton_step(hessian, gradient)
    if np.abs(step).max() < 0.1:
        new_value, new_gradient = likelihood.descend(point + step)
        if np.abs(new_gradient).max() < np.abs(gradient).max():
            point, value, gradient, moved = point + step, new_value, new_gradient, np.abs(step).max()
            # Curvature changes by about as much, relative to its size, as the logarithms of the parameters.
            hessian = likelihood.curvature(point, gradient) if moved > _SAME_CURVATURE else hessian
            step = _newton_step(hessian, gradient)
    status = _status(point, value, gradient, step)
    return Optimum(point, -value, float(np.abs(gradient).max()), hessian, status, evaluations + 2)


def _newton_step(hessian: FloatArray, gradient: FloatArray) -> FloatArray:
    """Return the step to the optimum; infinite where the surface is no peak."""
    if not (np.isfinite(hessian).all() and np.isfinite(gradient).all()) or np.linalg.eigvalsh(hessian)[0] <= 0:
        return np.full_like(gradient, np.inf)
    return as_floats(-np.linalg.solve(hessian, gradient))


def _status(point: FloatArray, value: float, gradient: FloatArray, step: FloatArray) -> str:
    if np.abs(point).max() >= LOG_BOUND - STEP_TOLERANCE:
        return AT_BOUND
    small = np.abs(gradient).max() < GRADIENT_TOLERANCE and np.abs(step).max() < STEP_TOLERANCE
    return CONVERGED if np.isfinite(value) and small else NOT_CONVERGED


def is_worse(optimum: Optimum, without_death: Optimum) -> bool:
    """Whether a model with death fits worse than NBD: that is a limit of the model, so the search has failed."""
    return bool(optimum.value < without_death.value - 1e-8 * (1 + abs(without_death.value)))


def natural_scale(likelihood: Likelihood, optimum: Optimum) -> tuple[FloatArray, FloatArray, float]:
    """Return parameters, covariance (delta method, NaN without a peak) and total log-likelihood in the user's unit."""
    parameters = np.exp(optimum.log_parameters) * likelihood.units
    covariance = np.full((len(parameters), len(parameters)), np.nan)
    if np.isfinite(optimum.hessian).all() and np.linalg.eigvalsh(optimum.hessian)[0] > 0:
        inverse = np.linalg.inv(optimum.hessian) / likelihood.weight
        covariance = (inverse + inverse.T) / 2 * np.outer(parameters, parameters)
    return parameters, covariance, optimum.value * likelihood.weight + likelihood.log_scale


def refused(
    name: str, parameter_names: tuple[str, ...], status: str, customer_count: int, distinct_count: int
) -> Fitted[ModelT_co]:
    """Return a result without an estimate, for data that cannot carry one."""
    unknown = np.full(len(parameter_names), np.nan)
    matrix = np.full((len(unknown), len(unknown)), np.nan)
    return Fitted(
        name, parameter_names, status, None, unknown, matrix, np.nan, customer_count, distinct_count, np.nan, 0
    )


def refusal(statistics: TransactionStatistics, minimum_customers: int) -> str | None:
    """Say why a purchase model cannot be fitted, or None."""
    if statistics.customer_count < max(minimum_customers, 1):
        return TOO_FEW_CUSTOMERS
    return None if statistics.repeat_customer_count else NO_REPEAT_PURCHASES
