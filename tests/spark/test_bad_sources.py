"""Sources that cannot be opened, do not fit their contract, or hold nothing: what is said, and that nothing is written.

And sources as they may be: a filter, Parquet.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.contracts.silver import CUSTOMER_ORDERS
from clv_lib.errors import ContractError, FailingExpression
from clv_lib.pipeline import begin, compute
from clv_lib.pipeline.intake import intake
from clv_lib.settings import load_settings
from tests.spark.generated import INTERPRETED, conf
from tests.spark.nights import NOW, Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.pipeline.workspace import Workspace

DAY = dt.date(2024, 3, 31)
ORDER = {"order_id": "o1", "customer_id": "c1", "ordered_at": "2024-01-05T10:00:00Z", "net_amount": "10"}
RATE = {"rate_date": "2024-01-01", "from_currency_code": "EUR", "to_currency_code": "GBP", "rate": "0.8"}


@pytest.fixture
def shop(spark: SparkSession, tmp_path: Path) -> Shop:
    made = Shop(spark, tmp_path, ("orders",))
    made.insert("orders", [ORDER, {**ORDER, "order_id": "o2", "customer_id": "c2"}])
    return made


def begun(shop: Shop, sources: str, *more: str) -> Workspace:
    """A run over sources as they would stand in a file."""
    lines = [f"lake: {shop.folder}/lake", "reporting: {currency: GBP}", *more, "sources:", sources]
    settings = load_settings(None, text="\n".join(lines).replace("FOLDER", str(shop.folder)), environ={}).settings
    return begin(shop.spark, settings, DAY, NOW)


def taken_in(work: Workspace) -> Workspace:
    with work.progress.step("intake"):
        return intake(work)


CANNOT_BE_OPENED = {
    "nowhere": ("{table: FOLDER/nowhere}", "sources.orders.table"),
    "no Delta table": ("{table: FOLDER/files}", "set sources.orders.format where files of parquet or csv lie there"),
    "unknown column in a filter": ("{table: FOLDER/orders, filter: price > 0}", "correct sources.orders.filter"),
    "no SQL in a filter": ('{table: FOLDER/orders, filter: "net_amount >"}', "correct sources.orders.filter"),
    "no connector": ("{table: s3a://bucket/orders}", "see the section on S3 in ARCHITECTURE.md"),
    "no file": ("{table: FOLDER/nothing, format: parquet}", "sources.orders"),
}


@pytest.mark.parametrize("case", CANNOT_BE_OPENED)
def test_a_source_that_cannot_be_opened(case: str, shop: Shop) -> None:
    (shop.folder / "nothing").mkdir()
    shop.spark.createDataFrame([("o1",)], "order_id string").write.parquet(str(shop.folder / "files"))
    source, told = CANNOT_BE_OPENED[case]
    with pytest.raises(ContractError) as refused:
        taken_in(begun(shop, f"  orders: {source}"))
    error = refused.value
    assert error.exit_code == 3 and "sources.orders" in error.where
    assert "the source orders cannot be opened" in str(error) and error.found
    assert told in error.next_step
    assert not (shop.folder / "lake").exists()


def test_every_source_is_compared_with_its_contract_before_a_row_is_read(shop: Shop) -> None:
    shop.insert("customers", [{"customer": "c1"}])
    shop.insert("plans", [{"month": "2024-04-01"}])
    bad = "  customers: {table: FOLDER/customers}\n  plans: {table: FOLDER/plans}"
    with pytest.raises(ContractError) as refused:
        taken_in(begun(shop, f"  orders: {{table: FOLDER/orders}}\n{bad}"))
    assert "2 sources do not fit their contracts" in str(refused.value)
    assert [fault.where for fault in refused.value.faults] == ["sources.customers", "sources.plans"]
    assert "customer_id" in refused.value.faults[0].found
    with pytest.raises(ContractError, match="the source plans does not fit its contract"):
        taken_in(begun(shop, "  orders: {table: FOLDER/orders}\n  plans: {table: FOLDER/plans}"))
    assert not (shop.folder / "lake").exists()


def test_a_source_without_rows_is_refused_unless_that_is_meant(shop: Shop) -> None:
    none = "  orders: {table: FOLDER/orders, filter: \"order_id = 'o3'\"}"
    with conf(shop.spark, INTERPRETED):
        with pytest.raises(ContractError, match="the source orders has no rows") as refused:
            taken_in(begun(shop, none))
        assert "sources.orders.filter" in refused.value.next_step
        work = taken_in(begun(shop, none, "gate: {allow_empty: true}"))
    assert work.read(CUSTOMER_ORDERS).isEmpty()


LINES = """order_id,customer_id,ordered_at,product,price,quantity
o1,c1,2024-01-05,"Binder 10"" wide, blue",10.5,2
o2,c2,2024-01-06,plain,{price},1
"""
CSV = "  orders: {table: FOLDER/lines.csv, format: csv, columns: {net_amount: price * quantity}}"


def test_quotes_within_quotes_of_a_csv_are_doubled(shop: Shop) -> None:
    (shop.folder / "lines.csv").write_text(LINES.format(price="3.25"))
    with conf(shop.spark, INTERPRETED):
        work = taken_in(begun(shop, CSV))
        found = {(row["order_id"], float(row["net_amount"])) for row in work.read(CUSTOMER_ORDERS).collect()}
    assert found == {("o1", 21.0), ("o2", 3.25)}


@pytest.mark.parametrize(
    ("more", "what", "where"),
    [
        ("", "net_amount fails on some row", "sources.orders.columns.net_amount: price * quantity"),
        (", filter: 1 / (quantity - 1) > 0", "the filter fails on some row", "sources.orders.filter: 1 / (quantity"),
    ],
)
def test_sql_that_fails_on_some_row_is_named(shop: Shop, more: str, what: str, where: str) -> None:
    (shop.folder / "lines.csv").write_text(LINES.format(price="n/a"))
    with conf(shop.spark, INTERPRETED), pytest.raises(FailingExpression) as refused:
        compute(begun(shop, CSV[:-1] + more + "}"), "intake", lambda: NOW)
    error = refused.value
    [fault] = error.faults
    assert (error.exit_code, error.what) == (3, "SQL over the source orders fails on some row")
    assert fault.what == what and fault.where.startswith(where)
    assert ("CAST_INVALID_INPUT" in fault.found and fault.found.endswith("read as text: price")) == (not more)
    assert "n/a" not in str(error), "a value may be personal"
    assert "a column of a csv is text if one of its values is" in error.next_step


def test_rates_that_contradict_each_other_are_refused(shop: Shop) -> None:
    shop.insert("exchange_rates", [RATE, {**RATE, "rate": "0.9"}, {**RATE, "rate_date": "2024-01-02", "rate": "0"}])
    rates = "  exchange_rates: {table: FOLDER/exchange_rates}"
    with pytest.raises(ContractError, match="the exchange rates cannot be trusted") as refused:
        taken_in(begun(shop, f"  orders: {{table: FOLDER/orders}}\n{rates}"))
    for day in ("2024-01-01 EUR->GBP", "2024-01-02 EUR->GBP"):
        assert day in refused.value.found
    assert not (shop.folder / "lake").exists()


def test_plans_that_contradict_themselves_are_refused_before_anything_is_written(shop: Shop) -> None:
    month = {"period_month": "2030-01-01", "planned_new_customers": "10"}
    shop.insert("plans", [month, month])
    with pytest.raises(ContractError, match="the plans cannot be used") as refused:
        taken_in(begun(shop, "  orders: {table: FOLDER/orders}\n  plans: {table: FOLDER/plans}"))
    assert refused.value.faults[0].what == "a month is planned twice"
    assert not (shop.folder / "lake").exists()


def test_rows_that_a_filter_leaves_out_are_no_rows_of_the_source(shop: Shop) -> None:
    rows: list[dict[str, Any]] = [
        {**ORDER, "order_id": f"o{n}", "kind": "test" if n == 2 else "sale"} for n in range(4)
    ]
    made = shop.spark.createDataFrame(rows)
    made.write.parquet(str(shop.folder / "files"))
    source = "{table: FOLDER/files, format: parquet, filter: \"kind = 'sale'\", columns: {net_amount: 2 * net_amount}}"
    with conf(shop.spark, INTERPRETED):
        work = taken_in(begun(shop, f"  orders: {source}"))
        found = {(row["order_id"], int(row["net_amount"])) for row in work.read(CUSTOMER_ORDERS).collect()}
    assert found == {("o0", 20), ("o1", 20), ("o3", 20)}
