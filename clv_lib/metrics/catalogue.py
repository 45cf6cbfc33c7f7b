"""The catalogue of metrics: columns and definitions of the figures that the contracts declare as quotients of sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyspark.sql import Column
from pyspark.sql import functions as F

from clv_lib.contracts.types import MONEY_SUM, Field, Metric, Table
from clv_lib.metrics.ratios import per_month, published, quotient, ratio
from clv_lib.periods import DAYS_PER_MONTH


def metrics_of(table: Table) -> dict[str, Column]:
    """The columns of a table's metrics by name, from the columns that hold their parts."""
    return {metric.name: metric_column(metric) for metric in table.metrics}


def metric_column(metric: Metric) -> Column:
    """Numerator over denominator, rounded once; NULL where the metric is not defined."""
    numerator, denominator = F.expr(metric.numerator), F.expr(metric.denominator)
    if metric.over == "amount":
        figure = quotient(numerator, denominator)
    elif metric.over == "days":
        figure = published(per_month(numerator, denominator))
    else:
        figure = ratio(numerator, denominator)
    return figure if metric.defined_when is None else F.when(F.expr(metric.defined_when), figure)


def metric_definitions(tables: Iterable[Table], version: str) -> list[tuple[str | None, ...]]:
    """Rows of contract `metric_definitions`: the figures of the tables that say over which rows they add up."""
    return [row for table in tables if table.adds_up_over for row in _definitions(table, table.adds_up_over, version)]


def _definitions(table: Table, adds_up_over: str, version: str) -> Iterator[tuple[str | None, ...]]:
    for field in table.fields:
        if field.name in table.key or not field.type.startswith(_NUMBERS):
            continue
        metric = field if isinstance(field, Metric) else None
        numerator, denominator = _aggregates(field)
        yield (
            table.name,
            field.name,
            table.grain,
            field.meaning,
            metric.unit if metric else _unit(field),
            "quotient" if denominator else "sum" if numerator else "none",
            numerator,
            denominator,
            adds_up_over,
            metric.defined_when if metric else None,
            _null_rule(field),
            metric.status_column if metric else None,
            metric.source if metric else None,
            version,
        )


_NUMBERS = ("decimal", "bigint", "int", "double")
_ADDED_UP = {MONEY_SUM: "currency", "bigint": "count"}


def _aggregates(field: Field) -> tuple[str | None, str | None]:
    """SQL of numerator and denominator over several rows; counts and amounts are sums, other columns neither."""
    if isinstance(field, Metric):
        numerator = f"sum({field.numerator})"
        # The factor stands above: days divided by it would be rounded before they divide.
        months = f"{DAYS_PER_MONTH} * {numerator}" if field.over == "days" else numerator
        return months, f"sum({field.denominator})"
    return (f"sum({field.name})", None) if field.type in _ADDED_UP else (None, None)


def _unit(field: Field) -> str | None:
    """Unit of a column that is no metric, by its type or the end of its name."""
    named = next((unit for unit in ("days", "months", "rate", "share") if field.name.endswith(f"_{unit}")), None)
    return _ADDED_UP.get(field.type, {"rate": "ratio", "share": "ratio"}.get(named or "", named))


def _null_rule(field: Field) -> str:
    if field.required:
        return "never"
    if not isinstance(field, Metric):
        return "see the meaning"
    zero = f"{field.denominator} is 0 or NULL, or a part of it is NULL"
    return zero if field.defined_when is None else f"not ({field.defined_when}), or {zero}"
