"""A driver that is killed at any moment leaves readers with the old or the new tables, and the next run ends right.

Not part of `make test`, since each death costs the start of a driver: `make test-kills`.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.contracts import PUBLISHED_TABLES
from clv_lib.contracts.control import DATA_QUALITY_RESULTS
from clv_lib.lake import Lake
from clv_lib.quality.comparison import compared, comparison
from clv_lib.steps import STEPS
from tests.spark import readers
from tests.spark.drivers import Driver, Ended, Kill, configuration
from tests.spark.nights import Shop, later

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from clv_lib.contracts.types import Table

KILLS = int(os.environ.get("CLV_KILLS", "50"))
"""Random moments at which drivers are killed."""
EVERY = int(os.environ.get("CLV_KILLS_EVERY", "1"))
"""1: a driver is killed at each commit of the steps, 5: at each fifth."""
SEED = int(os.environ.get("CLV_KILLS_SEED", "11"))
OF_WHOLE_RUNS = 0.2
"""Share of the random moments that lie in a whole run; the others lie in a step that runs by itself."""
PUBLISHING = (1, 2, 3, 10)
"""The pointer moves, the run is recorded, and the rest are deletions of the snapshot before last, a table each."""

DAY = dt.date(2024, 4, 30)


def orders(first: int, days: list[str]) -> list[dict[str, Any]]:
    """One order per day, of forty customers who buy more and less often."""
    return [
        {
            "order_id": f"o{first + n}",
            "customer_id": f"c{(first + n) * (first + n) % 40}",
            "ordered_at": f"{day}T10:00:00Z",
            "net_amount": f"{5 + (first + n) % 7}",
            "cost_amount": "2",
        }
        for n, day in enumerate(days)
    ]


def refund(number: int, order: int, day: str) -> dict[str, Any]:
    return {"refund_id": f"r{number}", "order_id": f"o{order}", "refund_amount": "1", "refunded_at": f"{day}T11:00:00Z"}


def first_day(shop: Shop) -> None:
    months = [(year, month) for year in (2023, 2024) for month in range(1, 13) if (year, month) < (2024, 5)]
    shop.insert("orders", orders(0, [f"{year}-{month:02}-{day:02}" for year, month in months for day in range(1, 28)]))
    shop.insert("refunds", [refund(0, 3, "2023-02-01")])


def another_day(shop: Shop, day: dt.date, number: int) -> None:
    """What came in since: a new day, a late order, one that was deleted, one that was repriced, a refund."""
    shop.insert("orders", orders(1000 * number, [f"{day}", f"{day}", "2023-02-03"]))
    shop.delete("orders", f"order_id = 'o{40 * number}'")
    shop.update("orders", {"net_amount": "'99'"}, f"order_id = 'o{70 * number}'")
    shop.insert("refunds", [refund(number, 100 + number, f"{day}")])


@dataclass
class Twin:
    """A lake over the shop's sources, and its commands; each command is a process."""

    name: str
    folder: Path
    environ: dict[str, str]

    def __post_init__(self) -> None:
        (self.folder / self.name).mkdir()
        self.lake = self.folder / self.name / "lake"
        self.config, self.summary = (self.folder / self.name / file for file in ("clv.yaml", "summary.json"))
        keep_few = "retention: {snapshots_to_keep: 1}"
        self.config.write_text(configuration(self.lake, self.folder, keep_few), encoding="utf-8")
        self.driver = Driver(self.folder / self.name, self.lake, self.environ)

    def run(self, day: dt.date, kill: Kill | None = None) -> Ended:
        return self._ended("run", "--as-of", f"{day}", "--summary-json", str(self.summary), kill=kill)

    def step(self, name: str, day: dt.date, kill: Kill | None = None) -> Ended:
        return self._ended("step", name, "--as-of", f"{day}", kill=kill)

    def _ended(self, *arguments: str, kill: Kill | None) -> Ended:
        ended = self.driver.clv(*arguments, "--config", str(self.config), kill=kill)
        assert ended.was_killed or ended.exit_code == 0, ended.log
        return ended

    def seconds(self) -> dict[str, float]:
        """Seconds of each step of the latest whole run."""
        return {step["name"]: step["seconds"] for step in json.loads(self.summary.read_text())["steps"]}


@dataclass
class Victim:
    """A night in a lake whose drivers are killed; `new` is what an undisturbed twin shows of the same night."""

    twin: Twin
    day: dt.date
    new: readers.Seen
    deaths: int = 0

    def __post_init__(self) -> None:
        self.old = readers.seen(self.twin.lake)

    def readers_see(self) -> str:
        """`old` or `new`: every row of one of them, by the pointer that belongs to it."""
        now = readers.seen(self.twin.lake)
        if now.pointer == self.old.pointer:
            assert now.checksums == self.old.checksums
            return "old"
        assert now.pointer["snapshot_id"] == self.new.pointer["snapshot_id"]
        assert now.checksums == self.new.checksums
        return "new"

    def dies(self, where: str, kill: Kill) -> Ended:
        """Run a step, or everything, until the driver is killed; readers are asked then."""
        run = self.twin.run(self.day, kill) if where == "run" else self.twin.step(where, self.day, kill)
        self.deaths += run.was_killed
        how = f"killed {kill}" if run.was_killed else "ended by itself"
        said = f"{where} {how}: {run.commits} commits, {run.seconds:.0f} s, readers see the {self.readers_see()} tables"
        print(f"{self.deaths:3} {said}", flush=True)  # noqa: T201 - it is run to see this
        return run


def killed_at_random_moments(victim: Victim, seconds: dict[str, float]) -> None:
    """Drivers die within their steps, each about as often as it takes long, and then within whole runs of the day."""
    chance, whole = random.Random(SEED), round(KILLS * OF_WHOLE_RUNS)
    print(f"seed {SEED}: {KILLS} moments")  # noqa: T201
    struck = chance.choices(STEPS[:-1], [seconds[step] for step in STEPS[:-1]], k=KILLS - whole)
    for step in STEPS[:-1]:
        longest = 2 * seconds[step]  # than within a run, whose Java is warm
        for _ in range(struck.count(step)):
            while not victim.dies(step, Kill(0, chance.uniform(0, longest), chance.random() < 0.2)).was_killed:
                longest /= 2
        victim.twin.step(step, victim.day)
        assert victim.readers_see() == "old"
    for _ in range(whole):
        victim.dies("run", Kill(after=chance.uniform(0, sum(seconds.values()))))
    victim.twin.run(victim.day)


def killed_at_each_commit(victim: Victim) -> None:
    """A driver dies at its first commit, the next one at its second, until one has ended before it could die."""
    for step in STEPS[:-1]:
        for number in itertools.count(1, EVERY):
            if not victim.dies(step, Kill(at_commit=number)).was_killed:
                break
    audited = victim.twin.lake.with_name("audited")
    shutil.copytree(victim.twin.lake, audited)
    for number in PUBLISHING:
        shutil.rmtree(victim.twin.lake)
        shutil.copytree(audited, victim.twin.lake)
        assert victim.readers_see() == "old"
        assert victim.dies("publish", Kill(at_commit=number)).was_killed
        victim.twin.run(victim.day)
        assert victim.readers_see() == "new"
        assert status(victim) == "published"


def status(victim: Victim) -> str:
    """What pipeline_runs says of the published run."""
    runs = readers.everything(victim.twin.lake / "control" / "pipeline_runs")
    return next(row["status"] for row in runs if row["run_id"] == victim.new.pointer["snapshot_id"])


@pytest.mark.drill
def test_killed_drivers_leave_the_old_or_the_new_tables_and_the_last_one_ends_right(
    request: pytest.FixtureRequest, tmp_path: Path, clean_environ: dict[str, str]
) -> None:
    """Of one night drivers are killed at random moments, of the next one at each commit; each goes on from the dead."""
    shop = Shop(None, tmp_path, ("orders", "refunds"))
    first_day(shop)
    calm = Twin("calm", tmp_path, clean_environ)
    calm.run(DAY)
    twin = Twin("killed", tmp_path, clean_environ)
    shutil.copytree(calm.lake, twin.lake)
    nights, deaths = [], 0
    for number in (1, 2):
        day = later(DAY, number)
        another_day(shop, day, number)
        ended = calm.run(day)
        print(f"undisturbed: {ended.commits} commits in {ended.seconds:.0f} s", flush=True)  # noqa: T201
        assert "made anew" not in ended.log
        victim = Victim(twin, day, readers.seen(calm.lake))
        if number == 1:
            killed_at_random_moments(victim, calm.seconds())
        else:
            killed_at_each_commit(victim)
        assert victim.readers_see() == "new" and status(victim) == "published"
        nights.append((victim.new.pointer, readers.pointer(twin.lake)))
        deaths += victim.deaths
    print(f"{deaths} drivers died")  # noqa: T201
    spark: SparkSession = request.getfixturevalue("spark")
    for undisturbed, found in nights:
        for table in PUBLISHED_TABLES:
            if table != DATA_QUALITY_RESULTS:
                rows = published(spark, calm, table, undisturbed), published(spark, twin, table, found)
                difference = comparison(table, compared(*rows, table).collect()[0].asDict())
                assert difference.is_same, difference


def published(spark: SparkSession, twin: Twin, table: Table, pointer: dict[str, Any]) -> DataFrame:
    lake = Lake(spark, str(twin.lake), is_path=True)
    if table.layer == "silver":
        return lake.read_state(table, pointer["silver_versions"][table.name])
    return lake.read_snapshot(table, pointer["snapshot_id"])
