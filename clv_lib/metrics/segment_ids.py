"""The parts of a segment's id, `type:name`: a name may hold colons, a type may not."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F


def parts_of_segment_id() -> dict[str, Column]:
    """`segment_type` and `segment_name` of the column `segment_id`."""
    return {
        "segment_type": F.substring_index("segment_id", ":", 1),
        "segment_name": F.expr("substring(segment_id, instr(segment_id, ':') + 1)"),
    }
