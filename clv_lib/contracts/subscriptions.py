"""Subscriptions: the input contract, the intervals and statuses of its rows, and the periods that count."""

from __future__ import annotations

from clv_lib.contracts.columns import status, within
from clv_lib.contracts.types import MONEY, MONEY_SUM, Field, InputContract, InputField, Table

BILLING_INTERVALS = ("day", "week", "month", "year")
SUBSCRIPTION_STATUSES = ("trialing", "active", "past_due", "paused", "unpaid", "canceled")

SUBSCRIPTIONS = InputContract(
    name="subscriptions",
    grain="one row per unchanged period of a subscription; its periods do not overlap",
    without="no contracts are known, so the tables of recurring revenue are empty",
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

CHURN_TYPES = ("voluntary", "involuntary", "unknown")

SUBSCRIPTION_PERIODS = Table(
    name="subscription_periods",
    layer="silver",
    grain="one row per valid period of a subscription that started up to as_of",
    key=("subscription_period_id",),
    may_be_empty=True,
    fields=(
        Field("subscription_period_id", "string", "Identifies the period.", required=True),
        Field("subscription_id", "string", "The subscription.", required=True),
        Field("customer_id", "string", "Who subscribed.", required=True),
        Field("plan_id", "string", "The plan; NULL: not known."),
        status("status", "What held during the period; a trial is trialing.", *SUBSCRIPTION_STATUSES),
        Field("is_paying", "boolean", "Its status is one of recurring.paying_statuses.", required=True),
        Field(
            "mrr_amount",
            MONEY_SUM,
            "Charge per month of 1/12 year in the reporting currency, 0 unless is_paying.",
            True,
            "mrr_amount >= 0",
        ),
        Field("currency_code", "string", "Currency of the charge.", required=True),
        Field(
            "exchange_rate",
            "decimal(28,12)",
            "Rate of the day on which the customer's first period in this currency started.",
            required=True,
        ),
        Field("recurring_amount_original", MONEY, "Charge per bill in its currency, before discounts.", required=True),
        Field("cancellation_type", "string", "NULL: not known.", check=within("cancellation_type", CHURN_TYPES[:2])),
        Field("cancellation_reason", "string", "NULL: not known."),
        Field("started_date", "date", "First day.", required=True),
        Field(
            "ended_date", "date", "First day after it; NULL: not ended at as_of.", check="ended_date >= started_date"
        ),
    ),
    measures={"mrr_now": "coalesce(sum(case when ended_date is null then mrr_amount end), 0)"},
)
