"""Subscriptions of the demo: each life is drawn month by month and written down as periods; money in cents."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clv_lib.demo.orders import ACCEPTED, customer_ids, utc
from clv_lib.demo.parameters import DemoParameters, Plan
from clv_lib.demo.purchases import IntArray, type_of
from clv_lib.periods import add_months, month_end, month_start

SUBSCRIPTION_AMOUNTS = ("recurring_amount", "discount_amount")

_STREAM = 1
_SUBSCRIBING_TYPE = "b2b"
_FIRST_WAIT_DAYS = (7, 91)
_SEATS = (2, 13)
_MORE_SEATS = 2
_OVERDUE_DAYS = 14
_PAUSE_MONTHS = (1, 4)
_AWAY_MONTHS = (2, 7)
_UPDATED_AT_SECONDS = 5 * 3600
_CANCELLATION_REASONS = {
    "voluntary": ("too_expensive", "no_longer_needed", "missing_features", "other_provider"),
    "involuntary": ("card_expired", "payment_failed"),
}
PERIOD_COLUMNS = (
    "subscription_period_id",
    "subscription_id",
    "customer_id",
    "plan_id",
    "billing_interval",
    "currency_code",
    *SUBSCRIPTION_AMOUNTS,
    "quantity",
    "status",
    "cancellation_type",
    "cancellation_reason",
    "started_date",
    "ended_date",
)


def subscription_stream(parameters: DemoParameters) -> np.random.Generator:
    """Random numbers of their own, so that subscriptions change no other table of the same seed."""
    return np.random.default_rng((parameters.seed, _STREAM))


def make_subscriptions(
    parameters: DemoParameters, customers: pd.DataFrame, first_ordered: IntArray, rng: np.random.Generator
) -> pd.DataFrame:
    """One row per unchanged period up to as_of, by subscription; `ended_date` is the first day after it, None: open.

    `first_ordered` are seconds since 1970, one per customer. A paying subscriber is exposed to the rates from the month
    after the one in which paying began, so cancellations per month at risk have exactly its `churn_rate`, a column of
    the truth that is not handed over. Yearly plans are no exception: they can be left in any month.
    """
    first_days = first_ordered.astype("datetime64[s]").astype("datetime64[D]")
    ids = customer_ids(len(customers))
    lives = [
        _drawn_life(parameters, str(ids[index]), first_days[index].astype(dt.date), rng)
        for index in _subscribers(parameters, customers, first_days, rng).tolist()
    ]
    periods = [{**period, "churn_rate": life.churn_rate} for life in lives for period in life.periods]
    frame = pd.DataFrame(periods, columns=[*PERIOD_COLUMNS, "churn_rate"], dtype=object)
    days = [period["ended_date"] or period["started_date"] for period in periods]
    midnight = np.array(days, dtype="datetime64[s]").astype(np.int64)
    return frame.assign(
        quantity=frame["quantity"].astype(np.int32), updated_at=utc(midnight + _UPDATED_AT_SECONDS), fault=ACCEPTED
    )


def _subscribers(
    parameters: DemoParameters,
    customers: pd.DataFrame,
    first_days: npt.NDArray[np.datetime64],
    rng: np.random.Generator,
) -> IntArray:
    """Who subscribes, in the order of customers: companies first, each with time to start before as_of."""
    rates = parameters.subscriptions
    is_company = np.array([kind.name == _SUBSCRIBING_TYPE for kind in type_of(parameters, customers)], dtype=np.bool_)
    is_known = first_days + np.timedelta64(_FIRST_WAIT_DAYS[1], "D") <= np.datetime64(parameters.as_of, "D")
    wanted = max(rates.minimum_subscribers, round(rates.subscriber_share * int(is_company.sum())))
    in_turn = [rng.permutation(np.flatnonzero(is_known & is_next)) for is_next in (is_company, ~is_company)]
    return np.sort(np.concatenate(in_turn)[:wanted])


@dataclass
class _Life:
    """The subscriptions of one customer while they are drawn: the terms of now, and the periods so far."""

    parameters: DemoParameters
    customer_id: str
    plan: int
    seats: int
    discount_rate: float
    churn_rate: float
    rng: np.random.Generator
    subscription: int = 1
    periods: list[dict[str, Any]] = field(default_factory=list)

    @property
    def plans(self) -> tuple[Plan, ...]:
        return self.parameters.subscriptions.plans

    def begin(self, day: dt.date, status: str = "active") -> None:
        """Add an open period of the present terms."""
        plan = self.plans[self.plan]
        charge = round(100 * plan.unit_amount) * self.seats
        subscription_id = f"SUB-{self.customer_id[1:]}-{self.subscription}"
        values = (
            f"{subscription_id}-{len(self.periods) + 1:02d}",
            subscription_id,
            self.customer_id,
            plan.name,
            plan.billing_interval,
            self.parameters.reporting_currency,
            charge,
            round(charge * self.discount_rate),
            self.seats,
            status,
            None,
            None,
            day,
            None,
        )
        self.periods.append(dict(zip(PERIOD_COLUMNS, values, strict=True)))

    def end(self, day: dt.date, kind: str | None = None, reason: str | None = None) -> None:
        """End the open period; `day` is the first one after it."""
        self.periods[-1].update(ended_date=day, cancellation_type=kind, cancellation_reason=reason)

    def day_in(self, month: dt.date) -> dt.date:
        """Any day of the month."""
        return month + dt.timedelta(days=int(self.rng.integers(0, month_end(month).day)))

    def is_seen(self, day: dt.date) -> bool:
        """The day is not after as_of."""
        return day <= self.parameters.as_of


def _drawn_life(
    parameters: DemoParameters, customer_id: str, first_ordered: dt.date, rng: np.random.Generator
) -> _Life:
    rates = parameters.subscriptions
    discount_rate = rates.discount_rate if rng.random() < rates.discount_share else 0.0
    plan, seats = int(rng.integers(0, len(rates.plans))), int(rng.integers(*_SEATS))
    life = _Life(parameters, customer_id, plan, seats, discount_rate, _churn_rate(parameters, rng), rng)
    start = first_ordered + dt.timedelta(days=int(rng.integers(*_FIRST_WAIT_DAYS)))
    paying_from = _after_trial(life, start) if rng.random() < rates.trial_share else start
    while paying_from is not None:
        paying_from = _paid_until_break(life, paying_from)
    return life


def _churn_rate(parameters: DemoParameters, rng: np.random.Generator) -> float:
    """The subscriber's own chance to end the subscription within a month."""
    rates = parameters.subscriptions
    mean, concentration = rates.monthly_churn_rate, rates.churn_concentration
    return mean if concentration is None else float(rng.beta(mean * concentration, (1 - mean) * concentration))


def _after_trial(life: _Life, start: dt.date) -> dt.date | None:
    """The day on which a trial becomes a paid subscription; None if it does not, or not up to as_of."""
    rates = life.parameters.subscriptions
    life.begin(start, "trialing")
    end = start + dt.timedelta(days=rates.trial_days)
    is_left = life.rng.random() < rates.unconverted_trial_share
    if not life.is_seen(end):
        return None
    if is_left:
        life.end(end, "voluntary", "trial_not_converted")
        return None
    life.end(end)
    return end


def _paid_until_break(life: _Life, paying_from: dt.date) -> dt.date | None:
    """Draw the months in which the customer pays; the day on which paying begins again, None if not up to as_of."""
    rates = life.parameters.subscriptions
    of_mean = life.churn_rate / rates.monthly_churn_rate
    chances = {
        "voluntary": rates.voluntary_churn_rate * of_mean,
        "involuntary": rates.involuntary_churn_rate * of_mean,
        "pause": rates.pause_rate,
        "upgrade": rates.upgrade_rate,
        "downgrade": rates.downgrade_rate,
    }
    names, steps = list(chances), np.cumsum(list(chances.values()))
    life.begin(paying_from)
    month = add_months(month_start(paying_from), 1)
    while life.is_seen(month):
        struck = int(np.searchsorted(steps, life.rng.random(), side="right"))
        day = life.day_in(month)
        if struck < len(names) and life.is_seen(day):
            event = names[struck]
            if event in _CANCELLATION_REASONS:
                return _cancelled(life, day, event)
            if event == "pause":
                return _paused(life, day)
            _change_terms(life, day, event)
        month = add_months(month, 1)
    return None


def _cancelled(life: _Life, day: dt.date, kind: str) -> dt.date | None:
    """End the subscription, an unpaid one after two weeks of reminders; the day of the customer's return if any."""
    overdue = day - dt.timedelta(days=_OVERDUE_DAYS)
    if kind == "involuntary" and overdue > life.periods[-1]["started_date"]:
        life.end(overdue)
        life.begin(overdue, "past_due")
    reasons = _CANCELLATION_REASONS[kind]
    life.end(day, kind, reasons[int(life.rng.integers(0, len(reasons)))])
    back = life.day_in(add_months(month_start(day), int(life.rng.integers(*_AWAY_MONTHS))))
    returns = life.rng.random() < life.parameters.subscriptions.return_share
    if not returns or not life.is_seen(back):
        return None
    life.subscription += 1
    return back


def _paused(life: _Life, day: dt.date) -> dt.date | None:
    life.end(day)
    life.begin(day, "paused")
    back = life.day_in(add_months(month_start(day), int(life.rng.integers(*_PAUSE_MONTHS))))
    if not life.is_seen(back):
        return None
    life.end(back)
    return back


def _change_terms(life: _Life, day: dt.date, event: str) -> None:
    """The next larger or smaller plan; beyond the last one more seats or one less, and a single seat stays."""
    plan, seats = life.plan + (1 if event == "upgrade" else -1), life.seats
    if not 0 <= plan < len(life.plans):
        plan, seats = life.plan, (seats + _MORE_SEATS if event == "upgrade" else max(1, seats - 1))
    if (plan, seats) == (life.plan, life.seats):
        return
    life.plan, life.seats = plan, seats
    life.end(day)
    life.begin(day)
