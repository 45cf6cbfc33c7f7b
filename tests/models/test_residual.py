"""Discounted orders and value without a horizon: their second moments against a closed form and simulated futures."""

from __future__ import annotations

import numpy as np
import pytest

from clv_lib.models import (
    BgNbd,
    FloatArray,
    GammaGamma,
    MbgNbd,
    Nbd,
    ParetoNbd,
    TransactionModel,
    residual_forecast,
    residual_if_alive,
    residual_pairs_if_alive,
    residual_purchases_if_alive,
)

WEEKS_PER_YEAR = 365.25 / 7
BG, MBG = BgNbd(0.242595, 4.413602, 0.792922, 2.425907), MbgNbd(0.524843, 6.183085, 0.891359, 1.614002)
SPEND = GammaGamma(6.25, 12.0, 70.0)
HIGH_RATE = 1.0


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
@pytest.mark.parametrize(
    "parameters", [(0.563, 12.559, 0.408, 10.515), (0.5, 10.58, 0.01, 11.67), (1.0, 5.0, 8.0, 2.0)]
)
def test_pairs_of_pareto_nbd_agree_with_their_closed_form(rate: float, parameters: tuple[float, ...]) -> None:
    """By rates l and m the pairs are 2 l^2 / ((m + d) (m + 2 d)): as partial fractions DERT at d less DERT at 2 d."""
    model, x, age = ParetoNbd(*parameters), np.array([0.0, 1.0, 7.0, 100.0]), 77.86
    delta = np.log1p(rate) / WEEKS_PER_YEAR
    once, twice = (
        residual_purchases_if_alive(model, x, age, annual_discount_rate=one) for one in (rate, (1 + rate) ** 2 - 1)
    )
    expected = 2 * (model.r + x + 1) / (model.alpha + age) * (once - twice) / delta
    found = residual_pairs_if_alive(model, x, age, annual_discount_rate=rate)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_pairs_without_death_are_squares_of_the_rate() -> None:
    found = residual_pairs_if_alive(Nbd(0.5, 8.0), [0, 2], 38, annual_discount_rate=0.1)
    delta = np.log(1.1) / WEEKS_PER_YEAR
    np.testing.assert_allclose(found, np.array([0.5 * 1.5, 2.5 * 3.5]) / 46**2 / delta**2, rtol=1e-7)


def futures(model: BgNbd, x: int, age: float, draws: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sums of exp(-delta t), of its square, and of exp(-delta t) times a value, over the orders of survivors."""
    random, delta = np.random.default_rng(x), np.log1p(HIGH_RATE) / WEEKS_PER_YEAR
    rate = random.gamma(model.r + x, 1 / (model.alpha + age), draws)
    leaving = random.beta(model.a, model.b + x + model.first_purchase_may_be_last, draws)
    spend = SPEND.spend_moments(x, 30.0)
    nu = random.gamma(float(spend.shape), 1 / float(spend.scale), draws)
    once, squares, value, now = np.zeros((4, draws))
    active = np.arange(draws)
    while len(active):
        now[active] += random.exponential(1.0, len(active)) / np.maximum(rate[active], 1e-300)
        active = active[now[active] < 12 / delta]
        weight = np.exp(-delta * now[active])
        once[active] += weight
        squares[active] += weight**2
        value[active] += weight * random.gamma(SPEND.p, 1 / nu[active])
        active = active[random.random(len(active)) >= leaving[active]]
    return once, squares, value


@pytest.mark.parametrize("model", [BG, MBG])
@pytest.mark.parametrize(("x", "age"), [(0, 5.0), (4, 39.0)])
def test_moments_agree_with_simulated_futures(model: BgNbd, x: int, age: float) -> None:
    once, squares, value = futures(model, x, age, 40_000)
    found = residual_if_alive(
        model, np.array([float(x)]), np.array([age]), annual_discount_rate=HIGH_RATE, time_unit_days=7.0
    )
    pairs = ((once, found.purchases), (squares, found.squares), (once**2, found.second_moment))
    for drawn, expected in pairs:
        assert abs(drawn.mean() - expected[0]) < 4.5 * drawn.std() / np.sqrt(len(drawn))
    alive, none = np.array([0.7]), np.zeros((1, 4))
    spend = SPEND.spend_moments(np.array([float(x)]), 30.0)
    forecast = residual_forecast(alive, none, found, spend, np.zeros((1, 3)))
    lived = np.where(np.arange(len(value)) < 0.7 * len(value), value, 0.0)
    assert abs(lived.mean() - forecast.mean[0]) < 4.5 * lived.std() / np.sqrt(len(value))
    assert lived.var() == pytest.approx(forecast.own_variance[0], rel=0.06)


@pytest.mark.parametrize("model", [BG, MBG, ParetoNbd(0.553, 10.58, 0.606, 11.67)])
def test_moments_are_interpolated_over_many_ages(model: TransactionModel) -> None:
    x, age = (
        np.repeat([0.0, 3.0, 30.0], [40, 20, 3]),
        np.r_[np.linspace(0, 157, 40), np.linspace(20, 90, 20), 30, 60, 90],
    )
    found = residual_if_alive(model, x, age, annual_discount_rate=0.1, time_unit_days=7.0)
    exact = found.squares + residual_pairs_if_alive(model, x, age, annual_discount_rate=0.1)
    np.testing.assert_allclose(found.second_moment, exact, rtol=1e-3)
    assert (found.second_moment > found.purchases**2).all() and (found.squares < found.purchases).all()


def test_residual_value_has_no_variance_where_the_spend_has_none_and_is_0_for_the_dead() -> None:
    x, age, alive = np.array([0.0, 0.0, 2.0]), np.array([9.0, 9.0, 39.0]), np.array([0.5, 0.0, np.nan])
    residual = residual_if_alive(MBG, x, age, annual_discount_rate=0.1, time_unit_days=7.0)
    heavy = GammaGamma(2.0, 1.9, 25.0).spend_moments(x, 20.0)
    found = residual_forecast(alive, np.zeros((3, 4)), residual, heavy, np.ones((3, 3)))
    assert np.isinf(found.own_variance[0]) and (found.mean[1], found.own_variance[1]) == (0, 0)
    assert np.isnan(found.mean[2])
