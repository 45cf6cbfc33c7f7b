"""A lake in a catalog: tables in an internal schema, and views over what is published in the schema that users name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from clv_lib.contracts import GOLD_TABLES, PUBLISHED_TABLES
from clv_lib.contracts.customers import CUSTOMER_METRICS
from clv_lib.contracts.put_aside import CONSERVATION, QUARANTINED_ROWS
from clv_lib.contracts.silver import CUSTOMER_ORDERS
from clv_lib.pipeline import audit, run_step
from clv_lib.settings import load_settings
from tests.spark.generated import INTERPRETED, conf

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AS_OF = dt.date(2024, 12, 31)
NOW = dt.datetime(2025, 1, 2, 3, tzinfo=dt.timezone.utc)
CONFIGURATION = """
lake: shop_value
reporting: {currency: GBP}
sources:
  orders: {table: shop_input.orders}
segments: [{type: channel}]
predictions: {model: bg_nbd, holdout_days: 0, horizons_days: [365]}
economics: {segment_types: [], spend_lag_months: [0]}
forecasts: {months: 0}
"""


@pytest.fixture
def catalog(spark: SparkSession) -> Iterator[SparkSession]:
    """A session whose catalog has a schema with 24 orders of 8 customers, ten pounds each."""
    spark.sql("CREATE SCHEMA shop_input")
    spark.range(24).selectExpr(
        "concat('o', id) as order_id",
        "concat('c', id % 8) as customer_id",
        "timestamp'2024-01-10 10:00:00' + make_dt_interval(cast(id * 13 as int)) as ordered_at",
        "cast(10 as decimal(18,4)) as net_amount",
    ).write.format("delta").saveAsTable("shop_input.orders")
    yield spark
    for schema in ("shop_input", "shop_value", "shop_value_internal"):
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def test_a_run_in_a_catalog_publishes_a_view_of_every_table(
    catalog: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that read and write every kind of table; the tables of the others are made and stay empty."""
    settings = load_settings(None, text=CONFIGURATION, environ={}).settings
    with conf(catalog, INTERPRETED):
        for name in ("intake", "customers"):
            work = run_step(catalog, settings, AS_OF, name, clock=lambda: NOW)
        for table in GOLD_TABLES:
            work.lake.ensure(table)
        monkeypatch.setattr(
            audit, "AUDITED_TABLES", (CUSTOMER_METRICS, CUSTOMER_ORDERS, QUARANTINED_ROWS, CONSERVATION)
        )
        for name in ("audit", "publish"):
            run_step(catalog, settings, AS_OF, name, clock=lambda: NOW)
    views = {row["viewName"] for row in catalog.sql("SHOW VIEWS IN shop_value").collect()}
    assert views == {table.name for table in PUBLISHED_TABLES}
    customers = catalog.sql("SELECT count(*), sum(lifetime_net_amount) FROM shop_value.customer_metrics").collect()[0]
    assert tuple(customers) == (8, Decimal(240))
    assert catalog.sql("SELECT count(*) FROM shop_value.customer_orders").collect()[0][0] == 24
    assert catalog.sql("SELECT count(*) FROM shop_value.segments").collect()[0][0] == 0
