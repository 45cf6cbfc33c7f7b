"""Stored tables of two workspaces compared: of a run and its reproduction, of a refresh and a rebuild."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from clv_lib.lake import reported
from clv_lib.quality.comparison import Comparison, compared, comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clv_lib.contracts.types import Table
    from clv_lib.pipeline.workspace import Workspace

_COMPARED_AT_A_TIME = 3


def compare(before: Workspace, after: Workspace, tables: Sequence[Table]) -> list[Comparison]:
    """Tables as each workspace has them, compared some at a time; LakeError if one cannot be read."""

    def one(table: Table) -> Comparison:
        with reported(before.lake.place(table), "compared"):
            row = compared(before.read(table), after.read(table), table).collect()[0]
        return comparison(table, row.asDict())

    with ThreadPoolExecutor(max_workers=_COMPARED_AT_A_TIME) as pool:
        return list(pool.map(one, tables))
