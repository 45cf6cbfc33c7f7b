"""The published definitions of metrics are SQL that gives the published figures again: of each row, and of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from clv_lib.contracts import GOLD_TABLES, TABLES
from clv_lib.lake import register_views

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

METRIC_TABLES = [table.name for table in GOLD_TABLES if table.metrics]


class Parts(NamedTuple):
    """What adds up to the whole: the column that is `all` in the whole, kinds of parts, and what is compared alone.

    The parts of each kind add up to the whole, but for the metrics in `of_parts_alone`.
    """

    column: str
    kind: str
    alone: str
    of_parts_alone: tuple[str, ...] = ()


PARTS = {
    "segment_metrics": Parts("segment_type", "segment_type", "period_month"),
    "mrr_metrics": Parts("segment_type", "segment_type", "period_month"),
    "contract_retention": Parts("segment_type", "segment_type", "period_month"),
    "segment_concentration": Parts("segment_type", "segment_type", "as_of_date"),
    "cohort_metrics": Parts("segment_type", "segment_type", "cohort_month, months_since_first_order"),
    "segment_churn": Parts("segment_type", "segment_type", "as_of_date", ("quantile_rule_churned_share",)),
    "acquisition_costs": Parts("level", "level", "period_month, cac_type, attribution_model, lag_months"),
    "unit_economics": Parts("level", "level", "cohort_month, cac_type"),
    "marketing_budgets": Parts("channel", "'channel'", "period_month"),
}

WITHOUT_WHOLE = {
    "order_gaps": "each segment is judged by its own days, the whole by others",
    "retention_budgets": "each segment has an uplift of its own, the whole another one",
    "experiment_results": "segments that are too small for a result are hidden from the sums",
    "churn_reasons": "months are added up, and no row holds several",
}
"""Tables whose sums over rows are figures of these rows, but of no row that is published."""


def test_every_table_with_metrics_is_taken_together_or_says_why_not() -> None:
    assert set(PARTS) | set(WITHOUT_WHOLE) == set(METRIC_TABLES)
    assert not set(PARTS) & set(WITHOUT_WHOLE)


@pytest.fixture
def views(spark: SparkSession, published: Any) -> SparkSession:
    """The session with a view of every published table."""
    register_views(published.demo.lake, published.outcome.publication)
    return spark


def quotients(views: SparkSession, table: str) -> list[Row]:
    """The catalogue's rows of a table's quotients: all that its contract declares."""
    rows = views.table("metric_definitions").where(f"table_name = '{table}' and aggregation = 'quotient'").collect()
    assert {row.metric_name for row in rows} == {metric.name for metric in TABLES[table].metrics}
    return rows


def figures(metrics: Sequence[Row]) -> str:
    """Each metric of a group of rows as `of_<name>`, by the catalogue; NULL unless it is defined in all of them."""
    return ", ".join(
        f"if(bool_and({metric.defined_when_sql or 'true'}),"
        f" try_divide({metric.numerator_sql}, {metric.denominator_sql}), null) as of_{metric.metric_name}"
        for metric in metrics
    )


@pytest.mark.parametrize("table", METRIC_TABLES)
def test_definitions_give_each_row_again(views: SparkSession, table: str) -> None:
    """NULL where the figure is, and nowhere else."""
    metrics, key = quotients(views, table), ", ".join(TABLES[table].key)
    names = [metric.metric_name for metric in metrics]
    wrong = (
        f"count_if(({name} is null) <> (of_{name} is null) or abs({name} - of_{name}) > 0.000001) as wrong_{name}"
        for name in names
    )
    known = (f"count({name}) as known_{name}" for name in names)
    row = views.sql(
        f"with again as (select {key}, {figures(metrics)} from {table} group by {key})"
        f" select {', '.join((*wrong, *known))} from {table} join again using ({key})"
    ).collect()[0]
    assert {name: row[f"wrong_{name}"] for name in names} == dict.fromkeys(names, 0)
    assert min(row[f"known_{name}"] for name in names) > 0, "a figure is NULL everywhere"


@pytest.mark.parametrize("table", PARTS)
def test_definitions_give_the_whole_from_its_parts(views: SparkSession, table: str) -> None:
    column, kind, alone, of_parts_alone = PARTS[table]
    metrics = [metric for metric in quotients(views, table) if metric.metric_name not in of_parts_alone]
    names = [metric.metric_name for metric in metrics]
    counts = ", ".join(
        f"count({name}) as known_{name}, count(if(abs({name} - of_{name}) <= 0.000001, 1, null)) as same_{name}"
        for name in names
    )
    row = views.sql(
        f"with parts as (select {alone}, {kind} as kind, {figures(metrics)} from {table} where {column} <> 'all'"
        f" group by {alone}, kind)"
        f" select {counts} from parts"
        f" join (select {alone}, {', '.join(names)} from {table} where {column} = 'all') using ({alone})"
    ).collect()[0]
    known = {name: row[f"known_{name}"] for name in names}
    assert {name: row[f"same_{name}"] for name in names} == known
    assert min(known.values()) > 0, "a figure is NULL everywhere"
