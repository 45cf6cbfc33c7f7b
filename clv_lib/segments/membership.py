"""Who is in which segment at as_of, and the list of segments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import chain

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clv_lib.contracts.segments import CUSTOMER_SEGMENTS, SEGMENTS
from clv_lib.errors import ConfigurationError
from clv_lib.segments.definitions import ALL, definition, segment_name, source_of
from clv_lib.segments.suppression import small_segments_together, suppression
from clv_lib.settings.segments import (
    SUPPRESSED_SEGMENT,
    UNKNOWN_SEGMENT,
    AttributeSegments,
    SegmentType,
    SqlSegments,
)

_EVERY_CUSTOMER = "Every customer with an order."


def customer_segments(
    customer_metrics: DataFrame,
    customer_rfm: DataFrame,
    attributes: DataFrame | None,
    segment_types: Sequence[SegmentType],
    as_of: dt.date,
    minimum_customers: int = 0,
) -> DataFrame:
    """Memberships at as_of: for every customer of `customer_metrics` one row per segment type and one in `all:all`.

    Grain: customer and segment type. `attributes` is the customers contract, one row per customer; None leaves
    attribute types out. A name that is not known is `unknown`. Segments of fewer than `minimum_customers` are put
    together as `small_segments_together`. ConfigurationError if Spark refuses a predicate.
    """
    frames = {"customer_metrics": customer_metrics, "customer_rfm": customer_rfm, "customers": attributes}
    kinds = [kind for kind in segment_types if frames[source_of(kind)] is not None]
    _check_predicates(customer_metrics, kinds)
    named = _names_from(customer_metrics, [kind for kind in kinds if source_of(kind) == "customer_metrics"])
    for source in ("customer_rfm", "customers"):
        frame, own = frames[source], [kind for kind in kinds if source_of(kind) == source]
        if frame is not None and own:
            named = named.join(_names_from(frame, own), on="customer_id", how="left")
    memberships = [_membership(ALL, F.lit(ALL)), *(_membership(k.name, F.col(_column(k))) for k in kinds)]
    each = small_segments_together(named.select("customer_id", F.inline(F.array(*memberships))), minimum_customers)
    segment_id = F.concat_ws(":", "segment_type", "segment_name")
    return each.withColumns({"segment_id": segment_id, "as_of_date": F.lit(as_of)}).select(*CUSTOMER_SEGMENTS.columns)


def segments(
    customer_segments: DataFrame, segment_types: Sequence[SegmentType], as_of: dt.date, minimum_customers: int = 0
) -> DataFrame:
    """The segments with at least one member, what decides membership, and how many members they have.

    Grain: segment. `minimum_customers` is that of the memberships.
    """
    texts = {ALL: _EVERY_CUSTOMER, **{kind.name: definition(kind) for kind in segment_types}}
    text_of_type = F.create_map(*(F.lit(text) for text in chain.from_iterable(texts.items())))
    counted = customer_segments.groupBy("segment_id", "segment_type", "segment_name").agg(
        F.count("*").alias("customer_count")
    )
    is_shared = (F.col("segment_name") == SUPPRESSED_SEGMENT) & F.lit(minimum_customers > 0)
    text = F.when(is_shared, suppression(minimum_customers)).otherwise(text_of_type[F.col("segment_type")])
    return counted.withColumns({"definition": text, "as_of_date": F.lit(as_of)}).select(*SEGMENTS.columns)


def types_without_values(listed: DataFrame, segment_types: Sequence[SegmentType]) -> DataFrame:
    """Types by attribute in which every customer is unknown, of `segments`. Grain: type, column `segment_type`."""
    by_attribute = [kind.name for kind in segment_types if isinstance(kind, AttributeSegments)]
    known = listed.where(F.col("segment_type").isin(by_attribute)).groupBy("segment_type")
    is_known = F.max(F.col("segment_name") != UNKNOWN_SEGMENT).alias("is_known")
    return known.agg(is_known).where("not is_known").select("segment_type").orderBy("segment_type")


def _column(kind: SegmentType) -> str:
    return f"segment_by_{kind.name}"


def _names_from(frame: DataFrame, kinds: Sequence[SegmentType]) -> DataFrame:
    return frame.select("customer_id", *(segment_name(kind).alias(_column(kind)) for kind in kinds))


def _membership(segment_type: str, name: Column) -> Column:
    # A customer without a row in a joined table has no name there.
    known = F.coalesce(name, F.lit(UNKNOWN_SEGMENT))
    return F.struct(F.lit(segment_type).alias("segment_type"), known.alias("segment_name"))


def _check_predicates(customer_metrics: DataFrame, kinds: Sequence[SegmentType]) -> None:
    for kind in kinds:
        if isinstance(kind, SqlSegments):
            for name, predicate in kind.cases.items():
                _check_predicate(customer_metrics, predicate, f"segments, {kind.name}, cases, {name}")


def _check_predicate(customer_metrics: DataFrame, predicate: str, where: str) -> None:
    try:
        customer_metrics.where(F.expr(predicate))
    except AnalysisException as error:
        raise ConfigurationError(
            "this predicate cannot be used",
            where=where,
            expected="a SQL predicate over the columns of customer_metrics",
            found=f"{predicate} ({str(error).splitlines()[0]})",
        ) from error
