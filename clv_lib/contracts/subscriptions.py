"""The input contract of subscriptions, and the intervals and statuses that its rows may have."""

from __future__ import annotations

from clv_lib.contracts.types import MONEY, InputContract, InputField

BILLING_INTERVALS = ("day", "week", "month", "year")
SUBSCRIPTION_STATUSES = ("trialing", "active", "past_due", "paused", "unpaid", "canceled")

SUBSCRIPTIONS = InputContract(
    name="subscriptions",
    grain="one row per unchanged period of a subscription; its periods do not overlap",
    key=("subscription_period_id", "updated_at"),
    fields=(
        InputField("subscription_period_id", "string", "Identifies the period.", required=True),
        InputField(
            "subscription_id",
            "string",
            "The subscription; of several items at once, the item. Unmapped: each period is one of its own.",
            defaults=("subscription_period_id",),
        ),
        InputField("customer_id", "string", "Who subscribed, spelled as in orders.", required=True),
        InputField("plan_id", "string", "The plan; a change of plan is a new period."),
        InputField("billing_interval", "string", "day, week, month or year.", required=True),
        InputField(
            "billing_interval_count", "decimal(18,4)", "Intervals per bill: 3 months, 2 weeks.", defaults=("1",)
        ),
        InputField("currency_code", "string", "ISO 4217 code; unmapped: the reporting currency."),
        InputField(
            "recurring_amount",
            MONEY,
            "Charge per bill for all units, before discounts, without tax, usage and one-off charges.",
            required=True,
        ),
        InputField(
            "discount_amount",
            MONEY,
            "Discount per bill, positive; a discount that ends is a new period.",
            defaults=("0",),
        ),
        InputField("quantity", "decimal(18,4)", "Units; recurring_amount is for all of them.", defaults=("1",)),
        InputField(
            "status",
            "string",
            f"What held during the period: {', '.join(SUBSCRIPTION_STATUSES)}.",
            defaults=("'active'",),
        ),
        InputField("is_trial", "boolean", "The period is a trial, whatever its status.", defaults=("false",)),
        InputField("cancellation_type", "string", "voluntary or involuntary, where the period was ended for good."),
        InputField("cancellation_reason", "string", "Why it was ended."),
        InputField("started_date", "date", "First day of the period.", required=True),
        InputField(
            "ended_date",
            "date",
            "First day after the period (see recurring.end_is_inclusive); NULL: open.",
            required=True,
        ),
        InputField("updated_at", "timestamp", "When this version was written; the newest version counts."),
    ),
)
