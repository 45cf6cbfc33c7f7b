"""Figures of recurring revenue per segment by hand, their NULLs, and the sums that the gate compares."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from clv_lib.contracts.contract_retention import CONTRACT_RETENTION
from clv_lib.contracts.recurring import MRR_METRICS, MRR_MOVEMENTS, RECURRING_IDENTITIES
from clv_lib.contracts.segments import CUSTOMER_SEGMENTS
from clv_lib.contracts.subscriptions import SUBSCRIPTION_PERIODS
from clv_lib.pipeline import begin
from clv_lib.pipeline.read_back import stored_profile
from clv_lib.pipeline.recurring import recurring, stored_subscriptions, subscription_rows, write_subscription_periods
from clv_lib.quality.expectations import expectations
from clv_lib.quality.profile import profile
from clv_lib.recurring.movements import mrr_changes, mrr_movements
from clv_lib.recurring.mrr_metrics import mrr_metrics
from clv_lib.settings import load_settings
from tests.spark.subscriptions import COLUMNS, period

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from clv_lib.pipeline.workspace import Workspace

AS_OF = dt.date(2024, 3, 15)


def members(spark: SparkSession) -> DataFrame:
    kinds = [("p", "x"), ("q", "x"), ("r", "y"), ("t", "z"), ("never", "y")]
    rows = [(c, f"kind:{k}", "kind", k, AS_OF) for c, k in kinds] + [
        (c, "all:all", "all", "all", AS_OF) for c, _ in kinds
    ]
    return spark.createDataFrame(rows, ", ".join(f"{name} {kind}" for name, kind in CUSTOMER_SEGMENTS.schema.items()))


# p grows from 100 to 150; q leaves and comes back with 80; r shrinks from 50 to 30 and cannot pay; s is no customer of
# the order table; t leaves in February and is back a year later.
YEAR = [
    period("p", "2023-01-01", "2023-07-09", "100"),
    period("p", "2023-07-09", None, "150"),
    period("q", "2023-01-01", "2023-06-01", "100", cancellation_type="voluntary"),
    period("q", "2023-09-01", None, "80"),
    period("r", "2023-01-01", "2023-10-05", "50"),
    period("r", "2023-10-05", "2024-02-10", "30", cancellation_type="involuntary"),
    period("s", "2023-05-01", None, "200"),
    period("t", "2023-01-01", "2023-02-01", "10"),
    period("t", "2024-01-01", None, "20"),
]


Figures = dict[tuple[str, str], Any]


@pytest.fixture(scope="module")
def stored(spark_session: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The periods above judged, measured and stored as in a run."""
    folder = tmp_path_factory.mktemp("recurring")
    given = [f"lake={folder / 'lake'}", "reporting.currency=GBP"]
    for name in ("orders", "subscriptions"):
        lines = [",".join(row[column] or "" for column in COLUMNS) for row in YEAR]
        (folder / f"{name}.csv").write_text("\n".join([",".join(COLUMNS), *lines]), encoding="utf-8")
        source = f"sources.{name}"
        given += [f"{source}.table={folder / name}.csv", f"{source}.format=csv", f"{source}.options.header=true"]
    started_at = dt.datetime(2024, 3, 16, tzinfo=dt.timezone.utc)
    work = begin(spark_session, load_settings(None, given, {}).settings, AS_OF, started_at)
    with work.progress.step("recurring"):
        work = write_subscription_periods(work, subscription_rows(work, None))
        work.write(CUSTOMER_SEGMENTS, members(spark_session))
        recurring(work)
    work.release()
    return work


@pytest.fixture(scope="module")
def figures(stored: Workspace) -> Figures:
    return {(row.segment_id, f"{row.period_month:%y-%m}"): row for row in stored.read(MRR_METRICS).collect()}


def test_segments_have_every_month_to_as_of(figures: Figures) -> None:
    months: dict[str, list[str]] = {}
    for segment, month in sorted(figures):
        months.setdefault(segment, []).append(month)
    first_and_last = {segment: (of[0], of[-1], len(of)) for segment, of in months.items()}
    assert first_and_last == {
        "all:all": ("23-01", "24-03", 15),
        "kind:x": ("23-01", "24-03", 15),
        "kind:y": ("23-01", "24-03", 15),
        "kind:z": ("23-01", "24-03", 15),
        "kind:unknown": ("23-05", "24-03", 11),
    }


def test_rates_of_a_month(figures: Figures) -> None:
    june, february = figures["all:all", "23-06"], figures["all:all", "24-02"]
    assert (june.mrr_start, june.churn_amount, june.mrr_end) == (450, 100, 350)
    assert june.gross_mrr_churn_rate == june.net_mrr_churn_rate == Decimal("0.22222222")
    assert (june.voluntary_churn_amount, june.voluntary_churned_customer_count) == (100, 1)
    january = figures["all:all", "24-01"]
    assert (january.gross_mrr_churn_rate, january.net_mrr_churn_rate) == (0, Decimal("-0.04347826"))  # -20 / 460
    assert (february.mrr_start, february.involuntary_churn_amount, february.gross_mrr_churn_rate) == (
        480,
        30,
        Decimal("0.0625"),
    )
    assert (february.customer_count_start, february.churned_customer_count, february.monthly_churn_rate) == (
        5,
        1,
        Decimal("0.2"),
    )
    # Wilson, 1 of 5: (1 + 1.920729 -+ 1.959964 x sqrt(0.8 + 0.960365)) / 8.841459
    assert float(february.churn_rate_lower) == pytest.approx(0.036224, abs=1e-6)
    assert float(february.churn_rate_upper) == pytest.approx(0.624466, abs=1e-6)
    assert figures["all:all", "23-02"].unknown_churn_amount == 10


def test_retention_of_the_same_customers(figures: Figures, stored: Workspace) -> None:
    january, february = figures["all:all", "24-01"], figures["all:all", "24-02"]
    assert january.nrr_12m == Decimal("0.69230769")  # 150 + 30 of 260: q and t had left in between, s is new
    assert january.grr_12m == Decimal("0.5")  # 100 + 30
    assert (february.nrr_12m, february.grr_12m) == (Decimal("0.6"), Decimal("0.4"))
    counted = mrr_metrics(stored.read(MRR_MOVEMENTS), stored.read(CUSTOMER_SEGMENTS), 0.95, True, AS_OF)
    [row] = counted.where("segment_id = 'all:all' and period_month = '2024-01-01'").collect()
    assert (row.nrr_12m, row.grr_12m) == (Decimal("1.07692308"), Decimal("0.84615385"))  # 280 and 220 of 260


def test_ratios_per_account(figures: Figures) -> None:
    now = figures["all:all", "24-03"]
    assert (now.mrr_end, now.arr_amount, now.customer_count_end, now.arpa_amount) == (450, 5400, 4, Decimal("112.5"))
    january = figures["kind:x", "23-10"]
    assert (january.mrr_end, january.arpa_amount) == (230, 115)
    june, february = figures["kind:x", "23-06"], figures["all:all", "23-02"]
    assert (june.quick_ratio, june.quick_ratio_status) == (0, "ok")
    assert (february.quick_ratio, february.quick_ratio_without_reactivation) == (0, 0)


def test_undefined_figures_say_why(figures: Figures) -> None:
    def rates(segment: str, month: str) -> tuple[Any, ...]:
        row = figures[segment, month]
        return row.gross_mrr_churn_rate, row.monthly_churn_rate, row.churn_rate_lower, row.churn_status

    def kept(segment: str, month: str) -> tuple[Any, ...]:
        row = figures[segment, month]
        return row.nrr_12m, row.grr_12m, row.retention_status

    assert rates("all:all", "23-01") == (None, None, None, "no_starting_mrr")
    assert rates("all:all", "24-03") == (None, None, None, "incomplete_month")
    assert kept("all:all", "23-12") == (None, None, "short_history")
    assert kept("kind:z", "24-02") == (None, None, "no_starting_mrr")
    assert kept("all:all", "24-03") == (None, None, "incomplete_month")
    july, now = figures["all:all", "23-07"], figures["all:all", "24-03"]
    assert (july.expansion_amount, july.quick_ratio, july.quick_ratio_status) == (50, None, "no_losses")
    assert (now.quick_ratio, now.quick_ratio_status, now.is_final, now.is_latest) == (
        None,
        "incomplete_month",
        False,
        True,
    )
    gone = figures["kind:y", "24-03"]
    assert (gone.mrr_end, gone.arpa_amount, gone.arpa_status) == (0, None, "no_active_subscribers")
    assert kept("kind:y", "24-02") == (0, 0, "ok")


def test_stored_tables_pass_the_gate(stored: Workspace) -> None:
    tables = (SUBSCRIPTION_PERIODS, MRR_MOVEMENTS, MRR_METRICS, CONTRACT_RETENTION)
    profiles = {table.name: stored_profile(stored, table) for table in tables}
    everything = expectations(tables, profiles, RECURRING_IDENTITIES, stored.settings.gate, ())
    of_tables = [one for one in everything if one.table_name != "conservation"]
    assert len(of_tables) > 100
    assert [one.label for one in of_tables if one.observed != 0 and one.kind != "row_count"] == []
    sums = {one.name: one.detail for one in of_tables if one.kind == "identity"}
    assert len(sums) == len(RECURRING_IDENTITIES)
    assert sums["mrr_of_periods"] == "mrr_movements.mrr_now = 450.0000, subscription_periods.mrr_now = 450.0000"
    # Over the months p has 600 + 1350, q 500 + 560, r 450 + 120, s 2200, t 10 + 60.
    assert sums["mrr_metrics_mrr_types"] == "mrr_metrics.mrr_types = 5850.0000, mrr_metrics.mrr_totals = 5850.0000"


def test_the_gate_refuses_churn_that_is_called_contraction(stored: Workspace) -> None:
    """Some published models test for less before they test for nothing, so that churn is never found."""
    kind = F.when(F.col("movement_type") == "churn", "contraction").otherwise(F.col("movement_type"))
    [row] = profile(stored.read(MRR_MOVEMENTS).withColumn("movement_type", kind), MRR_MOVEMENTS).collect()
    assert (row.violations__movement_of_amounts, row.violations__churn_has_type, row.violations__bridge) == (3, 3, 0)


def test_accepted_periods_are_counted_where_they_are_stored(stored: Workspace) -> None:
    [account] = stored_subscriptions(stored, "subscriptions").collect()
    assert (account.disposition, account.row_count, account.amount) == ("accepted", 9, 740)


def test_without_subscriptions_the_tables_are_empty(spark: SparkSession) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in SUBSCRIPTION_PERIODS.schema.items())
    moved = mrr_movements(mrr_changes(spark.createDataFrame([], columns)), None, AS_OF)
    assert mrr_metrics(moved, members(spark), 0.95, False, AS_OF).collect() == []
