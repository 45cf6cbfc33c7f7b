"""The audit of silver after a refresh: it reads what was replaced, and finds what reading everything finds."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from clv_lib.contracts.control import SILVER_PROFILES
from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS, STATE_TABLES
from clv_lib.pipeline.read_back import NOTHING_AUDITED, audited_before, silver_figures, stored_profile
from tests.spark.counted_work import counted_work
from tests.spark.generated import INTERPRETED, conf
from tests.spark.nights import Shop, disturbed, later, publish_silver, taken_in
from tests.spark.week import history, order, refund

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from clv_lib.pipeline.workspace import Workspace
    from clv_lib.quality.profile import TableProfile

DAY = dt.date(2024, 4, 30)


@pytest.fixture
def shop(spark: SparkSession, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(spark, tmp_path, ("orders", "refunds"), options={"buckets": 2})
    shop.insert("orders", history(random.Random(5)))
    shop.insert("refunds", [refund(n, f"o{11 * n}", DAY) for n in range(8)])
    with conf(spark, INTERPRETED):
        yield shop


def profiles(work: Workspace, *, is_whole: bool = False) -> dict[str, TableProfile]:
    before = NOTHING_AUDITED if is_whole else audited_before(work)
    found = {table.name: stored_profile(work, table, before) for table in STATE_TABLES}
    work.release()
    return found


def audited_night(shop: Shop, day: dt.date) -> tuple[Workspace, dict[str, TableProfile]]:
    """Silver of a night, as its audit reads it back, stored and published."""
    work = taken_in(shop.spark, shop.settings(shop.lake), day)
    found = profiles(work)
    work.write(SILVER_PROFILES, work.frame(SILVER_PROFILES, silver_figures(found)))
    publish_silver(work)
    return work, found


def test_what_is_known_and_what_was_replaced_give_the_profile_of_all(shop: Shop) -> None:
    chance, held_back = random.Random(8), {name: [] for name in shop.sources}
    audited_night(shop, DAY)
    for number in range(1, 4):
        disturbed(shop, chance, held_back)
        shop.insert(
            "orders",
            [order(5000 + number, "c09", dt.date(2024, 5, 1)), order(6000 + number, "c11", dt.date(2022, 8, 20))],
        )
        work, found = audited_night(shop, later(DAY, number))
        assert work.run.refreshed_from is not None and set(audited_before(work).figures) == set(found)
        assert found == profiles(work, is_whole=True)
    assert found[CUSTOMER_ORDERS.name].measures["refunds"]


def test_only_partitions_that_were_replaced_are_read(shop: Shop) -> None:
    first, _ = audited_night(shop, DAY)
    orders, months = (first.read(table).count() for table in (CUSTOMER_ORDERS, CUSTOMER_MONTHS))
    quiet = taken_in(shop.spark, shop.settings(shop.lake), later(DAY, 1))
    with counted_work(shop.spark) as counted:
        profiles(quiet)
    assert not any(counted.rows[table.name] for table in STATE_TABLES)

    shop.insert("orders", [order(7000, "c20", dt.date(2024, 5, 2))])
    work = taken_in(shop.spark, shop.settings(shop.lake), later(DAY, 2))
    with counted_work(shop.spark) as counted:
        profiles(work)
    assert 0 < counted.rows[CUSTOMER_MONTHS.name] <= 3 < months
    # The one new id is looked up where it may be; no other column is read there.
    assert 0 < counted.rows[CUSTOMER_ORDERS.name] < orders


@pytest.mark.parametrize("month", ["2022-08-01", "2024-05-01"], ids=["elsewhere", "in its partition"])
def test_a_key_that_is_there_twice_is_found(shop: Shop, month: str) -> None:
    shop.insert("orders", [order(7000, "c20", dt.date(2022, 8, 2))])
    audited_night(shop, DAY)
    shop.insert("orders", [order(7001, "c20", dt.date(2024, 5, 1)), order(7002, "c21", dt.date(2024, 5, 1))])
    work = taken_in(shop.spark, shop.settings(shop.lake), later(DAY, 1))
    double = work.read(CUSTOMER_ORDERS).where("order_id in ('o7000', 'o7001')").where(F.col("ordered_month") == month)
    broken = appended(
        work, double.withColumns({"ordered_month": F.lit("2024-05-01").cast("date"), "channel": F.lit("x")})
    )
    found, whole = profiles(broken), profiles(broken, is_whole=True)
    assert found == whole
    assert found[CUSTOMER_ORDERS.name].duplicate_key_count == 1


def test_a_broken_row_is_found(shop: Shop) -> None:
    audited_night(shop, DAY)
    shop.insert("orders", [order(7001, "c20", dt.date(2024, 5, 1))])
    work = taken_in(shop.spark, shop.settings(shop.lake), later(DAY, 1))
    row = work.read(CUSTOMER_ORDERS).where("order_id = 'o7001'")
    broken = appended(work, row.withColumns({"order_id": F.lit("o7009"), "order_number": F.lit(0)}))
    found = profiles(broken)
    assert found == profiles(broken, is_whole=True)
    assert {name for name, count in found[CUSTOMER_ORDERS.name].violations.items() if count} == {"order_number_check"}


def appended(work: Workspace, rows: Any) -> Workspace:
    """The run with rows in customer_orders that it did not write."""
    place = work.lake.place(CUSTOMER_ORDERS)
    rows.write.format("delta").mode("append").save(place)
    latest = work.lake.spark.sql(f"describe history delta.`{place}` limit 1").collect()[0]["version"]
    versions = {**work.run.silver_versions, CUSTOMER_ORDERS.name: int(latest)}
    return replace(work, run=replace(work.run, silver_versions=versions))


def test_all_is_read_where_nothing_is_known(shop: Shop) -> None:
    shop.night(DAY)
    shop.insert("orders", [order(7001, "c20", dt.date(2024, 5, 1))])
    work = taken_in(shop.spark, shop.settings(shop.lake), later(DAY, 1))
    assert work.run.refreshed_from is not None and audited_before(work) == NOTHING_AUDITED
    assert all(found.row_count is not None for found in profiles(work).values())
