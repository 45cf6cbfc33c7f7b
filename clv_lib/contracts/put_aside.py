"""What became of input rows that give no value: the rows, those that broke a rule, and the account of all rows."""

from __future__ import annotations

from clv_lib.contracts.types import MONEY, MONEY_SUM, Field, Table

NO_DAY = "1970-01-01"
"""Month of rows whose day cannot be read: a partition has to have one."""

_REASONS = "Every rule that the row broke."
_AMOUNT = Field("amount_original", MONEY, "Money of the row in its currency; NULL: unreadable.")
_CURRENCY = Field("currency_code", "string", "Currency of the row.")
_SOURCE = Field("source_name", "string", "Input: orders, refunds, ...", required=True)

_SOURCES_OF = {"orders": "'orders'", "refunds": "'refunds', 'refund_lines'"}
_PUT_ASIDE = "disposition not in ('input', 'accepted')"


def _of(sources: str, column: str, condition: str) -> str:
    """SQL of a sum over the account of orders, or of refunds whatever they are made of; currencies are added up."""
    chosen = f"source_name in ({_SOURCES_OF[sources]}) and {condition}"
    return f"coalesce(sum({column}) filter (where {chosen}), 0)"


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
        "accepted_order_rows": _of("orders", "row_count", "disposition = 'accepted'"),
        "accepted_order_amounts": _of("orders", "amount", "disposition = 'accepted'"),
        "accepted_refunds": _of("refunds", "row_count", "disposition = 'accepted'"),
        "accepted_refund_amounts": _of("refunds", "amount", "disposition = 'accepted'"),
        "rows_put_aside": _of("orders", "row_count", _PUT_ASIDE) + " + " + _of("refunds", "row_count", _PUT_ASIDE),
    },
)

INTAKE_TABLES: tuple[Table, ...] = (QUARANTINED_ROWS, CONSERVATION)
