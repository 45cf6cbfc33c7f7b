"""What the run says of its own predictions: against outcomes that plain Python takes from the stored orders."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from clv_lib.contracts.customers import CUSTOMER_METRICS
from clv_lib.lake import register_views
from clv_lib.models import TRANSACTION_MODELS, TransactionStatistics
from clv_lib.pipeline import begin
from clv_lib.pipeline.predicting import compare_models

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


def test_actual_orders_and_baselines_are_those_of_the_orders(published: Any, views: SparkSession) -> None:
    days, rows = order_days(views), of_all_customers(views)
    assert set(rows) == MODELS | BASELINES
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
    for name in MODELS:
        row = rows[name]
        assert row.accuracy_status == "ok" and row.beats_baselines
        assert 0.75 < row.orders_bias_ratio < 1.25
        assert row.orders_total_lower < row.predicted_orders < row.orders_total_upper
        assert row.orders_interval_coverage > 0.9 and row.amount_interval_coverage > 0.85
        assert row.orders_normalised_gini > rows["mean_rate"].orders_normalised_gini
    assert {rows[name].beats_baselines for name in BASELINES} == {None}


def test_the_published_model_is_the_one_with_the_lowest_error(views: SparkSession) -> None:
    rows = of_all_customers(views)
    chosen = [name for name, row in rows.items() if row.is_published_model]
    assert len(chosen) == 1
    assert rows[chosen[0]].orders_rmse <= 1.01 * min(rows[name].orders_rmse for name in MODELS)
    reasons = {r.model_id: r.selection_reason for r in views.table("model_fits").where("parameter = 'r'").collect()}
    assert "holdout" in reasons[chosen[0]]
    scored = {row.model_id for row in views.sql("select distinct model_id from customer_predictions").collect()}
    assert scored == {f"{chosen[0]}+gamma_gamma"}


def test_customers_of_a_segment_type_add_up(views: SparkSession) -> None:
    """Each customer is in one segment of a type, so their orders and errors add up to the total's."""
    model = next(name for name, row in of_all_customers(views).items() if row.is_published_model)
    rows = views.table("prediction_accuracy").where(f"model_id = '{model}'").collect()
    sums: Counter[str] = Counter()
    for row in rows:
        sums[row.segment_id.partition(":")[0]] += row.orders_mae * row.customer_count
    assert len(sums) > 5
    assert list(sums.values()) == pytest.approx([sums["all"]] * len(sums), rel=1e-9)


def test_calibration_and_tracking_hold_the_same_orders(published: Any, views: SparkSession) -> None:
    rows = of_all_customers(views)
    for kind in ("frequency", "predicted_decile"):
        buckets = views.table("prediction_calibration").where(f"bucket_type = '{kind}'").collect()
        for name in MODELS:
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
    rows = {r.segment_id: r for r in views.table("prediction_groupings").where("grouping = 'customer_type'").collect()}
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
        assert (row.customer_count, row.actual_orders) == (inside.sum(), actual[inside].sum())
        assert [row.grouped_rmse, row.pooled_rmse] == pytest.approx(rmse, rel=1e-6)
        assert row.grouped_bias_ratio == pytest.approx(expected[inside].sum() / actual[inside].sum(), rel=1e-6)
        assert row.log_score_gain == pytest.approx(gain.mean(), abs=1e-6)
        assert row.log_score_gain_standard_error == pytest.approx(error, abs=1e-6)
        assert row.beats_pooled == (gain.mean() > 2 * error and rmse[0] < rmse[1])


def history(days: list[dt.date], end: dt.date) -> tuple[float, float, float]:
    """x, t_x and T in weeks."""
    first = min(days)
    return len(days) - 1, (max(days) - first).days / 7, (end - first).days / 7


def test_a_grouping_is_taken_only_if_it_beats_the_pooled_fit(published: Any, views: SparkSession) -> None:
    rows = views.table("prediction_groupings").collect()
    totals = [row for row in rows if row.segment_id == "all:all"]
    groupings = published.demo.settings.compared_groups
    assert {row.grouping for row in rows} == {row.grouping for row in totals} == set(groupings)
    better = [row for row in totals if row.beats_pooled]
    taken = [row for row in totals if row.is_taken]
    assert taken == sorted(better, key=lambda row: -row.log_score_gain)[:1]
    scored = {row[0] for row in views.sql("select distinct fit_segment_id from customer_predictions").collect()}
    fitted = {row[0] for row in views.sql("select distinct segment_id from model_fits").collect()}
    assert scored <= fitted and (len(fitted) > 1) == bool(taken)
    for grouping in groupings:
        own = [row for row in rows if row.grouping == grouping and row.segment_id != "all:all"]
        total = next(row for row in totals if row.grouping == grouping)
        for name in ("customer_count", "actual_orders", "grouped_predicted_orders", "pooled_predicted_orders"):
            assert sum(row[name] for row in own) == pytest.approx(total[name], rel=1e-9)


@pytest.mark.slow
def test_an_earlier_holdout_is_compared_as_the_latest(published: Any, views: SparkSession) -> None:
    """Two origins, one model: customers and orders of both periods, counted from the stored orders."""
    demo = published.demo
    changed = demo.settings.predictions.model_copy(update={"holdout_origins": 2, "model": "mbg_nbd"})
    settings = demo.settings.model_copy(update={"predictions": changed, "segments": ()})
    begun = begin(demo.lake.spark, settings, demo.as_of, published.outcome.publication.published_at)
    work = replace(begun, run=published.outcome.run)
    try:
        compared = compare_models(work, work.read(CUSTOMER_METRICS))
    finally:
        work.release()
    days, length = order_days(views), dt.timedelta(days=changed.holdout_days)
    of_all = [row for row in compared.accuracy if (row["segment_id"], row["model_id"]) == ("all:all", "last_period")]
    found = {row["calibration_end_date"]: row for row in of_all}
    assert list(found) == [demo.as_of - length, demo.as_of - 2 * length]
    for end, row in found.items():
        known = [own for own in days.values() if min(own) <= end]
        assert row["customer_count"] == len(known)
        assert row["actual_orders"] == sum(end < day <= end + length for own in known for day in own)
        assert row["predicted_orders"] == sum(end - length < day <= end for own in known for day in own)
    assert compared.latest is not None and compared.latest.holdout.calibration_end == demo.as_of - length
