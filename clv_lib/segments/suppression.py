"""Segments too small to be shown: published together, so that sums stay exact and none can be worked out."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clv_lib.segments.definitions import ALL
from clv_lib.settings.segments import SUPPRESSED_SEGMENT


def small_segments_together(memberships: DataFrame, minimum_customers: int) -> DataFrame:
    """Memberships in which the small segments of each type are one, named `suppressed`. Grain: kept.

    Columns `customer_id, segment_type, segment_name`. Those with fewer than `minimum_customers` (0: nothing changes)
    are joined by the next smallest (by name where sizes are equal) until they are two or more with that many customers
    in all: of one alone, the total less the other segments would tell everything. A type that is small as a whole, and
    its only segment, are renamed all the same.
    """
    if minimum_customers == 0:
        return memberships
    counted = memberships.where(F.col("segment_type") != ALL).groupBy("segment_type", "segment_name")
    sizes = counted.agg(F.count("*").alias("customer_count"))
    shared = sizes.withColumn("is_shared", _is_shared(minimum_customers)).where("is_shared")
    named = memberships.join(
        F.broadcast(shared.select("segment_type", "segment_name", "is_shared")),
        ["segment_type", "segment_name"],
        "left",
    )
    name = F.when(F.col("is_shared"), SUPPRESSED_SEGMENT).otherwise(F.col("segment_name"))
    return named.select("customer_id", "segment_type", name.alias("segment_name"))


def _is_shared(minimum_customers: int) -> Column:
    """Small, or needed by smaller ones: what is before it is one segment alone, or has too few customers."""
    in_type = Window.partitionBy("segment_type")
    by_size = in_type.orderBy("customer_count", "segment_name")
    has_small = F.min("customer_count").over(in_type) < minimum_customers
    so_far = F.sum("customer_count").over(by_size.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    before = so_far - F.col("customer_count")
    is_needed = (before < minimum_customers) | (F.row_number().over(by_size) <= 2)
    return has_small & (is_needed | (F.col("customer_count") < minimum_customers))


def suppression(minimum_customers: int) -> str:
    """What the shared segment of a type is, in words."""
    return (
        f"Segments of this type with fewer than {minimum_customers} customers together, with the next smallest where "
        "one alone or too few customers were left."
    )
