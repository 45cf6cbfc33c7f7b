"""A refresh of silver equals a rebuild, table by table, whatever changed in the sources."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from clv_lib.cli import main
from clv_lib.contracts.control import PIPELINE_RUNS
from clv_lib.contracts.put_aside import ROWS_PUT_ASIDE
from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS, STATE_TABLES
from clv_lib.errors import NotReproduced
from clv_lib.lake import Pointer, Untraceable
from clv_lib.pipeline import begin, rebuilding, refreshing
from clv_lib.runs import REBUILD_REFUSED, refile
from tests.spark.generated import INTERPRETED, WHOLE_JOBS, conf
from tests.spark.nights import NOW, Shop, assert_same, disturbed, later, order, rows_of
from tests.spark.oracle import rate_rows
from tests.spark.test_orders_oracle import AS_OF, data_sets

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.contracts.types import Table
    from clv_lib.pipeline.workspace import Workspace
    from tests.spark.oracle import DataSet

EXAMPLES = int(os.environ.get("CLV_NIGHTS", "1"))
"""Shops whose nights are compared; `make test-nights` takes more than fit into the suite."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_refreshed_equals_rebuilt(spark: SparkSession, tmp_path: Path) -> None:
    refreshed: list[str] = []

    @settings(WHOLE_JOBS, max_examples=EXAMPLES)
    @given(data=data_sets(), seed=st.integers(0, 2**32), feed=st.booleans())
    def agrees(data: DataSet, seed: int, feed: bool) -> None:
        chance = random.Random(seed)
        held_back = {"orders": list(data.orders), "refunds": list(data.refunds), "exchange_rates": rate_rows(data)}
        shop = Shop(spark, tmp_path / f"{len(refreshed)}-{seed}", tuple(held_back), feed=feed)
        shop.folder.mkdir()
        for name, rows in held_back.items():
            chance.shuffle(rows)
            shop.insert(name, rows[: 2 * len(rows) // 3])
            held_back[name] = rows[2 * len(rows) // 3 :]
        day = later(AS_OF, -40)
        with conf(spark, INTERPRETED):
            shop.night(day)
            for _ in range(2):
                for _ in range(chance.randint(1, 2)):
                    disturbed(shop, chance, held_back)
                day = later(day, chance.choice((0, 1, 25)))
                work = shop.night(day)
                refreshed.append(work.run.refreshed_from or f"not: {work.run.rebuild_reason}")
                if EXAMPLES > 1:  # else the last night alone, since each rebuild takes its time
                    assert_same(work, shop.rebuilt(day))
            assert_same(work, shop.rebuilt(day))

    agrees()
    assert not any(found.startswith("not") for found in refreshed), refreshed


def written(work: Workspace, table: Table) -> set[tuple[str, ...]]:
    """Partitions that the latest commit of the run wrote to a table, by their values in the paths of its files."""
    version = work.run.silver_versions[table.name]
    log = Path(work.lake.place(table)) / "_delta_log" / f"{version:020d}.json"
    actions = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return {tuple(one["add"]["partitionValues"].values()) for one in actions if "add" in one}


def reason_to_rebuild(shop: Shop, as_of: dt.date) -> str:
    """Why a run of the day would read all anew; nothing is written."""
    work = begin(shop.spark, shop.settings("lake"), as_of, NOW)
    with pytest.raises(Untraceable) as caught:
        refreshing._base(work)
    return str(caught.value)


def reason(work: Workspace) -> tuple[str | None, str]:
    """From where a rebuild that was asked for was refreshed, and how it compares."""
    return work.run.refreshed_from, str(work.run.rebuild_reason).removeprefix("asked for by --rebuild: ")


def falsify(work: Workspace) -> None:
    """Change one published row of two silver tables behind the back of clv."""
    amount = F.col("net_amount") + F.when(F.col("order_id") == "o300", 1).otherwise(0)
    other = F.when(F.col("row_key") == "o9009", "cancelled").otherwise(F.col("disposition"))
    now, versions = Pointer(work.lake).current(), dict(work.run.silver_versions)
    assert now is not None
    for table, name, value in ((CUSTOMER_ORDERS, "net_amount", amount), (ROWS_PUT_ASIDE, "disposition", other)):
        rows = work.read(table).withColumn(name, value).localCheckpoint()
        versions[table.name], _ = work.lake.write_state(table, rows, "somebody")
    refile(work.lake, work.run.run_id, versions)
    assert Pointer(work.lake).refile(now, versions)


def rebuild_step(shop: Shop, as_of: dt.date) -> int:
    """Exit code of the intake of a rebuild, by the command."""
    file = shop.folder / "shop.yaml"
    file.write_text(shop.configuration(shop.lake), encoding="utf-8")
    return main(["step", "intake", "--config", str(file), "--as-of", str(as_of), "--rebuild"])


def assert_told(text: str, spark: SparkSession) -> None:
    """The message names tables and hashed keys, nothing of a person, and how to look at the rows."""
    error = text.partition("error: ")[2]
    for part in (
        "differs from a refresh from run 20240109-",
        "customer_orders: 1 keys differ, of 100",
        "0 only refreshed, 0 only rebuilt",
        "other values (keys): net_amount (1)",
        f"keys (texts hashed): {hashlib.sha256(b'o300').hexdigest()[:12]}\n",
        "rows_put_aside: 2 rows differ, of 1",
        "1 only refreshed, 1 only rebuilt",
        "--accept-differences",
    ):
        assert part in error
    assert "o300" not in error and "o9009" not in error
    statements = [line[line.index("select * from") :] for line in error.splitlines() if " except " in line]
    assert [spark.sql(one).count() for one in statements] == [1, 1]


def assert_no_refresh(shop: Shop, as_of: dt.date, published: Workspace) -> None:
    """With other settings a rebuild is compared with what is published on the same day, and not begun on another."""
    shop.options["settings"] = ["orders: {max_amount: 1000}"]
    again, later_on = (begin(shop.spark, shop.settings("lake"), later(as_of, n), NOW, rebuild=True) for n in (0, 1))
    found = rebuilding._reference(*refreshing.with_source_ids(again), None)
    assert isinstance(found, rebuilding.Reference)
    assert found.meaning == f"published run {published.run.run_id}, of the same day and sources"
    assert found.work.run.silver_versions == published.run.silver_versions
    with pytest.raises(NotReproduced, match="could not be compared") as refused:
        rebuilding.rebuilt_states(later_on, None)
    assert "settings of orders" in refused.value.found and "another day" in refused.value.found
    told_to = rebuilding._reference(replace(later_on, accepts_differences=True), {}, None)
    assert told_to == f"not compared, {refused.value.found}"


@pytest.mark.long
def test_only_what_changed_is_replaced_and_a_rebuild_is_compared_with_it(
    spark: SparkSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shop = Shop(spark, tmp_path, ("orders",), options={"buckets": 4})
    months = [f"{year}-{month:02}-11" for year in (2022, 2023) for month in range(1, 13)]
    rows = [order(100 * c + n, f"c{c}", day, "5") for c in range(12) for n, day in enumerate(months[c % 3 :: 3])]
    shop.insert("orders", [*rows, order(9009, "c9", "2024-01-20")])
    day = dt.date(2023, 12, 31)
    with conf(spark, INTERPRETED):
        first = shop.night(day)
        assert first.run.rebuild_reason == "nothing is published yet"
        assert "is before that of the published run" in reason_to_rebuild(shop, later(day, -1))

        # A quiet day: a later as_of, and nothing is written.
        quiet = shop.night(later(day, 1))
        assert quiet.run.refreshed_from == first.run.run_id
        states = [table.name for table in STATE_TABLES]
        assert [quiet.run.silver_versions[n] for n in states] == [first.run.silver_versions[n] for n in states]

        # A new order, one in the future, and one of two years ago, of a customer with an order in each third month.
        new = [order(9001, "c1", "2024-01-02"), order(9002, "c2", "2024-01-09"), order(9003, "c3", "2022-02-20")]
        shop.insert("orders", new)
        busy = shop.night(later(day, 2))
        bucket = {row["customer_id"]: str(row["customer_bucket"]) for row in busy.read(CUSTOMER_MONTHS).collect()}
        own = {(f"{day[:7]}-01", bucket["c3"]) for day in months[3::3]}
        expected = own | {("2022-02-01", bucket["c3"]), ("2024-01-01", bucket["c1"])}
        assert written(busy, CUSTOMER_ORDERS) == written(busy, CUSTOMER_MONTHS) == expected
        assert written(busy, ROWS_PUT_ASIDE) == {("orders", "2024-01-01")}

        # The future order is due, and runs died before: what they wrote is set back, or never seen.
        shop.insert("orders", [order(9004, "c4", "2023-12-03"), order(9005, "c5", "2024-01-03")])
        # The change feed is on from now on, which says nothing of the rows before.
        spark.sql(f"ALTER TABLE delta.`{tmp_path}/orders` SET TBLPROPERTIES (delta.enableChangeDataFeed = true)")
        shop.delete("orders", "order_id = 'o203'")
        assert shop.abandoned(later(day, 3), 1) == ["customer_orders"]
        assert shop.abandoned(later(day, 9), 2) == ["rows_put_aside", "customer_orders"]
        due = shop.night(later(day, 9), rebuild=True)
        assert reason(due) == (None, f"the same rows as a refresh from run {busy.run.run_id}")
        assert due.run.silver_versions["customer_orders"] > busy.run.silver_versions["customer_orders"] + 2

        # A run goes on from silver that somebody changed; a rebuild finds it out, and publishes nothing unless told to.
        falsify(due)
        before = Pointer(due.lake).current()
        assert rebuild_step(shop, later(day, 10)) == 8
        assert_told(capfd.readouterr().err, spark)
        assert Pointer(due.lake).current() == before
        [refused] = due.lake.read_rows(PIPELINE_RUNS).where(F.col("status") == REBUILD_REFUSED).collect()
        assert refused.silver_versions == {}  # so that no step goes on from it
        accepted = shop.night(later(day, 10), rebuild=True, accept_differences=True)
        told = f"accepted that customer_orders, rows_put_aside differ from a refresh from run {due.run.run_id}"
        assert reason(accepted) == (None, told) and accepted.run.run_id == refused.run_id
        assert [note.split(":")[:2] for note in accepted.progress.notes] == [
            ["accepted", " customer_orders"],
            ["accepted", " rows_put_aside"],
        ]
        for table in STATE_TABLES:
            assert rows_of(accepted, table) == rows_of(due, table)
        assert_no_refresh(shop, later(day, 10), accepted)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5, 5 + EXAMPLES))
def test_lines_and_credit_notes_are_followed(spark: SparkSession, tmp_path: Path, seed: int) -> None:
    sold = ", grain: line, filter: \"kind = 'sale'\""
    shop = Shop(spark, tmp_path, ("orders", "refunds"), options={"orders": sold, "buckets": 2}, feed=True)
    chance = random.Random(seed)
    lines, refunds = order_lines(chance), refunds_beside_lines(chance)
    shop.insert("orders", lines[:50])
    shop.insert("refunds", refunds[:8])
    day = dt.date(2024, 7, 15)
    with conf(spark, INTERPRETED):
        shop.night(day)
        shop.insert("orders", lines[50:])
        shop.insert("refunds", refunds[8:])
        shop.delete("orders", "order_id in ('o1', 'o5', 'C7')")
        shop.update("orders", {"customer_id": "'c3'"}, "order_id in ('o2', 'o12')")
        shop.update("orders", {"net_amount": "'-2'"}, "order_id = 'o8'")
        shop.update("refunds", {"order_id": "cast(null as string)"}, "refund_id = 'r1'")
        # Rows that go through the filter, out of the source and into it.
        shop.update("orders", {"kind": "'test'"}, "order_id = 'o6'")
        shop.update("orders", {"kind": "'sale'"}, "order_id = 'o13'")
        work = shop.night(later(day, 20))
        assert work.run.refreshed_from is not None
        assert_same(work, shop.rebuilt(later(day, 20)))


def order_lines(chance: random.Random) -> list[dict[str, Any]]:
    """Lines of 30 orders and 10 credit notes, some of nobody or left out by the filter, in any order."""
    lines = []
    for number in range(40):
        is_credit = number % 4 == 3
        header = {"customer_id": f"c{number % 7}" if number % 9 else None}
        header |= {"order_id": f"C{number}" if is_credit else f"o{number}"}
        header |= {"ordered_at": f"2024-{1 + number // 5:02}-{1 + chance.randrange(27):02}T08:00:00Z"}
        for line in range(chance.randint(1, 3)):
            amount = -chance.randint(1, 4) if is_credit else chance.randint(1, 90)
            # Some lines share their id with one of another order, and compete with it.
            line_id = f"l{chance.randrange(30)}" if chance.random() < 0.15 else f"l{number}-{line}"
            kind = "test" if number in (4, 13) else "sale"
            lines.append(
                header | {"order_line_id": line_id, "net_amount": f"{amount}", "cost_amount": "1", "kind": kind}
            )
    chance.shuffle(lines)
    return lines


def refunds_beside_lines(chance: random.Random) -> list[dict[str, Any]]:
    """Refunds of their own beside negative lines: of an order, of one that is not known, or of a customer's latest."""
    named = [chance.choice((f"o{chance.randrange(40)}", None)) for _ in range(16)]
    return [
        {
            "refund_id": f"r{number}",
            "order_id": order_id,
            "customer_id": None if order_id else f"c{chance.randrange(7)}",
            "refunded_at": f"2024-{chance.randint(1, 8):02}-{chance.randint(1, 27):02}T09:00:00Z",
            "refund_amount": f"{chance.randint(1, 40)}",
        }
        for number, order_id in enumerate(named)
    ]
