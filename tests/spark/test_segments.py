"""Memberships: one segment per customer and type, `unknown` included, and the list of segments."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from clv_lib.contracts.attributes import CUSTOMER_ATTRIBUTES
from clv_lib.contracts.segments import CUSTOMER_SEGMENTS, SEGMENTS
from clv_lib.customers.attributes import attributes_on
from clv_lib.customers.quantiles import exact_quantiles
from clv_lib.customers.rfm import customer_rfm, cut_values, rfm_thresholds
from clv_lib.errors import ConfigurationError
from clv_lib.orders.attribute_history import with_history_dispositions
from clv_lib.segments.definitions import absent_segment_types, present_segment_types
from clv_lib.segments.membership import customer_segments, segments, types_without_values
from clv_lib.segments.rfm_rules import RULE_SETS, rfm_segment
from clv_lib.segments.suppression import small_segments_together
from clv_lib.settings.segments import AttributeSegments, RfmSegments, SegmentType, SqlSegments, default_segments

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AS_OF = dt.date(2024, 6, 15)

METRICS = "customer_id string, cohort_month date, acquisition_channel string, lifetime_order_count bigint"
RFM = (
    "customer_id string, rfm_segment string, value_decile tinyint, recency_score tinyint, frequency_score tinyint,"
    " monetary_score tinyint"
)
CUSTOMERS = "customer_id string, customer_type string, region string"

RFM_DIMENSIONS = {"recency": 4, "frequency": 4, "monetary": 4, "value_decile": 9}
"""Number of published cuts."""

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
    return spark.createDataFrame(
        [("a", "champions", 1, 5, 5, 4), ("b", "at_risk", 10, 1, 5, 5), ("c", "new", 5, 5, 1, 2)], RFM
    )


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


def test_types_whose_customers_are_all_unknown_are_found(
    spark: SparkSession, metrics: DataFrame, rfm: DataFrame
) -> None:
    """As where one source writes 7 and the other 7.0 for the same customer."""
    region = AttributeSegments(type="attribute", name="area", column="region")
    kinds: list[SegmentType] = [CUSTOMER_TYPE, region, *default_segments()]
    for customers, expected in (("a", ["area"]), ("a.0", ["area", "customer_type"])):
        known = spark.createDataFrame([(customers, "company", " ")], CUSTOMERS)
        listed = segments(customer_segments(metrics, rfm, known, kinds, AS_OF), kinds, AS_OF)
        assert [row.segment_type for row in types_without_values(listed, kinds).collect()] == expected


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
    frame = spark.createDataFrame([*triples, (None, 1, 1), (4, 11, 5)], "r tinyint, f tinyint, m tinyint")
    scores = F.col("r"), F.col("f"), F.col("m")
    rows = frame.withColumns({name: rfm_segment(*scores, name) for name in RULE_SETS}).collect()
    for name, rules in RULE_SETS.items():
        expected: dict[tuple[Any, ...], str | None] = {
            t: next(rule.name for rule in rules if rule.matches(*t)) for t in triples
        }
        unnamed = dict.fromkeys(((None, 1, 1), (4, 11, 5)))
        assert {(row.r, row.f, row.m): row[name] for row in rows} == {**expected, **unnamed}


def test_two_rfm_types_name_one_score_by_two_standards(metrics: DataFrame, rfm: DataFrame) -> None:
    kinds = [RfmSegments(type="rfm"), RfmSegments(type="rfm", name="other", rule_set="eleven")]
    names = memberships(customer_segments(metrics, rfm, None, kinds, AS_OF))
    assert {c: (names[c, "rfm"], names[c, "other"]) for c in "abc"} == {
        "a": ("champions", "champions"),
        "b": ("at_risk", "cannot_lose_them"),
        "c": ("new", "new_customers"),
    }


def test_small_segments_are_shown_together_and_cannot_be_worked_out(spark: SparkSession) -> None:
    sizes = {
        "alone": {"big": 9, "other": 6, "tiny": 1},  # tiny alone would be the total less the others
        "several": {"big": 9, "b": 2, "c": 2, "d": 3},  # two of two are too few, so d joins
        "enough": {"big": 9, "b": 3, "c": 4},  # two, with 7 in all
        "none": {"big": 9, "b": 5},
        "whole": {"b": 3},
        "all": {"all": 3},
    }
    rows = [
        (f"{kind}{name}{number}", kind, name)
        for kind, names in sizes.items()
        for name, size in names.items()
        for number in range(size)
    ]
    frame = spark.createDataFrame(rows, "customer_id string, segment_type string, segment_name string")
    assert small_segments_together(frame, 0) is frame
    counted = small_segments_together(frame, 5).groupBy("segment_type", "segment_name").count().collect()
    found: dict[str, dict[str, int]] = {}
    for kind, name, size in counted:
        found.setdefault(kind, {})[name] = size
    assert found == {
        "alone": {"big": 9, "suppressed": 7},
        "several": {"big": 9, "suppressed": 7},
        "enough": {"big": 9, "suppressed": 7},
        "none": {"big": 9, "b": 5},
        "whole": {"suppressed": 3},
        "all": {"all": 3},
    }


def test_a_shared_segment_says_what_it_is(metrics: DataFrame, rfm: DataFrame) -> None:
    found = customer_segments(metrics, rfm, None, [SIZE], AS_OF, 2)
    listed = {row.segment_id: row for row in segments(found, [SIZE], AS_OF, 2).collect()}
    assert {name: row.customer_count for name, row in listed.items()} == {"all:all": 3, "size:suppressed": 3}
    assert "fewer than 2 customers" in listed["size:suppressed"].definition


# a moved on Mar 1, and a later note says that the second region was another one; b's region is known to have been
# unknown in between; c has no history; d is known by its history alone; e's history begins later.
PERIODS = [
    ("a", "region", "North", "2024-01-01", "2024-03-01", 1),
    ("a", "region", "South", "2024-03-01", None, 1),
    ("a", "region", "East", "2024-03-01", None, 2),
    ("a", "industry", "retail", "2024-02-01", None, 1),
    ("b", "region", "North", "2024-01-01", None, 1),
    ("b", "region", None, "2024-02-01", "2024-04-01", 1),
    ("d", "region", "West", "2024-01-01", "2024-06-01", 1),
    ("e", "region", "West", "2024-05-01", None, 1),
    (None, "region", "West", "2024-05-01", None, 1),
    ("a", "shoe_size", "42", "2024-05-01", None, 1),
    ("a", "region", "West", "2024-05-01", "2024-04-01", 1),
    ("a", "region", "West", None, None, 1),
    ("a", "Region", "West", "2024-07-01", None, 1),
]


@pytest.mark.parametrize(
    ("day", "regions", "industry"),
    [
        ("2024-01-15", {"a": "North", "b": "North", "c": "North", "d": "West", "e": None}, None),
        ("2024-02-29", {"a": "North", "b": None, "c": "North", "d": "West", "e": None}, "retail"),
        ("2024-06-15", {"a": "East", "b": "North", "c": "North", "d": None, "e": "West"}, "retail"),
    ],
)
def test_attributes_are_those_of_the_day(
    spark: SparkSession, day: str, regions: dict[str, str | None], industry: str | None
) -> None:
    schema = "customer_id string, attribute_name string, attribute_value string, valid_from_date string,"
    rows = spark.createDataFrame(PERIODS, f"{schema} valid_to_date string, updated_at long")
    dates = {name: F.to_date(name) for name in ("valid_from_date", "valid_to_date")}
    judged = with_history_dispositions(rows.withColumns({**dates, "source_row": F.struct("customer_id")}), AS_OF)
    everything = ", ".join(f"{name} string" for name in ("customer_id", *CUSTOMER_ATTRIBUTES))
    today = [(c, *("Today" if name == "region" else None for name in CUSTOMER_ATTRIBUTES)) for c in "abe"]
    current = spark.createDataFrame([*today, ("c", *("North",) * len(CUSTOMER_ATTRIBUTES))], everything)
    found = attributes_on(current, judged.where("size(reasons) = 0"), dt.date.fromisoformat(day)).collect()
    assert {row.customer_id: row.region for row in found} == regions
    assert next(row.industry for row in found if row.customer_id == "a") == industry
    if day == AS_OF.isoformat():
        reasons = sorted(row.reasons[0] for row in judged.where("disposition = 'quarantined'").collect())
        assert reasons == [
            "ended_before_started",
            "null_customer_id",
            "unknown_attribute",
            "unreadable_valid_from_date",
        ]
        assert judged.where("disposition = 'after_as_of'").count() == 1


def test_quantiles_in_two_steps_are_exactly_those_of_all_values(spark: SparkSession) -> None:
    draw = random.Random(5)
    values = [(draw.choice([0, -3, 5, 5, round(draw.lognormvariate(4, 2), 4)]), draw.randint(1, 4)) for _ in range(400)]
    rows = [(Decimal(str(amount)), number if number > 1 else None) for amount, number in values]
    frame = spark.createDataFrame(rows, "amount decimal(28,4), number int")
    shares = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
    dimensions = {"money": ("amount", shares), "tenths": ("amount", (0.1, 0.2)), "count": ("number", shares)}
    found = exact_quantiles(frame.repartition(3), dimensions).orderBy("dimension", "cut_number").collect()
    expected = frame.agg(*(F.percentile(c, list(s)).alias(name) for name, (c, s) in dimensions.items())).collect()[0]
    for name, (_, wanted) in dimensions.items():
        own = [row for row in found if row.dimension == name]
        assert [row["quantile"] for row in own] == list(wanted)
        assert [row.cut_value for row in own] == expected[name]


def test_equal_values_have_equal_scores_that_follow_from_the_published_cuts(spark: SparkSession) -> None:
    """A ranking such as NTILE would spread the ten customers with one order over scores 1 to 3."""
    draw = random.Random(3)
    values = [(days, 1, 20) for days in range(10, 110, 10)]
    values += [(draw.choice([3, 3, 40, 60]), draw.randint(2, 6), draw.choice([-5, 0, 75, 75, 310])) for _ in range(30)]
    rows = [(f"c{n:02}", *value, AS_OF) for n, value in enumerate(values)]
    schema = "customer_id string, days_since_last_order int, lifetime_order_count bigint, lifetime_net_amount int"
    metrics = spark.createDataFrame(rows, f"{schema}, as_of_date date").withColumn(
        "lifetime_net_amount", F.col("lifetime_net_amount").cast("decimal(28,4)")
    )
    published = rfm_thresholds(cut_values(metrics), AS_OF).orderBy("dimension", "cut_number").collect()
    cuts = {name: [row.cut_value for row in published if row.dimension == name] for name in RFM_DIMENSIONS}
    assert {name: len(own) for name, own in cuts.items()} == RFM_DIMENSIONS
    found = customer_rfm(metrics, cuts, F.lit("any"), "classic").orderBy("customer_id").collect()

    def below(value: int, dimension: str) -> int:
        return sum(cut < value for cut in cuts[dimension])

    for row, (days, orders, amount) in zip(found, values, strict=True):
        assert row.recency_score == 5 - below(days, "recency")
        assert row.frequency_score == 1 + below(orders, "frequency")
        assert row.monetary_score == 1 + below(amount, "monetary")
        assert row.value_decile == 10 - below(amount, "value_decile")
        assert row.rfm_code == f"{row.recency_score}{row.frequency_score}{row.monetary_score}"
    assert {row.frequency_score for row in found if row.frequency == 1} == {1}
    latest, longest_ago = (pick(found, key=lambda row: row.recency_days) for pick in (min, max))
    assert latest.recency_score > longest_ago.recency_score
    best, least = (pick(found, key=lambda row: row.monetary_amount) for pick in (max, min))
    assert best.value_decile < least.value_decile
