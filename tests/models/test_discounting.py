"""Discounted purchases without a horizon: an anchor, closed forms, quadrature at extremes, small steps, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from clv_lib.models import BgNbd, MbgNbd, Nbd, TransactionModel, discounted_purchases_if_alive
from clv_lib.models.discounting import residual_purchases_if_alive
from clv_lib.models.pareto_nbd import ParetoNbd

CDNOW_BG = BgNbd(0.2426, 4.4136, 0.7929, 2.4259)
CDNOW_MBG = MbgNbd(0.524843, 6.183085, 0.891359, 1.614002)
WEEKS_PER_YEAR = 365.25 / 7


def annual(weekly_force: float) -> float:
    """Annual rate with this continuous rate per week."""
    return float(np.expm1(weekly_force * WEEKS_PER_YEAR))


def by_quadrature(force: float, r: float, alpha: float, a: float, b: float) -> float:
    """Integral of exp(-y) E[(1 - (1 + p y / (force alpha))^-r) / p] over y, p ~ Beta(a, b), both in log scale."""
    y = np.exp(np.arange(np.log(1e-12), np.log(60), 0.25))
    step = min(0.25, 0.4 * np.sqrt(1 / a + 1 / b))
    left = np.log(a / (a + b)) - 45 / a - 8 / np.sqrt(a) - max(np.log(40 / force / alpha * r), 0)
    right = np.log(a / b) + 45 / b + 12 / np.sqrt(min(a, b)) + 5
    log_odds = np.arange(left, right, step)
    log_p, log_rest = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
    density = step * np.exp(a * log_p + b * log_rest - special.betaln(a, b))
    p, density = np.exp(np.maximum(log_p[density > 0], -600)), density[density > 0]
    purchases = [density @ (-np.expm1(-r * np.log1p(p * until / (force * alpha))) / p) for until in y]
    return float(0.25 * np.sum(y * np.exp(-y) * purchases))


def test_anchor() -> None:
    if_alive = residual_purchases_if_alive(CDNOW_BG, 2, 38.86, annual_discount_rate=annual(0.0027))
    assert if_alive * CDNOW_BG.probability_alive(2, 30.43, 38.86) == pytest.approx(5.1565069, abs=5e-8)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
@pytest.mark.parametrize(("a", "b"), [(0.02, 5.0), (0.05, 0.5), (0.79, 2.43), (1.0, 2.0), (3.0, 1.0), (10.0, 2.0)])
@pytest.mark.parametrize(
    ("r", "alpha", "x", "age"),
    [(0.25, 4.4, 0, 0.0), (0.05, 0.1, 300, 150.0), (5.0, 1.0, 0, 0.0), (2.0, 10.0, 10, 40.0)],
)
def test_realistic_and_extreme_cases_agree_with_quadrature(
    rate: float, a: float, b: float, r: float, alpha: float, x: int, age: float
) -> None:
    expected = by_quadrature(np.log1p(rate) / WEEKS_PER_YEAR, r + x, alpha + age, a, b + x)
    found = residual_purchases_if_alive(BgNbd(r, alpha, a, b), x, age, annual_discount_rate=rate)
    assert found == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
@pytest.mark.parametrize(
    "parameters",
    [(0.563, 12.559, 0.408, 10.515), (0.553, 10.578, 0.01, 11.67), (1.0, 5.0, 8.0, 2.0), (0.5, 1.0, 0.02, 500.0)],
)
def test_pareto_nbd_agrees_with_its_closed_form(rate: float, parameters: tuple[float, ...]) -> None:
    model, x, age = ParetoNbd(*parameters), np.array([0.0, 1.0, 7.0, 100.0]), 77.86
    t_x = np.where(x > 0, 70.0, 0.0)
    force = float(np.log1p(rate) / WEEKS_PER_YEAR)
    expected = model.residual_purchases_closed_form(x, t_x, age, force)
    found = residual_purchases_if_alive(model, x, age, annual_discount_rate=rate)
    np.testing.assert_allclose(found * model.probability_alive(x, t_x, age), expected, rtol=1e-7)


def test_without_death_it_is_the_rate_over_the_discount() -> None:
    model = Nbd(0.38, 12.0)
    found = residual_purchases_if_alive(model, [0, 5], 40, annual_discount_rate=annual(0.002))
    np.testing.assert_allclose(found, [0.38 / 52 / 0.002, 5.38 / 52 / 0.002], rtol=1e-9)


@pytest.mark.parametrize("model", [CDNOW_BG, CDNOW_MBG])
def test_small_steps_to_a_far_horizon_come_close(model: BgNbd) -> None:
    x, age, force = np.array([0.0, 2.0, 9.0]), np.array([20.0, 38.86, 50.0]), np.log(1.4) / WEEKS_PER_YEAR
    edges = np.arange(0.0, 45 * WEEKS_PER_YEAR, 0.25)[:, np.newaxis]
    bought = np.diff(model.expected_purchases_if_alive(edges, x, age), axis=0)
    middles = (edges[1:] + edges[:-1]) / 2
    summed = (bought * np.exp(-force * middles)).sum(axis=0)
    found = residual_purchases_if_alive(model, x, age, annual_discount_rate=0.4)
    np.testing.assert_allclose(found, summed, rtol=1e-6)
    to_horizon = discounted_purchases_if_alive(model, x, age, horizon_days=16_000, annual_discount_rate=0.4)
    assert (to_horizon < found).all() and (to_horizon > found * 1.4 ** (-1 / 12)).all()


def test_it_does_not_depend_on_the_time_unit() -> None:
    in_days = BgNbd(CDNOW_BG.r, 7 * CDNOW_BG.alpha, CDNOW_BG.a, CDNOW_BG.b)
    weeks = residual_purchases_if_alive(CDNOW_BG, 2, 38.0, annual_discount_rate=0.1)
    days = residual_purchases_if_alive(in_days, 2, 7 * 38.0, annual_discount_rate=0.1, time_unit_days=1)
    assert days == pytest.approx(float(weeks), rel=1e-12)


@pytest.mark.parametrize("model", [CDNOW_BG, CDNOW_MBG, Nbd(0.38, 12.0)])
def test_arguments_broadcast_and_a_higher_rate_gives_less(model: TransactionModel) -> None:
    x, age = np.array([[0.0], [4.0]]), np.array([10.0, np.nan, 90.0])
    low, high = (residual_purchases_if_alive(model, x, age, annual_discount_rate=rate) for rate in (0.05, 0.2))
    assert low.shape == (2, 3)
    assert np.isnan(low).tolist() == [[False, True, False]] * 2
    known = ~np.isnan(low)
    assert (high[known] < low[known]).all() and (high[known] > 0).all()


@pytest.mark.parametrize("rate", [0.0, -0.1, np.nan, np.inf])
def test_rates_without_a_finite_sum_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="annual discount rate must be above 0"):
        residual_purchases_if_alive(CDNOW_BG, 2, 38.86, annual_discount_rate=rate)


def test_a_time_unit_that_is_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="time unit"):
        residual_purchases_if_alive(CDNOW_BG, 2, 38.86, annual_discount_rate=0.1, time_unit_days=0)
