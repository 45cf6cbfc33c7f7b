"""A week of nights by the command line: dirt, late rows, a refusal, a killed driver, an erasure, upkeep and a rollback.

Not part of `make test`, since each night is a whole run in a process of its own: `make test-week`.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import re
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clv_lib.contracts.silver import STATE_TABLES
from tests.spark import readers
from tests.spark.drivers import Driver, Ended, Kill, configuration
from tests.spark.nights import Shop, later
from tests.spark.week import (
    BROKEN,
    FIRST_NIGHT,
    agreed,
    days_orders,
    dirt,
    history,
    mentions,
    order,
    refund,
)

ERASED = "c07"
LONG_AGO = dt.date(2022, 6, 3)


@dataclass
class Week:
    """The shop, its lake, and commands over it; whatever a night does is checked against the rows of the sources."""

    shop: Shop
    driver: Driver
    told: list[str] = field(default_factory=list)

    @property
    def lake(self) -> Path:
        return self.driver.lake

    def clv(self, command: str, *arguments: str, exit_code: int = 0, kill: Kill | None = None) -> Ended:
        config = str(self.shop.folder / "clv.yaml")
        ended = self.driver.clv(command, *arguments, "--config", config, kill=kill)
        assert ended.exit_code == exit_code, ended.log
        said = f"{command} {' '.join(arguments)}: exit code {ended.exit_code}, {ended.seconds:.0f} s"
        print(f"  {said}, {ended.commits} commits", flush=True)  # noqa: T201 - it is run to see this
        return ended

    def run(self, day: dt.date, exit_code: int = 0, kill: Kill | None = None) -> Ended:
        return self.clv("run", "--as-of", f"{day}", exit_code=exit_code, kill=kill)

    def night(self, number: int, what: str) -> tuple[Ended, readers.Seen]:
        """Run a night that ends well: readers see what plain Python makes of the rows of the sources."""
        print(f"night {number}: {what}", flush=True)  # noqa: T201
        ended = self.run(day(number))
        night = agreed(self.shop, self.lake, day(number))
        print(f"  readers see {night}", flush=True)  # noqa: T201
        return ended, readers.seen(self.lake)

    def recorded(self) -> dict[str, dict[str, Any]]:
        """Rows of pipeline_runs by run."""
        return {row["run_id"]: row for row in readers.everything(self.lake / "control" / "pipeline_runs")}


def day(number: int) -> dt.date:
    return later(FIRST_NIGHT, number - 1)


@pytest.fixture
def week(tmp_path: Path, clean_environ: dict[str, str]) -> Week:
    shop = Shop(None, tmp_path, ("orders", "refunds"))
    (tmp_path / "clv.yaml").write_text(configuration(tmp_path / "lake", tmp_path), encoding="utf-8")
    shop.insert("orders", history(random.Random(3)))
    shop.insert("refunds", [refund(n, f"o{17 * n}", FIRST_NIGHT) for n in range(20)])
    return Week(shop, Driver(tmp_path, tmp_path / "lake", clean_environ))


@pytest.mark.drill
def test_a_week_of_nights(week: Week) -> None:
    ended, _ = week.night(1, "first load")
    assert "silver is made anew: nothing is published yet" in ended.log

    week.shop.insert("orders", days_orders(1000, 12, day(2)) + dirt(1100, day(2)))
    ended, _ = week.night(2, "an ordinary day with dirt")
    assert "warning: " in ended.log and "made anew" not in ended.log

    oldest = min(readers.everything(week.shop.folder / "orders"), key=lambda row: row["ordered_at"] or "9")["order_id"]
    late = [order(1300, "c11", LONG_AGO), order(1301, "c12", later(day(3), -45))]
    restated = order(40, "c13", LONG_AGO, updated_at="2024-05-02T03:00:00Z")
    week.shop.insert("orders", [*days_orders(1200, 9, day(3)), *late, restated])
    week.shop.update("orders", {"gross_amount": "'55.25'", "updated_at": "'2024-05-02T03:00:00Z'"}, "order_id = 'o77'")
    week.shop.insert("refunds", [refund(100, "o1300", day(3)), refund(101, oldest, day(3))])
    _, seen = week.night(3, "late orders, a refund of two years ago, restated orders")

    refused_and_mended(week, seen)
    killed_and_run_again(week)

    written = readers.pointer(week.lake)["silver_versions"]
    _, before = week.night(6, "a quiet day")
    again = before.pointer["silver_versions"]
    assert {table.name: again[table.name] for table in STATE_TABLES}.items() <= written.items()
    assert week.run(day(6)).commits == 0 and readers.seen(week.lake) == before

    assert len(mentions(week.lake, ERASED)) > 4
    rows = readers.everything(week.shop.folder / "orders")
    theirs = ", ".join(f"'{row['order_id']}'" for row in rows if row["customer_id"] == ERASED)
    week.shop.delete("orders", f"customer_id = '{ERASED}'")
    week.shop.delete("refunds", f"order_id in ({theirs})")
    _, after = week.night(7, "a customer who was erased")
    assert mentions(week.lake, ERASED) == []
    kept_up_reproduced_and_rolled_back(week, before, after)


def refused_and_mended(week: Week, seen: readers.Seen) -> None:
    """Night 4: more broken rows than the gate bears, which the source then repairs."""
    flood = [order(2000 + n, f"c{n:02}", day(4), **BROKEN) for n in range(60)]
    week.shop.insert("orders", days_orders(1400, 8, day(4)) + flood)
    refused = week.run(day(4), exit_code=4)
    assert readers.seen(week.lake) == seen
    print(refused.log[refused.log.index("error: the quality gate") :])  # noqa: T201
    for told in ("orders", "unreadable_amount 61", "nothing was published; readers see what they saw before"):
        assert told in refused.log
    [run_id] = re.findall(r"--run-id (\S+)", refused.log)
    assert week.recorded()[run_id]["status"] == "gate_failed"
    shown = week.clv("show", "data_quality_results", "--run-id", run_id, "--limit", "5000", "--format", "json")
    failed = [row for row in json.loads(shown.output) if not row["is_success"] and row["severity"] == "error"]
    assert [row["table_name"] for row in failed] == ["quarantined_rows"]
    week.shop.update("orders", {"gross_amount": "'12.50'"}, "gross_amount = 'much' and order_id like 'o20__'")
    week.night(4, "the source is repaired")


def killed_and_run_again(week: Week) -> None:
    """Night 5: the driver dies in the middle of its tables."""
    seen = readers.seen(week.lake)
    week.shop.insert("orders", days_orders(1500, 10, day(5)))
    week.shop.insert("refunds", [refund(102, "o1401", day(5))])
    week.run(day(5), exit_code=-signal.SIGKILL, kill=Kill(at_commit=20))
    assert readers.seen(week.lake) == seen
    _, after = week.night(5, "again after a driver was killed")
    assert after.pointer["previous_snapshot_id"] == seen.pointer["snapshot_id"]


def kept_up_reproduced_and_rolled_back(week: Week, before: readers.Seen, after: readers.Seen) -> None:
    """Upkeep changes no row; a rebuild in another lake gives the same tables; a rollback shows the night before."""
    kept = week.clv("maintain", "--format", "json")
    assert not any(row["left_alone"] for row in json.loads(kept.output))
    assert readers.seen(week.lake).checksums == after.checksums
    run_id = after.pointer["snapshot_id"]
    assert week.recorded()[run_id]["refreshed_from"] == before.pointer["snapshot_id"]
    assert f"run {run_id} is reproduced" in week.clv("reproduce", run_id).output
    week.clv("rollback")
    back = readers.seen(week.lake)
    assert back.checksums == before.checksums and back.pointer["snapshot_id"] == before.pointer["snapshot_id"]
