"""`clv doctor` with Spark: what it says of workers, lake and sources that are well, and of those that are not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clv_lib import doctor
from clv_lib.doctor.sources import source_check
from clv_lib.settings import load_settings
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
    rows = [ORDER | {"order_id": f"o{number}", "order_status": status} for number, status in enumerate(statuses)]
    shop.insert("orders", rows)
    found = tried(shop, "  orders: {table: FOLDER/orders}")
    assert found.status == doctor.OK
    assert "Delivered, NULL, unavailable count; Cancelled, canceled kept apart (orders.exclude_statuses)" in found.found


def tried(shop: Shop, sources: str, name: str = "orders") -> doctor.Check:
    """The check of one source alone, on a day in June 2024."""
    text = f"lake: FOLDER/lake\nreporting: {{currency: GBP}}\nsources:\n{sources}".replace("FOLDER", str(shop.folder))
    settings = load_settings(None, text=text, environ={}).settings
    return doctor.guarded(name, lambda: source_check(shop.spark, name, settings, dt.date(2024, 6, 15)))


@pytest.mark.parametrize(("bad", "status"), [(1, doctor.OK), (10, doctor.WARN), (100, doctor.FAIL)])
def test_rows_that_would_be_quarantined_are_counted(bad: int, status: str, spark: SparkSession, tmp_path: Path) -> None:
    """Of 1,000 rows; by default a run warns above 0.5 % and is refused above 5 %. The first row breaks three rules."""
    shop = Shop(spark, tmp_path, ("orders", "exchange_rates"))
    rows = [
        ORDER | {"order_id": f"o{number}", "currency_code": "GBP", "net_amount": "x" if number < bad else "1"}
        for number in range(1_000)
    ]
    rows[0] |= {"ordered_at": "yesterday", "currency_code": "USD"}
    shop.insert("orders", rows)
    found = tried(shop, "  orders: {table: FOLDER/orders}")
    assert (found.status, found.exit_code) == (status, 3 if status == doctor.FAIL else 0)
    told = f"of its first 1,000 rows {bad:,} break a rule and would be quarantined: "
    assert told in found.found and f"unreadable_amount {bad:,}" in found.found
    assert "unreadable_ordered_at 1" in found.found and "no_exchange_rate 1" in found.found
    assert ("clv contract orders" in found.next_step) == (status != doctor.OK)
    rated = tried(shop, "  orders: {table: FOLDER/orders}\n  exchange_rates: {table: FOLDER/exchange_rates}")
    assert "no_exchange_rate" not in rated.found, "rates that are a source are not tried"


OTHER_SOURCES = {
    "refunds": (
        {"refund_id": "r1", "order_id": "o1", "refunded_at": "2024-01-06", "refund_amount": "1"},
        {"refund_amount": "-1"},
        "negative_refund",
    ),
    "marketing_spend": (
        {"spend_date": "2024-01-06", "channel": "search", "spend_amount": "5"},
        {"spend_date": "January"},
        "unreadable_spend_date",
    ),
    "subscriptions": (
        {
            "subscription_period_id": "s1", "customer_id": "c1", "billing_interval": "month",
            "recurring_amount": "9", "started_date": "2024-01-01", "ended_date": None,
        },
        {"billing_interval": "fortnight"},
        "unknown_interval",
    ),
    "customer_attributes_history": (
        {
            "customer_id": "c1", "attribute_name": "Region", "attribute_value": "north",
            "valid_from_date": "2024-01-01", "valid_to_date": None,
        },
        {"attribute_name": "shoe_size"},
        "unknown_attribute",
    ),
    "customer_acquisitions": (
        {"customer_id": "c1", "attribution_model": "linear", "channel": "search", "credit": "0.5"},
        {"credit": "half"},
        "unreadable_credit",
    ),
    "experiment_assignments": (
        {"experiment_id": "e1", "variant": "control", "customer_id": "c1", "assigned_at": "2024-01-06"},
        {"variant": None},
        "null_variant",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_SOURCES)
def test_rows_of_each_source_are_tried(name: str, shop: Shop) -> None:
    sound, broken, reason = OTHER_SOURCES[name]
    shop.insert(name, [sound])
    sources = f"  orders: {{table: FOLDER/orders}}\n  {name}: {{table: FOLDER/{name}}}"
    assert tried(shop, sources, name).status == doctor.OK
    shop.insert(name, [sound | broken])
    found = tried(shop, sources, name)
    assert found.status == doctor.FAIL
    assert found.found.endswith(f"of its first 2 rows 1 break a rule and would be quarantined: {reason} 1")
    assert f"sources.{name}.columns" in found.next_step


def test_rates_and_plans_that_a_run_refuses_are_told(shop: Shop) -> None:
    rate = {"rate_date": "2024-01-05", "from_currency_code": "EUR", "to_currency_code": "GBP", "rate": "0.86"}
    planned = {"period_month": "2024-05-01", "planned_new_customers": "10"}
    # The month that is over may be planned twice.
    sound = {"exchange_rates": [rate], "plans": [planned, planned, planned | {"period_month": "2024-07-01"}]}
    broken = {"exchange_rates": [rate | {"rate": "0"}], "plans": [planned | {"period_month": "2024-07-01"}]}
    told = {"exchange_rates": "EUR->GBP: not a positive number", "plans": "a month is planned twice"}
    for name, rows in sound.items():
        sources = f"  orders: {{table: FOLDER/orders}}\n  {name}: {{table: FOLDER/{name}}}"
        shop.insert(name, rows)
        assert tried(shop, sources, name).status == doctor.OK
        shop.insert(name, broken[name])
        found = tried(shop, sources, name)
        assert (found.status, found.exit_code) == (doctor.FAIL, 3)
        assert told[name] in found.found and f"sources.{name}.filter" in found.next_step


def test_sql_that_fails_on_some_row_is_found_before_a_run(shop: Shop) -> None:
    source = "  orders: {table: FOLDER/orders, columns: {cost_amount: cast(customer_id as int) + 1}}"
    found = tried(shop, source)
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
