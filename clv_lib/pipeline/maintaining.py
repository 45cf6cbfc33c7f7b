"""The tables of the lake kept up: dead runs removed, small files put together, files that nobody needs deleted.

What is published, and what `clv rollback` may publish again, stays as it is, row by row. Silver that is published keeps
its rows in other files, as a newer version, which then is the published one.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts import GOLD_TABLES, SILVER_TABLES, TABLES
from clv_lib.contracts.control import PIPELINE_RUNS
from clv_lib.lake import Lake, Pointer, Publication, create_catalog_views, files_by_partition, upkeep
from clv_lib.pipeline import kept_snapshots
from clv_lib.runs import STARTED, refile
from clv_lib.settings.silver import SILVER_RETENTION_DAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clv_lib.contracts.types import Table
    from clv_lib.pipeline.progress import Progress
    from clv_lib.settings.models import Settings

_TABLES_AT_A_TIME = 3


@dataclass(frozen=True)
class Maintained:
    """What was done to a table. `bytes_freed`: None where Delta does not say; `left_alone`: why nothing was."""

    table_name: str
    files_before: int
    files_after: int
    partitions_compacted: int = 0
    runs_removed: int = 0
    bytes_freed: int | None = None
    left_alone: str = ""


@dataclass(frozen=True)
class _Plan:
    """Snapshots of dead runs, and the versions of silver tables that kept runs name, by table and version."""

    settings: Settings
    publication: Publication
    dead: set[str]
    named: Mapping[str, Mapping[int, str]]


def maintain(
    lake: Lake, settings: Settings, publication: Publication, now: dt.datetime, progress: Progress
) -> list[Maintained]:
    """Keep up every table of the lake by the policy of `settings.maintenance`; `publication` is what is published.

    A table that has a version which a kept run names and which may be lost already is left alone. If a run publishes
    meanwhile, its silver stays as it wrote it.
    """
    kept = kept_snapshots(lake, settings, publication)
    dead = _dead(lake, now - dt.timedelta(days=settings.maintenance.abandoned_after_days)) - kept
    plan = _Plan(settings, publication, dead, _named(lake, publication, kept))
    tables = [table for table in TABLES.values() if lake.exists(table)]

    def one(table: Table) -> Maintained:
        done = _maintained(lake, table, plan)
        progress.info(f"{table.name}: " + (done.left_alone or f"{done.files_before:,} files, now {done.files_after:,}"))
        return done

    with (
        upkeep.target_file_size(lake.spark, settings.maintenance.target_file_megabytes),
        ThreadPoolExecutor(max_workers=_TABLES_AT_A_TIME) as pool,
    ):
        done = list(pool.map(one, tables))
    _publish_refiled(lake, publication)
    return done


def _maintained(lake: Lake, table: Table, plan: _Plan) -> Maintained:
    policy, is_silver = plan.settings.maintenance, table in SILVER_TABLES
    files = files_by_partition(lake, table)
    count = sum(map(len, files.values()))
    named = plan.named.get(table.name, {})
    days = max(policy.retention_days, SILVER_RETENTION_DAYS) if is_silver else policy.retention_days
    lost = upkeep.keep_readable(lake, table, named, days)
    if lost is not None:
        reason = f"left alone: version {lost}, that of run {named[lost]}, is older than removed files are kept for"
        return Maintained(table.name, count, count, left_alone=reason)
    dead = upkeep.drop_found_snapshots(lake, table, files, plan.dead) if table in GOLD_TABLES else set()
    crowded = {partition for partition, paths in files.items() if len(paths) > policy.files_per_partition} - dead
    if is_silver and _newest_as_published(lake, table, plan.publication) is None:
        crowded = set()
    upkeep.compact(lake, table, crowded)
    freed = upkeep.delete_unused_files(lake, table)
    after = sum(map(len, files_by_partition(lake, table).values()))
    return Maintained(table.name, count, after, len(crowded), len(dead), freed)


def _dead(lake: Lake, begun_before: dt.datetime) -> set[str]:
    """Runs that began so long ago and never came to an end."""
    is_dead = (F.col("status") == STARTED) & (F.col("started_at") < F.lit(begun_before))
    rows = lake.read_rows(PIPELINE_RUNS).where(is_dead).select("run_id").collect()
    return {row["run_id"] for row in rows}


def _named(lake: Lake, publication: Publication, kept: set[str]) -> dict[str, dict[int, str]]:
    """By silver table the versions that must stay, with the run that names them."""
    rows = lake.read_rows(PIPELINE_RUNS).where(F.col("run_id").isin(sorted(kept))).collect()
    named: dict[str, dict[int, str]] = defaultdict(dict)
    for run_id, versions in [
        *((row["run_id"], row["silver_versions"]) for row in rows),
        (publication.snapshot_id, publication.silver_versions),
    ]:
        for name, version in versions.items():
            named[name][version] = run_id
    return named


def _newest_as_published(lake: Lake, table: Table, publication: Publication) -> int | None:
    """The newest version of a silver table if it holds published rows; None if a run wrote others since."""
    version = publication.silver_versions.get(table.name)
    return None if version is None else upkeep.newest_with_same_rows(lake, table, version)


def _publish_refiled(lake: Lake, publication: Publication) -> None:
    """Let readers, and the next run, go on from the newest versions of silver tables where their rows are published.

    The record of the run comes first: wherever this ends, both name versions with the same rows.
    """
    found = {table.name: _newest_as_published(lake, table, publication) for table in SILVER_TABLES}
    versions = {**publication.silver_versions, **{name: new for name, new in found.items() if new is not None}}
    if versions != publication.silver_versions:
        refile(lake, publication.snapshot_id, versions)
        if Pointer(lake).refile(publication, versions):
            create_catalog_views(lake, replace(publication, silver_versions=versions))
