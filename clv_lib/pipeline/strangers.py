"""Sources whose customers are not those of the orders: most often the same ids, written otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clv_lib.pipeline.workspace import Workspace


def note_strangers(work: Workspace, source: str, what: str) -> None:
    """Tell the user what showed that nothing in a source fits a customer with orders, and what to look at."""
    work.progress.note(
        f"{what}. If that is not so, customer_id of the source is written otherwise than that of orders: map both to"
        f" the same text (sources.{source}.columns.customer_id)"
    )
