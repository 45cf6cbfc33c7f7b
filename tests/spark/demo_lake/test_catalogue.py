"""The published definitions of metrics are SQL that gives the published figures again, for segments taken together."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.lake import register_views

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARTS = {
    "segment_metrics": ("segment_type", "segment_type", "period_month"),
    "mrr_metrics": ("segment_type", "segment_type", "period_month"),
    "contract_retention": ("segment_type", "segment_type", "period_month"),
    "segment_concentration": ("segment_type", "segment_type", "as_of_date"),
    "cohort_metrics": ("segment_type", "segment_type", "cohort_month, months_since_first_order"),
    "acquisition_costs": ("level", "level", "period_month, cac_type, attribution_model, lag_months"),
    "unit_economics": ("level", "level", "cohort_month, cac_type"),
}
"""Per table: the column that is `all` in the whole, what its parts are grouped by, and what is compared alone."""


@pytest.mark.parametrize("table", PARTS)
def test_definitions_give_the_whole_from_its_parts(spark: SparkSession, published: Any, table: str) -> None:
    register_views(published.demo.lake, published.outcome.publication)
    metrics = spark.table("metric_definitions").where(f"table_name = '{table}' and aggregation = 'quotient'").collect()
    column, group, alone = PARTS[table]
    names = [metric.metric_name for metric in metrics]
    figures = ", ".join(f"try_divide({m.numerator_sql}, {m.denominator_sql}) as of_{m.metric_name}" for m in metrics)
    rows = spark.sql(
        f"with parts as (select {alone}, {group} as kind, {figures} from {table} where {column} <> 'all'"
        f" group by {alone}, kind)"
        f" select kind, {', '.join(f'{name}, of_{name}' for name in names)} from parts"
        f" join (select {alone}, {', '.join(names)} from {table} where {column} = 'all') using ({alone})"
    ).collect()
    for name in names:
        known = [(row[name], row[f"of_{name}"]) for row in rows if row[name] is not None]
        assert known, f"{name} is NULL everywhere"
        assert all(abs(whole - Decimal(added)) <= Decimal("0.000001") for whole, added in known), name
