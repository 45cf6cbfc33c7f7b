"""The analytic Hessian of every model, beside the papers' formulas in 50 digits and differences of the gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from clv_lib.models import (
    RetentionStatistics,
    SpendStatistics,
    TransactionStatistics,
    beta_geometric,
    gamma_gamma,
    pareto_nbd,
    period_histories,
    shifted_beta_geometric,
)
from clv_lib.models.beta_geometric_beta_binomial import PeriodStatistics
from clv_lib.models.curvature import sum_of_products, symmetric
from clv_lib.models.fitting import Likelihood
from clv_lib.models.nbd import PurchaseSums
from tests.models.conftest import Cdnow

DENSE = [(2, 30.0, 40.0), (12, 38.5, 40.0), (0, 0.0, 40.0), (29, 60.0, 60.0)]
SPARSE = [(0, 0.0, 300.0), (1, 1 / 7, 52.0)]
EXTREME = [(1000, 390.0, 400.0), (1, 0.5, 2000.0), (400, 4.0, 37.0)]
DATA = {"dense": DENSE, "sparse": SPARSE, "extreme": EXTREME}
PERIODS = [(0, 0, 6), (2, 4, 6), (6, 6, 6), (3, 7, 12), (1, 1, 15)]
SPEND = [(1, 20.0), (2, 35.5), (7, 3.0), (400, 900.0), (1, 0.01)]
RENEWALS = [(1, 3, 0), (2, 2, 1), (7, 1, 4), (300, 0, 1)]
POINTS = [(0.6, 8.0, 0.8, 2.5), (0.02, 50.0, 5.0, 0.05), (40.0, 0.3, 0.01, 30.0)]


def nbd(r: Any, alpha: Any, x: Any, age: Any) -> Any:
    return mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) - (r + x) * mp.log(alpha + age)


def beta_geometric_exactly(chances: int) -> Callable[..., Any]:
    """Of BG/NBD and MBG/NBD, with so many chances to leave before the first repeat purchase."""

    def exactly(r: Any, alpha: Any, a: Any, b: Any, x: Any, t_x: Any, age: Any) -> Any:
        k = x + chances
        ways = mp.beta(a, b + k) / mp.beta(a, b)
        if k > 0:
            left = mp.beta(a + 1, b + k - 1) / mp.beta(a, b)
            ways += left * ((alpha + age) / (alpha + t_x)) ** (r + x)
        return nbd(r, alpha, x, age) + mp.log(ways)

    return exactly


def pareto_exactly(r: Any, alpha: Any, s: Any, beta: Any, x: Any, t_x: Any, age: Any) -> Any:
    """Note 009, equations 18 to 20: the difference of two hypergeometric functions."""
    w = r + s + x

    def lost_from(t: Any) -> Any:
        near, far, b = (alpha, beta, r + x) if alpha <= beta else (beta, alpha, s + 1)
        return (far + t) ** -w * mp.hyp2f1(w, b, w + 1, (far - near) / (far + t)) / w

    stayed = (alpha + age) ** -(r + x) * (beta + age) ** -s
    ways = stayed + (s * (lost_from(t_x) - lost_from(age)) if t_x < age else 0)
    return mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) + s * mp.log(beta) + mp.log(ways)


def gamma_gamma_exactly(p: Any, q: Any, v: Any, x: Any, mean: Any) -> Any:
    density = mp.loggamma(p * x + q) - mp.loggamma(p * x) - mp.loggamma(q) + q * mp.log(v)
    return density + p * x * mp.log(x * mean) - (p * x + q) * mp.log(x * mean + v)


def sbg_exactly(alpha: Any, beta: Any, renewals: Any, lost: Any, active: Any) -> Any:
    churn = mp.log(mp.beta(alpha + 1, beta + renewals - 1) / mp.beta(alpha, beta))
    return lost * churn + active * mp.log(mp.beta(alpha, beta + renewals) / mp.beta(alpha, beta))


def bg_bb_exactly(alpha: Any, beta: Any, gamma: Any, delta: Any, x: Any, t_x: Any, n: Any) -> Any:
    """Fader, Hardie and Shang 2010, equation 5."""
    ways = mp.beta(alpha + x, beta + n - x) * mp.beta(gamma, delta + n)
    for i in range(int(n - t_x)):
        ways += mp.beta(alpha + x, beta + t_x - x + i) * mp.beta(gamma + 1, delta + t_x + i)
    return mp.log(ways / mp.beta(alpha, beta) / mp.beta(gamma, delta))


def exact_curvature(log_likelihood: Callable[..., Any], histories: list[Any], point: Any) -> Any:
    """Hessian of minus the total in the log-parameters."""

    def total(*log_parameters: Any) -> Any:
        parameters = [mp.exp(value) for value in log_parameters]
        return -sum(log_likelihood(*parameters, *map(mp.mpf, history)) for history in histories)

    with mp.workdps(50):
        at = tuple(mp.log(mp.mpf(value)) for value in point)
        units = np.eye(len(point), dtype=int)
        upper = [[float(mp.diff(total, at, tuple((i + j).tolist()))) for j in units[n:]] for n, i in enumerate(units)]
    return symmetric(*upper)


def likelihood_of(name: str, histories: list[Any]) -> tuple[Likelihood, Callable[..., Any], int]:
    """The likelihood of a model in unscaled units and with weight 1, its exact formula, its number of parameters."""
    columns = np.array(histories).T
    total: Any
    if name == "gamma_gamma":
        total = gamma_gamma._Likelihood(SpendStatistics.unweighted(*columns).distinct(), 1.0)
        formula, size = gamma_gamma_exactly, 3
    elif name == "sbg":
        total = shifted_beta_geometric._Likelihood(*RetentionStatistics(*columns).decisions())
        formula, size = sbg_exactly, 2
    elif name == "bg_bb":
        total = period_histories.Likelihood(PeriodStatistics.unweighted(*columns).distinct())
        formula, size = bg_bb_exactly, 4
    else:
        rows = TransactionStatistics.unweighted(*columns).distinct()
        total, formula, size = {
            "nbd": (PurchaseSums(rows, 1.0), lambda r, alpha, x, _, age: nbd(r, alpha, x, age), 2),
            "bg_nbd": (beta_geometric._problem(0, rows, 1.0, ()), beta_geometric_exactly(0), 4),
            "mbg_nbd": (beta_geometric._problem(1, rows, 1.0, ()), beta_geometric_exactly(1), 4),
            "pareto_nbd": (pareto_nbd._problem(rows, 1.0, ()), pareto_exactly, 4),
        }[name]
    return Likelihood(total.evaluate, total.hessian, 1.0, np.ones(size), 0.0, ()), formula, size


OTHERS = {"gamma_gamma": SPEND, "sbg": RENEWALS, "bg_bb": PERIODS}
CASES = [(name, data) for name in ("nbd", "bg_nbd", "mbg_nbd", "pareto_nbd") for data in DATA]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(("name", "data"), CASES + [(name, "") for name in OTHERS])
def test_agrees_with_fifty_digits(name: str, data: str, point: tuple[float, ...]) -> None:
    histories = OTHERS.get(name) or DATA[data]
    likelihood, formula, size = likelihood_of(name, histories)
    log_parameters = np.log(point[:size])
    found = likelihood.curvature(log_parameters, likelihood.descend(log_parameters)[1])
    exact = exact_curvature(formula, histories, point[:size])
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-11 * np.abs(exact).max())


def differences(likelihood: Likelihood, log_parameters: Any) -> Any:
    """Central differences of the gradient."""
    steps = np.eye(len(log_parameters)) * 1e-5
    rows = [likelihood.descend(log_parameters + s)[1] - likelihood.descend(log_parameters - s)[1] for s in steps]
    return np.array(rows) / 2e-5


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", ["nbd", "bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_agrees_with_differences_of_the_gradient_on_cdnow(name: str, point: tuple[float, ...], cdnow: Cdnow) -> None:
    histories = np.array([column.rows for column in cdnow.transactions.distinct().columns]).T
    likelihood, _, size = likelihood_of(name, list(histories))
    log_parameters = np.log(point[:size])
    found = likelihood.curvature(log_parameters, likelihood.descend(log_parameters)[1])
    np.testing.assert_allclose(
        found, differences(likelihood, log_parameters), rtol=1e-5, atol=1e-8 * np.abs(found).max()
    )


def test_curvature_of_a_log_of_a_sum() -> None:
    """ln(e^u + e^(2 u + v)): mean of the Hessians, which are 0, and the covariance of the gradients."""
    gradients, share = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([0.25, 0.75])
    mean = (gradients @ share)[:, np.newaxis]
    found = sum_of_products(gradients, share) - sum_of_products(mean, np.ones(1))
    np.testing.assert_allclose(found, symmetric((0.1875, 0.1875), (0.1875,)), rtol=1e-15)
