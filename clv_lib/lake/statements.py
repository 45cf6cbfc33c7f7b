"""SQL of a table of the lake by its contract: how it is made, and how some of its partitions are chosen."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from clv_lib.contracts.types import Table
from clv_lib.settings.silver import SILVER_RETENTION_DAYS

if TYPE_CHECKING:
    from pyspark.sql import Row

SNAPSHOT_COLUMN = "snapshot_id"
_READABLE_BY_ALL = {"delta.enableDeletionVectors": "false", "delta.columnMapping.mode": "none"}
_SILVER_KEPT = {"delta.deletedFileRetentionDuration": f"interval {SILVER_RETENTION_DAYS} days"}


def stored_schema(table: Table) -> dict[str, str]:
    """Types of the stored columns by name: those of the contract, and the run's id where each run has a partition."""
    snapshot = {SNAPSHOT_COLUMN: "string"} if SNAPSHOT_COLUMN in table.partition_by else {}
    return {**table.schema, **snapshot}


def create_statement(table: Table, reference: str) -> str:
    """Make the table, if it is not there; `reference` is what SQL calls it."""
    key = {*table.key, *table.partition_by}
    meanings = {field.name: field.description for field in table.fields}
    columns = ", ".join(
        f"`{name}` {kind}{' NOT NULL' if name in key else ''}"
        f" COMMENT {_quoted(meanings.get(name, 'The run that wrote it.'))}"
        for name, kind in stored_schema(table).items()
    )
    partitions = f" PARTITIONED BY ({', '.join(table.partition_by)})" if table.partition_by else ""
    properties = {**_READABLE_BY_ALL, **_skipping(table), **(_SILVER_KEPT if table.layer == "silver" else {})}
    listed = ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())
    return (
        f"CREATE TABLE IF NOT EXISTS {reference} ({columns}) USING DELTA{partitions}"
        f" COMMENT {_quoted(table.grain)} TBLPROPERTIES ({listed})"
    )


def selecting(table: Table, partitions: Iterable[Row]) -> str:
    """SQL that selects some partitions of a table; the rows hold its partition columns. Without any it selects none."""
    *outer, inner = table.partition_by
    grouped: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in partitions:
        grouped[tuple(f"`{name}` = {_literal(row[name])}" for name in outer)].append(_literal(row[inner]))
    chosen = (" AND ".join((*key, f"`{inner}` IN ({', '.join(found)})")) for key, found in grouped.items())
    return " OR ".join(f"({one})" for one in chosen) or "false"


def _skipping(table: Table) -> dict[str, str]:
    """Least and greatest values per file of keys, days and times alone: by these queries select rows.

    Those of all columns would take a tenth of the time of writing.
    """
    stored = {name: kind for name, kind in table.schema.items() if name not in table.partition_by}
    useful = [
        name
        for name, kind in stored.items()
        if kind in ("date", "timestamp") or (name in table.key and kind != "boolean")
    ]
    return {"delta.dataSkippingStatsColumns": ",".join(useful)} if useful else {}


def _literal(value: object) -> str:
    if isinstance(value, dt.date):
        return f"date'{value.isoformat()}'"
    return str(value) if isinstance(value, int) else _quoted(str(value))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
