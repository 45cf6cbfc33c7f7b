"""Periods of subscriptions: judged, converted, and their charges expressed per month."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from clv_lib.contracts.inputs import PERIODS_TOGETHER, subscription_rules
from clv_lib.contracts.put_aside import ACCEPTED
from clv_lib.contracts.subscriptions import CHURN_TYPES, SUBSCRIPTION_PERIODS
from clv_lib.contracts.types import MONEY, MONEY_SUM
from clv_lib.orders.currency import converted, normalised_currency, with_exchange_rate
from clv_lib.orders.disposition import (
    QUARANTINED,
    with_broken_rules,
    with_competition,
    with_disposition,
    with_versions_resolved,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from clv_lib.settings.models import Settings
    from clv_lib.settings.recurring import Recurring

PERIOD_KEY = "subscription_period_id"

_PER_MONTH = {"day": (1461, 48), "week": (13, 3), "month": (1, 1), "year": (1, 12)}
"""Intervals in a month, as a fraction: 365.25 / 12 days, 52 / 12 weeks, 1/12 of a year."""

_FOR_EVER = dt.date(9999, 12, 31)
_WORKING = ("version_disposition", "competes", "is_candidate", "is_overlapping", "rate_date")


def judged_periods(mapped: DataFrame, settings: Settings, as_of: dt.date) -> DataFrame:
    """Mapped periods in one spelling, with the rules broken by the row itself in `reasons`, and `competes`.

    Grain: kept. `ended_date` becomes the first day after the period, `status` of a trial `trialing`.
    """
    rules = subscription_rules(settings.orders.earliest_date.isoformat(), int(settings.orders.max_amount))
    judged = with_broken_rules(_normalised(mapped, settings.recurring.end_is_inclusive), rules)
    return with_competition(judged, "started_date", as_of)


def _normalised(mapped: DataFrame, end_is_inclusive: bool) -> DataFrame:
    written = F.lower(F.trim("status"))
    said = F.when(written == "cancelled", "canceled").otherwise(written)
    kind = F.lower(F.trim("cancellation_type"))
    return normalised_currency(mapped).withColumns(
        {
            "billing_interval": F.lower(F.trim("billing_interval")),
            "status": F.when(F.coalesce("is_trial", F.lit(False)), "trialing").otherwise(said),
            "cancellation_type": F.when(kind.isin(*CHURN_TYPES[:2]), kind),
            "ended_date": F.date_add("ended_date", 1 if end_is_inclusive else 0),
        }
    )


def with_period_dispositions(
    judged: DataFrame, repeated: DataFrame | None, rates: DataFrame | None, currency: str, as_of: dt.date
) -> DataFrame:
    """Judged periods with one `disposition` each, and `exchange_rate`. Grain: kept.

    Overlapping periods of one subscription contradict each other, so none of them counts. All periods of a customer in
    one currency are converted at the rate of the day on which the first of them started: exchange rates alone then
    never move a customer's MRR. `repeated` are hashes from `repeated_ids`, None if there are none.
    """
    resolved = with_versions_resolved(judged, PERIOD_KEY, repeated)
    candidate = F.col("competes") & F.col("version_disposition").isNull()
    placed = _with_rate_date(_with_overlaps(resolved.withColumn("is_candidate", candidate)))
    rated = with_exchange_rate(placed, rates, "rate_date", currency)
    own = (
        F.when(F.col("started_date") > F.lit(as_of), "after_as_of")
        .when(F.size("reasons") > 0, QUARANTINED)
        .otherwise(ACCEPTED)
    )
    judged_together = _with_rules_of_candidates(rated)
    return with_disposition(judged_together, F.coalesce("version_disposition", own)).drop(*_WORKING)


def _with_overlaps(periods: DataFrame) -> DataFrame:
    """Add `is_overlapping`: another candidate of the subscription has a day in common. Empty periods have no day."""
    end = F.coalesce("ended_date", F.lit(_FOR_EVER))
    has_days = F.col("is_candidate") & (end > F.col("started_date"))
    in_order = Window.partitionBy("subscription_id", has_days).orderBy("started_date", PERIOD_KEY)
    before = in_order.rowsBetween(Window.unboundedPreceding, -1)
    begins_early = F.max(end).over(before) > F.col("started_date")
    ends_late = F.lead("started_date").over(in_order) < end
    overlapping = F.coalesce(begins_early, F.lit(False)) | F.coalesce(ends_late, F.lit(False))
    return periods.withColumn("is_overlapping", has_days & overlapping)


def _with_rate_date(periods: DataFrame) -> DataFrame:
    """Add `rate_date`: the day on which the customer's first sound period in the currency started."""
    sound = F.col("is_candidate") & ~F.col("is_overlapping")
    first = F.min(F.when(sound, F.col("started_date"))).over(Window.partitionBy("customer_id", "currency_code"))
    return periods.withColumn("rate_date", F.coalesce(first, F.col("started_date")))


def _with_rules_of_candidates(periods: DataFrame) -> DataFrame:
    """The rules that need other periods, for the rows that could count; `reasons` of the others stay."""
    own = periods.withColumnRenamed("reasons", "own_reasons")
    together = with_broken_rules(own, PERIODS_TOGETHER)
    reasons = F.when(F.col("is_candidate"), F.col("reasons")).otherwise(F.col("own_reasons"))
    return together.withColumn("reasons", reasons).drop("own_reasons")


def subscription_periods(periods: DataFrame, recurring: Recurring, as_of: dt.date) -> DataFrame:
    """The accepted periods as contract `subscription_periods`. Grain: period.

    The charge is converted and then expressed per month, each rounded half up to 4 decimals. An end after as_of is not
    known yet: the period is open.
    """
    accepted = periods.where(F.col("disposition") == ACCEPTED)
    discount = F.coalesce("discount_amount", F.lit(0)) if recurring.subtract_discounts else F.lit(0)
    charged = accepted.withColumn("charge_amount", (F.col("recurring_amount") - discount).cast(MONEY))
    figures = {
        "is_paying": F.col("status").isin(list(recurring.paying_statuses)),
        "recurring_amount_original": F.col("recurring_amount"),
        "mrr_amount": _mrr_amount(recurring.paying_statuses),
        "ended_date": F.when(F.col("ended_date") <= F.lit(as_of), F.col("ended_date")),
    }
    return charged.withColumns(figures).select(*SUBSCRIPTION_PERIODS.columns)


def _mrr_amount(paying_statuses: Sequence[str]) -> Column:
    monthly = per_month(converted("charge_amount"), F.col("billing_interval"), F.col("billing_interval_count"))
    return F.when(F.col("status").isin(list(paying_statuses)), monthly).otherwise(F.lit(0)).cast(MONEY_SUM)


def per_month(amount: Column, interval: Column, interval_count: Column) -> Column:
    """The amount per month of 1/12 year, rounded half up to 4 decimals; NULL for an interval that is not known.

    The quotient has 14 decimals: with at most 1000 intervals none that is not a tie can look like one.
    """
    units = {name: F.lit(part).cast("decimal(4,0)") for name, (part, _) in _PER_MONTH.items()}
    parts = {name: F.lit(whole).cast("decimal(2,0)") for name, (_, whole) in _PER_MONTH.items()}
    divisor = (_by_interval(parts, interval) * interval_count.cast("decimal(4,0)")).cast("decimal(9,0)")
    return F.round(F.try_divide(amount.cast(MONEY) * _by_interval(units, interval), divisor), 4).cast(MONEY_SUM)


def _by_interval(values: dict[str, Column], interval: Column) -> Column:
    (first, value), *others = values.items()
    return reduce(lambda chosen, one: chosen.when(interval == one[0], one[1]), others, F.when(interval == first, value))
