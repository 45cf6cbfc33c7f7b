"""What became of input rows that give no value: the rows, those that broke a rule, and the account of all rows."""

from __future__ import annotations

from clv_lib.contracts.types import MONEY, MONEY_SUM, Field, Table

ORDERS = "orders"
REFUNDS = "refunds"
LINE_REFUNDS = "refund_lines"
"""Name under which the refunds made of negative order lines are accounted for."""

INPUT = "input"
ACCEPTED = "accepted"
"""What the sources held, and what became of rows that give value; every other disposition puts rows aside."""

NO_DAY = "1970-01-01"
"""Month of rows whose day cannot be read: a partition has to have one."""

_REASONS = "Every rule that the row broke."
_AMOUNT = Field("amount_original", MONEY, "Money of the row in its currency; NULL: unreadable.")
_CURRENCY = Field("currency_code", "string", "Currency of the row.")
_SOURCE = Field("source_name", "string", "Input: orders, refunds, ...", required=True)

_ALL_REFUNDS = (REFUNDS, LINE_REFUNDS)
_IS_ACCEPTED = f"disposition = '{ACCEPTED}'"
_IS_ASIDE = f"disposition not in ('{INPUT}', '{ACCEPTED}')"


def _sum(column: str, condition: str, *sources: str) -> str:
    """SQL of a sum over the account of some sources, whatever the currency."""
    listed = ", ".join(f"'{name}'" for name in sources)
    return f"coalesce(sum({column}) filter (where source_name in ({listed}) and {condition}), 0)"


ROWS_PUT_ASIDE = Table(
    name="rows_put_aside",
    layer="silver",
    grain="one row per row of orders and refunds that gives no order and no refund, with what became of it",
    key=(),
    partition_by=("source_name", "row_month"),
    may_be_empty=True,
    fields=(
        Field("source_name", "string", "orders, refunds, or refund_lines: refunds made of order lines.", required=True),
        Field("row_key", "string", "order_id of orders, refund_id of refunds; NULL: it has none."),
        Field("order_id", "string", "The order that the row is or names."),
        Field("customer_id", "string", "The customer that the row names."),
        Field("disposition", "string", "What became of the row: quarantined, anonymous, cancelled, ...", required=True),
        Field("reasons", "array<string>", _REASONS, required=True),
        _AMOUNT,
        _CURRENCY,
        Field("row_date", "date", "Day of the order or refund in reporting time; NULL: unreadable."),
        Field("payload", "string", "The row of the source as JSON, of quarantined rows only."),
        Field("row_month", "date", f"First day of the month of row_date; {NO_DAY}: unreadable.", required=True),
    ),
    measures={"rows": "count(1)"},
)

QUARANTINED_ROWS = Table(
    name="quarantined_rows",
    layer="gold",
    grain="one row per input row that broke a rule",
    key=(),
    partition_by=("snapshot_id",),
    may_be_empty=True,
    fields=(
        _SOURCE,
        Field("row_key", "string", "Key of the row in its source, as far as it has one."),
        Field("reasons", "array<string>", _REASONS, True, "size(reasons) > 0"),
        _AMOUNT,
        _CURRENCY,
        Field("payload", "string", "The row of the source as JSON.", required=True),
    ),
)

CONSERVATION = Table(
    name="conservation",
    layer="gold",
    grain="one row per source, currency and disposition: what became of every input row and its money",
    key=("source_name", "currency_code", "disposition"),
    partition_by=("snapshot_id",),
    fields=(
        _SOURCE,
        Field("currency_code", "string", "Currency of the rows; '?' where it cannot be read.", required=True),
        Field(
            "disposition",
            "string",
            "input, or what became of the rows: accepted, refund_line, quarantined, anonymous, ...",
            required=True,
        ),
        Field("row_count", "bigint", "Rows.", True, "row_count >= 0"),
        Field("amount", MONEY_SUM, "Their money in their currency; unreadable amounts count 0.", required=True),
    ),
    measures={
        "accepted_order_rows": _sum("row_count", _IS_ACCEPTED, ORDERS),
        "accepted_order_amounts": _sum("amount", _IS_ACCEPTED, ORDERS),
        "accepted_refunds": _sum("row_count", _IS_ACCEPTED, *_ALL_REFUNDS),
        "accepted_refund_amounts": _sum("amount", _IS_ACCEPTED, *_ALL_REFUNDS),
        "rows_put_aside": _sum("row_count", _IS_ASIDE, ORDERS, *_ALL_REFUNDS),
    },
)

INTAKE_TABLES: tuple[Table, ...] = (QUARANTINED_ROWS, CONSERVATION)
