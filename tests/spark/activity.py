"""`activity_sums` of small frames, in which columns that a test says nothing about may be left out."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.silver import CUSTOMER_MONTHS
from clv_lib.metrics.activity import activity_sums, packed_members, packed_types
from clv_lib.metrics.attribution import EVERYBODY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NO_PLACES = "array<struct<channel:string,segment_id:string,credit:decimal(9,8)>>"


def activity_of(
    months: DataFrame,
    members: DataFrame | None = None,
    placed: DataFrame | None = None,
    *,
    inactivity_days: int = 180,
    as_of: dt.date,
) -> DataFrame:
    """The sums, kept; everybody is a member of all:all alone, and has no places, unless they are given."""
    known = months.withColumns(
        {
            name: F.col(other) if other in months.columns else F.lit(0).cast(CUSTOMER_MONTHS.schema[name])
            for name, other in _STANDS_FOR.items()
            if name not in months.columns
        }
    )
    customers = months.select("customer_id").distinct()
    if members is None:
        members = customers.withColumn("segment_id", F.lit(EVERYBODY))
    if placed is None:
        placed = customers.withColumns({"value_basis": F.lit(None), "places": F.array().cast(NO_PLACES)})
    return activity_sums(known, placed, packed(members), inactivity_days, as_of).cache()


def packed(members: DataFrame) -> DataFrame:
    """`packed_members` of customers and segment ids."""
    ids = [row.segment_id for row in members.select("segment_id").distinct().collect()]
    return packed_members(members, packed_types(Counter(segment_id.split(":")[0] for segment_id in ids)))


_STANDS_FOR = {
    "active_day_count": "order_count",
    "first_ordered_date": "month",
    "last_ordered_date": "month",
    "net_amount": "",
    "margin_amount": "",
    "margin_order_count": "",
    "first_day_margin_amount": "",
}
