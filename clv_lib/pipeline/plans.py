"""The source plans in a run: read whole, and refused where it cannot be used."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from clv_lib.forecasting.plans import MOST_ROWS, PlannedMonth, planned_months

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace

SOURCE = "plans"


def read_plan(work: Workspace) -> list[PlannedMonth]:
    """The plan of the months to come; empty without the source. ContractError if it cannot be used."""
    mapped = work.mapped(SOURCE)
    return [] if mapped is None else plan_after(mapped, work.as_of, work.sources[SOURCE].source.table)


def plan_after(plans: DataFrame, as_of: dt.date, table: str) -> list[PlannedMonth]:
    """`planned_months` of the mapped rows of a table, on the driver."""
    rows = plans.drop("source_row").limit(MOST_ROWS + 1).collect()
    return planned_months([row.asDict() for row in rows], as_of, f"sources.{SOURCE}: {table}")
