"""The audit of silver after a refresh: it reads what was replaced, and finds what reading everything finds."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.control import SILVER_PROFILES
from clv_lib.contracts.put_aside import CONSERVATION
from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS, STATE_TABLES
from clv_lib.pipeline.read_back import NOTHING_AUDITED, audited_before, silver_figures, stored_profile
from tests.spark.counted_work import counted_work
from tests.spark.generated import INTERPRETED, conf
from tests.spark.nights import Shop, later, publish_silver, taken_in
from tests.spark.week import BROKEN, order, refund

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from clv_lib.pipeline.workspace import Workspace
    from clv_lib.quality.profile import TableProfile

DAY = dt.date(2024, 4, 30)
MONTHS = [dt.date(2024, month, 7) for month in range(1, 5)]


def test_what_was_replaced_is_read_and_everything_found(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path, ("orders", "refunds"), options={"buckets": 2})
    bought = [(f"c{customer}", day) for customer in range(6) for day in MONTHS]
    shop.insert("orders", [order(100 + number, *one) for number, one in enumerate(bought)] + [order(90, "c1", DAY)])
    shop.insert("refunds", [refund(1, "o101", DAY)])
    with conf(spark, INTERPRETED):
        first = taken_in(spark, shop.settings(shop.lake), DAY)
        audited_and_published(first)
        a_quiet_day_reads_nothing(shop)
        work = an_ordinary_day_reads_what_it_replaced(shop)
        rows_that_do_not_belong_there_are_found(work)
        rows_of_groups_take_one_job(work)
        work.lake.drop_snapshots(SILVER_PROFILES, {first.run.run_id})
        assert not audited_before(work).figures  # and so all is read


def profiles(work: Workspace, *, is_whole: bool = False) -> dict[str, TableProfile]:
    before = NOTHING_AUDITED if is_whole else audited_before(work)
    found = {table.name: stored_profile(work, table, before) for table in STATE_TABLES}
    work.release()
    return found


def audited_and_published(work: Workspace) -> None:
    work.write(SILVER_PROFILES, work.frame(SILVER_PROFILES, silver_figures(profiles(work))))
    publish_silver(work)


def a_quiet_day_reads_nothing(shop: Shop) -> None:
    quiet = taken_in(shop.spark, shop.settings(shop.lake), later(DAY, 1))
    with counted_work(shop.spark) as counted:
        found = profiles(quiet)
    assert not any(counted.rows[table.name] for table in STATE_TABLES)
    assert found[CUSTOMER_ORDERS.name].row_count == 25


def an_ordinary_day_reads_what_it_replaced(shop: Shop) -> Workspace:
    """New orders of a new month, one of them broken, a refund, and a late order."""
    new = [order(200, "c0", later(DAY, 2)), order(201, "c9", later(DAY, 2)), order(202, "c1", later(DAY, 2), **BROKEN)]
    shop.insert("orders", [*new, order(203, "c2", dt.date(2024, 4, 20))])
    shop.insert("refunds", [refund(2, "o107", later(DAY, 2))])
    work = taken_in(shop.spark, shop.settings(shop.lake), later(DAY, 2))
    assert work.run.refreshed_from is not None and set(audited_before(work).figures) == {t.name for t in STATE_TABLES}
    with counted_work(shop.spark) as counted:
        found = profiles(work)
    assert found == profiles(work, is_whole=True)
    assert found[CUSTOMER_ORDERS.name].row_count == 28 and found[CUSTOMER_ORDERS.name].measures["refunds"] == 2 * 1.25
    assert 0 < counted.rows[CUSTOMER_MONTHS.name] <= 2 * 6 + 3  # April as it was and is, and May
    return work


def rows_of_groups_take_one_job(work: Workspace) -> None:
    stored_profile(work, CONSERVATION)  # the state of its log is read by the first to ask
    with counted_work(work.lake.spark) as counted:
        found = stored_profile(work, CONSERVATION)
    assert found.row_count and found.duplicate_key_count == 0
    assert counted.jobs == 1 + 2  # and Delta lists the files of each scan, without statistics of files


def rows_that_do_not_belong_there_are_found(work: Workspace) -> None:
    """In May an order of May twice, one of January, and one that breaks a rule."""
    orders = work.read(CUSTOMER_ORDERS)
    in_may = {"ordered_month": F.lit(dt.date(2024, 5, 1)), "customer_bucket": F.lit(0)}
    twice = orders.where("order_id = 'o200'")
    elsewhere = orders.where("order_id = 'o100'").withColumns(in_may)
    numberless = twice.withColumns({"order_id": F.lit("o999"), "order_number": F.lit(0)})
    broken = appended(work, twice.unionByName(elsewhere).unionByName(numberless))
    found = profiles(broken)
    assert found == profiles(broken, is_whole=True)
    of_orders = found[CUSTOMER_ORDERS.name]
    assert of_orders.duplicate_key_count == 2
    assert {name: count for name, count in of_orders.violations.items() if count} == {"order_number_check": 1}


def appended(work: Workspace, rows: DataFrame) -> Workspace:
    """The run with rows in customer_orders that it did not write."""
    place = work.lake.place(CUSTOMER_ORDERS)
    rows.write.format("delta").mode("append").save(place)
    latest = work.lake.spark.sql(f"describe history delta.`{place}` limit 1").collect()[0]["version"]
    versions = {**work.run.silver_versions, CUSTOMER_ORDERS.name: int(latest)}
    return replace(work, run=replace(work.run, silver_versions=versions))
