"""Days, months and rates: examples at leap days and year ends, and properties for all days."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_lib import periods
from clv_lib.errors import ConfigurationError

DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2200, 12, 31))
MONTH_STEPS = st.integers(-1200, 1200)


def test_as_of_is_read() -> None:
    assert periods.parse_as_of("2012-02-29") == dt.date(2012, 2, 29)


@pytest.mark.parametrize(
    "text",
    ["", "today", "2011-02-29", "2011-13-01", "20111209", "09/12/2011", "2011-12-9", "2011-W49-5", "\u0662011-12-09"],
)
def test_other_texts_are_refused_with_the_form_that_is_meant(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"YYYY-MM-DD") as caught:
        periods.parse_as_of(text)
    assert "--as-of" in str(caught.value)
    assert repr(text) in str(caught.value)


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
    assert periods.is_month_complete(dt.date(2012, 2, 1), dt.date(2012, 2, 29))
    assert not periods.is_month_complete(dt.date(2012, 2, 1), dt.date(2012, 2, 28))


@given(DAYS, st.integers(1, 4000))
def test_a_trailing_window_has_its_number_of_days(as_of: dt.date, days: int) -> None:
    first = periods.cutoff_date(as_of, days)
    assert (as_of - first).days + 1 == days


def test_trailing_windows_by_hand() -> None:
    assert periods.cutoff_date(dt.date(2012, 1, 1), 1) == dt.date(2012, 1, 1)
    assert periods.cutoff_date(dt.date(2012, 3, 1), 30) == dt.date(2012, 2, 1)
    with pytest.raises(ValueError, match="at least 1 day"):
        periods.cutoff_date(dt.date(2012, 1, 1), 0)


@given(DAYS)
def test_day_numbers_are_invertible(day: dt.date) -> None:
    assert periods.from_day_number(periods.day_number(day)) == day
    assert periods.day_number(day + dt.timedelta(days=1)) == periods.day_number(day) + 1


def test_day_numbers_begin_in_1970() -> None:
    assert periods.day_number(dt.date(1970, 1, 1)) == 0
    assert periods.day_number(dt.date(1969, 12, 31)) == -1


def test_a_month_is_a_twelfth_of_a_mean_year() -> None:
    assert str(periods.DAYS_PER_MONTH) == "30.4375"
    assert periods.DAYS_PER_MONTH * 12 == periods.DAYS_PER_YEAR


@given(st.floats(0, 10))
def test_discount_rates_compound_to_the_year(annual: float) -> None:
    assert (1 + periods.monthly_discount_rate(annual)) ** 12 == pytest.approx(1 + annual, rel=1e-12)
    assert (1 + periods.daily_discount_rate(annual)) ** 365.25 == pytest.approx(1 + annual, rel=1e-10)


def test_rates_are_compounded_not_multiplied() -> None:
    assert periods.monthly_discount_rate(0.10) == pytest.approx(0.00797414, abs=1e-8)
    assert periods.annual_from_monthly(0.05) == pytest.approx(0.45963991, abs=1e-8)
    assert periods.annual_from_monthly(0.0) == 0.0
    assert periods.annual_from_monthly(1.0) == 1.0


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_impossible_churn_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        periods.annual_from_monthly(rate)


def test_impossible_discount_is_refused() -> None:
    with pytest.raises(ValueError, match="above -1"):
        periods.monthly_discount_rate(-1.0)
    with pytest.raises(ValueError, match="above -1"):
        periods.daily_discount_rate(-2.0)
