"""Spells of customers against a plain-Python oracle, lifecycle segments, and reasons of churn."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from decimal import Decimal
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from clv_lib.contracts.churn import CHURN_REASONS
from clv_lib.metrics.activity import spell_counts
from clv_lib.metrics.member_values import member_values, predicted_of_segments
from clv_lib.recurring.churn_reasons import churn_reasons
from clv_lib.segments.membership import customer_segments
from clv_lib.settings.segments import LifecycleSegments
from tests.spark.activity import activity_of, packed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AS_OF = dt.date(2024, 12, 10)
INACTIVITY = 60
MONTHS = (
    "customer_id string, month date, order_count bigint, active_day_count bigint, first_ordered_date date,"
    " last_ordered_date date"
)
MEMBERS = "customer_id string, segment_id string"
PREDICTIONS = (
    "customer_id string, value_basis string, predicted_clv_amount decimal(28,4), total_clv_amount decimal(28,4),"
    " churn_probability double"
)
VALUES = (
    "customer_id string, value_basis string, lifetime_order_count bigint, lifetime_net_amount decimal(28,4),"
    " historic_clv_amount decimal(28,4)"
)
METRICS = (
    "customer_id string, first_order_date date, last_order_date date, reactivated_date date, as_of_date date,"
    " days_since_first_order int, days_since_last_order int, churn_due_date date, is_churned boolean"
)
MOVEMENTS = (
    "customer_id string, period_month date, movement_type string, churn_type string, churn_reason string,"
    " churn_amount decimal(28,4), is_final boolean, as_of_date date"
)

Histories = dict[str, list[dt.date]]
Spell = tuple[str, str, int]


def histories() -> Histories:
    """Days with orders of 60 customers: several in a month, long pauses, one day only, and one on as_of."""
    chance = random.Random(5)
    found: Histories = {"today": [AS_OF], "returned": [dt.date(2024, 1, 31), dt.date(2024, 4, 1)]}
    for number in range(60):
        day, days = dt.date(2023, 1, 1) + dt.timedelta(days=chance.randrange(600)), []
        while day <= AS_OF and len(days) < chance.choice((1, 3, 12)):
            days.append(day)
            day += dt.timedelta(days=chance.choice((1, 2, 9, 25, 31, 60, 61, 150)))
        found[f"c{number}"] = days
    return found


def month_rows(days_of: Histories) -> list[tuple[object, ...]]:
    return [
        (customer, month, len(days) + 1, len(days), days[0], days[-1])
        for customer, own in days_of.items()
        for month, group in groupby(own, key=lambda day: day.replace(day=1))
        for days in [list(group)]
    ]


def placed(days: list[dt.date]) -> list[int]:
    """Gaps in days; those within a month at their mean."""
    gaps = []
    for earlier, later in pairwise(days):
        month = [day for day in days if day.replace(day=1) == later.replace(day=1)]
        mean = (month[-1] - month[0]).days / max(len(month) - 1, 1)
        gaps.append(int(mean + 0.5) if earlier in month else (later - earlier).days)
    return gaps


def expected_spells(days: list[dt.date]) -> list[tuple[str, int, bool]]:
    """Kind, length, and whether it ended, by walking through the days."""
    spells = [("later" if number else "first", gap, True) for number, gap in enumerate(placed(days))]
    spells.append(("first" if len(days) == 1 else "later", (AS_OF - days[-1]).days, False))
    for day, following in zip(days, [*days[1:], AS_OF + dt.timedelta(days=1)], strict=True):
        due = day + dt.timedelta(days=INACTIVITY)
        if due < following:
            return [*spells, ("lifetime", (due - days[0]).days, True)]
    return [*spells, ("lifetime", (AS_OF - days[0]).days, False)]


def test_spells_are_counted_by_segment_kind_and_length(spark: SparkSession) -> None:
    days_of = histories()
    groups = {customer: f"group:{len(days) % 2}" for customer, days in days_of.items()}
    refunded = ("today", dt.date(2024, 11, 1), 0, 0, None, None)
    months = spark.createDataFrame([*month_rows(days_of), refunded], MONTHS)
    memberships = [(customer, segment) for customer in days_of for segment in ("all:all", groups[customer])]
    members = spark.createDataFrame(memberships, MEMBERS)
    ended: Counter[Spell] = Counter()
    still_open: Counter[Spell] = Counter()
    for customer, segment in memberships:
        for kind, days, has_ended in expected_spells(days_of[customer]):
            (ended if has_ended else still_open)[segment, kind, days] += 1
    rows = spell_counts(activity_of(months, members, inactivity_days=INACTIVITY, as_of=AS_OF)).collect()
    found = {(row.segment_id, row.spell_kind, row.days): (row.ended_count, row.open_count) for row in rows}
    assert found == {spell: (ended[spell], still_open[spell]) for spell in ended | still_open}
    assert len(rows) == len(found) > 100
    assert found["all:all", "first", 61][0] > 0 and found["all:all", "first", 0] == (0, 1)


def test_the_model_is_averaged_over_those_of_whom_it_speaks(spark: SparkSession) -> None:
    members = spark.createDataFrame([(customer, "all:all") for customer in "abc"], MEMBERS)
    probabilities = [("a", 0.25), ("b", None), ("c", 1.0)]
    predictions = spark.createDataFrame([(c, None, None, None, p) for c, p in probabilities], PREDICTIONS)
    metrics = spark.createDataFrame([(c, "net_revenue", 1, Decimal(1), Decimal(1)) for c in "abcd"], VALUES)
    [row] = predicted_of_segments(member_values(metrics, packed(members), predictions)).collect()
    assert (row.predicted, row.probability) == (2, Decimal("1.25"))
    assert (row.predicted_clv_amount, row.predicted_customer_count, row.predicted_basis) == (None, 0, None)


def test_each_customer_is_at_one_point_of_the_lifecycle(spark: SparkSession) -> None:
    def state(name: str, first: int, last: int, back: int | None = None) -> tuple[object, ...]:
        began, ended = AS_OF - dt.timedelta(days=first), AS_OF - dt.timedelta(days=last)
        returned = None if back is None else AS_OF - dt.timedelta(days=back)
        due = ended + dt.timedelta(days=INACTIVITY)
        return name, began, ended, returned, AS_OF, first, last, due, due <= AS_OF

    states = [
        state("lapsed", 200, 60),
        state("lapsed too, though it came back", 300, 90, back=90),
        state("at_risk", 200, 31),
        state("at_risk though new in spirit", 31, 31),
        state("at_risk though reactivated", 300, 59, back=59),
        state("active", 200, 30),
        state("active, back for long", 300, 10, back=60),
        state("reactivated", 300, 10, back=59),
        state("new", 29, 29),
        state("new today", 0, 0),
        state("active at day 30", 30, 30),
    ]
    metrics = spark.createDataFrame(states, METRICS)
    rfm = spark.createDataFrame([], "customer_id string, rfm_segment string, value_decile tinyint")
    kinds = [
        LifecycleSegments(type="lifecycle"),
        LifecycleSegments(type="lifecycle", name="wide", new_for_days=40, at_risk_after_days=20),
    ]
    rows = customer_segments(metrics, rfm, None, kinds, AS_OF).where("segment_type <> 'all'").collect()
    found = {(row.segment_type, row.customer_id): row.segment_name for row in rows}
    assert len(rows) == 2 * len(states)
    by_default = {name: segment for (kind, name), segment in found.items() if kind == "lifecycle"}
    assert {name: name.split()[0].strip(",") for name in by_default} == by_default
    changed = {name for (kind, name), segment in found.items() if kind == "wide" and segment != by_default[name]}
    assert changed == {"at_risk though new in spirit", "active", "active at day 30"}
    assert found["wide", "at_risk though new in spirit"] == found["wide", "active at day 30"] == "new"


def test_reasons_add_up_to_the_churn_of_the_month(spark: SparkSession) -> None:
    march, april = dt.date(2024, 3, 1), dt.date(2024, 4, 1)
    churned = [
        ("a", march, "churn", "voluntary", "too expensive", Decimal(30)),
        ("b", march, "churn", "voluntary", "too expensive", Decimal(20)),
        ("c", march, "churn", "involuntary", "unpaid", Decimal(50)),
        ("d", april, "churn", "unknown", "unknown", Decimal(7)),
        ("e", april, "contraction", None, None, Decimal(0)),
    ]
    rows = [(*row, row[1] == march, AS_OF) for row in churned]
    found = churn_reasons(spark.createDataFrame(rows, MOVEMENTS))
    assert dict(found.dtypes) == CHURN_REASONS.schema
    columns = ("churned_customer_count", "churn_amount", "month_churn_amount", "customer_share", "amount_share")
    by_reason = {(row.period_month, row.churn_type, row.churn_reason): row for row in found.collect()}
    assert {key: tuple(row[name] for name in columns) for key, row in by_reason.items()} == {
        (march, "voluntary", "too expensive"): (2, 50, 100, Decimal("0.66666667"), Decimal("0.5")),
        (march, "involuntary", "unpaid"): (1, 50, 100, Decimal("0.33333333"), Decimal("0.5")),
        (april, "unknown", "unknown"): (1, 7, 7, 1, 1),
    }
    assert {key[0]: row.is_final for key, row in by_reason.items()} == {march: True, april: False}
