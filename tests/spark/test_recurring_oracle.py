"""Random subscriptions: the job must find the MRR, movements and retention that plain Python finds day by day.

One large draw goes the whole way from source rows to figures of segments; many small ones are of movements alone,
with any window of reactivation.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_lib.contracts.recurring import MOVEMENTS
from clv_lib.contracts.segments import CUSTOMER_SEGMENTS
from clv_lib.periods import add_months, month_end, month_start
from clv_lib.recurring.movements import mrr_changes, mrr_movements
from clv_lib.recurring.mrr_metrics import mrr_metrics
from tests.spark.generated import INTERPRETED, WHOLE_JOBS, conf
from tests.spark.subscriptions import RATES, Rows, kept, period, stored_periods

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

FIRST_DAY = dt.date(2022, 1, 1)
AS_OF = dt.date(2024, 2, 20)
DAYS = (AS_OF - FIRST_DAY).days + 60
STATUSES = ["active"] * 6 + ["past_due", "paused", "trialing", "unpaid", "canceled"]
MONTHS_IN = {"day": Fraction(48, 1461), "week": Fraction(3, 13), "month": Fraction(1), "year": Fraction(12)}
CUSTOMERS = 150

Mrr = dict[str, dict[dt.date, Decimal]]


def rounded(value: Fraction, places: str = "0.0001") -> Decimal:
    """Half up, from the exact value."""
    steps = value * Fraction(1) / Fraction(places)
    return Decimal(int(abs(steps) + Fraction(1, 2))) * Decimal(places) * (1 if steps >= 0 else -1)


def source(rng: random.Random) -> Rows:
    rows: Rows = []
    for number in range(CUSTOMERS):
        for subscription in range(rng.choice([1, 1, 2, 3])):
            day = rng.randrange(DAYS)
            for _ in range(rng.randint(1, 5)):
                length = rng.choice([0, 1, 9, 28, 31, 60, 200])
                end = None if rng.random() < 0.15 else FIRST_DAY + dt.timedelta(days=day + length)
                rows.append(random_period(rng, f"c{number}", f"c{number}/{subscription}", day, end))
                if end is None:
                    break
                day += length + rng.choice([0, 0, 0, 1, 20, 90])
    return rows


def random_period(
    rng: random.Random, customer: str, subscription: str, day: int, end: dt.date | None
) -> dict[str, str | None]:
    amount = rng.choice([rng.randrange(1, 100_000), rng.randrange(1, 100_000), 5000, 5000, 0])
    row = period(
        customer,
        (FIRST_DAY + dt.timedelta(days=day)).isoformat(),
        None if end is None else end.isoformat(),
        str(Decimal(amount) / 100),
        subscription_id=subscription,
    )
    return row | {
        "subscription_period_id": f"{subscription}/{rng.random()}",
        "billing_interval": rng.choice(["day", "week", "month", "month", "month", "year"]),
        "billing_interval_count": str(rng.choice([1, 1, 1, 2, 3, 7])),
        "discount_amount": str(Decimal(rng.choice([0, 0, amount // 3])) / 100),
        "status": rng.choice(STATUSES),
        "currency_code": rng.choice(["GBP", "GBP", "EUR"]),
    }


def daily_rates(rng: random.Random) -> dict[dt.date, Decimal]:
    days = (FIRST_DAY + dt.timedelta(days=n) for n in range(DAYS))
    return {day: Decimal(rng.randrange(700_000, 999_999)) / 1_000_000 for day in days if day <= AS_OF}


def mrr_by_day(rows: Rows, rates: dict[dt.date, Decimal]) -> Mrr:
    """MRR of each customer at each month's end and at as_of, by looking at each period on that day."""
    known = [row for row in rows if (row["started_date"] or "") <= AS_OF.isoformat()]
    first: dict[tuple[str | None, str | None], str] = {}
    for row in known:
        who, start = (row["customer_id"], row["currency_code"]), row["started_date"] or ""
        first[who] = min(first.get(who, start), start)
    months = [add_months(FIRST_DAY, n) for n in range((AS_OF.year - FIRST_DAY.year) * 12 + AS_OF.month)]
    mrr: Mrr = defaultdict(lambda: dict.fromkeys(months, Decimal(0)))
    for row in known:
        rate = Decimal(1)
        if row["currency_code"] == "EUR":
            rate = rates[dt.date.fromisoformat(first[row["customer_id"], row["currency_code"]])]
        charge = Decimal(row["recurring_amount"] or 0) - Decimal(row["discount_amount"] or 0)
        converted = (charge * rate).quantize(Decimal("0.0001"), ROUND_HALF_UP)
        months_billed = MONTHS_IN[row["billing_interval"] or ""] * int(row["billing_interval_count"] or 0)
        for month in months:
            day = min(month_end(month), AS_OF).isoformat()
            holds = (row["started_date"] or "") <= day and (row["ended_date"] is None or row["ended_date"] > day)
            if holds and row["status"] in ("active", "past_due"):
                mrr[row["customer_id"] or ""][month] += rounded(Fraction(converted) / months_billed)
    return {customer: of for customer, of in mrr.items() if any(of.values())}


def expected_movements(mrr: Mrr) -> dict[tuple[str, dt.date], tuple[str, Decimal, Decimal]]:
    """(customer, month) to kind, start and end, from the first month with MRR to the last with any or its churn."""
    found = {}
    for customer, of in mrr.items():
        paid = [month for month, amount in of.items() if amount]
        last = min(add_months(max(paid), 1), month_start(AS_OF))
        for month in of:
            if min(paid) <= month <= last:
                start, end = of.get(add_months(month, -1), Decimal(0)), of[month]
                found[customer, month] = (kind_of(start, end, is_first=month == min(paid)), start, end)
    return found


def kind_of(start: Decimal, end: Decimal, *, is_first: bool) -> str:
    if start == end:
        return "none"
    if start and end:
        return "expansion" if end > start else "contraction"
    return "churn" if start else "new" if is_first else "reactivation"


def segment_of(customer: str) -> str | None:
    """Every fifth customer has no orders and so no membership."""
    number = int(customer[1:])
    return None if number % 5 == 0 else f"kind:{'odd' if number % 2 else 'even'}"


def expected_sums(mrr: Mrr, segment: str, month: dt.date) -> tuple[Any, ...]:
    """MRR at the end, customers, and what is left of the MRR of 12 months before, of those who never paused."""
    of_segment = [of for customer, of in mrr.items() if segment in ("all:all", segment_of(customer) or "kind:unknown")]
    end = sum((of[month] for of in of_segment), Decimal(0))
    count = sum(of[month] > 0 for of in of_segment)
    year = [add_months(month, -n) for n in range(13)]
    if year[-1] < FIRST_DAY:
        return end, count, None, None
    then = sum(of[year[-1]] for of in of_segment)
    stayed = [of for of in of_segment if all(of[m] for m in year)]
    net, gross = sum(of[month] for of in stayed), sum(min(of[month], of[year[-1]]) for of in stayed)
    ratios = [rounded(Fraction(part) / Fraction(then), "0.00000001") if then else None for part in (net, gross)]
    return end, count, *ratios


@pytest.fixture(scope="module")
def random_lives(spark_session: SparkSession) -> tuple[Mrr, list[Row], list[Row]]:
    rng = random.Random(20240220)
    rows, rates = source(rng), daily_rates(rng)
    of_days = spark_session.createDataFrame([(day, "EUR", rate) for day, rate in rates.items()], RATES)
    periods = kept(stored_periods(spark_session, rows, rates=of_days, as_of=AS_OF))
    movements = kept(mrr_movements(mrr_changes(periods), None, AS_OF))
    schema = ", ".join(f"{name} {kind}" for name, kind in CUSTOMER_SEGMENTS.schema.items())
    members = []
    for customer in (f"c{number}" for number in range(CUSTOMERS)):
        segment = segment_of(customer)
        ids = ("all:all", segment) if segment else ()
        members += [(customer, one, *one.split(":"), AS_OF) for one in ids]
    figures = mrr_metrics(movements, spark_session.createDataFrame(members, schema), 0.95, False, AS_OF)
    return mrr_by_day(rows, rates), movements.collect(), figures.collect()


def test_movements_are_those_of_plain_python(random_lives: tuple[Mrr, list[Row], list[Row]]) -> None:
    mrr, movements, _ = random_lives
    found = {(row.customer_id, row.period_month): (row.movement_type, row.mrr_start, row.mrr_end) for row in movements}
    expected = expected_movements(mrr)
    assert found == expected
    kinds = [kind for kind, _, _ in expected.values()]
    assert all(kinds.count(kind) >= 20 for kind in (*MOVEMENTS, "none"))


def test_bridges_and_memory_of_a_year(random_lives: tuple[Mrr, list[Row], list[Row]]) -> None:
    mrr, movements, figures = random_lives
    for row in (*movements, *figures):
        gained = row.new_amount + row.reactivation_amount + row.expansion_amount
        assert row.mrr_start + gained - row.contraction_amount - row.churn_amount == row.mrr_end
    for row in movements:
        before = mrr[row.customer_id].get(add_months(row.period_month, -12), Decimal(0))
        assert row.mrr_12m_before == before


def test_figures_of_segments_are_those_of_plain_python(random_lives: tuple[Mrr, list[Row], list[Row]]) -> None:
    mrr, _, figures = random_lives
    assert {row.segment_id for row in figures} == {"all:all", "kind:odd", "kind:even", "kind:unknown"}
    assert any(row.nrr_12m is not None for row in figures)
    for row in figures:
        end, count, nrr, grr = expected_sums(mrr, row.segment_id, row.period_month)
        assert (row.mrr_end, row.customer_count_end) == (end, count)
        assert (row.nrr_12m, row.grr_12m) == ((nrr, grr) if row.is_final else (None, None))


def test_segments_add_up_to_the_total(random_lives: tuple[Mrr, list[Row], list[Row]]) -> None:
    _, _, figures = random_lives
    for name in ("mrr_start", "mrr_end", "churn_amount", "customer_count_end", "churned_customer_count"):
        sums: dict[tuple[dt.date, bool], Any] = defaultdict(int)
        for row in figures:
            sums[row.period_month, row.segment_type == "all"] += row[name]
        months = {month for month, _ in sums}
        assert {month: sums[month, True] for month in months} == {month: sums[month, False] for month in months}


Held = tuple[str, dt.date, dt.date | None, Decimal]
"""A period that counts: customer, first day, first day after it (None: open), MRR."""

HELD = (
    "subscription_period_id string, customer_id string, started_date date, ended_date date, mrr_amount decimal(28,4),"
    " is_paying boolean, status string, cancellation_type string, cancellation_reason string"
)


@st.composite
def held_periods(draw: st.DrawFn) -> list[Held]:
    """Periods of few customers, so that many overlap or follow each other; few amounts, so that many changes cancel."""
    customers, days = st.sampled_from("abcdef"), st.integers(0, (AS_OF - FIRST_DAY).days)
    lengths, amounts = st.sampled_from([0, 1, 14, 31, 59, 120, 365, None]), st.sampled_from(["0", "0.0001", "10", "25"])
    held: list[Held] = []
    for customer, day, length, amount in draw(
        st.lists(st.tuples(customers, days, lengths, amounts), min_size=12, max_size=30)
    ):
        start = FIRST_DAY + dt.timedelta(days=day)
        end = None if length is None else start + dt.timedelta(days=length)
        held.append((customer, start, end if end and end <= AS_OF else None, Decimal(amount)))
    return held


def mrr_of(held: list[Held]) -> Mrr:
    """MRR of each customer who ever had any, at each month's end and at as_of."""
    months = [add_months(FIRST_DAY, n) for n in range((AS_OF.year - FIRST_DAY.year) * 12 + AS_OF.month)]
    mrr: Mrr = defaultdict(lambda: dict.fromkeys(months, Decimal(0)))
    for customer, start, end, amount in held:
        for month in months:
            day = min(month_end(month), AS_OF)
            mrr[customer][month] += amount if start <= day and (end is None or end > day) else 0
    return {customer: of for customer, of in mrr.items() if any(of.values())}


def with_new_again(movements: dict[tuple[str, dt.date], tuple[str, Decimal, Decimal]], window: int | None) -> Any:
    """Who comes back after more than so many months without MRR is new again."""
    without: dict[str, int] = defaultdict(int)
    found = {}
    for (customer, month), (kind, start, end) in sorted(movements.items()):
        is_late = window is not None and kind == "reactivation" and without[customer] > window
        found[customer, month] = ("new" if is_late else kind, start, end)
        without[customer] = 0 if end else without[customer] + 1
    return found


def test_any_periods_give_the_bridge_month_by_month(spark: SparkSession) -> None:
    seen: set[str] = set()

    @settings(WHOLE_JOBS, max_examples=8)
    @given(held=held_periods(), window=st.none() | st.integers(1, 8))
    def agrees(held: list[Held], window: int | None) -> None:
        rows = [(str(number), *one, True, "active", None, None) for number, one in enumerate(held)]
        with conf(spark, INTERPRETED):
            found = mrr_movements(mrr_changes(spark.createDataFrame(rows, HELD)), window, AS_OF).collect()
        expected = expected_movements(mrr_of(held))
        kinds = {(row.customer_id, row.period_month): (row.movement_type, row.mrr_start, row.mrr_end) for row in found}
        assert len(kinds) == len(found)
        assert kinds == with_new_again(expected, window)
        for row in found:
            amounts = {kind: row[f"{kind}_amount"] for kind in MOVEMENTS}
            moved = abs(row.mrr_end - row.mrr_start)
            assert amounts == {kind: moved if kind == row.movement_type else 0 for kind in MOVEMENTS}
        seen.update(row.movement_type for row in found)
        if kinds != expected:
            seen.add("new again")

    agrees()
    assert seen == {*MOVEMENTS, "none", "new again"}
