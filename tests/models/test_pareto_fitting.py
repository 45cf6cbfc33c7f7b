"""How the estimates of Pareto/NBD behave: published ones, gradient, weights, units, recovery, refusals."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from clv_lib.models import Nbd, TransactionStatistics, fitting, fitting_with_death, pareto_nbd
from clv_lib.models.fitting import Fitted
from clv_lib.models.nbd import PurchaseSums, mean_age
from clv_lib.models.pareto_nbd import ParetoNbd
from clv_lib.models.sufficient_statistics import DistinctRows, FloatArray
from tests.models import conftest
from tests.models.conftest import Cdnow, read_cdnow
from tests.models.simulation import simulate_pareto
from tests.models.test_pareto_nbd import CASES, EXTREMES

TRUE = (0.6, 8.0, 0.6, 20.0)
SCATTERED = [(0.3, 0.2, 0.8, 2.5), (3.0, 2.0, 0.05, 0.2), (0.02, 5.0, 12.0, 30.0)]


@pytest.fixture(scope="module")
def fitted(cdnow: Cdnow) -> Fitted[ParetoNbd]:
    return ParetoNbd.fit(cdnow.transactions)


def test_estimates(fitted: Fitted[ParetoNbd], published: dict[str, Any]) -> None:
    expected = published["pareto_nbd"]
    assert (fitted.name, fitted.status, fitted.distinct_statistics_count) == ("pareto_nbd", "converged", 1016)
    np.testing.assert_allclose(fitted.parameters, expected["parameters"], rtol=2e-6)
    np.testing.assert_allclose(fitted.standard_errors, expected["standard_errors"], rtol=5e-5)
    assert fitted.log_likelihood == pytest.approx(expected["log_likelihood"], abs=2e-6)
    assert fitted.gradient_norm < 1e-9
    assert list(fitted.estimates()) == ["r", "alpha", "s", "beta"]


def test_estimates_of_78_weeks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "END_OF_CALIBRATION", date(1998, 6, 30))
    fitted = ParetoNbd.fit(read_cdnow().transactions)
    np.testing.assert_allclose(fitted.parameters, [0.563004, 12.559169, 0.408107, 10.514545], rtol=5e-6)
    assert fitted.log_likelihood == pytest.approx(-17135.835886, abs=2e-6)


@pytest.mark.parametrize("point", SCATTERED)
def test_gradient_agrees_with_differences(point: tuple[float, ...], cdnow: Cdnow) -> None:
    rows = cdnow.transactions.distinct()
    likelihood = pareto_nbd._problem(rows, mean_age(rows), ())
    log_parameters = np.log(point)
    gradient = likelihood.descend(log_parameters)[1]
    step = 1e-5
    for index, shift in enumerate(np.eye(4) * step):
        rise = likelihood.descend(log_parameters + shift)[0] - likelihood.descend(log_parameters - shift)[0]
        assert gradient[index] == pytest.approx(rise / (2 * step), rel=2e-6, abs=2e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("point", EXTREMES)
def test_the_fitted_likelihood_is_that_of_the_rows(point: tuple[float, ...]) -> None:
    rows = TransactionStatistics.unweighted(*np.array(CASES).T).distinct()
    model, scale = ParetoNbd(*point), mean_age(rows)
    likelihood = pareto_nbd._problem(rows, scale, ())
    total, gradient = likelihood.evaluate(np.array(point) / [1, scale, 1, scale])
    expected = model.log_likelihood(*(column.rows for column in rows.columns)).sum()
    assert total + likelihood.log_scale == pytest.approx(expected, rel=1e-12)
    assert np.isfinite(gradient).all()


def test_weights_are_repetitions_and_order_changes_nothing(cdnow: Cdnow, fitted: Fitted[ParetoNbd]) -> None:
    raw = cdnow.transactions
    tuples, counts = np.unique(np.array([raw.frequency, raw.recency, raw.age]), axis=1, return_counts=True)
    order = np.random.default_rng(5).permutation(len(counts))
    counted = ParetoNbd.fit(TransactionStatistics(*tuples[:, order], weight=counts[order]))
    assert counted.customer_count == 2357
    np.testing.assert_allclose(counted.parameters, fitted.parameters, rtol=1e-9)
    assert counted.log_likelihood == pytest.approx(fitted.log_likelihood, rel=1e-12)


def test_days_instead_of_weeks_scale_alpha_and_beta_alone(cdnow: Cdnow, fitted: Fitted[ParetoNbd]) -> None:
    raw = cdnow.transactions
    days = ParetoNbd.fit(TransactionStatistics.unweighted(raw.frequency, 7 * raw.recency, 7 * raw.age))
    np.testing.assert_allclose(days.parameters, fitted.parameters * [1, 7, 1, 7], rtol=1e-9)
    np.testing.assert_allclose(days.standard_errors, fitted.standard_errors * [1, 7, 1, 7], rtol=1e-6)
    assert days.log_likelihood == pytest.approx(fitted.log_likelihood - raw.frequency.sum() * np.log(7), rel=1e-12)


def test_floored_weeks_would_move_the_estimates(cdnow: Cdnow) -> None:
    raw = cdnow.transactions
    floored_recency = np.where(raw.frequency > 0, np.maximum(np.floor(raw.recency), 1e-9), 0)
    floored = ParetoNbd.fit(TransactionStatistics.unweighted(raw.frequency, floored_recency, np.floor(raw.age)))
    np.testing.assert_allclose(floored.parameters, [0.608, 10.60, 0.426, 4.96], rtol=3e-3)


def test_known_parameters_are_recovered_with_and_without_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    age = np.random.default_rng(11).integers(70, 1000, 30_000) / 7
    customers = simulate_pareto(TRUE, age, 12)
    recency = np.minimum(np.ceil(7 * customers.recency) / 7, age)
    statistics = TransactionStatistics.unweighted(customers.frequency, recency, age)
    plain = ParetoNbd.fit(statistics)
    assert plain.converged
    assert (np.abs(plain.parameters - TRUE) < 3.5 * plain.standard_errors).all()
    assert (plain.standard_errors / plain.parameters < 0.1).all()
    monkeypatch.setattr(fitting_with_death, "_SAMPLED_ABOVE", 1_000)
    monkeypatch.setattr(fitting_with_death, "_SAMPLE_ROWS", 2_000)
    sampled = ParetoNbd.fit(statistics)
    assert sampled.evaluations < plain.evaluations
    np.testing.assert_allclose(sampled.parameters, plain.parameters, rtol=1e-7)
    np.testing.assert_allclose(sampled.covariance, plain.covariance, rtol=1e-4)


def test_data_that_cannot_carry_an_estimate(cdnow: Cdnow) -> None:
    too_few = ParetoNbd.fit(cdnow.transactions, minimum_customers=3000)
    assert (too_few.status, too_few.model) == ("too_few_customers", None)
    assert too_few.estimates() == dict.fromkeys(["r", "alpha", "s", "beta"], (None, None))
    once = ParetoNbd.fit(TransactionStatistics.unweighted(np.zeros(50), np.zeros(50), np.arange(50)))
    assert (once.status, once.model) == ("no_repeat_purchases", None)


def test_customers_who_never_leave_put_the_fit_on_its_bound() -> None:
    statistics = TransactionStatistics.unweighted(np.tile([4.0, 5.0, 6.0, 5.0], 100), np.full(400, 99.0), [100.0] * 400)
    fitted = ParetoNbd.fit(statistics)
    assert (fitted.status, fitted.model) == ("at_bound", None)


def test_a_search_that_ends_below_the_nbd_shows(cdnow: Cdnow) -> None:
    rows = cdnow.transactions.distinct()
    _, without_death = Nbd.search(PurchaseSums(rows, mean_age(rows)), mean_age(rows))
    assert fitting.is_worse(replace(without_death, value=without_death.value - 1e-6), without_death)
    assert not fitting.is_worse(without_death, without_death)


def test_a_fit_that_ends_below_the_nbd_has_that_status_and_no_model(cdnow: Cdnow) -> None:
    """The likelihood of Pareto/NBD less 0.1 per customer: its peak, 0.072 above the NBD, is then below it."""

    def handicapped(rows: DistinctRows, scale: float, starts: tuple[tuple[float, ...], ...]) -> fitting.Likelihood:
        likelihood = pareto_nbd._problem(rows, scale, starts)

        def evaluate(parameters: FloatArray) -> tuple[float, FloatArray]:
            total, gradient = likelihood.evaluate(parameters)
            return total - 0.1 * likelihood.weight, gradient

        return replace(likelihood, evaluate=evaluate)

    names = (ParetoNbd.name, ParetoNbd.parameter_names)
    found = fitting_with_death.fit_with_death(ParetoNbd, names, handicapped, ((0.5, 1.0),), 2, cdnow.transactions, 1)
    assert (found.status, found.model, found.converged) == ("worse_than_nbd", None, False)
    assert found.log_likelihood == pytest.approx(-9594.976179 - 235.7, abs=1e-3)
