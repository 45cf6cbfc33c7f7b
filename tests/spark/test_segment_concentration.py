"""How value is spread over segments and their customers: small cases by hand, and binned against exact figures."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.contracts.concentration import SEGMENT_CONCENTRATION
from clv_lib.metrics.member_values import member_values
from clv_lib.metrics.segment_concentration import segment_concentration
from clv_lib.periods import monthly_discount_rate
from tests.spark.activity import packed

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

METRICS = (
    "customer_id string, value_basis string, lifetime_order_count bigint, lifetime_net_amount decimal(28,4),"
    " historic_clv_amount decimal(28,4)"
)
PREDICTIONS = (
    "customer_id string, value_basis string, predicted_clv_amount decimal(28,4), total_clv_amount decimal(28,4),"
    " churn_probability double"
)
SEGMENT_MONTHS = (
    "segment_id string, is_latest boolean, clv_basis string, churned_customer_count_12m bigint,"
    " customer_count_start_12m bigint, lifetime_margin_amount decimal(28,4), lifetime_net_amount decimal(28,4),"
    " exposure_days bigint, customer_count_end bigint"
)

# Segment to its members' values so far; None: not known.
VALUES: dict[str, list[int | None]] = {
    "kind:equal": [100] * 4,
    "kind:one": [0, 0, 0, 400],
    "sign:sum_above_0": [-10, 110],
    "sign:sum_below_0": [-50, 20],
    "cost:unknown": [5, None],
    "cost:known": [5],
    "same:a": [10],
    "same:b": [10, 10],
    "same:c": [4],
}
# Churned customers and customer-months at risk of 12 months; all others have 5 of 100.
CHURN = {"kind:one": (1, 100), "sign:sum_above_0": (0, 40), "sign:sum_below_0": (0, 0)}

RANDOM = random.Random(11)
MANY = [Decimal(str(round(RANDOM.lognormvariate(4, 1.2), 4))) for _ in range(997)]


def latest_month(segment: str) -> tuple[Any, ...]:
    """160 in 487 days (16 months of 30.4375 days) are 10 a month; 3 customers are active."""
    churned, at_risk = CHURN.get(segment, (5, 100))
    return segment, True, "net_revenue", churned, at_risk, None, Decimal(160), 487, 3


@pytest.fixture(scope="module")
def by_segment(spark_session: SparkSession) -> dict[str, Row]:
    """Everybody is in a segment of `VALUES`, in `many:all`, or predicted; c0 of cost:known is not predicted."""
    metrics, members, predicted = [], [], []
    segments = {**VALUES, "many:all": MANY, "kind:all": [*VALUES["kind:equal"], *VALUES["kind:one"]]}
    for segment, values in segments.items():
        for number, value in enumerate(values):
            customer, amount = f"{segment}{number}", None if value is None else Decimal(value)
            metrics.append((customer, "contribution_margin", 2, Decimal(7), amount))
            members.append((customer, segment))
            if segment != "cost:known":
                total = None if amount is None else amount + 10
                predicted.append((customer, "contribution_margin", None if amount is None else Decimal(10), total, 0.5))
    values = member_values(
        spark_session.createDataFrame(metrics, METRICS),
        packed(spark_session.createDataFrame(members, "customer_id string, segment_id string")),
        spark_session.createDataFrame(predicted, PREDICTIONS),
    )
    found = segment_concentration(
        values,
        spark_session.createDataFrame([latest_month(segment) for segment in segments], SEGMENT_MONTHS),
        0.10,
        dt.date(2024, 6, 15),
    )
    assert dict(found.dtypes) == SEGMENT_CONCENTRATION.schema
    return {row.segment_id: row for row in found.collect()}


@pytest.mark.parametrize(
    ("segment", "gini", "top"),
    [
        ("kind:equal", "0", "0.1"),  # each tenth has a tenth
        ("kind:one", "0.75", "0.4"),  # a tenth of 4 customers is 0.4 of the one who has everything
        ("kind:all", "0.5625", "0.4"),  # 1 - (4 x 400 + 1 x (800 + 400)) / (8 x 800); 0.8 of 400 / 800
        ("sign:sum_above_0", "0.6", "0.22"),  # 1 - (-10 + (-20 + 110)) / (2 x 100); 0.2 of 110 / 100
    ],
)
def test_gini_and_top_tenth_by_hand(by_segment: dict[str, Row], segment: str, gini: str, top: str) -> None:
    row = by_segment[segment]
    assert (row.historic_gini, row.historic_top_decile_share) == (Decimal(gini), Decimal(top))
    assert row.historic_status == "ok"


def test_bins_are_within_their_stated_error_of_exact_figures(by_segment: dict[str, Row]) -> None:
    row, values, count = by_segment["many:all"], sorted(float(value) for value in MANY), len(MANY)
    so_far = [sum(values[:number]) for number in range(count)]
    exact_gini = 1 - sum(2 * s + v for s, v in zip(so_far, values, strict=True)) / (count * sum(values))
    whole = int(count / 10)
    top = sum(values[-whole:]) + (count / 10 - whole) * values[-whole - 1]
    exact_top = top / sum(values)
    assert 0 <= exact_gini - float(row.historic_gini) < 0.0025
    assert float(row.historic_top_decile_share) == pytest.approx(exact_top, rel=0.001)
    assert 0 < row.total_gini < row.historic_gini  # 10 more for everybody


def test_values_that_are_not_known_or_not_positive_say_so(by_segment: dict[str, Row]) -> None:
    unknown, known, below = by_segment["cost:unknown"], by_segment["cost:known"], by_segment["sign:sum_below_0"]
    assert (unknown.historic_status, unknown.total_status) == ("value_unknown", "value_unknown")
    assert unknown.historic_value_amount is None and unknown.historic_gini is None and unknown.historic_rank is None
    assert unknown.predicted_status == "not_predicted" and unknown.predicted_value_amount is None
    assert known.historic_value_amount == 5 and known.historic_value_share is None  # the type's total is not known
    assert (known.total_status, known.total_value_amount, known.total_gini) == ("not_predicted", None, None)
    assert (below.historic_status, below.historic_value_amount, below.historic_gini) == ("not_positive", -30, None)
    assert (below.total_status, below.total_top_decile_share) == ("not_positive", None)


def test_shares_of_the_type_and_ranks_per_member(by_segment: dict[str, Row]) -> None:
    same = {name: by_segment[f"same:{name}"] for name in "abc"}
    assert {name: row.historic_rank for name, row in same.items()} == {"a": 1, "b": 1, "c": 3}
    assert {row.predicted_rank for row in same.values()} == {1}
    assert {name: row.customer_share for name, row in same.items()} == {
        "a": Decimal("0.25"),
        "b": Decimal("0.5"),
        "c": Decimal("0.25"),
    }
    assert same["b"].historic_value_share == Decimal("0.58823529")  # 20 / 34
    assert same["b"].historic_value_avg == 10 and same["b"].predicted_value_share == Decimal("0.5")
    assert (same["b"].customer_count, same["b"].order_count, same["b"].net_amount) == (2, 4, 14)


def test_a_point_less_of_churn(by_segment: dict[str, Row]) -> None:
    row, d = by_segment["kind:equal"], monthly_discount_rate(0.10)
    assert row.churn_point_gain_avg == 50  # 10 a month: 10 / 0.04 - 10 / 0.05
    assert (row.churn_point_gain_amount, row.active_customer_count, row.clv_basis) == (150, 3, "net_revenue")
    discounted = 10 * (1 + d) * (1 / (d + 0.04) - 1 / (d + 0.05))
    assert float(row.churn_point_discounted_gain_avg) == pytest.approx(discounted, abs=1e-8)
    for segment, status in (
        ("kind:one", "churn_below_a_point"),  # a rate of exactly 0.01
        ("sign:sum_above_0", "churn_below_a_point"),
        ("sign:sum_below_0", "no_starting_customers"),
    ):
        none = by_segment[segment]
        assert (none.churn_point_status, none.churn_point_gain_avg) == (status, None)
        assert none.churn_point_discounted_gain_amount is None
