"""Settings of recurring revenue: what of a subscription counts, and when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from clv_lib.settings import values as check
from clv_lib.settings.numbers import Count
from clv_lib.settings.segments import Section
from clv_lib.settings.sources import lower

SubscriptionStatus = Annotated[Literal["trialing", "active", "past_due", "paused", "unpaid"], BeforeValidator(lower)]


class Recurring(Section):
    """What counts as recurring revenue; the vendors of billing software differ in each of these."""

    paying_statuses: tuple[SubscriptionStatus, ...] = Field(
        default=("active", "past_due"),
        description="Statuses of a subscription period in which its charge counts; in the others it counts 0.",
    )
    subtract_discounts: bool = Field(default=True, description="Take discounts off; false: list prices count.")
    end_is_inclusive: bool = Field(
        default=False, description="ended_date is the last day of a period; false: the first day after it."
    )
    reactivation_window_months: Count | None = Field(
        default=None,
        description="Months without recurring revenue after which a returning customer is new again; none: never.",
    )
    minimum_lifetimes: Count = Field(
        default=30, description="With fewer lifetimes of subscribers than this in a segment no retention is fitted."
    )
    retention_counts_reactivated: bool = Field(
        default=False,
        description="Net and gross retention count customers of 12 months ago who had left in between and came back.",
    )

    @field_validator("paying_statuses")
    @classmethod
    def _named_once(cls, statuses: tuple[str, ...]) -> tuple[str, ...]:
        if not statuses or len(set(statuses)) < len(statuses):
            raise check.refusal("these are not statuses", expected="one or more statuses, each once")
        return statuses
