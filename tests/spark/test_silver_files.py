"""How silver lies in files: a bucket of a month is one, however many tasks the rows were spread over."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS
from tests.spark.generated import INTERPRETED, conf
from tests.spark.nights import Shop, order

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_a_bucket_of_a_month_is_one_file(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path, ("orders",), options={"buckets": 2})
    days = [(c, f"2024-{month:02}-05") for c in range(24) for month in (1, 2)]
    shop.insert("orders", [order(n, f"c{c}", day) for n, (c, day) in enumerate(days)])
    with conf(spark, {**INTERPRETED, "spark.sql.shuffle.partitions": "3"}):
        run = shop.night(dt.date(2024, 2, 29))
        for table in (CUSTOMER_ORDERS, CUSTOMER_MONTHS):
            stored = run.read(table)
            places = stored.groupBy(*table.partition_by).agg(
                F.count_distinct("_metadata.file_path").alias("files"), F.count(F.lit(1)).alias("rows")
            )
            rows = places.collect()
            assert len(rows) == 4 and sum(row["rows"] for row in rows) == len(days)
            assert {row["files"] for row in rows} == {1}, table.name
