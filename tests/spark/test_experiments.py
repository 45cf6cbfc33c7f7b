"""Experiments from assignments to results: dispositions, sums against plain Python in any order, and each status."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.sql import functions as F
from scipy import stats

from clv_lib.contracts.experiments import EXPERIMENT_ASSIGNMENTS, EXPERIMENT_RESULTS, METRICS
from clv_lib.experiments.assignments import accountable_assignments, assigned_customers, judged_assignments
from clv_lib.experiments.cells import (
    experiment_cells,
    experiments_without_orders,
    last_mature_day,
    unaffected_types,
)
from clv_lib.experiments.results import result_rows
from clv_lib.orders.mapping import map_source
from clv_lib.periods import add_months
from clv_lib.settings import load_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

    from clv_lib.settings import Settings

AS_OF = dt.date(2024, 6, 30)
MONTHS = 2
NORTH, SOUTH = "region:north", "region:south"
GIVEN = (
    "lake=./lake",
    "reporting.currency=GBP",
    "reporting.time_zone=Europe/London",
    "sources.orders.table=./orders",
    f"experiments.outcome_months={MONTHS}",
    "experiments.minimum_cell_customers=4",
)
MONTH_COLUMNS = (
    "customer_id string, month date, first_ordered_date date, order_count bigint, margin_order_count bigint,"
    " net_amount decimal(28,4), margin_amount decimal(28,4)"
)
VARIANTS = ("a", "b", "control")

Months = dict[str, list[tuple[dt.date, Decimal, Decimal, bool]]]
Cells = dict[tuple[str, str | None, str], dict[str, Any]]
Results = dict[tuple[str, str, str, str], dict[str, Any]]


def settings() -> Settings:
    return load_settings(None, list(GIVEN), {}).settings


def histories() -> Months:
    """Customer to month, net amount, margin, and whether the margin is known; m001 to m090, p1 never ordered."""
    draw = random.Random(1)
    found: Months = {}
    for number in range(1, 91):
        months = [add_months(dt.date(2023, 11, 1), offset) for offset in range(8) if draw.random() < 0.6]
        if number == 10:
            months = [dt.date(2024, 4, 1)]
        amounts = [Decimal(draw.randrange(1, 4_000_000)).scaleb(-4) for _ in months]
        found[f"m{number:03d}"] = [
            (month, amount, (amount / 2).quantize(Decimal("0.0001")), number != 10)
            for month, amount in zip(months, amounts, strict=True)
        ]
    return found


def assignments() -> list[tuple[str | None, str | None, str | None, str | None]]:
    """Three variants from March, an experiment without control, one that is not over, and rows that are not sound."""
    march = [("big", VARIANTS[number % 3], f"m{number:03d}", "2024-03-10 12:00:00") for number in range(1, 91)]
    return [
        *march,
        ("big", "a", "p1", "2024-03-10 12:00:00"),
        ("big", "b", "m002", "2024-03-11 12:00:00"),
        ("big", "control", "m001", "2024-03-12 12:00:00"),
        # in London it is May
        ("big", "a", "late", "2024-04-30 23:30:00Z"),
        ("big", None, "m001", "2024-03-10"),
        ("big", "a", None, "2024-03-10"),
        (None, "a", "m001", "2024-03-10"),
        ("big", "a", "m004", "soon"),
        ("big", "a", "m004", "1970-01-01"),
        ("big", "b", "m004", "2024-07-01"),
        ("twice", "a", "c", "2024-03-31T23:30:00Z"),
        ("twice", "a", "c", "2024-02-03"),
        *(("lonely", "a", f"m{number:03d}", "2024-03-10") for number in range(1, 9)),
        *(("young", VARIANTS[1 + number % 2], f"m{number:03d}", "2024-05-02") for number in range(1, 21)),
        *(("quiet", VARIANTS[1 + number % 2], f"q{number}", "2024-03-10") for number in range(1, 11)),
    ]


def region(customer: str) -> str:
    return "north" if int(customer[1:]) % 10 else "south"


@pytest.fixture(scope="module")
def judged(spark_session: SparkSession) -> DataFrame:
    raw = spark_session.createDataFrame(
        assignments(), ", ".join(f"{name} string" for name in EXPERIMENT_ASSIGNMENTS.columns)
    )
    mapped = map_source(raw, EXPERIMENT_ASSIGNMENTS, {}, currency="GBP", time_zone="Europe/London")
    return judged_assignments(accountable_assignments(mapped, "GBP"), settings(), AS_OF).cache()


@pytest.fixture(scope="module")
def dispositions(judged: DataFrame) -> list[Row]:
    return judged.collect()


def collected(spark: SparkSession, assigned: DataFrame, seed: int) -> Cells:
    """The cells, with the rows of months and segments in an order of their own, and in as many partitions."""
    order = random.Random(seed)
    months = [
        (customer, month, month.replace(day=3), 1, int(known), net, margin)
        for customer, own in histories().items()
        for month, net, margin, known in own
    ]
    segments = [
        (customer, kind, name) for customer in histories() for kind, name in (("region", region(customer)), ("x", "y"))
    ]
    order.shuffle(months)
    order.shuffle(segments)
    cells = experiment_cells(
        assigned.repartition(1 + seed, F.rand(seed)),
        spark.createDataFrame(months, MONTH_COLUMNS).repartition(1 + seed),
        spark.createDataFrame(
            [(customer, min(own)[0].replace(day=3)) for customer, own in histories().items() if own],
            "customer_id string, first_order_date date",
        ),
        spark.createDataFrame(segments, "customer_id string, segment_type string, segment_name string"),
        ["region"],
        MONTHS,
        AS_OF,
    )
    rows = [row.asDict() for row in cells.collect()]
    return {(row["experiment_id"], row["variant"], f"{row['segment_type']}:{row['segment_name']}"): row for row in rows}


@pytest.fixture(scope="module")
def cells(spark_session: SparkSession, judged: DataFrame) -> Cells:
    return collected(spark_session, assigned_customers(judged), 1)


@pytest.fixture(scope="module")
def results(cells: Cells) -> Results:
    rows = result_rows(cells.values(), METRICS, settings().experiments, AS_OF)
    named = [dict(zip(EXPERIMENT_RESULTS.own_columns, row, strict=True)) for row in rows]
    found = {(row["experiment_id"], row["metric"], row["segment_id"], row["variant"]): row for row in named}
    assert len(found) == len(rows)
    return found


def customers_of(variant: str) -> list[str]:
    """Whose only variant in the experiment `big` it is; of March."""
    own = [f"m{number:03d}" for number in range(1, 91) if VARIANTS[number % 3] == variant]
    return [name for name in own if name not in ("m002", "m001")] + (["p1"] if variant == "a" else [])


def values(customers: list[str], start: dt.date, *, margin: bool) -> np.ndarray[Any, np.dtype[Any]]:
    """What each was worth in the months from `start`, exactly."""
    known, end = histories(), add_months(start, MONTHS)
    return np.array(
        [
            sum((one[1 + margin] for one in known.get(name, ()) if start <= one[0] < end), Decimal(0))
            for name in customers
        ],
        dtype=object,
    )


def test_each_assignment_gets_one_disposition(dispositions: list[Row]) -> None:
    rows = [row for row in dispositions if row.experiment_id in ("big", None)]
    counted = Counter(row.disposition for row in rows)
    assert counted == {
        "accepted": 88 + 2,
        "conflicting_assignment": 4,
        "quarantined": 5,
        "after_as_of": 1,
    }
    reasons = Counter(tuple(row.reasons) for row in rows if row.disposition == "quarantined")
    assert reasons == {
        ("null_variant",): 1,
        ("null_customer_id",): 1,
        ("null_experiment_id",): 1,
        ("unreadable_assigned_at",): 1,
        ("before_earliest_date",): 1,
    }
    assert all((row.source_row is not None) == (row.disposition == "quarantined") for row in rows)


def test_who_is_assigned_twice_to_a_variant_counts_from_the_first_day(dispositions: list[Row], cells: Cells) -> None:
    days = {row.disposition: row.assigned_date for row in dispositions if row.experiment_id == "twice"}
    assert days == {"accepted": dt.date(2024, 2, 3), "repeated_assignment": dt.date(2024, 4, 1)}
    assert cells["twice", "a", "all:all"]["assigned_count"] == 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("metric", "margin"), [("net_revenue", False), ("contribution_margin", True)])
def test_sums_are_those_of_plain_python(cells: Cells, variant: str, metric: str, margin: bool) -> None:
    customers = customers_of(variant)
    y = values(customers, dt.date(2024, 4, 1), margin=margin)
    x = values(customers, dt.date(2024, 1, 1), margin=margin)
    cell = cells["big", variant, "all:all"]
    assert cell["customer_count"] == len(customers)
    found = [cell[f"{metric}_{name}"] for name in ("y", "yy", "x", "xx", "xy")]
    assert found == [y.sum(), (y * y).sum(), x.sum(), (x * x).sum(), (x * y).sum()]


def test_the_order_of_rows_changes_nothing(spark: SparkSession, judged: DataFrame, cells: Cells) -> None:
    assert collected(spark, assigned_customers(judged), 2) == cells


def test_segments_add_up_and_strangers_are_unknown(cells: Cells) -> None:
    totals: defaultdict[tuple[str, str | None], Counter[str]] = defaultdict(Counter)
    for (experiment, variant, segment), cell in cells.items():
        numbers = {name: value for name, value in cell.items() if isinstance(value, int | Decimal)}
        side = "all" if segment == "all:all" else "types"
        totals[experiment, variant].update({f"{side} {name}": value for name, value in numbers.items()})
    for total in totals.values():
        assert {k[4:]: v for k, v in total.items() if k.startswith("all ")} == {
            k[6:]: v for k, v in total.items() if k.startswith("types ")
        }
    assert {segment for _, _, segment in cells} == {"all:all", NORTH, SOUTH, "region:unknown"}
    strangers = without_order_before_march_10("b")
    assert "m010" in strangers
    assert cells["big", "b", "region:unknown"]["assigned_count"] == len(strangers)
    assert cells["big", None, "all:all"]["assigned_count"] == 2


def test_an_experiment_of_strangers_is_found(cells: Cells) -> None:
    """Their outcome months are over, and none of them ever ordered; of those of `young` nothing is known yet."""
    assert experiments_without_orders(cells.values()) == {"quiet": 10, "twice": 1}


def without_order_before_march_10(variant: str) -> list[str]:
    """Customers who are strangers when they are assigned."""
    known = histories()
    return [
        name
        for name in customers_of(variant)
        if not any(month <= dt.date(2024, 3, 1) for month, *_ in known.get(name, ()))
    ]


def test_the_total_is_the_welch_test_of_the_customers(results: Results) -> None:
    row = results["big", "net_revenue", "all:all", "a"]
    start = dt.date(2024, 4, 1)
    own, control = (values(customers_of(v), start, margin=False).astype(float) for v in ("a", "control"))
    test = stats.ttest_ind(own, control, equal_var=False)
    interval = test.confidence_interval(0.95)
    assert row["result_status"] == "ok" and row["uplift_status"] in ("ok", "control_may_be_zero")
    assert (row["customer_count"], row["control_customer_count"]) == (len(own), len(control))
    assert row["immature_customer_count"] == 1 and row["conflicting_customer_count"] == 2
    assert row["difference_amount"] == pytest.approx(own.mean() - control.mean())
    assert row["difference_lower_amount"] == pytest.approx(interval.low)
    assert row["p_value"] == pytest.approx(test.pvalue)
    assert float(row["value_amount"]) == pytest.approx(own.sum())
    assert row["relative_uplift"] == pytest.approx(own.mean() / control.mean() - 1)


def test_history_adjusts_by_the_slope_within_variants(results: Results) -> None:
    own = {v: customers_of(v) for v in VARIANTS}
    y, x = (
        {v: values(own[v], start, margin=False).astype(float) for v in VARIANTS}
        for start in (dt.date(2024, 4, 1), dt.date(2024, 1, 1))
    )
    within = [(y[v] - y[v].mean(), x[v] - x[v].mean()) for v in VARIANTS]
    theta = sum(float(a @ b) for a, b in within) / sum(float(b @ b) for _, b in within)
    adjusted = {v: y[v] - theta * x[v] for v in VARIANTS}
    row = results["big", "net_revenue", "all:all", "b"]
    assert row["cuped_theta"] == pytest.approx(theta)
    assert row["cuped_difference_amount"] == pytest.approx(adjusted["b"].mean() - adjusted["control"].mean())
    test = stats.ttest_ind(adjusted["b"], adjusted["control"], equal_var=False)
    assert row["cuped_p_value"] == pytest.approx(test.pvalue)
    assert row["cuped_status"] == "ok" and row["best_estimate"] == "cuped"


def test_p_values_are_adjusted_within_a_segment_type(results: Results) -> None:
    own = [row for key, row in results.items() if key[:2] == ("big", "net_revenue")]
    total = [row for row in own if row["segment_type"] == "all"]
    assert {row["test_count"] for row in total} == {2}
    assert min(row["adjusted_p_value"] for row in total) == pytest.approx(
        min(1, 2 * min(row["cuped_p_value"] for row in total))
    )
    regions = [row for row in own if row["segment_type"] == "region" and row["result_status"] == "ok"]
    assert {row["test_count"] for row in regions} == {len(regions)} and len(regions) >= 2
    assert all(row["is_significant"] == (row["adjusted_p_value"] < 0.05) for row in regions)


def test_sizes_of_variants_are_compared_with_what_was_intended(results: Results, cells: Cells) -> None:
    row = results["big", "net_revenue", SOUTH, "a"]
    sizes = [len(customers_of(variant)) + (variant == "a") for variant in VARIANTS]
    assert row["srm_p_value"] == pytest.approx(stats.chisquare(sizes).pvalue)
    assert row["srm_status"] == "ok"
    skewed = settings().experiments.model_copy(update={"variant_weights": {"big:a": 9.0}})
    again = result_rows(cells.values(), METRICS[:1], skewed, AS_OF)
    named = [dict(zip(EXPERIMENT_RESULTS.own_columns, one, strict=True)) for one in again]
    assert {one["srm_status"] for one in named if one["experiment_id"] == "big"} == {"mismatch"}
    assert {one["srm_status"] for one in named if one["experiment_id"] == "lonely"} == {"not_tested"}


@pytest.mark.parametrize(
    ("experiment", "metric", "segment", "variant", "status"),
    [
        ("big", "contribution_margin", "all:all", "a", "ok"),
        ("big", "contribution_margin", "all:all", "control", "margin_unknown"),
        ("big", "net_revenue", SOUTH, "a", "too_few_customers"),
        ("lonely", "net_revenue", "all:all", "a", "no_control"),
        ("young", "net_revenue", "all:all", "b", "outcome_not_over"),
        ("quiet", "net_revenue", "all:all", "b", "no_variance"),
    ],
)
def test_what_is_not_defined_says_why(
    results: Results, experiment: str, metric: str, segment: str, variant: str, status: str
) -> None:
    if variant == "control":
        variant = "b"
    row = results[experiment, metric, segment, variant]
    assert row["result_status"] == status
    figures = ("difference_amount", "control_value_amount", "value_amount", "p_value")
    assert all((row[name] is None) == (status != "ok") for name in (*figures, "adjusted_p_value", "is_significant"))
    if status != "ok":
        assert (row["uplift_status"], row["cuped_status"], row["best_estimate"]) == ("no_result", "no_result", "none")


def by_hand(variant: str, values: list[int], before: list[int]) -> dict[str, Any]:
    """The cell of a variant whose customers were worth `values`, and `before` that."""
    y, x = ([Decimal(one) for one in amounts] for amounts in (values, before))
    cell: dict[str, Any] = {
        "experiment_id": "hand",
        "variant": variant,
        "segment_type": "all",
        "segment_name": "all",
        "assigned_count": len(y),
        "immature_count": 0,
        "customer_count": len(y),
        "unknown_margin_count": 0,
    }
    for name, left, right in (("y", y, None), ("yy", y, y), ("x", x, None), ("xx", x, x), ("xy", x, y)):
        cell[f"net_revenue_{name}"] = sum(a * b for a, b in zip(left, right or [Decimal(1)] * len(left), strict=True))
    return cell


def compared_by_hand(*cells: dict[str, Any]) -> dict[str, Any]:
    [row] = result_rows(cells, ["net_revenue"], settings().experiments, AS_OF)
    return dict(zip(EXPERIMENT_RESULTS.own_columns, row, strict=True))


def test_a_control_that_lost_money_has_a_difference_and_no_uplift() -> None:
    own, control = by_hand("a", [10, 20, 10, 20], [0] * 4), by_hand("control", [-10, -10, -30, -30], [0] * 4)
    row = compared_by_hand(own, control)
    assert (row["result_status"], row["uplift_status"], row["difference_amount"]) == ("ok", "control_not_positive", 35)
    assert [row[f"relative_uplift{end}"] for end in ("", "_lower", "_upper")] == [None] * 3
    # Variances 100 / 3 and 400 / 3 of four customers each.
    reach = stats.t.ppf(0.975, (500 / 12) ** 2 / ((100 / 12) ** 2 / 3 + (400 / 12) ** 2 / 3)) * (500 / 12) ** 0.5
    assert row["difference_lower_amount"] == pytest.approx(35 - reach)


def test_without_anything_before_the_plain_difference_is_to_be_read() -> None:
    own, control = by_hand("a", [10, 20, 10, 20], [0] * 4), by_hand("control", [5, 15, 5, 15], [0] * 4)
    row = compared_by_hand(own, control)
    assert (row["uplift_status"], row["cuped_status"], row["best_estimate"]) == ("ok", "no_history", "difference")
    assert row["relative_uplift"] == pytest.approx(0.5)
    figures = [name for name in row if name.startswith("cuped_") and name != "cuped_status"]
    assert len(figures) > 5 and all(row[name] is None for name in figures)
    assert row["adjusted_p_value"] == row["p_value"]
    before = compared_by_hand(by_hand("a", [10, 20, 10, 20], [1, 0, 0, 0]), control)
    assert (before["cuped_status"], before["best_estimate"]) == ("ok", "cuped")


def test_only_types_that_the_treatment_cannot_change_are_compared() -> None:
    assert unaffected_types(settings().segments) == ["cohort", "channel"]


@pytest.mark.parametrize(
    ("as_of", "day"),
    [
        (dt.date(2024, 6, 30), dt.date(2024, 4, 30)),
        (dt.date(2024, 6, 29), dt.date(2024, 3, 31)),
        (dt.date(2024, 12, 31), dt.date(2024, 10, 31)),
    ],
)
def test_an_outcome_is_over_when_its_months_are(as_of: dt.date, day: dt.date) -> None:
    assert last_mature_day(2, as_of) == day
