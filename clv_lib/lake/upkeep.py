"""Upkeep of stored tables, done by Delta: small files put together, files that nothing names deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clv_lib.lake import versions
from clv_lib.lake.reporting import reported
from clv_lib.lake.statements import SNAPSHOT_COLUMN, selecting

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

    from clv_lib.contracts.types import Table
    from clv_lib.lake.tables import Lake

_COMPACTION = "spark.databricks.delta.optimize."
_MEGABYTE = 1024 * 1024


def outlive_a_run(lake: Lake, table: Table, version: int) -> None:
    """See to it that a version of a silver table stays readable although a run writes newer ones."""
    with reported(lake.place(table), "described"):
        versions.outlive_a_run(lake.spark, lake.reference(table), version)


def keep_readable(lake: Lake, table: Table, named: Iterable[int], days: int) -> int | None:
    """See to it that versions stay readable whatever comes; returns one that may be lost already, None if all can.

    Removed files are kept for `days`, or longer where the versions need it.
    """
    with reported(lake.place(table), "described"):
        return versions.keep_readable(lake.spark, lake.reference(table), named, days)


def newest_with_same_rows(lake: Lake, table: Table, version: int) -> int | None:
    """The newest version if since the given one files were only put together or deleted; None if rows changed."""
    with reported(lake.place(table), "described"):
        same, newest = versions.same_rows_until(lake.spark, lake.reference(table), version)
    return newest if same == newest else None


def drop_found_snapshots(lake: Lake, table: Table, partitions: Iterable[Row], snapshot_ids: Iterable[str]) -> set[Row]:
    """Delete snapshots of a gold table, those of which there are `partitions`; returns these."""
    wanted = set(snapshot_ids)
    found = {partition for partition in partitions if partition[SNAPSHOT_COLUMN] in wanted}
    lake.drop_snapshots(table, {partition[SNAPSHOT_COLUMN] for partition in found})
    return found


def compact(lake: Lake, table: Table, partitions: Iterable[Row]) -> None:
    """Put the files of each of the partitions together; larger files than `target_file_size` stay as they are."""
    chosen = sorted(partitions)
    if chosen:
        where = f" WHERE {selecting(table, chosen)}" if table.partition_by else ""
        with reported(lake.place(table), "compacted"):
            lake.spark.sql(f"OPTIMIZE {lake.reference(table)}{where}").collect()


@contextmanager
def target_file_size(spark: SparkSession, megabytes: int) -> Iterator[None]:
    """How large a file `compact` makes, and above which size it leaves one alone."""
    names = [f"{_COMPACTION}{end}FileSize" for end in ("min", "max")]
    before = {name: spark.conf.get(name, None) for name in names}
    for name in names:
        spark.conf.set(name, megabytes * _MEGABYTE)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, value)


def delete_unused_files(lake: Lake, table: Table) -> int | None:
    """VACUUM by the table's own retention; returns the bytes freed, None where Delta does not log it."""
    with reported(lake.place(table), "vacuumed"):
        lake.spark.sql(f"VACUUM {lake.reference(table)}").collect()
        latest = lake.spark.sql(f"DESCRIBE HISTORY {lake.reference(table)} LIMIT 2").collect()
    begun = [commit for commit in latest if commit["operation"] == "VACUUM START"]
    return int(begun[0]["operationMetrics"]["sizeOfDataToDelete"]) if begun else None
