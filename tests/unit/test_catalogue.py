"""The catalogue of metrics: each is made of columns of its table, says why it can be NULL, and has one definition."""

from __future__ import annotations

import re

import pytest

from clv_lib.contracts import GOLD_TABLES
from clv_lib.contracts.catalogue import METRIC_DEFINITIONS
from clv_lib.contracts.types import RATIO, Metric, Table
from clv_lib.metrics.catalogue import metric_definitions

METRICS = [(table, metric) for table in GOLD_TABLES for metric in table.metrics]


@pytest.mark.parametrize(("table", "metric"), METRICS, ids=lambda part: part.name)
def test_parts_and_status_are_published_columns(table: Table, metric: Metric) -> None:
    parts = " ".join((metric.numerator, metric.denominator, metric.defined_when or "", metric.status_column or ""))
    named = set(re.findall(r"[a-z_][a-z_0-9]*", re.sub(r"'[^']*'", "", parts)))
    assert named <= set(table.columns) - {metric.name}
    assert metric.type == RATIO
    assert table.adds_up_over, "a table with metrics says over which rows their parts add up"


def test_definitions_have_the_columns_of_the_contract_and_one_row_per_figure() -> None:
    rows = [dict(zip(METRIC_DEFINITIONS.columns, row, strict=True)) for row in metric_definitions(GOLD_TABLES, "9.9")]
    by_name = {(row["table_name"], row["metric_name"]): row for row in rows}
    assert len(by_name) == len(rows)
    assert {(table.name, metric.name) for table, metric in METRICS} <= set(by_name)
    churn = by_name["segment_metrics", "monthly_churn_rate"]
    assert (churn["numerator_sql"], churn["denominator_sql"]) == (
        "sum(churned_customer_count)",
        "sum(customer_count_start)",
    )
    assert (churn["defined_when_sql"], churn["status_column"]) == ("is_final", "churn_status")
    frequency = by_name["segment_metrics", "purchase_frequency"]
    assert frequency["numerator_sql"] == "30.4375 * sum(lifetime_order_count)"
    assert frequency["denominator_sql"] == "sum(exposure_days)"
    assert by_name["segment_metrics", "net_amount"]["aggregation"] == "sum"
    assert by_name["segment_metrics", "churn_rate_lower"]["aggregation"] == "none"
