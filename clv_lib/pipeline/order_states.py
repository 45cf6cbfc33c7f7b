"""Orders and refunds: judged, and written to silver as a whole; a refresh judges a part by the same functions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clv_lib.contracts.put_aside import ACCEPTED, LINE_REFUNDS, ORDERS, REFUNDS, ROWS_PUT_ASIDE
from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS, CUSTOMER_REFUNDS
from clv_lib.errors import ContractError
from clv_lib.orders import refunds as refunding
from clv_lib.orders.currency import normalised_currency
from clv_lib.orders.disposition import repeated_ids
from clv_lib.orders.history import customer_orders
from clv_lib.orders.intake import (
    LINE_KEY,
    ORDER_KEY,
    in_reporting_currency,
    judged_orders,
    with_line_dispositions,
    with_order_dispositions,
)
from clv_lib.orders.lines import contradictory_orders, orders_of_lines, refunds_of_lines
from clv_lib.orders.months import customer_months
from clv_lib.orders.put_aside import rows_put_aside

if TYPE_CHECKING:
    from clv_lib.contracts.types import Table
    from clv_lib.pipeline.workspace import Workspace


@dataclass(frozen=True)
class JudgedOrders:
    """Rows of the source with dispositions, and the orders that they make: of lines only accepted ones."""

    rows: DataFrame
    orders: DataFrame

    @property
    def accepted(self) -> DataFrame:
        """Accepted orders in the reporting currency."""
        return in_reporting_currency(self.orders.where(F.col("disposition") == ACCEPTED))


@dataclass(frozen=True)
class JudgedRefunds:
    """Refunds with their orders and dispositions, by the name under which they are accounted for."""

    parts: dict[str, DataFrame]

    def accepted(self, work: Workspace) -> DataFrame:
        """Contract `customer_refunds`."""
        if not self.parts:
            return work.frame(CUSTOMER_REFUNDS)
        columns = list(self.parts.values())[-1].columns
        rows = union([part.select(*columns) for part in self.parts.values()])
        return refunding.customer_refunds(rows, work.settings.silver.customer_buckets)


def is_by_line(work: Workspace) -> bool:
    """Whether the rows of the source are order lines."""
    return work.settings.sources.orders.grain == "line"


def has_refunds(work: Workspace) -> bool:
    """Whether there can be refunds: of a source of their own, or of negative lines."""
    return REFUNDS in work.sources or is_by_line(work)


def required_orders(work: Workspace) -> DataFrame:
    """The mapped rows of the source orders."""
    mapped = work.mapped(ORDERS)
    if mapped is None:
        raise ContractError("no orders", where="sources.orders", next_step="configure the source orders")
    return mapped


def judge_orders(work: Workspace, mapped: DataFrame, rates: DataFrame | None) -> JudgedOrders:
    """Mapped rows with one disposition each, kept; all rows of an id must be among them."""
    is_line = is_by_line(work)
    repeated = work.keep_any(repeated_ids(mapped, LINE_KEY if is_line else ORDER_KEY))
    judged = judged_orders(mapped, rates, work.settings, work.as_of, is_line=is_line)
    if not is_line:
        rows = work.keep(with_order_dispositions(judged, repeated, work.settings, work.as_of))
        return JudgedOrders(rows, rows)
    contradictory = work.keep_any(contradictory_orders(normalised_currency(mapped)))
    rows = work.keep(with_line_dispositions(judged, repeated, contradictory, work.settings, work.as_of))
    return JudgedOrders(rows, orders_of_lines(rows).withColumn("disposition", F.lit(ACCEPTED)))


def judge_refunds(
    work: Workspace, mapped: DataFrame | None, lines: DataFrame, index: DataFrame, rates: DataFrame | None
) -> JudgedRefunds:
    """Refunds of the source and of negative lines with dispositions, kept; `index` holds the orders they may name."""
    parts: dict[str, DataFrame] = {}
    if mapped is not None:
        repeated = work.keep_any(repeated_ids(mapped, refunding.REFUND_KEY))
        judged = refunding.judged_refunds(mapped, rates, work.settings, work.as_of)
        resolved = work.keep(refunding.resolved_refunds(judged, repeated))
        found = refunding.with_order(resolved, index, fall_back=False)
        parts[REFUNDS] = work.keep(refunding.with_refund_dispositions(found, work.as_of))
    if is_by_line(work):
        made = work.keep(refunds_of_lines(lines).withColumn("version_disposition", F.lit(None).cast("string")))
        found = refunding.with_order(made, index, fall_back=True)
        parts[LINE_REFUNDS] = work.keep(refunding.with_refund_dispositions(found, work.as_of))
    return JudgedRefunds(parts)


def rebuild(work: Workspace, rates: DataFrame | None) -> Workspace:
    """Write customer_refunds, customer_orders, customer_months and rows_put_aside anew from the whole sources."""
    mapped, refunds = required_orders(work), work.mapped(REFUNDS)
    orders = judge_orders(work, mapped, rates)
    refuse_no_rows(work, orders.rows)
    judged = judge_refunds(work, refunds, orders.rows, refunding.order_index(orders.orders), rates)
    # With one bucket a month is large enough for some files, and may be too large for one task.
    filed = one_file_each if work.settings.silver.customer_buckets > 1 else in_order
    work = work.write_state(CUSTOMER_REFUNDS, filed(judged.accepted(work), CUSTOMER_REFUNDS))
    stored_refunds = work.read(CUSTOMER_REFUNDS) if judged.parts else None
    valued = refunding.with_refunds(orders.accepted, stored_refunds)
    ordered = customer_orders(valued, work.settings.silver.customer_buckets)
    work = work.write_state(CUSTOMER_ORDERS, in_order(ordered, CUSTOMER_ORDERS))
    months = customer_months(work.read(CUSTOMER_ORDERS), work.read(CUSTOMER_REFUNDS))
    work = work.write_state(CUSTOMER_MONTHS, filed(months, CUSTOMER_MONTHS))
    return work.write_state(ROWS_PUT_ASIDE, put_aside(orders, judged))


def in_order(rows: DataFrame, table: Table) -> DataFrame:
    """Each task's rows by partition of the table, so that it writes one file at a time. Grain: kept."""
    return rows.sortWithinPartitions(*table.partition_by)


def one_file_each(rows: DataFrame, table: Table) -> DataFrame:
    """The rows of a partition of the table in one task, so that it becomes one file. Grain: kept.

    What is grouped by customer lies in all tasks, and each would write a file for each month and bucket.
    """
    return in_order(rows.repartition(*table.partition_by), table)


def put_aside(orders: JudgedOrders, refunds: JudgedRefunds) -> DataFrame:
    """Contract `rows_put_aside` of what was judged."""
    return union(
        [
            rows_put_aside(orders.rows, ORDERS, ORDER_KEY, "net_amount", "ordered_date"),
            *(
                rows_put_aside(part, name, refunding.REFUND_KEY, "refund_amount", "refunded_date")
                for name, part in refunds.parts.items()
            ),
        ]
    )


def refuse_no_rows(work: Workspace, rows: DataFrame) -> None:
    """ContractError for a source without rows, unless that is meant."""
    if not work.settings.gate.allow_empty and rows.isEmpty():
        raise ContractError(
            "the source orders has no rows",
            where=f"sources.orders: {work.sources[ORDERS].source.table}",
            expected="at least one row",
            next_step="check the table and sources.orders.filter; gate.allow_empty publishes empty tables on purpose",
        )


def union(frames: list[DataFrame]) -> DataFrame:
    """The rows of frames with the same columns."""
    return reduce(DataFrame.unionByName, frames)
