"""Figures of segments, cohorts and channels once more, by plain Python that walks through orders, days and months.

The third part of the oracle, over valid orders; nothing here is shared with the job.
"""

from __future__ import annotations

import datetime as dt
from calendar import monthrange
from collections import defaultdict
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from typing import Any

Order = tuple[dt.date, Decimal, Decimal | None]
"""Day, net revenue, and margin (None: not known) of an order."""
Orders = Mapping[str, list[Order]]
"""Orders of each customer, by day."""


def age_of(day: dt.date, first: dt.date) -> int:
    return (day.year - first.year) * 12 + day.month - first.month


def cohort_of(own: list[Order]) -> dt.date:
    return own[0][0].replace(day=1)


def rounded(exact: Fraction | Decimal | int, places: int) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        value = Fraction(exact)
        quotient = Decimal(value.numerator) / Decimal(value.denominator)
        return quotient.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def month_rows(orders: Orders) -> list[tuple[Any, ...]]:
    """`customer_months` in the order of test_gold_oracle.MONTHS, with the margin of the first day of all at the end."""
    rows = []
    for customer, bought in orders.items():
        by_month = defaultdict(list)
        for order in bought:
            by_month[order[0].replace(day=1)].append(order)
        for month, own in by_month.items():
            margins = [margin for *_, margin in own if margin is not None]
            of_first_day = [m for day, _, m in own if day == bought[0][0] and m is not None]
            days = {day for day, *_ in own}
            net = sum(net for _, net, _ in own)
            sums = (sum(margins, Decimal(0)), len(margins), min(days), max(days), sum(of_first_day, Decimal(0)))
            rows.append((customer, month, len(own), len(days), net, *sums))
    return rows


def is_active(days: list[dt.date], on: dt.date, inactivity_days: int) -> bool:
    known = [day for day in days if day <= on]
    return bool(known) and (on - known[-1]).days < inactivity_days


def segment_month(
    orders: Orders, members: list[str], first: dt.date, as_of: dt.date, inactivity_days: int
) -> dict[str, Any]:
    """`segment_metrics` of a month, from the state of every member on every day of it."""
    end, one_day = min(first.replace(day=monthrange(first.year, first.month)[1]), as_of), dt.timedelta(1)
    spans = {customer: [order[0] for order in orders[customer]] for customer in members}
    month_days = [first + dt.timedelta(number) for number in range((end - first).days + 1)]
    states = {
        customer: [is_active(days, day, inactivity_days) for day in (first - one_day, *month_days)]
        for customer, days in spans.items()
        if days[0] <= end
    }
    moves = {customer: list(pairwise(own)) for customer, own in states.items()}
    bought = [order for customer in members for order in orders[customer] if order[0] <= end]
    now = [order for order in bought if order[0] >= first]
    gained = sum((False, True) in move for move in moves.values())
    new = sum(first <= days[0] <= end for days in spans.values())
    return {
        "customer_count_start": sum(own[0] for own in states.values()),
        "new_customer_count": new,
        "reactivated_customer_count": gained - new,
        "churned_customer_count": sum((True, False) in move for move in moves.values()),
        "customer_count_end": sum(own[-1] for own in states.values()),
        "active_customer_count": sum(any(first <= day <= end for day in days) for days in spans.values()),
        "order_count": len(now),
        "net_amount": sum((net for _, net, _ in now), Decimal(0)),
        "margin_amount": known_margin(now),
        "lifetime_customer_count": len(states),
        "lifetime_order_count": len(bought),
        "lifetime_net_amount": sum((net for _, net, _ in bought), Decimal(0)),
        "lifetime_margin_amount": known_margin(bought),
        "exposure_days": sum((end - spans[customer][0]).days + 1 for customer in states),
    }


def known_margin(bought: list[Order]) -> Decimal | None:
    margins = [margin for *_, margin in bought]
    return None if None in margins else sum((margin for margin in margins if margin is not None), Decimal(0))


def cohort_cell(orders: Orders, cohort: list[str], age: int) -> dict[str, Any]:
    """`cohort_metrics` of the customers of a cohort at an age."""
    seen = [(name, order) for name in cohort for order in orders[name]]
    so_far = [(name, order) for name, order in seen if age_of(order[0], orders[name][0][0]) <= age]
    now = [(name, order) for name, order in so_far if age_of(order[0], orders[name][0][0]) == age]
    repeat = [name for name in cohort if len({order[0] for other, order in so_far if other == name}) > 1]
    net, size = sum((order[1] for _, order in so_far), Decimal(0)), len(cohort)
    margin, active = known_margin([order for _, order in so_far]), len({name for name, _ in now})
    return {
        "cohort_size": size,
        "active_customer_count": active,
        "retention_rate": rounded(Fraction(active, size), 8),
        "repeat_customer_count": len(repeat),
        "repeat_customer_rate": rounded(Fraction(len(repeat), size), 8),
        "order_count": len(now),
        "net_amount": sum((order[1] for _, order in now), Decimal(0)),
        "margin_amount": known_margin([order for _, order in now]),
        "cumulative_net_amount": net,
        "cumulative_margin_amount": margin,
        "cumulative_net_per_customer": rounded(Fraction(net) / size, 8),
        "cumulative_margin_per_customer": None if margin is None else rounded(Fraction(margin) / size, 8),
        "margin_status": "margin_unknown" if margin is None else "ok",
    }


def value_curve(
    orders: Orders, parts: Mapping[str, Decimal], last_age: int, *, in_margin: bool
) -> list[Fraction | None]:
    """Value so far of the customers at each age, each with its credit; None from an order without a margin on."""
    curve: list[Fraction | None] = []
    for age in range(last_age + 1):
        total: Fraction | None = Fraction(0)
        for customer, credit in parts.items():
            own = [order for order in orders[customer] if age_of(order[0], orders[customer][0][0]) <= age]
            value = known_margin(own) if in_margin else sum((net for _, net, _ in own), Decimal(0))
            total = None if total is None or value is None else total + Fraction(value) * Fraction(credit)
        curve.append(total)
    return curve


def cell_economics(
    orders: Orders,
    parts: Mapping[str, Decimal],
    spend: Decimal | None,
    cohort: dt.date,
    as_of: dt.date,
    cap: int,
    *,
    in_margin: bool,
) -> dict[str, Any]:
    """`unit_economics` of a cohort and cell without predictions: value, cost, and when the one paid for the other."""
    after = as_of + dt.timedelta(1)
    observed = age_of(after, cohort)
    curve = value_curve(orders, parts, age_of(as_of, cohort), in_margin=in_margin) if parts else [None]
    count = sum(parts.values(), Decimal(0))
    value = curve[-1]
    return {
        "customer_count": count,
        "observed_months": observed,
        "historic_clv_total_amount": None if value is None else rounded(value, 4),
        "cac_amount": None if spend is None or not count else rounded(Fraction(spend) / Fraction(count), 8),
        "payback_cap_total_amount": _by_cap(curve, cap) if parts and observed > cap else None,
        "first_order_margin_total_amount": _first_day_margin(orders, parts),
        **_payback(curve, spend if parts else None, cohort, observed),
    }


def _by_cap(curve: list[Fraction | None], cap: int) -> Decimal | None:
    value = curve[min(cap, len(curve) - 1)]
    return None if value is None else rounded(value, 4)


def _first_day_margin(orders: Orders, parts: Mapping[str, Decimal]) -> Decimal | None:
    total = Fraction(0)
    for customer, credit in parts.items():
        first = orders[customer][0][0]
        month = known_margin([order for order in orders[customer] if age_of(order[0], first) == 0])
        of_day = known_margin([order for order in orders[customer] if order[0] == first])
        if month is None or of_day is None:
            return None
        total += Fraction(of_day) * Fraction(credit)
    return rounded(total, 4) if parts else None


def _payback(curve: list[Fraction | None], spend: Decimal | None, cohort: dt.date, observed: int) -> dict[str, Any]:
    def found(months: int | None, status: str, *, is_sustained: bool | None = None) -> dict[str, Any]:
        return {"cac_payback_months": months, "payback_status": status, "is_sustained": is_sustained}

    if spend is None:
        return found(None, "cac_unknown")
    if observed == 0:
        return found(None, "incomplete_month")
    if spend == 0:
        return found(0, "zero_cac")
    paid = [age for age, value in enumerate(curve) if value is not None and value >= spend]
    if not paid:
        return found(None, "value_unknown" if None in curve else "not_reached")
    falls = any(value is not None and value < spend for value in curve[paid[0] :])
    return found(paid[0], "ok", is_sustained=False if falls else None if None in curve else True)
