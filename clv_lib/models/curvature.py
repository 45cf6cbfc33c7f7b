"""Second derivatives of log-likelihoods, as every model puts them together.

The likelihood of a history is a sum over the ways in which it can have come about, of exp(f_i) say. The Hessian of its
logarithm is the mean of the f_i's Hessians, weighted by the shares of the ways, plus the covariance of their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clv_lib.models.sufficient_statistics import FloatArray, as_floats


def symmetric(*rows: Sequence[float]) -> FloatArray:
    """The matrix of which these are the rows of the upper triangle, each from its diagonal on."""
    upper = np.zeros((len(rows), len(rows)))
    for index, row in enumerate(rows):
        upper[index, index:] = row
    return as_floats(upper + np.triu(upper, 1).T)


def sum_of_products(gradients: FloatArray, weight: FloatArray) -> FloatArray:
    """Sum of weight g g' over the gradients g, one per column: with it a covariance is a mean of products less one."""
    return as_floats((gradients * weight) @ gradients.T)
