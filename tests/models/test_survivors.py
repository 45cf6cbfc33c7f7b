"""Distribution of future orders if alive, its moments, quantiles and gradients: against simulation and mpmath."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import special

from clv_lib.models import (
    BgNbd,
    MbgNbd,
    Nbd,
    ParetoNbd,
    TransactionModel,
    forward_process,
    residual_gradient_if_alive,
    residual_if_alive,
    residual_purchases_if_alive,
)
from clv_lib.models.survivors import (
    QUANTILE_LEVELS,
    gradient_of_survivor,
    order_quantiles_if_alive,
    survivor_table,
)
from tests.models.simulation import simulate

CDNOW_BG = BgNbd(0.242595, 4.413602, 0.792922, 2.425907)
CDNOW_MBG = MbgNbd(0.524843, 6.183085, 0.891359, 1.614002)
BOTH = [CDNOW_BG, CDNOW_MBG]
EXTREMES = [
    (0.25, 4.4, 0.8, 2.4), (1e-3, 1e-2, 0.05, 0.05), (50.0, 0.1, 5.0, 0.1), (5.0, 1e3, 1e-2, 50.0),
    (0.5, 10.0, 1.0, 2.0), (10.465, 0.00798565181, 3.0516, 2.82), (1e3, 1e4, 50.0, 500.0),
]  # fmt: skip


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize("x", [0, 1, 4])
def test_order_probabilities_agree_with_simulated_survivors(model: BgNbd, x: int) -> None:
    parameters, later = (model.r, model.alpha, model.a, model.b), model.first_purchase_may_be_last
    seen = simulate(parameters, np.full(400_000, 39.0), 51, horizon=39.0, first_purchase_may_be_last=later)
    future = seen.future[(seen.frequency == x) & seen.alive]
    expected = model.order_probabilities_if_alive(39.0, x, 39.0, 200)
    for n in range(8):
        error = math.sqrt(expected[n] * (1 - expected[n]) / len(future))
        assert abs(np.mean(future == n) - expected[n]) < 4.5 * error
    second = model.second_moment_if_alive(39.0, x, 39.0)
    assert abs(np.mean(future**2) - second) < 4.5 * np.std(future**2) / math.sqrt(len(future))


def test_published_order_probabilities() -> None:
    model = BgNbd(0.243, 4.414, 0.793, 2.426)
    assert model.order_probabilities_if_alive(2, 0, 0, 10)[10] == pytest.approx(1.07869e-07, rel=1e-5)
    assert model.order_probabilities_if_alive(39, 0, 0, 0)[0] == pytest.approx(0.5737864, abs=1e-7)
    published = [
        0.0019995214, 0.0015170236, 0.0011633150, 0.0009003148, 0.0007023638,
        0.0005517902, 0.0004361913, 0.0003467171, 0.0002769613, 0.0002222260,
    ]  # fmt: skip
    found = model.order_probabilities_if_alive(30, 0, 0, 20)[11:]
    np.testing.assert_allclose(found, published, atol=6e-11)


def test_distribution_of_a_cdnow_customer() -> None:
    history = 2, 30.43, 38.86
    alive = float(CDNOW_BG.probability_alive(*history))
    mean = alive * float(np.arange(400) @ CDNOW_BG.order_probabilities_if_alive(39, 2, 38.86, 399))
    none = 1 - alive + alive * float(CDNOW_BG.order_probabilities_if_alive(39, 2, 38.86, 0)[0])
    second = alive * float(CDNOW_BG.second_moment_if_alive(39, 2, 38.86))
    assert mean == pytest.approx(1.2259070748, abs=1e-10)
    assert none == pytest.approx(0.4454, abs=5e-5)
    assert second - mean**2 == pytest.approx(2.53, abs=5e-3)


@pytest.mark.parametrize("model", [*BOTH, Nbd(0.38, 12.0)])
def test_probabilities_sum_to_one_and_give_the_moments(model: TransactionModel) -> None:
    x, age = np.array([0.0, 0.0, 3.0, 40.0, 1000.0]), np.array([0.0, 60.0, 30.0, 52.0, 300.0])
    n = np.arange(6001)
    probabilities = model.order_probabilities_if_alive(26.0, x, age, 6000)
    assert probabilities.shape == (5, 6001) and (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-10)
    np.testing.assert_allclose(probabilities @ n, model.expected_purchases_if_alive(26.0, x, age), rtol=1e-9)
    np.testing.assert_allclose(probabilities @ n**2, model.second_moment_if_alive(26.0, x, age), rtol=1e-9)
    np.testing.assert_array_equal(model.order_probabilities_if_alive(0.0, 2.0, 9.0, 2), [1, 0, 0])
    assert np.isnan(model.order_probabilities_if_alive(26.0, np.nan, 9.0, 1)).all()


@pytest.mark.parametrize("parameters", EXTREMES)
@pytest.mark.parametrize(("x", "age"), [(0, 0.5), (2, 38.86), (150, 200.0), (1000, 40.0), (1000, 2000.0)])
@pytest.mark.parametrize("t", [1e-3, 52.0])
def test_second_moment_at_extremes_is_the_sum_over_tails(
    parameters: tuple[float, ...], x: int, age: float, t: float
) -> None:
    """E[N^2] = sum of (2n - 1) P(N >= n), and P(N >= n) = S_(n-1) P(negative binomial >= n)."""
    r, alpha, a, b = parameters
    r, alpha, b = r + x, alpha + age, b + x
    expected, first, term = 0.0, 1, np.inf
    while term > 1e-11 * expected:
        n = np.arange(first, first + 20_000.0)
        stays = np.exp(special.betaln(a, b + n - 1) - special.betaln(a, b))
        terms = (2 * n - 1) * stays * special.betainc(n, r, t / (alpha + t))
        expected, first, term = expected + float(terms.sum()), first + len(n), float(terms[-1])
    assert BgNbd(*parameters).second_moment_if_alive(t, x, age) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("model", BOTH)
def test_gradient_of_the_probability_of_being_alive(model: BgNbd) -> None:
    x, t_x, age = np.array([0.0, 1.0, 2.0, 26.0]), np.array([0.0, 3.0, 30.43, 30.86]), np.array([9.0, 9.0, 38.86, 40.0])
    found = model.probability_alive_gradient(x, t_x, age)
    by_difference = gradient_of_survivor(model, lambda m: m.probability_alive(x, t_x, age))
    np.testing.assert_allclose(found, by_difference, rtol=1e-5, atol=1e-9)
    if model.name == "bg_nbd":
        np.testing.assert_array_equal(found[0], 0)


def test_gradient_at_many_orders_agrees_with_mpmath() -> None:
    def alive(*logs: mpmath.mpf) -> mpmath.mpf:
        r, alpha, a, b = map(mpmath.exp, logs)
        odds = (r + 300) * mpmath.log((alpha + 140) / (alpha + 138)) + mpmath.log(a) - mpmath.log(b + 299)
        return 1 / (1 + mpmath.exp(odds))

    model = CDNOW_BG
    with mpmath.workdps(40):
        logs = [mpmath.log(getattr(model, name)) for name in model.parameter_names]
        expected = [float(mpmath.diff(alive, logs, tuple(int(i == j) for j in range(4)))) for i in range(4)]
    np.testing.assert_allclose(model.probability_alive_gradient(300, 138, 140), expected, rtol=1e-11)


def test_gradient_by_differences_agrees_with_mpmath() -> None:
    """E[purchases] of a survivor is an integral over p ~ Beta(a, b + x) whose derivatives mpmath takes."""

    def purchases(*logs: mpmath.mpf) -> mpmath.mpf:
        r, alpha, a, b = map(mpmath.exp, logs)
        r, alpha, b = r + 2, alpha + 38, b + 2
        z = 26 / (alpha + 26)
        inside = mpmath.hyp2f1(a + b - 1 - r, a - 1, a + b - 1, z)
        return (a + b - 1) / (a - 1) * (1 - (1 - z) ** (a - 1) * inside)

    with mpmath.workdps(40):
        logs = [mpmath.log(getattr(CDNOW_BG, name)) for name in CDNOW_BG.parameter_names]
        expected = [float(mpmath.diff(purchases, logs, tuple(int(i == j) for j in range(4)))) for i in range(4)]
    found = gradient_of_survivor(CDNOW_BG, lambda model: model.expected_purchases_if_alive(26.0, 2.0, 38.0))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("model", [*BOTH, Nbd(0.38, 12.0)])
def test_quantiles_are_those_of_the_probabilities(model: TransactionModel) -> None:
    x, age = np.array([0.0, 3.0, 40.0, 1000.0]), np.array([10.0, 30.0, 52.0, 60.0])
    found = order_quantiles_if_alive(model, 52.0, x, age)
    assert found[3, -1] > 500
    for row, probabilities in enumerate(model.order_probabilities_if_alive(52.0, x, age, 4000)):
        cumulated = np.concatenate([[0.0], np.cumsum(probabilities)])
        levels = np.array(QUANTILE_LEVELS)
        assert (cumulated[found[row] + 1] >= levels - 2e-9).all()
        assert (cumulated[found[row]][1:] < levels[1:] + 2e-9).all()


def test_levels_of_quantiles_hold_the_ends_of_the_usual_intervals() -> None:
    assert {0.0, 0.025, 0.05, 0.1, 0.9, 0.95, 0.975} <= set(QUANTILE_LEVELS)
    with pytest.raises(ValueError, match="ascend"):
        order_quantiles_if_alive(CDNOW_BG, 52.0, 2.0, 30.0, (0.5, 0.2))
    with pytest.raises(ValueError, match="finite"):
        order_quantiles_if_alive(CDNOW_BG, 52.0, [2.0], [np.nan])


@pytest.mark.parametrize(
    "model", [*BOTH, BgNbd(0.8, 0.05, 0.25, 1.3), ParetoNbd(0.553, 10.58, 0.606, 11.67), ParetoNbd(1, 30, 0.2, 0.1)]
)
def test_gradient_of_purchases_without_a_horizon(model: TransactionModel) -> None:
    """Interpolated over ages, of many customers and of few."""
    x, age = np.repeat([1.0, 2.0, 30.0], [40, 20, 3]), np.r_[np.linspace(0, 157, 40), np.linspace(1, 90, 20), 1, 10, 90]
    found = residual_gradient_if_alive(model, x, age, annual_discount_rate=0.1)

    def residual(one: TransactionModel) -> np.ndarray:
        return residual_purchases_if_alive(one, x, age, annual_discount_rate=0.1)

    exact = gradient_of_survivor(model, residual)
    assert np.abs((found - exact) / residual(model)[:, None]).max() < 1e-3
    same_age = residual_gradient_if_alive(model, np.full(30, 1.0), np.full(30, 20.0), annual_discount_rate=0.1)
    assert np.ptp(same_age, axis=0).max() == 0


@pytest.mark.parametrize("model", [*BOTH, ParetoNbd(0.553, 10.58, 0.606, 11.67), Nbd(0.38, 12.0)])
def test_a_customer_is_evaluated_alike_whoever_else_is(model: TransactionModel) -> None:
    """Every figure of the table and of the residual: of 200 customers, of each third alone, and of one."""
    random = np.random.default_rng(5)
    x, age = random.integers(0, 12, 200).astype(float), random.integers(1, 900, 200) / 7

    def figures(rows: np.ndarray) -> list[np.ndarray]:
        table = survivor_table(model, x[rows], age[rows], horizon_days=365, annual_discount_rate=0.1)
        residual = residual_if_alive(model, x[rows], age[rows], annual_discount_rate=0.1, time_unit_days=7.0)
        return [getattr(found, name) for found in (table, residual) for name in found.__dataclass_fields__]

    every = figures(np.arange(200))
    for rows in (*(np.arange(first, 200, 3) for first in range(3)), np.array([77])):
        for alone, among in zip(figures(rows), every, strict=True):
            np.testing.assert_allclose(alone, among[rows], rtol=1e-12, atol=1e-14)


def test_integrals_of_many_are_those_of_each_alone() -> None:
    chance = np.random.default_rng(5)
    r, alpha = 10 ** chance.uniform(-2, 2, 40), 10 ** chance.uniform(-2, 3, 40)
    horizon, b = 10 ** chance.uniform(-2, 9, 40), 10 ** chance.uniform(-3, 2, 40)
    for a in (0.05, 0.9, 30.0):
        together = forward_process._by_quadrature(horizon, r, alpha, a, b)
        for place in range(40):
            own = slice(place, place + 1)
            [alone] = forward_process._by_quadrature(horizon[own], r[own], alpha[own], a, b[own])
            assert together[place] == pytest.approx(alone, rel=1e-12)
