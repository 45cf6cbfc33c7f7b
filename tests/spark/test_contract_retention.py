"""Lifetimes of subscribers by hand: who left or stayed after how many renewals, by segment."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from clv_lib.recurring.contract_retention import last_complete_month, lifetime_counts
from tests.spark.subscriptions import AS_OF, Rows, kept, movements_of, period

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Found = dict[str, dict[int, tuple[int, int, Decimal]]]


def lives() -> Rows:
    """Seen on 15 June, so May is the last month that is over."""
    return [
        period("open", "2024-01-10", None, "50"),
        period("grown", "2024-01-10", "2024-03-05", "50"),
        period("grown", "2024-03-05", None, "75"),
        period("back", "2024-01-01", "2024-03-10", "40"),
        period("back", "2024-05-01", None, "60"),
        period("left_in_june", "2024-02-01", "2024-06-05", "20"),
        period("began_in_june", "2024-06-01", None, "20"),
        period("paused", "2024-02-01", "2024-03-20", "30"),
        period("paused", "2024-03-20", "2024-06-01", "30", status="paused"),
        period("paused", "2024-06-01", None, "30"),
        period("left_at_once", "2024-03-31", "2024-04-01", "10"),
    ]


@pytest.fixture(scope="module")
def found(spark_session: SparkSession) -> Found:
    members = [(name, f"{kind}:{of}", kind) for name in ("open", "back") for kind, of in (("all", "all"), ("x", "a"))]
    segments = spark_session.createDataFrame(members, "customer_id string, segment_id string, segment_type string")
    counts: Found = {}
    for row in lifetime_counts(kept(movements_of(spark_session, lives())), segments, dt.date(2024, 5, 1)).collect():
        cell = row.lost_count, row.active_count, row.mrr_amount
        counts.setdefault(row.segment_id, {})[row.age_months] = cell
    return counts


def test_lifetimes_end_with_a_churn_or_with_the_last_complete_month(found: Found) -> None:
    assert last_complete_month(AS_OF) == dt.date(2024, 5, 1)
    assert found["all:all"] == {
        # back again since May
        0: (0, 1, Decimal(60)),
        # paused in March, left on 1 April
        1: (2, 0, Decimal(0)),
        # back before it left in March
        2: (1, 0, Decimal(0)),
        # leaves in June, which is not over
        3: (0, 1, Decimal(20)),
        # open and grown
        4: (0, 2, Decimal(125)),
    }


def test_customers_without_orders_are_unknown_and_segments_add_up(found: Found) -> None:
    assert found["x:a"] == {0: (0, 1, Decimal(60)), 2: (1, 0, Decimal(0)), 4: (0, 1, Decimal(50))}
    assert found["x:unknown"] == {1: (2, 0, Decimal(0)), 3: (0, 1, Decimal(20)), 4: (0, 1, Decimal(75))}
