"""From a user's columns to judged rows: faults of the contract, readings of values, every row rule, and order lines."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from clv_lib.contracts.inputs import CONTRACTS, NEGATIVE_ORDER, ORDERS, order_rules, refund_rules, spend_rules
from clv_lib.errors import ContractError
from clv_lib.orders import refunds as refunding
from clv_lib.orders.currency import converted
from clv_lib.orders.disposition import counted, totals
from clv_lib.orders.intake import judged_orders, with_line_dispositions, with_order_dispositions
from clv_lib.orders.lines import contradictory_orders, orders_of_lines, refunds_of_lines
from clv_lib.orders.mapping import map_source
from clv_lib.orders.put_aside import counted_aside, rows_put_aside
from clv_lib.orders.spend import judged_spend
from clv_lib.settings.models import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ZONE = "Europe/London"
AS_OF = dt.date(2024, 12, 31)
SETTINGS = Settings.model_validate(
    {
        "lake": "clv",
        "reporting": {"currency": "GBP", "time_zone": ZONE},
        "sources": {"orders": {"table": "shop.orders"}},
    }
)
Texts = dict[str, str | None]


def texts(spark: SparkSession, rows: list[Texts]) -> DataFrame:
    names = list(dict.fromkeys(name for row in rows for name in row))
    schema = ", ".join(f"{name} string" for name in names)
    return spark.createDataFrame([tuple(row.get(name) for name in names) for row in rows], schema)


def mapped(spark: SparkSession, rows: list[Texts], name: str = "orders") -> DataFrame:
    return map_source(texts(spark, rows), CONTRACTS[name], {}, currency="GBP", time_zone=ZONE)


def faults_of(frame: DataFrame, columns: dict[str, str]) -> str:
    with pytest.raises(ContractError) as caught:
        map_source(frame, ORDERS, columns, currency="GBP", time_zone=ZONE)
    return str(caught.value)


def test_faults_name_the_column_and_all_are_told_at_once(spark: SparkSession) -> None:
    frame = spark.createDataFrame([], "order_id string, customerid string, ordered_at boolean, price double")
    text = faults_of(frame, {"net_amuont": "price", "tax_amount": "pryce * 2", "channel": "upper("})
    assert "net_amuont is not a column of the contract" in text and "net_amount" in text
    assert "customer_id is missing" in text and "nearest: customerid" in text
    assert "net_amount or gross_amount is missing" in text
    assert "ordered_at has the wrong type" in text and "boolean" in text
    assert "tax_amount cannot be computed" in text and "pryce" in text
    assert "channel cannot be computed" in text


def test_column_names_match_in_any_case_and_defaults_fill_the_rest(spark: SparkSession) -> None:
    rows: list[Texts] = [{"Order_ID": "1", "CUSTOMER_ID": "a", "ordered_at": "2024-01-01", "gross_amount": "5"}]
    row = mapped(spark, rows).collect()[0]
    assert (row.order_id, row.net_amount, row.discount_amount, row.currency_code) == ("1", 5, 0, "GBP")
    assert (row.order_status, row.is_test_order, row.cost_amount, row.updated_at) == ("placed", False, None, None)
    assert row.source_row.CUSTOMER_ID == "a"


INSTANTS = {
    "2024-01-15 12:00:00": "2024-01-15 12:00:00",
    "2024-07-15 12:00:00": "2024-07-15 11:00:00",
    "2024-07-15": "2024-07-14 23:00:00",
    "2024-07-15T12:00:00Z": "2024-07-15 12:00:00",
    "2024-07-15T12:00:00+05:30": "2024-07-15 06:30:00",
    # The hour that is skipped in March and the hour that comes twice in October (the first is meant).
    "2024-03-31 01:30:00": "2024-03-31 01:30:00",
    "2024-10-27 01:30:00": "2024-10-27 00:30:00",
    "yesterday": None,
    "": None,
}


def test_times_without_a_zone_are_reporting_time(spark: SparkSession) -> None:
    rows: list[Texts] = [
        {"order_id": f"{n}", "customer_id": "a", "ordered_at": text, "net_amount": "1"}
        for n, text in enumerate(INSTANTS)
    ]
    found = mapped(spark, rows).selectExpr("int(order_id) as number", "string(ordered_at) as instant").collect()
    assert [row.instant for row in sorted(found)] == list(INSTANTS.values())


def test_local_timestamps_and_dates_are_reporting_time_too(spark: SparkSession) -> None:
    times = "timestamp_ntz'2024-07-15 00:30:00' as local, date'2024-07-15' as day"
    frame = spark.sql(f"select '1' as order_id, 'a' as customer_id, 1 as n, {times}")
    for column, instant in {"local": "2024-07-14 23:30:00", "day": "2024-07-14 23:00:00"}.items():
        columns = {"ordered_at": column, "net_amount": "n"}
        found = map_source(frame, ORDERS, columns, currency="GBP", time_zone=ZONE).selectExpr(
            "string(ordered_at) as at"
        )
        assert found.collect()[0].at == instant


ORDER: Texts = {
    "order_id": "1",
    "customer_id": "a",
    "ordered_at": "2024-05-01",
    "gross_amount": "10",
    "net_amount": "10",
    "discount_amount": "0",
    "tax_amount": None,
    "shipping_amount": None,
    "total_amount": None,
    "currency_code": "GBP",
}
BAD_ORDERS: dict[str, Texts] = {
    "null_order_id": {"order_id": "  "},
    "unprintable_order_id": {"order_id": "1\u200b2"},
    "unprintable_customer_id": {"customer_id": "a\u0007"},
    "unreadable_ordered_at": {"ordered_at": "soon"},
    "before_earliest_date": {"ordered_at": "1989-12-31"},
    "unreadable_amount": {"net_amount": "ten"},
    "amount_too_large": {"net_amount": "100000001", "gross_amount": "100000001"},
    "net_mismatch": {"net_amount": "9.98"},
    "negative_discount": {"gross_amount": "9", "discount_amount": "-1"},
    "total_mismatch": {"tax_amount": "2", "shipping_amount": "1", "total_amount": "13.02"},
    "unknown_currency": {"currency_code": "EURO"},
    "no_exchange_rate": {"currency_code": "EUR"},
    "negative_amount": {"net_amount": "-1", "gross_amount": "-1"},
}
REFUND: Texts = {
    "refund_id": "1",
    "order_id": "1",
    "customer_id": None,
    "refund_amount": "1",
    "refunded_at": "2024-05-02",
    "currency_code": "GBP",
}
BAD_REFUNDS: dict[str, Texts] = {
    "null_refund_id": {"refund_id": ""},
    "no_order_or_customer": {"order_id": " "},
    "unreadable_refunded_at": {"refunded_at": "2024-13-01"},
    "before_earliest_date": {"refunded_at": "0001-01-01"},
    "unreadable_amount": {"refund_amount": "NaN"},
    "negative_refund": {"refund_amount": "-0.01"},
    "amount_too_large": {"refund_amount": "100000000.01"},
    "unknown_currency": {"currency_code": None},
    "no_exchange_rate": {"currency_code": "usd"},
}
SPEND: Texts = {
    "spend_id": "1",
    "spend_date": "2024-05-01",
    "channel": "mail",
    "spend_amount": "5",
    "currency_code": "GBP",
}
BAD_SPEND: dict[str, Texts] = {
    "unreadable_spend_date": {"spend_date": "May"},
    "before_earliest_date": {"spend_date": "1970-01-01"},
    "null_channel": {"channel": "  "},
    "unreadable_amount": {"spend_amount": "1e999"},
    "negative_spend": {"spend_amount": "-5"},
    "amount_too_large": {"spend_amount": "1000000000"},
    "unknown_currency": {"currency_code": "£"},
    "no_exchange_rate": {"currency_code": "JPY"},
}
# A currency that is no code has no rate either.
ALSO = {"unknown_currency": {"no_exchange_rate"}}


@pytest.mark.parametrize("source", ["orders", "refunds", "marketing_spend"])
def test_each_row_rule_has_a_row_that_breaks_it_alone(spark: SparkSession, source: str) -> None:
    good, bad = {
        "orders": (ORDER, BAD_ORDERS),
        "refunds": (REFUND, BAD_REFUNDS),
        "marketing_spend": (SPEND, BAD_SPEND),
    }[source]
    limits = ("1990-01-01", 100_000_000)
    rules = {"orders": order_rules(*limits), "refunds": refund_rules(*limits), "marketing_spend": spend_rules(*limits)}
    names = {rule.name for rule in rules[source]} | ({NEGATIVE_ORDER.name} if source == "orders" else set())
    assert set(bad) == names
    rows = mapped(
        spark, [good | {"label": "good"}, *(good | row | {"label": name} for name, row in bad.items())], source
    )
    if source == "orders":
        judged = judged_orders(rows, None, SETTINGS, AS_OF, is_line=False)
    elif source == "refunds":
        judged = refunding.judged_refunds(rows, None, SETTINGS, AS_OF)
    else:
        judged = judged_spend(rows, None, SETTINGS, AS_OF)
    found = {row.label: set(row.reasons) for row in judged.select("source_row.label", "reasons").collect()}
    assert found == {"good": set()} | {name: {name} | ALSO.get(name, set()) for name in bad}


def test_bad_rows_keep_their_payload_and_good_ones_drop_it(spark: SparkSession) -> None:
    """What the source puts aside by itself is not bad data, whatever rule it breaks."""
    aside: list[Texts] = [
        {"order_id": "test", "is_test_order": "true", "net_amount": "ten"},
        {"order_id": "cancelled", "order_status": "Cancelled", "net_amount": "-1"},
        {"order_id": "gift_card", "is_gift_card_order": "true"},
        {"order_id": "deleted", "is_deleted": "true"},
        {"order_id": "after_as_of", "ordered_at": "2025-01-01"},
        {"order_id": "anonymous", "customer_id": "   "},
        {"order_id": "accepted"},
        {"order_id": "quarantined", "net_amount": "ten"},
    ]
    rows = mapped(spark, [ORDER | {"is_test_order": "false", "order_status": "paid"} | row for row in aside])
    judged = judged_orders(rows, None, SETTINGS, AS_OF, is_line=False)
    found = with_order_dispositions(judged, None, SETTINGS, AS_OF).collect()
    assert {row.order_id: row.disposition for row in found} == {
        name: name for name in (str(r["order_id"]) for r in aside)
    }
    payloads = {row.order_id: json.loads(row.source_row) for row in found if row.source_row is not None}
    assert {name: row["net_amount"] for name, row in payloads.items()} == {"quarantined": "ten"}


def test_cancelled_is_spelled_in_two_ways(spark: SparkSession) -> None:
    statuses = (" Canceled", "CANCELLED", "voided", "failed", "delivered")
    rows = mapped(spark, [ORDER | {"order_id": status, "order_status": status} for status in statuses])
    judged = judged_orders(rows, None, SETTINGS, AS_OF, is_line=False)
    found = with_order_dispositions(judged, None, SETTINGS, AS_OF).collect()
    assert {row.order_id: row.disposition for row in found} == {
        **dict.fromkeys(("Canceled", "CANCELLED", "voided", "failed"), "cancelled"),
        "delivered": "accepted",
    }


def test_conversion_rounds_once(spark: SparkSession) -> None:
    """Spark gives the plain product seven digits, and rounding that again would make 1.0001 of 1.00004999."""
    products = [("1", "1.000049999999"), ("-1", "1.000049999999"), ("1", "1.00005"), ("3.0001", "1234567.891234567891")]
    frame = spark.createDataFrame([*products, (None, "2")], "amount string, rate string").selectExpr(
        "cast(amount as decimal(18,4)) as amount", "cast(rate as decimal(28,12)) as exchange_rate"
    )
    wanted = ["1.0000", "-1.0000", "1.0001", "3703827.1305", None]
    found = [row.amount for row in frame.select(converted("amount")).collect()]
    assert found == [None if text is None else Decimal(text) for text in wanted]


def line(order_id: str, customer: str | None, day: str, net: str, **more: str | None) -> Texts:
    return {"order_id": order_id, "customer_id": customer, "ordered_at": day, "net_amount": net, **more}


LINES: list[Texts] = [
    line("1", "a", "2024-01-01 10:00:00", "10", cost_amount="4"),
    line("1", "a", "2024-01-01 09:00:00", "5", cost_amount="1"),
    line("2", "a", "2024-02-01", "20", cost_amount="4"),
    line("2", "a", "2024-02-01", "1"),
    line("C3", "a", "2024-02-02", "-8", cost_amount="-2"),
    line("C4", "b", "2024-01-01", "-8"),
    line("5", "a", "2024-03-01", "7"),
    line("5", "b", "2024-03-01", "7"),
    line("6", "c", "2024-04-01", "30"),
    line("6", "c", "2024-04-01", "-12"),
    line("7", None, "2024-04-01", "3"),
]


def judged_lines(spark: SparkSession) -> DataFrame:
    rows = mapped(spark, LINES)
    judged = judged_orders(rows, None, SETTINGS, AS_OF, is_line=True)
    return with_line_dispositions(judged, None, contradictory_orders(rows), SETTINGS, AS_OF).persist()


def test_lines_become_orders_and_negative_lines_refunds(spark: SparkSession) -> None:
    lines = judged_lines(spark)
    dispositions = sorted((row.order_id, str(row.net_amount.normalize()), row.disposition) for row in lines.collect())
    aside = {(o, d) for o, _, d in dispositions if d != "accepted"}
    assert aside == {
        ("C3", "refund_line"),
        ("C4", "refund_line"),
        ("6", "refund_line"),
        ("5", "quarantined"),
        ("7", "anonymous"),
    }
    assert {tuple(row.reasons) for row in lines.collect() if row.order_id == "5"} == {("contradictory_order",)}

    orders = orders_of_lines(lines)
    sums: dict[str, Any] = {row.order_id: (row.net_amount, row.cost_amount) for row in orders.collect()}
    assert sums == {"1": (15, 5), "2": (21, None), "6": (30, None)}
    first = orders.where("order_id = '1'").selectExpr("string(ordered_at) as at").collect()[0]
    assert first.at == "2024-01-01 09:00:00"

    aside = counted_aside(rows_put_aside(lines, "orders", "order_id", "net_amount", "ordered_date"))
    accepted_rows = counted(orders, "orders", "net_amount", F.lit("accepted"), F.col("source_row_count"))
    kept = totals(aside.unionByName(accepted_rows)).collect()
    accepted = {(row.row_count, row.amount) for row in kept if row.disposition == "accepted"}
    assert accepted == {(sum(placed == "accepted" for *_, placed in dispositions), 66)}
    assert sum(row.amount for row in kept) == sum(row.net_amount for row in lines.collect())


def test_credit_notes_belong_to_the_latest_order_before_them(spark: SparkSession) -> None:
    lines = judged_lines(spark)
    index = refunding.order_index(orders_of_lines(lines).selectExpr("*", "'accepted' as disposition"))
    made = refunds_of_lines(lines).selectExpr("*", "string(null) as version_disposition")
    found = refunding.with_refund_dispositions(refunding.with_order(made, index, fall_back=True), AS_OF).persist()
    rows = {row.refund_id: row for row in found.collect()}
    assert {name: (row.disposition, row.known_order_id, row.attribution) for name, row in rows.items()} == {
        "C3#refund": ("accepted", "2", "latest_order"),
        "C4#refund": ("quarantined", None, None),
        "6#refund": ("accepted", "6", "order_id"),
    }
    assert rows["C4#refund"].reasons == ["orphan_refund"]
    stored = {row.order_id: row for row in refunding.customer_refunds(found).collect()}
    assert {name: (row.refund_amount, row.cost_recovered_amount) for name, row in stored.items()} == {
        "2": (8, 2),
        "6": (12, 0),
    }
