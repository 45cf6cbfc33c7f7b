"""Write the demo's frames as Delta source tables, never over a table that holds anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clv_lib.errors import ConfigurationError
from clv_lib.lake.reporting import reported

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession

    from clv_lib.settings.sources import Source

MARK = "clv demo data"
"""Stands in the commit of each table that the demo wrote."""


def source_exists(spark: SparkSession, source: Source) -> bool:
    """Whether there is a Delta table at the place of a source."""
    from delta.tables import DeltaTable

    with reported(source.table, "read"):
        if source.is_path:
            return bool(DeltaTable.isDeltaTable(spark, source.table))
        return bool(spark.catalog.tableExists(source.table))


def write_frame(spark: SparkSession, source: Source, frame: pd.DataFrame, schema: str) -> None:
    """Write a frame as the Delta table of a source, in one commit; a table of the demo is replaced.

    `schema` are the columns as SQL declares them. ConfigurationError if a table stands there that the demo did not
    write: it may be someone's data.
    """
    if source_exists(spark, source):
        _require_demo_table(spark, source)
    rows = spark.createDataFrame(frame, schema)
    writer = rows.coalesce(1).write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    writer = writer.option("userMetadata", MARK)
    with reported(source.table, "written"):
        if source.is_path:
            writer.save(source.table)
        else:
            writer.saveAsTable(source.table)


def _require_demo_table(spark: SparkSession, source: Source) -> None:
    reference = f"delta.`{source.table}`" if source.is_path else source.table
    with reported(source.table, "read"):
        latest = spark.sql(f"DESCRIBE HISTORY {reference} LIMIT 1").collect()
    if not latest or latest[0]["userMetadata"] != MARK:
        raise ConfigurationError(
            "the demo does not write over a table that it has not made",
            where=source.table,
            expected="no table, or one that `clv demo` wrote and nobody changed since",
            next_step="use conf/demo.yaml, or a copy of it with other places",
        )
