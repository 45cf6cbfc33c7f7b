"""Sources whose customers are not those of the orders: most often the same ids, written otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clv_lib.contracts.customers import CUSTOMER_METRICS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace


def note_nobody_known(work: Workspace, source: str, what: str) -> None:
    """Tell the user that nothing in a source fits a customer with orders, and what to look at."""
    work.progress.note(
        f"{what}. If they should have, customer_id of the source is written otherwise than that of orders: map both to"
        f" the same text (sources.{source}.columns.customer_id)"
    )


def note_strangers(work: Workspace, source: str, rows: DataFrame) -> None:
    """Note a source that has rows, but none of a customer with orders. `rows` have `customer_id`; one or two jobs."""
    known = rows.join(work.read(CUSTOMER_METRICS).select("customer_id"), "customer_id", "left_semi")
    if known.isEmpty() and not rows.isEmpty():
        note_nobody_known(work, source, f"{source}: none of its customers has an order")
