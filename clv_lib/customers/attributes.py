"""Attributes of customers from the user's table: one row per customer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def current_attributes(mapped: DataFrame) -> DataFrame:
    """The newest row of each customer, rows without an id left out. Grain: customer.

    Of several rows with one newest time the greatest (all columns compared) counts, so the choice never depends on the
    order of the files.
    """
    values = [name for name in mapped.columns if name not in ("customer_id", "source_row", "updated_at")]
    version = F.struct("updated_at", *values)
    newest = mapped.where("customer_id is not null").groupBy("customer_id").agg(F.max(version).alias("version"))
    return newest.select("customer_id", *(F.col(f"version.{name}").alias(name) for name in values))
