"""The account of the rows of orders and refunds: what `totals` adds up to `conservation`.

After a rebuild it is counted from whole tables. A refresh goes on from the account of the run before, so that it costs
what was replaced; the audit compares the result with what the whole tables hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.put_aside import ACCEPTED, CONSERVATION, INPUT, LINE_REFUNDS, ORDERS, REFUNDS, ROWS_PUT_ASIDE
from clv_lib.contracts.silver import CUSTOMER_ORDERS, CUSTOMER_REFUNDS
from clv_lib.orders import refresh as concern
from clv_lib.orders.currency import normalised_currency
from clv_lib.orders.disposition import counted
from clv_lib.orders.lines import LINE_REFUND_ENDING
from clv_lib.orders.put_aside import counted_aside, refunds_in_lines
from clv_lib.pipeline.order_states import is_by_line, required_orders
from clv_lib.pipeline.replacing import rows_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace
    from clv_lib.runs import Run

COUNTED_TABLES = (ROWS_PUT_ASIDE, CUSTOMER_ORDERS, CUSTOMER_REFUNDS)
"""The silver tables in which each row of orders and refunds lies once, whatever became of it."""


def whole_account(work: Workspace) -> list[DataFrame]:
    """What the sources hold, and what became of it as it is stored."""
    held = [counted(normalised_currency(required_orders(work)), ORDERS, "net_amount", F.lit(INPUT))]
    refunds = work.mapped(REFUNDS)
    if refunds is not None:
        held.append(counted(normalised_currency(refunds), REFUNDS, "refund_amount", F.lit(INPUT)))
    stored = {table.name: work.read(table) for table in COUNTED_TABLES}
    return [*held, *_refunds_of_lines(work), *_counted(work, stored)]


def account_since(work: Workspace, base: Run, changes: Mapping[str, DataFrame]) -> list[DataFrame]:
    """The account of the run before, with `changes` of sources, and replaced partitions counted anew.

    `changes` are `net_changes` by source.
    """
    stored = work.lake.read_snapshot(CONSERVATION, base.run_id)
    is_of_orders = F.col("source_name").isin([*concern.SOURCES, LINE_REFUNDS])
    is_of_lines = (F.col("source_name") == LINE_REFUNDS) & (F.col("disposition") == INPUT)
    came_and_went = [concern.counted_changes(rows, name) for name, rows in changes.items()]
    are, were = (_counted(work, _replaced(work, run.silver_versions)) for run in (work.run, base))
    known = stored.where(is_of_orders & ~is_of_lines)
    return [known, *came_and_went, *_refunds_of_lines(work), *are, *(concern.taken_away(rows) for rows in were)]


def _replaced(work: Workspace, versions: Mapping[str, int]) -> dict[str, DataFrame]:
    """Rows of the partitions that the run replaced, as they are in some versions of their tables, by table."""
    return {
        table.name: rows_in(work.lake.read_state(table, versions[table.name]), table, work.replaced[table.name])
        for table in COUNTED_TABLES
        if table.name in work.replaced
    }


def _counted(work: Workspace, stored: Mapping[str, DataFrame]) -> list[DataFrame]:
    """What became of rows of orders and refunds, by rows of some COUNTED_TABLES, by table."""
    accepted = F.lit(ACCEPTED)
    is_made = F.col("refund_id").endswith(LINE_REFUND_ENDING) & F.lit(is_by_line(work))
    source = F.when(is_made, LINE_REFUNDS).otherwise(REFUNDS)
    orders, refunds = ("net_amount_original", accepted, F.col("source_row_count")), ("refund_amount_original", accepted)
    count: dict[str, Callable[[DataFrame], DataFrame]] = {
        ROWS_PUT_ASIDE.name: counted_aside,
        CUSTOMER_ORDERS.name: lambda rows: counted(rows, ORDERS, *orders),
        CUSTOMER_REFUNDS.name: lambda rows: counted(rows, source, *refunds),
    }
    return [count[name](rows) for name, rows in stored.items()]


def _refunds_of_lines(work: Workspace) -> list[DataFrame]:
    """The refunds that lines make, as what the orders hold of them; none where the rows are whole orders."""
    return [refunds_in_lines(work.read(ROWS_PUT_ASIDE))] if is_by_line(work) else []
