"""The CDNOW sample as orders through the whole Spark path: published histories, estimates and predictions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from clv_lib.contracts.inputs import ORDERS
from clv_lib.contracts.predictions import MODEL_FITS, SEGMENT_PREDICTIONS
from clv_lib.contracts.silver import CUSTOMER_REFUNDS
from clv_lib.customers.metrics import NET_REVENUE, boundary_sums, customer_metrics
from clv_lib.orders.history import customer_orders
from clv_lib.orders.intake import in_reporting_currency, judged_orders, with_order_dispositions
from clv_lib.orders.mapping import map_source
from clv_lib.orders.months import customer_months
from clv_lib.orders.refunds import with_refunds
from clv_lib.scoring import (
    Choice,
    OfGroups,
    assigned,
    customer_predictions,
    fit_models,
    forecasts,
    model_fits,
    scorers,
    segment_predictions,
    segment_sums,
    spend_tier_cuts,
)
from clv_lib.scoring.survivors import distinct_pairs
from clv_lib.settings import Predictions, Settings
from tests.models.conftest import END_OF_CALIBRATION, cdnow_lines, read_cdnow

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

WEEKS = 39
HORIZON_DAYS = 7 * WEEKS
SETTINGS = Settings.model_validate(
    {
        "lake": "clv",
        "reporting": {"currency": "USD", "time_zone": "America/New_York"},
        "sources": {"orders": {"table": "cdnow.orders"}},
    }
)
PREDICTIONS = Predictions(model="auto", horizons_days=(HORIZON_DAYS,), annual_discount_rate=0.10)
COLUMNS = {"customer_id": "customer", "ordered_at": "day", "net_amount": "value"}
FIRST_TEN = (24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17)
REFUND_COLUMNS = CUSTOMER_REFUNDS.ddl


@dataclass(frozen=True)
class Result:
    """What the Spark path gives: rows by customer, fits by model and parameter."""

    dispositions: dict[str, int]
    metrics: dict[str, Row]
    predictions: dict[str, Row]
    fits: dict[tuple[str, str], dict[str, object]]
    total: dict[str, object]


def purchases() -> list[tuple[str, str, str, str]]:
    """Row number, customer, day and value of each line of the file."""
    return [
        (f"{number}", customer, dt.date(int(day[:4]), int(day[4:6]), int(day[6:])).isoformat(), value)
        for number, (_, customer, day, _, value) in enumerate(cdnow_lines())
    ]


def metrics_of(accepted: DataFrame, as_of: dt.date) -> DataFrame:
    orders = customer_orders(with_refunds(in_reporting_currency(accepted), None)).persist()
    no_refunds = accepted.sparkSession.createDataFrame([], REFUND_COLUMNS)
    months, boundary = customer_months(orders, no_refunds), boundary_sums(orders, as_of)
    return customer_metrics(months, boundary, None, as_of=as_of, inactivity_days=180, value_basis=NET_REVENUE)


def judged_rows(spark: SparkSession, lines: list[tuple[str, str, str, str]], as_of: dt.date) -> DataFrame:
    """The lines, in the form of `purchases`, as orders with what became of them on a day."""
    raw = spark.createDataFrame(lines, "order_id string, customer string, day string, value string")
    reporting = SETTINGS.reporting
    mapped = map_source(raw, ORDERS, COLUMNS, currency=reporting.currency, time_zone=reporting.time_zone)
    judged = judged_orders(mapped, None, SETTINGS, as_of, is_line=False)
    return with_order_dispositions(judged, None, SETTINGS, as_of)


@pytest.fixture(scope="module")
def result(spark_session: SparkSession) -> Iterator[Result]:
    """One run for all tests of this file, with what it kept in memory dropped at the end."""
    rows = judged_rows(spark_session, purchases(), END_OF_CALIBRATION).persist()
    metrics = metrics_of(rows.where("disposition = 'accepted'"), END_OF_CALIBRATION).persist()
    fits = fit_models(metrics, PREDICTIONS)
    chosen = scorers(fits, "bg_nbd", OfGroups())
    everybody = assigned(metrics)
    foreseen = forecasts(
        everybody,
        distinct_pairs(everybody),
        chosen,
        PREDICTIONS.horizons_days,
        PREDICTIONS.annual_discount_rate,
        PREDICTIONS.interval_level,
    ).persist()
    cuts = spend_tier_cuts(foreseen, PREDICTIONS)
    predictions = customer_predictions(foreseen, chosen, cuts, PREDICTIONS, END_OF_CALIBRATION)
    everyone = metrics.selectExpr("customer_id", "'all:all' as segment_id")
    sums = segment_sums(foreseen, everyone).toPandas()
    [total] = segment_predictions(sums, chosen, PREDICTIONS, END_OF_CALIBRATION)
    fit_rows = [
        dict(zip(MODEL_FITS.columns, row, strict=True))
        for row in model_fits(fits, Choice("bg_nbd", {}), END_OF_CALIBRATION, OfGroups())
    ]
    yield Result(
        {row.disposition: row["count"] for row in rows.groupBy("disposition").count().collect()},
        {row.customer_id: row for row in metrics.collect()},
        {row.customer_id: row for row in predictions.collect()},
        {(str(row["model_id"]), str(row["parameter"])): row for row in fit_rows},
        dict(zip(SEGMENT_PREDICTIONS.columns, total, strict=True)),
    )
    spark_session.catalog.clearCache()


def test_every_line_is_accepted_or_later_than_the_calibration(result: Result) -> None:
    later = sum(day > END_OF_CALIBRATION.isoformat() for _, _, day, _ in purchases())
    assert result.dispositions == {"accepted": 6919 - later, "after_as_of": later}


def test_histories(result: Result) -> None:
    rows = result.metrics.values()
    histories = {(row.btyd_frequency, row.btyd_recency_days, row.btyd_age_days) for row in rows}
    assert len(rows) == 2357
    assert sum(row.btyd_frequency for row in rows) == 2457
    assert sum(row.btyd_frequency > 0 for row in rows) == 946
    assert max(row.btyd_frequency for row in rows) == 29
    assert len(histories) == 1016
    heavy = result.metrics["1516"]
    assert (heavy.btyd_frequency, heavy.btyd_recency_days, heavy.btyd_age_days) == (26, 216, 217)


def test_histories_agree_with_those_of_plain_python(result: Result) -> None:
    plain = read_cdnow()
    rows = [result.metrics[customer] for customer in dict.fromkeys(line[1] for line in purchases())]
    np.testing.assert_array_equal([row.btyd_frequency for row in rows], plain.frequency)
    np.testing.assert_allclose([row.btyd_recency_days / 7 for row in rows], plain.recency, rtol=1e-12)
    np.testing.assert_allclose([row.btyd_age_days / 7 for row in rows], plain.age, rtol=1e-12)
    spends = [np.nan if row.btyd_monetary_value is None else float(row.btyd_monetary_value) for row in rows]
    np.testing.assert_allclose(spends, plain.mean_spend, atol=1e-8)
    assert spends[0] == pytest.approx(22.345)


ESTIMATES: dict[str, tuple[dict[str, float], float]] = {
    "bg_nbd": ({"r": 0.242595, "alpha": 4.413602, "a": 0.792922, "b": 2.425907}, -9582.4292),
    "pareto_nbd": ({"r": 0.553277, "alpha": 10.577683, "s": 0.606240, "beta": 11.668735}, -9594.9762),
    "mbg_nbd": ({"r": 0.524843, "alpha": 6.183085, "a": 0.891359, "b": 1.614002}, -9582.1357),
    "gamma_gamma": ({"p": 6.249572, "q": 3.744225, "v": 15.443523}, -4055.9177),
    "nbd": ({"r": 0.384766, "alpha": 12.072022}, -9763.6576),
}

ESTIMATES_OF_78_WEEKS = {
    "pareto_nbd": ((0.563004, 12.559169, 0.408107, 10.514545), -17135.8359),
    "bg_nbd": ((0.253561, 5.447258, 0.607365, 2.647235), -17138.2340),
}


@pytest.mark.parametrize("model", ESTIMATES)
def test_estimates(result: Result, model: str) -> None:
    parameters, log_likelihood = ESTIMATES[model]
    rows = {parameter: row for (name, parameter), row in result.fits.items() if name == model}
    assert {name: row["estimate"] for name, row in rows.items()} == pytest.approx(parameters, rel=1e-5)
    customers = 946 if model == "gamma_gamma" else 2357
    for row in rows.values():
        assert row["log_likelihood"] == pytest.approx(log_likelihood, abs=6e-5)
        assert (row["customer_count"], row["is_converged"], row["fit_status"]) == (customers, True, "converged")
        assert row["is_published_model"] == (model in ("bg_nbd", "gamma_gamma"))


def test_the_whole_of_the_78_weeks(spark: SparkSession, result: Result) -> None:
    """Orders of both halves, from the same lines on the last day of the file."""
    last = dt.date(1998, 6, 30)
    rows = judged_rows(spark, purchases(), last).where("disposition = 'accepted'")
    metrics = metrics_of(rows, last).persist()
    later = {row.customer_id: row.btyd_frequency for row in metrics.select("customer_id", "btyd_frequency").collect()}
    assert sum(later.values()) == 4339
    assert len(later) == 2357
    holdout = {customer: count - result.metrics[customer].btyd_frequency for customer, count in later.items()}
    assert sum(holdout.values()) == 1882
    by_frequency = [[holdout[c] for c, row in result.metrics.items() if row.btyd_frequency == x] for x in range(3)]
    means = [sum(counts) / len(counts) for counts in by_frequency]
    assert means == pytest.approx([0.2367, 0.6970, 1.3925], abs=5.1e-5)
    fits = fit_models(metrics, PREDICTIONS)
    for model, (parameters, log_likelihood) in ESTIMATES_OF_78_WEEKS.items():
        fitted = fits.candidates[model]
        np.testing.assert_allclose(fitted.parameters, parameters, rtol=5e-6)
        assert fitted.log_likelihood == pytest.approx(log_likelihood, abs=6e-5)


def test_expected_orders(result: Result) -> None:
    orders = {customer: row.expected_orders for customer, row in result.predictions.items()}
    assert len(orders) == 2357
    assert orders["0001"] == pytest.approx(1.225907, abs=1e-4)
    assert sum(orders.values()) == pytest.approx(1653.409, abs=1e-3)
    alive = {customer: row.probability_alive for customer, row in result.predictions.items()}
    assert sum(alive.values()) == pytest.approx(1917.28, abs=6e-3)
    assert alive["1516"] == pytest.approx(0.968854, abs=1e-6)


def test_churn_probability_is_that_of_mbg_nbd(result: Result) -> None:
    assert sum(1 - row.churn_probability for row in result.predictions.values()) == pytest.approx(1057.64, abs=6e-3)


def test_expected_spend_of_the_first_ten_customers(result: Result) -> None:
    found = [result.predictions[f"{number:04}"].expected_order_value for number in range(1, 11)]
    assert found == pytest.approx(FIRST_TEN, abs=6e-3)
    assert found[:6:5] == pytest.approx([24.6539, 71.4647], abs=6e-5)


def test_every_customer_has_a_value(result: Result) -> None:
    """One-time buyers are scored, too, at the mean spend of the population."""
    once = [row for customer, row in result.predictions.items() if result.metrics[customer].btyd_frequency == 0]
    assert len(once) == 2357 - 946
    assert {round(row.expected_order_value, 4) for row in once} == {35.1704}
    discount = 1.1 ** -(HORIZON_DAYS / 365.25)
    for customer, row in result.predictions.items():
        undiscounted = row.expected_orders * row.expected_order_value
        assert row.prediction_status == "ok"
        assert undiscounted * discount - 1e-4 <= float(row.predicted_clv_amount) <= undiscounted + 1e-4
        assert row.total_clv_amount == result.metrics[customer].historic_clv_amount + row.predicted_clv_amount


def test_intervals_of_the_total(result: Result) -> None:
    """Own randomness averages out over 2,357 customers, errors of the parameters do not."""
    total = result.total
    assert total["customer_count"] == total["predicted_customer_count"] == 2357
    assert total["expected_orders"] == pytest.approx(1653.409, abs=1e-3)
    assert total["predicted_clv_amount"] == sum(row.predicted_clv_amount for row in result.predictions.values())
    lower, upper = total["expected_orders_lower"], total["expected_orders_upper"]
    assert 1400 < lower < 1653 < upper < 1950
    assert total["orders_lower"] < lower and upper < total["orders_upper"]


def test_intervals_of_customers(result: Result) -> None:
    heavy, once = (
        result.predictions["1516"],
        next(row for customer, row in result.predictions.items() if result.metrics[customer].btyd_frequency == 0),
    )
    assert heavy.orders_lower < heavy.expected_orders < heavy.orders_upper
    assert heavy.expected_orders_lower < heavy.expected_orders < heavy.expected_orders_upper
    assert heavy.orders_upper - heavy.orders_lower > heavy.expected_orders_upper - heavy.expected_orders_lower
    assert once.orders_lower == 0 == once.predicted_clv_lower_amount
    assert (once.probability_alive_lower, once.probability_alive, once.probability_alive_upper) == (1, 1, 1)


def test_the_median_gap_dates_the_next_order(result: Result) -> None:
    """(alpha + t_x) (2^(1 / (r + x)) - 1) weeks after the last order."""
    row, metrics = result.predictions["1516"], result.metrics["1516"]
    gap = (4.413602 + 216 / 7) * (2 ** (1 / (0.242595 + 26)) - 1) * 7
    assert row.expected_next_order_date == metrics.last_order_date + dt.timedelta(days=int(np.ceil(gap)))
    assert row.next_order_status == "own_gaps"
