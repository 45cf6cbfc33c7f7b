"""What the models are fitted on: counted tuples of one row per distinct customer history, checked on entry.

Times are in the unit of the model (weeks = days / 7, never floored); weights are numbers of customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def as_floats(values: ArrayLike) -> FloatArray:
    """Return the values as an array of doubles."""
    return np.asarray(values, dtype=np.float64)


@dataclass(frozen=True)
class Codes:
    """A column as its sorted distinct values and, per row, the position of the row's value among them."""

    values: FloatArray
    code: IntArray

    @property
    def rows(self) -> FloatArray:
        """The column itself, one value per row."""
        return self.values[self.code]


@dataclass(frozen=True)
class DistinctRows:
    """Distinct tuples in ascending order with their weights: the same whatever the order of the input was."""

    columns: tuple[Codes, ...]
    weight: FloatArray

    def __len__(self) -> int:
        """Return the number of distinct tuples."""
        return len(self.weight)

    def thinned(self, limit: int) -> DistinctRows:
        """Keep every n-th tuple so that about `limit` remain: a rough, reproducible picture to start a search from."""
        stride = max(1, -(-len(self) // limit))
        columns = tuple(Codes(column.values, column.code[::stride]) for column in self.columns)
        return DistinctRows(columns, self.weight[::stride])


def distinct_rows(columns: Sequence[FloatArray], weight: FloatArray) -> DistinctRows:
    """Add up the weights of equal tuples and put the tuples in ascending order of the columns."""
    coded = [np.unique(column, return_inverse=True) for column in columns]
    key = np.zeros(len(weight), dtype=np.int64)
    for values, code in coded:
        key = key * len(values) + code
    _, first, position = np.unique(key, return_index=True, return_inverse=True)
    total = np.bincount(position, weight, len(first)).astype(np.float64)
    return DistinctRows(tuple(Codes(values, code[first].astype(np.int64)) for values, code in coded), total)


def columns_of_one_length(**columns: ArrayLike) -> dict[str, FloatArray]:
    """Return the columns as arrays of doubles by name; ValueError unless all are one-dimensional and of one length."""
    arrays = {name: as_floats(values) for name, values in columns.items()}
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"statistics must be one-dimensional arrays of one length; found {found}")
    return arrays


def refuse_rows(bad: NDArray[np.bool_], reason: str, columns: dict[str, FloatArray]) -> None:
    """ValueError with the reason, the number of bad rows and the values of the first one, if there is one."""
    if bad.any():
        row = int(np.argmax(bad))
        values = ", ".join(f"{name}={array[row]!r}" for name, array in columns.items())
        raise ValueError(f"{reason} in {int(bad.sum())} row(s), first row {row}: {values}")


@dataclass(frozen=True)
class TransactionStatistics:
    """Distinct (frequency, recency, age) with the number of customers that have them.

    frequency: x, repeat purchase days; recency: t_x, time from first to last purchase; age: T, time from first
    purchase to the end of observation; weight: customers. Raises ValueError that names the first impossible row.
    """

    frequency: FloatArray
    recency: FloatArray
    age: FloatArray
    weight: FloatArray

    def __post_init__(self) -> None:
        """Convert to doubles and refuse what cannot have happened."""
        columns = columns_of_one_length(
            frequency=self.frequency, recency=self.recency, age=self.age, weight=self.weight
        )
        x, t_x, age, weight = columns.values()
        finite = np.isfinite(x) & np.isfinite(t_x) & np.isfinite(age) & np.isfinite(weight)
        refuse_rows(~finite, "not a finite number", columns)
        refuse_rows((x < 0) | (x != np.floor(x)), "frequency is not a count", columns)
        refuse_rows((t_x < 0) | (t_x > age), "recency is not between 0 and age", columns)
        refuse_rows((x == 0) != (t_x == 0), "recency must be 0 exactly when frequency is 0", columns)
        refuse_rows(weight <= 0, "weight is not positive", columns)
        for name, array in columns.items():
            object.__setattr__(self, name, array)

    @classmethod
    def unweighted(cls, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> TransactionStatistics:
        """Take one row per customer."""
        x = as_floats(frequency)
        return cls(x, as_floats(recency), as_floats(age), np.ones_like(x))

    @property
    def customer_count(self) -> int:
        """Number of customers: the sum of the weights."""
        return round(float(self.weight.sum()))

    @property
    def repeat_customer_count(self) -> int:
        """Number of customers with at least one repeat purchase."""
        return round(float(self.weight[self.frequency > 0].sum()))

    def distinct(self) -> DistinctRows:
        """Return the distinct tuples; columns in the order frequency, recency, age."""
        return distinct_rows((self.frequency, self.recency, self.age), self.weight)


@dataclass(frozen=True)
class SpendStatistics:
    """Distinct (frequency, mean spend) of customers with repeat purchases, with the number of customers.

    frequency: x >= 1, repeat purchase days; mean_spend: mean value of those days, above 0, in any one currency unit;
    weight: customers. Raises ValueError that names the first impossible row.
    """

    frequency: FloatArray
    mean_spend: FloatArray
    weight: FloatArray

    def __post_init__(self) -> None:
        """Convert to doubles and refuse what the model cannot explain."""
        columns = columns_of_one_length(frequency=self.frequency, mean_spend=self.mean_spend, weight=self.weight)
        x, mean, weight = columns.values()
        refuse_rows(~(np.isfinite(x) & np.isfinite(mean) & np.isfinite(weight)), "not a finite number", columns)
        refuse_rows((x < 1) | (x != np.floor(x)), "frequency is not a count of at least 1", columns)
        refuse_rows(mean <= 0, "mean spend is not above 0", columns)
        refuse_rows(weight <= 0, "weight is not positive", columns)
        for name, array in columns.items():
            object.__setattr__(self, name, array)

    @classmethod
    def unweighted(cls, frequency: ArrayLike, mean_spend: ArrayLike) -> SpendStatistics:
        """Take one row per customer."""
        x = as_floats(frequency)
        return cls(x, as_floats(mean_spend), np.ones_like(x))

    @property
    def customer_count(self) -> int:
        """Number of customers: the sum of the weights."""
        return round(float(self.weight.sum()))

    def distinct(self) -> DistinctRows:
        """Return the distinct tuples; columns in the order frequency, mean spend."""
        return distinct_rows((self.frequency, self.mean_spend), self.weight)
