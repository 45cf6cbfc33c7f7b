"""BG/BB: published numbers of the donations, brute force over all histories, recovery, extremes, refusals."""

from __future__ import annotations

from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from clv_lib.models import period_histories
from clv_lib.models.beta_geometric_beta_binomial import BgBb, PeriodStatistics
from clv_lib.models.fitting import Likelihood
from tests.models.simulation import simulate_periods

FloatArray = NDArray[np.float64]
SCATTERED = [(1.2, 0.75, 0.66, 2.78), (0.05, 3.0, 4.0, 0.2), (30.0, 40.0, 0.02, 5.0)]


@pytest.fixture(name="donations")
def _donations(published: dict[str, Any]) -> PeriodStatistics:
    return PeriodStatistics(*np.array(published["bg_bb"]["donations"], dtype=np.float64).T)


@pytest.fixture(name="estimate")
def _estimate(published: dict[str, Any]) -> BgBb:
    return BgBb(*published["bg_bb"]["parameters"])


def test_published_estimates(donations: PeriodStatistics, published: dict[str, Any]) -> None:
    expected = published["bg_bb"]
    fitted = BgBb.fit(donations)
    assert fitted.status == "converged"
    assert (fitted.customer_count, fitted.distinct_statistics_count) == (11104, 22)
    np.testing.assert_allclose(fitted.parameters, expected["parameters"], rtol=5e-7)
    assert fitted.log_likelihood == pytest.approx(expected["log_likelihood"], abs=2e-6)
    assert fitted.gradient_norm < 1e-9


def test_published_log_likelihood_of_every_history(published: dict[str, Any]) -> None:
    rounded = published["bg_bb"]["rounded"]
    x, t_x, expected = np.array(rounded["log_likelihood"]).T
    assert len(expected) == 22
    np.testing.assert_allclose(BgBb(*rounded["params"]).log_likelihood(x, t_x, 6), expected, atol=6e-4)


def test_published_predictions(donations: PeriodStatistics, estimate: BgBb, published: dict[str, Any]) -> None:
    expected = published["bg_bb"]
    x, t_x, weight = donations.frequency, donations.recency, donations.weight
    for frequency, recency, alive in expected["alive"]:
        assert estimate.probability_alive(frequency, recency, 6) == pytest.approx(alive, abs=1e-6)
    for frequency, recency, purchases in expected["expected_10"]:
        assert estimate.expected_purchases(10, frequency, recency, 6) == pytest.approx(purchases, rel=5e-5)
    five = weight * estimate.expected_purchases(5, x, t_x, 6)
    assert five.sum() == pytest.approx(expected["sum_expected_5"], abs=2e-3)
    by_frequency = np.bincount(x.astype(int), five) / np.bincount(x.astype(int), weight)
    np.testing.assert_allclose(by_frequency, expected["expected_5_by_frequency"], atol=6e-5)


def test_published_numbers_of_new_customers(estimate: BgBb, published: dict[str, Any]) -> None:
    expected = published["bg_bb"]
    people = 11104 * estimate.probability_of_purchases(np.arange(7), 6)
    np.testing.assert_allclose(people, expected["people_by_frequency"], atol=0.051)
    purchases = estimate.expected_purchases_new(np.arange(12))
    np.testing.assert_allclose(purchases[1:], expected["expected_new"], atol=6e-5)
    np.testing.assert_allclose(11104 * np.diff(purchases), expected["expected_by_year"], atol=0.12)


def test_residual_purchases(estimate: BgBb, published: dict[str, Any]) -> None:
    for frequency, recency, expected in published["bg_bb"]["residual_at_10_percent"]:
        found = estimate.residual_purchases(frequency, recency, 6, discount_rate=0.1)
        assert found == pytest.approx(expected, abs=6e-6)
    periods = np.arange(601)
    yearly = np.diff(estimate.expected_purchases(periods, 4, 5, 6))
    summed = float((yearly * 1.1 ** -periods[1:].astype(float)).sum())
    assert estimate.residual_purchases(4, 5, 6, discount_rate=0.1) == pytest.approx(summed, rel=1e-12)
    with pytest.raises(ValueError, match="infinite"):
        estimate.residual_purchases(4, 5, 6, discount_rate=0)
    mortal = BgBb(1.2, 0.75, 3.0, 2.8)
    tail = float(mortal.expected_purchases(20_000, 4, 5, 6))
    assert mortal.residual_purchases(4, 5, 6, discount_rate=0) == pytest.approx(tail, rel=1e-5)


@pytest.mark.parametrize("point", SCATTERED)
def test_gradient_agrees_with_differences(point: tuple[float, ...], donations: PeriodStatistics) -> None:
    total = period_histories.Likelihood(donations.distinct())
    likelihood = Likelihood(total.evaluate, total.hessian, 11104.0, np.ones(4), 0.0, ())
    centre, step = np.log(point), 1e-5
    gradient = likelihood.descend(centre)[1]
    for index, shift in enumerate(np.eye(4) * step):
        rise = likelihood.descend(centre + shift)[0] - likelihood.descend(centre - shift)[0]
        assert gradient[index] == pytest.approx(rise / (2 * step), rel=1e-6, abs=1e-8)


def test_standard_errors_are_the_curvature_of_the_likelihood(donations: PeriodStatistics) -> None:
    fitted = BgBb.fit(donations)

    def total(parameters: FloatArray) -> float:
        rows = BgBb(*parameters).log_likelihood(donations.frequency, donations.recency, donations.periods)
        return float(rows @ donations.weight)

    steps = np.diag(1e-3 * fitted.parameters)
    information = np.empty((4, 4))
    for (i, first), (j, second) in product(enumerate(steps), repeat=2):
        corners = [a * b * total(fitted.parameters + a * first + b * second) for a, b in product((1, -1), repeat=2)]
        information[i, j] = -sum(corners) / (4 * first[i] * second[j])
    np.testing.assert_allclose(fitted.covariance, np.linalg.inv(information), rtol=2e-3)


class BruteForce:
    """Histories of n periods by a chain of two states, mixed over p and theta by Gauss-Jacobi nodes, exact here."""

    def __init__(self, model: BgBb) -> None:
        """Make a grid of p in rows and theta in columns."""
        self.p, self.p_weight = self._nodes(model.alpha, model.beta)
        self.theta, self.theta_weight = self._nodes(model.gamma, model.delta)
        self.p, self.theta = self.p[:, np.newaxis], self.theta[np.newaxis, :]

    @staticmethod
    def _nodes(a: float, b: float) -> tuple[FloatArray, FloatArray]:
        nodes, weights = special.roots_jacobi(40, b - 1, a - 1)
        return (nodes + 1) / 2, weights / weights.sum()

    def mean(self, values: FloatArray) -> float:
        return float(self.p_weight @ np.broadcast_to(values, (40, 40)) @ self.theta_weight)

    def states(self, history: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        """Return P(history and alive in its last period), P(history and dead by then) for each p and theta."""
        alive, dead = np.ones((40, 40)), np.zeros((40, 40))
        for bought in history:
            dead = np.zeros_like(dead) if bought else dead + alive * self.theta
            alive = alive * (1 - self.theta) * (self.p if bought else 1 - self.p)
        return alive, dead


def summary(history: tuple[int, ...]) -> tuple[int, int, int]:
    bought = [period for period, purchase in enumerate(history, start=1) if purchase]
    return len(bought), max(bought, default=0), len(history)


@pytest.mark.parametrize("parameters", [(1.2, 0.75, 0.66, 2.78), (0.4, 3.0, 2.0, 1.5)])
def test_predictions_agree_with_brute_force(parameters: tuple[float, ...]) -> None:
    model = BgBb(*parameters)
    force = BruteForce(model)
    counts = np.zeros(6)
    for history in product((0, 1), repeat=5):
        x, t_x, n = summary(history)
        alive, dead = force.states(history)
        probability = force.mean(alive + dead)
        counts[x] += probability
        assert model.log_likelihood(x, t_x, n) == pytest.approx(np.log(probability), rel=1e-12)
        next_alive = force.mean(alive * (1 - force.theta)) / probability
        assert model.probability_alive(x, t_x, n) == pytest.approx(next_alive, rel=1e-11)
        future = sum(force.mean(alive * force.p * (1 - force.theta) ** k) for k in range(1, 8)) / probability
        assert model.expected_purchases(7, x, t_x, n) == pytest.approx(future, rel=1e-11)
    np.testing.assert_allclose(model.probability_of_purchases(np.arange(6), 5), counts, rtol=1e-12)
    assert model.expected_purchases_new(5) == pytest.approx(float(counts @ np.arange(6)), rel=1e-12)


def test_probabilities_of_purchases_add_up_to_one(estimate: BgBb) -> None:
    for n in (0, 1, 7, 52, 365):
        distribution = estimate.probability_of_purchases(np.arange(n + 3), n)
        assert distribution.sum() == pytest.approx(1, rel=1e-12) and (distribution[n + 1 :] == 0).all()
        mean = float(distribution @ np.arange(n + 3))
        assert estimate.expected_purchases_new(n) == pytest.approx(mean, rel=1e-11, abs=1e-15)


@pytest.mark.parametrize(
    "parameters", [(1e-4, 1e-4, 1e-4, 1e-4), (2e4, 1e-3, 1e-3, 2e4), (0.5, 2e4, 2e4, 2e4), (1.2, 0.75, 0.66, 2.8)]
)
def test_extremes_in_high_precision(parameters: tuple[float, ...]) -> None:
    model = BgBb(*parameters)
    with mpmath.workdps(50):
        a, b, g, d = map(mpmath.mpf, parameters)
        base = mpmath.beta(a, b) * mpmath.beta(g, d)
        for x, t_x, n in ((0, 0, 0), (0, 0, 300), (1, 1, 300), (50, 100, 300), (300, 300, 300), (7, 300, 300)):
            end = mpmath.beta(a + x, b + n - x) * mpmath.beta(g, d + n)
            others = (mpmath.beta(a + x, b + i - x) * mpmath.beta(g + 1, d + i) for i in range(t_x, n))
            total = end + mpmath.fsum(others)
            exact = float(mpmath.log(total / base))
            alive = float(end * (d + n) / (g + d + n) / total)
            assert model.log_likelihood(x, t_x, n) == pytest.approx(exact, rel=1e-12, abs=1e-11)
            assert model.probability_alive(x, t_x, n) == pytest.approx(alive, rel=1e-10, abs=1e-300)
            assert np.isfinite(model.residual_purchases(x, t_x, n, discount_rate=0.001))


def test_known_parameters_are_recovered() -> None:
    truth, periods = (0.9, 2.0, 0.7, 4.0), np.random.default_rng(4).choice([6.0, 12.0, 20.0], 25_000)
    fitted = BgBb.fit(PeriodStatistics.unweighted(*simulate_periods(truth, periods, 5)))
    assert fitted.converged
    assert (np.abs(fitted.parameters - truth) < 3.5 * fitted.standard_errors).all()
    assert (fitted.standard_errors / truth < 0.15).all()


def test_weights_are_repetitions_and_order_changes_nothing(donations: PeriodStatistics) -> None:
    repeats = donations.weight.astype(int)
    columns = [np.repeat(column, repeats) for column in (donations.frequency, donations.recency, donations.periods)]
    order = np.random.default_rng(6).permutation(len(columns[0]))
    single = BgBb.fit(PeriodStatistics.unweighted(*(column[order] for column in columns)))
    counted = BgBb.fit(donations)
    np.testing.assert_array_equal(single.parameters, counted.parameters)
    assert (single.log_likelihood, single.customer_count) == (counted.log_likelihood, counted.customer_count)


def test_arguments_broadcast_and_nan_stays_nan(estimate: BgBb) -> None:
    found = estimate.expected_purchases([[1], [5]], [0, 2, 6], [0, 4, 6], 6)
    assert found.shape == (2, 3)
    assert found[1, 1] == pytest.approx(float(estimate.expected_purchases(5, 2, 4, 6)), rel=1e-14)
    assert np.isnan(estimate.probability_alive([np.nan, 2], [0, 4], 6)).tolist() == [True, False]
    assert np.isnan(estimate.probability_of_purchases([1, 2], [np.nan, 4])).tolist() == [True, False]
    assert estimate.probability_alive([], [], []).shape == (0,)


IMPOSSIBLE = [
    ((-1.0, 3.0, 9.0), "not counts"),
    ((1.5, 3.0, 9.0), "not counts"),
    ((1.0, 3.5, 9.0), "not counts"),
    ((3.0, 2.0, 9.0), "recency is not between frequency and periods"),
    ((1.0, 10.0, 9.0), "recency is not between frequency and periods"),
    ((0.0, 3.0, 9.0), "recency must be 0 when frequency is 0"),
    ((1.0, 3.0, np.inf), "not a finite number"),
]


@pytest.mark.parametrize(("row", "reason"), IMPOSSIBLE)
def test_impossible_histories_are_refused(row: tuple[float, ...], reason: str, estimate: BgBb) -> None:
    with pytest.raises(ValueError, match=rf"{reason} in 1 row\(s\), first row 1: frequency="):
        PeriodStatistics.unweighted(*np.array([(1.0, 3.0, 9.0), row]).T)
    with pytest.raises(ValueError, match=reason):
        estimate.probability_alive(*row)


def test_impossible_weights_and_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="weight is not positive"):
        PeriodStatistics([1], [1], [2], [0])
    for bad in ((0, 1, 1, 1), (1, -1, 1, 1), (1, 1, np.nan, 1), (1, 1, 1, np.inf)):
        with pytest.raises(ValueError, match="positive finite"):
            BgBb(*bad)


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([(0, 0, 6, 5), (2, 4, 6, 5)], "too_few_customers"),
        ([(0, 0, 6, 50), (0, 0, 4, 30)], "no_repeat_purchases"),
        ([(0, 0, 2, 50), (1, 1, 2, 30), (1, 2, 2, 20), (2, 2, 2, 9)], "too_few_periods"),
    ],
)
def test_data_that_cannot_carry_a_fit_give_a_status(rows: list[tuple[float, ...]], status: str) -> None:
    fitted = BgBb.fit(PeriodStatistics(*np.array(rows, dtype=np.float64).T), minimum_customers=20)
    assert (fitted.status, fitted.model, fitted.converged) == (status, None, False)
    assert set(fitted.estimates().values()) == {(None, None)}


def test_customers_who_never_leave_give_no_model() -> None:
    x = np.array([2.0, 3.0, 4.0, 5.0, 6.0])
    fitted = BgBb.fit(PeriodStatistics(x, np.full(5, 6.0), np.full(5, 6.0), np.array([20.0, 60, 90, 60, 20])))
    assert fitted.status in {"at_bound", "not_converged"} and fitted.model is None
