"""Attributes of customers on a day: from the user's table, and from the history of attributes where there is one."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.attributes import CUSTOMER_ATTRIBUTES

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def current_attributes(mapped: DataFrame) -> DataFrame:
    """The newest row of each customer, rows without an id left out. Grain: customer.

    Of several rows with one newest time the greatest (all columns compared) counts, so the choice never depends on the
    order of the files.
    """
    values = [name for name in mapped.columns if name not in ("customer_id", "source_row", "updated_at")]
    version = F.struct("updated_at", *values)
    newest = mapped.where("customer_id is not null").groupBy("customer_id").agg(F.max(version).alias("version"))
    return newest.select("customer_id", *(F.col(f"version.{name}").alias(name) for name in values))


def attributes_on(current: DataFrame | None, periods: DataFrame, day: dt.date) -> DataFrame:
    """The attributes valid on a day. Grain: customer of `current` or of `periods`.

    `periods` are sound rows of contract `customer_attributes_history`. Where a customer has any period of an
    attribute, the periods decide alone: NULL if none holds on the day. Otherwise the value is that of `current`. Of
    several that hold, the latest start counts, then the newest `updated_at`, then the greatest value: a period that
    begins after the day never changes what was valid on it.
    """
    known = periods.groupBy("customer_id").agg(
        *(column.alias(f"{name}_{part}") for name in CUSTOMER_ATTRIBUTES for part, column in _valid(name, day).items())
    )
    if current is None:
        return known.select("customer_id", *(F.col(f"{name}_then.value").alias(name) for name in CUSTOMER_ATTRIBUTES))
    joined = current.join(known, "customer_id", "full_outer")
    return joined.select(
        "customer_id",
        *(
            F.when(F.col(f"{name}_has_history"), F.col(f"{name}_then.value")).otherwise(F.col(name)).alias(name)
            for name in CUSTOMER_ATTRIBUTES
        ),
    )


def _valid(name: str, day: dt.date) -> dict[str, Column]:
    is_attribute = F.col("attribute_name") == name
    has_begun = F.col("valid_from_date") <= F.lit(day)
    has_ended = F.coalesce(F.col("valid_to_date") <= F.lit(day), F.lit(False))
    version = F.struct("valid_from_date", "updated_at", F.col("attribute_value").alias("value"))
    return {
        "has_history": F.max(is_attribute),
        "then": F.max(F.when(is_attribute & has_begun & ~has_ended, version)),
    }
