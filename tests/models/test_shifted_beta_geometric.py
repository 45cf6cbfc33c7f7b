"""The shifted beta-geometric model: published numbers, gradients, lifetimes in high precision, recovery, refusals."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from clv_lib.models import shifted_beta_geometric
from clv_lib.models.fitting import Likelihood
from clv_lib.models.shifted_beta_geometric import (
    RetentionStatistics,
    ShiftedBetaGeometric,
    discounted_periods,
    expected_periods,
)
from tests.models.simulation import simulate_renewals

SEVEN_RENEWALS = slice(0, 8)


def total_log_likelihood(model: ShiftedBetaGeometric, statistics: RetentionStatistics) -> float:
    """Sum over customers from the model's two probabilities, another road than the fit's renewal by renewal."""
    lost = statistics.lost > 0
    left = statistics.lost[lost] * model.log_likelihood(statistics.renewals[lost], True)
    stayed = statistics.active * model.log_likelihood(statistics.renewals, False)
    return float(left.sum() + stayed.sum())


@pytest.mark.parametrize("cohort", ["regular", "high_end"])
def test_published_estimates(cohort: str, published: dict[str, Any]) -> None:
    expected = published["sbg"][cohort]
    statistics = RetentionStatistics.of_cohorts([expected["survivors"][SEVEN_RENEWALS]])
    fitted = ShiftedBetaGeometric.fit(statistics)
    assert fitted.status == "converged" and fitted.model is not None
    assert (fitted.customer_count, fitted.distinct_statistics_count) == (1000, 7)
    np.testing.assert_allclose(fitted.parameters, expected["parameters"], rtol=2e-7)
    assert fitted.log_likelihood == pytest.approx(expected["log_likelihood"], abs=1e-6)
    assert total_log_likelihood(fitted.model, statistics) == pytest.approx(fitted.log_likelihood, rel=1e-13)
    assert fitted.model.survival(12) == pytest.approx(expected["survival_12"], abs=5e-4)
    assert fitted.gradient_norm < 1e-10


def test_the_misprinted_estimate_fits_worse(published: dict[str, Any]) -> None:
    statistics = RetentionStatistics.of_cohorts([published["sbg"]["regular"]["survivors"][SEVEN_RENEWALS]])
    best = total_log_likelihood(ShiftedBetaGeometric(0.704, 1.182), statistics)
    misprint = total_log_likelihood(ShiftedBetaGeometric(0.688, 1.182), statistics)
    assert best - misprint == pytest.approx(0.14, abs=0.03)


def test_published_residual_lifetimes(published: dict[str, Any]) -> None:
    for case in published["sbg"]["residual_lifetime"]:
        found = ShiftedBetaGeometric(*case["params"]).discounted_residual_lifetime(np.arange(5), 0.1)
        np.testing.assert_allclose(found, case["values"], atol=5.1e-5)


@pytest.mark.parametrize("point", [(0.7, 1.2), (8.0, 0.05), (0.03, 400.0)])
def test_gradient_agrees_with_differences(point: tuple[float, float], published: dict[str, Any]) -> None:
    cohorts = [published["sbg"]["regular"]["survivors"], published["sbg"]["high_end"]["survivors"][SEVEN_RENEWALS]]
    total = shifted_beta_geometric._Likelihood(*RetentionStatistics.of_cohorts(cohorts).decisions())
    likelihood, centre = Likelihood(total.evaluate, total.hessian, 2000.0, np.ones(2), 0.0, ()), np.log(point)
    gradient, step = likelihood.descend(centre)[1], 1e-5
    for index, shift in enumerate(np.eye(2) * step):
        rise = likelihood.descend(centre + shift)[0] - likelihood.descend(centre - shift)[0]
        assert gradient[index] == pytest.approx(rise / (2 * step), rel=1e-7, abs=1e-8)


def test_standard_errors_are_the_curvature_of_the_likelihood(published: dict[str, Any]) -> None:
    statistics = RetentionStatistics.of_cohorts([published["sbg"]["regular"]["survivors"]])
    fitted = ShiftedBetaGeometric.fit(statistics)
    steps = np.diag(1e-4 * fitted.parameters)
    information = np.empty((2, 2))
    for i, first in enumerate(steps):
        for j, second in enumerate(steps):
            corners = [
                sign
                * total_log_likelihood(ShiftedBetaGeometric(*(fitted.parameters + a * first + b * second)), statistics)
                for a, b, sign in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
            ]
            information[i, j] = -sum(corners) / (4 * first[i] * second[j])
    np.testing.assert_allclose(fitted.covariance, np.linalg.inv(information), rtol=1e-3)
    np.testing.assert_allclose(fitted.standard_errors, np.sqrt(np.diag(fitted.covariance)), rtol=1e-12)


def test_decisions_of_cohorts_of_different_length_add_up() -> None:
    joined = RetentionStatistics.of_cohorts([[10, 6, 5], [20, 15], [7]])
    lost, stayed = joined.decisions()
    assert (lost.tolist(), stayed.tolist()) == ([9, 1], [21, 5])
    assert joined.customer_count == 37
    single = [RetentionStatistics.of_cohorts([cohort]) for cohort in ([10, 6, 5], [20, 15])]
    model = ShiftedBetaGeometric(0.7, 1.2)
    assert total_log_likelihood(model, joined) == pytest.approx(sum(total_log_likelihood(model, s) for s in single))


def test_one_row_per_customer_in_any_order_gives_the_same_estimate(published: dict[str, Any]) -> None:
    counted = RetentionStatistics.of_cohorts([published["sbg"]["high_end"]["survivors"][SEVEN_RENEWALS]])
    renewals = np.repeat(np.tile(counted.renewals, 2), np.concatenate([counted.lost, counted.active]).astype(int))
    lost = np.repeat([1.0, 0.0], [int(counted.lost.sum()), int(counted.active.sum())])
    order = np.random.default_rng(2).permutation(len(lost))
    single = RetentionStatistics(renewals[order], lost[order], 1 - lost[order])
    expected, found = ShiftedBetaGeometric.fit(counted), ShiftedBetaGeometric.fit(single)
    np.testing.assert_array_equal(found.parameters, expected.parameters)
    assert (found.customer_count, found.log_likelihood) == (1000, expected.log_likelihood)


def test_known_parameters_are_recovered() -> None:
    truth, observed = (0.8, 2.5), np.random.default_rng(17).choice([3.0, 8.0, 15.0], 30_000)
    fitted = ShiftedBetaGeometric.fit(RetentionStatistics(*simulate_renewals(truth, observed, 18)))
    assert fitted.converged
    assert (np.abs(fitted.parameters - truth) < 3.5 * fitted.standard_errors).all()
    assert (fitted.standard_errors / truth < 0.05).all()


@pytest.mark.parametrize("parameters", [(0.7, 1.2), (3.8, 15.2), (0.05, 0.01), (400.0, 9.0)])
def test_survival_retention_and_churn_are_one_distribution(parameters: tuple[float, float]) -> None:
    model, t = ShiftedBetaGeometric(*parameters), np.arange(1, 60)
    survival = model.survival(np.arange(60))
    assert survival[0] == 1.0
    np.testing.assert_allclose(survival[1:], np.cumprod(model.retention_rate(t)), rtol=1e-12)
    np.testing.assert_allclose(model.churn_probability(t), -np.diff(survival), rtol=1e-7, atol=1e-15)
    np.testing.assert_allclose(model.survival(5, t), model.survival(5 + t) / model.survival(t), rtol=1e-10)


@pytest.mark.parametrize("alpha", [1e-4, 0.7, 50.0, 2e4])
@pytest.mark.parametrize("beta", [1e-4, 1.0, 19.9, 20.1, 2e4])
def test_survival_in_high_precision(alpha: float, beta: float) -> None:
    periods = [0, 1, 100, 10**4, 10**7]
    with mpmath.workdps(40):
        exact = [mpmath.log(mpmath.beta(alpha, mpmath.mpf(beta) + t) / mpmath.beta(alpha, beta)) for t in periods]
    np.testing.assert_allclose(
        ShiftedBetaGeometric(alpha, beta).log_survival(periods),
        [float(value) for value in exact],
        rtol=1e-12,
        atol=2e-13,
    )


@pytest.mark.parametrize("alpha", [1e-4, 0.067, 0.704, 1.0, 1.0000001, 2.0, 100.0, 2e4])
@pytest.mark.parametrize("rate", [1e-4, 8e-4, 0.01, 0.5, 50.0])
def test_discounted_periods_in_high_precision(alpha: float, rate: float) -> None:
    """Among these are points where scipy's 2F1 is infinite or wrong: alpha 2 at 8e-4, large alpha or beta."""
    beta = np.array([1e-4, 0.267, 1.18, 15.2, 100.0, 1e4])
    with mpmath.workdps(40):
        z = 1 / (1 + mpmath.mpf(rate))
        exact = [float(mpmath.hyp2f1(1, b, mpmath.mpf(b) + mpmath.mpf(alpha), z)) for b in beta]
    np.testing.assert_allclose(discounted_periods(alpha, beta, rate), exact, rtol=2e-13)


def test_lifetimes_are_sums_of_discounted_survival() -> None:
    model, t = ShiftedBetaGeometric(1.7, 2.3), np.arange(4000)
    weights = 1.02 ** -t.astype(float)
    assert model.discounted_lifetime(0.02) == pytest.approx(float((model.survival(t) * weights).sum()), rel=1e-12)
    for renewals in (0, 3, 40):
        further = model.survival(t + 1, renewals)
        found = model.discounted_residual_lifetime(renewals, 0.02)
        assert found == pytest.approx(float((further * weights).sum()), rel=1e-12)
    due = model.discounted_residual_lifetime(0, 0.02)
    assert model.discounted_lifetime(0.02) == pytest.approx(1 + float(due) / 1.02, rel=1e-13)


def test_lifetimes_without_discount() -> None:
    model = ShiftedBetaGeometric(2.5, 4.0)
    assert model.discounted_lifetime(0) == pytest.approx(5.5 / 1.5)
    np.testing.assert_allclose(model.discounted_residual_lifetime([0, 1, 6], 0), [4 / 1.5, 5 / 1.5, 10 / 1.5])
    np.testing.assert_allclose(discounted_periods(2.5, np.array([4.0]), 1e-6), [5.5 / 1.5], rtol=1e-5)
    for alpha in (1.0, 0.7):
        with pytest.raises(ValueError, match="infinite"):
            ShiftedBetaGeometric(alpha, 1.0).discounted_residual_lifetime(2, 0)


@pytest.mark.parametrize("rate", [-0.1, 1e-9, np.nan, np.inf])
def test_impossible_discount_rates_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="discount rate"):
        ShiftedBetaGeometric(2.0, 1.0).discounted_lifetime(rate)


def test_expected_periods_to_a_horizon() -> None:
    model, beta = ShiftedBetaGeometric(0.7, 1.2), np.array([1.2, 3.2])
    found = expected_periods(0.7, beta, [[0], [1], [12]])
    assert found.shape == (3, 2)
    np.testing.assert_array_equal(found[:2], [[0, 0], [1, 1]])
    assert found[2, 0] == pytest.approx(float(model.survival(np.arange(12)).sum()), rel=1e-13)
    assert found[2, 1] == pytest.approx(float(model.survival(np.arange(12), 2).sum()), rel=1e-13)
    assert np.isnan(expected_periods(0.7, beta, [np.nan, 2])).tolist() == [True, False]
    for horizon in (1.5, np.inf, [np.nan, 0.5]):
        with pytest.raises(ValueError, match="whole number"):
            expected_periods(0.7, beta, horizon)


def test_nan_stays_nan_and_impossible_arguments_are_refused() -> None:
    model = ShiftedBetaGeometric(0.7, 1.2)
    assert np.isnan(model.survival([np.nan, 1.0])).tolist() == [True, False]
    assert np.isnan(model.discounted_residual_lifetime([np.nan, 1.0], 0.1)).tolist() == [True, False]
    for ask in (lambda: model.survival(-1), lambda: model.retention_rate(0), lambda: model.churn_probability(0.0)):
        with pytest.raises(ValueError, match="must be at least"):
            ask()
    with pytest.raises(ValueError, match="before the first renewal"):
        model.log_likelihood([0, 1], [True, True])
    for bad in ((0, 1), (1, np.nan), (np.inf, 1)):
        with pytest.raises(ValueError, match="positive finite"):
            ShiftedBetaGeometric(*bad)


@pytest.mark.parametrize(
    ("cohorts", "status"),
    [
        ([], "too_few_customers"),
        ([[40, 30, 25]], "too_few_customers"),
        ([[100]], "too_few_renewals"),
        ([[100, 60], [50, 30]], "too_few_renewals"),
        ([[100, 100, 100]], "no_losses"),
        ([[100, 0]], "no_renewals"),
    ],
)
def test_data_that_cannot_carry_a_fit_give_a_status(cohorts: list[list[float]], status: str) -> None:
    fitted = ShiftedBetaGeometric.fit(RetentionStatistics.of_cohorts(cohorts), minimum_customers=50)
    assert (fitted.status, fitted.model, fitted.converged) == (status, None, False)
    assert fitted.estimates() == {"alpha": (None, None), "beta": (None, None)}


@pytest.mark.parametrize("cohort", [[1024, 512, 256, 128, 64], [1000, 900, 700, 400, 100], [1000, 600, 600, 600]])
def test_cohorts_without_a_maximum_give_no_model(cohort: list[float]) -> None:
    """Equal customers, a retention that falls, and stayers who never leave: the likelihood has no peak inside."""
    fitted = ShiftedBetaGeometric.fit(RetentionStatistics.of_cohorts([cohort]))
    assert fitted.status in {"at_bound", "not_converged"} and fitted.model is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((-1.0, 0.0, 3.0), "renewals is not a count"),
        ((1.5, 0.0, 3.0), "renewals is not a count"),
        ((0.0, 2.0, 3.0), "lost before their first renewal"),
        ((2.0, -1.0, 3.0), "number of customers is negative"),
        ((2.0, 1.0, np.nan), "not a finite number"),
    ],
)
def test_impossible_rows_are_named(row: tuple[float, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=rf"{reason} in 1 row\(s\), first row 1: renewals="):
        RetentionStatistics(*np.array([(1.0, 2.0, 3.0), row]).T)


@pytest.mark.parametrize("cohort", [[10, 11], [], [[3, 2]], [10, np.nan]])
def test_impossible_cohorts_are_refused(cohort: list[float]) -> None:
    with pytest.raises(ValueError, match="never grows"):
        RetentionStatistics.of_cohorts([cohort])
