"""Segment months against a plain-Python oracle that walks through days, where the job works on months."""

from __future__ import annotations

import datetime as dt
import random
from calendar import monthrange
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.metrics.segment_metrics import segment_metrics
from clv_lib.settings.models import Churn
from tests.spark.activity import activity_of

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

MONTHS = (
    "customer_id string, month date, order_count bigint, net_amount decimal(28,4), margin_amount decimal(28,4),"
    " margin_order_count bigint, first_ordered_date date, last_ordered_date date"
)
MEMBERS = "customer_id string, segment_id string"

Table = dict[tuple[str, dt.date], "Row"]
Orders = dict[str, list[tuple[dt.date, Decimal]]]


def random_orders(seed: int) -> Orders:
    chance = random.Random(seed)
    orders: Orders = {}
    for number in range(60):
        days = sorted(chance.randrange(560) for _ in range(chance.choice([1, 1, 2, 3, 5, 12])))
        amounts = [Decimal(chance.randrange(1, 20_000)) / 100 for _ in days]
        orders[f"c{number:02}"] = [
            (dt.date(2023, 1, 5) + dt.timedelta(d), a) for d, a in zip(days, amounts, strict=True)
        ]
    return orders


def as_months(orders: Orders) -> list[tuple[Any, ...]]:
    rows = []
    for customer, bought in orders.items():
        by_month = defaultdict(list)
        for date, amount in bought:
            by_month[date.replace(day=1)].append((date, amount))
        for first, own in by_month.items():
            net = sum((amount for _, amount in own), Decimal(0))
            rows.append((customer, first, len(own), net, Decimal(0), 0, own[0][0], own[-1][0]))
    return rows


def is_active(days: list[dt.date], on: dt.date, inactivity_days: int) -> bool:
    known = [d for d in days if d <= on]
    return bool(known) and (on - known[-1]).days < inactivity_days


def oracle(orders: Orders, members: list[str], first: dt.date, as_of: dt.date, inactivity_days: int) -> dict[str, Any]:
    end = min(first.replace(day=monthrange(first.year, first.month)[1]), as_of)
    one_day = dt.timedelta(1)
    spans = {c: [d for d, _ in orders[c]] for c in members}
    month_days = [first + dt.timedelta(n) for n in range((end - first).days + 1)]
    states = {
        c: [is_active(days, d, inactivity_days) for d in (first - one_day, *month_days)]
        for c, days in spans.items()
        if days[0] <= end
    }
    moves = {c: list(pairwise(s)) for c, s in states.items()}
    bought = [(d, a) for c in members for d, a in orders[c] if d <= end]
    gained = sum((False, True) in move for move in moves.values())
    new = sum(first <= days[0] <= end for days in spans.values())
    return {
        "customer_count_start": sum(s[0] for s in states.values()),
        "new_customer_count": new,
        "reactivated_customer_count": gained - new,
        "churned_customer_count": sum((True, False) in move for move in moves.values()),
        "customer_count_end": sum(s[-1] for s in states.values()),
        "order_count": sum(d >= first for d, _ in bought),
        "net_amount": sum((a for d, a in bought if d >= first), Decimal(0)),
        "lifetime_customer_count": len(states),
        "lifetime_order_count": len(bought),
        "lifetime_net_amount": sum((a for _, a in bought), Decimal(0)),
        "exposure_days": sum((end - spans[c][0]).days + 1 for c in states),
    }


@pytest.mark.parametrize(
    ("seed", "inactivity_days", "as_of"), [(1, 31, dt.date(2024, 6, 30)), (2, 45, dt.date(2024, 7, 17))]
)
def test_segment_months_agree_with_the_oracle(
    spark: SparkSession, seed: int, inactivity_days: int, as_of: dt.date
) -> None:
    orders = {c: [o for o in bought if o[0] <= as_of] for c, bought in random_orders(seed).items()}
    orders = {c: bought for c, bought in orders.items() if bought}
    groups = {"all:all": list(orders)} | {f"last:{n}": [c for c in orders if int(c[1:]) % 3 == n] for n in range(3)}
    months = spark.createDataFrame(as_months(orders), MONTHS)
    members = spark.createDataFrame([(c, segment) for segment, own in groups.items() for c in own], MEMBERS)
    activity = activity_of(months, members, inactivity_days=inactivity_days, as_of=as_of)
    metrics = segment_metrics(activity, None, Churn(inactivity_days=inactivity_days), 0.10, as_of)
    found = {(row.segment_id, row.period_month): row for row in metrics.collect()}
    for (segment, first), row in found.items():
        expected = oracle(orders, groups[segment], first, as_of, inactivity_days)
        assert {name: row[name] for name in expected} == expected, (segment, first)
        assert row.churned_customer_count <= row.customer_count_start
    assert sum(row.reactivated_customer_count for row in found.values()) > 0
    check_identities(found)


def check_identities(found: Table) -> None:
    """Formula CLV by both routes, in fractions of the parts; and years give the same as months."""
    checked = 0
    for (segment, first), row in found.items():
        complete = sorted(m for s, m in found if s == segment and m <= first and found[s, m].is_final)
        past = [found[segment, m] for m in complete[-12:]]
        churned = sum(r.churned_customer_count for r in past)
        if churned == 0:
            assert row.clv_formula_amount is None
            continue
        lifetime = Fraction(sum(r.customer_count_start for r in past), churned)
        months = Fraction(row.exposure_days) / Fraction("30.4375")
        order_value = Fraction(row.lifetime_net_amount) / row.lifetime_order_count
        frequency = row.lifetime_order_count / months
        by_orders = order_value * frequency * lifetime
        by_customers = Fraction(row.lifetime_net_amount) / months * lifetime
        by_years = order_value * (frequency * 12) * (lifetime / 12)
        assert by_orders == by_customers == by_years
        assert abs(Fraction(row.clv_formula_amount) - by_orders) <= Fraction(51, 10**10)
        checked += 1
    assert checked > 10
