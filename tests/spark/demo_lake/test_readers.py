"""Other engines read the published tables by the documented layout and agree with Spark; damage is never a number."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from clv_lib.contracts import PUBLISHED_TABLES
from clv_lib.contracts.customers import CUSTOMER_METRICS
from clv_lib.contracts.types import Table
from clv_lib.lake import Lake, register_views

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ADDED_UP = ("decimal", "int", "bigint", "tinyint", "double")


@pytest.fixture
def views(spark: SparkSession, published: Any) -> SparkSession:
    """The session with a view of every published table."""
    register_views(published.demo.lake, published.outcome.publication)
    return spark


def figures_query(table: Table, relation: str) -> str:
    """SQL for the rows, and for the known values of each column with their sum where they are numbers."""
    counted = [f"count({name})" for name in table.columns]
    numbers = [name for name, kind in table.schema.items() if kind.startswith(ADDED_UP)]
    return f"SELECT {', '.join(['count(*)', *counted, *(f'sum({name})' for name in numbers)])} FROM {relation}"


def as_documented(root: str, table: Table) -> Any:
    """The published rows as a table of Arrow: the pointer's row first, then a filter or a version."""
    [now] = DeltaTable(f"{root}/control/published").to_pyarrow_table().to_pylist()
    if table.layer == "gold":
        rows = DeltaTable(f"{root}/gold/{table.name}")
        return rows.to_pyarrow_table(filters=[("snapshot_id", "=", now["snapshot_id"])])
    version = dict(now["silver_versions"])[table.name]
    return DeltaTable(f"{root}/silver/{table.name}", version=version).to_pyarrow_table()


@pytest.mark.parametrize("table", PUBLISHED_TABLES, ids=lambda table: table.name)
def test_deltalake_and_duckdb_agree_with_spark(table: Table, published: Any, views: SparkSession) -> None:
    arrow = as_documented(published.demo.lake.root, table)
    expected = list(views.sql(figures_query(table, table.name)).collect()[0])
    with duckdb.connect() as database:
        database.register("rows_of_table", arrow)
        found = list(database.execute(figures_query(table, "rows_of_table")).fetchall()[0])
    assert found[0] == arrow.num_rows == expected[0] > 0
    for name, ours, theirs in zip(figures_query(table, "").split(","), expected, found, strict=True):
        exact = not isinstance(ours, float)
        assert theirs == (ours if exact else pytest.approx(ours, rel=1e-12)), name


def test_every_table_needs_reader_version_1_only(published: Any) -> None:
    for log in Path(published.demo.lake.root).glob("*/*/_delta_log"):
        protocol = DeltaTable(str(log.parent)).protocol()
        assert protocol.min_reader_version == 1 and not protocol.reader_features, log


@pytest.mark.parametrize("column", ["lifetime_net_amount", "customer_id", "btyd_frequency"])
def test_a_flipped_byte_raises_and_never_gives_another_number(
    column: str, published: Any, spark: SparkSession, tmp_path: Path
) -> None:
    source = published.demo.lake
    root = tmp_path / "lake"
    shutil.copytree(source.place(CUSTOMER_METRICS), root / "gold" / CUSTOMER_METRICS.name)
    lake = Lake(spark, str(root), is_path=True)
    snapshot = published.outcome.publication.snapshot_id
    query = f"sum(hash({column}))"
    intact = source.read_snapshot(CUSTOMER_METRICS, snapshot).selectExpr(query).collect()
    for file in root.glob("gold/**/*.parquet"):
        flip_last_byte_of_page(file, column)
    with pytest.raises(Exception, match=r"(?i)checksum|CRC|corrupt|FAILED_READ_FILE") as raised:
        assert lake.read_snapshot(CUSTOMER_METRICS, snapshot).selectExpr(query).collect() == intact
    assert not isinstance(raised.value, AssertionError)


def flip_last_byte_of_page(file: Path, column: str) -> None:
    """Flip one bit of a column's last data page; without Hadoop's own .crc file, as in an object store."""
    group = pq.ParquetFile(file).metadata.row_group(0)
    chunks = [group.column(index) for index in range(group.num_columns)]
    chunk = next(chunk for chunk in chunks if chunk.path_in_schema == column)
    start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    content = bytearray(file.read_bytes())
    content[start + chunk.total_compressed_size - 1] ^= 0x10
    file.write_bytes(content)
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
