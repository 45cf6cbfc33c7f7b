"""Days, months and rates: examples at leap days and year ends, and properties for all days."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_lib import periods

DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2200, 12, 31))
MONTH_STEPS = st.integers(-1200, 1200)


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        ("2011-01-31", "2011-02-28", 1),
        ("2011-02-01", "2011-02-28", 0),
        ("2011-12-31", "2012-01-01", 1),
        ("2012-02-29", "2013-02-28", 12),
        ("2012-03-01", "2012-02-29", -1),
    ],
)
def test_months_between_counts_calendar_months(start: str, end: str, months: int) -> None:
    assert periods.months_between(dt.date.fromisoformat(start), dt.date.fromisoformat(end)) == months


@given(DAYS, MONTH_STEPS)
def test_adding_months_and_counting_them_are_inverse(day: dt.date, months: int) -> None:
    start = periods.month_start(day)
    later = periods.add_months(start, months)
    assert later.day == 1
    assert periods.months_between(start, later) == months
    assert periods.add_months(later, -months) == start


def test_months_are_added_to_month_starts_only() -> None:
    with pytest.raises(ValueError, match="not the first day"):
        periods.add_months(dt.date(2011, 1, 31), 1)


@given(DAYS)
def test_a_month_ends_the_day_before_the_next_begins(day: dt.date) -> None:
    next_start = periods.add_months(periods.month_start(day), 1)
    assert periods.month_end(day) + dt.timedelta(days=1) == next_start
    assert periods.month_start(day) <= day <= periods.month_end(day)


def test_leap_days() -> None:
    assert periods.month_end(dt.date(2012, 2, 1)) == dt.date(2012, 2, 29)
    assert periods.month_end(dt.date(1900, 2, 1)) == dt.date(1900, 2, 28)
    assert periods.month_end(dt.date(2000, 2, 1)) == dt.date(2000, 2, 29)


@given(DAYS, st.integers(1, 4000))
def test_a_trailing_window_has_its_number_of_days(as_of: dt.date, days: int) -> None:
    first = periods.cutoff_date(as_of, days)
    assert (as_of - first).days + 1 == days


def test_trailing_windows_by_hand() -> None:
    assert periods.cutoff_date(dt.date(2012, 1, 1), 1) == dt.date(2012, 1, 1)
    assert periods.cutoff_date(dt.date(2012, 3, 1), 30) == dt.date(2012, 2, 1)
    with pytest.raises(ValueError, match="at least 1 day"):
        periods.cutoff_date(dt.date(2012, 1, 1), 0)


def test_a_month_is_a_twelfth_of_a_mean_year() -> None:
    assert str(periods.DAYS_PER_MONTH) == "30.4375"
    assert str(periods.DAYS_PER_MONTH * 12) == "365.2500"


@given(st.floats(0, 10))
def test_discount_rates_compound_to_the_year(annual: float) -> None:
    assert (1 + periods.monthly_discount_rate(annual)) ** 12 == pytest.approx(1 + annual, rel=1e-12)


def test_rates_are_compounded_not_multiplied() -> None:
    assert periods.monthly_discount_rate(0.10) == pytest.approx(0.00797414, abs=1e-8)


def test_impossible_discount_is_refused() -> None:
    with pytest.raises(ValueError, match="above -1"):
        periods.monthly_discount_rate(-1.0)


def test_days_of_a_backfill() -> None:
    first, last = dt.date(2024, 1, 30), dt.date(2024, 3, 2)
    assert periods.days_from(first, dt.date(2024, 2, 1), "day") == [first, dt.date(2024, 1, 31), dt.date(2024, 2, 1)]
    assert periods.days_from(first, last, "month") == [dt.date(2024, 1, 31), dt.date(2024, 2, 29), last]
    with pytest.raises(ValueError, match="before"):
        periods.days_from(last, first, "day")
