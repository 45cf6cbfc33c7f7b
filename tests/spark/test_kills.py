"""A run that dies at any moment leaves readers with the old or the new tables, and the next run nothing to mend."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.cli import main
from clv_lib.contracts import PUBLISHED_TABLES
from clv_lib.contracts.control import DATA_QUALITY_RESULTS
from clv_lib.contracts.silver import STATE_TABLES
from clv_lib.lake import Lake, Pointer, register_views
from clv_lib.pipeline import run_all
from clv_lib.quality.comparison import compared, comparison
from clv_lib.settings import load_settings
from tests.spark.generated import INTERPRETED, conf
from tests.spark.kills import commits, dying_after, killed
from tests.spark.nights import NOW, Shop, assert_same, later, publish_silver, taken_in

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from clv_lib.contracts.types import Table

KILLS = int(os.environ.get("CLV_KILLS", "0"))
"""Random moments at which drivers are killed besides each commit; `make test-kills` takes an hour or more."""
EVERY = int(os.environ.get("CLV_KILLS_EVERY", "1"))
"""1: a driver is killed at each commit, 5: at each fifth."""
DAY = dt.date(2024, 4, 30)
CUSTOMERS = 12
SEEN = ("customer_orders", "customer_months", "customer_metrics", "segment_metrics", "data_quality_results")
COMPARED = tuple(table for table in PUBLISHED_TABLES if table != DATA_QUALITY_RESULTS)


def rows(first: int, days: list[str]) -> list[dict[str, Any]]:
    """One order per day, of one customer after the other."""
    return [
        {
            "order_id": f"o{first + n}",
            "customer_id": f"c{(first + n) % CUSTOMERS}",
            "ordered_at": f"{day}T10:00:00Z",
            "net_amount": f"{5 + (first + n) % 7}",
            "cost_amount": "2",
        }
        for n, day in enumerate(days)
    ]


def history() -> list[dict[str, Any]]:
    return rows(0, [f"2024-{month:02}-{day:02}" for month in range(1, 5) for day in range(1, 28)])


def changed(shop: Shop) -> None:
    """What came in since: a new day, a late order, one that was cancelled, one that was repriced."""
    shop.insert("orders", rows(200, ["2024-05-01", "2024-05-01", "2024-02-03"]))
    shop.delete("orders", "order_id = 'o40'")
    shop.update("orders", {"net_amount": "'99'"}, "order_id = 'o70'")


def seen(lake: Lake) -> dict[str, list[str]]:
    """Every row of some published tables as readers see them."""
    now = Pointer(lake).current()
    assert now is not None
    register_views(lake, now)
    views = {name: lake.spark.table(name) for name in SEEN}
    return {name: sorted(map(str, view.toArrow().to_pylist())) for name, view in views.items()}


def test_silver_is_old_or_new_wherever_a_run_dies(spark: SparkSession, tmp_path: Path) -> None:
    """Runs of the same day die after ever more commits, on what the ones before left; the last one ends."""
    shop, day = Shop(spark, tmp_path, ("orders",)), later(DAY, 1)
    shop.insert("orders", history())
    settings = shop.settings("lake")
    with conf(spark, INTERPRETED):
        lake = shop.night(DAY).lake

        def silver() -> dict[str, list[str]]:
            now = Pointer(lake).current()
            assert now is not None
            stored = {t.name: lake.read_state(t, now.silver_versions[t.name]) for t in STATE_TABLES}
            return {name: sorted(map(str, rows.toArrow().to_pylist())) for name, rows in stored.items()}

        changed(shop)
        old = silver()
        for point in (1, 4, 7):
            with dying_after(point) as written:
                publish_silver(taken_in(spark, settings, day))
            assert len(written) >= point, "the run ended before it could die"
            assert silver() == old
        work = shop.night(day)
        assert work.run.refreshed_from is not None
        assert_same(work, shop.rebuilt(day))
        new = silver()
        assert new != old

        # The pointer has moved when the driver dies: readers see the new tables.
        shop.insert("orders", rows(300, ["2024-05-02"]))
        work = taken_in(spark, settings, later(day, 1))
        with dying_after(2) as written:
            publish_silver(work)
        assert written == ["pipeline_runs", "published"]
        read = {t.name: work.read(t).toArrow().to_pylist() for t in STATE_TABLES}
        assert silver() == {name: sorted(map(str, rows)) for name, rows in read.items()} != new


CONFIGURATION = """
lake: {folder}/{lake}
reporting: {{currency: GBP}}
sources: {{orders: {{table: {folder}/orders}}}}
segments: [{{type: channel}}]
predictions: {{model: bg_nbd, holdout_days: 0}}
forecasts: {{months: 0}}
spark:
  spark.master: local[2]
  spark.sql.shuffle.partitions: "1"
  spark.sql.codegen.wholeStage: "false"
  spark.sql.codegen.factoryMode: NO_CODEGEN
  spark.sql.adaptive.enabled: "false"
  spark.databricks.delta.stats.skipping: "false"
  spark.driver.extraJavaOptions: -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
"""


@dataclass
class Victim:
    """Copies of a published lake of which each serves until a run of the day has published in it."""

    spark: SparkSession
    folder: Path
    expected: dict[str, DataFrame]
    copies: int = 0

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.copies += 1
        self.name = f"lake_{self.copies}"
        shutil.copytree(self.folder / "published", self.folder / self.name)
        self.lake = Lake(self.spark, str(self.folder / self.name), is_path=True)
        self.published, self.old = Pointer(self.lake).current(), seen(self.lake)
        file = self.folder / f"{self.name}.yaml"
        file.write_text(CONFIGURATION.format(folder=self.folder, lake=self.name), encoding="utf-8")
        self.command = ["run", "--config", str(file), "--as-of", str(later(DAY, 1))]

    def is_old(self) -> bool:
        """Whether readers see the old tables, every row of them; else they must see the whole new ones."""
        if Pointer(self.lake).current() == self.published:
            assert seen(self.lake) == self.old
            return True
        self.ends()
        return False

    def ends(self) -> None:
        """The same command again ends well, and all tables are those of the run that nobody disturbed."""
        before = Pointer(self.lake).current()
        if before != self.published:
            self._same()
        assert main(self.command) == 0
        self._same()

    def _same(self) -> None:
        for table in COMPARED:
            row = compared(self.expected[table.name], published_rows(self.lake, table), table).collect()[0]
            difference = comparison(table, row.asDict())
            assert difference.is_same, difference


def published_rows(lake: Lake, table: Table) -> DataFrame:
    now = Pointer(lake).current()
    assert now is not None
    if table.layer == "silver":
        return lake.read_state(table, now.silver_versions[table.name])
    return lake.read_snapshot(table, now.snapshot_id)


@pytest.mark.skipif(not KILLS, reason="takes an hour or more: make test-kills")
def test_whole_runs_are_killed_at_each_commit_and_at_random_moments(
    spark: SparkSession, tmp_path: Path, clean_environ: dict[str, str]
) -> None:
    """SIGKILL of the driver: readers see old or new, whole, and the run after the killed ones gives the same tables.

    Each run begins on what the killed ones before it have left.
    """
    shop, chance = Shop(spark, tmp_path, ("orders",)), random.Random(11)
    shop.insert("orders", history())
    published, calm = (
        load_settings(None, text=CONFIGURATION.format(folder=tmp_path, lake=name), environ={}).settings
        for name in ("published", "undisturbed")
    )
    run_all(spark, published, DAY, clock=lambda: NOW)
    shutil.copytree(published.lake, calm.lake)
    changed(shop)
    before = commits(Path(calm.lake))
    assert run_all(spark, calm, later(DAY, 1), clock=lambda: NOW).run.refreshed_from is not None
    count, lake = len(commits(Path(calm.lake)) - before), Lake(spark, calm.lake, is_path=True)
    victim = Victim(spark, tmp_path, {table.name: published_rows(lake, table) for table in COMPARED})

    kills: list[dict[str, Any]] = [{"after": chance.uniform(3, 60)} for _ in range(KILLS)]
    kills += [{"at_commit": point} for point in range(1, count + 1, EVERY)]
    print(f"an undisturbed run makes {count} commits")  # noqa: T201 - it is run to see this
    for kill in kills:
        made = killed(victim.command, Path(victim.lake.root), clean_environ, **kill)
        is_old = victim.is_old()
        print(kill, f"{made} commits, readers saw the {'old' if is_old else 'new'} tables", flush=True)  # noqa: T201
        if not is_old:
            victim.renew()
    victim.ends()
