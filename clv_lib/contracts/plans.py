"""The input contract of plans: how many new customers are to come, and for how much."""

from __future__ import annotations

from clv_lib.contracts.types import MONEY, InputContract, InputField

PLANS = InputContract(
    name="plans",
    grain="one row per month and segment, or per month: what is planned of new customers",
    without="no new customers are planned, so forecasts hold existing customers alone",
    key=("period_month", "segment_id"),
    fields=(
        InputField("period_month", "date", "A day of the month in which the customers shall order first.", True),
        InputField(
            "channel", "string", "Acquisition channel, spelled as in customers and orders: segment channel:NAME."
        ),
        InputField(
            "segment_id", "string", "Another segment, as TYPE:NAME; NULL or all, without a channel too: all customers."
        ),
        InputField("planned_new_customers", MONEY, "Customers with their first order in the month.", True),
        InputField("planned_spend_amount", MONEY, "Planned cost of acquisition in the reporting currency."),
    ),
)
