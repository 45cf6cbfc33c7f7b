"""What a night's intake reads, replaces and starts, counted: it depends on what changed, not on all that there is."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS, CUSTOMER_REFUNDS, STATE_TABLES
from tests.spark.counted_work import Work, counted_work
from tests.spark.nights import Shop, assert_same, later, order

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.pipeline.workspace import Workspace

CUSTOMERS, BUCKETS = 60, 4
MONTHS = [f"{year}-{month:02}-11" for year in (2021, 2022, 2023) for month in range(1, 13)]
DAY = dt.date(2023, 12, 31)
PEEPED = 40
"""Rows that a night reads at most to see whether tables can be read: one of each task."""


def night(shop: Shop, day: dt.date) -> tuple[Workspace, Work]:
    with counted_work(shop.spark) as counted:
        run = shop.night(day)
    return run, counted


@pytest.mark.long
def test_a_night_costs_what_changed(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path, ("orders",), options={"buckets": BUCKETS})
    bought = [(c, day) for c in range(CUSTOMERS) for day in MONTHS[c % 3 :: 3]]  # in each third month
    shop.insert("orders", [order(1000 + n, f"c{c}", day) for n, (c, day) in enumerate(bought)])
    of_a_month = len(bought) // len(MONTHS)

    first, counted = night(shop, DAY)
    assert first.run.refreshed_from is None and counted.rows["orders"] == len(bought)
    assert counted.rows["customer_orders"] == 2 * len(bought)  # for months, and for the account

    quiet, counted = night(shop, later(DAY, 1))
    assert quiet.run.refreshed_from == first.run.run_id and not quiet.replaced
    assert sum(counted.rows[table.name] for table in STATE_TABLES) <= PEEPED and counted.rows["orders"] == 0
    assert counted.jobs <= 50

    # One order each of ten customers: a year of orders for trailing sums, older months for running values.
    shop.insert("orders", [order(9000 + c, f"c{c}", "2024-01-02") for c in range(10)])
    normal, counted = night(shop, later(DAY, 2))
    assert {str(place["ordered_month"]) for place in normal.replaced[CUSTOMER_ORDERS.name]} == {"2024-01-01"}
    assert len(normal.replaced[CUSTOMER_MONTHS.name]) <= BUCKETS
    assert 12 * of_a_month < counted.rows["customer_orders"] <= 13 * of_a_month + 7 * 10
    assert 0 < counted.rows["customer_months"] <= 24 * of_a_month + PEEPED
    assert counted.jobs <= 120

    # One order of long ago: the months in which its customer bought since, in one bucket, a quarter of everything.
    shop.insert("orders", [order(9900, "c3", "2022-02-20")])
    late, counted = night(shop, later(DAY, 3))
    places = late.replaced[CUSTOMER_ORDERS.name]
    own = {day[:7] for c, day in bought if c == 3 and day > "2022-02"} | {"2022-02", "2024-01"}
    assert {str(place["ordered_month"])[:7] for place in places} == own
    assert len({place["customer_bucket"] for place in places}) == 1 and len(places) == len(own)
    assert counted.rows["customer_orders"] <= 1.5 * len(bought)
    assert counted.rows["customer_months"] <= 3 * of_a_month + PEEPED
    assert counted.jobs <= 125


@pytest.mark.long
def test_refunds_of_before_are_not_concerned_by_what_comes_after(spark: SparkSession, tmp_path: Path) -> None:
    """Credit notes name no order: each belongs to the latest order before it, which later orders do not change."""
    shop = Shop(spark, tmp_path, ("orders",), options={"orders": ", grain: line", "buckets": BUCKETS})
    sold = [order(100 * c + n, f"c{c}", day) for c in range(8) for n, day in enumerate(MONTHS[12:])]
    given = [order(5000 + c, f"c{c}", f"2022-{1 + c:02}-20", "-2") for c in range(8)]
    shop.insert("orders", [line | {"updated_at": None} for line in (*sold, *given)])
    first = shop.night(DAY)

    new = [order(9001, "c1", "2024-01-02"), order(9002, "c2", "2024-01-02", "-3"), order(9003, "c3", "2024-01-02")]
    shop.insert("orders", [line | {"updated_at": None} for line in new])
    # Written again by the source, and nothing that counts is another.
    shop.update("orders", {"updated_at": "'2024-01-02T09:00:00Z'"}, "order_id in ('o405', 'o5006')")
    busy = shop.night(later(DAY, 2))
    assert busy.run.refreshed_from == first.run.run_id
    bucket = {row["customer_id"]: row["customer_bucket"] for row in busy.read(CUSTOMER_MONTHS).collect()}
    places = {(str(at["ordered_month"])[:7], at["customer_bucket"]) for at in busy.replaced[CUSTOMER_ORDERS.name]}
    # The latest order of c2 is of December, and that of before stays with the refund of before.
    assert places == {("2024-01", bucket["c1"]), ("2024-01", bucket["c3"]), ("2023-12", bucket["c2"])}
    assert [str(at["refunded_month"])[:7] for at in busy.replaced[CUSTOMER_REFUNDS.name]] == ["2024-01"]
    refunded = {row["order_id"]: row["refund_amount"] for row in busy.read(CUSTOMER_REFUNDS).collect()}
    assert refunded["o223"] == 3 and refunded["o202"] == 2 and len(refunded) == 9
    assert_same(busy, shop.rebuilt(later(DAY, 2)))
