"""Cost of acquisition by attribution model, campaign, segment and lag, worked out by hand; and sums to the cent."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.contracts.acquisition_costs import ACQUISITION_COSTS
from clv_lib.contracts.acquisitions import ACQUISITION_CREDITS, CUSTOMER_ACQUISITIONS
from clv_lib.errors import ConfigurationError
from clv_lib.metrics.acquisition_costs import acquisition_costs, credited_costs, new_customers
from clv_lib.metrics.attribution import Attribution, attribution_of, memberships
from clv_lib.orders.acquisitions import acquisition_credits, with_credit_dispositions
from clv_lib.orders.mapping import map_source
from tests.spark.activity import packed

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

AS_OF = dt.date(2024, 3, 31)
JANUARY, FEBRUARY, MARCH = (dt.date(2024, month, 1) for month in (1, 2, 3))
DECLARED = "declared_else_first_order"
TYPES = ("customer_type", "region")

CUSTOMERS = [  # customer, cohort, channel, campaign, customer type, region
    ("a", JANUARY, "search", "spring", "b2b", "north"),
    ("b", JANUARY, "search", "spring", "b2c", "south"),
    ("c", JANUARY, "search", None, "b2c", "unknown"),
    ("d", JANUARY, "mail", "all", "b2c", "south"),
    ("e", FEBRUARY, "mail", "news", "b2b", "north"),
    ("f", MARCH, "unattributed", None, "b2c", "south"),
]
CREDITS = [  # customer, model, channel, campaign, credit; g has no order
    *(("a", "linear", channel, campaign, "0.33333333") for channel, campaign in (("mail", "news"), ("search", None))),
    ("a", "linear", "tv", None, "0.33333333"),
    ("b", "linear", "search", "spring", "0.5"),
    ("b", "linear", "search", "summer", "0.5"),
    ("d", "linear", None, None, "1"),
    ("e", "linear", "mail", "news", "0.4"),
    ("e", "linear", "mail", "news", "0.4"),
    ("e", "linear", "all", "all", "0.2"),
    ("c", "linear", "tv", None, "0.7"),
    ("c", "linear", "search", None, "0.7"),
    ("f", "linear", "tv", None, "much"),
    ("f", "linear", "mail", None, "0.5"),
    ("b", "first", "tv", None, "1"),
    ("b", "first", "mail", None, "-1"),
    ("g", "first", "tv", None, "1"),
    (None, "first", "tv", None, "1"),
    ("a", DECLARED, "tv", None, "1"),
]
SPEND = [  # month, channel, campaign, segment, cost type, paid, amount
    (JANUARY, "search", "spring", "customer_type:b2b", "media", True, "10"),
    (JANUARY, "search", "spring", None, "media", True, "100"),
    (JANUARY, "search", "brand", None, "agency", False, "0.01"),
    (JANUARY, "tv", "none", None, "media", False, "7"),
    (JANUARY, "mail", "none", "region:south", "media", False, "5"),
    (FEBRUARY, "mail", "news", None, "media", True, "0"),
    (MARCH, "search", "spring", "customer_type:other", "media", True, "20"),
]

Key = tuple[Any, ...]


def credits_of(spark: SparkSession) -> Any:
    columns = "customer_id string, attribution_model string, channel string, campaign_name string, credit string"
    raw = spark.createDataFrame(CREDITS, columns)
    return map_source(raw, CUSTOMER_ACQUISITIONS, {}, currency="GBP", time_zone="UTC")


@pytest.fixture(scope="module")
def costs(spark_session: SparkSession) -> dict[Key, Row]:
    return computed(spark_session, CUSTOMERS)


def computed(spark_session: SparkSession, customers: list[tuple[Any, ...]]) -> dict[Key, Row]:
    metrics = spark_session.createDataFrame(
        [row[:4] for row in customers],
        "customer_id string, cohort_month date, acquisition_channel string, acquisition_campaign string",
    )
    members = [
        (c, kind, f"{kind}:{name}") for c, *_, b, r in customers for kind, name in zip(TYPES, (b, r), strict=True)
    ]
    segments = spark_session.createDataFrame(members, "customer_id string, segment_type string, segment_id string")
    spend = spark_session.createDataFrame(
        [(*row, Decimal(amount)) for *row, amount in SPEND],
        "period_month date, channel string, campaign_name string, segment_id string, cost_type string,"
        " is_paid boolean, spend_amount decimal(28,4)",
    )
    credited = acquisition_credits(with_credit_dispositions(credits_of(spark_session)))
    attribution = attribution_of(["linear", "first"], "linear")
    won = new_customers(metrics, credited, memberships(packed(segments), TYPES), attribution.models)
    found = acquisition_costs(won, spend, AS_OF, TYPES, attribution, lags=(0, 1))
    assert dict(found.dtypes) == ACQUISITION_COSTS.schema
    rows = found.collect()
    keyed = {tuple(row[name] for name in ACQUISITION_COSTS.key): row for row in rows}
    assert len(keyed) == len(rows)
    return keyed


def cost(
    costs: dict[Key, Row],
    month: dt.date,
    channel: str = "all",
    campaign: str = "all",
    segment: str = "all:all",
    kind: str = "fully_loaded",
    model: str = DECLARED,
    lag: int = 0,
) -> tuple[Any, ...]:
    row = costs[month, kind, channel, campaign, segment, model, lag]
    return row.spend_amount, row.new_customer_count, row.cac_amount, row.cac_status


def test_credits_that_do_not_add_up_are_quarantined(spark: SparkSession) -> None:
    rows = with_credit_dispositions(credits_of(spark)).collect()
    refused = {(r.customer_id, r.attribution_model, *r.reasons) for r in rows if r.disposition == "quarantined"}
    assert refused == {
        ("c", "linear", "credits_do_not_sum_to_1"),
        ("f", "linear", "unreadable_credit"),
        ("f", "linear", "credits_do_not_sum_to_1"),
        ("b", "first", "negative_credit"),
        (None, "first", "null_customer_id"),
        ("a", DECLARED, "reserved_attribution_model"),
    }
    assert {r.currency_code for r in rows} == {"XXX"}


def test_stored_credits_add_up_to_exactly_one(spark: SparkSession) -> None:
    made = acquisition_credits(with_credit_dispositions(credits_of(spark)))
    assert dict(made.dtypes) == ACQUISITION_CREDITS.schema
    found = {(r.customer_id, r.attribution_model, r.channel, r.campaign_name): r.credit for r in made.collect()}
    assert found == {
        ("a", "linear", "mail", "news"): Decimal("0.33333334"),  # the first of equal credits takes the rest
        ("a", "linear", "search", "none"): Decimal("0.33333333"),
        ("a", "linear", "tv", "none"): Decimal("0.33333333"),
        ("b", "linear", "search", "spring"): Decimal("0.5"),
        ("b", "linear", "search", "summer"): Decimal("0.5"),
        ("d", "linear", "unattributed", "none"): 1,
        ("e", "linear", "mail", "news"): Decimal("0.8"),
        ("e", "linear", "unattributed", "none"): Decimal("0.2"),
        ("b", "first", "tv", "none"): 1,
        ("g", "first", "tv", "none"): 1,
    }


def test_the_chosen_model_is_the_only_one_else_the_declared() -> None:
    assert attribution_of([], None) == Attribution()
    assert attribution_of(["linear"], None) == Attribution((DECLARED, "linear"), "linear")
    assert attribution_of(["linear", "first"], None).chosen == DECLARED
    assert attribution_of(["linear"], DECLARED).chosen == DECLARED
    with pytest.raises(ConfigurationError, match="last_touch"):
        attribution_of(["linear", "first"], "last_touch")


def test_each_model_has_its_own_customers_of_the_same_spend(costs: dict[Key, Row]) -> None:
    by_model = {model: cost(costs, JANUARY, "search", model=model) for model in (DECLARED, "linear", "first")}
    assert by_model == {
        DECLARED: (Decimal("110.01"), 3, Decimal("36.67"), "ok"),
        "linear": (Decimal("110.01"), Decimal("1.33333333"), Decimal("82.50750021"), "ok"),
        "first": (Decimal("110.01"), 0, None, "no_new_customers"),
    }
    assert cost(costs, JANUARY, "tv", model="linear") == (7, Decimal("0.33333333"), Decimal("21.00000021"), "ok")
    # c's credits were quarantined, d's channel is not known, and by `first` nobody but b has credits
    assert cost(costs, JANUARY, "unattributed", model="linear")[1] == 2
    assert cost(costs, JANUARY, "unattributed", model="first") == (0, 3, 0, "zero_spend")
    assert {row.attribution_model for row in costs.values() if row.is_primary} == {"linear"}
    assert {row.lag_months for row in costs.values() if row.is_primary} == {0}


@pytest.mark.parametrize(("written", "are_strangers"), [("{}", False), ("{}.0", True)])
def test_credits_of_strangers_are_found(spark: SparkSession, written: str, are_strangers: bool) -> None:
    """As where one source writes 7 and the other 7.0 for the same customer."""
    rows = computed(spark, [(written.format(customer), *facts) for customer, *facts in CUSTOMERS])
    assert credited_costs(spark.createDataFrame(list(rows.values()), ACQUISITION_COSTS.ddl)).isEmpty() is are_strangers


def test_campaigns_of_a_channel_have_their_spend_and_customers(costs: dict[Key, Row]) -> None:
    assert cost(costs, JANUARY, "search", "spring") == (110, 2, 55, "ok")
    assert cost(costs, JANUARY, "search", "brand") == (Decimal("0.01"), 0, None, "no_new_customers")
    assert cost(costs, JANUARY, "search", "none") == (0, 1, 0, "zero_spend")
    assert cost(costs, JANUARY, "mail", "none") == (5, 1, 5, "ok")  # spend without a campaign, a customer of `all`
    assert cost(costs, FEBRUARY, "mail", "news") == (0, 1, 0, "zero_spend")
    assert cost(costs, MARCH, "unattributed", "none", kind="blended") == (0, 1, 0, "zero_spend")
    silent = [key for key in costs if key[:4] == (FEBRUARY, "fully_loaded", "search", "spring")]
    assert not [key for key in silent if key[5:] == (DECLARED, 0)]  # neither spend nor customers


def test_missing_spend_is_not_zero_spend_at_any_level(costs: dict[Key, Row]) -> None:
    # January's spend of mail had no campaign and was for the south; the first row of its campaign is February's.
    later = {
        "all": cost(costs, FEBRUARY, lag=1),
        "channel": cost(costs, FEBRUARY, "mail", lag=1),
        "campaign": cost(costs, FEBRUARY, "mail", "news", lag=1),
        "segment": cost(costs, FEBRUARY, segment="region:north", lag=1),
    }
    assert {level: found[3] for level, found in later.items()} == {
        "all": "ok",
        "channel": "ok",
        "campaign": "zero_spend",
        "segment": "zero_spend",
    }
    assert cost(costs, FEBRUARY, "mail") == cost(costs, FEBRUARY, "mail", "news") == (0, 1, 0, "zero_spend")
    for place in ({}, {"channel": "mail"}, {"segment": "region:north"}):
        assert cost(costs, JANUARY, **place, lag=1)[3] == "spend_missing"  # nobody has a row before January
    assert cost(costs, JANUARY, "tv", kind="paid") == (0, 0, None, "no_new_customers")


def test_a_channel_without_its_row_is_missing_and_makes_the_sums_of_the_month_incomplete(
    spark: SparkSession, costs: dict[Key, Row]
) -> None:
    assert cost(costs, FEBRUARY, "search") == (None, 0, None, "spend_missing")  # rows in January and March alone
    late = computed(spark, [*CUSTOMERS, ("z", MARCH, "mail", "news", "b2b", "north")])
    assert cost(late, MARCH, "mail") == cost(late, MARCH, "mail", "news") == (None, 1, None, "spend_missing")
    assert cost(late, MARCH) == (20, 2, None, "spend_incomplete")
    assert cost(late, MARCH, segment="region:north") == (0, 1, None, "spend_incomplete")
    assert cost(late, MARCH, "search") == (20, 0, None, "no_new_customers")
    for model in ("linear", "first"):  # by these z is nobody's, but the bill of mail is still out
        assert cost(late, MARCH, model=model)[2:] == (None, "spend_incomplete"), model


def test_before_its_first_row_a_channel_costs_nothing(costs: dict[Key, Row]) -> None:
    # None of January's rows of mail is paid, one of February's is; d came through mail in January, without a campaign.
    assert cost(costs, JANUARY, "mail", kind="paid") == (0, 1, 0, "zero_spend")
    assert cost(costs, JANUARY, "mail", "none", kind="paid") == (0, 1, 0, "zero_spend")
    assert cost(costs, JANUARY, kind="paid") == (110, 4, Decimal("27.5"), "ok")


def test_a_channel_without_customers_makes_no_sum_incomplete(costs: dict[Key, Row]) -> None:
    for channel in ("mail", "tv"):
        assert cost(costs, MARCH, channel) == (None, 0, None, "spend_missing")
    assert cost(costs, MARCH) == (20, 1, 20, "ok")


def test_spend_of_a_lag_is_that_of_the_month_before(costs: dict[Key, Row]) -> None:
    assert cost(costs, FEBRUARY, lag=1) == (Decimal("122.01"), 1, Decimal("122.01"), "ok")
    assert cost(costs, MARCH, lag=0) == (20, 1, 20, "ok")


def segment(costs: dict[Key, Row], month: dt.date, name: str, kind: str = "fully_loaded") -> tuple[Any, ...]:
    row = costs[month, kind, "all", "all", name, DECLARED, 0]
    return row.spend_amount, row.allocated_amount, row.allocation_method, row.new_customer_count, row.cac_status


def test_segments_have_their_own_spend_and_a_share_of_the_rest(costs: dict[Key, Row]) -> None:
    """Search: 100.01 for one company and two consumers; mail: 5 for a consumer; nobody came through tv."""
    assert segment(costs, JANUARY, "customer_type:b2b") == (
        Decimal("43.3367"),
        Decimal("33.3367"),
        "allocated",
        1,
        "ok",
    )
    assert segment(costs, JANUARY, "customer_type:b2c") == (
        Decimal("71.6733"),
        Decimal("71.6733"),
        "allocated",
        3,
        "ok",
    )
    assert segment(costs, JANUARY, "customer_type:unallocated") == (7, 7, "none", 0, "no_new_customers")
    assert segment(costs, JANUARY, "region:south", "blended")[:3] == (
        Decimal("41.6666"),  # a third of 110, the second of three, and mail's 5
        Decimal("36.6666"),
        "allocated",
    )
    assert segment(costs, MARCH, "customer_type:other") == (20, 0, "direct", 0, "no_new_customers")
    assert segment(costs, MARCH, "customer_type:b2c") == (0, None, "none", 1, "zero_spend")
    assert segment(costs, MARCH, "region:unallocated") == (20, 20, "none", 0, "no_new_customers")


def test_every_level_adds_up_to_all_to_the_last_digit(costs: dict[Key, Row]) -> None:
    whole = {key: row for key, row in costs.items() if row.level == "all"}
    assert len(whole) == 3 * 3 * 3 * 2  # months, kinds of cost, models, lags
    for (month, kind, *_, model, lag), total in whole.items():
        same = [row for key, row in costs.items() if (key[0], key[1], *key[5:]) == (month, kind, model, lag)]
        for name, of_level in (
            ("channel", lambda row: row.level == "channel"),
            ("campaign", lambda row: row.level == "campaign"),
            ("type", lambda row: row.segment_id.startswith("customer_type:")),
            ("region", lambda row: row.segment_id.startswith("region:")),
        ):
            parts = [row for row in same if of_level(row)]
            assert sum(row.new_customer_count for row in parts) == total.new_customer_count, name
            assert sum(row.spend_amount or 0 for row in parts) == (total.spend_amount or 0), name
            assert total.spend_amount is not None or {row.spend_amount for row in parts} == {None}, name
