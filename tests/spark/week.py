"""A small shop whose sources change from night to night, and what readers must find: plain Python over its rows."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from clv_lib.contracts import PUBLISHED_TABLES
from clv_lib.contracts.customers import CUSTOMER_METRICS
from clv_lib.contracts.put_aside import CONSERVATION, QUARANTINED_ROWS
from clv_lib.contracts.segments import SEGMENT_METRICS
from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS, CUSTOMER_REFUNDS
from tests.spark import oracle, readers
from tests.spark.nights import Shop
from tests.spark.oracle import DataSet, evaluate

FIRST_NIGHT = dt.date(2024, 4, 30)
CUSTOMERS = 60
CHECKED = (CUSTOMER_ORDERS, CUSTOMER_MONTHS, CUSTOMER_METRICS, CONSERVATION, QUARANTINED_ROWS, SEGMENT_METRICS)
BROKEN = {"gross_amount": "much"}


def order(number: int, customer: str | None, day: dt.date, **other: Any) -> dict[str, Any]:
    """A row of the source: texts, no cost of goods."""
    return {
        "order_id": f"o{number}",
        "customer_id": customer,
        "ordered_at": f"{day}T10:00:00Z",
        "gross_amount": f"{5 + number % 37}.50",
        "discount_amount": f"{number % 3}",
        "cost_amount": None,
        "currency_code": "GBP",
        "updated_at": "2024-04-01T00:00:00Z",
        "order_status": "paid",
        "is_test_order": "false",
        "channel": ("web", "shop")[number % 2],
    } | other


def refund(number: int, order_id: str, day: dt.date, amount: str = "1.25") -> dict[str, Any]:
    return {
        "refund_id": f"r{number}",
        "order_id": order_id,
        "customer_id": None,
        "refund_amount": amount,
        "cost_recovered_amount": None,
        "refunded_at": f"{day}T12:00:00Z",
        "currency_code": "GBP",
        "is_deleted": "false",
    }


def history(chance: random.Random) -> list[dict[str, Any]]:
    """Orders of sixty customers over more than two years, up to the first night."""
    rows: list[dict[str, Any]] = []
    for customer in range(CUSTOMERS):
        day = dt.date(2022, 1, 1) + dt.timedelta(days=chance.randrange(500))
        while day <= FIRST_NIGHT:
            rows.append(order(len(rows), f"c{customer:02}", day))
            day += dt.timedelta(days=1 + int(chance.expovariate(1 / 70)))
    return rows


def days_orders(first: int, count: int, day: dt.date) -> list[dict[str, Any]]:
    """What an ordinary day brings: orders of known customers, and of new ones now and then."""
    return [order(first + n, f"c{(first + 7 * n) % (CUSTOMERS + 5):02}", day) for n in range(count)]


def dirt(first: int, day: dt.date) -> list[dict[str, Any]]:
    """Rows that give no order, of every kind but one of which the gate sees too many, four of them quarantined."""
    known = order(first + 8, "c09", day)
    return [
        order(first, "c01", day, **BROKEN),
        order(first + 1, "c02", day, order_id=" "),
        order(first + 2, "c03", day, currency_code="SEK"),
        order(first + 3, "c04", day, gross_amount="-5"),
        order(first + 4, "c05", day, order_status="cancelled"),
        order(first + 5, "c06", day, is_test_order="true"),
        order(first + 6, None, day),
        order(first + 7, "c08", day + dt.timedelta(days=40)),
        known,
        known,
    ]


@dataclass(frozen=True)
class Night:
    """What readers found to be right after a night: rows of the sources, of customers, and what was put aside."""

    source_rows: int
    customers: int
    orders: int
    quarantined: int
    net_amount: Decimal

    def __str__(self) -> str:
        return (
            f"{self.source_rows} source rows, {self.orders} orders of {self.customers} customers worth"
            f" {self.net_amount}, {self.quarantined} rows quarantined"
        )


def agreed(shop: Shop, lake: Path, as_of: dt.date) -> Night:
    """Compare every column that the oracle knows, row by row, and rows and money of each disposition."""
    sources = {name: readers.everything(shop.folder / name) for name in shop.sources}
    expected = evaluate(DataSet(sources["orders"], sources["refunds"], [], as_of))
    now = readers.pointer(lake)
    assert now["as_of_date"] == as_of
    found = {table.name: readers.rows(lake, table, now) for table in CHECKED}
    orders = {row["order_id"]: row for row in found[CUSTOMER_ORDERS.name]}
    _same(orders, expected.customer_orders, leaving_out={field.name for field in CUSTOMER_ORDERS.computed_on_read})
    _same({(row["customer_id"], row["month"]): row for row in found[CUSTOMER_MONTHS.name]}, expected.customer_months)
    metrics = {row["customer_id"]: row for row in found[CUSTOMER_METRICS.name]}
    _same(metrics, expected.customer_metrics)
    for name, rows in (("orders", expected.orders), ("refunds", expected.refunds)):
        _conserved(name, rows, [row for row in found[CONSERVATION.name] if row["source_name"] == name])
    broken = [row for row in (*expected.orders, *expected.refunds) if row["disposition"] == oracle.QUARANTINED]
    put_aside = Counter(reason for row in found[QUARANTINED_ROWS.name] for reason in row["reasons"])
    assert put_aside == Counter(reason for row in broken for reason in row["reasons"])
    _segments_add_up(found[SEGMENT_METRICS.name], expected)
    net = sum((row["net_amount"] for row in orders.values()), Decimal(0))
    return Night(sum(map(len, sources.values())), len(metrics), len(orders), len(broken), net)


def _same(found: dict[Any, Any], expected: dict[Any, Any], leaving_out: set[str] | None = None) -> None:
    assert set(found) == set(expected)
    for key, values in expected.items():
        wanted = {name: value for name, value in values.items() if name not in (leaving_out or ())}
        assert {name: found[key][name] for name in wanted} == wanted, key


def _conserved(name: str, judged: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    """`conservation` has the rows and the money of each currency and disposition, and beside them the input's."""
    wanted = oracle.totals(judged, lambda row: str(row["disposition"])) | oracle.totals(judged, lambda _: "input")
    cells = {(row["currency_code"], row["disposition"]): (row["row_count"], row["amount"]) for row in found}
    assert cells == wanted, name


def _segments_add_up(found: list[dict[str, Any]], expected: oracle.Expected) -> None:
    """Sales of each month, over the channels and over everybody, are those of the orders."""
    sales: dict[dt.date, Decimal] = defaultdict(Decimal)
    for row in expected.customer_orders.values():
        sales[row["ordered_month"]] += row["net_amount"]
    for kind in ("all", "channel"):
        shown: dict[dt.date, Decimal] = defaultdict(Decimal)
        for row in found:
            if row["segment_type"] == kind:
                shown[row["period_month"]] += row["net_amount"]
        assert {month: amount for month, amount in shown.items() if amount} == {m: a for m, a in sales.items() if a}


def mentions(lake: Path, customer: str) -> list[str]:
    """Published tables with a row of a customer."""
    now = readers.pointer(lake)
    tables = [table for table in PUBLISHED_TABLES if "customer_id" in table.columns]
    assert CUSTOMER_REFUNDS in tables
    return [t.name for t in tables if any(row["customer_id"] == customer for row in readers.rows(lake, t, now))]
