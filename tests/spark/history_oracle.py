"""A customer's history, months and metrics once more, by plain Python over accepted orders and refunds.

The second half of the oracle; `oracle.py` judges the input rows. Nothing here is shared with the job.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any

Row = dict[str, Any]
Rows = list[Row]

ZERO = Decimal(0)


def converted(value: Decimal, rate: Decimal) -> Decimal:
    return (value * rate).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def order_history(orders: Rows, refunds: Rows) -> Rows:
    """A customer's accepted orders as `customer_orders`, by walking through them."""
    history: Rows = []
    for order in sorted(orders, key=lambda o: (o["day"], o["at"], o["order_id"])):
        own = [r for r in refunds if r["order"] is order]
        gross, sold = converted(order["gross"], order["rate"]), converted(order["amount"], order["rate"])
        refunded = sum((converted(r["amount"], r["rate"]) for r in own), ZERO)
        recovered = sum((converted(r["cost_recovered"], r["rate"]) for r in own), ZERO)
        cost = None if order["cost"] is None else converted(order["cost"], order["rate"])
        history.append(
            {
                "order_id": order["order_id"],
                "customer_id": order["customer_id"],
                "ordered_date": order["day"],
                "ordered_month": order["day"].replace(day=1),
                "currency_code": order["currency"],
                "net_amount_original": order["amount"],
                "gross_amount": gross,
                "discount_amount": gross - sold,
                "refund_amount": refunded,
                "net_amount": sold - refunded,
                "cost_amount": cost,
                "margin_amount": None if cost is None else sold - refunded - cost + recovered,
            }
        )
    for number in range(len(history)):
        history[number] |= place(history, number)
    return history


def place(history: Rows, number: int) -> Row:
    day, first = history[number]["ordered_date"], history[0]["ordered_date"]
    days = [row["ordered_date"] for row in history]
    so_far = history[: number + 1]
    margins = [row["margin_amount"] for row in so_far if row["margin_amount"] is not None]
    values: Row = {
        "order_number": number + 1,
        "occasion_number": len({d for d in days if d <= day}),
        "is_first_order": number == 0,
        "is_latest_order": number == len(history) - 1,
        "days_since_previous_order": (day - days[number - 1]).days if number else None,
        "days_until_next_order": (days[number + 1] - day).days if number + 1 < len(days) else None,
        "days_since_first_order": (day - first).days,
        "cohort_month": first.replace(day=1),
        "months_since_first_order": (day.year - first.year) * 12 + day.month - first.month,
        "cumulative_net_amount": total(so_far, "net_amount"),
        "cumulative_margin_amount": sum(margins, ZERO) if margins else None,
    }
    for length in (30, 90, 365):
        inside = [row for row in history if 0 <= (day - row["ordered_date"]).days < length]
        values |= {f"net_amount_{length}d": total(inside, "net_amount"), f"order_count_{length}d": len(inside)}
    return values


def total(rows: Iterable[Row], name: str) -> Decimal:
    return sum((row[name] for row in rows if row[name] is not None), ZERO)


def within_first(rows: Rows, days: int) -> Rows:
    return [row for row in rows if row["days_since_first_order"] < days]


def months(orders: Rows, refunds: Rows) -> dict[tuple[str, dt.date], Row]:
    """`customer_months`: months with an order or a refund."""
    cells: dict[tuple[str, dt.date], tuple[Rows, Rows]] = defaultdict(lambda: ([], []))
    for row in orders:
        cells[row["customer_id"], row["ordered_month"]][0].append(row)
    for row in refunds:
        cells[row["order"]["customer_id"], row["day"].replace(day=1)][1].append(row)
    return {cell: month_facts(own, back) for cell, (own, back) in cells.items()}


def month_facts(own: Rows, back: Rows) -> Row:
    days = {row["ordered_date"] for row in own}
    added_up = ("gross_amount", "discount_amount", "refund_amount", "net_amount", "margin_amount")
    return {
        "order_count": len(own),
        "active_day_count": len(days),
        "refunded_order_count": sum(row["refund_amount"] > 0 for row in own),
        **{name: total(own, name) for name in added_up},
        "refund_by_refund_date_amount": sum((converted(r["amount"], r["rate"]) for r in back), ZERO),
        "margin_order_count": sum(row["margin_amount"] is not None for row in own),
        "first_ordered_date": min(days, default=None),
        "last_ordered_date": max(days, default=None),
        "longest_gap_days": max((row["days_since_previous_order"] or 0 for row in own), default=0) or None,
        "first_day_net_amount": total(within_first(own, 1), "net_amount"),
        "first_day_margin_amount": total(within_first(own, 1), "margin_amount"),
        **{f"net_amount_first_{n}d": total(within_first(own, n), "net_amount") for n in (30, 90, 365)},
    }


def ratio(numerator: Decimal, denominator: Decimal | int) -> Decimal:
    return (Decimal(numerator) / denominator).quantize(Decimal("0.00000001"), ROUND_HALF_UP)


def metrics(history: Rows, as_of: dt.date, inactivity_days: int = 180) -> Row:
    """`customer_metrics` of one customer in net revenue."""
    days = sorted({row["ordered_date"] for row in history})
    age, recency, repeats = (as_of - days[0]).days, (days[-1] - days[0]).days, len(days) - 1
    net = total(history, "net_amount")
    is_margin_known = all(row["margin_amount"] is not None for row in history)
    is_churned = (as_of - days[-1]).days >= inactivity_days
    gaps = {later: (later - earlier).days for earlier, later in pairwise(days)}
    comebacks = [day for day, gap in gaps.items() if gap > inactivity_days]
    values: Row = {
        "value_status": "negative_value" if net < 0 else "ok",
        "cohort_month": days[0].replace(day=1),
        "lifetime_order_count": len(history),
        "lifetime_occasion_count": len(days),
        "refunded_order_count": sum(row["refund_amount"] > 0 for row in history),
        "lifetime_gross_amount": total(history, "gross_amount"),
        "lifetime_discount_amount": total(history, "discount_amount"),
        "lifetime_refund_amount": total(history, "refund_amount"),
        "lifetime_net_amount": net,
        "lifetime_margin_amount": total(history, "margin_amount") if is_margin_known else None,
        "historic_clv_amount": net,
        "average_order_value": ratio(net, len(history)),
        "exposure_days": age + 1,
        "orders_per_month": ratio(len(history) * Decimal("30.4375"), age + 1) if age else None,
        "orders_per_month_status": "ok" if age else "too_short_exposure",
        "average_days_between_orders": ratio(Decimal(recency), repeats) if repeats else None,
        "days_since_first_order": age,
        "days_since_last_order": (as_of - days[-1]).days,
        "btyd_frequency": repeats,
        "btyd_recency_days": recency,
        "btyd_age_days": age,
        "btyd_monetary_value": ratio(net - total(within_first(history, 1), "net_amount"), repeats) if repeats else None,
        "is_repeat_customer": repeats > 0,
        "is_active": not is_churned,
        "is_churned": is_churned,
        "first_order_date": days[0],
        "last_order_date": days[-1],
        "churned_date": days[-1] + dt.timedelta(days=inactivity_days) if is_churned else None,
        "churn_due_date": days[-1] + dt.timedelta(days=inactivity_days),
        "longest_gap_days": max(gaps.values(), default=None),
        "reactivated_date": max(comebacks, default=None),
    }
    for length in (30, 60, 90, 365):
        inside = [row for row in history if (as_of - row["ordered_date"]).days < length]
        values |= {f"order_count_{length}d": len(inside), f"net_amount_{length}d": total(inside, "net_amount")}
    for length in (30, 90, 365):
        values[f"net_amount_first_{length}d"] = (
            total(within_first(history, length), "net_amount") if age + 1 >= length else None
        )
    return values
