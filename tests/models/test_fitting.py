"""How estimates behave: gradients, weights, units, order, recovery, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from clv_lib.models import (
    BgNbd,
    GammaGamma,
    MbgNbd,
    Nbd,
    SpendStatistics,
    TransactionStatistics,
    beta_geometric,
    fitting_with_death,
)
from clv_lib.models import gamma_gamma as gamma_gamma_module
from clv_lib.models.fitting import Likelihood
from clv_lib.models.nbd import PurchaseSums, mean_age
from tests.models.conftest import Cdnow
from tests.models.simulation import simulate, simulate_spend

TRUE_BG = (0.6, 8.0, 0.9, 2.0)
SCATTERED = [(0.3, 0.2, 0.8, 2.5), (3.0, 2.0, 0.05, 0.2), (0.02, 5.0, 12.0, 30.0)]


def likelihoods(cdnow: Cdnow) -> dict[str, Likelihood]:
    rows, spend = cdnow.transactions.distinct(), cdnow.spend.distinct()
    scale = mean_age(rows)
    sums, value = PurchaseSums(rows, scale), gamma_gamma_module._Likelihood(spend, 20.0)
    return {
        "nbd": Nbd.search(sums, scale)[0],
        "bg_nbd": beta_geometric._problem(0, rows, scale, ()),
        "mbg_nbd": beta_geometric._problem(1, rows, scale, ()),
        "gamma_gamma": Likelihood(value.evaluate, value.hessian, 1.0, np.ones(3), 0.0, ()),
    }


@pytest.mark.parametrize("name", ["nbd", "bg_nbd", "mbg_nbd", "gamma_gamma"])
@pytest.mark.parametrize("point", SCATTERED)
def test_gradient_agrees_with_differences(name: str, point: tuple[float, ...], cdnow: Cdnow) -> None:
    likelihood = likelihoods(cdnow)[name]
    size = {"nbd": 2, "gamma_gamma": 3}.get(name, 4)
    log_parameters = np.log(point[:size])
    gradient = likelihood.descend(log_parameters)[1]
    step = 1e-5
    for index, shift in enumerate(np.eye(size) * step):
        rise = likelihood.descend(log_parameters + shift)[0] - likelihood.descend(log_parameters - shift)[0]
        assert gradient[index] == pytest.approx(rise / (2 * step), rel=2e-6, abs=2e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("model", [Nbd, BgNbd, MbgNbd])
def test_weights_are_repetitions(model: type[BgNbd], cdnow: Cdnow) -> None:
    raw = cdnow.transactions
    tuples, counts = np.unique(np.array([raw.frequency, raw.recency, raw.age]), axis=1, return_counts=True)
    counted = model.fit(TransactionStatistics(*tuples, weight=counts))
    single = model.fit(raw)
    assert counted.distinct_statistics_count == single.distinct_statistics_count == 1016
    assert counted.customer_count == single.customer_count == 2357
    np.testing.assert_array_equal(counted.parameters, single.parameters)
    assert counted.log_likelihood == single.log_likelihood


@pytest.mark.parametrize("model", [Nbd, BgNbd, MbgNbd])
def test_order_of_rows_changes_nothing(model: type[BgNbd], cdnow: Cdnow) -> None:
    raw = cdnow.transactions
    order = np.random.default_rng(5).permutation(len(raw.age))
    shuffled = TransactionStatistics.unweighted(raw.frequency[order], raw.recency[order], raw.age[order])
    np.testing.assert_array_equal(model.fit(shuffled).parameters, model.fit(raw).parameters)


def test_order_and_weights_of_spend_change_nothing(cdnow: Cdnow) -> None:
    raw = cdnow.spend
    order = np.random.default_rng(6).permutation(np.repeat(np.arange(len(raw.frequency)), 2))
    twice = GammaGamma.fit(SpendStatistics.unweighted(raw.frequency[order], raw.mean_spend[order]))
    counted = GammaGamma.fit(SpendStatistics(raw.frequency, raw.mean_spend, 2 * raw.weight))
    np.testing.assert_allclose(twice.parameters, counted.parameters, rtol=1e-9)
    np.testing.assert_allclose(twice.parameters, GammaGamma.fit(raw).parameters, rtol=1e-9)
    np.testing.assert_allclose(twice.covariance * 2, GammaGamma.fit(raw).covariance, rtol=1e-5)


@pytest.mark.parametrize("model", [BgNbd, MbgNbd])
def test_days_instead_of_weeks_scale_alpha_alone(model: type[BgNbd], cdnow: Cdnow) -> None:
    weeks = model.fit(cdnow.transactions)
    raw = cdnow.transactions
    days = model.fit(TransactionStatistics.unweighted(raw.frequency, 7 * raw.recency, 7 * raw.age))
    np.testing.assert_allclose(days.parameters, weeks.parameters * [1, 7, 1, 1], rtol=1e-9)
    np.testing.assert_allclose(days.standard_errors, weeks.standard_errors * [1, 7, 1, 1], rtol=1e-6)
    assert days.log_likelihood == pytest.approx(weeks.log_likelihood - raw.frequency.sum() * np.log(7), rel=1e-12)
    assert weeks.model is not None and days.model is not None
    forecast = days.model.expected_purchases(7 * 39, raw.frequency, 7 * raw.recency, 7 * raw.age)
    np.testing.assert_allclose(
        forecast, weeks.model.expected_purchases(39, raw.frequency, raw.recency, raw.age), rtol=1e-8
    )


def test_another_currency_scales_v_alone(cdnow: Cdnow) -> None:
    base, pennies = (
        GammaGamma.fit(cdnow.spend),
        SpendStatistics.unweighted(cdnow.spend.frequency, cdnow.spend.mean_spend * 100),
    )
    np.testing.assert_allclose(GammaGamma.fit(pennies).parameters, base.parameters * [1, 1, 100], rtol=1e-8)


def test_floored_weeks_would_move_the_estimates(cdnow: Cdnow) -> None:
    raw = cdnow.transactions
    floored_recency = np.where(raw.frequency > 0, np.maximum(np.floor(raw.recency), 1e-9), 0)
    floored = BgNbd.fit(TransactionStatistics.unweighted(raw.frequency, floored_recency, np.floor(raw.age)))
    assert floored.parameters[1] == pytest.approx(3.858, abs=0.01)


@pytest.mark.parametrize("model", [BgNbd, MbgNbd])
def test_known_parameters_are_recovered(model: type[BgNbd]) -> None:
    age = np.random.default_rng(11).uniform(10, 150, 40_000)
    customers = simulate(TRUE_BG, age, 12, first_purchase_may_be_last=model.first_purchase_may_be_last)
    fitted = model.fit(TransactionStatistics.unweighted(customers.frequency, customers.recency, age))
    assert fitted.converged
    assert (np.abs(fitted.parameters - TRUE_BG) < 3.5 * fitted.standard_errors).all()
    assert (fitted.standard_errors / fitted.parameters < 0.1).all()


def test_known_spend_is_recovered() -> None:
    frequency = np.random.default_rng(3).geometric(0.3, 30_000).astype(float)
    mean, _ = simulate_spend((6.0, 4.0, 15.0), frequency, 4)
    fitted = GammaGamma.fit(SpendStatistics.unweighted(frequency, mean))
    assert fitted.converged
    assert (np.abs(fitted.parameters - (6.0, 4.0, 15.0)) < 3.5 * fitted.standard_errors).all()


def test_search_from_a_sample_ends_where_the_plain_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    age = np.random.default_rng(21).uniform(10, 150, 20_000)
    customers = simulate(TRUE_BG, age, 22)
    statistics = TransactionStatistics.unweighted(customers.frequency, customers.recency, age)
    plain = BgNbd.fit(statistics)
    monkeypatch.setattr(fitting_with_death, "_SAMPLED_ABOVE", 1_000)
    monkeypatch.setattr(fitting_with_death, "_SAMPLE_ROWS", 2_000)
    sampled = BgNbd.fit(statistics)
    assert sampled.evaluations < plain.evaluations
    np.testing.assert_allclose(sampled.parameters, plain.parameters, rtol=1e-8)
    np.testing.assert_allclose(sampled.covariance, plain.covariance, rtol=1e-4)


def test_covariance_is_symmetric_and_true_to_both_scales(cdnow: Cdnow) -> None:
    fitted = BgNbd.fit(cdnow.transactions)
    assert fitted.covariance[0, 1] == pytest.approx(0.003706, abs=2e-6)
    np.testing.assert_array_equal(fitted.covariance, fitted.covariance.T)
    relative = fitted.standard_errors / fitted.parameters
    np.testing.assert_allclose(np.sqrt(np.diag(fitted.log_covariance)), relative, rtol=1e-12)


def test_estimates_by_name(cdnow: Cdnow) -> None:
    estimates = BgNbd.fit(cdnow.transactions).estimates()
    assert list(estimates) == ["r", "alpha", "a", "b"]
    assert estimates["r"] == pytest.approx((0.242595, 0.012557), abs=1e-6)


def test_too_few_customers_give_a_status_and_no_numbers(cdnow: Cdnow) -> None:
    fitted = BgNbd.fit(cdnow.transactions, minimum_customers=3000)
    assert (fitted.status, fitted.model, fitted.converged) == ("too_few_customers", None, False)
    assert fitted.estimates() == dict.fromkeys(["r", "alpha", "a", "b"], (None, None))
    assert GammaGamma.fit(cdnow.spend, minimum_customers=3000).status == "too_few_customers"
    assert Nbd.fit(TransactionStatistics.unweighted([], [], [])).status == "too_few_customers"


@pytest.mark.parametrize("model", [Nbd, BgNbd, MbgNbd])
def test_no_repeat_purchase_gives_a_status(model: type[BgNbd]) -> None:
    fitted = model.fit(TransactionStatistics.unweighted(np.zeros(50), np.zeros(50), np.arange(50)))
    assert (fitted.status, fitted.model) == ("no_repeat_purchases", None)


@pytest.mark.parametrize("model", [BgNbd, MbgNbd])
def test_customers_who_never_leave_put_the_fit_on_its_bound(model: type[BgNbd]) -> None:
    age = np.full(400, 100.0)
    frequency = np.tile([4.0, 5.0, 6.0, 5.0], 100)
    fitted = model.fit(TransactionStatistics.unweighted(frequency, 99.0 - 0 * age, age))
    assert (fitted.status, fitted.model) == ("at_bound", None)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((-1.0, 3.0, 9.0, 1.0), "frequency is not a count"),
        ((1.5, 3.0, 9.0, 1.0), "frequency is not a count"),
        ((1.0, 10.0, 9.0, 1.0), "recency is not between 0 and age"),
        ((0.0, 3.0, 9.0, 1.0), "recency must be 0 exactly when frequency is 0"),
        ((2.0, 0.0, 9.0, 1.0), "recency must be 0 exactly when frequency is 0"),
        ((1.0, np.nan, 9.0, 1.0), "not a finite number"),
        ((1.0, 3.0, np.inf, 1.0), "not a finite number"),
        ((1.0, 3.0, 9.0, 0.0), "weight is not positive"),
    ],
)
def test_impossible_rows_are_named(row: tuple[float, ...], reason: str) -> None:
    good = (1.0, 3.0, 9.0, 1.0)
    with pytest.raises(ValueError, match=rf"{reason} in 1 row\(s\), first row 2: frequency="):
        TransactionStatistics(*np.array([good, good, row]).T)


@pytest.mark.parametrize(
    "row", [(0.0, 3.0, 1.0), (1.0, 0.0, 1.0), (1.0, -2.0, 1.0), (2.5, 1.0, 1.0), (1.0, 1.0, np.nan)]
)
def test_impossible_spend_is_named(row: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="first row 1"):
        SpendStatistics(*np.array([(1.0, 2.0, 1.0), row]).T)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        TransactionStatistics.unweighted([1, 2], [1, 2], [3])


def test_later_spend_is_scored_by_what_was_known_before() -> None:
    """ln f(all) - ln f(before), but for how p splits a sum in two; 1 in all; of a new customer where x = 0."""
    x, m, later_x, later_m = np.array([1.0, 4.0]), np.array([20.0, 35.0]), np.array([2.0, 1.0]), np.array([33.0, 9.0])
    models = [GammaGamma(6.25, 3.74, 15.44), GammaGamma(6.25, 1.5, 40.0)]
    mean = (x * m + later_x * later_m) / (x + later_x)
    whole = [model.log_likelihood(x + later_x, mean) - model.log_likelihood(x, m) for model in models]
    later = [model.later_log_likelihood(x, m, later_x, later_m) for model in models]
    np.testing.assert_allclose(later[0] - later[1], whole[0] - whole[1], rtol=1e-12)
    grid = np.exp(np.linspace(-15, 25, 20_001))
    density = np.exp(models[0].later_log_likelihood(4.0, 35.0, 2.0, grid))
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-6)
    fresh = models[0].later_log_likelihood(np.zeros(2), np.full(2, np.nan), later_x, later_m)
    np.testing.assert_allclose(fresh, models[0].log_likelihood(later_x, later_m), rtol=1e-12)
