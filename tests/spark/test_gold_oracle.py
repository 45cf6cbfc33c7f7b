"""Generated histories of customers: segments, cohorts and unit economics must be what plain Python finds."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_lib.metrics.attribution import memberships, with_places
from clv_lib.metrics.cohort_metrics import cohort_metrics
from clv_lib.metrics.segment_metrics import segment_metrics
from clv_lib.metrics.unit_economics import unit_economics
from clv_lib.settings.models import Churn, Economics
from tests.spark.activity import activity_of, packed
from tests.spark.generated import WHOLE_JOBS
from tests.spark.gold_oracle import (
    Order,
    Orders,
    age_of,
    cell_economics,
    cohort_cell,
    cohort_of,
    month_rows,
    segment_month,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

MONEY = "decimal(28,4)"
MONTHS = (
    "customer_id string, month date, order_count bigint, active_day_count bigint,"
    f" net_amount {MONEY}, margin_amount {MONEY}, margin_order_count bigint, first_ordered_date date,"
    f" last_ordered_date date, first_day_margin_amount {MONEY}"
)
METRICS = (
    "customer_id string, cohort_month date, acquisition_channel string, value_basis string,"
    f" historic_clv_amount {MONEY}, exposure_days int"
)
COSTS = (
    "period_month date, cac_type string, level string, channel string, segment_id string, attribution_model string,"
    f" is_primary boolean, spend_amount {MONEY}, cac_status string"
)
MODEL = "linear"
FIRST_DAY, SPAN = dt.date(2023, 1, 5), 540
SPLITS = [("search",), ("tv",), ("search", "tv"), ("search", "tv", "mail"), ()]
CREDITS = {1: ["1"], 2: ["0.25", "0.75"], 3: ["0.33333333", "0.33333333", "0.33333334"]}
ADDED_UP = ("active_customer_count", "repeat_customer_count", "order_count", "net_amount", "cumulative_net_amount")

# Sampled, because integers would be drawn near 0 too often for anything to pay for itself.
amounts = st.sampled_from([Decimal(number) / 100 for number in range(-7_000, 12_000, 173)])
spends = st.sampled_from([Decimal(amount) for amount in (40, 5, 10, 20, 30, 60, 80, 110)] * 3 + [None, Decimal(0)])
spans = st.sampled_from([31, 200, SPAN, SPAN])


@dataclass
class Case:
    """Histories, what customers count in, spend by cohort and cell, and the day and rules of the evaluation."""

    orders: Orders
    credits: dict[str, dict[str, Decimal]]
    spend: dict[tuple[dt.date, str], Decimal | None]
    as_of: dt.date
    inactivity_days: int
    in_margin: bool

    def __repr__(self) -> str:
        return f"{len(self.orders)} customers up to {self.as_of}, inactive after {self.inactivity_days} days"

    @property
    def segments(self) -> dict[str, list[str]]:
        """Members of every segment: of everybody, of a type of three segments, and of one of two."""
        names = list(self.orders)
        groups = {f"last:{n}": [c for c in names if int(c[1:]) % 3 == n] for n in range(3)}
        sizes = {f"size:{n}": [c for c in names if int(c[1:]) // 5 % 2 == n] for n in range(2)}
        return {segment: own for segment, own in {"all:all": names, **groups, **sizes}.items() if own}

    def credits_of(self, cohort: dt.date, place: str) -> dict[str, Decimal]:
        """Customers of the cohort that count in a channel, the total over channels or a segment, with their credit."""
        own = [c for c in self.orders if cohort_of(self.orders[c]) == cohort]
        if place in self.segments:
            return {c: Decimal(1) for c in own if c in self.segments[place]}
        parts = {c: {k: v for k, v in self.credits[c].items() if place in (k, "all")} for c in own}
        return {c: sum(shares.values(), Decimal(0)) for c, shares in parts.items() if shares}


@st.composite
def history(draw: st.DrawFn) -> list[Order]:
    # Few months of first orders, so that a cohort has several customers.
    begin, span = draw(st.sampled_from(range(0, 380, 67))) + draw(st.integers(0, 9)), draw(spans)
    count = draw(st.sampled_from([1, 1, 2, 4, 9]))
    days = sorted(min(begin + draw(st.integers(0, span)), SPAN) for _ in range(count))
    has_costs = draw(st.sampled_from([True] * 9 + [False]))
    orders: list[Order] = []
    for day in days:
        net = draw(amounts)
        known = has_costs or draw(st.booleans())
        orders.append((FIRST_DAY + dt.timedelta(day), net, net / 4 - 5 if known else None))
    return orders


@st.composite
def cases(draw: st.DrawFn) -> Case:
    as_of = draw(st.sampled_from([dt.date(2024, 4, 30), dt.date(2024, 2, 11)]))
    drawn = draw(st.lists(history(), min_size=60, max_size=66))
    cut = {f"c{n:02}": [order for order in own if order[0] <= as_of] for n, own in enumerate(drawn)}
    orders = {customer: own for customer, own in cut.items() if own}
    credited = {}
    for customer in orders:
        channels = draw(st.sampled_from(SPLITS))
        shares = [Decimal(text) for text in CREDITS[len(channels)]] if channels else []
        credited[customer] = dict(zip(channels, shares, strict=True)) or {"unattributed": Decimal(1)}
    cohorts = {cohort_of(own) for own in orders.values()}
    places = ("search", "tv", "mail", "unattributed", "all", "last:0", "last:1", "last:2")
    spend = {(cohort, place): draw(spends) for cohort in sorted(cohorts) for place in places}
    inactivity_days, in_margin = draw(st.sampled_from([31, 45, 90])), as_of.month == 2
    return Case(orders, credited, spend, as_of, inactivity_days, in_margin)


def frames(spark: SparkSession, case: Case) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Activity, placed customers and costs."""
    months = spark.createDataFrame(month_rows(case.orders), MONTHS)
    listed = [(c, segment, segment.split(":")[0]) for segment, own in case.segments.items() for c in own]
    members = spark.createDataFrame(listed, "customer_id string, segment_id string, segment_type string")
    metrics = []
    for customer, own in case.orders.items():
        values = [margin if case.in_margin else net for _, net, margin in own]
        value = None if None in values else sum((v for v in values if v is not None), Decimal(0))
        basis = "contribution_margin" if case.in_margin else "net_revenue"
        days = (case.as_of - own[0][0]).days + 1
        metrics.append((customer, cohort_of(own), "declared", basis, value, days))
    credited = [
        (customer, MODEL, channel, credit)
        for customer, own in case.credits.items()
        for channel, credit in own.items()
        if channel != "unattributed"
    ]
    schema = "customer_id string, attribution_model string, channel string, credit decimal(9,8)"
    placed = with_places(
        spark.createDataFrame(metrics, METRICS),
        spark.createDataFrame(credited, schema),
        memberships(packed(members), ["last"]),
        MODEL,
    )
    costs = []
    for (cohort, place), amount in case.spend.items():
        level = "segment" if ":" in place else "all" if place == "all" else "channel"
        cell = ("all", place) if level == "segment" else (place, "all:all")
        # A sum whose spend is not known shows the known part of it.
        missing = (None, "spend_missing") if level == "channel" else (Decimal(40), "spend_incomplete")
        costs.append((cohort, "blended", level, *cell, MODEL, True, *(missing if amount is None else (amount, "ok"))))
    activity = activity_of(months, members, placed, inactivity_days=case.inactivity_days, as_of=case.as_of)
    return activity, placed, spark.createDataFrame(costs, COSTS)


@pytest.mark.slow
def test_gold_agrees_with_the_oracle(spark: SparkSession) -> None:
    seen: set[Any] = set()

    @settings(WHOLE_JOBS, max_examples=3)
    @given(case=cases())
    def agrees(case: Case) -> None:
        activity, placed, costs = frames(spark, case)
        check_segments(case, segment_metrics(activity, None, Churn(), 0.10, case.as_of), seen)
        check_cohorts(case, cohort_metrics(activity, ["size"], case.as_of), seen)
        economics = Economics(payback_cap_months=4)
        check_economics(case, unit_economics(activity, placed, None, costs, economics, 0.95, case.as_of), seen)
        activity.unpersist()

    agrees()
    statuses = {("ok", True), ("ok", False), ("not_reached", None), ("zero_cac", None), ("cac_unknown", None)}
    assert seen >= {"reactivated", "formula", "ok", "margin_unknown", "shared", *statuses}


def agreed(row: Row, expected: dict[str, Any], cell: object) -> None:
    assert {name: row[name] for name in expected} == expected, cell


def check_segments(case: Case, found: DataFrame, seen: set[Any]) -> None:
    rows = {(row.segment_id, row.period_month): row for row in found.collect()}
    assert {segment for segment, _ in rows} == set(case.segments)
    for (segment, first), row in rows.items():
        expected = segment_month(case.orders, case.segments[segment], first, case.as_of, case.inactivity_days)
        agreed(row, expected, (segment, first))
        assert row.churned_customer_count <= row.customer_count_start
        seen |= {"reactivated"} if row.reactivated_customer_count else set()
    for key in rows:
        check_formula(rows, *key, seen)


def check_formula(rows: dict[tuple[str, dt.date], Row], segment: str, first: dt.date, seen: set[Any]) -> None:
    """Formula CLV by both routes, in fractions of the parts; and years give the same as months."""
    row = rows[segment, first]
    complete = sorted(m for s, m in rows if s == segment and m <= first and rows[s, m].is_final)
    past = [rows[segment, month] for month in complete[-12:]]
    churned = sum(month.churned_customer_count for month in past)
    if churned == 0:
        assert row.clv_formula_amount is None
        return
    if row.clv_basis != "net_revenue":
        return
    lifetime = Fraction(sum(month.customer_count_start for month in past), churned)
    months = Fraction(row.exposure_days) / Fraction("30.4375")
    order_value, frequency = (
        Fraction(row.lifetime_net_amount) / row.lifetime_order_count,
        row.lifetime_order_count / months,
    )
    by_orders = order_value * frequency * lifetime
    by_customers = Fraction(row.lifetime_net_amount) / months * lifetime
    by_years = order_value * (frequency * 12) * (lifetime / 12)
    assert by_orders == by_customers == by_years
    assert abs(Fraction(row.clv_formula_amount) - by_orders) <= Fraction(51, 10**10) * max(1, lifetime)
    seen |= {"formula"}


def check_cohorts(case: Case, found: DataFrame, seen: set[Any]) -> None:
    rows = {(row.segment_id, row.cohort_month, row.months_since_first_order): row for row in found.collect()}
    expected = {}
    for segment, own in case.segments.items():
        cohorts = defaultdict(list)
        for customer in own:
            cohorts[cohort_of(case.orders[customer])].append(customer)
        for cohort, acquired in cohorts.items():
            for age in range(age_of(case.as_of, cohort) + 1):
                expected[segment, cohort, age] = cohort_cell(case.orders, acquired, age)
    assert rows.keys() == {cell for cell in expected if not cell[0].startswith("size:")}
    for cell, row in rows.items():
        agreed(row, expected[cell], cell)
        seen.add(row.margin_status)
    check_sums(rows)


def check_sums(rows: dict[tuple[str, dt.date, int], Row]) -> None:
    """Segments of a type add up to the total."""
    for (_, cohort, age), row in ((key, row) for key, row in rows.items() if key[0] == "all:all"):
        parts = [rows[key] for key in ((f"last:{n}", cohort, age) for n in range(3)) if key in rows]
        for name in ("cohort_size", *ADDED_UP):
            assert sum(part[name] for part in parts) == row[name], (cohort, age, name)


def check_economics(case: Case, found: DataFrame, seen: set[Any]) -> None:
    rows = {(r.cohort_month, r.channel if r.segment_id == "all:all" else r.segment_id): r for r in found.collect()}
    assert rows.keys() == case.spend.keys()
    for (cohort, place), row in rows.items():
        parts, spend = case.credits_of(cohort, place), case.spend[cohort, place]
        expected = cell_economics(case.orders, parts, spend, cohort, case.as_of, 4, in_margin=case.in_margin)
        agreed(row, expected, (cohort, place))
        seen.add((row.payback_status, row.is_sustained))
        seen |= {"shared"} if row.customer_count % 1 else set()
