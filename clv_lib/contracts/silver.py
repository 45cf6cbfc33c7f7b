"""The silver tables of orders: valid orders, refunds, and the additive state per customer and month."""

from __future__ import annotations

from clv_lib.contracts.put_aside import ROWS_PUT_ASIDE
from clv_lib.contracts.types import MONEY, MONEY_SUM, ComputedField, Field, Rule, Table

TRAILING_DAYS = (30, 90, 365)
"""Lengths of the trailing and of the first-days windows, in days."""

_CUSTOMER_BUCKET = Field(
    "customer_bucket",
    "int",
    "Hash of customer_id modulo silver.customer_buckets: with the month, what a refresh replaces at once.",
    True,
    "customer_bucket >= 0",
)
_BY_TIME = "over (partition by customer_id order by ordered_date, ordered_at, order_id)"

CUSTOMER_ORDERS = Table(
    name="customer_orders",
    layer="silver",
    grain="one row per valid order up to as_of",
    key=("order_id",),
    partition_by=("ordered_month", "customer_bucket"),
    fields=(
        Field("order_id", "string", "Identifies the order.", required=True),
        Field("customer_id", "string", "Who ordered.", required=True),
        Field(
            "order_number",
            "int",
            "1 for the customer's first order, by time, then order id.",
            True,
            "order_number >= 1",
        ),
        Field(
            "occasion_number",
            "int",
            "1 for the first day with orders; orders of a day share it.",
            True,
            "occasion_number >= 1",
        ),
        Field("is_first_order", "boolean", "order_number is 1.", required=True),
        Field(
            "days_since_previous_order",
            "int",
            "Days since the order before; NULL for the first.",
            check="days_since_previous_order >= 0",
        ),
        Field(
            "days_since_first_order",
            "int",
            "Days since the customer's first order.",
            True,
            "days_since_first_order >= 0",
        ),
        Field("cohort_month", "date", "First day of the month of the customer's first order.", required=True),
        Field(
            "months_since_first_order",
            "int",
            "Calendar months since cohort_month.",
            True,
            "months_since_first_order >= 0",
        ),
        Field("channel", "string", "Channel of the order; NULL: not known."),
        Field("gross_amount", MONEY, "Goods before discounts, reporting currency.", required=True),
        Field("discount_amount", MONEY, "Discounts, reporting currency.", required=True),
        Field(
            "refund_amount",
            MONEY,
            "Refunds up to as_of for this order, reporting currency.",
            True,
            "refund_amount >= 0",
        ),
        Field("net_amount", MONEY, "Goods after discounts and refunds, reporting currency.", required=True),
        Field("cost_amount", MONEY, "Cost of goods, fulfilment and fees, reporting currency; NULL: cost not known."),
        Field(
            "margin_amount",
            MONEY,
            "net_amount less cost_amount, plus the cost recovered by refunds; NULL: cost not known.",
        ),
        Field("cumulative_net_amount", MONEY_SUM, "net_amount of the customer's orders up to this one.", required=True),
        Field(
            "cumulative_margin_amount",
            MONEY_SUM,
            "Known margins of the customer's orders up to this one; NULL: none known.",
        ),
        *(
            Field(
                f"net_amount_{d}d", MONEY_SUM, f"net_amount of the {d} days that end with the day of this order.", True
            )
            for d in TRAILING_DAYS
        ),
        *(
            Field(f"order_count_{d}d", "bigint", f"Orders in the {d} days that end with the day of this order.", True)
            for d in TRAILING_DAYS
        ),
        Field("currency_code", "string", "Currency of the order.", required=True),
        Field(
            "net_amount_original",
            MONEY,
            "Goods after discounts, before refunds, currency of the order.",
            True,
            "net_amount_original >= 0",
        ),
        Field(
            "source_row_count",
            "bigint",
            "Rows of the source that make up the order: its lines, or 1.",
            True,
            "source_row_count >= 1",
        ),
        Field("ordered_date", "date", "Day of the order in reporting time.", required=True),
        Field("ordered_at", "timestamp", "Instant of the order (UTC).", required=True),
        Field("ordered_month", "date", "First day of the month of ordered_date.", required=True),
        _CUSTOMER_BUCKET,
    ),
    computed_on_read=(
        ComputedField(
            "days_until_next_order",
            "int",
            "Days until the customer's next order; NULL: none yet (open gap).",
            f"datediff(lead(ordered_date) {_BY_TIME}, ordered_date)",
        ),
        ComputedField(
            "is_latest_order",
            "boolean",
            "No later order of the customer is known at as_of.",
            f"lead(order_id) {_BY_TIME} is null",
        ),
    ),
    rules=(
        Rule("first_order_has_number_1", "is_first_order = (order_number = 1)", "is_first_order marks order_number 1"),
        Rule(
            "net_is_gross_less_discount_and_refund",
            "abs(net_amount - (gross_amount - discount_amount - refund_amount)) <= 0.0002",
            "net = gross - discount - refund",
        ),
        Rule(
            "running_value_starts_at_value",
            "not is_first_order or cumulative_net_amount = net_amount",
            "the running value of a first order is its own",
        ),
    ),
    measures={
        "net": "sum(net_amount)",
        "refunds": "sum(refund_amount)",
        "orders": "count(1)",
        "customers": "count_if(is_first_order)",
        "source_rows": "coalesce(sum(source_row_count), 0)",
        "original_amounts": "coalesce(sum(net_amount_original), 0)",
    },
)

CUSTOMER_REFUNDS = Table(
    name="customer_refunds",
    layer="silver",
    grain="one row per valid refund up to as_of",
    key=("refund_id",),
    partition_by=("refunded_month", "customer_bucket"),
    may_be_empty=True,
    fields=(
        Field("refund_id", "string", "Identifies the refund.", required=True),
        Field("order_id", "string", "The refunded order.", required=True),
        Field("customer_id", "string", "Who was refunded.", required=True),
        Field(
            "attribution",
            "string",
            "order_id: named by the source; latest_order: the customer's latest order before.",
            True,
            "attribution in ('order_id', 'latest_order')",
        ),
        Field("ordered_date", "date", "Day of the refunded order in reporting time.", required=True),
        Field("refund_amount", MONEY, "Reporting currency, positive.", True, "refund_amount >= 0"),
        Field("cost_recovered_amount", MONEY, "Reporting currency.", required=True),
        Field("currency_code", "string", "Currency of the refund.", required=True),
        Field("refund_amount_original", MONEY, "Currency of the refund.", True, "refund_amount_original >= 0"),
        Field("refunded_date", "date", "Day of the refund in reporting time.", required=True),
        Field("refunded_at", "timestamp", "Instant of the refund (UTC).", required=True),
        Field("refunded_month", "date", "First day of the month of refunded_date.", required=True),
        _CUSTOMER_BUCKET,
    ),
    measures={
        "refunds": "coalesce(sum(refund_amount), 0)",
        "refund_count": "count(1)",
        "original_amounts": "coalesce(sum(refund_amount_original), 0)",
    },
)

CUSTOMER_MONTHS = Table(
    name="customer_months",
    layer="silver",
    grain="one row per customer and calendar month with an order or a refund; every fact adds up over months",
    key=("customer_id", "month"),
    partition_by=("month", "customer_bucket"),
    fields=(
        Field("customer_id", "string", "The customer.", required=True),
        Field("month", "date", "First day of the month.", required=True),
        Field("order_count", "bigint", "Orders.", True, "order_count >= 0"),
        Field(
            "active_day_count",
            "bigint",
            "Days with at least one order (purchase occasions).",
            True,
            "active_day_count >= 0",
        ),
        Field(
            "refunded_order_count",
            "bigint",
            "Orders of the month that were refunded in part or whole.",
            True,
            "refunded_order_count >= 0",
        ),
        Field("gross_amount", MONEY_SUM, "Goods before discounts.", required=True),
        Field("discount_amount", MONEY_SUM, "Discounts.", required=True),
        Field("refund_amount", MONEY_SUM, "Refunds of the orders of this month, whenever paid back.", required=True),
        Field(
            "refund_by_refund_date_amount",
            MONEY_SUM,
            "Refunds paid back in this month, whatever they refund.",
            required=True,
        ),
        Field("net_amount", MONEY_SUM, "Goods after discounts and refunds of these orders.", required=True),
        Field("margin_amount", MONEY_SUM, "Sum of the known margins.", required=True),
        Field(
            "margin_order_count",
            "bigint",
            "Orders whose margin is known.",
            True,
            "margin_order_count between 0 and order_count",
        ),
        Field("first_ordered_date", "date", "First day with an order in the month; NULL: refunds only."),
        Field("last_ordered_date", "date", "Last day with an order in the month; NULL: refunds only."),
        Field(
            "first_day_net_amount",
            MONEY_SUM,
            "net_amount of the customer's first day ever, 0 in other months.",
            required=True,
        ),
        Field(
            "first_day_margin_amount",
            MONEY_SUM,
            "Known margin of the customer's first day ever, 0 in other months.",
            required=True,
        ),
        *(
            Field(
                f"net_amount_first_{d}d",
                MONEY_SUM,
                f"net_amount of orders within {d} days from the first (day 0 to {d - 1}).",
                True,
            )
            for d in TRAILING_DAYS
        ),
        Field(
            "longest_gap_days",
            "int",
            "Most days from one day with orders to the next of this month; 31 or more always precede its first.",
            check="longest_gap_days >= 1",
        ),
        Field("first_order_channel", "string", "Channel of the customer's first order, in its month only."),
        _CUSTOMER_BUCKET,
    ),
    rules=(
        Rule("days_up_to_orders", "active_day_count <= order_count", "no more active days than orders"),
        Rule(
            "dates_within_month",
            "coalesce(trunc(first_ordered_date, 'month') = month and trunc(last_ordered_date, 'month') = month"
            " and first_ordered_date <= last_ordered_date, order_count = 0)",
            "first and last day lie in the month, in order",
        ),
    ),
    measures={
        "net": "sum(net_amount)",
        "orders": "sum(order_count)",
        "refunds": "sum(refund_amount)",
        "refunds_by_refund_date": "sum(refund_by_refund_date_amount)",
    },
)

STATE_TABLES: tuple[Table, ...] = (CUSTOMER_ORDERS, CUSTOMER_REFUNDS, CUSTOMER_MONTHS, ROWS_PUT_ASIDE)
