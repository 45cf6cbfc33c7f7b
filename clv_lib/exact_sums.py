"""Sums of money and of doubles that are exact, in whole numbers: they do not depend on the order of the rows.

Spark keeps a sum of decimals of more than 18 digits as bytes, and makes an object of them for every row. Whole numbers
pay where rows are sent or counted many times, not where each customer has twenty sums, which must become money again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.types import MONEY_SUM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import Column, DataFrame

_UNITS = Decimal(10_000)
_UNIT = Decimal("0.0001")
_PARTS = 2.0**32
_LARGEST = 2.0**62


def with_units(rows: DataFrame, amounts: Iterable[str]) -> DataFrame:
    """The rows with their amounts as whole ten-thousandths, to be added up and given to `from_units`. Grain: kept.

    An amount, or a sum, above 922 trillion is an error of Spark, never a wrong figure.
    """
    return rows.withColumns({name: (F.col(name) * F.lit(_UNITS)).cast("bigint") for name in amounts})


def from_units(units: Column) -> Column:
    """The sum of money of a sum of whole ten-thousandths."""
    return (units.cast("decimal(20,0)") * F.lit(_UNIT)).cast(MONEY_SUM)


def halves(value: Column) -> tuple[Column, Column]:
    """A double as whole numbers of ones and of parts of 2^-32; NULL where it is not a number or beyond 2^62."""
    ones = F.when(F.abs(value) < _LARGEST, F.floor(value))
    return ones, F.floor((value - ones) * _PARTS)


def from_halves(ones: Column, parts: Column) -> Column:
    """The double of two halves, or of their sums."""
    return ones + parts / _PARTS


def sum_of_doubles(value: Column) -> Column:
    """The sum of `halves` as a double; NULL where one of the sums has no place in a whole number."""
    ones, parts = halves(value)
    return from_halves(F.try_sum(ones), F.try_sum(parts))
