"""The fit that every purchase model with death shares: from the NBD fit on, which is its limit and its floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from clv_lib.models import fitting, limits
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
    shape_of_leaving: int,
    statistics: TransactionStatistics,
    minimum_customers: int,
) -> fitting.Fitted[ModelT]:
    """Estimate a model of four parameters, of which the first two are r and alpha of the NBD.

    `names` are those of the model and its parameters; `leaving_starts` the last two parameters, in scaled time, from
    which the search starts in turn. Above 100,000 distinct rows it starts from the optimum of a part of them. Where the
    likelihood has no peak, since customers hardly differ in how they buy or leave, r, the parameter whose number is
    `shape_of_leaving`, or both are held, and the status is 'homogeneous'.
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
    likelihood = problem(rows, scale, starts)
    if len(rows) > _SAMPLED_ABOVE:
        likelihood = replace(likelihood, sample=problem(rows.thinned(_SAMPLE_ROWS), scale, starts))
    optimum = fitting.maximise(likelihood)
    values: Mapping[int, float] = {}
    if optimum.status != fitting.CONVERGED:
        shapes = ((shape_of_leaving,), (0,), (0, shape_of_leaving))
        candidates = [dict.fromkeys(numbers, limits.LARGEST) for numbers in shapes]
        optimum, values = limits.at_limits(likelihood, candidates) or (optimum, values)
    status = fitting.WORSE_THAN_NBD if fitting.is_worse(optimum, without_death) else optimum.status
    parameters, covariance, total = limits.natural_scale_of_held(likelihood, values, optimum)
    fitted = model(*map(float, parameters)) if status in fitting.USABLE else None
    return fitting.Fitted(
        *names, status, fitted, parameters, covariance, total, *counts, optimum.gradient_norm, optimum.evaluations
    )
