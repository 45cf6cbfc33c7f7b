"""Value by credits and segments with its interval, and what it allows to be spent, worked out by hand."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.contracts.budgets import MARKETING_BUDGETS, RETENTION_BUDGETS
from clv_lib.contracts.economics import UNIT_ECONOMICS
from clv_lib.metrics.attribution import with_places
from clv_lib.metrics.budgets import marketing_budgets, measured_uplifts, plans_by_place, retention_budgets
from clv_lib.metrics.predicted_values import predicted_values
from clv_lib.metrics.unit_economics import unit_economics
from clv_lib.models import sum_interval
from clv_lib.settings.models import Economics
from tests.spark.activity import activity_of

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

LEVEL, Z = 0.9, 1.6448536269514722
JANUARY = dt.date(2024, 1, 1)
MONEY = "decimal(28,4)"
VALUES = {"x": ("100", "30", 400.0), "y": ("40", "20", 100.0), "z": ("10", "10", 25.0)}
"""Customer to value so far, predicted value with ends of its mean at / and x 1.2, and own variance."""

PLACES = ("all", "search", "tv", "unattributed", "type:p", "type:q", "type:nobody")


@pytest.fixture(scope="module")
def economics(spark_session: SparkSession) -> dict[str, Row]:
    """x belongs to search and tv, y to search, z to nobody; x is in segment p, the others in q."""
    frame = spark_session.createDataFrame
    metrics = frame(
        [(c, JANUARY, "organic", "contribution_margin", Decimal(value), 100) for c, (value, *_) in VALUES.items()],
        f"customer_id string, cohort_month date, acquisition_channel string, value_basis string, historic_clv_amount"
        f" {MONEY}, exposure_days int",
    )
    half = Decimal("0.5")
    owned = [("x", "linear", "search", half), ("x", "linear", "tv", half), ("y", "linear", "search", Decimal(1))]
    credited = frame(
        [*owned, ("z", "other", "tv", Decimal(1))],
        "customer_id string, attribution_model string, channel string, credit decimal(9,8)",
    )
    members = frame(
        [("x", ["type:p"]), ("y", ["type:q"]), ("z", ["type:q"])], "customer_id string, segment_ids array<string>"
    )
    months = frame(
        [(c, JANUARY, 1, 1, *[Decimal(value)] * 3) for c, (value, *_) in VALUES.items()],
        f"customer_id string, month date, order_count bigint, margin_order_count bigint, net_amount {MONEY},"
        f" margin_amount {MONEY}, first_day_margin_amount {MONEY}",
    )
    predictions = frame(
        [
            (c, 365, Decimal(mean), Decimal(mean) / Decimal("1.2"), Decimal(mean) * Decimal("1.2"), variance)
            for c, (_, mean, variance) in VALUES.items()
        ],
        f"customer_id string, horizon_days int, predicted_clv_amount {MONEY}, predicted_clv_mean_lower_amount {MONEY},"
        f" predicted_clv_mean_upper_amount {MONEY}, predicted_clv_variance double",
    )
    costs = frame([_cost(name) for name in PLACES], _COSTS)
    placed = with_places(metrics, credited, members, "linear")
    settings = Economics(payback_cap_months=2)
    as_of = dt.date(2024, 5, 15)
    activity = activity_of(months, placed=placed, as_of=as_of)
    found = unit_economics(
        activity, placed, predicted_values(predictions, placed, LEVEL), costs, settings, LEVEL, as_of
    )
    assert dict(found.dtypes) == UNIT_ECONOMICS.schema
    return {row.channel if row.segment_id == "all:all" else row.segment_id: row for row in found.collect()}


_COSTS = (
    "period_month date, cac_type string, level string, channel string, segment_id string, attribution_model string,"
    f" is_primary boolean, spend_amount {MONEY}, cac_status string"
)


def _place(name: str) -> tuple[str, str]:
    return ("all", name) if ":" in name else (name, "all:all")


def _cost(name: str) -> tuple[Any, ...]:
    level = "segment" if ":" in name else "all" if name == "all" else "channel"
    return JANUARY, "blended", level, *_place(name), "linear", True, Decimal(60), "ok"


def test_a_customer_of_two_channels_counts_in_each_with_its_credit(economics: dict[str, Row]) -> None:
    names = ("customer_count", "historic_clv_total_amount", "predicted_clv_total_amount", "clv_amount", "cac_amount")
    found = {place: tuple(row[name] for name in names) for place, row in economics.items()}
    assert found == {
        "all": (3, 150, 60, 70, 20),
        "search": (Decimal("1.5"), 90, 35, Decimal("83.33333333"), 40),
        "tv": (Decimal("0.5"), 50, 15, 130, 120),
        "unattributed": (1, 10, 10, 20, 60),
        "type:p": (1, 100, 30, 130, 60),
        "type:q": (2, 50, 30, 40, 30),
        "type:nobody": (0, None, None, None, None),
    }
    assert economics["tv"].payback_status == economics["unattributed"].payback_status == "not_reached"
    assert economics["search"].cac_payback_months == 0  # 90 of 60
    assert economics["search"].ltv_to_cac_ratio == Decimal("2.08333333")


def test_the_interval_of_a_cohort_adds_variances_up(economics: dict[str, Row]) -> None:
    members = {"all": ("x", "y", "z"), "type:p": ("x",), "type:q": ("y", "z"), "unattributed": ("z",)}
    for place, customers in members.items():
        row, mean = economics[place], sum(float(VALUES[c][1]) for c in customers)
        relative = math.log(1.44) / (2 * Z)
        low, high = sum_interval(mean, sum(VALUES[c][2] for c in customers) + (relative * mean) ** 2, LEVEL)
        count, historic = float(row.customer_count), float(row.historic_clv_total_amount)
        assert float(row.clv_lower_amount) == pytest.approx((historic + low) / count, rel=0.005), place
        assert float(row.clv_upper_amount) == pytest.approx((historic + high) / count, rel=0.005), place
        assert (row.clv_interval_level, row.clv_interval_status) == (LEVEL, "ok")
    assert economics["type:nobody"].clv_interval_status == "no_customers"


def test_the_conservative_maximum_takes_the_low_end(economics: dict[str, Row]) -> None:
    row = economics["all"]
    assert row.payback_cap_value_amount == 50  # January to March, cap month 2 being over
    assert row.max_allowable_cac_amount == Decimal("23.33333333")
    assert row.max_allowable_cac_conservative_amount == (row.clv_lower_amount / 3).quantize(Decimal("0.00000001"))
    assert row.clv_lower_total_amount / 3 == pytest.approx(row.clv_lower_amount, abs=Decimal("0.0001"))
    nobody = economics["type:nobody"]
    assert (nobody.max_allowable_cac_amount, nobody.max_allowable_cac_conservative_amount) == (None, None)


AS_OF = dt.date(2025, 2, 10)
COHORTS = [  # channel or segment, cohort, customers, value, low end, value by the cap month, clv_status
    ("search", dt.date(2023, 12, 1), 5, 1000, 800, 200, "ok"),
    ("search", dt.date(2024, 6, 1), 10, 900, 700, None, "ok"),
    ("search", dt.date(2024, 9, 1), 30, 900, 500, None, "ok"),
    ("search", dt.date(2024, 10, 1), 0, None, None, None, "no_customers"),
    ("search", dt.date(2025, 2, 1), 1, 99_999, 99_999, None, "ok"),  # not complete
    ("slow", dt.date(2023, 2, 1), 2, 500, 400, 40, "ok"),
    ("slow", dt.date(2023, 1, 1), 2, 500, 400, 4_000, "ok"),  # 13 months before the latest whose cap month is over
    ("slow", dt.date(2025, 1, 1), 1, 300, 200, None, "ok"),
    ("early", dt.date(2024, 2, 1), 2, 60, 30, None, "ok"),
    ("mail", dt.date(2024, 6, 1), 4, 40, None, None, "historic_only"),
    ("tv", dt.date(2024, 6, 1), 2, -10, -20, None, "ok"),
    ("print", dt.date(2024, 6, 1), 2, None, None, None, "value_unknown"),
    ("region:north", dt.date(2023, 12, 1), 4, 1000, 800, 32, "ok"),
    ("region:north", dt.date(2024, 6, 1), 10, 600, 400, None, "ok"),
    ("region:north", dt.date(2024, 7, 1), 30, 600, 300, None, "ok"),
    ("region:south", dt.date(2024, 6, 1), 1, 9_999, 9_999, None, "ok"),  # not planned
]
PLANS = [
    (dt.date(2025, 3, 15), "search", None, "100", "1500"),
    (dt.date(2025, 3, 20), "search", None, "20", "400"),
    (dt.date(2025, 4, 1), "search", None, "100", "1500"),
    (dt.date(2025, 3, 1), "slow", None, "2.5", None),
    (dt.date(2025, 3, 1), None, "region:north", "7", "1"),
    (dt.date(2025, 3, 20), None, "region:north", "3", "90"),
    (dt.date(2025, 4, 1), None, "region:north", "2", "16"),
    (dt.date(2025, 3, 1), None, "kind:new", "5", None),
    (dt.date(2025, 6, 1), None, "channel:search", "20", "100"),
    (dt.date(2025, 7, 1), None, "all:all", "40", None),
    (dt.date(2025, 7, 1), "search", None, "30", None),
    (dt.date(2025, 9, 1), "radio", None, "5", "50"),
]


@pytest.fixture(scope="module")
def budgets(spark_session: SparkSession) -> dict[tuple[dt.date, str], Row]:
    rows = [
        (*_place(name), "blended", month, *(None if n is None else Decimal(n) for n in amounts), status)
        for name, month, *amounts, status in COHORTS
    ]
    cohorts = spark_session.createDataFrame(
        [(*row, Decimal(3), 12) for row in rows],
        f"channel string, segment_id string, cac_type string, cohort_month date, customer_count decimal(28,8),"
        f" clv_total_amount {MONEY}, clv_lower_total_amount {MONEY}, payback_cap_total_amount {MONEY},"
        " clv_status string, target_ltv_to_cac decimal(28,8), payback_cap_months int",
    )
    plans = spark_session.createDataFrame(
        [(*row[:3], *(None if text is None else Decimal(text) for text in row[3:])) for row in PLANS],
        "period_month date, channel string, segment_id string, planned_new_customers decimal(18,4),"
        " planned_spend_amount decimal(18,4)",
    )
    found = marketing_budgets(cohorts, plans_by_place(plans), AS_OF)
    assert dict(found.dtypes) == MARKETING_BUDGETS.schema
    listed = found.collect()
    by_place = {
        (row.period_month, row.channel if row.segment_id == "all:all" else row.segment_id): row for row in listed
    }
    assert len(by_place) == len(listed)
    return by_place


def test_the_maximum_of_a_channel_is_of_sums_over_a_year_of_cohorts(budgets: dict[Any, Row]) -> None:
    march = dt.date(2025, 3, 1)
    names = ("clv_amount", "payback_cap_value_amount", "max_allowable_cac_amount")
    names += ("max_allowable_cac_conservative_amount", "max_cac_status")
    found = {channel: tuple(row[name] for name in names) for (month, channel), row in budgets.items() if month == march}
    assert found["search"] == (45, 40, 15, 10, "ok")  # 1,800 / 40; the mean of both cohorts would be 60
    assert found["slow"] == (300, 20, 20, 20, "ok")
    assert found["early"] == (30, None, 10, 5, "cap_month_not_observed")
    assert found["mail"] == (10, None, Decimal("3.33333333"), None, "historic_only")
    assert found["tv"] == (-5, None, 0, 0, "unprofitable")
    assert found["print"] == (None, None, None, None, "value_unknown")
    coming = {month for month, channel in budgets if channel == "tv"}
    assert coming == {dt.date(2025, month, 1) for month in (3, 4, 5)}


def test_a_plan_is_within_its_ceiling_or_not(budgets: dict[Any, Row]) -> None:
    names = ("planned_new_customers", "planned_spend_amount", "budget_ceiling_amount")
    names += ("budget_ceiling_conservative_amount", "is_within_ceiling", "budget_status")
    found = {(m.month, channel): tuple(row[name] for name in names) for (m, channel), row in budgets.items()}
    assert found[3, "search"] == (120, 1900, 1800, 1200, False, "ok")
    assert found[4, "search"] == (100, 1500, 1500, 1000, True, "ok")
    assert found[5, "search"] == (None, None, None, None, None, "no_plan")
    assert found[3, "slow"] == (Decimal("2.5"), None, 50, 50, None, "ok")
    assert found[9, "radio"] == (5, 50, None, None, None, "max_cac_unknown")
    assert found[3, "all"][:2] == (Decimal("122.5"), 1900)  # the sum of its channels, segments left out


def test_a_planned_segment_has_the_ceiling_of_its_own_cohorts(budgets: dict[Any, Row]) -> None:
    names = ("clv_amount", "payback_cap_value_amount", "max_allowable_cac_amount", "max_cac_status")
    names += ("planned_new_customers", "planned_spend_amount", "budget_ceiling_amount", "is_within_ceiling")
    names += ("budget_status",)
    rows = {(m.month, name): row for (m, name), row in budgets.items()}
    found = {place: tuple(row[name] for name in names) for place, row in rows.items() if ":" in place[1]}
    # 1,200 / 40 over 3 is 10; 32 / 4 by the cap month is less.
    assert found == {
        (3, "region:north"): (30, 8, 8, "ok", 10, 91, 80, False, "ok"),
        (4, "region:north"): (30, 8, 8, "ok", 2, 16, 16, True, "ok"),
        (3, "kind:new"): (None, None, None, "value_unknown", 5, None, None, None, "max_cac_unknown"),
    }
    assert {row.channel for place, row in rows.items() if ":" in place[1]} == {"all"}
    assert rows[3, "region:north"].max_allowable_cac_conservative_amount == Decimal("5.83333333")  # 700 / 40 / 3
    assert rows[3, "region:north"].budget_ceiling_conservative_amount == Decimal("58.3333")
    assert rows[6, "search"].budget_ceiling_amount == 300  # planned as segment channel:search
    assert [rows[month, "all"].planned_new_customers for month in (6, 7)] == [20, 40]


def test_retention_may_cost_what_it_was_measured_to_bring(spark: SparkSession) -> None:
    segments = [("a", 90, 999, 9), ("a", 365, 1000, 10), *((s, 365, 1000, 10) for s in "bcde"), ("f", 365, None, 0)]
    predictions = spark.createDataFrame(
        [(s, days, None if value is None else Decimal(value), n) for s, days, value, n in segments],
        f"segment_id string, horizon_days int, residual_clv_amount {MONEY}, predicted_customer_count bigint",
    )
    results = [  # segment, metric, sizes, best estimate, uplift and its low end, adjusted ones, significant
        ("a", "contribution_margin", "ok", "cuped", 0.9, 0.8, 0.10, 0.04, True),
        ("a", "net_revenue", "ok", "cuped", 9.0, 9.0, 9.0, 9.0, True),
        ("b", "contribution_margin", "ok", "difference", 0.05, -0.01, None, None, False),
        ("c", "contribution_margin", "ok", "difference", -0.05, -0.1, None, None, True),
        ("d", "contribution_margin", "mismatch", "difference", 0.5, 0.4, None, None, True),
        ("f", "contribution_margin", "ok", "difference", 0.5, 0.4, None, None, True),
    ]
    experiments = spark.createDataFrame(
        [("mail", "letter", *row) for row in results],
        "experiment_id string, variant string, segment_id string, metric string, srm_status string,"
        " best_estimate string, relative_uplift double, relative_uplift_lower double, cuped_relative_uplift double,"
        " cuped_relative_uplift_lower double, is_significant boolean",
    )
    made = retention_budgets(predictions, measured_uplifts(experiments, "contribution_margin"), AS_OF)
    assert dict(made.dtypes) == RETENTION_BUDGETS.schema
    names = ("max_retention_spend_amount", "max_retention_spend_conservative_amount", "budget_status")
    rows = made.collect()
    assert {r.segment_id: (r.experiment_id, r.residual_clv_amount, *(r[name] for name in names)) for r in rows} == {
        "a": ("mail", 1000, 100, 40, "ok"),
        "b": ("mail", 1000, 50, 0, "not_significant"),
        "c": ("mail", 1000, 0, 0, "no_uplift"),
        "d": ("none", 1000, None, None, "no_uplift_estimate"),
        "e": ("none", 1000, None, None, "no_uplift_estimate"),
        "f": ("mail", None, None, None, "no_residual_value"),
    }
    assert {r.max_retention_spend_per_customer for r in rows if r.segment_id == "a"} == {10}
    without = retention_budgets(predictions, None, AS_OF).collect()
    assert {(r.budget_status, r.max_retention_spend_amount) for r in without} == {("no_uplift_estimate", None)}
