"""Segments of a customer by id, and the parts of an id, `type:name`: a name may hold colons, a type may not."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def parts_of_segment_id() -> dict[str, Column]:
    """`segment_type` and `segment_name` of the column `segment_id`."""
    return {
        "segment_type": F.substring_index("segment_id", ":", 1),
        "segment_name": F.expr("substring(segment_id, instr(segment_id, ':') + 1)"),
    }


def ids_of_customers(customer_segments: DataFrame) -> DataFrame:
    """The segments of each customer: `segment_ids`, in ascending order. Grain: customer."""
    ids = F.array_sort(F.collect_list("segment_id")).alias("segment_ids")
    return customer_segments.groupBy("customer_id").agg(ids)
