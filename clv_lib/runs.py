"""What a run is: inputs at pinned versions, as_of, configuration and code, with an id that they determine."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.code_version import code_version
from clv_lib.contracts import SILVER_TABLES
from clv_lib.contracts.control import DATA_QUALITY_RESULTS, PIPELINE_RUNS
from clv_lib.errors import ConflictError, LakeError
from clv_lib.settings.loading import config_hash, recorded_text

if TYPE_CHECKING:
    from pyspark.sql import Column, Row

    from clv_lib.lake import Lake, Publication
    from clv_lib.settings.models import Settings

STARTED = "started"
GATE_FAILED = "gate_failed"
PUBLISHED = "published"
SUPERSEDED = "superseded"
REBUILD_REFUSED = "rebuild_refused"
FOLLOWED_SOURCES = ("orders", "refunds", "exchange_rates")
"""Sources whose changes a refresh follows; the others are read whole, they are small."""


@dataclass(frozen=True)
class Run:
    """One run. What begins with `silver_versions` is known once the intake has been written.

    `silver_definition` is NULL in records of runs that had none. `is_rebuild`: the user asked for silver to be made
    anew; it is part of the id, since the run may not write into the snapshot of the one that it doubts.
    """

    run_id: str
    as_of: dt.date
    config_hash: str
    configuration: str
    input_versions: Mapping[str, str]
    started_at: dt.datetime
    code_version: str = field(default_factory=code_version)
    silver_definition: str | None = None
    silver_versions: Mapping[str, int] = field(default_factory=dict)
    source_ids: Mapping[str, str] = field(default_factory=dict)
    refreshed_from: str | None = None
    rebuild_reason: str | None = None
    value_basis: str | None = None
    is_rebuild: bool = False


def new_run(
    settings: Settings,
    as_of: dt.date,
    input_versions: Mapping[str, str],
    started_at: dt.datetime,
    *,
    is_rebuild: bool = False,
) -> Run:
    """A run whose id is the day and a hash of what determines its tables: the same again is the same run."""
    settings_hash = config_hash(settings)
    determined_by = [as_of.isoformat(), dict(sorted(input_versions.items())), settings_hash, code_version()]
    determined_by += ["rebuild"] if is_rebuild else []
    digest = hashlib.sha256(json.dumps(determined_by).encode()).hexdigest()[:12]
    return Run(
        f"{as_of:%Y%m%d}-{digest}",
        as_of,
        settings_hash,
        recorded_text(settings),
        dict(input_versions),
        started_at,
        silver_definition=silver_definition(settings),
        is_rebuild=is_rebuild,
    )


def silver_definition(settings: Settings) -> str:
    """Hash of what makes silver besides the inputs' versions and as_of: settings of the orders, and the code."""
    recorded = json.loads(recorded_text(settings))
    sources = {name: recorded["sources"].get(name) for name in FOLLOWED_SOURCES}
    parts = [recorded["reporting"], recorded["orders"], recorded["silver"]["customer_buckets"]]
    determined_by = [code_version(), *parts, sources]
    return hashlib.sha256(json.dumps(determined_by, sort_keys=True).encode()).hexdigest()[:12]


def record(lake: Lake, run: Run, status: str, finished_at: dt.datetime | None = None) -> None:
    """Write the run's row; an earlier row of the same run is replaced."""
    row = (
        run.run_id,
        run.as_of,
        status,
        run.code_version,
        run.config_hash,
        run.configuration,
        dict(run.input_versions),
        dict(run.silver_versions),
        dict(run.source_ids),
        run.silver_definition,
        run.refreshed_from,
        run.rebuild_reason,
        run.value_basis,
        run.started_at,
        finished_at,
    )
    lake.write_rows(PIPELINE_RUNS, lake.spark.createDataFrame([row], PIPELINE_RUNS.ddl), f"run_id = '{run.run_id}'")


def refile(lake: Lake, run_id: str, silver_versions: Mapping[str, int]) -> None:
    """Name other versions of silver tables in the record of a run, which hold the same rows."""
    named = F.create_map(*(F.lit(part) for pair in sorted(silver_versions.items()) for part in pair))
    _amend(lake, run_id, {"silver_versions": named})


def record_published(lake: Lake, run_id: str, finished_at: dt.datetime) -> None:
    """Say in the record of a run that it was published; the rest of it stays."""
    _amend(lake, run_id, {"status": F.lit(PUBLISHED), "finished_at": F.lit(finished_at)})


def _amend(lake: Lake, run_id: str, changes: dict[str, Column]) -> None:
    stored = lake.read_rows(PIPELINE_RUNS).where(F.col("run_id") == run_id)
    lake.write_rows(PIPELINE_RUNS, stored.withColumns(changes), f"run_id = '{run_id}'")


def recorded(lake: Lake, run: Run) -> Run | None:
    """The run as an earlier step or attempt recorded it, or None."""
    row = recorded_row(lake, run.run_id)
    if row is None:
        return None
    found = ("silver_definition", "refreshed_from", "rebuild_reason", "value_basis")
    return replace(
        run,
        input_versions=dict(row["input_versions"]),
        silver_versions=dict(row["silver_versions"]),
        source_ids=dict(row["source_ids"] or {}),
        **{name: row[name] for name in found},
    )


def recorded_status(lake: Lake, run_id: str) -> str | None:
    """The last recorded status of a run, or None."""
    row = recorded_row(lake, run_id)
    return None if row is None else str(row["status"])


def published_runs(lake: Lake) -> list[str]:
    """Ids of the runs that were published, the latest first."""
    rows = lake.read_rows(PIPELINE_RUNS).where(F.col("status") == PUBLISHED)
    return [row["run_id"] for row in rows.orderBy(F.desc("finished_at")).select("run_id").collect()]


def recorded_row(lake: Lake, run_id: str) -> Row | None:
    """The row of `pipeline_runs` of a run, or None."""
    if not lake.exists(PIPELINE_RUNS):
        return None
    rows = lake.read_rows(PIPELINE_RUNS).where(F.col("run_id") == run_id).collect()
    return rows[0] if rows else None


def refuse_older(run: Run, publication: Publication | None, *, allow_older: bool) -> None:
    """ConflictError if a later as_of is published, unless the user asked for the older one."""
    if publication is not None and run.as_of < publication.as_of_date and not allow_older:
        raise ConflictError(
            "a later as-of date is already published",
            expected=f"--as-of {publication.as_of_date} or later",
            found=f"--as-of {run.as_of}",
            next_step="add --allow-older to publish the older date in its place",
        )


def require_silver(run: Run | None, run_id: str) -> Run:
    """The recorded run if its intake has been written, else LakeError that says what to run first."""
    if run is None or not run.silver_versions:
        raise LakeError(
            "this step needs the intake of the same run",
            where=f"run {run_id}",
            expected="customer_orders, customer_refunds and customer_months written by the step intake",
            found="no such record",
            next_step="run the steps in order, or `clv run` for all of them, with the same configuration and --as-of",
        )
    return run


def require_stored(lake: Lake, run_id: str, silver_versions: Mapping[str, int]) -> None:
    """LakeError unless the tables that a run wrote can still be read.

    Gold snapshots are deleted after `retention.snapshots_to_keep` runs, files of silver versions by a VACUUM.
    """
    from clv_lib.lake import reported

    if not lake.exists(DATA_QUALITY_RESULTS) or run_id not in lake.snapshots(DATA_QUALITY_RESULTS):
        raise LakeError(
            f"the snapshot {run_id} is gone",
            where=lake.root,
            found="its rows were deleted by a later run (retention.snapshots_to_keep), or it was never audited",
            next_step="run that day again: clv run --as-of DATE --allow-older",
        )
    for table in SILVER_TABLES:
        with reported(lake.place(table), "read"):
            lake.read_state(table, silver_versions[table.name]).limit(1).collect()
