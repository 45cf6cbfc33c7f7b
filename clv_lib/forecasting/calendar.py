"""The months that are forecast, and the earlier days from which the past is forecast again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from clv_lib.periods import add_months, month_end, month_start, months_between

MINIMUM_HISTORY_MONTHS = 12
"""Months of history that a forecast of the past must have before it."""


@dataclass(frozen=True)
class Window:
    """A month to come, or what is left of the month of `as_of`: 0 months ahead, from the day after it."""

    start: dt.date
    end: dt.date
    months_ahead: int

    @property
    def month(self) -> dt.date:
        """First day of the calendar month."""
        return month_start(self.start)


def windows(day: dt.date, months: int) -> tuple[Window, ...]:
    """The rest of the month of `day`, if there is one, and the whole months after it."""
    following = day + dt.timedelta(days=1)
    rest = [] if following.day == 1 else [Window(following, month_end(following), 0)]
    first = add_months(month_start(day), 1)
    starts = [add_months(first, number) for number in range(months)]
    return (*rest, *(Window(start, month_end(start), number + 1) for number, start in enumerate(starts)))


def last_complete_month_end(as_of: dt.date) -> dt.date:
    """The last day up to as_of that ends a month."""
    return as_of if month_end(as_of) == as_of else month_start(as_of) - dt.timedelta(days=1)


def origins(first_month: dt.date, as_of: dt.date, count: int, step_months: int) -> tuple[dt.date, ...]:
    """Ends of months, the latest first, each with at least 12 months of history before it."""
    last = month_start(last_complete_month_end(as_of))
    candidates = (add_months(last, -step_months * number) for number in range(1, count + 1))
    return tuple(
        month_end(month) for month in candidates if months_between(first_month, month) + 1 >= MINIMUM_HISTORY_MONTHS
    )
