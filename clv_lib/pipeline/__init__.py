"""The steps of a run in their order, and the run as a whole."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from clv_lib.contracts import GOLD_TABLES, SILVER_TABLES
from clv_lib.contracts.control import DATA_QUALITY_RESULTS
from clv_lib.contracts.inputs import CONTRACTS
from clv_lib.errors import (
    ConflictError,
    FailingExpression,
    NotReproduced,
    QualityGateFailed,
    UnknownCommand,
    did_you_mean,
)
from clv_lib.lake import (
    Lake,
    PinnedSource,
    Pointer,
    Publication,
    create_catalog_views,
    pin_source,
    read_source,
    reported,
    upkeep,
)
from clv_lib.lake.failing_columns import failing_columns
from clv_lib.pipeline import audit as auditing
from clv_lib.pipeline import gold, predicting
from clv_lib.pipeline.experiments import experiments
from clv_lib.pipeline.intake import intake
from clv_lib.pipeline.progress import Progress
from clv_lib.pipeline.recurring import recurring
from clv_lib.pipeline.workspace import Workspace
from clv_lib.quality.gate import Verdict
from clv_lib.runs import (
    GATE_FAILED,
    PUBLISHED,
    REBUILD_REFUSED,
    STARTED,
    SUPERSEDED,
    Run,
    new_run,
    published_runs,
    record,
    record_published,
    recorded,
    recorded_status,
    refuse_older,
    require_silver,
)
from clv_lib.steps import STEPS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.contracts.types import Table
    from clv_lib.settings.models import Settings

Clock = Callable[[], dt.datetime]
_PINNED_AT_A_TIME = 4


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `unchanged`: this very run was published already, so nothing was done."""

    status: Literal["published", "unchanged"]
    run: Run
    publication: Publication
    verdict: Verdict | None
    progress: Progress


def absent_sources(settings: Settings) -> list[str]:
    """Which sources are not configured, and what is not known without each."""
    configured = settings.sources.configured()
    absent = {one.name: one.without for one in CONTRACTS.values() if one.without and one.name not in configured}
    if "refunds" in absent and settings.sources.orders.grain == "line":
        absent["refunds"] = "what was given back is known by negative order lines alone"
    return [f"source {name} is not configured: {text}" for name, text in absent.items()]


def open_lake(spark: SparkSession, settings: Settings) -> Lake:
    """The lake of the settings."""
    return Lake(spark, settings.lake, is_path=settings.lake_is_path)


def begin(
    spark: SparkSession,
    settings: Settings,
    as_of: dt.date,
    started_at: dt.datetime,
    *,
    rebuild: bool = False,
    accept_differences: bool = False,
) -> Workspace:
    """Pin the sources and derive the run; ContractError if a source cannot be opened. Nothing is written yet.

    With `rebuild` the intake makes silver anew and refuses differences, unless `accept_differences`.
    """
    configured = settings.sources.configured()
    with ThreadPoolExecutor(max_workers=_PINNED_AT_A_TIME) as pool:
        pinned = list(pool.map(lambda name: pin_source(spark, name, configured[name]), configured))
    sources: dict[str, PinnedSource] = {one.name: one for one in pinned}
    versions = {name: pinned.version for name, pinned in sources.items()}
    run = new_run(settings, as_of, versions, started_at, is_rebuild=rebuild)
    work = Workspace(open_lake(spark, settings), settings, run, sources, Progress(run.run_id))
    return replace(work, accepts_differences=accept_differences)


def run_all(
    spark: SparkSession,
    settings: Settings,
    as_of: dt.date,
    *,
    clock: Clock,
    allow_older: bool = False,
    rebuild: bool = False,
    accept_differences: bool = False,
) -> Outcome:
    """Run every step and publish; the same run again changes nothing. For `rebuild` see `begin`.

    Raises a ClvError of the kind that went wrong; readers then see what they saw before.
    """
    work = begin(spark, settings, as_of, clock(), rebuild=rebuild, accept_differences=accept_differences)
    before = Pointer(work.lake).current()
    if before is not None and before.snapshot_id == work.run.run_id:
        _finish_publication(work.lake, before)
        return Outcome("unchanged", work.run, before, None, work.progress)
    refuse_older(work.run, before, allow_older=allow_older)
    for absent in absent_sources(settings):
        work.progress.note(absent)
    _record_start(work, before)
    verdict = None
    for name in STEPS[:-1]:
        with work.progress.step(name):
            work, verdict = compute(work, name, clock)
    with work.progress.step("publish"):
        publication = _publish(work, before, clock)
    return Outcome("published", work.run, publication, verdict, work.progress)


def run_step(
    spark: SparkSession,
    settings: Settings,
    as_of: dt.date,
    name: str,
    *,
    clock: Clock,
    allow_older: bool = False,
    rebuild: bool = False,
    accept_differences: bool = False,
) -> Workspace:
    """Run one step of a run whose earlier steps have been run, in this or in other processes. See `begin`."""
    if name not in STEPS:
        raise UnknownCommand(f"there is no step {name}", expected=did_you_mean(name, STEPS))
    work = begin(spark, settings, as_of, clock(), rebuild=rebuild, accept_differences=accept_differences)
    before = Pointer(work.lake).current()
    if before is not None and before.snapshot_id == work.run.run_id:
        _finish_publication(work.lake, before)
        work.progress.note(f"run {work.run.run_id} is published already: step {name} has nothing to do")
        return work
    refuse_older(work.run, before, allow_older=allow_older)
    if name == "intake":
        _record_start(work, before)
    else:
        work = replace(work, run=require_silver(recorded(work.lake, work.run), work.run.run_id))
    if name not in ("audit", "publish") and work.lake.exists(DATA_QUALITY_RESULTS):
        work.lake.drop_snapshots(DATA_QUALITY_RESULTS, {work.run.run_id})  # what it audited is about to change
    with work.progress.step(name):
        if name == "publish":
            _publish_audited(work, before, clock)
        else:
            work, _ = compute(work, name, clock)
    return work


def _record_start(work: Workspace, before: Publication | None) -> None:
    """Record the run, and let readers keep their silver whatever the run writes; a table that is lost is made anew.

    Also the run before is recorded as published if its driver died before it could.
    """
    if before is not None:
        with suppress(ConflictError):  # that run is at work yet, and records it itself
            _finish_publication(work.lake, before)
    record(work.lake, work.run, STARTED)
    versions = before.silver_versions if before else {}

    def outlive(table: Table) -> None:
        if table.name in versions and work.lake.exists(table):
            upkeep.outlive_a_run(work.lake, table, versions[table.name])

    with ThreadPoolExecutor(max_workers=_PINNED_AT_A_TIME) as pool:
        list(pool.map(outlive, SILVER_TABLES))


def compute(work: Workspace, name: str, clock: Clock) -> tuple[Workspace, Verdict | None]:
    """Run one step but publish, and record what it found out; the audit has a verdict."""
    try:
        if name == "audit":
            verdict = auditing.audit(work)
            for result in verdict.warnings:
                work.progress.note(f"warning: {result.expectation.label}: {result.expectation.observed_value}")
            return work, verdict
        with _located(work), reported(f"step {name}", "computed"):
            work = _STEP_FUNCTIONS[name](work)
        if name == "intake":
            auditing.audit_intake(work)
    except (QualityGateFailed, NotReproduced) as error:
        status = GATE_FAILED if isinstance(error, QualityGateFailed) else REBUILD_REFUSED
        record(work.lake, work.run, status, clock())
        raise
    finally:
        work.release()
    if name == "intake":
        record(work.lake, work.run, STARTED)
    return work, None


@contextmanager
def _located(work: Workspace) -> Iterator[None]:
    """Where SQL over a source fails on some row, find out which, so that the user knows what to correct."""
    try:
        yield
    except FailingExpression as error:
        for name, pinned in work.sources.items():
            found = failing_columns(read_source(work.lake.spark, pinned), CONTRACTS[name], pinned.source)
            if found is not None:
                raise found from error
        raise


def _publish(work: Workspace, before: Publication | None, clock: Clock) -> Publication:
    """Publish, record it, and thin out snapshots that nobody needs."""
    now = clock()
    try:
        publication = auditing.publish(work, before, now)
    except ConflictError:
        record(work.lake, work.run, SUPERSEDED, now)
        raise
    record(work.lake, work.run, PUBLISHED, now)
    forget_snapshots(work, publication)
    return publication


def _finish_publication(lake: Lake, publication: Publication) -> None:
    """Make good what a driver left undone that died just after it had moved the pointer."""
    if recorded_status(lake, publication.snapshot_id) not in (PUBLISHED, None):
        record_published(lake, publication.snapshot_id, publication.published_at)
        create_catalog_views(lake, publication)


def _publish_audited(work: Workspace, before: Publication | None, clock: Clock) -> Publication:
    """As a step of its own: only a snapshot whose stored audit has no failed error may be published."""
    auditing.require_passed_audit(work)
    return _publish(work, before, clock)


def kept_snapshots(lake: Lake, settings: Settings, publication: Publication) -> set[str]:
    """The published snapshot, the one before it, and the latest published ones by the settings."""
    latest = published_runs(lake)[: settings.retention.snapshots_to_keep]
    always = (publication.snapshot_id, publication.previous_snapshot_id)
    return {*latest, *(snapshot_id for snapshot_id in always if snapshot_id is not None)}


def forget_snapshots(work: Workspace, publication: Publication) -> None:
    """Delete snapshots but the latest published ones; what is published and the one before it always stay."""
    surplus = work.lake.snapshots(DATA_QUALITY_RESULTS) - kept_snapshots(work.lake, work.settings, publication)
    if surplus:
        for table in GOLD_TABLES:
            work.lake.drop_snapshots(table, surplus)


_STEP_FUNCTIONS: Mapping[str, Callable[[Workspace], Workspace]] = {
    "intake": intake,
    "customers": gold.customers,
    "segments": gold.segments,
    "predictions": predicting.predictions,
    "experiments": experiments,
    "economics": gold.economics,
    "recurring": recurring,
}
