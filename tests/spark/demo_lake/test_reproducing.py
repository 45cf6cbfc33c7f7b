"""A run computed again, over the same rows filed otherwise, gives the same tables; the comparison sees what differs."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from clv_lib.contracts.control import PIPELINE_RUNS
from clv_lib.contracts.customers import CUSTOMER_METRICS
from clv_lib.contracts.predictions import MODEL_FITS
from clv_lib.pipeline.reproducing import COMPARED_TABLES, reproduce
from clv_lib.quality.comparison import compared, comparison, differing_keys
from clv_lib.settings.loading import recorded_text

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOW = dt.datetime(2025, 7, 1, 6, tzinfo=dt.timezone.utc)


def refiled(spark: SparkSession, settings: Any, folder: Path) -> Any:
    """The settings over copies of the sources: other files, other order, and a newer version that holds no row."""
    tables = {}
    for name, source in settings.sources.configured().items():
        rows = spark.read.format("delta").load(source.table)
        shuffled = rows.repartition(3, F.xxhash64(*rows.columns)).sortWithinPartitions(
            F.xxhash64(F.lit(7), *rows.columns)
        )
        shuffled.write.format("delta").save(str(folder / name))
        rows.limit(0).write.format("delta").mode("overwrite").save(str(folder / name))
        tables[name] = source.model_copy(update={"table": str(folder / name)})
    return settings.model_copy(update={"sources": settings.sources.model_copy(update=tables)})


@pytest.mark.long
def test_the_same_rows_filed_otherwise_give_the_same_tables(
    spark: SparkSession, published: Any, tmp_path: Path
) -> None:
    demo = published.demo
    settings = refiled(spark, demo.settings, tmp_path)
    row = demo.lake.read_rows(PIPELINE_RUNS).where(F.col("run_id") == published.outcome.run.run_id).collect()[0]
    recorded = row.asDict() | {
        "configuration": recorded_text(settings),
        "input_versions": dict.fromkeys(row["input_versions"], "0"),
    }
    found = reproduce(spark, settings, recorded, str(tmp_path / "again"), lambda: NOW)
    assert [one.table_name for one in found] == [table.name for table in COMPARED_TABLES]
    assert {one.table_name: one for one in found if not one.is_same} == {}
    assert all(one.row_count for one in found)


def test_the_comparison_sees_missing_surplus_and_changed_rows(spark: SparkSession, published: Any) -> None:
    lake, publication = published.demo.lake, published.outcome.publication
    customers = lake.read_snapshot(CUSTOMER_METRICS, publication.snapshot_id)
    first, second, third = [row[0] for row in customers.select("customer_id").orderBy("customer_id").take(3)]
    changed = customers.where(F.col("customer_id") != first).withColumns(
        {
            "customer_id": F.when(F.col("customer_id") == second, "nobody").otherwise(F.col("customer_id")),
            "lifetime_net_amount": F.col("lifetime_net_amount") + F.expr(f"if(customer_id = '{third}', 0.0001, 0)"),
        }
    )
    found = comparison(CUSTOMER_METRICS, compared(customers, changed, CUSTOMER_METRICS).collect()[0].asDict())
    assert (found.row_count, found.missing, found.surplus) == (customers.count(), 2, 1)
    assert found.differing == {"lifetime_net_amount": 1} and not found.is_same
    keys = {row["customer_id"] for row in differing_keys(customers, changed, CUSTOMER_METRICS).collect()}
    assert keys == {hashlib.sha256(name.encode()).hexdigest()[:12] for name in (first, second, third, "nobody")}


def test_doubles_may_differ_in_their_last_digits_only(spark: SparkSession, published: Any) -> None:
    fits = published.demo.lake.read_snapshot(MODEL_FITS, published.outcome.publication.snapshot_id)

    def differing(factor: float) -> set[str]:
        grown = F.transform_values("covariances", lambda _, value: value * factor)
        other = fits.withColumns({"estimate": F.col("estimate") * factor, "covariances": grown})
        return set(comparison(MODEL_FITS, compared(fits, other, MODEL_FITS).collect()[0].asDict()).differing)

    assert differing(1 + 1e-12) == set()
    assert differing(1 + 1e-6) == {"estimate", "covariances"}
