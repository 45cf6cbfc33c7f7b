"""MRR per customer and month by hand: every kind of movement, and what counts as recurring revenue."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from clv_lib.contracts.recurring import MRR_MOVEMENTS
from tests.spark.subscriptions import Lives, Rows, lives_of, movements_of, period, story

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def cases() -> Rows:
    kept: dict[str, str | None] = {"cancellation_type": "Voluntary", "cancellation_reason": "too expensive"}
    return [
        period("open", "2024-03-10", None, "50"),
        period("future", "2024-04-01", "2024-12-31", "50"),
        period("leaving", "2024-04-01", "2024-06-16", "50"),
        period("left_today", "2024-04-01", "2024-06-15", "50"),
        period("back", "2024-01-01", "2024-03-01", "50"),
        period("back", "2024-05-01", None, "60"),
        period("second", "2024-01-05", "2024-04-10", "50", subscription_id="a"),
        period("second", "2024-02-20", None, "30", subscription_id="b"),
        period("upgrade", "2024-02-01", "2024-03-10", "50"),
        period("upgrade", "2024-03-10", "2024-03-10", "999"),
        period("upgrade", "2024-03-10", None, "75"),
        period("downgrade", "2024-02-01", "2024-05-31", "50"),
        period("downgrade", "2024-05-31", None, "20"),
        period("pause", "2024-02-01", "2024-03-20", "40"),
        period("pause", "2024-03-20", "2024-05-05", "40", status="paused"),
        period("pause", "2024-05-05", None, "40"),
        period("trial", "2024-03-20", "2024-04-03", "40", status="trialing"),
        period("trial", "2024-04-03", None, "40"),
        period("only_trial", "2024-03-20", None, "40", is_trial="true"),
        period("free", "2024-03-20", None, "0"),
        period("within", "2024-03-03", "2024-03-20", "50"),
        period("overdue", "2024-03-01", "2024-04-10", "40"),
        period("overdue", "2024-04-10", "2024-05-10", "40", status="past_due"),
        period("overdue", "2024-05-10", "2024-06-01", "40", status="unpaid"),
        period("overdue", "2024-06-01", None, "40", status="Cancelled", cancellation_reason="given up"),
        period("chosen", "2024-03-01", "2024-05-01", "40", **kept),
        period("told_later", "2024-03-01", "2024-05-01", "40"),
        period("told_later", "2024-05-01", None, "40", status="canceled", **kept),
        period("silent", "2024-03-01", "2024-05-01", "40"),
        period("discount", "2024-06-01", None, "50", discount_amount="12.5"),
        period("year", "2024-06-01", None, "100", billing_interval="Year"),
        period("two_years", "2024-06-01", None, "1200", billing_interval="year", billing_interval_count="2"),
        period("week", "2024-06-01", None, "10", billing_interval="week"),
        period("fortnight", "2024-06-01", None, "10", billing_interval="week", billing_interval_count="2"),
        period("day", "2024-06-01", None, "1", billing_interval="day"),
        period("quarter", "2024-06-01", None, "100", billing_interval="month", billing_interval_count="3"),
    ]


@pytest.fixture(scope="module")
def lives(spark_session: SparkSession) -> Lives:
    found = movements_of(spark_session, cases())
    assert dict(found.dtypes) == MRR_MOVEMENTS.schema
    return lives_of(found)


def test_an_open_subscription_has_rows_up_to_as_of(lives: Lives) -> None:
    assert story(lives["open"]) == {"24-03": ("new", 50), **{f"24-0{m}": ("none", 50) for m in (4, 5, 6)}}
    assert [row.is_final for row in lives["open"].values()] == [True, True, True, False]


def test_who_is_active_beyond_as_of_has_not_churned(lives: Lives) -> None:
    active = {"24-04": ("new", 50), "24-05": ("none", 50), "24-06": ("none", 50)}
    assert story(lives["future"]) == story(lives["leaving"]) == active
    assert story(lives["left_today"]) == {**active, "24-06": ("churn", 0)}


def test_something_to_nothing_is_churn_and_back_is_reactivation(lives: Lives) -> None:
    assert story(lives["back"]) == {
        "24-01": ("new", 50),
        "24-02": ("none", 50),
        "24-03": ("churn", 0),
        "24-04": ("none", 0),
        "24-05": ("reactivation", 60),
        "24-06": ("none", 60),
    }
    back = lives["back"]
    assert (back["24-03"].churn_amount, back["24-03"].contraction_amount) == (50, 0)
    assert (back["24-05"].reactivation_amount, back["24-05"].expansion_amount, back["24-05"].new_amount) == (60, 0, 0)
    assert [row.paying_since_month and row.paying_since_month.month for row in back.values()] == [
        1,
        1,
        None,
        None,
        5,
        5,
    ]


def test_a_second_subscription_is_expansion_and_losing_one_of_two_contraction(lives: Lives) -> None:
    assert story(lives["second"]) == {
        "24-01": ("new", 50),
        "24-02": ("expansion", 80),
        "24-03": ("none", 80),
        "24-04": ("contraction", 30),
        "24-05": ("none", 30),
        "24-06": ("none", 30),
    }
    april = lives["second"]["24-04"]
    assert (april.contraction_amount, april.churn_amount, april.churn_type) == (50, 0, None)


def test_a_change_within_a_month_is_one_movement(lives: Lives) -> None:
    assert story(lives["upgrade"])["24-03"] == ("expansion", 75)
    assert lives["upgrade"]["24-03"].expansion_amount == 25
    assert {kind for month, (kind, _) in story(lives["upgrade"]).items() if month > "24-03"} == {"none"}
    assert story(lives["downgrade"])["24-05"] == ("contraction", 20)  # on the last day of the month
    assert "within" not in lives


def test_trials_pauses_and_free_plans_are_not_revenue(lives: Lives) -> None:
    assert story(lives["trial"]) == {"24-04": ("new", 40), "24-05": ("none", 40), "24-06": ("none", 40)}
    assert {"only_trial", "free"}.isdisjoint(lives)
    assert story(lives["pause"]) == {
        "24-02": ("new", 40),
        "24-03": ("churn", 0),
        "24-04": ("none", 0),
        "24-05": ("reactivation", 40),
        "24-06": ("none", 40),
    }


def test_why_customers_left(lives: Lives) -> None:
    why = {
        name: [(month, row.churn_type, row.churn_reason) for month, row in life.items() if row.churn_type]
        for name, life in lives.items()
    }
    assert {name: told for name, told in why.items() if told} == {
        "left_today": [("24-06", "unknown", "unknown")],
        "back": [("24-03", "unknown", "unknown")],
        "pause": [("24-03", "unknown", "paused")],
        "overdue": [("24-05", "involuntary", "unpaid")],
        "chosen": [("24-05", "voluntary", "too expensive")],
        "told_later": [("24-05", "voluntary", "too expensive")],
        "silent": [("24-05", "unknown", "unknown")],
    }
    assert story(lives["overdue"])["24-04"] == ("none", 40)  # past due still counts


def test_any_interval_becomes_a_month(lives: Lives) -> None:
    names = ("discount", "year", "two_years", "week", "fortnight", "day", "quarter")
    assert {name: lives[name]["24-06"].mrr_end for name in names} == {
        "discount": Decimal("37.5"),
        "year": Decimal("8.3333"),
        "two_years": 50,
        "week": Decimal("43.3333"),  # 10 x 52 / 12
        "fortnight": Decimal("21.6667"),
        "day": Decimal("30.4375"),  # 365.25 / 12
        "quarter": Decimal("33.3333"),
    }


def test_the_bridge_holds_and_lives_have_no_gaps(lives: Lives) -> None:
    kinds = set()
    for life in lives.values():
        rows = list(life.values())
        for row in rows:
            gained = row.new_amount + row.reactivation_amount + row.expansion_amount
            assert row.mrr_start + gained - row.contraction_amount - row.churn_amount == row.mrr_end
            kinds.add(row.movement_type)
        for before, after in pairwise(rows):
            assert after.mrr_start == before.mrr_end
            assert (after.period_month - before.period_month).days in (29, 30, 31)
        assert rows[0].movement_type == "new"
        assert rows[-1].period_month == dt.date(2024, 6, 1) or rows[-1].movement_type == "churn"
    assert kinds == {"new", "reactivation", "expansion", "contraction", "churn", "none"}


def test_conventions_are_switches(spark: SparkSession) -> None:
    chosen = ("pause", "overdue", "discount", "only_trial", "back", "left_today")
    included = {"2024-03-20": "2024-03-19", "2024-05-05": "2024-05-04", "2024-04-10": "2024-04-09"}
    rows = [row | {"ended_date": included.get(row["ended_date"] or "", row["ended_date"])} for row in cases()]
    rows = [row for row in rows if row["customer_id"] in chosen and row["status"] not in ("unpaid", "past_due")]
    other = lives_of(
        movements_of(
            spark,
            rows,
            "paying_statuses=[active, paused, trialing]",
            "subtract_discounts=false",
            "end_is_inclusive=true",
            "reactivation_window_months=1",
        )
    )
    assert {kind for kind, _ in story(other["pause"]).values()} == {"new", "none"}
    assert story(other["overdue"])["24-04"] == ("churn", 0)
    assert story(other["discount"])["24-06"] == ("new", 50)
    assert story(other["only_trial"])["24-03"] == ("new", 40)
    # With an end on Mar 1 included, March is still the month of the churn, and April is the one month without.
    assert story(other["back"])["24-05"] == ("new", 60)
    assert story(other["left_today"])["24-06"] == ("none", 50)


def test_periods_as_in_the_playbook(spark: SparkSession) -> None:
    """The first customers of the public mrr-playbook seed: periods without a subscription that links them."""
    seed = [
        ("1", "2018-11-01", "2019-02-01", "50"),
        ("1", "2019-04-01", "2019-06-01", "50"),
        ("1", "2019-06-01", "2019-08-01", "75"),
        ("2", "2017-09-01", "2017-11-01", "25"),
        ("5", "2018-11-01", "2018-12-01", "50"),
        ("5", "2018-12-01", "2019-03-01", "25"),
        ("5", "2019-07-01", "2019-08-01", "50"),
    ]
    rows = [period(c, start, end, amount, subscription_id=f"{c}{start}") for c, start, end, amount in seed]
    found = lives_of(movements_of(spark, rows, as_of=dt.date(2020, 1, 31)))
    moved = {c: {m: told for m, told in story(life).items() if told[0] != "none"} for c, life in found.items()}
    assert moved == {
        "1": {
            "18-11": ("new", 50),
            "19-02": ("churn", 0),
            "19-04": ("reactivation", 50),
            "19-06": ("expansion", 75),
            "19-08": ("churn", 0),
        },
        "2": {"17-09": ("new", 25), "17-11": ("churn", 0)},
        "5": {
            "18-11": ("new", 50),
            "18-12": ("contraction", 25),
            "19-03": ("churn", 0),
            "19-07": ("reactivation", 50),
            "19-08": ("churn", 0),
        },
    }
    assert {c: len(life) for c, life in found.items()} == {"1": 10, "2": 3, "5": 10}
