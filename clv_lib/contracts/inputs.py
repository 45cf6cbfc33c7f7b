"""The input contract: what each source may be mapped to, and the row rules that send an input row to quarantine."""

from __future__ import annotations

from clv_lib.contracts.acquisitions import CUSTOMER_ACQUISITIONS, credit_rules
from clv_lib.contracts.attributes import CUSTOMER_ATTRIBUTES, CUSTOMER_ATTRIBUTES_HISTORY
from clv_lib.contracts.columns import within
from clv_lib.contracts.experiments import EXPERIMENT_ASSIGNMENTS
from clv_lib.contracts.plans import PLANS
from clv_lib.contracts.subscriptions import BILLING_INTERVALS, SUBSCRIPTION_STATUSES, SUBSCRIPTIONS
from clv_lib.contracts.types import MONEY, InputContract, InputField, Rule


def _money(name: str, meaning: str, *defaults: str) -> InputField:
    return InputField(name, MONEY, meaning, defaults=defaults)


ORDERS = InputContract(
    name="orders",
    grain="one row per order version (grain: order) or per order line (grain: line)",
    key=("order_id", "updated_at"),
    one_of=(("net_amount", "gross_amount"),),
    fields=(
        InputField("order_id", "string", "Identifies the order.", required=True),
        InputField("customer_id", "string", "Who ordered; NULL or blank is an anonymous order.", required=True),
        InputField("ordered_at", "timestamp", "When it was ordered; without a zone: reporting time.", required=True),
        InputField("order_line_id", "string", "Identifies the line, where the grain is line; enables de-duplication."),
        _money("gross_amount", "Goods before discounts, without tax.", "net_amount + discount_amount"),
        _money("discount_amount", "Discounts, positive.", "gross_amount - net_amount", "0"),
        _money("net_amount", "Goods after discounts, before refunds, without tax.", "gross_amount - discount_amount"),
        _money("tax_amount", "Tax, not part of revenue."),
        _money("shipping_amount", "Shipping charged, not part of revenue."),
        _money("total_amount", "What was charged: gross - discount + tax + shipping."),
        _money("cost_amount", "Cost of the goods; NULL: not known, so no margin."),
        _money("fulfilment_cost_amount", "Cost of picking and shipping.", "0"),
        _money("payment_fee_amount", "Fees of the payment provider.", "0"),
        InputField("currency_code", "string", "ISO 4217 code; unmapped: the reporting currency."),
        InputField(
            "order_status", "string", "placed, paid, fulfilled, cancelled, voided, failed, ...", defaults=("'placed'",)
        ),
        InputField("channel", "string", "Sales or marketing channel of the order."),
        InputField("is_test_order", "boolean", "Made by staff for testing.", defaults=("false",)),
        InputField("is_gift_card_order", "boolean", "Sells a gift card: money to be spent later.", defaults=("false",)),
        InputField("is_deleted", "boolean", "Deleted in the source.", defaults=("false",)),
        InputField("updated_at", "timestamp", "When this version was written; the newest version counts."),
    ),
)

REFUNDS = InputContract(
    name="refunds",
    grain="one row per refund",
    without="no refunds are known, so values are before refunds",
    key=("refund_id",),
    one_of=(("order_id", "customer_id"),),
    fields=(
        InputField("refund_id", "string", "Identifies the refund.", required=True),
        InputField("order_id", "string", "The refunded order; NULL: the customer's latest order before the refund."),
        InputField("customer_id", "string", "Who was refunded; needed where order_id is NULL."),
        InputField("refund_amount", MONEY, "What was paid back, positive, without tax.", required=True),
        InputField(
            "cost_recovered_amount", MONEY, "Cost of goods that came back into stock; NULL: none.", defaults=("0",)
        ),
        InputField("refunded_at", "timestamp", "When it was paid back.", required=True),
        InputField("currency_code", "string", "ISO 4217 code; unmapped: the reporting currency."),
        InputField("is_deleted", "boolean", "Deleted in the source.", defaults=("false",)),
    ),
)

CUSTOMERS = InputContract(
    name="customers",
    grain="one row per customer; of several the newest counts",
    without="no attributes are known; acquisition channels come from the first order alone",
    key=("customer_id",),
    fields=(
        InputField("customer_id", "string", "Identifies the customer.", required=True),
        *(InputField(name, "string", f"Attribute {name.replace('_', ' ')}.") for name in CUSTOMER_ATTRIBUTES),
        InputField("updated_at", "timestamp", "When this row was written."),
    ),
)

MARKETING_SPEND = InputContract(
    name="marketing_spend",
    grain="one row per booking of spend",
    without="no spend is known, so CAC and what depends on it is NULL with status spend_missing",
    key=("spend_id",),
    fields=(
        InputField("spend_id", "string", "Identifies the booking; unmapped: rows are taken as they are."),
        InputField("spend_date", "date", "Day that the spend belongs to.", required=True),
        InputField("channel", "string", "Acquisition channel, spelled as in customers and orders.", required=True),
        InputField("spend_amount", MONEY, "Money spent.", required=True),
        InputField("campaign_name", "string", "Campaign, spelled as in customers."),
        InputField(
            "segment_id",
            "string",
            "Segment that all of it was spent on, such as customer_type:b2b; NULL: allocated by new customers.",
        ),
        InputField("cost_type", "string", "media, agency, tool, salary, discount, other.", defaults=("'media'",)),
        InputField("spend_purpose", "string", "acquisition, retention, brand.", defaults=("'acquisition'",)),
        InputField(
            "is_paid", "boolean", "Paid media; decides what paid CAC counts.", defaults=("lower(cost_type) = 'media'",)
        ),
        InputField("currency_code", "string", "ISO 4217 code; unmapped: the reporting currency."),
    ),
)

EXCHANGE_RATES = InputContract(
    name="exchange_rates",
    grain="one row per day and pair of currencies",
    without="orders in other currencies than the reporting currency are quarantined",
    key=("rate_date", "from_currency_code", "to_currency_code"),
    fields=(
        InputField("rate_date", "date", "Day of the rate.", required=True),
        InputField("from_currency_code", "string", "ISO 4217 code that is converted.", required=True),
        InputField("to_currency_code", "string", "ISO 4217 code that results.", required=True),
        InputField("rate", "decimal(28,12)", "One unit of `from` in units of `to`.", required=True),
    ),
)

CONTRACTS: dict[str, InputContract] = {
    contract.name: contract
    for contract in (
        ORDERS,
        REFUNDS,
        CUSTOMERS,
        CUSTOMER_ATTRIBUTES_HISTORY,
        MARKETING_SPEND,
        CUSTOMER_ACQUISITIONS,
        SUBSCRIPTIONS,
        PLANS,
        EXPERIMENT_ASSIGNMENTS,
        EXCHANGE_RATES,
    )
}

_CURRENCY = Rule("unknown_currency", r"currency_code rlike '\\A[A-Z]{3}\\z'", "the currency is a three-letter code")
NO_EXCHANGE_RATE = "no_exchange_rate"
_TOO_LARGE, _TOO_EARLY = "amount_too_large", "before_earliest_date"
_SETTINGS = {
    _TOO_LARGE: "orders.max_amount",
    _TOO_EARLY: "orders.earliest_date",
    NO_EXCHANGE_RATE: "sources.exchange_rates and orders.max_rate_age_days",
}
"""Where the user draws the line of a rule, by its name."""

_RATE = Rule(
    NO_EXCHANGE_RATE, "exchange_rate is not null", "the currency has a rate for the day, within the allowed age"
)


def counted_reason(reason: str, rows: int) -> str:
    """How many rows broke a rule, in words, with the setting that draws the line where the user draws it."""
    setting = _SETTINGS.get(reason)
    return f"{reason} {rows:,}" + (f" (see {setting})" if setting else "")


def _clean_key(reason: str, column: str) -> Rule:
    """A key may not hold control or zero-width characters: it would look equal to another and be different."""
    printable = rf"{column} is null or not ({column} rlike '[\\p{{Cntrl}}\\u200B-\\u200F\\u2060\\uFEFF]')"
    return Rule(reason, printable, f"{column} has only printable characters")


def order_rules(earliest_date: str, max_amount: int) -> tuple[Rule, ...]:
    """Rules of one order (or order line) row; a broken rule's name is the reason in quarantine."""
    money = ("gross_amount", "discount_amount", "cost_amount", "fulfilment_cost_amount", "payment_fee_amount")
    return (
        Rule("null_order_id", "order_id is not null", "the order has an id"),
        _clean_key("unprintable_order_id", "order_id"),
        _clean_key("unprintable_customer_id", "customer_id"),
        Rule("unreadable_ordered_at", "ordered_at is not null", "the time of the order can be read"),
        Rule(
            _TOO_EARLY,
            f"ordered_date is null or ordered_date >= date'{earliest_date}'",
            f"the order is not before {earliest_date}",
        ),
        Rule("unreadable_amount", "net_amount is not null", "the amount is a number that fits decimal(18,4)"),
        Rule(
            _TOO_LARGE,
            " and ".join(f"coalesce(abs({column}), 0) <= {max_amount}" for column in ("net_amount", *money)),
            f"no amount is above {max_amount}",
        ),
        Rule(
            "net_mismatch",
            "net_amount is null or gross_amount is null or discount_amount is null"
            " or abs(net_amount - (gross_amount - discount_amount)) <= 0.01",
            "net = gross - discount, within 0.01",
        ),
        Rule("negative_discount", "coalesce(discount_amount, 0) >= 0 or net_amount < 0", "a discount is not negative"),
        Rule(
            "total_mismatch",
            "total_amount is null or tax_amount is null or shipping_amount is null or net_amount is null"
            " or abs(total_amount - (net_amount + tax_amount + shipping_amount)) <= 0.01",
            "total = gross - discount + tax + shipping, within 0.01",
        ),
        _CURRENCY,
        _RATE,
    )


NEGATIVE_ORDER = Rule(
    "negative_amount", "net_amount is null or net_amount >= 0", "a sale is not negative: refunds are refunds"
)


def refund_rules(earliest_date: str, max_amount: int) -> tuple[Rule, ...]:
    """Rules of one refund row that need no order."""
    return (
        Rule("null_refund_id", "refund_id is not null", "the refund has an id"),
        Rule(
            "no_order_or_customer",
            "order_id is not null or customer_id is not null",
            "the refund names order or customer",
        ),
        Rule("unreadable_refunded_at", "refunded_at is not null", "the time of the refund can be read"),
        Rule(
            _TOO_EARLY,
            f"refunded_date is null or refunded_date >= date'{earliest_date}'",
            f"the refund is not before {earliest_date}",
        ),
        Rule("unreadable_amount", "refund_amount is not null", "the amount is a number that fits decimal(18,4)"),
        Rule("negative_refund", "refund_amount is null or refund_amount >= 0", "refunds are positive amounts"),
        Rule(_TOO_LARGE, f"coalesce(refund_amount, 0) <= {max_amount}", f"no amount is above {max_amount}"),
        _CURRENCY,
        _RATE,
    )


def spend_rules(earliest_date: str, max_amount: int) -> tuple[Rule, ...]:
    """Rules of one booking of marketing spend."""
    return (
        Rule("unreadable_spend_date", "spend_date is not null", "the day of the spend can be read"),
        Rule(
            _TOO_EARLY,
            f"spend_date is null or spend_date >= date'{earliest_date}'",
            f"the spend is not before {earliest_date}",
        ),
        Rule("null_channel", "channel is not null", "the spend names its channel"),
        Rule("unreadable_amount", "spend_amount is not null", "the amount is a number that fits decimal(18,4)"),
        Rule("negative_spend", "spend_amount is null or spend_amount >= 0", "spend is not negative"),
        Rule(_TOO_LARGE, f"coalesce(spend_amount, 0) <= {max_amount}", f"no amount is above {max_amount}"),
        _CURRENCY,
        _RATE,
    )


def acquisition_rules() -> tuple[Rule, ...]:
    """Rules of one row of customer_acquisitions by itself."""
    return credit_rules(_clean_key("unprintable_customer_id", "customer_id"))


def subscription_rules(earliest_date: str, max_amount: int) -> tuple[Rule, ...]:
    """Rules of one subscription period by itself; `PERIODS_TOGETHER` are those that need the other periods."""
    return (
        Rule("null_subscription_period_id", "subscription_period_id is not null", "the period has an id"),
        _clean_key("unprintable_subscription_period_id", "subscription_period_id"),
        Rule("null_subscription_id", "subscription_id is not null", "the period names its subscription"),
        Rule("null_customer_id", "customer_id is not null", "the period names its customer"),
        _clean_key("unprintable_customer_id", "customer_id"),
        Rule("unreadable_started_date", "started_date is not null", "the first day can be read"),
        Rule(
            _TOO_EARLY,
            f"started_date is null or started_date >= date'{earliest_date}'",
            f"the period does not start before {earliest_date}",
        ),
        Rule(
            "ended_before_started",
            "started_date is null or ended_date is null or ended_date >= started_date",
            "a period does not end before it starts",
        ),
        Rule("unknown_interval", within("billing_interval", BILLING_INTERVALS), "the interval is one that is known"),
        Rule(
            "bad_interval_count",
            "billing_interval_count between 1 and 1000 and billing_interval_count = floor(billing_interval_count)",
            "the count of intervals is a whole number from 1 to 1000",
        ),
        Rule("unknown_status", within("status", SUBSCRIPTION_STATUSES), "the status is one that is known"),
        Rule("unreadable_amount", "recurring_amount is not null", "the amount is a number that fits decimal(18,4)"),
        Rule("negative_amount", "recurring_amount is null or recurring_amount >= 0", "a charge is not negative"),
        Rule(_TOO_LARGE, f"coalesce(recurring_amount, 0) <= {max_amount}", f"no amount is above {max_amount}"),
        Rule("negative_discount", "coalesce(discount_amount, 0) >= 0", "a discount is not negative"),
        Rule(
            "discount_above_amount",
            "recurring_amount is null or coalesce(discount_amount, 0) <= greatest(recurring_amount, 0)",
            "a discount is not more than the charge",
        ),
        _CURRENCY,
    )


PERIODS_TOGETHER: tuple[Rule, ...] = (
    Rule("overlapping_periods", "not is_overlapping", "periods of one subscription do not overlap"),
    Rule(NO_EXCHANGE_RATE, "exchange_rate is not null", "the day of the customer's first period has a rate"),
)
