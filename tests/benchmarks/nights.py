"""Silver of a night with one new day, and of one with an order of two years ago, beside making all of it anew.

And what the audit takes to read it back, beside reading all of it.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clv_lib.contracts.control import SILVER_PROFILES
from clv_lib.contracts.silver import STATE_TABLES
from clv_lib.pipeline.read_back import NOTHING_AUDITED, Audited, audited_before, silver_figures, stored_profile
from clv_lib.settings import load_settings
from tests.benchmarks.events import Work, show_work, work_by_step
from tests.benchmarks.measuring import heading, session
from tests.benchmarks.pipeline import AS_OF, SETTINGS, generated_orders, refunds_of, skewed
from tests.spark.nights import publish_silver, taken_in

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from clv_lib.pipeline.workspace import Workspace
    from clv_lib.quality.profile import TableProfile
    from clv_lib.settings import Settings

_LATE = AS_OF.replace(year=AS_OF.year - 2)
_FILES = 8


@dataclass(frozen=True)
class Night:
    """What a night was about, how long its intake took, and when; how long its silver took to be read back, and all."""

    name: str
    seconds: float
    span: tuple[float, float]
    audit_seconds: float
    whole_audit_seconds: float


def measure(folder: Path, count: int, buckets: int, *, is_skewed: bool, with_refunds: bool) -> None:
    """Generate about `count` orders of three years and print what the intake of some nights costs."""
    text = SETTINGS.format(folder=folder) + (f"  refunds: {{table: {folder}/refunds}}\n" if with_refunds else "")
    settings = load_settings(None, text=f"{text}silver: {{customer_buckets: {buckets}}}", environ={}).settings
    spark = session(folder)
    orders = skewed(generated_orders(spark, count)) if is_skewed else generated_orders(spark, count)
    tables = {"orders": (orders, "ordered_at")}
    if with_refunds:
        tables["refunds"] = (refunds_of(orders), "refunded_at")
    for name, (rows, instant) in tables.items():
        before = rows.where(f"{instant} < timestamp'{AS_OF}'").repartitionByRange(_FILES, instant)
        _append(before.sortWithinPartitions(instant), folder / name)
    written = spark.read.format("delta").load(str(folder / "orders")).count()
    how = "a tenth of them by one customer, half in one month" if is_skewed else "of three years"
    how += ", a tenth of them refunded" if with_refunds else ""
    heading(f"{written:,} orders, {how}, {buckets} buckets of customers")
    yesterday = AS_OF - dt.timedelta(days=1)
    nights = [_night(spark, settings, "all read anew", yesterday)]
    for name, (rows, instant) in tables.items():
        of_day = f"{instant} >= timestamp'{AS_OF}' and {instant} < timestamp'{AS_OF + dt.timedelta(days=1)}'"
        _append(rows.where(of_day).coalesce(1), folder / name)
    nights.append(_night(spark, settings, "one new day", AS_OF))
    nights.append(_night(spark, settings, "a quiet day", AS_OF + dt.timedelta(days=1)))
    late = (
        orders.where(f"ordered_at >= timestamp'{AS_OF}'")
        .limit(1)
        .selectExpr(
            "'late' as order_id",
            "customer_id",
            f"timestamp'{_LATE} 12:00:00' as ordered_at",
            "net_amount",
            "cost_amount",
            "channel",
        )
    )
    _append(late, folder / "orders")
    nights.append(_night(spark, settings, "one order of two years ago", AS_OF + dt.timedelta(days=2)))
    heading("Seconds of the intake, and its share of the time to read all anew")
    for night in nights:
        print(f"{night.seconds:9.1f} s {night.seconds / nights[0].seconds:7.1%}  {night.name}", flush=True)
    heading("Seconds of the audit of silver, and of reading all of it instead")
    for night in nights:
        print(f"{night.audit_seconds:9.1f} s {night.whole_audit_seconds:9.1f} s  {night.name}", flush=True)
    spark.stop()
    heading("Work by night, from the event log")
    spans = {night.name: night.span for night in nights}
    found: dict[str, Work] = work_by_step(folder / "events", spans, (nights[0].span[0], nights[-1].span[1]))
    show_work(found)


def _append(rows: DataFrame, table: Path) -> None:
    rows.write.format("delta").mode("append").save(str(table))


def _night(spark: SparkSession, settings: Settings, name: str, as_of: dt.date) -> Night:
    """Run the intake, read its silver back, and publish it without the tables that derive from it."""
    began, started = dt.datetime.now(dt.timezone.utc).timestamp(), time.monotonic()
    work = taken_in(spark, settings, as_of)
    seconds = time.monotonic() - started
    found, audit_seconds = _read_back(work, audited_before(work))
    whole, whole_seconds = _read_back(work, NOTHING_AUDITED)
    if found != whole:
        raise ValueError(f"{name}: the audit of what was replaced found {found}, that of everything {whole}")
    work.write(SILVER_PROFILES, work.frame(SILVER_PROFILES, silver_figures(found)))
    work.release()
    publish_silver(work)
    return Night(name, seconds, (began, began + seconds), audit_seconds, whole_seconds)


def _read_back(work: Workspace, before: Audited) -> tuple[dict[str, TableProfile], float]:
    """The profiles of silver, and the seconds that they took."""
    started = time.monotonic()
    found = {table.name: stored_profile(work, table, before) for table in STATE_TABLES}
    return found, time.monotonic() - started
