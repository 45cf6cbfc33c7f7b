"""What is planned of new customers, from the source plans: a small table, refused if it contradicts itself."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from clv_lib.errors import ContractError, Fault
from clv_lib.periods import month_start
from clv_lib.scoring.fits import POOLED_SEGMENT

MOST_ROWS = 100_000
_EVERYBODY = ("", "all", POOLED_SEGMENT)
_SHOWN = 5


@dataclass(frozen=True)
class PlannedMonth:
    """New customers of a segment in a month (its first day), and what they may cost; None: no cost is planned."""

    segment_id: str
    month: dt.date
    customers: Decimal
    spend_amount: Decimal | None


def planned_months(rows: Iterable[Mapping[str, object]], as_of: dt.date, where: str) -> list[PlannedMonth]:
    """The plan of the months after that of as_of, in the order of segment and month.

    `rows` have the columns of contract `plans`. ContractError lists what cannot be read, names a month of a segment
    twice, or plans both all customers and segments, or segments of two types: their sums could not agree.
    """
    faults, ahead = [], []
    listed = list(rows)
    if len(listed) > MOST_ROWS:
        faults.append(Fault(f"more than {MOST_ROWS:,} rows are planned"))
    for row in listed:
        fault = _fault(row)
        if fault:
            faults.append(fault)
        elif (one := _planned(row)).month > month_start(as_of):
            ahead.append(one)
    faults += _contradictions(ahead)
    if faults:
        raise ContractError(
            "the plans cannot be used",
            where=where,
            expected="one row per month, or per month and channel or segment of one type",
            next_step="correct the table, or leave rows out by sources.plans.filter",
            faults=faults[:_SHOWN],
        )
    return sorted(ahead, key=lambda one: (one.segment_id, one.month))


def _fault(row: Mapping[str, object]) -> Fault | None:
    found = ", ".join(f"{name}={value}" for name, value in row.items())
    month, customers, spend = row["period_month"], row["planned_new_customers"], row["planned_spend_amount"]
    if not isinstance(month, dt.date):
        return Fault("the month cannot be read", found=found)
    if not isinstance(customers, Decimal) or customers < 0:
        return Fault("planned_new_customers is no number from 0 on", found=found)
    if isinstance(spend, Decimal) and spend < 0:
        return Fault("planned_spend_amount is negative", found=found)
    if row["channel"] and row["segment_id"]:
        return Fault("the row names both a channel and a segment", found=found)
    segment = str(row["segment_id"] or "")
    if segment not in _EVERYBODY and ":" not in segment:
        return Fault("segment_id is not TYPE:NAME", found=found)
    return None


def _planned(row: Mapping[str, object]) -> PlannedMonth:
    channel, segment = str(row["channel"] or ""), str(row["segment_id"] or "")
    if channel not in _EVERYBODY:
        segment = f"channel:{channel}"
    return PlannedMonth(
        POOLED_SEGMENT if segment in _EVERYBODY else segment,
        month_start(cast(dt.date, row["period_month"])),
        cast(Decimal, row["planned_new_customers"]),
        cast("Decimal | None", row["planned_spend_amount"]),
    )


def _contradictions(planned: list[PlannedMonth]) -> list[Fault]:
    counts = Counter((one.segment_id, one.month) for one in planned)
    faults = [
        Fault("a month is planned twice", found=f"{segment} in {month:%Y-%m}: {count} rows")
        for (segment, month), count in sorted(counts.items())
        if count > 1
    ]
    types = sorted({one.segment_id.partition(":")[0] for one in planned})
    if len(types) > 1:
        faults.append(Fault("customers are planned for several types of segments", found=", ".join(types)))
    return faults
