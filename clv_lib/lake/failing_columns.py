"""Which SQL of a source fails on some row, since Spark names neither the column nor the source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from clv_lib.errors import FailingExpression, Fault
from clv_lib.lake.reporting import told_of_values
from clv_lib.orders.mapping import contract_expressions

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from clv_lib.contracts.types import InputContract
    from clv_lib.settings.sources import Source


def failing_columns(raw: DataFrame, contract: InputContract, source: Source) -> FailingExpression | None:
    """The error that names each column whose SQL fails on some row of the source; None if all can be computed.

    `raw` are rows of the source through its filter. One job; where that fails, one per column more.
    """
    expressions = contract_expressions(raw, contract, source.columns)
    if _failure(raw, *(F.expr(sql) for sql in expressions.values())) is None:
        return None
    by_filter = _failure(raw)
    if by_filter is not None:
        where = f"sources.{contract.name}.filter: {source.filter}"
        faults = [Fault("the filter fails on some row", where, found=_found(by_filter, raw, source.filter or ""))]
    else:
        tried = {name: _failure(raw, F.expr(sql)) for name, sql in expressions.items()}
        faults = [
            Fault(
                f"{name} fails on some row",
                where=f"sources.{contract.name}.columns.{name}: {expressions[name]}",
                found=_found(text, raw, expressions[name]),
            )
            for name, text in tried.items()
            if text is not None
        ]
    return FailingExpression(
        f"SQL over the source {contract.name} fails on some row", next_step=_next_step(source), faults=faults
    )


def _failure(raw: DataFrame, *columns: Column) -> str | None:
    """What Spark says if the columns cannot be computed of every row."""
    try:
        raw.agg(F.count(F.lit(1)), *(F.count(column) for column in columns)).collect()
    except PySparkException as error:
        return told_of_values(str(error))
    return None


def _found(text: str, raw: DataFrame, sql: str) -> str:
    """The text, and which of the columns in the SQL are read as text: arithmetic with them is what fails most."""
    texts = [name for name, kind in raw.dtypes if kind == "string" and _is_named(name, sql)]
    return f"{text}\nread as text: {', '.join(texts)}" if texts else text


def _is_named(column: str, sql: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(column)}(?!\w)", sql, re.IGNORECASE) is not None


def _next_step(source: Source) -> str:
    step = "write try_cast, try_divide, try_to_date or the like there: a row without a value it needs is quarantined"
    if source.format == "csv":
        step += "; a column of a csv is text if one of its values is: see also its `options` (sep, quote, escape)"
    return step
