"""The fit that every purchase model with death shares: from the NBD fit on, which is its limit and its floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from clv_lib.models import fitting
from clv_lib.models.nbd import Nbd, PurchaseSums, mean_age
from clv_lib.models.sufficient_statistics import DistinctRows, TransactionStatistics

ModelT = TypeVar("ModelT")
Starts = tuple[tuple[float, ...], ...]
Problem = Callable[[DistinctRows, float, Starts], fitting.Likelihood]
"""The likelihood over distinct rows with times divided by a scale, to be searched from the starts."""

_SAMPLED_ABOVE = 100_000
_SAMPLE_ROWS = 20_000


def fit_with_death(
    model: type[ModelT],
    names: tuple[str, tuple[str, ...]],
    problem: Problem,
    leaving_starts: tuple[tuple[float, float], ...],
    alike: tuple[int, float],
    statistics: TransactionStatistics,
    minimum_customers: int,
) -> fitting.Fitted[ModelT]:
    """Estimate a model of four parameters, of which the first two are r and alpha of the NBD.

    `names` are those of the model and its parameters; `leaving_starts` the last two parameters, in scaled time, from
    which the search starts in turn. Above 100,000 distinct rows it starts from the optimum of a part of them. Where the
    likelihood has no peak, since customers hardly differ in how they leave, the parameter of the number in `alike` is
    held at the value beside it, and the status is 'homogeneous_dropout'.
    """
    rows = statistics.distinct()
    counts = statistics.customer_count, len(rows)
    refusal = fitting.refusal(statistics, minimum_customers)
    if refusal:
        return fitting.refused(*names, refusal, *counts)
    scale = mean_age(rows)
    _, without_death = Nbd.search(PurchaseSums(rows, scale), scale)
    r, alpha = map(float, np.exp(without_death.log_parameters))
    starts = tuple((r, alpha, *leaving) for leaving in leaving_starts)
    likelihood = _with_sample(problem, rows, scale, starts)
    optimum, values = fitting.maximise(likelihood), dict[int, float]()
    if optimum.status != fitting.CONVERGED:
        near_limit = tuple((r, alpha, *_scaled(leaving, alike)) for leaving in leaving_starts)
        near = _with_sample(problem, rows, scale, near_limit)
        found = fitting.maximise(fitting.held(near, dict([alike])))
        if found.status == fitting.CONVERGED and fitting.rises_beyond(near, dict([alike]), found):
            optimum, values = replace(found, status=fitting.HOMOGENEOUS_DROPOUT), dict([alike])
    status = fitting.WORSE_THAN_NBD if fitting.is_worse(optimum, without_death) else optimum.status
    parameters, covariance, total = fitting.natural_scale_of_held(likelihood, values, optimum)
    fitted = model(*map(float, parameters)) if status in fitting.USABLE else None
    return fitting.Fitted(
        *names, status, fitted, parameters, covariance, total, *counts, optimum.gradient_norm, optimum.evaluations
    )


def _with_sample(problem: Problem, rows: DistinctRows, scale: float, starts: Starts) -> fitting.Likelihood:
    likelihood = problem(rows, scale, starts)
    if len(rows) <= _SAMPLED_ABOVE:
        return likelihood
    return replace(likelihood, sample=problem(rows.thinned(_SAMPLE_ROWS), scale, starts))


def _scaled(leaving: tuple[float, ...], alike: tuple[int, float]) -> tuple[float, ...]:
    """The last two parameters in the same ratio, one of them at the value of `alike`."""
    number, value = alike
    return tuple(one * value / leaving[number - 2] for one in leaving)
