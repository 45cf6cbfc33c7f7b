"""Effects of experiments: against SciPy on the customers themselves, by hand, and on simulations with known effects."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from scipy import stats

from clv_lib.models.experiments import (
    Effect,
    Moments,
    effect,
    history_adjusted,
    history_slope,
    holm,
    sample_ratio_p_value,
)
from tests.models.simulation import FloatArray

REPLICATES, CUSTOMERS = 300, 400


def moments(y: FloatArray, x: FloatArray) -> Moments:
    """Moments from sums, as they come from the cluster."""
    return Moments.of_sums(len(y), y.sum(), (y * y).sum(), x.sum(), (x * x).sum(), (x * y).sum())


def drawn(rng: np.random.Generator, customers: int, uplift: float, rho: float = 0.8) -> tuple[FloatArray, FloatArray]:
    """Skewed outcomes and a history that is correlated with them by rho."""
    x = rng.gamma(2.0, 50.0, customers)
    noise = rng.gamma(2.0, 50.0, customers)
    return (1 + uplift) * (rho * x + np.sqrt(1 - rho**2) * noise), x


@pytest.fixture(scope="module")
def simulated() -> list[tuple[Moments, Moments]]:
    """Reference and variant of many experiments in which the variant adds 10 %."""
    rng = np.random.default_rng(20250630)
    return [
        (moments(*drawn(rng, CUSTOMERS, 0.0)), moments(*drawn(rng, CUSTOMERS // 2, 0.1))) for _ in range(REPLICATES)
    ]


def test_moments_and_test_are_those_of_the_customers() -> None:
    rng = np.random.default_rng(1)
    (y, x), (z, w) = drawn(rng, 60, 0.0), drawn(rng, 45, 0.3)
    reference, variant = moments(y, x), moments(z, w)
    assert reference.mean == pytest.approx(y.mean(), rel=1e-12)
    assert reference.variance == pytest.approx(y.var(ddof=1), rel=1e-9)
    assert reference.covariance == pytest.approx(np.cov(y, x)[0, 1], rel=1e-9)
    found = effect(reference, variant, 0.95)
    expected = stats.ttest_ind(z, y, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found is not None
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.lower, found.upper) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.relative_uplift == pytest.approx(z.mean() / y.mean() - 1, rel=1e-12)


def test_sums_of_large_values_lose_no_digits() -> None:
    values = [Decimal("1000000000.01"), Decimal("1000000000.02"), Decimal("1000000000.03")]
    squares = sum(value * value for value in values)
    found = Moments.of_sums(3, sum(values), squares, sum(values), squares, squares)
    assert found.variance == found.covariance == pytest.approx(0.0001, rel=1e-12)


def test_the_ends_of_the_uplift_are_where_the_difference_is_on_the_edge() -> None:
    rng = np.random.default_rng(2)
    (y, x), (z, w) = drawn(rng, 80, 0.0), drawn(rng, 70, 0.2)
    reference, variant = moments(y, x), moments(z, w)
    found = effect(reference, variant, 0.9)
    assert found is not None
    quantile = (found.difference - found.lower) / np.sqrt(found.squared_error)
    for end in (found.relative_lower, found.relative_upper):
        distance = variant.mean - (1 + end) * reference.mean
        error = variant.squared_error + (1 + end) ** 2 * reference.squared_error
        assert distance**2 == pytest.approx(quantile**2 * error, rel=1e-9)


def test_both_intervals_agree_on_whether_there_is_an_effect(simulated: list[tuple[Moments, Moments]]) -> None:
    effects = [effect(*pair, 0.95) for pair in simulated]
    signs = {(e.lower > 0, e.relative_lower > 0, e.p_value < 0.05) for e in effects if e and e.difference > 0}
    assert signs == {(True, True, True), (False, False, False)}


def coverage(effects: list[Effect], difference: float, uplift: float) -> tuple[float, float]:
    inside = [e.lower <= difference <= e.upper for e in effects]
    relative = [e.relative_lower <= uplift <= e.relative_upper for e in effects]
    return float(np.mean(inside)), float(np.mean(relative))


def test_intervals_cover_the_true_effect_with_and_without_history(simulated: list[tuple[Moments, Moments]]) -> None:
    truth = 0.1 * (0.8 * 100 + 0.6 * 100)
    plain = [effect(*pair, 0.9) for pair in simulated]
    adjusted = [effect(a, b, 0.9) for _, (a, b) in filter(None, map(history_adjusted, simulated))]
    for found in (plain, adjusted):
        shares = coverage([e for e in found if e], truth, 0.1)
        assert shares == pytest.approx((0.9, 0.9), abs=3 * np.sqrt(0.09 / REPLICATES))
    means = [float(np.mean([e.difference for e in found if e])) for found in (plain, adjusted)]
    assert means == pytest.approx([truth, truth], abs=1.5)


def test_history_takes_off_the_share_of_variance_that_it_explains() -> None:
    rng = np.random.default_rng(4)
    pair = [moments(*drawn(rng, 20_000, 0.0)) for _ in range(2)]
    found = history_adjusted(pair)
    assert found is not None
    theta, adjusted = found
    assert theta == pytest.approx(0.8, abs=0.02)
    for before, after in zip(pair, adjusted, strict=True):
        assert after.variance / before.variance == pytest.approx(1 - 0.8**2, abs=0.02)
        assert after.covariance == pytest.approx(0, abs=0.03 * before.covariance)
    overall = sum(one.mean for one in pair) / 2
    assert sum(one.mean for one in adjusted) / 2 == pytest.approx(overall, rel=1e-12)


def test_without_an_effect_each_p_value_is_as_likely() -> None:
    rng = np.random.default_rng(5)
    pairs = [[moments(*drawn(rng, 200, 0.0)) for _ in range(2)] for _ in range(REPLICATES)]
    effects = [effect(one, other, 0.95) for one, other in pairs]
    assert stats.kstest([e.p_value for e in effects if e], "uniform").pvalue > 0.01


def test_what_does_not_vary_has_no_effect_and_no_history() -> None:
    nothing = Moments(50, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert effect(nothing, nothing, 0.95) is None
    assert history_adjusted([nothing, nothing]) is None
    assert np.isnan(history_slope([nothing]))
    with pytest.raises(ValueError, match="at least one customer"):
        Moments.of_sums(0, 0, 0, 0, 0, 0)


def test_an_uplift_over_a_mean_that_may_be_zero_has_no_interval() -> None:
    variant = Moments(50, 3.0, 100.0, 0.0, 0.0, 0.0)
    found = effect(Moments(50, 0.5, 100.0, 0.0, 0.0, 0.0), variant, 0.95)
    assert found is not None and found.relative_uplift == pytest.approx(5)
    assert np.isnan([found.relative_lower, found.relative_upper]).all()
    loss = effect(Moments(50, -0.5, 100.0, 0.0, 0.0, 0.0), variant, 0.95)
    assert loss is not None and np.isnan(loss.relative_uplift) and loss.difference == 3.5


def test_sample_ratio_by_hand() -> None:
    # (450 - 500)^2 / 500 + (550 - 500)^2 / 500 = 10 with one degree of freedom
    assert sample_ratio_p_value([450, 550], [1, 1]) == pytest.approx(stats.chi2.sf(10, 1))
    assert sample_ratio_p_value([250, 750], [1, 3]) == pytest.approx(1)
    assert np.isnan(sample_ratio_p_value([10], [1]))
    assert np.isnan(sample_ratio_p_value([0, 0], [1, 1]))


def test_holm_by_hand() -> None:
    found = holm([0.01, np.nan, 0.04, 0.03, 0.5])
    assert found[[0, 2, 3, 4]] == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert np.isnan(found[1])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).size == 0
