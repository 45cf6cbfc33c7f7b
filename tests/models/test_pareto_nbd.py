"""Pareto/NBD: published numbers, agreement with 50-digit arithmetic and with simulation, extremes."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import special

from clv_lib.models import TransactionModel, pareto_forward
from clv_lib.models.pareto_nbd import ParetoNbd
from tests.models.conftest import Cdnow
from tests.models.simulation import simulate_pareto

CDNOW = ParetoNbd(0.553277, 10.577683, 0.60624, 11.668735)
EXTREMES = [
    (0.553277, 10.577683, 0.60624, 11.668735), (1e-3, 1e-2, 0.05, 0.05), (50.0, 0.1, 5.0, 0.1), (5.0, 1e3, 1e-2, 50.0),
    (0.5, 10.0, 1.0, 12.0), (0.5, 10.0, 1.0 + 1e-7, 10.0), (0.5, 10.0, 1.0 - 1e-5, 10.0 + 1e-7), (0.5, 0.01, 0.3, 1e4),
    (10.465, 0.00798565181, 3.0516, 2.82), (1e3, 1e4, 50.0, 500.0), (0.5143, 2.8845, 0.2856, 14.1087),
    (0.01, 0.01, 0.01, 1e4), (0.3, 5.0, 40.0, 2e3), (0.8, 1e3, 30.0, 0.01), (20.0, 1e4, 2.0, 1e4),
]  # fmt: skip
CASES = [
    (float(x), share * age, age)
    for x in (0, 1, 7, 150, 1000)
    for age in (0.5, 40.0, 200.0, 2000.0)
    for share in ((0.0,) if x == 0 else (0.01, 0.5, 0.97, 1.0))
]


def test_rows_of_the_likelihood(cdnow: Cdnow, published: dict[str, Any]) -> None:
    rows = CDNOW.log_likelihood(cdnow.frequency, cdnow.recency, cdnow.age)
    assert rows.sum() == pytest.approx(published["pareto_nbd"]["log_likelihood"], abs=1e-5)
    for case in published["pareto_nbd"]["log_likelihood_rows"]:
        found = ParetoNbd(*case["params"]).log_likelihood(*case["history"])
        assert found == pytest.approx(case["log_likelihood"], abs=1e-6), case["source"]


def test_single_customers(published: dict[str, Any]) -> None:
    case = published["pareto_nbd"]["customer_1516"]
    assert CDNOW.expected_purchases(52, *case["history"]) == pytest.approx(case["expected_52"], rel=1e-6)
    assert CDNOW.probability_alive(*case["history"]) == pytest.approx(case["alive"], abs=1e-6)
    assert CDNOW.probability_alive(0, 0, 39) == pytest.approx(0.294276, abs=1e-6)
    np.testing.assert_allclose(CDNOW.probability_alive([5, 6, 20], 30, 39), [0.81076, 0.79138, 0.34434], atol=6e-6)
    assert (np.diff(CDNOW.probability_alive(np.arange(5, 21), 30, 39)) < 0).all(), "who bought often is missed sooner"
    for frequency, expected in published["pareto_nbd"]["expected_52_after_20_of_39"].items():
        assert CDNOW.expected_purchases(52, float(frequency), 20, 39) == pytest.approx(expected, rel=2e-5)


def test_expected_purchases_of_a_new_customer(published: dict[str, Any]) -> None:
    assert CDNOW.expected_purchases_new(52) == pytest.approx(
        published["pareto_nbd"]["expected_purchases_new_52"], rel=1e-6
    )
    of_lifetimes = ParetoNbd(0.55, 10.56, 0.61, 11.64).expected_purchases_new([0, 1, 2, 9])
    np.testing.assert_allclose(of_lifetimes, [0, 0.05077821, 0.09916088, 0.38909211], atol=6e-9)
    np.testing.assert_allclose(CDNOW.expected_purchases_new([1, 2]), [0.0510064, 0.0996262], atol=6e-8)


def test_cumulative_purchases_by_week(cdnow: Cdnow, published: dict[str, Any]) -> None:
    """A customer who came on day d of 1997 counts from the end of that day to the end of the week."""
    until = np.maximum(np.arange(1, 79)[:, np.newaxis] - (272 / 7 - cdnow.age), 0)
    total = CDNOW.expected_purchases_new(until).sum(axis=1)
    np.testing.assert_allclose(total, published["pareto_nbd"]["cumulative_by_week"], rtol=2e-6, atol=6e-5)


def test_sums_and_holdout_by_frequency(cdnow: Cdnow, published: dict[str, Any]) -> None:
    expected = published["pareto_nbd"]
    alive = CDNOW.probability_alive(cdnow.frequency, cdnow.recency, cdnow.age)
    forecast = CDNOW.expected_purchases(39, cdnow.frequency, cdnow.recency, cdnow.age)
    assert alive.sum() == pytest.approx(expected["sum_alive"], abs=0.01)
    assert forecast.sum() == pytest.approx(expected["sum_expected_39"], abs=0.01)
    band = np.minimum(cdnow.frequency, 7)
    means = [forecast[band == x].mean() for x in range(8)]
    np.testing.assert_allclose(means, expected["holdout_by_frequency"], atol=1e-4)


def test_table_of_25_customers(cdnow: Cdnow, published: dict[str, Any]) -> None:
    table = published["pareto_nbd"]["rounded"]
    model = ParetoNbd(*table["params"])
    rows = table["row_index"]
    history = (np.round(cdnow.frequency[rows], 2), np.round(cdnow.recency[rows], 2), np.round(cdnow.age[rows], 2))
    np.testing.assert_allclose(model.probability_alive(*history), table["palive"], atol=1e-9)
    for weeks, expected in table["cet"].items():
        np.testing.assert_allclose(model.expected_purchases(float(weeks), *history), expected, atol=1e-9)


def test_residual_purchases(published: dict[str, Any]) -> None:
    case = published["pareto_nbd"]["residual"]
    model, rate = ParetoNbd(*case["params"]), case["discount_rate"]
    after_seven = model.residual_purchases_closed_form(7, 35, 77.86, rate)
    assert after_seven == pytest.approx(case["after_7_at_35_of_77_86"], rel=1e-9)
    many = model.residual_purchases_closed_form(np.arange(1, 11), 30, 77.86, rate)
    np.testing.assert_allclose(many, case["after_1_to_10_at_30_of_77_86"], rtol=1e-9)


def test_residual_purchases_in_tricomi_s_function_and_in_the_limits() -> None:
    for s, beta in ((0.05, 0.55), (0.4, 88.0), (1.0, 30.0), (2.7, 5.0)):
        for rate in (1e-4, 0.0027, 0.05):
            z = rate * beta
            with mp.workdps(40):
                expected = float(2.0 / 7.0 * beta * mp.hyperu(1, 2 - mp.mpf(s), z))
            one = [np.float64(value) for value in (rate, 2.0, 7.0)]
            found = pareto_forward.discounted_purchases(*one, s, np.float64(beta))
            assert found == pytest.approx(expected, rel=1e-12)
            assert z > 5 or found == pytest.approx(2 / 7 * beta * special.hyperu(1, 2 - s, z), rel=1e-6)
    steep = ParetoNbd(0.55, 10.6, 0.6, 11.7).residual_purchases_closed_form(2, 39, 39, 1e4)
    assert steep == pytest.approx(2.55 / 49.6 / 1e4, rel=1e-4)
    with pytest.raises(ValueError, match="above 0"):
        CDNOW.residual_purchases_closed_form(2, 30, 39, 0.0)


@pytest.mark.parametrize(
    ("parameters", "history"),
    [
        ((0.5143, 2.8845, 0.2856, 14.1087), ([221, 254, 161, 204], [103.42857, 97.14286, 94.71429, 98.57143],
                                             [103.57143, 97.28571, 98.0, 99.42857])),
        ((10.465, 0.00798565181, 3.0516, 2.820), ([400, 500, 500], [5.0, 1.0, 4.0], [6.0, 37.0, 37.0])),
    ],
)  # fmt: skip
def test_histories_on_which_other_libraries_fail(parameters: tuple[float, ...], history: tuple[list[float]]) -> None:
    model = ParetoNbd(*parameters)
    assert np.isfinite(model.log_likelihood(*history)).all()
    assert np.isfinite(model.expected_purchases(10, *history)).all()


def test_no_underflow_between_132_and_133_purchases() -> None:
    expected = ParetoNbd(0.55, 10.58, 0.61, 11.67).expected_purchases(10, [132, 133], 200, 200)
    np.testing.assert_allclose(expected, [6.2060517890, 6.2528722476], rtol=1e-10)


def exactly(parameters: tuple[float, ...], history: tuple[float, ...], t: float) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """Log-likelihood, P(alive) and expected purchases from note 009 with hypergeometric functions, in mpmath."""
    r, alpha, s, beta, x, t_x, age = map(mp.mpf, (*parameters, *history))
    w = r + s + x

    def power(u: mp.mpf) -> mp.mpf:
        return (alpha + u) ** (-(r + x)) * (beta + u) ** (-s)

    def area(u: mp.mpf) -> mp.mpf:
        if beta >= alpha:
            inside = mp.hyp2f1(1, s + 1, w + 1, (beta - alpha) / (beta + u))
            return power(u) * (alpha + u) / (beta + u) * inside / w
        return power(u) * mp.hyp2f1(1, r + x, w + 1, (alpha - beta) / (alpha + u)) / w

    left = s * (area(t_x) - area(age)) if age > t_x else mp.mpf(0)
    stayed = power(age)
    log_factor = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) + s * mp.log(beta)
    alive = stayed / (stayed + left)
    reach = mp.log((beta + age + t) / (beta + age))
    lived = reach if s == 1 else -mp.expm1((1 - s) * reach) / (s - 1)
    return log_factor + mp.log(stayed + left), alive, alive * (r + x) * (beta + age) / (alpha + age) * lived


@pytest.mark.parametrize("parameters", EXTREMES)
def test_agrees_with_fifty_digits(parameters: tuple[float, ...]) -> None:
    model = ParetoNbd(*parameters)
    cases = CASES
    with mp.workdps(50):
        exact = [exactly(parameters, case, 52.0) for case in cases]
        log_likelihood, alive, expected = np.array(exact).astype(float).T
    columns = np.array(cases).T
    # Sums of terms up to 1e4 leave an absolute error of a few 1e-12 in a logarithm, whatever its own size is.
    np.testing.assert_allclose(model.log_likelihood(*columns), log_likelihood, rtol=2e-13, atol=5e-12)
    np.testing.assert_allclose(model.probability_alive(*columns), alive, rtol=1e-12, atol=1e-280)
    np.testing.assert_allclose(model.expected_purchases(52.0, *columns), expected, rtol=1e-12, atol=1e-280)


@pytest.mark.parametrize("parameters", EXTREMES)
def test_extremes_are_finite_and_within_bounds(parameters: tuple[float, ...]) -> None:
    model = ParetoNbd(*parameters)
    x, t_x, age = np.array(CASES).T
    alive = model.probability_alive(x, t_x, age)
    assert np.isfinite(model.log_likelihood(x, t_x, age)).all()
    assert ((alive >= 0) & (alive <= 1)).all() and (alive[t_x == age] == 1).all()
    for t in (0.0, 1e-6, 1.0, 52.0, 1000.0):
        mean, square = model.expected_purchases_if_alive(t, x, age), model.second_moment_if_alive(t, x, age)
        assert (mean >= 0).all() and (mean <= t * (model.r + x) / (model.alpha + age) * (1 + 1e-12)).all()
        assert np.isfinite(square).all() and (square >= np.maximum(mean, mean**2) * (1 - 1e-12)).all()
        chances = model.order_probabilities_if_alive(t, x[::5], age[::5], 20)
        assert (chances >= 0).all() and (chances.sum(axis=1) <= 1 + 1e-12).all()
        assert np.isfinite(model.expected_purchases_new(t))
    assert np.isfinite(model.residual_purchases_closed_form(x, t_x, age, 0.0027)).all()


def test_probabilities_of_order_counts_have_the_closed_moments() -> None:
    for model, horizon, most, accuracy in (
        (CDNOW, 39.0, 400, 1e-12),
        (ParetoNbd(3.0, 8.0, 1.0, 5.0), 80.0, 800, 1e-9),
        (ParetoNbd(30.0, 0.5, 4.0, 9.0), 60.0, 3000, 1e-9),
    ):
        x, age = np.array([1.0, 4.0, 60.0]), np.array([20.0, 38.86, 100.0])
        chances, counts = model.order_probabilities_if_alive(horizon, x, age, most), np.arange(most + 1)
        assert chances.shape == (3, most + 1)
        np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=accuracy)
        mean, square = chances @ counts, chances @ counts**2
        np.testing.assert_allclose(mean, model.expected_purchases_if_alive(horizon, x, age), rtol=accuracy)
        np.testing.assert_allclose(square, model.second_moment_if_alive(horizon, x, age), rtol=accuracy)
        short = model.order_probabilities_if_alive(horizon, x, age, 7)
        np.testing.assert_allclose(short, chances[:, :8], rtol=1e-11)


def test_probabilities_of_order_counts_in_fifty_digits() -> None:
    r, alpha, s, beta, t = 20.5, 41.0, 1.3, 6.0, 52.0
    found = pareto_forward.order_probabilities(*(np.float64(v) for v in (t, r, alpha)), s, np.float64(beta), 60)

    def count(n: int, u: mp.mpf) -> mp.mpf:
        return mp.binomial(r + n - 1, n) * (alpha / (alpha + u)) ** r * (u / (alpha + u)) ** n

    with mp.workdps(50):
        for n in (0, 1, 9, 60):
            pieces = [0, *(t / 2**k for k in range(8, -1, -1))]
            dies = mp.quad(lambda u, n=n: s / beta * (1 + u / beta) ** (-s - 1) * count(n, u), pieces)
            assert found[n] == pytest.approx(
                float((1 + t / beta) ** mp.mpf(-s) * count(n, mp.mpf(t)) + dies), rel=1e-12
            )


def test_predictions_agree_with_simulation() -> None:
    parameters, count, horizon = (0.9, 8.0, 0.7, 20.0), 400_000, 39.0
    model = ParetoNbd(*parameters)
    seen = simulate_pareto(parameters, np.full(count, 39.0), 31, horizon=horizon)
    history = seen.frequency, seen.recency, seen.age
    alive, forecast = model.probability_alive(*history), model.expected_purchases(horizon, *history)
    assert model.expected_purchases_new(39) == pytest.approx(seen.frequency.mean(), rel=0.01)
    for x in (0, 1, 2, 5):
        group, survivors = seen.frequency == x, (seen.frequency == x) & seen.alive
        error = seen.future[group].std() / np.sqrt(group.sum())
        assert abs(forecast[group].mean() - seen.future[group].mean()) < 4 * error
        spread = np.sqrt(np.mean(alive[group] * (1 - alive[group])) / group.sum())
        assert abs(alive[group].mean() - seen.alive[group].mean()) <= 4 * spread
        squares = seen.future[survivors] ** 2
        error = squares.std() / np.sqrt(len(squares))
        assert abs(model.second_moment_if_alive(horizon, x, 39.0) - squares.mean()) < 4 * error
        chances = model.order_probabilities_if_alive(horizon, x, 39.0, 6)
        shares = np.array([np.mean(seen.future[survivors] == n) for n in range(7)])
        assert (np.abs(chances - shares) < 4.5 * np.sqrt(chances * (1 - chances) / survivors.sum())).all()


def test_silence_lowers_the_probability_of_being_alive() -> None:
    age = np.linspace(10, 300, 200)
    for x, t_x in ((0, 0.0), (1, 10.0), (3, 10.0), (20, 10.0)):
        alive = CDNOW.probability_alive(x, t_x, age)
        assert (np.diff(alive) < 0).all() and alive[-1] > 0 and alive[0] <= 1


@pytest.mark.parametrize("parameters", [EXTREMES[0], EXTREMES[2], EXTREMES[8]])
def test_gradient_of_the_probability_of_being_alive(parameters: tuple[float, ...]) -> None:
    history = [0.0, 2.0, 7.0, 3.0], [0.0, 30.0, 20.0, 39.0], 39.0
    gradient = ParetoNbd(*parameters).probability_alive_gradient(*history)
    assert gradient.shape == (4, 4) and (gradient[3] == 0).all()
    for index, shift in enumerate(np.eye(4) * 1e-5):
        up, down = (ParetoNbd(*np.array(parameters) * np.exp(sign * shift)) for sign in (1, -1))
        rise = up.probability_alive(*history) - down.probability_alive(*history)
        np.testing.assert_allclose(gradient[:, index], rise / 2e-5, rtol=1e-5, atol=1e-9)


def test_odds_of_death_split_into_tables_of_two_histories() -> None:
    x, t_x, age, until = 3.0, np.array([0.5, 20.0, 38.0]), 38.86, 60.0
    shift = (CDNOW.r + x) * np.log((CDNOW.alpha + age) / (CDNOW.alpha + t_x))
    shift += CDNOW.s * np.log((CDNOW.beta + age) / (CDNOW.beta + t_x))
    odds = np.exp(shift) * CDNOW.death_integral(x, t_x, until) - CDNOW.death_integral(x, age, until)
    np.testing.assert_allclose(1 / (1 + odds), CDNOW.probability_alive(x, t_x, age), rtol=1e-13)


def test_arguments_broadcast_in_blocks_and_nan_stays_nan() -> None:
    model: TransactionModel = CDNOW
    horizon = np.array([[4.0], [13.0]])
    expected = model.expected_purchases(horizon, [0.0, 2.0, 5.0], [0.0, 8.0, 20.0], 30.0)
    assert expected.shape == (2, 3)
    assert expected[1, 2] == pytest.approx(float(model.expected_purchases(13.0, 5.0, 20.0, 30.0)), rel=1e-14)
    long = CDNOW.probability_alive(np.full(9_000, 2.0), 8.0, 30.0)
    np.testing.assert_allclose(long, CDNOW.probability_alive(2, 8, 30), rtol=1e-14)
    for history in ((np.nan, 1.0, 30.0), (1.0, np.nan, 30.0), (1.0, 1.0, np.nan)):
        assert np.isnan(CDNOW.expected_purchases(4.0, *history)) and np.isnan(CDNOW.log_likelihood(*history))
    chances = CDNOW.order_probabilities_if_alive([[0.0], [np.nan]], [1.0, np.nan], 30.0, 2)
    assert chances.shape == (2, 2, 3)
    np.testing.assert_array_equal(chances[0, 0], [1, 0, 0])
    assert np.isnan(chances[0, 1]).all() and np.isnan(chances[1]).all()
    assert np.isnan(CDNOW.second_moment_if_alive(4.0, np.nan, 30.0))
    with pytest.raises(ValueError, match="negative"):
        CDNOW.order_probabilities_if_alive(4.0, 1.0, 30.0, -1)


@pytest.mark.parametrize("bad", [(0, 1, 1, 1), (1, -1, 1, 1), (1, 1, np.nan, 1), (1, 1, 1, np.inf)])
def test_impossible_parameters_are_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="positive finite"):
        ParetoNbd(*bad)
