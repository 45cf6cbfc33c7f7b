"""Faults of the demo data: rows that a correct job must drop, resolve, keep apart or quarantine.

Each row carries in `fault` why it was made; the column is not part of the data that is handed over.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd

from clv_lib.demo.orders import ACCEPTED, refund_rows, seconds_of, utc
from clv_lib.demo.parameters import DemoParameters

UNKNOWN_CURRENCY = "XXX"
UNKNOWN_INTERVAL = "fortnight"

_EARLIER = pd.Timedelta(minutes=37)
_EXTRA_CENTS = 500
_BEFORE_START = timedelta(days=30)

Fault = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def add_order_faults(parameters: DemoParameters, orders: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """All order rows in the order of their arrival, with `order_id` given by order time; `fault` names each row."""
    extras = [_extra_orders(parameters, orders, name, rng) for name in _ADDED]
    frame = pd.concat([orders, *extras], ignore_index=True).sort_values("ordered_at", kind="stable", ignore_index=True)
    frame["order_id"] = [f"ORD-{number:07d}" for number in range(1, len(frame) + 1)]
    frame.loc[frame["fault"] == "missing_order_id", "order_id"] = None
    rows = pd.concat([frame, _copies(parameters, frame, rng)], ignore_index=True)
    return rows.sort_values("ingested_at", kind="stable", ignore_index=True)


def add_refund_faults(
    parameters: DemoParameters, refunds: pd.DataFrame, orders: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """All refund rows in the order of refunding, with `refund_id`; `orders` are the accepted ones with their ids."""
    orphans = refunds.sample(
        _count(parameters, "orphan_refund", len(refunds)), replace=True, random_state=rng
    ).reset_index(drop=True)
    orphans["order_id"] = [f"ORD-{9_000_001 + number}" for number in range(len(orphans))]
    untouched = orders[~orders["order_id"].isin(refunds["order_id"])]
    chosen = untouched.sample(_count(parameters, "refund_exceeds_order", len(refunds)), random_state=rng)
    refunded = seconds_of(chosen["ordered_at"]) + 900
    excess = refund_rows(chosen, np.ones(len(chosen)), refunded, rng)
    excess["refund_amount"] = 2 * chosen["total_amount"].to_numpy() + _EXTRA_CENTS
    parts = [
        refunds.assign(fault=ACCEPTED),
        orphans.assign(fault="orphan_refund"),
        excess.assign(fault="refund_exceeds_order"),
    ]
    rows = pd.concat(parts, ignore_index=True).sort_values("refunded_at", kind="stable", ignore_index=True)
    rows["refund_id"] = [f"REF-{number:06d}" for number in range(1, len(rows) + 1)]
    return rows


def add_subscription_faults(
    parameters: DemoParameters, periods: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """All periods in the order of their last change; each faulty one belongs to a subscription of its own."""
    if periods.empty:
        return periods
    faulty = pd.concat(
        [
            damage(periods.sample(_count(parameters, name, len(periods)), random_state=rng), rng).assign(fault=name)
            for name, damage in _DAMAGED_PERIODS.items()
        ]
    )
    faulty["subscription_id"] = [f"SUB-{90_001 + number}-1" for number in range(len(faulty))]
    faulty["subscription_period_id"] = faulty["subscription_id"] + "-01"
    rows = pd.concat([periods, faulty], ignore_index=True)
    return rows.sort_values(["updated_at", "subscription_period_id"], ignore_index=True)


def with_total(orders: pd.DataFrame) -> pd.DataFrame:
    """The orders with total = gross - discount + tax + shipping."""
    net = orders["gross_amount"] - orders["discount_amount"]
    return orders.assign(total_amount=net + orders["tax_amount"] + orders["shipping_amount"])


def _count(parameters: DemoParameters, name: str, base: int) -> int:
    rate: float = getattr(parameters.dirt, name)
    return max(1, round(rate * base))


def _extra_orders(
    parameters: DemoParameters, orders: pd.DataFrame, name: str, rng: np.random.Generator
) -> pd.DataFrame:
    template = orders.sample(_count(parameters, name, len(orders)), replace=True, random_state=rng)
    extra = template.assign(fault=name, ordered_at=template["ordered_at"] - _EARLIER)
    return with_total(_ADDED[name](extra, rng))


def _copies(parameters: DemoParameters, frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Second rows of orders: equal ones, older versions of another amount, and versions that contradict each other."""
    accepted = frame[frame["fault"] == ACCEPTED]
    equal = _count(parameters, "exact_duplicate", len(accepted))
    older = _count(parameters, "superseded_version", len(accepted))
    chosen = accepted.sample(equal + older, random_state=rng)
    old = chosen[equal:]
    placed = old["ordered_at"] + pd.Timedelta(minutes=1)
    old = old.assign(
        fault="superseded_version",
        order_status="placed",
        gross_amount=old["gross_amount"] + _EXTRA_CENTS,
        updated_at=placed,
        ingested_at=placed + pd.Timedelta(minutes=1),
    )
    rival = frame[frame["fault"] == "conflicting_version"]
    rival = rival.assign(gross_amount=rival["gross_amount"] + _EXTRA_CENTS)
    return pd.concat([chosen[:equal].assign(fault="exact_duplicate"), with_total(old), with_total(rival)])


def _anonymous(orders: pd.DataFrame, _rng: np.random.Generator) -> pd.DataFrame:
    return orders.assign(customer_id=np.full(len(orders), None, dtype=object))


def _test_order(orders: pd.DataFrame, _rng: np.random.Generator) -> pd.DataFrame:
    return orders.assign(is_test_order=True)


def _cancelled(orders: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    statuses = np.array(["cancelled", "voided", "failed"], dtype=object)
    return orders.assign(order_status=rng.choice(statuses, len(orders), p=[0.7, 0.1, 0.2]))


def _gift_card(orders: pd.DataFrame, _rng: np.random.Generator) -> pd.DataFrame:
    free = np.zeros(len(orders), dtype=np.int64)
    return orders.assign(is_gift_card_order=True, tax_amount=free, shipping_amount=free, cost_amount=free)


def _deleted(orders: pd.DataFrame, _rng: np.random.Generator) -> pd.DataFrame:
    return orders.assign(is_deleted=True)


def _unchanged(orders: pd.DataFrame, _rng: np.random.Generator) -> pd.DataFrame:
    return orders


def _negative_amount(orders: pd.DataFrame, _rng: np.random.Generator) -> pd.DataFrame:
    names = ["gross_amount", "discount_amount", "tax_amount", "shipping_amount", "cost_amount"]
    return orders.assign(**{name: -orders[name] for name in names})


def _unknown_currency(orders: pd.DataFrame, _rng: np.random.Generator) -> pd.DataFrame:
    return orders.assign(currency_code=UNKNOWN_CURRENCY)


def _implausible_date(orders: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return orders.assign(ordered_at=utc(rng.integers(0, 86_400, len(orders))))


def _ended_before_started(periods: pd.DataFrame, _rng: np.random.Generator) -> pd.DataFrame:
    ended = [day - _BEFORE_START for day in periods["started_date"]]
    return periods.assign(ended_date=pd.Series(ended, index=periods.index, dtype=object))


def _unknown_interval(periods: pd.DataFrame, _rng: np.random.Generator) -> pd.DataFrame:
    return periods.assign(billing_interval=UNKNOWN_INTERVAL)


_DAMAGED_PERIODS: dict[str, Fault] = {
    "ended_before_started": _ended_before_started,
    "unknown_interval": _unknown_interval,
}
# `missing_order_id` and `conflicting_version` are made when the ids are given and the second rows are added.
_ADDED: dict[str, Fault] = {
    "anonymous": _anonymous,
    "test_order": _test_order,
    "cancelled": _cancelled,
    "gift_card": _gift_card,
    "deleted": _deleted,
    "conflicting_version": _unchanged,
    "negative_amount": _negative_amount,
    "missing_order_id": _unchanged,
    "unknown_currency": _unknown_currency,
    "implausible_date": _implausible_date,
}
