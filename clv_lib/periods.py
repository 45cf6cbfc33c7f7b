"""Days, calendar months and rates per period, on plain dates: no clock, no time zone, no Spark.

A day is a `datetime.date` in the reporting time zone; `as_of` is the last day that counts.
"""

from __future__ import annotations

import calendar
import datetime as dt
from decimal import Decimal

MONTHS_PER_YEAR = 12
DAYS_PER_MONTH = Decimal("30.4375")  # 365.25 / 12, exact in decimals


def month_start(day: dt.date) -> dt.date:
    """First day of the calendar month of `day`."""
    return day.replace(day=1)


def month_end(day: dt.date) -> dt.date:
    """Last day of the calendar month of `day`."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def add_months(month: dt.date, months: int) -> dt.date:
    """The first day of the month that is `months` calendar months later (earlier if negative).

    `month` is the first day of a month; another day is a ValueError, since Jan 31 plus a month has no single meaning.
    """
    if month.day != 1:
        raise ValueError(f"{month} is not the first day of a month")
    years, index = divmod(month.month - 1 + months, MONTHS_PER_YEAR)
    return dt.date(month.year + years, index + 1, 1)


def months_between(start: dt.date, end: dt.date) -> int:
    """Calendar months from the month of `start` to that of `end`, as SQL `datediff(MONTH, start, end)`.

    Days within the month do not count: Jan 31 to Feb 1 is 1, Feb 1 to Feb 28 is 0. Negative if `end` is earlier.
    """
    return (end.year - start.year) * MONTHS_PER_YEAR + end.month - start.month


def days_from(first: dt.date, last: dt.date, every: str) -> list[dt.date]:
    """Days from `first` to `last`, both included: each `day`, or `month` ends and `last`.

    ValueError if `last` is before `first`.
    """
    if last < first:
        raise ValueError(f"{last} is before {first}")
    days = [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]
    return days if every == "day" else [day for day in days if day in (month_end(day), last)]


def cutoff_date(as_of: dt.date, days: int) -> dt.date:
    """First day of the window of `days` days that ends on `as_of`, both included: 1 day is `as_of` itself."""
    if days < 1:
        raise ValueError(f"a window has at least 1 day, not {days}")
    return as_of - dt.timedelta(days=days - 1)


def monthly_discount_rate(annual_rate: float) -> float:
    """Discount rate per month that compounds to `annual_rate` in a year: (1 + annual)^(1/12) - 1, as ratios."""
    if annual_rate <= -1:
        raise ValueError(f"a discount rate is above -1, not {annual_rate}")
    return float((1.0 + annual_rate) ** (1.0 / MONTHS_PER_YEAR) - 1.0)
