"""BG/NBD, MBG/NBD and Gamma-Gamma against the papers' formulas in 80 digits, over a grid with extremes."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from clv_lib.models import BgNbd, GammaGamma, MbgNbd
from tests.models.test_pareto_nbd import CASES

PARAMETERS = [
    (0.242595, 4.413602, 0.792922, 2.425907), (1e-3, 1e-2, 0.05, 0.05), (50.0, 0.1, 5.0, 0.1), (5.0, 1e3, 1e-2, 50.0),
    (0.5, 10.0, 1.0, 2.0), (0.5, 10.0, 1.0 + 1e-7, 2.0), (0.5, 10.0, 0.999, 2.0), (0.5, 10.0, 0.3, 0.1),
    (10.465, 0.00798565181, 3.0516, 2.82), (1e3, 1e4, 50.0, 500.0),
]  # fmt: skip
HORIZON = 52.0


def exactly(model: BgNbd, history: tuple[float, ...]) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """Log-likelihood, P(alive) and expected purchases; equation 10 as printed, with its powers and its difference of 1.

    Fader, Hardie and Lee 2005 for BG/NBD, Batislam, Denizel and Filiztekin 2007 for MBG/NBD, whose customers may also
    leave at the first purchase: b and x count one more there. Where a is 1 the limit, to 25 digits.
    """
    r, alpha, a, b, x, t_x, age = map(mp.mpf, (model.r, model.alpha, model.a, model.b, *history))
    chances = x + model.first_purchase_may_be_last
    stayed = mp.beta(a, b + chances) / mp.beta(a, b) * (alpha + age) ** -(r + x)
    left = mp.mpf(0)
    if chances > 0:
        left = mp.beta(a + 1, b + chances - 1) / mp.beta(a, b) * (alpha + t_x) ** -(r + x)
    factor = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha)
    alive = stayed / (stayed + left)
    a = a if a != 1 else a + mp.mpf(10) ** -25
    c, t = a + b + chances - 1, mp.mpf(HORIZON)
    inside = mp.hyp2f1(r + x, b + chances, c, t / (alpha + age + t))
    bought = c / (a - 1) * (1 - ((alpha + age) / (alpha + age + t)) ** (r + x) * inside)
    return factor + mp.log(stayed + left), alive, alive * bought


@pytest.mark.parametrize("kind", [BgNbd, MbgNbd])
@pytest.mark.parametrize("parameters", PARAMETERS)
def test_beta_geometric_models(kind: type[BgNbd], parameters: tuple[float, ...]) -> None:
    model, columns = kind(*parameters), np.array(CASES).T
    with mp.workdps(80):
        log_likelihood, alive, expected = np.array([exactly(model, case) for case in CASES]).astype(float).T
    # Sums of terms up to 1e4 leave an absolute error of a few 1e-12 in a logarithm, whatever its own size is.
    np.testing.assert_allclose(model.log_likelihood(*columns), log_likelihood, rtol=2e-13, atol=5e-12)
    np.testing.assert_allclose(model.probability_alive(*columns), alive, rtol=1e-12, atol=1e-280)
    np.testing.assert_allclose(model.expected_purchases(HORIZON, *columns), expected, rtol=1e-10, atol=1e-280)


@pytest.mark.parametrize(
    "parameters",
    [(6.25, 3.74, 15.44), (0.01, 1.0001, 1e-3), (500.0, 300.0, 0.01), (0.05, 1.5, 1e6), (20.0, 1.0 + 1e-7, 20.0)],
)
def test_gamma_gamma(parameters: tuple[float, ...]) -> None:
    """Note 025 as printed: the density of the mean of x purchases, and the mean given it; q near 1 among them."""
    model = GammaGamma(*parameters)
    for x in (1, 2, 30, 1000):
        for mean in (1e-4, 1.0, 35.0, 1e6):
            with mp.workdps(80):
                p, q, v, z = (*map(mp.mpf, parameters), mp.mpf(mean))
                density = mp.loggamma(p * x + q) - mp.loggamma(p * x) - mp.loggamma(q) + q * mp.log(v)
                density += (p * x - 1) * mp.log(z) + p * x * mp.log(x) - (p * x + q) * mp.log(x * z + v)
                expected = p * (v + x * z) / (p * x + q - 1)
            assert model.log_likelihood(x, mean) == pytest.approx(float(density), rel=1e-11, abs=1e-11)
            assert model.expected_spend(x, mean) == pytest.approx(float(expected), rel=1e-14)
