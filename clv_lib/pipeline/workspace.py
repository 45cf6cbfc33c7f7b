"""What the steps of a run share: the lake, the settings, the pinned sources, and reading and writing by contract."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from pyspark import StorageLevel
from pyspark.sql import functions as F

from clv_lib.contracts.inputs import CONTRACTS
from clv_lib.contracts.types import Table
from clv_lib.lake import Lake, PinnedSource, read_source
from clv_lib.metrics.catalogue import metrics_of
from clv_lib.orders.mapping import map_source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from clv_lib.pipeline.progress import Progress
    from clv_lib.runs import Run
    from clv_lib.settings.models import Settings


T = TypeVar("T")
_WRITTEN_AT_A_TIME = 3
_MOST_SENT_ROWS = 2_000_000


@dataclass(frozen=True)
class Workspace:
    """A run at work. Steps change nothing here but return a workspace with what they found out.

    `accepts_differences`: a rebuild goes on although it differs from what it is compared with. `replaced` are the
    partitions of silver tables that a refresh has replaced, by the name of the table.
    """

    lake: Lake
    settings: Settings
    run: Run
    sources: dict[str, PinnedSource]
    progress: Progress
    kept: list[DataFrame] = field(default_factory=list)
    mapped_sources: dict[str, DataFrame] = field(default_factory=dict)
    replaced: dict[str, Sequence[Row]] = field(default_factory=dict)
    cuts_plans: bool = False
    accepts_differences: bool = False

    @property
    def as_of(self) -> dt.date:
        """Last day that counts."""
        return self.run.as_of

    def mapped(self, name: str) -> DataFrame | None:
        """A source's rows with the contract's columns, or None if the source is not configured."""
        pinned = self.sources.get(name)
        if pinned is None:
            return None
        if name not in self.mapped_sources:
            self.mapped_sources[name] = self.mapped_at(pinned)
        return self.mapped_sources[name]

    def mapped_at(self, pinned: PinnedSource) -> DataFrame:
        """The rows of a source at some version with the contract's columns."""
        return self.mapped_rows(pinned, read_source(self.lake.spark, pinned))

    def mapped_rows(self, pinned: PinnedSource, raw: DataFrame) -> DataFrame:
        """Some rows of a source with the contract's columns."""
        reporting = self.settings.reporting
        return map_source(
            raw,
            CONTRACTS[pinned.name],
            pinned.source.columns,
            currency=reporting.currency,
            time_zone=reporting.time_zone,
        )

    def write(self, table: Table, frame: DataFrame) -> None:
        """Write the run's rows of a gold table."""
        self.progress.written(table.name, self.lake.write_snapshot(table, frame, self.run.run_id))

    def write_all(self, *parts: tuple[Table, DataFrame]) -> None:
        """Write gold tables that do not read each other, some at a time: while one is planned another is computed."""

        def written(part: tuple[Table, DataFrame]) -> int | None:
            return self.lake.write_snapshot(*part, self.run.run_id)

        with ThreadPoolExecutor(max_workers=_WRITTEN_AT_A_TIME) as pool:
            counts = list(pool.map(written, parts))
        for (table, _), rows in zip(parts, counts, strict=True):
            self.progress.written(table.name, rows)

    def write_state(self, table: Table, frame: DataFrame) -> Workspace:
        """Write a silver table and remember the version that this run wrote."""
        version, rows = self.lake.write_state(table, frame, self.run.run_id)
        self.progress.written(table.name, rows)
        return replace(self, run=replace(self.run, silver_versions={**self.run.silver_versions, table.name: version}))

    def replace_in_state(self, table: Table, frame: DataFrame, partitions: Sequence[Row]) -> Workspace:
        """Replace some partitions of a silver table, on top of the version that the run has of it so far.

        `partitions` hold the partition columns of the table; without any, nothing is written.
        """
        if not partitions:
            return self
        base = self.run.silver_versions[table.name]
        version, rows = self.lake.replace_in_state(table, frame, partitions, self.run.run_id, base)
        self.progress.written(table.name, rows)
        run = replace(self.run, silver_versions={**self.run.silver_versions, table.name: version})
        return replace(self, run=run, replaced={**self.replaced, table.name: partitions})

    def with_states_of(self, branch: Workspace) -> Workspace:
        """This workspace, and what another one that began as the same has written to silver meanwhile."""
        versions = {**branch.run.silver_versions, **self.run.silver_versions}
        return replace(self, run=replace(self.run, silver_versions=versions))

    def read(self, table: Table) -> DataFrame:
        """The run's stored rows of a table: a silver table at the run's version, a gold table by the run's id."""
        if table.layer == "silver":
            return self.lake.read_state(table, self.run.silver_versions[table.name])
        return self.lake.read_snapshot(table, self.run.run_id)

    def frame(self, table: Table, rows: Sequence[tuple[object, ...]] = ()) -> DataFrame:
        """Rows that were made on the driver, with the columns of the table that are no metrics, and its metrics."""
        made = self.lake.spark.createDataFrame(list(rows), table.own_ddl)
        return made.withColumns(metrics_of(table)).select(*table.columns) if table.metrics else made

    def keep(self, frame: DataFrame) -> DataFrame:
        """The frame, kept on the executors' disks for several uses until the step ends.

        What reads it plans from it: the long expressions of judging a row are compiled and computed once. With
        `cuts_plans` it is computed at once and forgets how: a refresh derives many small frames from each other, and
        to analyse all that led to each of them takes longer than to compute it.
        """
        if self.cuts_plans:
            return frame.localCheckpoint(eager=True, storageLevel=StorageLevel.DISK_ONLY)
        kept = frame.persist(StorageLevel.DISK_ONLY)
        self.kept.append(kept)
        return kept

    def keep_any(self, frame: DataFrame) -> DataFrame | None:
        """As `keep`, or None if the frame is empty."""
        kept = self.keep(frame)
        return None if kept.isEmpty() else kept

    def keep_ids(self, frame: DataFrame) -> tuple[DataFrame, int]:
        """As `keep`, of ids, with their number: joins send them to the executors whole, unless they are very many.

        Spark does not know how few rows a frame has that forgot how it came about, and would shuffle the other side.
        """
        kept = self.keep(frame)
        count = kept.count()
        return (F.broadcast(kept) if count <= _MOST_SENT_ROWS else kept), count

    def release(self) -> None:
        """Drop what was kept."""
        while self.kept:
            self.kept.pop().unpersist()


def possible_rows(rows: DataFrame, column: str, keys: DataFrame, key: str) -> DataFrame:
    """Rows whose column may hold one of some keys, which are kept: those between the least and the greatest of them.

    Files that can have none are not opened; where ids are given in order of time these are nearly all.
    """
    ends = keys.agg(F.min(key).alias("least"), F.max(key).alias("greatest")).collect()[0]
    return rows.where(F.col(column).between(ends["least"], ends["greatest"]))


def at_once(*branches: Callable[[], T]) -> list[T]:
    """Run parts of a step that do not read each other's tables at once; their results in the order given.

    A small run is bound by planning, which takes one core per query. When all have ended, the first error is raised.
    """
    with ThreadPoolExecutor(max_workers=len(branches)) as pool:
        running = [pool.submit(branch) for branch in branches]
    return [one.result() for one in running]
