"""Memberships: one segment per customer and type, `unknown` included, and the list of segments."""

from __future__ import annotations

import datetime as dt
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from clv_lib.contracts.segments import CUSTOMER_SEGMENTS, SEGMENTS
from clv_lib.errors import ConfigurationError
from clv_lib.segments.definitions import absent_segment_types, present_segment_types
from clv_lib.segments.membership import customer_segments, segments
from clv_lib.segments.rfm_rules import CLASSIC, rfm_segment
from clv_lib.settings.segments import AttributeSegments, SegmentType, SqlSegments, default_segments

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AS_OF = dt.date(2024, 6, 15)

METRICS = "customer_id string, cohort_month date, acquisition_channel string, lifetime_order_count bigint"
RFM = "customer_id string, rfm_segment string, value_decile tinyint"
CUSTOMERS = "customer_id string, customer_type string, region string"

CUSTOMER_TYPE = AttributeSegments(type="attribute", name="customer_type", column="customer_type")
SIZE = SqlSegments(
    type="sql",
    name="size",
    cases={
        "large": "lifetime_order_count >= 10",
        "some": "lifetime_order_count >= 2",
        "never": "lifetime_order_count > 5",
    },
)


@pytest.fixture
def metrics(spark: SparkSession) -> DataFrame:
    january, march = dt.date(2024, 1, 1), dt.date(2024, 3, 1)
    rows = [("a", january, "search", 12), ("b", january, "unattributed", 2), ("c", march, "search", 1)]
    return spark.createDataFrame(rows, METRICS)


@pytest.fixture
def rfm(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([("a", "champions", 1), ("b", "at_risk", 10), ("c", "new", 5)], RFM)


@pytest.fixture
def attributes(spark: SparkSession) -> DataFrame:
    rows = [("a", "B2B", "North"), ("b", " ", None), ("x", "B2C", "South")]
    return spark.createDataFrame(rows, CUSTOMERS)


def memberships(frame: DataFrame) -> dict[tuple[str, str], str]:
    return {(row.customer_id, row.segment_type): row.segment_name for row in frame.collect()}


def test_each_customer_has_one_row_per_type_and_one_in_the_total(
    metrics: DataFrame, rfm: DataFrame, attributes: DataFrame
) -> None:
    found = customer_segments(metrics, rfm, attributes, [*default_segments(), CUSTOMER_TYPE, SIZE], AS_OF)
    assert dict(found.dtypes) == CUSTOMER_SEGMENTS.schema
    rows = found.collect()
    assert {(row.segment_id, row.as_of_date) for row in rows if row.customer_id == "a"} == {
        (segment_id, AS_OF)
        for segment_id in (
            "all:all", "rfm:champions", "value_decile:decile_01", "cohort:2024-01", "channel:search",
            "customer_type:B2B", "size:large",
        )
    }  # fmt: skip
    assert len(rows) == len({(row.customer_id, row.segment_type) for row in rows}) == 3 * 7
    names = memberships(found)
    assert {c: names[c, "customer_type"] for c in "abc"} == {"a": "B2B", "b": "unknown", "c": "unknown"}
    assert {c: names[c, "size"] for c in "abc"} == {"a": "large", "b": "some", "c": "unknown"}
    assert {c: names[c, "value_decile"] for c in "abc"} == {"a": "decile_01", "b": "decile_10", "c": "decile_05"}


def test_sizes_of_a_type_add_up_to_all_customers(metrics: DataFrame, rfm: DataFrame) -> None:
    kinds: list[SegmentType] = [*default_segments(), SIZE]
    listed = segments(customer_segments(metrics, rfm, None, kinds, AS_OF), kinds, AS_OF)
    assert dict(listed.dtypes) == SEGMENTS.schema
    rows = listed.collect()
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row.segment_type] = sizes.get(row.segment_type, 0) + row.customer_count
    assert sizes == dict.fromkeys(("all", "rfm", "value_decile", "cohort", "channel", "size"), 3)
    by_id = {row.segment_id: row for row in rows}
    assert by_id["cohort:2024-01"].customer_count == 2
    assert "large: lifetime_order_count >= 10" in by_id["size:some"].definition
    assert all(row.definition for row in rows)


def test_attribute_types_need_the_customers_source(metrics: DataFrame, rfm: DataFrame) -> None:
    found = customer_segments(metrics, rfm, None, [CUSTOMER_TYPE], AS_OF)
    assert set(memberships(found).values()) == {"all"}


def test_types_that_cannot_be_published_have_a_reason() -> None:
    region = AttributeSegments(type="attribute", name="area", column="region")
    kinds: list[SegmentType] = [CUSTOMER_TYPE, region, *default_segments()]
    assert absent_segment_types(kinds, None) == {
        "customer_type": "the source customers is not configured",
        "area": "the source customers is not configured",
    }
    assert list(absent_segment_types(kinds, {"customer_id", "customer_type"})) == ["area"]
    assert [k.name for k in present_segment_types(kinds, ["region"])] == ["area", *(k.name for k in default_segments())]


def test_an_attribute_outside_of_the_contract_is_a_configuration_error() -> None:
    misspelled = AttributeSegments(type="attribute", name="type", column="custmer_type")
    with pytest.raises(ConfigurationError, match="customer_type"):
        absent_segment_types([misspelled], None)


@pytest.mark.parametrize("predicate", ["no_such_column > 1", "lifetime_order_count >", "count(1) > 2", "'text'"])
def test_a_predicate_that_spark_refuses_is_a_configuration_error(
    metrics: DataFrame, rfm: DataFrame, predicate: str
) -> None:
    kind = SqlSegments(type="sql", name="size", cases={"large": predicate})
    with pytest.raises(ConfigurationError) as raised:
        customer_segments(metrics, rfm, None, [kind], AS_OF)
    assert predicate in str(raised.value)
    assert "segments, size, cases, large" in str(raised.value)


def test_rfm_column_gives_the_name_of_the_rule(spark: SparkSession) -> None:
    triples = list(product(range(1, 6), repeat=3))
    frame = spark.createDataFrame([*triples, (None, 1, 1)], "r tinyint, f tinyint, m tinyint")
    rows = frame.withColumn("name", rfm_segment(F.col("r"), F.col("f"), F.col("m"))).collect()
    expected: dict[tuple[Any, ...], str] = {t: next(rule.name for rule in CLASSIC if rule.matches(*t)) for t in triples}
    assert {(row.r, row.f, row.m): row.name for row in rows} == {**expected, (None, 1, 1): None}
