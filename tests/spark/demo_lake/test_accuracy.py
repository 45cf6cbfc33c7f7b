"""What the run says of its own predictions: against outcomes that plain Python takes from the stored orders."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from clv_lib.contracts.customers import CUSTOMER_METRICS
from clv_lib.contracts.silver import CUSTOMER_ORDERS
from clv_lib.lake import register_views
from clv_lib.models import TRANSACTION_MODELS, TransactionStatistics
from clv_lib.pipeline import begin
from clv_lib.pipeline.predicting import compare_models
from clv_lib.pipeline.states import customers_as_of
from tests.spark.scans import counted_scans

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

MODELS = {"bg_nbd", "mbg_nbd", "pareto_nbd"}
BASELINES = {"last_period", "mean_rate", "hiatus"}
TOTAL = "segment_id = 'all:all'"


@pytest.fixture
def views(spark: SparkSession, published: Any) -> SparkSession:
    """The session with a view of every published table."""
    register_views(published.demo.lake, published.outcome.publication)
    return spark


def order_days(views: SparkSession) -> dict[str, set[dt.date]]:
    """Days with orders of each customer."""
    days: dict[str, set[dt.date]] = defaultdict(set)
    for row in views.sql("select customer_id, ordered_date from customer_orders").collect():
        days[row.customer_id].add(row.ordered_date)
    return days


def of_all_customers(views: SparkSession) -> dict[str, Row]:
    return {row.model_id: row for row in views.table("prediction_accuracy").where(TOTAL).collect()}


def groupings_taken(views: SparkSession) -> dict[str, Row]:
    """What is said of all customers by the groupings that are taken, by measure."""
    rows = views.table("prediction_groupings").where(f"is_taken and {TOTAL}").collect()
    return {row.measure: row for row in rows}


def judged_models(views: SparkSession) -> set[str]:
    return MODELS | {"nbd"} | ({"by_group"} if groupings_taken(views) else set())


def test_actual_orders_and_baselines_are_those_of_the_orders(published: Any, views: SparkSession) -> None:
    days, rows = order_days(views), of_all_customers(views)
    assert set(rows) == judged_models(views) | BASELINES
    horizon = published.demo.settings.predictions.holdout_days
    end = published.demo.as_of - dt.timedelta(days=horizon)
    before = {name: {day for day in own if day <= end} for name, own in days.items()}
    known = {name: own for name, own in before.items() if own}
    actual = {name: len(days[name]) - len(own) for name, own in known.items()}
    last = {name: sum(day > end - dt.timedelta(days=horizon) for day in own) for name, own in known.items()}
    errors = [last[name] - actual[name] for name in known]
    row = rows["last_period"]
    assert (row.calibration_end_date, row.horizon_days) == (end, horizon)
    assert {one.customer_count for one in rows.values()} == {len(known)}
    assert {one.actual_orders for one in rows.values()} == {sum(actual.values())}
    assert row.predicted_orders == sum(last.values())
    assert row.orders_mae == pytest.approx(sum(map(abs, errors)) / len(known), rel=1e-9)
    assert row.orders_rmse == pytest.approx((sum(e * e for e in errors) / len(known)) ** 0.5, rel=1e-9)
    assert row.actual_active_share == pytest.approx(sum(n > 0 for n in actual.values()) / len(known), rel=1e-9)
    inactivity = published.demo.settings.churn.inactivity_days
    recent = {name: (end - max(own)).days < inactivity for name, own in known.items()}
    wrong = sum(recent[name] != (actual[name] > 0) for name in known)
    assert rows["hiatus"].activity_brier_score == pytest.approx(wrong / len(known), rel=1e-9)
    assert (rows["hiatus"].predicted_orders, rows["hiatus"].accuracy_status) == (None, "activity_only")


def test_models_do_better_than_simple_rules_on_data_that_follow_them(views: SparkSession) -> None:
    rows = of_all_customers(views)
    with_death = [name for name in judged_models(views) if name != "nbd"]
    assert rows["nbd"].orders_bias_ratio > max(rows[name].orders_bias_ratio for name in with_death)
    for name in with_death:
        row = rows[name]
        assert row.accuracy_status == "ok" and row.beats_baselines
        assert 0.75 < row.orders_bias_ratio < 1.25
        assert row.orders_total_lower < row.predicted_orders < row.orders_total_upper
        assert row.orders_interval_coverage > 0.9 and row.amount_interval_coverage > 0.85
        assert row.orders_normalised_gini > rows["mean_rate"].orders_normalised_gini
    assert {rows[name].beats_baselines for name in BASELINES} == {None}


def chosen_model(views: SparkSession) -> str:
    [row] = views.sql("select distinct model_id from customer_predictions").collect()
    return str(row.model_id.removesuffix("+gamma_gamma"))


def test_the_published_model_is_the_one_with_the_lowest_error(views: SparkSession) -> None:
    rows, chosen = of_all_customers(views), chosen_model(views)
    assert rows[chosen].orders_rmse <= 1.01 * min(rows[name].orders_rmse for name in MODELS)
    pooled = views.table("model_fits").where("parameter = 'r' and segment_id = 'all:all'").collect()
    assert "holdout" in {row.model_id: row.selection_reason for row in pooled}[chosen]


def test_what_is_published_are_the_fits_of_the_groups_that_are_taken(views: SparkSession) -> None:
    """Their expected orders are those that the comparison of the grouping found by another way."""
    rows, taken, chosen = of_all_customers(views), groupings_taken(views), chosen_model(views)
    published = [name for name, row in rows.items() if row.is_published_model]
    if not taken:
        assert published == [chosen]
        return
    assert published == ["by_group"]
    by_group, pooled = rows["by_group"], rows[chosen]
    expected = taken["orders"].grouped_predicted_value if "orders" in taken else pooled.predicted_orders
    assert by_group.predicted_orders == pytest.approx(expected, rel=1e-6)
    assert by_group.amount_total_lower < by_group.predicted_amount < by_group.amount_total_upper
    assert by_group.baseline_orders_rmse == pooled.baseline_orders_rmse


def test_customers_of_a_segment_type_add_up(views: SparkSession) -> None:
    """Each customer is in one segment of a type, so their orders and errors add up to the total's."""
    rows = views.table("prediction_accuracy").where("is_published_model").collect()
    sums: Counter[str] = Counter()
    for row in rows:
        sums[row.segment_id.partition(":")[0]] += row.orders_mae * row.customer_count
    assert len(sums) > 5
    assert list(sums.values()) == pytest.approx([sums["all"]] * len(sums), rel=1e-9)


def test_calibration_and_tracking_hold_the_same_orders(published: Any, views: SparkSession) -> None:
    rows = of_all_customers(views)
    for kind in ("frequency", "predicted_decile"):
        buckets = views.table("prediction_calibration").where(f"bucket_type = '{kind}'").collect()
        for name in judged_models(views):
            own = [row for row in buckets if row.model_id == name]
            assert sum(row.customer_count for row in own) == rows[name].customer_count
            actual = sum(row.customer_count * row.actual_orders_mean for row in own)
            predicted = sum(row.customer_count * row.predicted_orders_mean for row in own)
            assert (actual, predicted) == pytest.approx((rows[name].actual_orders, rows[name].predicted_orders))
    end = published.demo.as_of - dt.timedelta(days=published.demo.settings.predictions.holdout_days)
    known = {name: own for name, own in order_days(views).items() if min(own) <= end}
    repeat = sum(len(own) - 1 for own in known.values())
    tracked = views.table("prediction_tracking").where("model_id = 'mbg_nbd'").orderBy("period_month").collect()
    assert tracked[-1].cumulative_actual_orders == repeat
    assert tracked[-1].cumulative_predicted_orders == pytest.approx(repeat, rel=0.2)
    assert [row.is_holdout for row in tracked] == sorted(row.is_holdout for row in tracked)


def test_bands_hold_every_customer_once(published: Any, views: SparkSession) -> None:
    rows = views.table("prediction_bands").where("horizon_days = 365").collect()
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row.band_type] += row.customer_count
    customers = published.truth.accepted_customers
    assert counts == {"churn_risk": customers, "spend_tier": customers}
    tiers = {row.band: row for row in rows if row.band_type == "spend_tier"}
    assert tiers["high"].customer_count == pytest.approx(0.2 * customers, abs=0.02 * customers)
    assert tiers["high"].customer_count + tiers["medium"].customer_count == pytest.approx(0.5 * customers, rel=0.03)
    assert tiers["medium"].upper_value == tiers["high"].lower_value


def test_fits_by_customer_type_are_compared_as_published(published: Any, views: SparkSession) -> None:
    """Every figure anew: histories from the stored orders, fits and scores by NumPy, and the verdict by its rule."""
    settings, days = published.demo.settings.predictions, order_days(views)
    end = published.demo.as_of - dt.timedelta(days=settings.holdout_days)
    found = views.table("prediction_groupings").where("grouping = 'customer_type' and measure = 'orders'").collect()
    rows = {row.segment_id: row for row in found}
    model = TRANSACTION_MODELS[rows["all:all"].model_id]
    members = views.sql("select customer_id, segment_id from customer_segments where segment_type = 'customer_type'")
    segment_of = {row.customer_id: row.segment_id for row in members.collect()}
    known = sorted(name for name, own in days.items() if min(own) <= end)
    before = np.array([history([day for day in days[name] if day <= end], end) for name in known])
    after = np.array([history(list(days[name]), published.demo.as_of) for name in known])
    segments = np.array([segment_of[name] for name in known])

    def scored(inside: Any) -> tuple[Any, str]:
        x, recency, age = before[inside].T
        statistics = TransactionStatistics.unweighted(x, recency, age)
        fit = model.fit(statistics, minimum_customers=settings.minimum_group_customers)
        if fit.model is None:
            return None, fit.status
        gain = fit.model.log_likelihood(*after[inside].T) - fit.model.log_likelihood(x, recency, age)
        return (fit.model.expected_purchases(settings.holdout_days / 7, x, recency, age), gain), fit.status

    everybody = np.ones(len(known), dtype=bool)
    (expected, score), _ = scored(everybody)
    pooled, pooled_score = expected.copy(), score.copy()
    assert set(rows) == {"all:all", *segments}
    for segment_id in set(segments):
        own, status = scored(segments == segment_id)
        assert rows[segment_id].fit_status == status
        assert rows[segment_id].fit_used == ("pooled" if own is None else "own")
        if own is not None:
            expected[segments == segment_id], score[segments == segment_id] = own
    actual = after[:, 0] - before[:, 0]
    for segment_id, row in rows.items():
        inside = everybody if segment_id == "all:all" else segments == segment_id
        gain = (score - pooled_score)[inside]
        error = gain.std(ddof=1) / np.sqrt(inside.sum())
        rmse = [np.sqrt(np.mean((one - actual)[inside] ** 2)) for one in (expected, pooled)]
        assert (row.customer_count, row.actual_value) == (inside.sum(), actual[inside].sum())
        assert [row.grouped_rmse, row.pooled_rmse] == pytest.approx(rmse, rel=1e-6)
        assert row.grouped_bias_ratio == pytest.approx(expected[inside].sum() / actual[inside].sum(), rel=1e-6)
        assert row.log_score_gain == pytest.approx(gain.mean(), abs=1e-6)
        assert row.log_score_gain_standard_error == pytest.approx(error, abs=1e-6)
        assert row.beats_pooled == (gain.mean() > 2 * error and rmse[0] < rmse[1])


def test_value_of_order_days_by_customer_type_is_compared_as_published(published: Any, views: SparkSession) -> None:
    """Fits of Gamma-Gamma and figures of what came, from the stored orders; but for bins of 1 %."""
    settings = published.demo.settings.predictions
    end = published.demo.as_of - dt.timedelta(days=settings.holdout_days)
    where = "grouping = 'customer_type' and measure = 'order_value'"
    rows = {row.segment_id: row for row in views.table("prediction_groupings").where(where).collect()}
    [basis] = views.sql("select distinct value_basis from customer_metrics").collect()
    assert basis.value_basis == "contribution_margin"
    worth: dict[str, dict[dt.date, float]] = defaultdict(lambda: defaultdict(float))
    for order in views.sql("select customer_id, ordered_date, margin_amount from customer_orders").collect():
        worth[order.customer_id][order.ordered_date] += float(order.margin_amount)
    bought = {name: own for name, own in worth.items() if min(own) <= end < max(own)}
    assert rows["all:all"].customer_count == pytest.approx(len(bought), rel=0.06), "but for a few refunded in full"
    total = sum(amount for own in bought.values() for day, amount in own.items() if day > end)
    assert rows["all:all"].actual_value == pytest.approx(total, rel=0.15), "refunds count when they are paid back"
    assert {name: row.fit_used for name, row in rows.items()} == {
        "all:all": "own", "customer_type:b2b": "own", "customer_type:b2c": "own"
    }  # fmt: skip
    every = rows["all:all"]
    assert every.grouped_rmse < every.pooled_rmse, "companies spend five times as much as consumers"
    assert every.log_score_gain > -2 * every.log_score_gain_standard_error
    for name in ("customer_type:b2b", "customer_type:b2c"):
        assert 0.6 < rows[name].grouped_bias_ratio < 1.6


def history(days: list[dt.date], end: dt.date) -> tuple[float, float, float]:
    """x, t_x and T in weeks."""
    first = min(days)
    return len(days) - 1, (max(days) - first).days / 7, (end - first).days / 7


def test_a_grouping_is_taken_only_if_it_beats_the_pooled_fit(published: Any, views: SparkSession) -> None:
    groupings = published.demo.settings.compared_groups
    for measure, column in (("orders", "fit_segment_id"), ("order_value", "spend_fit_segment_id")):
        rows = views.table("prediction_groupings").where(f"measure = '{measure}'").collect()
        totals = [row for row in rows if row.segment_id == "all:all"]
        assert {row.grouping for row in rows} == {row.grouping for row in totals} == set(groupings)
        better = [row for row in totals if row.beats_pooled]
        taken = [row for row in totals if row.is_taken]
        assert taken == sorted(better, key=lambda row: -row.log_score_gain)[:1]
        scored = {row[0] for row in views.sql(f"select distinct {column} from customer_predictions").collect()}
        is_spend = "=" if measure == "order_value" else "<>"
        fits = f"select distinct segment_id from model_fits where model_id {is_spend} 'gamma_gamma' and is_converged"
        fitted = {row[0] for row in views.sql(fits).collect()}
        assert scored <= fitted and (len(fitted) > 1) == bool(taken)
        for grouping in groupings:
            own = [row for row in rows if row.grouping == grouping and row.segment_id != "all:all"]
            total = next(row for row in totals if row.grouping == grouping)
            for name in ("customer_count", "actual_value", "grouped_predicted_value", "pooled_predicted_value"):
                assert sum(row[name] for row in own) == pytest.approx(total[name], rel=1e-9)


def test_an_earlier_day_is_found_without_a_pass_over_all_orders(published: Any, views: SparkSession) -> None:
    """Of customer_orders only the partitions of single months are read: its own, and those where windows begin."""
    demo, spark = published.demo, views
    end = demo.as_of - dt.timedelta(days=demo.settings.predictions.holdout_days)
    begun = begin(demo.lake.spark, demo.settings, demo.as_of, published.outcome.publication.published_at)
    work = replace(begun, run=published.outcome.run)
    try:
        with counted_scans(spark) as counted:
            customers = len(customers_as_of(work, end).collect())
            scans = counted.lines(CUSTOMER_ORDERS.name)
    finally:
        work.release()
    assert customers == sum(min(own) <= end for own in order_days(views).values())
    filters = [re.search(r"PartitionFilters: \[(.*?)\], ", line) for line in scans]
    assert len(filters) == 3  # its own month is read for the sums, and for the channels of first orders
    assert all(found and re.search(r"ordered_month#\d+L? (=|IN) ", found[1]) for found in filters), scans


@pytest.mark.slow
def test_an_earlier_holdout_is_compared_as_the_latest(published: Any, views: SparkSession) -> None:
    """Two origins, a part of each, one model: customers and orders of all periods, counted from the stored orders."""
    demo = published.demo
    changed = demo.settings.predictions.model_copy(
        update={"holdout_origins": 2, "holdout_horizons_days": (60,), "model": "mbg_nbd"}
    )
    settings = demo.settings.model_copy(update={"predictions": changed, "segments": ()})
    begun = begin(demo.lake.spark, settings, demo.as_of, published.outcome.publication.published_at)
    work = replace(begun, run=published.outcome.run)
    try:
        compared = compare_models(work, work.read(CUSTOMER_METRICS))
    finally:
        work.release()
    days, length = order_days(views), dt.timedelta(days=changed.holdout_days)
    of_all = [row for row in compared.accuracy if (row["segment_id"], row["model_id"]) == ("all:all", "last_period")]
    found = {(row["calibration_end_date"], dt.timedelta(row["horizon_days"])): row for row in of_all}
    ends, part = (demo.as_of - length, demo.as_of - 2 * length), dt.timedelta(days=60)
    assert list(found) == [(end, days) for end in ends for days in (length, part)]
    for (end, length), row in found.items():
        known = [own for own in days.values() if min(own) <= end]
        assert row["customer_count"] == len(known)
        assert row["actual_orders"] == sum(end < day <= end + length for own in known for day in own)
        assert row["predicted_orders"] == sum(end - length < day <= end for own in known for day in own)
    assert compared.latest is not None and compared.latest.holdout.calibration_end == ends[0]
    assert compared.latest.holdout.days == changed.holdout_days
