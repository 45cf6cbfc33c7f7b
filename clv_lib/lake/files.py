"""Which files a stored table consists of, by partition; none of them is opened."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pyspark.sql import Row

from clv_lib.lake.reporting import reported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clv_lib.contracts.types import Table
    from clv_lib.lake.tables import Lake


def files_by_partition(lake: Lake, table: Table, version: int | None = None) -> dict[Row, set[str]]:
    """Paths of the files of a version by partition, whose values are text; None: the newest version."""
    with reported(lake.place(table), "read"):
        paths = (lake.read_rows(table) if version is None else lake.read_state(table, version)).inputFiles()
    found: dict[Row, set[str]] = defaultdict(set)
    for path in paths:
        values = dict(part.split("=", 1) for part in path.split("/") if "=" in part)
        found[Row(**{name: unquote(values[name]) for name in table.partition_by})].add(path)
    return dict(found)


def differing_partitions(before: Mapping[Row, set[str]], now: Mapping[Row, set[str]]) -> list[Row]:
    """Partitions that do not consist of the same files, in order; Delta never changes a file."""
    return sorted(partition for partition in {*before, *now} if before.get(partition) != now.get(partition))
