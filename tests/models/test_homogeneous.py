"""Customers who hardly differ in how they buy or leave: the likelihood has no peak, and a parameter is held."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from clv_lib.models import BgNbd, Fitted, FloatArray, MbgNbd, Nbd, ParetoNbd, TransactionModel, TransactionStatistics
from clv_lib.models import beta_geometric as beta_geometric_module
from clv_lib.models.fitting import maximise
from clv_lib.models.limits import LARGEST, _starting_at, held, rises_beyond
from tests.models.simulation import Customers, simulate, simulate_pareto

CUSTOMERS = 3_000
HORIZON = 52.0
AGE = np.random.default_rng(3).uniform(20, 100, CUSTOMERS)
LEAVES = 0.3
# Each of them has the same chance, or rate, to leave; what is drawn has no peak with these seeds.
AT_ONCE = {"horizon": HORIZON, "first_purchase_may_be_last": True}
DRAWN: dict[type, Customers] = {
    BgNbd: simulate((1.0, 6.0, LEAVES * 1e6, (1 - LEAVES) * 1e6), AGE, 2, horizon=HORIZON),
    MbgNbd: simulate((1.0, 6.0, LEAVES * 1e6, (1 - LEAVES) * 1e6), AGE, 1, **AT_ONCE),
    ParetoNbd: simulate_pareto((1.0, 6.0, 0.02 * 1e6, 1e6), AGE, 1, horizon=HORIZON),
}
HELD = {BgNbd: ("b", 3), MbgNbd: ("b", 3), ParetoNbd: ("s", 2)}
Model = type[BgNbd] | type[MbgNbd] | type[ParetoNbd]


def statistics(model: Model) -> TransactionStatistics:
    drawn = DRAWN[model]
    return TransactionStatistics.unweighted(drawn.frequency, drawn.recency, AGE)


@pytest.fixture(scope="module")
def fits() -> dict[type, Fitted[TransactionModel]]:
    return {model: model.fit(statistics(model)) for model in HELD}


@pytest.mark.parametrize("model", HELD)
def test_one_parameter_is_held_and_the_model_is_usable(
    model: Model, fits: dict[type, Fitted[TransactionModel]]
) -> None:
    fitted, (name, number) = fits[model], HELD[model]
    assert (fitted.status, fitted.converged) == ("homogeneous", True) and fitted.model is not None
    assert fitted.parameters[number] == 1_000
    errors = {parameter: error for parameter, (_, error) in fitted.estimates().items()}
    assert errors.pop(name) is None and all(error is not None and error > 0 for error in errors.values())
    assert (fitted.covariance[number] == 0).all() and (fitted.covariance[:, number] == 0).all()


@pytest.mark.parametrize("model", HELD)
def test_parameters_are_recovered(model: Model, fits: dict[type, Fitted[TransactionModel]]) -> None:
    r, alpha, one, other = fits[model].parameters
    assert (r, alpha) == pytest.approx((1.0, 6.0), rel=0.15)
    leaves, truth = (one / other, 0.02) if model is ParetoNbd else (one / (one + other), LEAVES)
    assert leaves == pytest.approx(truth, rel=0.1)


@pytest.mark.parametrize("model", HELD)
def test_what_comes_is_foreseen(model: Model, fits: dict[type, Fitted[TransactionModel]]) -> None:
    drawn, fitted = DRAWN[model], fits[model].model
    assert fitted is not None
    expected = fitted.expected_purchases(HORIZON, drawn.frequency, drawn.recency, AGE)
    assert expected.sum() == pytest.approx(drawn.future.sum(), rel=0.12)
    alive = fitted.probability_alive(drawn.frequency, drawn.recency, AGE)
    assert alive.mean() == pytest.approx(drawn.alive.mean(), rel=0.1)


@pytest.mark.parametrize("model", HELD)
def test_the_limit_hardly_predicts_otherwise(model: Model, fits: dict[type, Fitted[TransactionModel]]) -> None:
    parameters = fits[model].parameters
    beyond = model(*map(float, parameters * (1, 1, 100, 100)))
    drawn, fitted = DRAWN[model], fits[model].model
    assert fitted is not None
    now, then = (one.expected_purchases(HORIZON, drawn.frequency, drawn.recency, AGE).sum() for one in (fitted, beyond))
    assert now == pytest.approx(then, rel=0.005)


def test_the_others_are_the_best_beside_it(fits: dict[type, Fitted[TransactionModel]]) -> None:
    """By another optimiser, without gradients."""
    rows = statistics(BgNbd)

    def loss(log: FloatArray) -> float:
        r, alpha, a = np.exp(log)
        return -float(BgNbd(r, alpha, a, 1_000).log_likelihood(rows.frequency, rows.recency, rows.age).sum())

    start = np.log((0.5, 4.0, 300.0))
    best = optimize.minimize(
        loss, start, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-8, "maxiter": 2_000}
    )
    assert fits[BgNbd].parameters[:3] == pytest.approx(np.exp(best.x), rel=1e-4)
    assert fits[BgNbd].log_likelihood == pytest.approx(-best.fun, rel=1e-10)


def test_held_is_a_cut_through_the_likelihood() -> None:
    rows = statistics(BgNbd).distinct()
    whole = beta_geometric_module._problem(0, rows, 1.0, ((1.0, 5.0, 0.3, 0.7), (1.0, 5.0, 0.3, 9.0)))
    cut = held(whole, {3: 40.0})
    point, every = np.array([0.8, 5.0, 12.0]), np.array([0.8, 5.0, 12.0, 40.0])
    assert cut.evaluate(point)[0] == whole.evaluate(every)[0]
    assert (cut.evaluate(point)[1] == whole.evaluate(every)[1][:3]).all()
    assert (cut.hessian(point) == whole.hessian(every)[:3, :3]).all()
    assert cut.starts == ((1.0, 5.0, 0.3),) and len(cut.units) == 3


def test_a_peak_below_the_limit_is_not_passed_over() -> None:
    """Where customers do differ, the likelihood falls towards the limit, which is then no estimate."""
    drawn = simulate((1.0, 6.0, 0.8, 2.4), AGE, 1)
    rows = TransactionStatistics.unweighted(drawn.frequency, drawn.recency, AGE)
    assert BgNbd.fit(rows).status == "converged"
    problem = beta_geometric_module._problem(0, rows.distinct(), 1.0, ((1.0, 6.0, 300.0, 700.0),))
    values = {3: 1_000.0}
    found = maximise(held(problem, values))
    assert found.status == "converged" and not rises_beyond(problem, values, found)


def test_a_limit_is_approached_in_the_same_ratio() -> None:
    whole = beta_geometric_module._problem(0, statistics(BgNbd).distinct(), 1.0, ((2.0, 5.0, 0.3, 0.6),))
    moved = _starting_at(whole, {0: 1_000.0, 3: 1_000.0})
    assert moved.starts == ((1_000.0, 2_500.0, 500.0, 1_000.0),)


EVERY_SECOND_WEEK = simulate((1e6, 2e6, 1.5, 6.0), AGE, 1, **AT_ONCE)
"""Customers who buy at one rate, 0.5 a week, and differ in their chance to leave."""


def test_where_customers_buy_alike_r_is_held() -> None:
    drawn = EVERY_SECOND_WEEK
    fitted = MbgNbd.fit(TransactionStatistics.unweighted(drawn.frequency, drawn.recency, AGE))
    assert fitted.status == "homogeneous" and fitted.parameters[0] == LARGEST
    assert fitted.parameters[0] / fitted.parameters[1] == pytest.approx(0.5, rel=0.02)
    assert fitted.parameters[2:] == pytest.approx((1.5, 6.0), rel=0.2)
    assert fitted.estimates()["r"][1] is None and fitted.estimates()["a"][1] is not None


def test_where_customers_differ_in_nothing_both_are_held() -> None:
    drawn = simulate((1e6, 2e6, LEAVES * 1e6, (1 - LEAVES) * 1e6), AGE, 1, **AT_ONCE)
    rows = TransactionStatistics.unweighted(drawn.frequency, drawn.recency, AGE)
    fitted = MbgNbd.fit(rows)
    r, alpha, a, b = fitted.parameters
    assert fitted.status == "homogeneous" and (r, b) == (LARGEST, LARGEST)
    assert (r / alpha, a / (a + b)) == pytest.approx((0.5, LEAVES), rel=0.05)


def test_the_baseline_holds_r_too() -> None:
    """Purchases that differ less than by chance."""
    x = np.round(0.5 * AGE)
    fitted = Nbd.fit(TransactionStatistics.unweighted(x, AGE, AGE))
    assert (fitted.status, fitted.parameters[0]) == ("homogeneous", LARGEST)
    assert fitted.parameters[0] / fitted.parameters[1] == pytest.approx(x.sum() / AGE.sum(), rel=0.01)


def test_standard_errors_are_those_of_repeated_samples() -> None:
    age = np.ceil(AGE[:800])
    shares, said = [], []
    for seed in range(100, 125):
        drawn = simulate((1.0, 6.0, LEAVES * 1e6, (1 - LEAVES) * 1e6), age, seed, first_purchase_may_be_last=True)
        one = MbgNbd.fit(TransactionStatistics.unweighted(drawn.frequency, drawn.recency, age))
        if one.status == "homogeneous":
            shares.append(np.log(one.parameters[2]))
            said.append(np.sqrt(one.log_covariance[2, 2]))
    assert len(shares) > 10
    assert np.std(shares) == pytest.approx(np.mean(said), rel=0.5)
