"""Write, audit, publish: readers see one whole audited snapshot, whatever fails, races or is killed in between."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from clv_lib.cli.publications import move_back
from clv_lib.contracts.control import DATA_QUALITY_RESULTS, PIPELINE_RUNS
from clv_lib.contracts.customers import CUSTOMER_METRICS, CUSTOMER_RFM
from clv_lib.contracts.put_aside import CONSERVATION, QUARANTINED_ROWS
from clv_lib.contracts.segments import CUSTOMER_SEGMENTS, SEGMENTS
from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS
from clv_lib.errors import ConflictError, LakeError, QualityGateFailed
from clv_lib.lake import Pointer, Publication, register_views
from clv_lib.pipeline import audit as auditing
from clv_lib.pipeline import run_all, run_step
from clv_lib.quality import gate
from clv_lib.runs import STARTED, record
from clv_lib.steps import STEPS
from tests.spark import readers
from tests.spark.scans import counted_scans

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.lake import Lake

NEXT = dt.date(2025, 7, 31)
NOW = dt.datetime(2025, 8, 1, 6, tzinfo=dt.timezone.utc)
FEW_TABLES = (CUSTOMER_METRICS, CUSTOMER_RFM, QUARANTINED_ROWS, CONSERVATION)
"""Enough to be judged where the verdict is not about the tables."""
SEEN = ("customer_orders", "customer_metrics", "segment_metrics", "customer_predictions")


def seen_by_readers(lake: Lake) -> dict[str, tuple[Any, ...]]:
    """Rows of some published tables, silver and gold, and the days that they name."""
    publication = Pointer(lake).current()
    assert publication is not None
    register_views(lake, publication)
    views = {name: lake.spark.table(name) for name in SEEN}
    day = {
        name: F.max("as_of_date" if "as_of_date" in view.columns else "ordered_date") for name, view in views.items()
    }
    return {name: tuple(view.agg(F.count("*"), day[name]).collect()[0]) for name, view in views.items()}


def step(demo: Any, name: str, as_of: dt.date = NEXT, **options: bool) -> Any:
    """One step of the run of a later day."""
    return run_step(demo.lake.spark, demo.settings, as_of, name, clock=lambda: NOW, **options)


def status_of(lake: Lake, run_id: str) -> str:
    """What pipeline_runs says about a run."""
    return str(lake.read_rows(PIPELINE_RUNS).where(F.col("run_id") == run_id).collect()[0].status)


@dataclass(frozen=True)
class Candidate:
    """A lake with a published snapshot and a later one that is written but not audited."""

    demo: Any
    run_id: str
    published: Publication
    seen_before: dict[str, tuple[Any, ...]]
    seen_after_step: dict[str, bool]
    scans: dict[str, int]
    order_scans: dict[str, int]


@pytest.fixture(scope="module")
def candidate(published: Any, tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """Every step of a later day but audit and publish: did readers see the same rows, its scans of silver."""
    demo = published.demo.copy(tmp_path_factory.mktemp("candidate") / "lake").with_less_to_compute()
    before, after, scans, of_orders = readers.seen(Path(demo.lake.root)), {}, {}, {}
    with counted_scans(demo.lake.spark) as counted:
        for name in STEPS[:-2]:
            work = step(demo, name)
            scans[name], of_orders[name] = counted.taken_of(CUSTOMER_MONTHS.name, CUSTOMER_ORDERS.name)
            after[name] = readers.seen(Path(demo.lake.root)) == before
    seen = seen_by_readers(demo.lake)
    return Candidate(demo, work.run.run_id, published.outcome.publication, seen, after, scans, of_orders)


@pytest.fixture
def demo(candidate: Candidate, spark: SparkSession, tmp_path: Path) -> Any:
    """A copy of the candidate's lake, to be changed."""
    return candidate.demo.copy(tmp_path / "lake")


def test_readers_see_the_old_snapshot_after_every_step(candidate: Candidate) -> None:
    assert candidate.seen_after_step == dict.fromkeys(STEPS[:-2], True)


def test_each_step_reads_the_months_of_customers_once_at_most(candidate: Candidate) -> None:
    of_gold = {
        name: candidate.scans[name] for name in ("customers", "segments", "experiments", "economics", "recurring")
    }
    assert of_gold == {"customers": 1, "segments": 0, "experiments": 1, "economics": 1, "recurring": 0}


def test_no_step_after_the_customers_computes_from_orders(candidate: Candidate) -> None:
    later = ("segments", "experiments", "economics", "recurring")
    assert {name: candidate.order_scans[name] for name in later} == dict.fromkeys(later, 0)
    assert candidate.order_scans["customers"] > 0  # those of the months in which trailing windows begin


def test_a_snapshot_without_an_audit_is_not_published(candidate: Candidate, demo: Any) -> None:
    with pytest.raises(QualityGateFailed, match="no audit"):
        step(demo, "publish")
    assert Pointer(demo.lake).current() == candidate.published


def test_steps_of_another_day_need_their_own_intake(demo: Any) -> None:
    with pytest.raises(LakeError, match="needs the intake of the same run"):
        step(demo, "customers", NEXT + dt.timedelta(days=1))


def spoil(candidate: Candidate, lake: Lake) -> None:
    """Change three stored tables of the candidate: a value against a rule, a key twice, a row lost."""
    metrics = lake.read_snapshot(CUSTOMER_METRICS, candidate.run_id).localCheckpoint()
    victim = metrics.agg(F.min("customer_id")).collect()[0][0]
    is_victim = F.col("customer_id") == victim
    negative = F.when(is_victim, F.lit(-1)).otherwise(F.col("refunded_order_count"))
    lake.write_snapshot(CUSTOMER_METRICS, metrics.withColumn("refunded_order_count", negative), candidate.run_id)
    rfm = lake.read_snapshot(CUSTOMER_RFM, candidate.run_id).localCheckpoint()
    lake.write_snapshot(CUSTOMER_RFM, rfm.union(rfm.where(is_victim)), candidate.run_id)
    segments = lake.read_snapshot(SEGMENTS, candidate.run_id).localCheckpoint()
    lake.write_snapshot(SEGMENTS, segments.where("segment_id <> 'channel:organic'"), candidate.run_id)


def test_the_gate_names_what_is_broken_in_a_stored_candidate_and_publishes_nothing(
    candidate: Candidate, demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "AUDITED_TABLES", (*FEW_TABLES, CUSTOMER_SEGMENTS, SEGMENTS))
    spoil(candidate, demo.lake)
    with pytest.raises(QualityGateFailed) as refused:
        step(demo, "audit")
    text = str(refused.value)
    assert refused.value.exit_code == 4
    for named in (
        "customer_metrics: refunded_order_count_check",
        "1 rows that break it",
        "customer_rfm: unique_key",
        "1 keys that occur more than once",
        "segments: segments_count_members",
        "customer_rfm: rfm_covers_customers",
        "keys (hashed): ",
        "nothing was published",
    ):
        assert named in text
    victim = demo.lake.read_snapshot(CUSTOMER_RFM, candidate.run_id).agg(F.min("customer_id")).collect()[0][0]
    assert victim not in text
    results = demo.lake.read_snapshot(DATA_QUALITY_RESULTS, candidate.run_id).where("not is_success")
    broken = {(row.table_name, row.expectation) for row in results.where("severity = 'error'").collect()}
    assert ("customer_rfm", "unique_key") in broken and len(broken) >= 4
    assert status_of(demo.lake, candidate.run_id) == "gate_failed"
    with pytest.raises(QualityGateFailed, match="has not passed the gate"):
        step(demo, "publish")
    assert Pointer(demo.lake).current() == candidate.published
    assert seen_by_readers(demo.lake) == candidate.seen_before


def raising(_: Any) -> Any:
    """Great Expectations that cannot work at all."""
    raise RuntimeError("no such validator")


def leaving_out_a_result(expected: Any, validate: Any = gate._validate) -> Any:
    """Great Expectations that forgets one of its results."""
    validation = validate(expected)
    validation.results = validation.results[:-1]
    return validation


@pytest.mark.parametrize(
    ("validate", "says"),
    [(raising, "RuntimeError: no such validator"), (leaving_out_a_result, "results for")],
    ids=["it raises", "it leaves out a result"],
)
def test_a_crash_within_the_gate_publishes_nothing_and_the_same_steps_again_publish(
    candidate: Candidate, demo: Any, monkeypatch: pytest.MonkeyPatch, validate: Any, says: str
) -> None:
    monkeypatch.setattr(auditing, "AUDITED_TABLES", FEW_TABLES)
    with monkeypatch.context() as broken:
        broken.setattr(gate, "_validate", validate)
        with pytest.raises(QualityGateFailed, match="could not judge the candidate") as refused:
            step(demo, "audit")
    text = str(refused.value)
    assert says in text and "nothing was published" in text and "clv doctor" in text
    results = demo.lake.read_snapshot(DATA_QUALITY_RESULTS, candidate.run_id)
    assert results.count() > 100 and results.where("is_success").isEmpty()
    assert status_of(demo.lake, candidate.run_id) == "gate_failed"
    with pytest.raises(QualityGateFailed, match="has not passed the gate"):
        step(demo, "publish")
    assert Pointer(demo.lake).current() == candidate.published
    step(demo, "audit")
    step(demo, "publish")
    assert status_of(demo.lake, candidate.run_id) == "published"


def test_a_candidate_that_cannot_be_read_back_is_named_and_not_published(
    candidate: Candidate, demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "AUDITED_TABLES", FEW_TABLES)
    folder = Path(demo.lake.place(CUSTOMER_RFM)) / f"snapshot_id={candidate.run_id}"
    for file in folder.glob("*.parquet"):
        file.rename(file.with_suffix(".lost"))
    with pytest.raises(LakeError, match="could not be read back") as lost:
        step(demo, "audit")
    assert lost.value.where == demo.lake.place(CUSTOMER_RFM) and "a data file is" in str(lost.value)
    with pytest.raises(QualityGateFailed, match="no audit"):
        step(demo, "publish")
    assert Pointer(demo.lake).current() == candidate.published
    for file in folder.glob("*.lost"):
        file.rename(file.with_suffix(".parquet"))
    step(demo, "audit")
    step(demo, "publish")
    assert status_of(demo.lake, candidate.run_id) == "published"


def test_an_audited_snapshot_is_published_whole_and_the_old_one_can_come_back(
    candidate: Candidate, published: Any, demo: Any
) -> None:
    lake = demo.lake
    step(demo, "audit")
    assert seen_by_readers(lake) == candidate.seen_before
    work = step(demo, "publish")
    now = Pointer(lake).current()
    assert now is not None and (now.snapshot_id, now.sequence) == (candidate.run_id, 2)
    assert now.previous_snapshot_id == candidate.published.snapshot_id
    seen = seen_by_readers(lake)
    assert all(seen[name][1] == NEXT for name in SEEN if name != "customer_orders")
    # As if the driver had died right after it moved the pointer.
    record(lake, work.run, STARTED)
    step(demo, "publish")
    assert status_of(lake, candidate.run_id) == "published"
    assert {candidate.run_id, candidate.published.snapshot_id} <= lake.snapshots(CUSTOMER_METRICS)

    old = demo.as_of
    with pytest.raises(ConflictError, match="a later as-of date is already published"):
        run_all(lake.spark, demo.settings, old, clock=lambda: NOW)
    back = move_back(lake, now, candidate.published.snapshot_id, NOW)
    assert back.sequence == 3 and back.silver_versions == candidate.published.silver_versions
    assert seen_by_readers(lake) == candidate.seen_before

    again = move_back(lake, back, candidate.run_id, NOW)
    assert seen_by_readers(lake) == seen
    as_then = replace(demo, settings=published.demo.settings.model_copy(update={"lake": demo.settings.lake}))
    step(as_then, "publish", old, allow_older=True)
    assert seen_by_readers(lake) == candidate.seen_before
    with pytest.raises(ConflictError, match="another run published"):
        Pointer(lake).move(again, "late", NEXT, {}, NOW)


def test_of_two_publications_at_once_exactly_one_wins(published: Any, spark: SparkSession, tmp_path: Path) -> None:
    together = threading.Barrier(2)
    pointer = Pointer(published.demo.copy(tmp_path / "lake").lake)
    before = published.outcome.publication

    def publish(snapshot_id: str) -> Publication | ConflictError:
        together.wait(timeout=60)
        try:
            return pointer.move(before, snapshot_id, NEXT, before.silver_versions, NOW)
        except ConflictError as lost:
            return lost

    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(publish, ["first", "second"]))
    winners = [result for result in results if isinstance(result, Publication)]
    losers = [result for result in results if isinstance(result, ConflictError)]
    assert len(winners) == len(losers) == 1
    assert pointer.current() == winners[0]
    assert losers[0].exit_code == 5 and f"published now: {winners[0].snapshot_id}" in str(losers[0])
    assert winners[0].sequence == 2


def test_the_loser_of_a_race_is_recorded_and_its_tables_stay_unseen(candidate: Candidate, demo: Any) -> None:
    from clv_lib.pipeline import _publish, begin
    from clv_lib.runs import recorded

    work = begin(demo.lake.spark, demo.settings, NEXT, NOW)
    run = recorded(demo.lake, work.run)
    assert run is not None
    other = Pointer(demo.lake).move(
        candidate.published, candidate.published.snapshot_id, demo.as_of, candidate.published.silver_versions, NOW
    )
    with pytest.raises(ConflictError):
        _publish(replace(work, run=run), candidate.published, lambda: NOW)
    assert Pointer(demo.lake).current() == other
    assert status_of(demo.lake, candidate.run_id) == "superseded"


def killed(demo: Any, name: str, at: str, environ: dict[str, str]) -> None:
    """One step of the later day in a process of its own, which SIGKILL ends when it has said `at`."""
    command = [sys.executable, "-m", "clv_lib.cli", "step", name, "--as-of", str(NEXT), *demo.arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environ) as job:
        assert job.stderr is not None
        said = []
        for line in job.stderr:
            said.append(line)
            if at in line:
                job.send_signal(signal.SIGKILL)
                break
        job.wait(timeout=60)
    assert job.returncode == -signal.SIGKILL, "".join(said)


@pytest.mark.slow
def test_a_killed_step_leaves_the_old_snapshot_and_can_be_run_again(
    candidate: Candidate, demo: Any, clean_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL when a step has written one of its tables."""
    killed(demo, "segments", "wrote customer_segments", clean_environ)
    assert seen_by_readers(demo.lake) == candidate.seen_before
    monkeypatch.setattr(auditing, "AUDITED_TABLES", FEW_TABLES)
    for name in ("segments", "audit", "publish"):
        step(demo, name)
    now = Pointer(demo.lake).current()
    assert now is not None and now.snapshot_id == candidate.run_id
    of_segments = demo.lake.read_snapshot(CUSTOMER_SEGMENTS, candidate.run_id)
    assert of_segments.count() == of_segments.select("customer_id", "segment_id").distinct().count() > 0
