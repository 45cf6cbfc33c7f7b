"""Checks of one source: it opens, fits its contract, can be computed, and its first rows would be accepted."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from clv_lib.contracts.inputs import CONTRACTS
from clv_lib.doctor.checks import OK, WARN, Check, failed
from clv_lib.doctor.judging import ROWS_TO_TRY, refuse_unusable, statuses, tried_rows, with_broken_rules_told
from clv_lib.lake import pin_source, read_source
from clv_lib.lake.failing_columns import failing_columns
from clv_lib.orders.mapping import contract_expressions, map_source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.settings import Settings


def source_check(spark: SparkSession, name: str, settings: Settings, today: dt.date) -> Check:
    """Open the source at its version, check it against the contract, and try its first rows."""
    source, what = settings.sources.configured()[name], f"source {name}"
    pinned = pin_source(spark, name, source)
    raw = read_source(spark, pinned)
    offered = contract_expressions(raw, CONTRACTS[name], source.columns)
    place = f"{source.table} ({source.format}, version {pinned.version})"
    if not raw.limit(1).count():
        return Check(WARN, what, f"{place} has no rows", f"check sources.{name}.table and sources.{name}.filter")
    first = raw.limit(ROWS_TO_TRY)
    failing = failing_columns(first, CONTRACTS[name], source)
    if failing is not None:
        return failed(what, failing)
    absent = [column for column in CONTRACTS[name].columns if column not in offered]
    found = f"{place} fits the contract" + (f"; not offered: {', '.join(absent)}" if absent else "")
    reporting = settings.reporting
    mapped = map_source(
        first, CONTRACTS[name], source.columns, currency=reporting.currency, time_zone=reporting.time_zone
    )
    refuse_unusable(mapped, name, source.table, today)
    tried = tried_rows(mapped, name, settings)
    if "order_status" in offered:
        found += f"\n{statuses(tried)}"
    return with_broken_rules_told(Check(OK, what, found), name, tried, settings)
