"""Cohort metrics against figures worked out by hand, and against a plain-Python oracle that walks through orders."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.contracts.cohorts import COHORT_METRICS
from clv_lib.metrics.cohort_metrics import cohort_metrics
from tests.spark.activity import activity_of

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

MONTHS = (
    "customer_id string, month date, order_count bigint, active_day_count bigint, net_amount decimal(28,4),"
    " margin_amount decimal(28,4), margin_order_count bigint"
)
MEMBERS = "customer_id string, segment_id string, segment_type string"
AS_OF = dt.date(2024, 5, 15)
ADDED_UP = ("active_customer_count", "repeat_customer_count", "order_count", "net_amount", "cumulative_net_amount")

Cells = dict[tuple[int, str, int], Any]


def months_row(customer: str, month: int, orders: int, days: int, net: int, margin: int | None) -> tuple[Any, ...]:
    known = 0 if margin is None else orders
    return customer, dt.date(2024, month, 1), orders, days, Decimal(net), Decimal(margin or 0), known


# a orders on two days of January; a refund of it is paid back in February. Refunds exceed b's April. The cost of c's
# orders is never known, that of e's second one is not.
HISTORY = [
    months_row("a", 1, 2, 2, 100, 40),
    months_row("a", 2, 0, 0, 0, 0),
    months_row("a", 3, 1, 1, 60, 20),
    months_row("b", 1, 1, 1, 50, 10),
    months_row("b", 4, 1, 1, -40, -30),
    months_row("c", 2, 1, 1, 20, None),
    months_row("c", 5, 2, 1, 30, None),
    months_row("e", 3, 1, 1, 10, 4),
    months_row("e", 4, 1, 1, 10, None),
]
MEMBERSHIPS = [
    *((c, "all:all") for c in "abce"),
    *(("a", "kind:x"), ("b", "kind:y"), ("c", "kind:x"), ("e", "kind:y")),
    *(("a", "first:2024-01"), ("b", "first:2024-01"), ("c", "first:2024-02"), ("e", "first:2024-03")),
    ("b", "site:shop:uk"),
]


def members(spark: SparkSession, rows: list[tuple[str, str]]) -> Any:
    return spark.createDataFrame([(c, segment, segment.split(":")[0]) for c, segment in rows], MEMBERS)


@pytest.fixture(scope="module")
def by_hand(spark_session: SparkSession) -> Cells:
    months = spark_session.createDataFrame(HISTORY, MONTHS)
    activity = activity_of(months, members(spark_session, MEMBERSHIPS), as_of=AS_OF)
    found = cohort_metrics(activity, ["first"], AS_OF)
    assert dict(found.dtypes) == COHORT_METRICS.schema
    return {(r.cohort_month.month, r.segment_id, r.months_since_first_order): r for r in found.collect()}


def curve(cells: Cells, cohort: int, name: str, segment: str = "all:all") -> list[Any]:
    return [row[name] for key, row in sorted(cells.items()) if key[:2] == (cohort, segment)]


def test_ages_are_there_up_to_as_of_and_not_beyond(by_hand: Cells) -> None:
    assert len(by_hand) == 5 + 4 + 3 + (5 + 4) + (5 + 3) + 5  # all; x: a, c; y: b, e; shop: b
    assert curve(by_hand, 1, "months_since_first_order") == [0, 1, 2, 3, 4]
    assert curve(by_hand, 3, "months_since_first_order") == [0, 1, 2]  # not observed is absent, never 0
    assert [month.month for month in curve(by_hand, 2, "period_month")] == [2, 3, 4, 5]
    assert curve(by_hand, 2, "is_complete") == [True, True, True, False]


def test_cohort_segments_would_repeat_the_cohort(by_hand: Cells) -> None:
    assert {row.segment_type for row in by_hand.values()} == {"all", "kind", "site"}
    assert by_hand[1, "site:shop:uk", 0].segment_name == "shop:uk"


def test_retention_has_the_size_of_the_first_month_below(by_hand: Cells) -> None:
    assert curve(by_hand, 1, "active_customer_count") == [2, 0, 1, 1, 0]
    assert curve(by_hand, 1, "retention_rate") == [1, 0, Decimal("0.5"), Decimal("0.5"), 0]
    assert set(curve(by_hand, 1, "cohort_size")) == {2}
    assert {row.retention_rate for (*_, age), row in by_hand.items() if age == 0} == {1}
    assert curve(by_hand, 2, "retention_rate") == [1, 0, 0, 1]


def test_money_of_a_month_without_orders_is_zero(by_hand: Cells) -> None:
    assert curve(by_hand, 1, "order_count") == [3, 0, 1, 1, 0]
    assert curve(by_hand, 1, "net_amount") == [150, 0, 60, -40, 0]
    assert curve(by_hand, 1, "margin_amount") == [50, 0, 20, -30, 0]


def test_cumulative_value_falls_with_refunds(by_hand: Cells) -> None:
    assert curve(by_hand, 1, "cumulative_net_amount") == [150, 150, 210, 170, 170]  # no running maximum
    assert curve(by_hand, 1, "cumulative_net_per_customer") == [75, 75, 105, 85, 85]
    assert curve(by_hand, 1, "cumulative_margin_per_customer") == [25, 25, 35, 20, 20]


def test_one_unknown_cost_ends_the_known_margin(by_hand: Cells) -> None:
    assert curve(by_hand, 3, "margin_amount") == [4, None, 0]
    assert curve(by_hand, 3, "cumulative_margin_amount") == [4, None, None]
    assert curve(by_hand, 3, "margin_status") == ["ok", "margin_unknown", "margin_unknown"]
    assert curve(by_hand, 2, "cumulative_margin_per_customer") == [None] * 4
    assert curve(by_hand, 2, "cumulative_net_per_customer") == [20, 20, 20, 50]


def test_repeat_customers_ordered_on_a_second_day(by_hand: Cells) -> None:
    assert curve(by_hand, 1, "repeat_customer_count") == [1, 1, 1, 2, 2]
    assert curve(by_hand, 1, "repeat_customer_rate") == [Decimal("0.5")] * 3 + [1, 1]
    assert curve(by_hand, 2, "repeat_customer_count") == [0, 0, 0, 1]


Orders = dict[str, list[tuple[dt.date, Decimal, Decimal | None]]]


def random_orders(seed: int, as_of: dt.date) -> Orders:
    chance = random.Random(seed)
    start, orders = dt.date(2023, 1, 5), {}
    for number in range(80):
        days = sorted(chance.randrange(500) for _ in range(chance.choice([1, 1, 2, 3, 4, 9])))
        has_costs = chance.random() < 0.9
        bought = []
        for day in days:
            net = Decimal(chance.randrange(-3_000, 20_000)) / 100
            known = has_costs or chance.random() < 0.5
            bought.append((start + dt.timedelta(day), net, net / 4 - 5 if known else None))
        orders[f"c{number:02}"] = [order for order in bought if order[0] <= as_of]
    return {customer: bought for customer, bought in orders.items() if bought}


def as_months(orders: Orders) -> list[tuple[Any, ...]]:
    rows = []
    for customer, bought in orders.items():
        by_month = defaultdict(list)
        for order in bought:
            by_month[order[0].replace(day=1)].append(order)
        for month, own in by_month.items():
            margins = [margin for *_, margin in own if margin is not None]
            net = sum(net for _, net, _ in own)
            rows.append(
                (customer, month, len(own), len({d for d, *_ in own}), net, sum(margins, Decimal(0)), len(margins))
            )
    return rows


def age_of(day: dt.date, first: dt.date) -> int:
    return (day.year - first.year) * 12 + day.month - first.month


def rounded(amount: Fraction | Decimal | int, count: int) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        exact = Fraction(amount) / count
        quotient = Decimal(exact.numerator) / Decimal(exact.denominator)
        return quotient.quantize(Decimal("0.00000001"), ROUND_HALF_UP)


def oracle(orders: Orders, cohort: list[str], age: int) -> dict[str, Any]:
    seen = [(c, age_of(day, orders[c][0][0]), day, net, margin) for c in cohort for day, net, margin in orders[c]]
    now, so_far = [o for o in seen if o[1] == age], [o for o in seen if o[1] <= age]
    is_known, now_known = (all(o[4] is not None for o in part) for part in (so_far, now))
    margin = sum((o[4] or Decimal(0) for o in so_far), Decimal(0)) if is_known else None
    net, size = sum((o[3] for o in so_far), Decimal(0)), len(cohort)
    repeat = [c for c in cohort if len({o[2] for o in so_far if o[0] == c}) > 1]
    return {
        "cohort_size": size,
        "active_customer_count": len({o[0] for o in now}),
        "retention_rate": rounded(len({o[0] for o in now}), size),
        "repeat_customer_count": len(repeat),
        "repeat_customer_rate": rounded(len(repeat), size),
        "order_count": len(now),
        "net_amount": sum((o[3] for o in now), Decimal(0)),
        "margin_amount": sum((o[4] or Decimal(0) for o in now), Decimal(0)) if now_known else None,
        "cumulative_net_amount": net,
        "cumulative_margin_amount": margin,
        "cumulative_net_per_customer": rounded(net, size),
        "cumulative_margin_per_customer": None if margin is None else rounded(margin, size),
        "margin_status": "ok" if is_known else "margin_unknown",
    }


@pytest.mark.parametrize(("seed", "as_of"), [(1, dt.date(2024, 4, 30)), (2, dt.date(2024, 2, 11))])
def test_cohorts_agree_with_the_oracle(spark: SparkSession, seed: int, as_of: dt.date) -> None:
    orders = random_orders(seed, as_of)
    groups = {"all:all": list(orders)} | {f"last:{n}": [c for c in orders if int(c[1:]) % 3 == n] for n in range(3)}
    rows = [(c, segment) for segment, own in groups.items() for c in own]
    months = spark.createDataFrame(as_months(orders), MONTHS)
    frame = cohort_metrics(activity_of(months, members(spark, rows), as_of=as_of), [], as_of)
    found = {(r.segment_id, r.cohort_month, r.months_since_first_order): r for r in frame.collect()}
    expected = {}
    for segment, own in groups.items():
        cohorts = defaultdict(list)
        for customer in own:
            cohorts[orders[customer][0][0].replace(day=1)].append(customer)
        for cohort, acquired in cohorts.items():
            for age in range(age_of(as_of, cohort) + 1):
                expected[segment, cohort, age] = oracle(orders, acquired, age)
    assert found.keys() == expected.keys()
    for cell, figures in expected.items():
        assert {name: found[cell][name] for name in figures} == figures, cell
    assert {row.margin_status for row in found.values()} == {"ok", "margin_unknown"}
    check_sums(found, len(orders), sum((net for own in orders.values() for _, net, _ in own), Decimal(0)))


def check_sums(found: dict[Any, Row], customers: int, net: Decimal) -> None:
    """Sizes of month 0 are the new customers, money is all money, and segments of a type add up to the total."""
    total = {(cohort, age): row for (segment, cohort, age), row in found.items() if segment == "all:all"}
    assert sum(row.cohort_size for (_, age), row in total.items() if age == 0) == customers
    assert sum(row.net_amount for row in total.values()) == net
    for (cohort, age), row in total.items():
        parts = [
            found[segment, cohort, age] for segment in ("last:0", "last:1", "last:2") if (segment, cohort, age) in found
        ]
        for name in ("cohort_size", *ADDED_UP):
            assert sum(part[name] for part in parts) == row[name], (cohort, age, name)
