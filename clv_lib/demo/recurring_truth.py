"""What is true of the demo's subscriptions: recurring revenue of each month end, read off the periods one by one."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from clv_lib.demo.money import decimal_of_cents
from clv_lib.demo.orders import ACCEPTED
from clv_lib.demo.parameters import DemoParameters
from clv_lib.periods import add_months, month_end, month_start

_PAYING = ("active", "past_due")
_MONTHS = {"month": 1, "year": 12}
_SMALLEST = Decimal("0.0001")
_KINDS = {"new": "new", "reactivation": "reactivated", "churn": "churned"}


@dataclass(frozen=True)
class RecurringTruth:
    """The truth behind the subscriptions; money is exact, in the reporting currency.

    - `rows_by_fault`: reason (`accepted` among them) to rows; they add up to the table.
    - `monthly_churn_rate`: the mean chance that a paying subscriber ends the subscription within a month, over all
      months at risk; pauses are none. Who leaves easily is at risk for few months: it is below that of new subscribers.
    - `movements`: one row per customer and month in which MRR differs from that of the month before.
    - `months`: one row per month from the first with MRR to that of as_of, its columns named as in `mrr_metrics`.
    """

    rows_by_fault: Mapping[str, int]
    monthly_churn_rate: float
    movements: pd.DataFrame
    months: pd.DataFrame


def collect_recurring_truth(parameters: DemoParameters, periods: pd.DataFrame) -> RecurringTruth:
    """Derive the truth from the periods in cents with their `fault` column."""
    accepted = periods[(periods["fault"] == ACCEPTED) & periods["status"].isin(_PAYING)].to_dict("records")
    counts = periods["fault"].value_counts().sort_index()
    own_rate = {row["customer_id"]: row["churn_rate"] for row in accepted}
    rates_at_risk: list[float] = []
    told = {(row["customer_id"], month_start(row["ended_date"])): row for row in accepted if row["cancellation_type"]}
    before: dict[str, Decimal] = {}
    known: set[str] = set()
    movements: list[dict[str, Any]] = []
    months: list[dict[str, Any]] = []
    for month in _history(parameters):
        rates_at_risk += [own_rate[customer] for customer in before]
        now = _mrr_by_customer(accepted, min(month_end(month), parameters.as_of))
        moved = [
            _movement(customer, month, before.get(customer, Decimal(0)), now.get(customer, Decimal(0)), known, told)
            for customer in sorted(before.keys() | now.keys())
            if before.get(customer) != now.get(customer)
        ]
        known |= now.keys()
        if known:
            months.append(_month(month, before, now, moved))
        movements.extend(moved)
        before = now
    return RecurringTruth(
        rows_by_fault=MappingProxyType({str(name): int(count) for name, count in counts.items()}),
        monthly_churn_rate=float(np.mean(rates_at_risk))
        if rates_at_risk
        else parameters.subscriptions.monthly_churn_rate,
        movements=pd.DataFrame(movements),
        months=pd.DataFrame(months),
    )


def _history(parameters: DemoParameters) -> list[dt.date]:
    months = [month_start(parameters.history_start)]
    while (following := add_months(months[-1], 1)) <= parameters.as_of:
        months.append(following)
    return months


def _mrr_by_customer(periods: Iterable[Mapping[Any, Any]], day: dt.date) -> dict[str, Decimal]:
    """Customer to MRR of the periods that hold at the end of the day; none of it is 0."""
    mrr: defaultdict[str, Decimal] = defaultdict(Decimal)
    for period in periods:
        ended = period["ended_date"]
        if period["started_date"] <= day and (ended is None or ended > day):
            charge = decimal_of_cents(period["recurring_amount"] - period["discount_amount"])
            monthly = charge / _MONTHS[period["billing_interval"]]
            mrr[period["customer_id"]] += monthly.quantize(_SMALLEST, ROUND_HALF_UP)
    return dict(mrr)


def _movement(
    customer: str,
    month: dt.date,
    was: Decimal,
    becomes: Decimal,
    known: set[str],
    told: Mapping[tuple[str, dt.date], Mapping[Any, Any]],
) -> dict[str, Any]:
    if was and becomes:
        kind = "expansion" if becomes > was else "contraction"
    else:
        kind = "churn" if was else "reactivation" if customer in known else "new"
    cause = told.get((customer, month), {}) if kind == "churn" else {}
    return {
        "customer_id": customer,
        "period_month": month,
        "movement_type": kind,
        "mrr_start": was,
        "mrr_end": becomes,
        # Whoever stops paying without a cancellation has paused.
        "churn_type": cause.get("cancellation_type", "unknown") if kind == "churn" else None,
        "churn_reason": cause.get("cancellation_reason", "paused") if kind == "churn" else None,
    }


def _month(
    month: dt.date, before: Mapping[str, Decimal], now: Mapping[str, Decimal], moved: list[dict[str, Any]]
) -> dict[str, Any]:
    amounts = {
        f"{kind}_amount": sum(
            (abs(one["mrr_end"] - one["mrr_start"]) for one in moved if one["movement_type"] == kind), Decimal(0)
        )
        for kind in ("new", "reactivation", "expansion", "contraction", "churn")
    }
    counts = {
        f"{name}_customer_count": sum(one["movement_type"] == kind for one in moved) for kind, name in _KINDS.items()
    }
    lost = {
        f"{kind}_churned_customer_count": sum(one["churn_type"] == kind for one in moved)
        for kind in ("voluntary", "involuntary", "unknown")
    }
    return {
        "period_month": month,
        "mrr_start": sum(before.values(), Decimal(0)),
        **amounts,
        "mrr_end": sum(now.values(), Decimal(0)),
        "customer_count_start": len(before),
        **counts,
        **lost,
        "customer_count_end": len(now),
    }
