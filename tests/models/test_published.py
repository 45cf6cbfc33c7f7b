"""Published and independently recomputed numbers of the CDNOW sample; times in weeks, never floored."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from clv_lib.models import BgNbd, GammaGamma, MbgNbd, Nbd, discounted_purchases_if_alive
from tests.models import conftest
from tests.models.conftest import Cdnow, read_cdnow

MODELS = {model.name: model for model in (Nbd, BgNbd, MbgNbd)}


def test_data_preparation(cdnow: Cdnow, published: dict[str, Any]) -> None:
    expected = published["cdnow"]
    bought = cdnow.frequency > 0
    mean = cdnow.mean_spend[bought]
    found = {
        "customers": len(cdnow.frequency), "rows": cdnow.lines, "customer_days": cdnow.customer_days,
        "repeat_cal": cdnow.frequency.sum(), "x_gt0": bought.sum(), "max_x": cdnow.frequency.max(),
        "unique_x_tx_T": len(cdnow.transactions.distinct()), "holdout_repeat_39wk": cdnow.holdout_purchases.sum(),
        "mean_m": mean.mean(), "std_m": mean.std(ddof=1), "min_m": mean.min(), "median_m": np.median(mean),
        "max_m": mean.max(), "corr_x_m": np.corrcoef(cdnow.frequency[bought], mean)[0, 1],
    }  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-5)
    first = (cdnow.frequency[0], cdnow.recency[0], cdnow.age[0], cdnow.mean_spend[0])
    assert first == pytest.approx((2, 30.428571, 38.857143, 22.345), rel=1e-7)


@pytest.mark.parametrize("name", ["nbd", "bg_nbd", "mbg_nbd", "gamma_gamma"])
def test_estimates(name: str, cdnow: Cdnow, published: dict[str, Any]) -> None:
    expected = published[name]
    fitted = GammaGamma.fit(cdnow.spend) if name == "gamma_gamma" else MODELS[name].fit(cdnow.transactions)
    assert fitted.status == "converged"
    np.testing.assert_allclose(fitted.parameters, expected["parameters"], rtol=2e-6)
    assert fitted.log_likelihood == pytest.approx(expected["log_likelihood"], abs=2e-6)
    np.testing.assert_allclose(
        fitted.standard_errors, expected.get("standard_errors", fitted.standard_errors), rtol=5e-5
    )
    assert fitted.gradient_norm < 1e-9


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_rows_add_up_to_the_total(name: str, cdnow: Cdnow, published: dict[str, Any]) -> None:
    model = MODELS[name](*published[name]["parameters"])
    rows = model.log_likelihood(cdnow.frequency, cdnow.recency, cdnow.age)
    assert rows.sum() == pytest.approx(published[name]["log_likelihood"], abs=1e-5)


def test_bg_nbd_likelihood_without_a_fit(cdnow: Cdnow, published: dict[str, Any]) -> None:
    at_ones = BgNbd(1, 1, 1, 1).log_likelihood(cdnow.frequency, cdnow.recency, cdnow.age).sum()
    assert at_ones == pytest.approx(published["bg_nbd"]["log_likelihood_at_ones"], abs=1e-4)
    model = BgNbd(0.25, 4, 0.8, 2.5)
    for case in published["bg_nbd"]["stability"]:
        assert model.log_likelihood(*case["history"]) == pytest.approx(case["log_likelihood"], abs=1e-4)


def test_first_customers_of_note_004(cdnow: Cdnow, published: dict[str, Any]) -> None:
    model = BgNbd(*published["bg_nbd"]["parameters"])
    rows = model.log_likelihood(cdnow.frequency[:18], cdnow.recency[:18], cdnow.age[:18])
    expected = [-9.4596, -4.4711, -0.5538, -21.8644, -27.3144, -4.8520]
    np.testing.assert_allclose(rows[[0, 1, 2, 5, 16, 17]], expected, atol=6e-4)


def test_bg_nbd_of_78_weeks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "END_OF_CALIBRATION", date(1998, 6, 30))
    fitted = BgNbd.fit(read_cdnow().transactions)
    np.testing.assert_allclose(fitted.parameters, [0.253561, 5.447258, 0.607365, 2.647235], rtol=5e-6)
    assert fitted.log_likelihood == pytest.approx(-17138.233965, abs=2e-6)


def test_holdout_of_cdnow_by_frequency(cdnow: Cdnow, published: dict[str, Any]) -> None:
    expected, band = published["cdnow_actual"], np.minimum(cdnow.frequency, 7)
    assert [np.sum(band == x) for x in range(8)] == expected["customers_by_frequency"]
    means = [cdnow.holdout_purchases[band == x].mean() for x in range(8)]
    np.testing.assert_allclose(means, expected["holdout_by_frequency"], atol=5.1e-5)


def test_bg_nbd_cumulative_purchases_by_day(cdnow: Cdnow, published: dict[str, Any]) -> None:
    """At the end of the 11th to the 14th of January 1997."""
    model, days = BgNbd(*published["bg_nbd"]["parameters"]), np.arange(11, 15)[:, np.newaxis]
    until = np.maximum(days / 7 - (272 / 7 - cdnow.age), 0)
    np.testing.assert_allclose(model.expected_purchases_new(until).sum(axis=1), [10.67, 12.67, 14.87, 17.24], atol=6e-3)


def test_a_weekly_model_gives_the_value_of_weeks_not_of_days(cdnow: Cdnow, published: dict[str, Any]) -> None:
    """Customer 1, 12 months at 1 % a month: 36.28 with months of 4.345 weeks.

    The manual of lifetimes prints 140.1: it has the weekly model read the days of a month as weeks.
    """
    orders, spend = BgNbd(*published["bg_nbd"]["parameters"]), GammaGamma(*published["gamma_gamma"]["parameters"])
    history = cdnow.frequency[0], cdnow.recency[0], cdnow.age[0]
    bought = discounted_purchases_if_alive(
        orders, history[0], history[2], horizon_days=365.25, annual_discount_rate=1.01**12 - 1
    )
    value = orders.probability_alive(*history) * bought * spend.expected_spend(history[0], cdnow.mean_spend[0])
    assert value == pytest.approx(36.28, abs=0.03)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_expected_purchases_of_a_new_customer(name: str, published: dict[str, Any]) -> None:
    expected = published[name]["expected_purchases_new"]
    model = MODELS[name](*published[name]["parameters"])
    np.testing.assert_allclose(
        model.expected_purchases_new([float(t) for t in expected]), [*expected.values()], rtol=1e-5
    )


@pytest.mark.parametrize(("name", "two", "none"), [("bg_nbd", 1.2259070748, None), ("mbg_nbd", 1.2626693986, 0.153954)])
def test_conditional_expectation(name: str, two: float, none: float | None, published: dict[str, Any]) -> None:
    model = MODELS[name](*published[name]["parameters"])
    assert model.expected_purchases(39, 2, 30.43, 38.86) == pytest.approx(two, rel=2e-6)
    if none is not None:
        assert model.expected_purchases(39, 0, 0, 38.86) == pytest.approx(none, rel=1e-5)


def test_bg_nbd_customer_1516_and_his_like(published: dict[str, Any]) -> None:
    model = BgNbd(*published["bg_nbd"]["parameters"])
    case = published["bg_nbd"]["customer_1516"]
    assert model.expected_purchases(52, *case["history"]) == pytest.approx(case["expected_52"], rel=1e-6)
    assert model.probability_alive(*case["history"]) == pytest.approx(case["alive"], abs=1e-6)
    assert MbgNbd(*published["mbg_nbd"]["parameters"]).probability_alive(*case["history"]) == pytest.approx(
        0.965485, abs=1e-6
    )
    for frequency, expected in published["bg_nbd"]["expected_52_after_20_of_39"].items():
        assert model.expected_purchases(52, float(frequency), 20, 39) == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_cumulative_purchases_by_week(name: str, cdnow: Cdnow, published: dict[str, Any]) -> None:
    """A customer who came on day d of 1997 counts from the end of that day to the end of the week."""
    model = MODELS[name](*published[name]["parameters"])
    first = 272 / 7 - cdnow.age
    weeks = np.arange(1, 79)[:, np.newaxis]
    until = np.maximum(weeks - first, 0)
    times, where = np.unique(until, return_inverse=True)
    total = model.expected_purchases_new(times)[where.reshape(until.shape)].sum(axis=1)
    np.testing.assert_allclose(total, published[name]["cumulative_by_week"], rtol=1e-5)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_sums_and_holdout_by_frequency(name: str, cdnow: Cdnow, published: dict[str, Any]) -> None:
    expected = published[name]
    model = MODELS[name](*expected["parameters"])
    alive = model.probability_alive(cdnow.frequency, cdnow.recency, cdnow.age)
    forecast = model.expected_purchases(39, cdnow.frequency, cdnow.recency, cdnow.age)
    assert alive.sum() == pytest.approx(expected["sum_alive"], abs=0.01)
    assert forecast.sum() == pytest.approx(expected["sum_expected_39"], abs=0.01)
    band = np.minimum(cdnow.frequency, 7)
    means = [forecast[band == x].mean() for x in range(8)]
    np.testing.assert_allclose(means, expected["holdout_by_frequency"], atol=1e-4)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_table_of_25_customers(name: str, cdnow: Cdnow, published: dict[str, Any]) -> None:
    table = published[name]["rounded"]
    model = MODELS[name](*table["params"])
    rows = table["row_index"]
    history = (np.round(cdnow.frequency[rows], 2), np.round(cdnow.recency[rows], 2), np.round(cdnow.age[rows], 2))
    np.testing.assert_allclose(model.probability_alive(*history), table["palive"], atol=1e-9)
    for weeks, expected in table["cet"].items():
        np.testing.assert_allclose(model.expected_purchases(float(weeks), *history), expected, atol=1e-9)


def test_gamma_gamma_expected_spend(cdnow: Cdnow, published: dict[str, Any]) -> None:
    expected = published["gamma_gamma"]
    model = GammaGamma(*expected["parameters"])
    spend = model.expected_spend(cdnow.frequency[:10], cdnow.mean_spend[:10])
    np.testing.assert_allclose(spend, expected["expected_first_ten"], rtol=2e-6)
    assert model.population_mean == pytest.approx(expected["population_mean"], abs=1e-4)
    assert model.expected_spend(0, np.nan) == pytest.approx(model.population_mean, rel=1e-15)
    rows = model.log_likelihood(cdnow.spend.frequency, cdnow.spend.mean_spend)
    assert rows.sum() == pytest.approx(expected["log_likelihood"], abs=1e-5)
