"""What readers of a lake see, by another engine than Spark: the published tables by way of the pointer."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable

from clv_lib.contracts import PUBLISHED_TABLES
from clv_lib.lake.statements import SNAPSHOT_COLUMN

if TYPE_CHECKING:
    from clv_lib.contracts.types import Table

_DIGITS = 9
"""Doubles may differ in their last digits when other tasks add them up."""


@dataclass(frozen=True)
class Seen:
    """The row of the pointer, and by published table a checksum of its rows."""

    pointer: dict[str, Any]
    checksums: dict[str, str]


def everything(place: Path) -> list[dict[str, Any]]:
    """Every row of a table, as of its latest version."""
    return DeltaTable(str(place)).to_pyarrow_table().to_pylist()


def pointer(lake: Path) -> dict[str, Any]:
    """The one row of `published`, with the versions of silver tables as a dictionary."""
    [row] = everything(lake / "control" / "published")
    return {**row, "silver_versions": dict(row["silver_versions"])}


def rows(lake: Path, table: Table, now: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a table, its declared columns, as a pointer or a run names them: silver by version, gold by snapshot."""
    place, columns = str(lake / table.layer / table.name), list(table.columns)
    if table.layer == "silver":
        version = now["silver_versions"][table.name]
        return DeltaTable(place, version=version).to_pyarrow_table(columns=columns).to_pylist()
    of_snapshot = [(SNAPSHOT_COLUMN, "=", now["snapshot_id"])]
    return DeltaTable(place).to_pyarrow_table(filters=of_snapshot, columns=columns).to_pylist()


def seen(lake: Path) -> Seen:
    now = pointer(lake)
    return Seen(now, {table.name: _checksum(rows(lake, table, now)) for table in PUBLISHED_TABLES})


def commits(lake: Path) -> set[str]:
    """Commits of every table, as paths of their files."""
    layers = [layer.path for layer in os.scandir(lake)] if lake.is_dir() else []
    logs = [f"{table.path}/_delta_log" for layer in layers for table in os.scandir(layer)]
    return {name for log in logs for name in _listed(log) if name.endswith(".json")}


def _listed(folder: str) -> list[str]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.name[0].isdigit()]
    return []


def _checksum(found: list[dict[str, Any]]) -> str:
    lines = sorted(repr({name: _rounded(value) for name, value in sorted(row.items())}) for row in found)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return {name: _rounded(part) for name, part in value.items()} if isinstance(value, dict) else value
