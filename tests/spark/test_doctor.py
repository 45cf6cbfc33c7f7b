"""`clv doctor` with Spark: what it says of workers, lake and sources that are well, and of those that are not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clv_lib import doctor
from tests.spark.nights import Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ORDER = {"order_id": "o1", "customer_id": "c1", "ordered_at": "2024-01-05T10:00:00Z", "net_amount": "10"}


@pytest.fixture
def shop(spark: SparkSession, tmp_path: Path) -> Shop:
    made = Shop(spark, tmp_path, ("orders",))
    made.insert("orders", [ORDER])
    return made


def examined(shop: Shop, sources: str, lake: str = "lake") -> dict[str, doctor.Check]:
    """The checks by their subject."""
    file = shop.folder / "clv.yaml"
    text = f"lake: FOLDER/{lake}\nreporting: {{currency: GBP, time_zone: Europe/London}}\nsources:\n{sources}"
    file.write_text(text.replace("FOLDER", str(shop.folder)), encoding="utf-8")
    return {check.what: check for check in doctor.examine(str(file))}


def test_a_healthy_installation_with_lake_and_source(shop: Shop) -> None:
    found = examined(shop, "  orders: {table: FOLDER/orders}")
    for what in ("configuration", "Spark", "Python of the workers", "time zone", "clock", "lake", "source orders"):
        assert found[what].status == doctor.OK, found[what]
    assert "runs pandas" in found["Python of the workers"].found
    assert "noon UTC of 1 July 2024 is 2024-07-01 13:00:00 in Europe/London" in found["time zone"].found
    assert "fits the contract; not offered: " in found["source orders"].found
    assert list((shop.folder / "lake").glob("**/*.parquet")) == []


def test_statuses_of_orders_that_count_are_told(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path, ("orders",))
    statuses = ("Delivered", " canceled", "Cancelled", "unavailable", " ")
    shop.insert("orders", [ORDER | {"order_id": status, "order_status": status} for status in statuses])
    found = examined(shop, "  orders: {table: FOLDER/orders}")["source orders"]
    assert found.status == doctor.OK
    assert "Delivered, NULL, unavailable count; Cancelled, canceled kept apart (orders.exclude_statuses)" in found.found


def test_sql_that_fails_on_some_row_is_found_before_a_run(shop: Shop) -> None:
    source = "  orders: {table: FOLDER/orders, columns: {cost_amount: cast(customer_id as int) + 1}}"
    found = examined(shop, source)["source orders"]
    assert (found.status, found.exit_code) == (doctor.FAIL, 3)
    assert "sources.orders.columns.cost_amount: cast(customer_id as int) + 1" in found.found
    assert "try_cast" in found.next_step


def test_a_lake_that_cannot_be_written_and_sources_that_do_not_fit(shop: Shop) -> None:
    (shop.folder / "file").write_text("no folder", encoding="utf-8")
    shop.insert("customers", [{"customer": "c1"}])
    shop.insert("refunds", [{"refund_id": "r1", "order_id": "o1", "refunded_at": "2024-01-06", "refund_amount": "1"}])
    shop.delete("refunds", "refund_id = 'r1'")
    sources = "".join(f"  {name}: {{table: FOLDER/{name}}}\n" for name in ("orders", "customers", "refunds", "plans"))
    found = examined(shop, sources, lake="file/lake")
    assert (found["lake"].status, found["lake"].exit_code) == (doctor.FAIL, 6)
    assert "give this user the right to write" in found["lake"].next_step
    assert found["source orders"].status == doctor.OK
    assert (found["source customers"].status, found["source customers"].exit_code) == (doctor.FAIL, 3)
    assert "customer_id" in found["source customers"].found
    assert found["source refunds"].status == doctor.WARN and "has no rows" in found["source refunds"].found
    assert (found["source plans"].status, found["source plans"].exit_code) == (doctor.FAIL, 3)
    assert "cannot be opened" in found["source plans"].found
    assert doctor.exit_code_of(list(found.values())) == 6
