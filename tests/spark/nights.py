"""Sources that change from night to night, and what a refresh of silver must equal: a rebuild of the same versions."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from clv_lib.contracts.put_aside import CONSERVATION, QUARANTINED_ROWS
from clv_lib.contracts.silver import STATE_TABLES
from clv_lib.lake import Lake, Pointer
from clv_lib.pipeline import begin
from clv_lib.pipeline.intake import intake
from clv_lib.runs import PUBLISHED, record
from clv_lib.settings import load_settings
from tests.spark import readers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.contracts.types import Table
    from clv_lib.pipeline.workspace import Workspace
    from clv_lib.settings import Settings

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
COMPARED: tuple[Table, ...] = (*STATE_TABLES, QUARANTINED_ROWS, CONSERVATION)
CURRENCY = "GBP"


def taken_in(spark: SparkSession, settings: Settings, as_of: dt.date, **options: bool) -> Workspace:
    """The intake of a run, nothing else of it."""
    work = begin(spark, settings, as_of, NOW, **options)
    with work.progress.step("intake"):
        work = intake(work)
    work.release()
    return work


def publish_silver(work: Workspace) -> None:
    """Publish what an intake wrote, without the tables that derive from it."""
    before = Pointer(work.lake).current()
    at = NOW + dt.timedelta(days=before.sequence if before else 0)
    record(work.lake, work.run, PUBLISHED, at)
    Pointer(work.lake).move(before, work.run.run_id, work.as_of, work.run.silver_versions, at)


@dataclass
class Shop:
    """Source tables of text columns below a folder, and a lake; rows are written by another engine than Spark."""

    spark: SparkSession | None
    folder: Path
    sources: Sequence[str]
    feed: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    rebuilds: int = 0
    lake: str = "lake"

    def configuration(self, lake: str) -> str:
        lines = [f"lake: {self.folder / lake}", f"reporting: {{currency: {CURRENCY}, time_zone: Europe/London}}"]
        lines += ["gate: {allow_empty: true}", "sources:"]
        lines += [f"  {name}: {{table: {self.folder / name}{self.options.get(name, '')}}}" for name in self.sources]
        lines += [f"silver: {{customer_buckets: {self.options.get('buckets', 1)}}}", *self.options.get("settings", [])]
        return "\n".join(lines)

    def settings(self, lake: str) -> Settings:
        return load_settings(None, text=self.configuration(lake), environ={}).settings

    def insert(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows in one commit; the first ones make the table."""
        if not rows:
            return
        columns = list(rows[0])
        schema = pa.schema([(column, pa.string()) for column in columns])
        table = pa.table({c: [None if r[c] is None else f"{r[c]}" for r in rows] for c in columns}, schema=schema)
        configuration = {"delta.enableChangeDataFeed": "true"} if self.feed else {}
        write_deltalake(str(self.folder / name), table, mode="append", configuration=configuration)

    def delete(self, name: str, predicate: str) -> None:
        DeltaTable(str(self.folder / name)).delete(predicate)

    def update(self, name: str, values: dict[str, str], predicate: str) -> None:
        DeltaTable(str(self.folder / name)).update(predicate=predicate, updates=values)

    def restate(self, name: str) -> None:
        """Write every row again, in other files."""
        table = DeltaTable(str(self.folder / name)).to_pyarrow_table()
        write_deltalake(str(self.folder / name), table, mode="overwrite")

    def night(self, as_of: dt.date, **options: bool) -> Workspace:
        """Bring silver up to date and publish it."""
        work = taken_in(self.spark, self.settings(self.lake), as_of, **options)
        publish_silver(work)
        return work

    def abandoned(self, as_of: dt.date, dies_after: int) -> list[str]:
        """A run dies when it has replaced parts of so many tables of silver; their names."""
        written: list[str] = []
        replace_in_state = Lake.replace_in_state

        def counted(lake: Lake, table: Table, *others: Any) -> tuple[int, int]:
            if len(written) == dies_after:
                raise KeyboardInterrupt
            written.append(table.name)
            return replace_in_state(lake, table, *others)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Lake, "replace_in_state", counted)
            with pytest.raises(KeyboardInterrupt):
                taken_in(self.spark, self.settings(self.lake), as_of)
        return written

    def rebuilt(self, as_of: dt.date) -> Workspace:
        """The same in an empty lake."""
        self.rebuilds += 1
        work = taken_in(self.spark, self.settings(f"rebuilt_{self.rebuilds}"), as_of)
        assert work.run.refreshed_from is None
        return work


def rows_of(work: Workspace, table: Table) -> list[str]:
    """The rows that a run wrote, read by another engine than Spark, which plans nothing for it."""
    own = {"silver_versions": work.run.silver_versions, "snapshot_id": work.run.run_id}
    return sorted(map(str, readers.rows(Path(work.lake.root), table, own)))


def assert_same(refreshed: Workspace, rebuilt: Workspace) -> None:
    """Every table of the intake, row by row and column by column."""
    for table in COMPARED:
        found, expected = rows_of(refreshed, table), rows_of(rebuilt, table)
        missing, surplus = sorted(set(expected) - set(found))[:2], sorted(set(found) - set(expected))[:2]
        assert found == expected, f"{table.name}\nmissing {missing}\nsurplus {surplus}"
    assert refreshed.run.value_basis == rebuilt.run.value_basis


def disturbed(shop: Shop, chance: random.Random, held_back: dict[str, list[dict[str, Any]]]) -> None:
    """A day's commits: late rows arrive, rows are changed, moved to another customer or day, deleted, restated."""
    ids = {"orders": "order_id", "refunds": "refund_id", "exchange_rates": "rate_date"}
    for name in shop.sources:
        waiting = held_back[name]
        chance.shuffle(waiting)
        count = chance.randint(0, max(1, len(waiting) // 2))
        shop.insert(name, waiting[:count])
        held_back[name] = waiting[count:]
        stored = DeltaTable(str(shop.folder / name)).to_pyarrow_table().to_pylist()
        known = sorted({row[ids[name]] for row in stored if row[ids[name]]})
        picked = chance.sample(known, min(len(known), chance.randint(1, 3)))
        for kind, value in zip(chance.sample(list(_CHANGES[name]), len(_CHANGES[name])), picked, strict=False):
            change = _CHANGES[name][kind]
            if change is None:
                shop.delete(name, f"{ids[name]} = '{value}'")
            else:
                shop.update(name, change, f"{ids[name]} = '{value}'")
        if chance.random() < 0.2:
            shop.restate(name)


_CHANGES: dict[str, dict[str, dict[str, str] | None]] = {
    "orders": {
        "erased": None,
        "repriced": {"gross_amount": "'31.25'"},
        "merged": {"customer_id": "'c03'"},
        "moved": {"ordered_at": "'2023-05-31T23:30:00Z'"},
        "cancelled": {"order_status": "'cancelled'"},
        "anonymous": {"customer_id": "cast(null as string)"},
        "broken": {"gross_amount": "'much'"},
        "repaired": {"gross_amount": "'12'", "discount_amount": "'0'", "ordered_at": "'2023-08-01T10:00:00Z'"},
    },
    "refunds": {
        "erased": None,
        "other amount": {"refund_amount": "'0.75'"},
        "too much": {"refund_amount": "'9000'"},
        "no order": {"order_id": "cast(null as string)"},
        "later": {"refunded_at": "'2024-02-10T00:00:00Z'"},
    },
    "exchange_rates": {"erased": None, "other rate": {"rate": "'0.5'"}},
}


def order(number: int, customer: str, day: str, amount: str = "10") -> dict[str, Any]:
    return {"order_id": f"o{number}", "customer_id": customer, "ordered_at": f"{day}T10:00:00Z", "net_amount": amount}


def later(day: dt.date, days: int) -> dt.date:
    return day + dt.timedelta(days=days)
