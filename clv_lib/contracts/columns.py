"""Columns that occur in many gold tables, by kind."""

from __future__ import annotations

from collections.abc import Mapping

from clv_lib.contracts.types import MONEY_SUM, RATIO, Field

SNAPSHOT = ("snapshot_id",)
"""Gold tables are partitioned by the run that wrote them."""


def within(name: str, values: tuple[str, ...]) -> str:
    """SQL predicate: the column has one of the values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{name} in ({listed})"


def status(name: str, meaning: str, *values: str) -> Field:
    """A required text column with the values that it may have."""
    return Field(name, "string", f"{meaning} One of: {', '.join(values)}.", True, within(name, values))


def share(name: str, meaning: str) -> Field:
    """A ratio column."""
    return Field(name, RATIO, meaning)


def money(name: str, meaning: str, required: bool = False) -> Field:
    """A sum of money."""
    return Field(name, MONEY_SUM, meaning, required)


def count(name: str, meaning: str, required: bool = True) -> Field:
    """A count, never negative."""
    return Field(name, "bigint", meaning, required, f"{name} >= 0")


def probability(name: str, meaning: str) -> Field:
    """A model output between 0 and 1."""
    return Field(name, "double", meaning, check=f"{name} between 0 and 1")


def sums_by_type(columns: Mapping[str, str]) -> dict[str, str]:
    """Measures of a table by segment, from name to column; both are equal where each type adds up to the total.

    `{name}_by_type` is the sum over all rows, `{name}_all_by_types` that of the total segment once per type that is
    there, so a type that is left out is in neither.
    """
    return {
        measure: sql
        for name, column in columns.items()
        for measure, sql in (
            (f"{name}_by_type", f"sum({column})"),
            (
                f"{name}_all_by_types",
                f"sum(case when segment_type = 'all' then {column} end) * count(distinct segment_type)",
            ),
        )
    }
