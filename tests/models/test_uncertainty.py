"""Variances and intervals of orders, spend and value: against simulation, drawn parameters and exact distributions."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from clv_lib.models import BgNbd, GammaGamma, MbgNbd
from clv_lib.models.sufficient_statistics import FloatArray
from clv_lib.models.survivors import (
    order_quantiles_if_alive,
    survivor_table,
)
from clv_lib.models.uncertainty import (
    gamma_quantile,
    mean_interval,
    order_interval,
    parameter_variance,
    probability_interval,
    sum_interval,
)
from clv_lib.models.value_uncertainty import order_forecast, value_forecast, value_interval
from tests.studies.coverage import SCENARIOS, study

CDNOW_BG = BgNbd(0.242595, 4.413602, 0.792922, 2.425907)
CDNOW_MBG = MbgNbd(0.524843, 6.183085, 0.891359, 1.614002)
BOTH = [CDNOW_BG, CDNOW_MBG]
CDNOW_SPEND = GammaGamma(6.249572, 3.744225, 15.443523)
LOG_COVARIANCE = np.diag([0.05, 0.08, 0.2, 0.25]) ** 2 + 0.001
SPEND_COVARIANCE = np.diag([0.15, 0.06, 0.2]) ** 2 + 0.001


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_interval_of_orders_holds_its_level_and_hardly_more_than_discreteness_asks(level: float) -> None:
    alive = np.concatenate([np.linspace(0, 1, 41), [1 - 1e-12]])
    x, age = 20.0, 40.0
    quantiles = order_quantiles_if_alive(CDNOW_BG, 52.0, x, age)
    low, high = order_interval(alive, np.repeat(quantiles, len(alive), axis=0), level)
    survivor = CDNOW_BG.order_probabilities_if_alive(52.0, x, age, 400)
    cumulated = 1 - alive[:, None] * (1 - np.cumsum(survivor))
    tail, rows = (1 - level) / 2, np.arange(len(alive))
    held = cumulated[rows, high.astype(int)] - np.where(low > 0, cumulated[rows, low.astype(int) - 1], 0)
    assert (held >= level - 1e-9).all()
    exact_low, exact_high = ((cumulated < q - 1e-9).sum(axis=1) for q in (tail, 1 - tail))
    assert (exact_low - low >= 0).all() and (exact_low - low <= 1).all()
    assert (high - exact_high >= 0).all() and (high - exact_high <= 2).all()
    assert low[0] == high[0] == 0
    assert (low[-1], high[-1]) == (exact_low[-1], exact_high[-1])


def test_interval_of_orders_widens_with_its_level_and_passes_on_nan() -> None:
    quantiles = np.repeat(order_quantiles_if_alive(CDNOW_BG, 52.0, 20.0, 40.0), 3, axis=0)
    ends = [order_interval([0.4, 0.9, np.nan], quantiles, level) for level in (0.5, 0.8, 0.9, 0.95, 0.99)]
    low, high = np.array([end[0] for end in ends]), np.array([end[1] for end in ends])
    assert (np.diff(low[:, :2], axis=0) <= 0).all() and (np.diff(high[:, :2], axis=0) >= 0).all()
    assert np.isnan(low[:, 2]).all() and np.isnan(high[:, 2]).all()
    with pytest.raises(ValueError, match="levels end at"):
        order_interval([0.9], quantiles[:1], 0.9999)
    with pytest.raises(ValueError, match="between 0 and 1"):
        order_interval([0.9], quantiles[:1], 90)


def test_moments_of_spend_agree_with_simulation() -> None:
    x, mean = np.array([0.0, 1.0, 7.0]), np.array([np.nan, 40.0, 30.0])
    found = CDNOW_SPEND.spend_moments(x, mean)
    np.testing.assert_allclose(found.mean, CDNOW_SPEND.expected_spend(x, mean), rtol=1e-14)
    random = np.random.default_rng(61)
    for row, (shape, scale) in enumerate(zip(found.shape, found.scale, strict=True)):
        nu = random.gamma(shape, 1 / scale, 1_000_000)
        tolerance = 0.05 if row == 0 else 0.01
        assert np.mean((CDNOW_SPEND.p / nu) ** 2) == pytest.approx(found.second_moment[row], rel=tolerance)
        assert np.mean(CDNOW_SPEND.p / nu**2) == pytest.approx(found.purchase_variance[row], rel=tolerance)


def test_posterior_of_spend_is_the_one_of_bayes() -> None:
    """Customers whose simulated mean spend is close to 30 have the stated moments of their true mean."""
    random = np.random.default_rng(62)
    nu = random.gamma(CDNOW_SPEND.q, 1 / CDNOW_SPEND.v, 3_000_000)
    near = np.abs(random.gamma(2 * CDNOW_SPEND.p, 1 / (2 * nu)) - 30) < 0.5
    found, true = CDNOW_SPEND.spend_moments(2.0, 30.0), CDNOW_SPEND.p / nu[near]
    assert true.mean() == pytest.approx(float(found.mean), rel=0.01)
    assert np.mean(true**2) == pytest.approx(float(found.second_moment), rel=0.01)


def test_variance_of_spend_that_does_not_exist_is_infinite() -> None:
    heavy = GammaGamma(0.5, 1.8, 10.0).spend_moments([0.0, 1.0, np.nan], [np.nan, 20.0, 20.0])
    assert np.isinf(heavy.second_moment[0]) and np.isinf(heavy.purchase_variance[0])
    assert np.isfinite(heavy.second_moment[1]) and np.isnan(heavy.second_moment[2])


def test_gradient_of_expected_spend() -> None:
    x, mean = np.array([0.0, 1.0, 7.0, 300.0]), np.array([np.nan, 40.0, 30.0, 12.0])
    found = CDNOW_SPEND.expected_spend_gradient(x, mean)
    step = 1e-5
    for column, name in enumerate(CDNOW_SPEND.parameter_names):
        value = getattr(CDNOW_SPEND, name)
        up, down = (
            replace(CDNOW_SPEND, **{name: value * np.exp(sign * step)}).expected_spend(x, mean) for sign in (1, -1)
        )
        np.testing.assert_allclose(found[:, column], (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


def small_population(model: BgNbd) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    x = np.repeat([0.0, 1.0, 3.0, 12.0], 10)
    age = np.full(40, 39.0)
    return x, np.where(x == 0, 0.0, np.tile(np.linspace(5, 38, 10), 4)), age, np.where(x == 0, np.nan, 20.0 + x)


@pytest.mark.parametrize("model", BOTH)
def test_variance_of_a_segment_agrees_with_drawn_parameters_and_purchases(model: BgNbd) -> None:
    """The sum's variance by parameters and by chance, against drawing both for each of 40 customers."""
    x, t_x, age, mean = small_population(model)
    table = survivor_table(model, x, age, horizon_days=182, annual_discount_rate=0.0)
    alive, by_alive = model.probability_alive(x, t_x, age), model.probability_alive_gradient(x, t_x, age)
    spend, by_spend = CDNOW_SPEND.spend_moments(x, mean), CDNOW_SPEND.expected_spend_gradient(x, mean)
    orders, value = order_forecast(alive, by_alive, table), value_forecast(alive, by_alive, table, spend, by_spend)
    drawn_orders, drawn_value = drawn_sums(model, x, t_x, age, mean)
    of_orders = orders.own_variance.sum() + parameter_variance(orders.gradient.sum(axis=0), LOG_COVARIANCE)
    by_both = parameter_variance(value.order_gradient.sum(axis=0), LOG_COVARIANCE)
    by_both = by_both + parameter_variance(value.spend_gradient.sum(axis=0), SPEND_COVARIANCE)
    assert drawn_orders.mean() == pytest.approx(orders.mean.sum(), rel=0.03)
    assert drawn_orders.var() == pytest.approx(float(of_orders), rel=0.12)
    assert drawn_value.mean() == pytest.approx(value.mean.sum(), rel=0.03)
    assert drawn_value.var() == pytest.approx(float(value.own_variance.sum() + by_both), rel=0.15)
    low, high = sum_interval(value.mean.sum(), value.own_variance.sum() + by_both, 0.9)
    assert np.mean((drawn_value >= low) & (drawn_value <= high)) == pytest.approx(0.9, abs=0.025)


def drawn_sums(
    model: BgNbd, x: FloatArray, t_x: FloatArray, age: FloatArray, mean: FloatArray
) -> tuple[FloatArray, FloatArray]:
    random, draws = np.random.default_rng(71), 1500
    orders, value = np.zeros((2, draws))
    for draw in range(draws):
        shift = random.multivariate_normal(np.zeros(4), LOG_COVARIANCE)
        other = type(model)(*(getattr(model, n) * np.exp(s) for n, s in zip(model.parameter_names, shift, strict=True)))
        by_spend = np.exp(random.multivariate_normal(np.zeros(3), SPEND_COVARIANCE))
        spend = GammaGamma(*(np.array([CDNOW_SPEND.p, CDNOW_SPEND.q, CDNOW_SPEND.v]) * by_spend))
        cumulated = np.cumsum(other.order_probabilities_if_alive(26.0, x[::10], 39.0, 150), axis=1).repeat(10, axis=0)
        bought = (cumulated < random.random(40)[:, None]).sum(axis=1)
        bought = np.where(random.random(40) < other.probability_alive(x, t_x, age), bought, 0)
        known = spend.spend_moments(x, mean)
        nu = random.gamma(known.shape, 1 / known.scale)
        orders[draw], value[draw] = bought.sum(), np.sum(random.gamma(spend.p * bought, 1 / nu))
    return orders, value


@pytest.mark.parametrize("spend", [CDNOW_SPEND, GammaGamma(2.0, 1.9, 25.0)])
def test_value_interval_of_a_customer_holds_what_is_simulated(spend: GammaGamma) -> None:
    """Known parameters (covariance 0): 20,000 futures of each of 40 customers, also where spend has no variance."""
    model, nothing = CDNOW_MBG, (np.zeros((4, 4)), np.zeros((3, 3)))
    x, t_x, age, mean = small_population(model)
    table = survivor_table(model, x, age, horizon_days=182, annual_discount_rate=0.0)
    alive, by_alive = model.probability_alive(x, t_x, age), model.probability_alive_gradient(x, t_x, age)
    moments = spend.spend_moments(x, mean)
    forecast = value_forecast(alive, by_alive, table, moments, spend.expected_spend_gradient(x, mean))
    random, futures = np.random.default_rng(81), 20_000
    cumulated = np.cumsum(model.order_probabilities_if_alive(26.0, x, age, 150), axis=1)
    bought = np.array([np.searchsorted(row, random.random(futures)) for row in cumulated])
    bought = np.where(random.random(bought.shape) < alive[:, None], bought, 0)
    nu = random.gamma(moments.shape[:, None], 1 / moments.scale[:, None], bought.shape)
    value = random.gamma(spend.p * bought, 1 / nu)
    for level in (0.8, 0.9, 0.95):
        found = value_interval(level, forecast, alive, table, moments, nothing)
        held = np.mean((value >= found.low[:, None]) & (value <= found.high[:, None]), axis=1)
        assert (held > level - 0.06).all() and level - 0.01 < held.mean() < 1
        above = np.mean(value > found.high[:, None], axis=1)
        some = found.high > 0  # the others buy nothing with more than the upper level
        assert above[some].mean() == pytest.approx((1 - level) / 2, abs=0.008)
        assert (above[~some] <= (1 - level) / 2 + 0.006).all()
        np.testing.assert_array_equal(found.mean_low, forecast.mean)
    assert np.isinf(forecast.own_variance[0]) == (spend.q < 2)


def test_value_intervals_widen_with_level_and_uncertainty_and_pass_on_nan() -> None:
    x, age, mean = np.array([0.0, 3.0, 9.0, 2.0]), np.full(4, 39.0), np.array([np.nan, 20.0, 60.0, np.nan])
    t_x = np.array([0.0, 30.0, 38.0, 20.0])
    table = survivor_table(CDNOW_BG, x, age, horizon_days=365, annual_discount_rate=0.1)
    alive = np.array([1.0, 0.4, 0.95, 0.5])
    by_alive = CDNOW_BG.probability_alive_gradient(x, t_x, age)
    moments, by_spend = CDNOW_SPEND.spend_moments(x, mean), CDNOW_SPEND.expected_spend_gradient(x, mean)
    forecast = value_forecast(alive, by_alive, table, moments, by_spend)
    sure = np.zeros((4, 4)), np.zeros((3, 3))
    unsure = LOG_COVARIANCE, SPEND_COVARIANCE
    found = [value_interval(level, forecast, alive, table, moments, unsure) for level in (0.5, 0.8, 0.9, 0.95)]
    for narrow, wide in itertools.pairwise(found):
        assert (wide.low[:3] <= narrow.low[:3]).all() and (wide.high[:3] > narrow.high[:3]).all()
        assert (wide.mean_low[:3] < narrow.mean_low[:3]).all() and (wide.mean_high[:3] > narrow.mean_high[:3]).all()
        assert (wide.low[:3] >= 0).all() and (wide.mean_low[:3] > 0).all()
    assert (found[-1].high[:3] > value_interval(0.95, forecast, alive, table, moments, sure).high[:3]).all()
    assert np.isnan([found[-1].low[3], found[-1].high[3], found[-1].mean_low[3], forecast.mean[3]]).all()
    dead = value_forecast(0 * alive, 0 * by_alive, table, moments, by_spend)
    none = value_interval(0.9, dead, 0 * alive, table, moments, unsure)
    assert (none.high[:3] == 0).all() and (none.mean_high[:3] == 0).all() and (dead.own_variance[:3] == 0).all()


def test_discounting_scales_the_value_and_its_spread_alike() -> None:
    x, age, alive = np.array([5.0]), np.array([39.0]), np.array([0.8])
    moments, by_spend = CDNOW_SPEND.spend_moments(x, [30.0]), CDNOW_SPEND.expected_spend_gradient(x, [30.0])
    plain, discounted = (
        value_forecast(alive, np.zeros((1, 4)), survivor_table(
            CDNOW_BG, x, age, horizon_days=365, annual_discount_rate=rate), moments, by_spend)
        for rate in (0.0, 0.1)
    )  # fmt: skip
    factor = discounted.mean / plain.mean
    assert 0.94 < factor[0] < 0.97
    np.testing.assert_allclose(discounted.own_variance, plain.own_variance * factor**2, rtol=1e-12)


def test_intervals_of_means_and_probabilities() -> None:
    low, high = mean_interval([10.0, 10.0, 0.0, np.nan], [1.0, 0.0, 0.0, 1.0], 0.95)
    np.testing.assert_allclose(low[:3], [10 * math.exp(-0.1959964), 10, 0], rtol=1e-7)
    np.testing.assert_allclose(high[:3], [10 * math.exp(0.1959964), 10, 0], rtol=1e-7)
    assert np.isnan(low[3]) and np.isnan(high[3])
    low, high = probability_interval([0.5, 0.99, 1.0, 0.0], [0.01, 0.01, 0.0, 0.0], 0.9)
    np.testing.assert_allclose(special.logit(high[0]), 1.6448536 * 0.4, rtol=1e-7)
    assert (low[1] < 0.99 < high[1] < 1) and (low[2], high[2], low[3], high[3]) == (1, 1, 0, 0)


def test_interval_of_a_sum_is_skewed_for_few_and_normal_for_many() -> None:
    low, high = sum_interval([12.0, 1e9, 0.0, 5.0, np.nan, 7.0], [48.0, 1e10, 0.0, np.inf, 1.0, 0.0], 0.9)
    assert (low[0], high[0]) == pytest.approx(stats.gamma(3, scale=4).interval(0.9))
    assert (low[1], high[1]) == pytest.approx((1e9 - 164485.4, 1e9 + 164485.4), abs=10)
    np.testing.assert_array_equal(low[2:], [0, np.nan, np.nan, 7])
    np.testing.assert_array_equal(high[2:], [0, np.nan, np.nan, 7])


@pytest.mark.parametrize("level", [0.001, 0.05, 0.5, 0.975])
def test_both_forms_of_the_gamma_quantile_meet(level: float) -> None:
    shape = np.array([2.0, 1e6 * (1 - 1e-12), 1e6])
    np.testing.assert_allclose(gamma_quantile(shape, level), special.gammaincinv(shape, level), rtol=1e-9)


def test_intervals_cover_what_they_state() -> None:
    """A short form of the study that docs/coverage.md reports."""
    shares, failed = study(SCENARIOS[3], customers=6000, replications=20, first_seed=90_000)
    assert failed == 0
    orders, value = shares["orders of a customer"].mean, shares["value of a customer"].mean
    assert (orders > [0.8, 0.9, 0.95]).all() and (value > [0.8, 0.9, 0.94]).all() and (value < 0.99).all()
    for name in ("orders of 50 customers", "value of 50 customers", "orders of 500 customers"):
        np.testing.assert_allclose(shares[name].mean, [0.8, 0.9, 0.95], atol=0.06)
    # Of 20 replications at 90 %, 14 or fewer would happen once in 90 times.
    for name in ("orders of all customers", "value of all customers", "expected value of all customers"):
        assert shares[name].mean[1] >= 0.7
    parameters = [shares[f"parameter {name}"].mean[2] for name in ("r", "alpha", "a", "b", "p", "q", "v")]
    assert min(parameters) >= 0.7 and np.mean(parameters) > 0.88


def test_value_grows_with_spend_and_scales_with_money() -> None:
    """Another currency multiplies v and the means: mean and ends of value by as much, and orders by nothing."""
    x, t_x, age = np.array([3.0, 3.0, 3.0]), np.full(3, 30.0), np.full(3, 39.0)
    table = survivor_table(CDNOW_MBG, x, age, horizon_days=365, annual_discount_rate=0.1)
    alive, by_alive = CDNOW_MBG.probability_alive(x, t_x, age), CDNOW_MBG.probability_alive_gradient(x, t_x, age)
    found = []
    for rate in (1.0, 100.0):
        spend, mean = (
            GammaGamma(CDNOW_SPEND.p, CDNOW_SPEND.q, rate * CDNOW_SPEND.v),
            rate * np.array([10.0, 20.0, 90.0]),
        )
        moments = spend.spend_moments(x, mean)
        forecast = value_forecast(alive, by_alive, table, moments, spend.expected_spend_gradient(x, mean))
        covariances = (LOG_COVARIANCE, SPEND_COVARIANCE)
        ends = value_interval(0.9, forecast, alive, table, moments, covariances)
        found.append(np.stack([forecast.mean, ends.mean_low, ends.mean_high, ends.low, ends.high]))
    np.testing.assert_allclose(found[1], 100 * found[0], rtol=1e-12)
    assert (np.diff(found[0][:3], axis=1) > 0).all() and (np.diff(found[0][4]) > 0).all()
