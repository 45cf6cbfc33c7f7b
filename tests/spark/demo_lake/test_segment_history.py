"""Segments of the demo lake by attributes that changed, and how concentrated their value is, against the truth."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.lake import register_views
from clv_lib.pipeline import begin
from clv_lib.pipeline.attributes import attributes

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOW = dt.datetime(2025, 7, 1, 6, tzinfo=dt.timezone.utc)


@pytest.fixture
def views(spark: SparkSession, published: Any) -> SparkSession:
    """The session with a view of every published table."""
    register_views(published.demo.lake, published.outcome.publication)
    return spark


def test_a_customer_who_moved_is_in_the_region_of_the_day(published: Any, spark: SparkSession) -> None:
    moves = published.truth.region_moves
    assert len(moves) > 5
    demo, day = published.demo, sorted(moves["moved_date"])[len(moves) // 2] - dt.timedelta(days=1)
    work = begin(spark, demo.settings, demo.as_of, NOW)
    then, now = attributes(work, day), attributes(work, demo.as_of)
    assert then is not None and now is not None
    regions = {row.customer_id: row.region for row in then.collect()}
    today = {row.customer_id: row.region for row in now.collect()}
    for move in moves.itertuples():
        assert regions[move.customer_id] == (move.from_region if day < move.moved_date else move.to_region)
        assert today[move.customer_id] == move.to_region
    changed = {customer for customer in today if today[customer] != regions[customer]}
    assert changed == set(moves[moves["moved_date"] > day]["customer_id"])


def test_rows_of_the_history_are_accounted_for(published: Any, views: SparkSession) -> None:
    rows = views.table("conservation").where("source_name = 'customer_attributes_history'").collect()
    count = 2 * len(published.truth.region_moves)
    assert {row.disposition: row.row_count for row in rows} == {"input": count, "accepted": count}


def test_concentration_of_the_total_is_that_of_the_customers(views: SparkSession) -> None:
    row = views.table("segment_concentration").where("segment_type = 'all'").collect()[0]
    rows = views.table("customer_metrics").select("historic_clv_amount").collect()
    values = sorted(float(value) for (value,) in rows)
    weights = sum((2 * number - len(values) - 1) * value for number, value in enumerate(values, start=1))
    gini = weights / (len(values) * sum(values))
    assert row.historic_status == "ok" and row.customer_count == len(values)
    assert 0 <= gini - float(row.historic_gini) < 0.0025
    top = sum(values[-(len(values) // 10) :])
    assert float(row.historic_top_decile_share) == pytest.approx(top / sum(values), rel=0.01)
    assert row.churn_point_status == "ok" and row.churn_point_gain_amount > 0
