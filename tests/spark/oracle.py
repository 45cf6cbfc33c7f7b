"""Silver and customer metrics computed once more, by plain Python on dictionaries, decimals and dates.

Input rows are dictionaries of texts, as a CSV file has them. The rules are written from the definitions, not from the
job's code: nothing here is shared with it.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tests.spark.history_oracle import ZERO, Row, Rows, metrics, months, order_history

Totals = dict[tuple[str, str], tuple[int, Decimal]]

ZONE = ZoneInfo("Europe/London")
CURRENCY = "GBP"
MAX_RATE_AGE = dt.timedelta(days=7)
EARLIEST = dt.date(1990, 1, 1)
MAX_AMOUNT = Decimal(100_000_000)
TOLERANCE = Decimal("0.01")
ACCEPTED, QUARANTINED = "accepted", "quarantined"


@dataclass(repr=False)
class DataSet:
    """Input rows of one evaluation."""

    orders: Rows
    refunds: Rows
    rates: Rows
    as_of: dt.date

    def __repr__(self) -> str:
        return f"{len(self.orders)} orders, {len(self.refunds)} refunds, {len(self.rates)} rates up to {self.as_of}"


def rate_rows(data: DataSet) -> Rows:
    """The rates as rows of texts of the source exchange_rates."""
    return [
        {
            "rate_date": f"{rate['day']}",
            "from_currency_code": rate["currency"],
            "to_currency_code": "gbp",
            "rate": f"{rate['rate']:f}",
        }
        for rate in data.rates
    ]


@dataclass
class Expected:
    """What the job must find: judged rows in the order of the input, silver and metrics by their keys."""

    orders: Rows = field(default_factory=list)
    refunds: Rows = field(default_factory=list)
    customer_orders: dict[str, Row] = field(default_factory=dict)
    customer_months: dict[tuple[str, dt.date], Row] = field(default_factory=dict)
    customer_metrics: dict[str, Row] = field(default_factory=dict)


def evaluate(data: DataSet) -> Expected:
    """Everything that the job derives from a data set."""
    found = Expected(orders=[judged_order(row, data) for row in data.orders])
    resolve_versions(found.orders, "order_id")
    for row in found.orders:
        row["disposition"] = row["version"] or order_disposition(row, data.as_of)
    found.refunds = judged_refunds(data, found.orders)
    accepted = [row for row in found.orders if row["disposition"] == ACCEPTED]
    paid_back = [row for row in found.refunds if row["disposition"] == ACCEPTED]
    for customer, own in grouped(accepted, "customer_id").items():
        history = order_history(own, paid_back)
        found.customer_orders |= {row["order_id"]: row for row in history}
        found.customer_metrics[customer] = metrics(history, data.as_of)
    found.customer_months = months(list(found.customer_orders.values()), paid_back)
    return found


def grouped(rows: Iterable[Row], name: str) -> dict[Any, Rows]:
    groups = defaultdict(list)
    for row in rows:
        groups[row[name]].append(row)
    return groups


def amount(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except ArithmeticError:
        return None


def key(text: str | None) -> str | None:
    return (text or "").strip(" ") or None


def instant(text: str | None) -> dt.datetime | None:
    try:
        read = dt.datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=ZONE)).astimezone(dt.timezone.utc)


def local_day(moment: dt.datetime | None) -> dt.date | None:
    return None if moment is None else moment.astimezone(ZONE).date()


def rate_on(day: dt.date | None, currency: str, data: DataSet) -> Decimal | None:
    """The newest rate of the day or before it, if it is not too old; no day after as_of has one."""
    if currency == CURRENCY:
        return Decimal(1)
    if day is None or day > data.as_of:
        return None
    known = [r for r in data.rates if r["currency"] == currency and r["day"] <= day <= r["day"] + MAX_RATE_AGE]
    return max(known, key=lambda r: r["day"])["rate"] if known else None


def common_reasons(row: Row) -> set[str]:
    faults = {
        "before_earliest_date": row["day"] is not None and row["day"] < EARLIEST,
        "unreadable_amount": row["amount"] is None,
        "amount_too_large": abs(row["amount"] or ZERO) > MAX_AMOUNT,
        "no_exchange_rate": row["rate"] is None,
    }
    return {name for name, is_broken in faults.items() if is_broken}


def judged_order(raw: Row, data: DataSet) -> Row:
    moment = instant(raw["ordered_at"])
    gross, discount = amount(raw["gross_amount"]), amount(raw["discount_amount"])
    row: Row = {
        "order_id": key(raw["order_id"]),
        "customer_id": key(raw["customer_id"]),
        "currency": raw["currency_code"].strip().upper(),
        "at": moment,
        "day": local_day(moment),
        "gross": gross,
        "amount": None if gross is None or discount is None else gross - discount,
        "cost": amount(raw["cost_amount"]),
        "updated": instant(raw["updated_at"]),
        "status": raw["order_status"],
        "is_test": raw["is_test_order"] == "true",
    }
    row["rate"] = rate_on(row["day"], row["currency"], data)
    row["content"] = (*row.values(),)
    reasons = common_reasons(row)
    reasons |= {"null_order_id"} if row["order_id"] is None else set()
    reasons |= {"unreadable_ordered_at"} if moment is None else set()
    reasons |= {"negative_amount"} if (row["amount"] or ZERO) < 0 else set()
    reasons |= (
        {"negative_discount"} if (discount or ZERO) < 0 and (row["amount"] is None or row["amount"] >= 0) else set()
    )
    competes = not reasons and row["day"] is not None and row["day"] <= data.as_of
    return row | {"reasons": reasons, "competes": competes, "version": None}


def resolve_versions(rows: Rows, name: str) -> None:
    """Of the competing rows of an id: one of each content; of these the newest, if it is the only newest."""
    for of_one in grouped([row for row in rows if row["competes"]], name).values():
        different: dict[Any, Row] = {}
        for row in of_one:
            row["version"] = "exact_duplicate" if row["content"] in different else None
            different.setdefault(row["content"], row)
        times = {
            content: row["updated"] or dt.datetime.min.replace(tzinfo=dt.timezone.utc)
            for content, row in different.items()
        }
        newest = [content for content, time in times.items() if time == max(times.values())]
        for content, row in different.items():
            if content not in newest:
                row["version"] = "superseded"
            elif len(newest) > 1:
                row["version"] = QUARANTINED
                row["reasons"] = {"conflicting_duplicate"}


def order_disposition(row: Row, as_of: dt.date) -> str:
    if row["day"] is not None and row["day"] > as_of:
        return "after_as_of"
    if row["is_test"]:
        return "test"
    if row["status"] == "cancelled":
        return "cancelled"
    if row["reasons"]:
        return QUARANTINED
    return ACCEPTED if row["customer_id"] else "anonymous"


def judged_refunds(data: DataSet, orders: Rows) -> Rows:
    rows = [judged_refund(raw, data) for raw in data.refunds]
    resolve_versions(rows, "refund_id")
    for row in rows:
        attribute(row, orders)
        is_late = row["day"] is not None and row["day"] > data.as_of
        row["is_open"] = not (row["reasons"] or row["version"] or row["is_deleted"] or is_late)
    for row in rows:
        row["found"] = order_reasons(row, rows) if row["is_open"] and not row["is_aside"] else set()
    for row in rows:
        row["reasons"] = row["reasons"] | row["found"]
        row["disposition"] = refund_disposition(row, data.as_of)
    return rows


def judged_refund(raw: Row, data: DataSet) -> Row:
    moment = instant(raw["refunded_at"])
    row: Row = {
        "refund_id": key(raw["refund_id"]),
        "order_id": key(raw["order_id"]),
        "customer_id": key(raw["customer_id"]),
        "currency": raw["currency_code"].strip().upper(),
        "at": moment,
        "day": local_day(moment),
        "amount": amount(raw["refund_amount"]),
        "cost_recovered": amount(raw["cost_recovered_amount"]) or ZERO,
        "is_deleted": raw["is_deleted"] == "true",
    }
    row["rate"] = rate_on(row["day"], row["currency"], data)
    row["content"] = (*row.values(),)
    reasons = common_reasons(row)
    reasons |= {"null_refund_id"} if row["refund_id"] is None else set()
    reasons |= {"no_order_or_customer"} if not (row["order_id"] or row["customer_id"]) else set()
    reasons |= {"unreadable_refunded_at"} if moment is None else set()
    reasons |= {"negative_refund"} if (row["amount"] or ZERO) < 0 else set()
    competes = not reasons and row["day"] is not None and row["day"] <= data.as_of
    return row | {"reasons": reasons, "competes": competes, "version": None, "updated": None}


def attribute(refund: Row, orders: Rows) -> None:
    """The order that the refund names, the accepted row first; else its customer's latest accepted order before it."""
    named = [o for o in orders if o["order_id"] is not None and o["order_id"] == refund["order_id"]]
    named = [o for o in named if o["disposition"] == ACCEPTED] or named
    refund["order"], refund["attribution"] = (named[0], "order_id") if named else (None, None)
    if refund["order_id"] is None and refund["customer_id"] and refund["at"] is not None:
        own = [o for o in orders if o["disposition"] == ACCEPTED and o["customer_id"] == refund["customer_id"]]
        before = [o for o in own if o["at"] <= refund["at"]]
        if before:
            refund["order"] = max(before, key=lambda o: (o["at"], o["order_id"]))
            refund["attribution"] = "latest_order"
    refund["is_aside"] = refund["order"] is not None and refund["order"]["disposition"] != ACCEPTED


def order_reasons(refund: Row, refunds: Rows) -> set[str]:
    order = refund["order"]
    if order is None:
        return {"orphan_refund"}
    if refund["attribution"] != "order_id":
        return set()
    same = [r for r in refunds if r["is_open"] and r["attribution"] == "order_id" and r["order"] is order]
    total = sum((r["amount"] for r in same if r["currency"] == order["currency"]), ZERO)
    faults = {
        "refund_before_order": refund["day"] < order["day"],
        "refund_exceeds_order": refund["currency"] == order["currency"] and total > order["amount"] + TOLERANCE,
        "refund_names_other_customer": refund["customer_id"] not in (None, order["customer_id"]),
    }
    return {name for name, is_broken in faults.items() if is_broken}


def refund_disposition(row: Row, as_of: dt.date) -> str:
    if row["day"] is not None and row["day"] > as_of:
        return "after_as_of"
    if row["is_deleted"]:
        return "deleted"
    if row["version"]:
        return str(row["version"])
    if row["reasons"]:
        return QUARANTINED
    return "order_put_aside" if row["is_aside"] else ACCEPTED


def totals(rows: Rows, disposition: Callable[[Row], str]) -> Totals:
    """Rows and money by currency and disposition, as `conservation` has them."""
    counts: Counter[tuple[str, str]] = Counter()
    money: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        cell = (row["currency"], disposition(row))
        counts[cell] += 1
        money[cell] += row["amount"] or ZERO
    return {cell: (count, money[cell]) for cell, count in counts.items()}
