"""The models beside lifetimes on random customers, where lifetimes is right, and where it is not."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_lib.models import BgNbd, GammaGamma, MbgNbd, ParetoNbd
from clv_lib.models.beta_geometric_beta_binomial import BgBb
from tests.models.conftest import Cdnow

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lifetimes import (
        BetaGeoBetaBinomFitter,
        BetaGeoFitter,
        GammaGammaFitter,
        ModifiedBetaGeoFitter,
        ParetoNBDFitter,
    )

FITTERS: dict[type, Any] = {
    BgNbd: BetaGeoFitter,
    MbgNbd: ModifiedBetaGeoFitter,
    ParetoNbd: ParetoNBDFitter,
    BgBb: BetaGeoBetaBinomFitter,
}

shapes = st.floats(0.2, 3.0)
rates = st.floats(2.0, 40.0)
seeds = st.integers(0, 2**32 - 1)


def customers(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """40 histories of at most 25 repeat purchases within two years, in weeks; times in whole days."""
    random = np.random.default_rng(seed)
    age = random.integers(30, 730, 40)
    x = random.integers(0, 26, 40)
    recency = np.where(x == 0, 0, random.integers(1, age + 1))
    return x.astype(float), recency / 7, age / 7


def with_parameters(model: Any) -> Any:
    """The fitter of lifetimes with the parameters of the model."""
    fitter = FITTERS[type(model)]()
    fitter.params_ = pd.Series({name: getattr(model, name) for name in model.parameter_names})
    return fitter


@settings(max_examples=10, deadline=None)
@given(shapes, rates, shapes, shapes, seeds)
@pytest.mark.parametrize("kind", [BgNbd, MbgNbd])
def test_beta_geometric_models(kind: Any, r: float, alpha: float, a: float, b: float, seed: int) -> None:
    # lifetimes divides by a - 1, and takes the logarithm of a negative number where a + b < 1 and x = 0.
    a, b = (a + 0.1 if abs(a - 1) < 0.05 else a), max(b, 1.05 - a)
    model = kind(r, alpha, a, b)
    theirs, (x, t_x, age) = with_parameters(model), customers(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alive = theirs.conditional_probability_alive(x, t_x, age)
        orders = theirs.conditional_expected_number_of_purchases_up_to_time(26.0, x, t_x, age)
        first = theirs.expected_number_of_purchases_up_to_time(26.0)
    np.testing.assert_allclose(model.probability_alive(x, t_x, age), alive, rtol=1e-7, atol=1e-12)
    known = np.isfinite(orders)
    assert known.mean() > 0.9
    np.testing.assert_allclose(model.expected_purchases(26.0, x, t_x, age)[known], orders[known], rtol=1e-5, atol=1e-9)
    assert model.expected_purchases_new(26.0) == pytest.approx(float(first), rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(shapes, rates, shapes, rates, seeds)
def test_pareto_nbd(r: float, alpha: float, s: float, beta: float, seed: int) -> None:
    model = ParetoNbd(r, alpha, s + 0.1 if abs(s - 1) < 0.05 else s, beta)
    theirs, (x, t_x, age) = with_parameters(model), customers(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alive = theirs.conditional_probability_alive(x, t_x, age)
        orders = theirs.conditional_expected_number_of_purchases_up_to_time(26.0, x, t_x, age)
    known = np.isfinite(alive) & np.isfinite(orders)
    assert known.mean() > 0.9
    np.testing.assert_allclose(model.probability_alive(x, t_x, age)[known], alive[known], rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(model.expected_purchases(26.0, x, t_x, age)[known], orders[known], rtol=1e-6, atol=1e-10)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.5, 8.0), st.floats(1.2, 8.0), st.floats(1.0, 60.0), seeds)
def test_gamma_gamma(p: float, q: float, v: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, mean = random.integers(0, 20, 50).astype(float), random.gamma(2.0, 20.0, 50)
    fitter = GammaGammaFitter()
    fitter.params_ = pd.Series({"p": p, "q": q, "v": v})
    theirs = fitter.conditional_expected_average_profit(x, mean)
    np.testing.assert_allclose(GammaGamma(p, q, v).expected_spend(x, mean), theirs, rtol=1e-9)


@settings(max_examples=10, deadline=None)
@given(shapes, shapes, shapes, shapes, st.integers(1, 12), st.integers(1, 20))
def test_bg_bb(alpha: float, beta: float, gamma: float, delta: float, periods: int, horizon: int) -> None:
    """Every history of so many periods."""
    model = BgBb(alpha, beta, gamma + 0.1 if abs(gamma - 1) < 0.05 else gamma, delta)
    pairs = [(0, 0)] + [(x, t_x) for t_x in range(1, periods + 1) for x in range(1, t_x + 1)]
    theirs, (x, t_x) = with_parameters(model), np.array(pairs, dtype=float).T
    orders = theirs.conditional_expected_number_of_purchases_up_to_time(horizon, x, t_x, periods)
    alive = theirs.conditional_probability_alive(1, x, t_x, periods)
    np.testing.assert_allclose(model.expected_purchases(horizon, x, t_x, periods), orders, rtol=1e-6)
    np.testing.assert_allclose(model.probability_alive(x, t_x, periods), alive, rtol=1e-6)


def test_covariances_are_those_of_the_curvature_not_those_of_lifetimes(cdnow: Cdnow) -> None:
    """lifetimes multiplies by p_j squared instead of p_i p_j: its matrix is not even symmetric."""
    ours = BgNbd.fit(cdnow.transactions).covariance
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = BetaGeoFitter().fit(cdnow.frequency, cdnow.recency, cdnow.age).variance_matrix_.to_numpy()
    assert ours[0, 1] == ours[1, 0] == pytest.approx(0.003706, abs=1e-6)
    np.testing.assert_allclose(np.diag(ours), np.diag(theirs), rtol=2e-3)
    assert (theirs[0, 1], theirs[1, 0]) == pytest.approx((0.0674, 0.000204), rel=0.01)
