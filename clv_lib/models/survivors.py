"""What a survivor with x repeat purchases at age T will do: everything expensive, once per distinct (x, T).

Given alive, the future depends on (x, T) alone, so a table of these figures joined to customers scores any number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from clv_lib.models.discounting import (
    discounted_purchases_if_alive,
    residual_pairs_if_alive,
    residual_purchases_if_alive,
)
from clv_lib.models.protocol import TransactionModel
from clv_lib.models.sufficient_statistics import FloatArray, IntArray, as_floats

_LOW = [0.0, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, *np.arange(0.02, 0.0501, 0.005), *np.arange(0.06, 0.101, 0.01)]
_MIDDLE = [*np.arange(0.15, 0.51, 0.05), *np.arange(0.525, 0.81, 0.025), *np.arange(0.8125, 0.89, 0.0125)]
_HIGH = [*np.arange(0.9, 0.9851, 0.005), 0.99, 0.9925, 0.995, 0.9975, 0.999]
# Dense where the ends of intervals of customers who are surely alive lie, and with their levels exactly: 0.025 to 0.1
# and 0.9 to 0.975. A customer with P(alive) = p needs other levels, but an error there counts only p times.
QUANTILE_LEVELS: tuple[float, ...] = tuple(float(level) for level in np.round([*_LOW, *_MIDDLE, *_HIGH], 4))

_LEVEL_TOLERANCE = 1e-9
_DIFFERENCE = 1e-3
_CELLS_AT_A_TIME = 2_000_000
_MOST_ORDERS = 2**22
_RESIDUAL_NODES = 20
_AGE_STEP = 0.25
_STENCIL = 6

ModelT = TypeVar("ModelT", bound=TransactionModel)


@dataclass(frozen=True)
class SurvivorTable:
    """Orders N of a customer who is alive, within one horizon; one row per (x, T).

    mean and second_moment: E[N], E[N^2]; none: P(N = 0); discounted: expected orders, each at its present worth; the
    gradients are in the log-parameters (rows by parameters); quantiles of N at QUANTILE_LEVELS (rows by levels).
    """

    mean: FloatArray
    second_moment: FloatArray
    none: FloatArray
    discounted: FloatArray
    mean_gradient: FloatArray
    discounted_gradient: FloatArray
    quantiles: IntArray

    def __getitem__(self, rows: IntArray) -> SurvivorTable:
        """Return the rows at these positions, as often as they are named: the join with customers."""
        return SurvivorTable(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def survivor_table(
    model: TransactionModel,
    frequency: ArrayLike,
    age: ArrayLike,
    *,
    horizon_days: float,
    annual_discount_rate: float,
    time_unit_days: float = 7.0,
) -> SurvivorTable:
    """Evaluate the table for each (x, T), given as two arrays of one length; age in the unit of the model."""
    x, ages, horizon = as_floats(frequency), as_floats(age), horizon_days / time_unit_days
    discounted = partial(
        discounted_purchases_if_alive,
        frequency=x,
        age=ages,
        horizon_days=horizon_days,
        annual_discount_rate=annual_discount_rate,
        time_unit_days=time_unit_days,
    )
    mean = model.expected_purchases_if_alive(horizon, x, ages)
    second_moment = model.second_moment_if_alive(horizon, x, ages)
    return SurvivorTable(
        mean=mean,
        second_moment=second_moment,
        none=model.order_probabilities_if_alive(horizon, x, ages, 0)[..., 0],
        discounted=discounted(model),
        mean_gradient=gradient_of_survivor(model, lambda m: m.expected_purchases_if_alive(horizon, x, ages)),
        discounted_gradient=gradient_of_survivor(model, discounted),
        quantiles=_order_quantiles(model, horizon, (x, ages), (mean, second_moment), QUANTILE_LEVELS),
    )


def order_quantiles_if_alive(
    model: TransactionModel,
    horizon: float,
    frequency: ArrayLike,
    age: ArrayLike,
    levels: tuple[float, ...] = QUANTILE_LEVELS,
) -> IntArray:
    """Quantiles of the number of orders in (age, age + horizon] if alive, shape (rows, levels).

    The quantile at level q is the smallest n with P(N <= n) >= q. frequency and age: one row per (x, T). Probabilities
    are evaluated in pieces of about 2 million, as far out as each row needs. Raises ValueError for levels that do not
    ascend within [0, 1), arguments that are no numbers, and a customer who may place more than 4 million orders.
    """
    if not (levels[0] >= 0 and levels[-1] < 1 and np.all(np.diff(levels) > 0)):
        raise ValueError(f"levels must ascend within [0, 1); found {levels}")
    x, ages = (np.ravel(column) for column in np.broadcast_arrays(as_floats(frequency), as_floats(age)))
    moments = model.expected_purchases_if_alive(horizon, x, ages), model.second_moment_if_alive(horizon, x, ages)
    return _order_quantiles(model, horizon, (x, ages), moments, levels)


def _order_quantiles(
    model: TransactionModel,
    horizon: float,
    x_and_ages: tuple[FloatArray, FloatArray],
    moments: tuple[FloatArray, FloatArray],
    levels: tuple[float, ...],
) -> IntArray:
    """`order_quantiles_if_alive`, given E[N] and E[N^2] of each row, from which it is guessed how far out it needs."""
    (x, ages), (mean, second_moment) = x_and_ages, moments
    spread = np.sqrt(np.maximum(second_moment - mean**2, 0.0))
    if not np.isfinite(spread).all():
        raise ValueError("frequency, age and horizon must be finite numbers")
    doublings = np.ceil(np.log2(mean + 5 * spread + 8))
    quantiles = np.zeros((len(x), len(levels)), dtype=np.int64)
    pending = np.arange(len(x))
    while len(pending):
        smallest = doublings[pending].min()
        if 2**smallest > _MOST_ORDERS:
            raise ValueError(f"more than {_MOST_ORDERS} orders are possible within the horizon")
        now = pending[doublings[pending] == smallest][: max(1, int(_CELLS_AT_A_TIME / 2**smallest))]
        cumulated = np.cumsum(model.order_probabilities_if_alive(horizon, x[now], ages[now], int(2**smallest)), axis=1)
        enough = cumulated[:, -1] >= levels[-1]
        quantiles[now[enough]] = _smallest_reaching(cumulated[enough], levels)
        doublings[now] += 1
        pending = np.setdiff1d(pending, now[enough], assume_unique=True)
    return quantiles


def _smallest_reaching(cumulated: FloatArray, levels: tuple[float, ...]) -> IntArray:
    """Number of entries below each level, row by row: one search, in which row i lives in [2i, 2i + 1]."""
    offset = 2.0 * np.arange(len(cumulated))[:, None]
    wanted = np.maximum(np.array(levels) - _LEVEL_TOLERANCE, 0.0)
    # Rounding must not let a row grow past 1.
    found = np.searchsorted(np.ravel(np.minimum(cumulated, 1.0) + offset), np.ravel(wanted + offset))
    before = np.arange(len(cumulated))[:, None] * cumulated.shape[1]
    return np.asarray(found.reshape(len(cumulated), len(levels)) - before, dtype=np.int64)


def gradient_of_survivor(model: ModelT, function: Callable[[ModelT], FloatArray]) -> FloatArray:
    """Derivatives of function(model) in the logarithms of the model's parameters, on a last axis.

    Central differences with steps of 0.001, two evaluations per parameter: relative error below 1e-6, and 1e-4 where
    BG/NBD or MBG/NBD has |a - 1| < 0.01. Meant for functions of (x, T), such as expected purchases if alive.
    """
    columns = []
    for name in model.parameter_names:
        value = float(getattr(model, name))
        up, down = (function(replace(model, **{name: value * np.exp(step)})) for step in (_DIFFERENCE, -_DIFFERENCE))  # type: ignore[type-var]
        columns.append((up - down) / (2 * _DIFFERENCE))
    return np.stack(columns, axis=-1)


@dataclass(frozen=True)
class Residual:
    """Discounted orders of a customer who is alive, without a horizon; one row per customer or (x, T).

    purchases: E[S] of S = sum of exp(-delta t_i) over the orders at t_i (DERT if alive); squares: E of the sum of
    exp(-2 delta t_i); second_moment: E[S^2]; gradient: of purchases, in the log-parameters (rows by parameters).
    """

    purchases: FloatArray
    squares: FloatArray
    second_moment: FloatArray
    gradient: FloatArray


def residual_if_alive(
    model: TransactionModel,
    frequency: FloatArray,
    age: FloatArray,
    *,
    annual_discount_rate: float,
    time_unit_days: float,
) -> Residual:
    """Evaluate the residual of each (x, T), given as two arrays of one length; age in the unit of the model.

    purchases to 1e-7, all else to 1e-3 of it. Raises ValueError for a rate of 0.
    """
    rate, twice = annual_discount_rate, (1 + annual_discount_rate) ** 2 - 1

    def squares_and_pairs(x: FloatArray, ages: FloatArray) -> FloatArray:
        squares = residual_purchases_if_alive(
            model, x, ages, annual_discount_rate=twice, time_unit_days=time_unit_days, nodes=_RESIDUAL_NODES
        )
        pairs = residual_pairs_if_alive(
            model, x, ages, annual_discount_rate=rate, time_unit_days=time_unit_days, nodes=_RESIDUAL_NODES
        )
        return np.stack([squares, pairs], axis=-1)

    squares, pairs = _over_ages(model, squares_and_pairs, frequency, age).T
    return Residual(
        residual_purchases_if_alive(model, frequency, age, annual_discount_rate=rate, time_unit_days=time_unit_days),
        squares,
        squares + pairs,
        residual_gradient_if_alive(model, frequency, age, annual_discount_rate=rate, time_unit_days=time_unit_days),
    )


def residual_gradient_if_alive(
    model: TransactionModel,
    frequency: FloatArray,
    age: FloatArray,
    *,
    annual_discount_rate: float,
    time_unit_days: float = 7.0,
) -> FloatArray:
    """Gradient of residual_purchases_if_alive in the log-parameters, shape (rows, parameters), right to 1e-3 of it."""

    def exact(x: FloatArray, ages: FloatArray) -> FloatArray:
        return gradient_of_survivor(
            model,
            lambda m: residual_purchases_if_alive(
                m,
                x,
                ages,
                annual_discount_rate=annual_discount_rate,
                time_unit_days=time_unit_days,
                nodes=_RESIDUAL_NODES,
            ),
        )

    return _over_ages(model, exact, frequency, age)


def _over_ages(
    model: TransactionModel,
    exact: Callable[[FloatArray, FloatArray], FloatArray],
    frequency: FloatArray,
    age: FloatArray,
) -> FloatArray:
    """exact(x, T), rows by figures, interpolated between six ages of a grid that is the same whoever else is asked for.

    For a given x it is a smooth function of ln(T + alpha), or + beta where that is less, and the far future is dear to
    evaluate: a row costs no evaluation of its own where others have ages near to it.
    """
    shift = min(model.alpha, getattr(model, "beta", model.alpha))  # type: ignore[attr-defined]
    place = np.log1p(age / shift) / _AGE_STEP
    first = np.maximum(np.floor(place) - (_STENCIL // 2 - 1), 0)
    stencil = np.stack([np.repeat(frequency, _STENCIL), np.ravel(first[:, None] + np.arange(_STENCIL))], axis=1)
    nodes, of_row = np.unique(stencil, axis=0, return_inverse=True)
    values = exact(nodes[:, 0], shift * np.expm1(nodes[:, 1] * _AGE_STEP))
    around = values[of_row.reshape(-1, _STENCIL)]
    figures: FloatArray = np.einsum("ij,ijk->ik", _lagrange(place - first), around)
    return figures


def _lagrange(place: FloatArray) -> FloatArray:
    """Weights, rows by _STENCIL, of the values at 0, 1, 2, ... in the polynomial through them, at each place."""
    number = np.arange(_STENCIL)
    others = np.array([np.delete(number, node) for node in number])
    weights: FloatArray = np.prod((place[:, None, None] - others) / (number[:, None] - others), axis=-1)
    return weights
