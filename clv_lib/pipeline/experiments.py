"""Experiments in a run: assignments are judged in the intake, and compared in a step of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.customers import CUSTOMER_METRICS
from clv_lib.contracts.experiments import EXPERIMENT_ASSIGNMENTS, EXPERIMENT_RESULTS, METRICS
from clv_lib.contracts.segments import CUSTOMER_SEGMENTS
from clv_lib.contracts.silver import CUSTOMER_MONTHS
from clv_lib.customers.metrics import CONTRIBUTION_MARGIN, NET_REVENUE
from clv_lib.experiments.assignments import accountable_assignments, assigned_customers, judged_assignments
from clv_lib.experiments.cells import (
    compared_months,
    experiment_cells,
    experiments_without_orders,
    unaffected_types,
)
from clv_lib.experiments.results import result_rows
from clv_lib.pipeline.attributes import attribute_columns
from clv_lib.pipeline.strangers import note_strangers
from clv_lib.segments.definitions import present_segment_types

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace

SOURCE = EXPERIMENT_ASSIGNMENTS.name


def assignment_inputs(work: Workspace) -> DataFrame | None:
    """Rows of the source experiment_assignments as they are accounted for; None without such a source."""
    mapped = work.mapped(SOURCE)
    return None if mapped is None else accountable_assignments(mapped, work.settings.reporting.currency)


def experiments(work: Workspace) -> Workspace:
    """Write experiment_results, without rows if there is no such source; margin is compared where costs are known."""
    inputs, settings = assignment_inputs(work), work.settings.experiments
    results: list[tuple[object, ...]] = []
    if inputs is not None:
        types = present_segment_types(work.settings.segments, attribute_columns(work))
        assigned = work.keep(assigned_customers(judged_assignments(inputs, work.settings, work.as_of)))
        cells = experiment_cells(
            assigned,
            _compared(work, assigned),
            work.read(CUSTOMER_METRICS),
            work.read(CUSTOMER_SEGMENTS),
            unaffected_types(types),
            settings.outcome_months,
            work.as_of,
        )
        rows = [row.asDict() for row in cells.collect()]
        for name, customers in experiments_without_orders(rows).items():
            what = f"experiment {name}: none of its {customers:,} customers ordered in the compared months"
            note_strangers(work, SOURCE, what)
        metrics = METRICS if work.run.value_basis == CONTRIBUTION_MARGIN else (NET_REVENUE,)
        results = result_rows(rows, metrics, settings, work.as_of)
    work.write(EXPERIMENT_RESULTS, work.frame(EXPERIMENT_RESULTS, results))
    return work


def _compared(work: Workspace, assigned: DataFrame) -> DataFrame:
    """The months before and after the assignments: partitions of customer_months, and few of them."""
    days = assigned.agg(F.min("assigned_date").alias("first"), F.max("assigned_date").alias("last")).collect()[0]
    months = work.read(CUSTOMER_MONTHS)
    if days["first"] is None:
        return months.limit(0)
    first, last = compared_months(days["first"], days["last"], work.settings.experiments.outcome_months)
    return months.where(F.col("month").between(first, last))
