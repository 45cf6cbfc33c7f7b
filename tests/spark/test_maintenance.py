"""`clv maintain`: fewer files, the same rows for readers, for the next run, and for a rollback."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.cli import main
from clv_lib.cli.publications import move_back
from clv_lib.contracts.control import DATA_QUALITY_RESULTS
from clv_lib.contracts.put_aside import CONSERVATION
from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS, STATE_TABLES
from clv_lib.errors import LakeError
from clv_lib.lake import Pointer, Publication, files_by_partition, upkeep
from clv_lib.pipeline import _record_start, begin, open_lake
from clv_lib.runs import PUBLISHED, STARTED, record, recorded_status
from tests.spark.ageing import aged
from tests.spark.generated import INTERPRETED, conf
from tests.spark.nights import NOW, Shop, assert_same, later

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from clv_lib.lake import Lake
    from clv_lib.pipeline.workspace import Workspace

DAY = dt.date(2024, 3, 31)
FILES = 3
"""Parts into which a rebuild divides each month here."""


def rows(count: int, day: str, first: int = 0) -> list[dict[str, Any]]:
    made = range(first, first + count)
    return [
        {"order_id": f"o{n}", "customer_id": f"c{n % 9}", "ordered_at": f"{day}T10:00:00Z", "net_amount": "10"}
        for n in made
    ]


def audited(work: Workspace) -> None:
    """A row for the run where an audit would leave many, so that its snapshot counts as kept."""
    row = (
        work.run.run_id,
        "customer_orders",
        "row_count",
        "there are rows",
        "error",
        True,
        None,
        None,
        None,
        work.as_of,
    )
    work.write(DATA_QUALITY_RESULTS, work.frame(DATA_QUALITY_RESULTS, [row]))


def night(shop: Shop, day: dt.date) -> Workspace:
    work = shop.night(day)
    with work.progress.step("audit"):
        audited(work)
    return work


def candidate(shop: Shop, lake: Lake, day: dt.date, started_at: dt.datetime) -> str:
    """A run that wrote a gold table and was neither audited nor published; its id."""
    work = begin(shop.spark, shop.settings(shop.lake), day, started_at)
    record(lake, work.run, STARTED)
    lake.write_snapshot(CONSERVATION, work.frame(CONSERVATION, [("orders", "GBP", "input", 1, None)]), work.run.run_id)
    return work.run.run_id


def begun_after_a_death(work: Workspace, before: Workspace) -> None:
    """A run begins; the driver of the one before it had died before it could record that it published."""
    record(work.lake, before.run, STARTED)
    _record_start(work, published(work.lake))
    assert recorded_status(work.lake, before.run.run_id) == PUBLISHED


def published(lake: Lake) -> Publication:
    now = Pointer(lake).current()
    assert now is not None
    return now


def seen(lake: Lake) -> dict[str, list[str]]:
    """Every row that readers see in the silver tables of orders; read by Spark, which refuses versions that are old."""
    now = published(lake)
    return {table.name: in_order(lake.read_state(table, now.silver_versions[table.name])) for table in STATE_TABLES}


def in_order(frame: DataFrame) -> list[str]:
    return sorted(map(str, frame.toArrow().to_pylist()))


def most_files(lake: Lake) -> int:
    return max(map(len, files_by_partition(lake, CUSTOMER_ORDERS).values()))


def maintained(shop: Shop, capfd: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """What the command says it did, by table; nothing else is on standard output."""
    file = shop.folder / "shop.yaml"
    policy = ["retention: {snapshots_to_keep: 1}", f"maintenance: {{files_per_partition: {FILES - 1}}}"]
    file.write_text("\n".join([shop.configuration(shop.lake), *policy]), encoding="utf-8")
    capfd.readouterr()
    assert main(["maintain", "--config", str(file), "--format", "json"]) == 0
    return {row["table"]: row for row in json.loads(capfd.readouterr().out)}


@pytest.mark.long
def test_fewer_files_and_the_same_rows(spark: SparkSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shop = Shop(spark, tmp_path, ("orders",))
    shop.insert("orders", rows(60, "2024-01-15") + rows(60, "2024-02-15", 60))
    with conf(spark, {**INTERPRETED, "spark.sql.shuffle.partitions": str(FILES)}):
        first = night(shop, DAY)
        shop.insert("orders", rows(30, "2024-02-20", 120))
        second = night(shop, later(DAY, 1))
        aged(tmp_path / "lake", tmp_path / "aged", days=60)
        shop.lake, lake = "aged", open_lake(spark, shop.settings("aged"))

        # The version of the first run has been replaced for longer than Delta promises to read it.
        old, new = (work.run.silver_versions["customer_orders"] for work in (first, second))
        files = most_files(lake)
        assert files == FILES
        assert upkeep.keep_readable(lake, CUSTOMER_ORDERS, [old, new], 7) == old
        with pytest.raises(LakeError, match="could not be read"):
            lake.read_state(CUSTOMER_ORDERS, old)

        # That of the second one is the newest; a run that begins sees to it that readers keep it, and dies.
        before = seen(lake)
        day = later(DAY, 2)
        shop.insert("orders", rows(9, "2024-03-03", 150))
        begun_after_a_death(begin(spark, shop.settings("aged"), day, NOW), second)
        assert shop.abandoned(day, 1) == ["customer_orders"]
        assert seen(lake) == before
        assert upkeep.newest_with_same_rows(lake, CUSTOMER_ORDERS, new) is None

        third, fourth = night(shop, day), night(shop, later(day, 1))
        dead = candidate(shop, lake, later(day, 2), NOW)
        at_work = candidate(shop, lake, later(day, 3), dt.datetime.now(dt.timezone.utc))
        before, was = seen(lake), published(lake)
        done = maintained(shop, capfd)
        now = published(lake)

        assert seen(lake) == before
        assert replace(now, silver_versions=was.silver_versions) == was
        assert now.silver_versions != was.silver_versions
        assert most_files(lake) == 1
        of_orders, of_conservation = done["customer_orders"], done["conservation"]
        assert of_orders["files_before"] > of_orders["files_after"] == 3
        assert of_orders["partitions_compacted"] == 1 and of_orders["bytes_freed"] > 0
        assert of_conservation["runs_removed"] == 1
        assert {at_work, fourth.run.run_id} <= lake.snapshots(CONSERVATION) and dead not in lake.snapshots(CONSERVATION)
        assert not any(row["left_alone"] for row in done.values())

        back = move_back(lake, now, third.run.run_id, NOW)
        assert back.silver_versions == third.run.silver_versions
        assert seen(lake)["customer_orders"] == in_order(third.read(CUSTOMER_ORDERS))
        again = move_back(lake, back, fourth.run.run_id, NOW)
        assert again.silver_versions == now.silver_versions and seen(lake) == before

        shop.insert("orders", rows(3, "2024-02-02", 160))
        last = shop.night(later(day, 4))
        assert last.run.refreshed_from == fourth.run.run_id
        months = lake.spark.sql(f"DESCRIBE HISTORY {lake.reference(CUSTOMER_MONTHS)} LIMIT 1").collect()[0]
        assert months["readVersion"] == now.silver_versions["customer_months"]
        assert_same(last, shop.rebuilt(later(day, 4)))

        # A table that is gone does not keep a run from making it anew.
        shutil.rmtree(tmp_path / "aged" / "silver" / "customer_refunds")
        _record_start(begin(spark, shop.settings("aged"), later(day, 5), NOW), published(lake))
