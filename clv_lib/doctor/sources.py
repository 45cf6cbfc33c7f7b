"""Checks of one source: it opens, fits its contract, can be computed; of orders also which would count."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.inputs import CONTRACTS, NO_EXCHANGE_RATE, counted_reason
from clv_lib.doctor.checks import FAIL, OK, WARN, Check, failed
from clv_lib.errors import ContractError
from clv_lib.lake import pin_source, read_source
from clv_lib.lake.failing_columns import failing_columns
from clv_lib.orders.disposition import is_cancelled
from clv_lib.orders.intake import judged_orders
from clv_lib.orders.mapping import contract_expressions, map_source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from clv_lib.settings import Settings

_ROWS_TO_TRY = 100_000
_MOST_STATUSES = 30


def source_check(spark: SparkSession, name: str, settings: Settings) -> Check:
    """Open the source at its version, check it against the contract, and try its first rows."""
    source, what = settings.sources.configured()[name], f"source {name}"
    pinned = pin_source(spark, name, source)
    raw = read_source(spark, pinned)
    offered = contract_expressions(raw, CONTRACTS[name], source.columns)
    place = f"{source.table} ({source.format}, version {pinned.version})"
    if not raw.limit(1).count():
        return Check(WARN, what, f"{place} has no rows", f"check sources.{name}.table and sources.{name}.filter")
    first = raw.limit(_ROWS_TO_TRY)
    failing = failing_columns(first, CONTRACTS[name], source)
    if failing is not None:
        return failed(what, failing)
    absent = [column for column in CONTRACTS[name].columns if column not in offered]
    found = f"{place} fits the contract" + (f"; not offered: {', '.join(absent)}" if absent else "")
    if name != "orders":
        return Check(OK, what, found)
    tried = _tried_orders(first, settings)
    if "order_status" in offered:
        found += f"\n{_statuses(tried)}"
    return _with_broken_rules(Check(OK, what, found), tried, settings)


@dataclass(frozen=True)
class _Tried:
    """So many of the first orders have one status and break the same rules for themselves."""

    status: str
    is_apart: bool
    reasons: frozenset[str]
    rows: int


def _tried_orders(raw: DataFrame, settings: Settings) -> list[_Tried]:
    """The first orders as a run would judge them, counted in one job.

    Versions that contradict each other are not looked for, and rates of exchange not where they are a source.
    """
    source, reporting = settings.sources.orders, settings.reporting
    orders = map_source(
        raw, CONTRACTS["orders"], source.columns, currency=reporting.currency, time_zone=reporting.time_zone
    )
    judged = judged_orders(orders, None, settings, dt.date.max, is_line=source.grain == "line")
    apart = F.coalesce(is_cancelled(settings.orders.exclude_statuses), F.lit(False))
    keys = (F.coalesce("order_status", F.lit("NULL")).alias("status"), apart.alias("is_apart"), "reasons")
    ignored = {NO_EXCHANGE_RATE} if settings.sources.exchange_rates is not None else set()
    return [
        _Tried(row["status"], row["is_apart"], frozenset(row["reasons"]) - ignored, row["count"])
        for row in judged.groupBy(*keys).count().collect()
    ]


def _statuses(tried: list[_Tried]) -> str:
    """Which statuses of orders count, so that one that should not is seen before its money is in every figure."""
    found = sorted({(one.status, one.is_apart) for one in tried})

    def listed(is_apart: bool) -> str:
        return ", ".join(status for status, apart in found[:_MOST_STATUSES] if apart == is_apart) or "none"

    more = " (there are more)" if len(found) > _MOST_STATUSES else ""
    return (
        f"order_status in its first {_ROWS_TO_TRY:,} rows{more}: {listed(False)} count;"
        f" {listed(True)} kept apart (orders.exclude_statuses)"
    )


def _with_broken_rules(check: Check, tried: list[_Tried], settings: Settings) -> Check:
    """The check, and how many of the rows a run would quarantine; graver by the limits of the gate."""
    by_reason: Counter[str] = Counter()
    for one in tried:
        by_reason.update(dict.fromkeys(one.reasons, one.rows))
    rows, bad = sum(one.rows for one in tried), sum(one.rows for one in tried if one.reasons)
    if not bad:
        return check
    most_first = sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(counted_reason(*one) for one in most_first)
    found = f"{check.found}\nof its first {rows:,} rows {bad:,} break a rule and would be quarantined: {listed}"
    if bad <= rows * settings.gate.warn_quarantined_rate:
        return replace(check, found=found)
    step = "correct sources.orders.columns, or mend the rows; `clv contract orders` says what each column is"
    if bad <= rows * settings.gate.max_quarantined_rate:
        return Check(WARN, check.what, found, step)
    return Check(FAIL, check.what, found, step, ContractError.exit_code)
