"""Cohort metrics against figures worked out by hand; `test_gold_oracle.py` has them against an oracle."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.contracts.cohorts import COHORT_METRICS
from clv_lib.metrics.cohort_metrics import cohort_metrics
from tests.spark.activity import activity_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MONTHS = (
    "customer_id string, month date, order_count bigint, active_day_count bigint, net_amount decimal(28,4),"
    " margin_amount decimal(28,4), margin_order_count bigint"
)
MEMBERS = "customer_id string, segment_id string, segment_type string"
AS_OF = dt.date(2024, 5, 15)

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
