"""Churn and retention in a run: spells are counted in Spark, curves are drawn on the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.churn import CUSTOMER_SURVIVAL, ORDER_GAPS, SEGMENT_CHURN
from clv_lib.contracts.segments import SEGMENT_METRICS
from clv_lib.metrics.activity import spell_counts
from clv_lib.metrics.member_values import predicted_of_segments
from clv_lib.metrics.order_gaps import order_gaps, spells_by_segment
from clv_lib.metrics.segment_churn import segment_churn
from clv_lib.metrics.survival import customer_survival

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace


def write_churn(work: Workspace, activity: DataFrame, values: DataFrame) -> None:
    """Write order_gaps, customer_survival and segment_churn; segment_metrics must be there.

    `activity` are `activity_sums`, `values` are `member_values`. Collects three small tables: lengths of spells by
    segment, and two of one row per segment.
    """
    churn = work.settings.churn
    spells = spells_by_segment(spell_counts(activity).toPandas())
    probabilities = {row["segment_id"]: row for row in predicted_of_segments(values).collect()}
    latest = work.read(SEGMENT_METRICS).where("is_latest")
    columns = ("segment_id", "expected_lifetime_months", "lifetime_status")
    expected = {row["segment_id"]: row for row in latest.select(*(F.col(name) for name in columns)).collect()}
    gaps = order_gaps(spells, churn, work.as_of)
    lost = segment_churn(spells, gaps, probabilities, expected, churn, work.as_of)
    curves = customer_survival(spells, churn.confidence_level, work.as_of)
    work.write_all(
        *(
            (table, work.frame(table, [tuple(row[name] for name in table.own_columns) for row in rows]))
            for table, rows in ((ORDER_GAPS, gaps), (CUSTOMER_SURVIVAL, curves), (SEGMENT_CHURN, lost))
        )
    )
