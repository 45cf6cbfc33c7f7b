"""Gamma-Gamma where its free estimate cannot predict: the mean is that of the customers, and shapes have a limit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from clv_lib.models import Fitted, FloatArray, GammaGamma, SpendStatistics, parameter_variance
from clv_lib.models import gamma_gamma as gamma_gamma_module
from clv_lib.models.gamma_gamma import LARGEST_SHAPE, MOST_TIMES_THE_MEAN
from tests.models.simulation import simulate_spend

CUSTOMERS = 3_000
CHANCE = np.random.default_rng(8)
X = CHANCE.geometric(0.3, CUSTOMERS).astype(float)
IS_COMPANY = CHANCE.random(CUSTOMERS) < 0.2
AT_MOST_ONE = simulate_spend((2.0, 0.7, 10.0), X, 9)[0]
HARDLY_ABOVE_ONE = simulate_spend((2.0, 1.03, 10.0), X, 12)[0]
COMPANIES = np.where(
    IS_COMPANY, simulate_spend((3.0, 4.0, 5_000.0), X, 10)[0], simulate_spend((3.0, 4.0, 50.0), X, 11)[0]
)
OWN_PRICE = np.where(IS_COMPANY, 30.0, 20.0)
PRICE_LIST = np.array([CHANCE.choice([20.0, 30.0], int(x)).mean() for x in X])
# Purchases of all customers vary less than those of gamma-distributed values would: the likelihood rises with q.
PRICE_LIST = np.where(X > 1, 25 + 0.9 * (PRICE_LIST - 25), PRICE_LIST)
ONE_PRICE = np.full(CUSTOMERS, 25.0)


def fitted(m: FloatArray) -> Fitted[GammaGamma]:
    return GammaGamma.fit(SpendStatistics.unweighted(X, m))


def model_of(m: FloatArray) -> GammaGamma:
    found = fitted(m)
    assert (found.status, found.converged) == ("mean_constrained", True) and found.model is not None
    return found.model


@pytest.mark.parametrize(
    "m",
    [AT_MOST_ONE, HARDLY_ABOVE_ONE, COMPANIES, OWN_PRICE, PRICE_LIST, ONE_PRICE],
    ids=["at most 1", "hardly above 1", "companies", "own price", "price list", "one price"],
)
def test_a_customer_of_whom_nothing_is_known_spends_the_observed_mean(m: FloatArray) -> None:
    model = model_of(m)
    assert model.population_mean == pytest.approx(m.mean(), rel=1e-9)
    assert model.expected_spend(0, 0) == pytest.approx(m.mean(), rel=1e-9)
    expected = model.expected_spend(X, m)
    assert (np.minimum(m, m.mean()) - 1e-9 <= expected).all() and (expected <= np.maximum(m, m.mean()) + 1e-9).all()


def test_the_free_estimate_is_left_alone_where_it_predicts() -> None:
    found = fitted(simulate_spend((6.0, 4.0, 15.0), X, 13)[0])
    assert found.status == "converged" and found.model is not None
    assert found.model.population_mean == pytest.approx(6 * 15 / 3, rel=0.05)


def test_a_mean_far_above_the_observed_one_is_no_estimate() -> None:
    def loss(log: FloatArray) -> float:
        p, e, v = np.exp(log)
        return -float(GammaGamma(p, 1 + e, v).log_likelihood(X, HARDLY_ABOVE_ONE).sum())

    free = optimize.minimize(
        loss,
        np.log((2.0, 0.2, 10.0)),
        method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-6, "maxiter": 5_000},
    )
    p, e, v = np.exp(free.x)
    assert p * v / e > MOST_TIMES_THE_MEAN * HARDLY_ABOVE_ONE.mean(), "the free optimum, found without our gradients"
    assert model_of(HARDLY_ABOVE_ONE).q > 1 + e


@pytest.mark.parametrize("m", [AT_MOST_ONE, COMPANIES], ids=["at most 1", "companies"])
def test_p_and_q_are_the_best_with_that_mean(m: FloatArray) -> None:
    """By another optimiser, without gradients."""
    model, mean = model_of(m), m.mean()

    def loss(log: FloatArray) -> float:
        p, e = np.exp(log)
        return -float(GammaGamma(p, 1 + e, mean * e / p).log_likelihood(X, m).sum())

    best = optimize.minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    assert (model.p, model.q - 1) == pytest.approx(tuple(np.exp(best.x)), rel=1e-4)
    assert fitted(m).log_likelihood == pytest.approx(-best.fun, rel=1e-9)


@pytest.mark.parametrize("point", [(2.0, 0.3), (0.4, 5.0), (50.0, 0.01)])
def test_derivatives_agree_with_differences(point: tuple[float, float]) -> None:
    rows = SpendStatistics.unweighted(X, COMPANIES).distinct()
    tied = gamma_gamma_module._WithObservedMean(gamma_gamma_module._Likelihood(rows, 100.0))
    at, step = np.array(point), 1e-5
    for number, shift in enumerate(np.diag(at * step)):
        up, down = tied.evaluate(at + shift), tied.evaluate(at - shift)
        slope, curve = (up[0] - down[0]) / (2 * shift[number]), (up[1] - down[1]) / (2 * shift[number])
        assert tied.evaluate(at)[1][number] == pytest.approx(slope, rel=1e-5, abs=1e-3)
        assert tied.hessian(at)[number] == pytest.approx(curve, rel=1e-4, abs=1e-3)


def test_one_price_is_expected_of_everybody() -> None:
    found = fitted(ONE_PRICE)
    assert found.model is not None
    assert (found.model.p, found.model.q) == (LARGEST_SHAPE, LARGEST_SHAPE + 1)
    assert found.estimates()["p"][1] is found.estimates()["q"][1] is None, "held, so without a standard error"
    assert found.model.expected_spend([0, 1, 40], [0, 25, 25]) == pytest.approx(25, rel=1e-9)
    moments = found.model.spend_moments([0, 1, 40], [0, 25, 25])
    assert np.sqrt(moments.purchase_variance) == pytest.approx(0.25, rel=0.01), "1 %"


def test_prices_that_differ_between_customers_alone_go_on() -> None:
    model = model_of(OWN_PRICE)
    assert model.p == LARGEST_SHAPE and model.q < 100
    assert model.expected_spend([1, 1], [20, 30]) == pytest.approx([20, 30], rel=0.01)


def test_a_price_list_says_nothing_of_single_customers() -> None:
    model = model_of(PRICE_LIST)
    assert model.q == LARGEST_SHAPE + 1 and model.p < 100
    assert model.expected_spend([1, 1], [20, 30]) == pytest.approx(PRICE_LIST.mean(), rel=0.01)


@pytest.mark.parametrize("m", [AT_MOST_ONE, OWN_PRICE, PRICE_LIST], ids=["at most 1", "own price", "price list"])
def test_the_mean_is_as_uncertain_as_a_mean_of_customers(m: FloatArray) -> None:
    found = fitted(m)
    assert found.model is not None
    q = found.model.q
    by_logs = np.array([1.0, -q / (q - 1), 1.0])
    relative = parameter_variance(by_logs, found.log_covariance)
    assert relative == pytest.approx(m.var() / CUSTOMERS / m.mean() ** 2, rel=1e-6)
    assert np.linalg.eigvalsh(found.log_covariance)[0] > -1e-12


def test_errors_of_the_shapes_are_those_of_repeated_samples() -> None:
    logs = []
    for seed in range(40):
        one = fitted(simulate_spend((2.0, 0.9, 10.0), X, 100 + seed)[0])
        assert one.model is not None
        logs.append(np.log((one.model.p, one.model.q - 1)))
    said = fitted(simulate_spend((2.0, 0.9, 10.0), X, 99)[0])
    assert said.model is not None
    assert np.std(logs, axis=0)[0] == pytest.approx(np.sqrt(said.log_covariance[0, 0]), rel=0.4)


def test_units_weights_and_order_of_rows_do_not_matter() -> None:
    once, cents = fitted(COMPANIES), fitted(COMPANIES * 100)
    assert cents.parameters == pytest.approx(once.parameters * (1, 1, 100), rel=1e-6)
    assert cents.standard_errors == pytest.approx(once.standard_errors * (1, 1, 100), rel=1e-5)
    order = np.random.default_rng(1).permutation(CUSTOMERS)
    shuffled = GammaGamma.fit(SpendStatistics.unweighted(X[order], COMPANIES[order]))
    assert (shuffled.parameters == once.parameters).all()
    tripled = GammaGamma.fit(SpendStatistics(X, COMPANIES, np.full(CUSTOMERS, 3.0)))
    assert tripled.parameters == pytest.approx(once.parameters, rel=1e-6)
    assert tripled.log_covariance == pytest.approx(once.log_covariance / 3, rel=1e-5)
