"""Kaplan-Meier curves against a textbook's figures, small cases by hand, and simulated lifetimes of known mean."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betaln

from clv_lib.models import SurvivalCurve, kaplan_meier

# Weeks of remission under 6-MP: Freireich and others (1963), Blood 21:699; figures as in Klein and Moeschberger (2003),
# Survival Analysis, tables 4.1 and 4.2. Three patients relapse in week 6.
RELAPSED = [6, 6, 6, 7, 10, 13, 16, 22, 23]
IN_REMISSION = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]


def curve_of(ended: list[float], censored: list[float]) -> SurvivalCurve:
    time = np.array([*ended, *censored], dtype=float)
    is_event = np.arange(len(time)) < len(ended)
    return kaplan_meier(time, is_event.astype(float), (~is_event).astype(float))


@pytest.fixture(scope="module")
def remission() -> SurvivalCurve:
    return curve_of([*RELAPSED], [*IN_REMISSION])


def test_published_survival_and_standard_errors(remission: SurvivalCurve) -> None:
    weeks = np.array([6.0, 7, 10, 13, 16, 22, 23])
    published = [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    errors = [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346]
    found = remission.survival_at(weeks)
    np.testing.assert_allclose(found, published, atol=5.1e-4)
    cumulated = remission.cumulated[np.searchsorted(remission.time, weeks)]
    np.testing.assert_allclose(found * np.sqrt(cumulated), errors, atol=5.1e-5)
    assert list(remission.at_risk[:4]) == [21, 17, 16, 15]


def test_log_log_intervals_of_the_remission_data(remission: SurvivalCurve) -> None:
    """The ends that Stata's `sts list` prints for these data."""
    lower, upper = remission.interval_at(np.array([6.0, 10, 13, 23]), 0.95)
    np.testing.assert_allclose(lower, [0.6197, 0.5032, 0.4316, 0.1881], atol=5.1e-5)
    np.testing.assert_allclose(upper, [0.9516, 0.8894, 0.8491, 0.6801], atol=5.1e-5)


def test_median_and_restricted_mean_of_the_remission_data(remission: SurvivalCurve) -> None:
    median = remission.quantile(0.5, 0.95)
    assert (median.value, median.lower, median.upper) == (23, 13, None)
    assert remission.quantile(0.9, 0.95).value is None
    mean = remission.restricted_mean(35, 0.95)
    assert mean.value == pytest.approx(23.287, abs=5e-4)
    assert mean.lower == pytest.approx(23.287 - 1.95996 * 2.827, abs=2e-3)
    assert remission.restricted_mean(35.1, 0.95).value is None


def test_beyond_the_longest_time_nothing_is_known(remission: SurvivalCurve) -> None:
    assert np.isnan(remission.survival_at(np.array([36.0]))[0])
    assert np.isnan(remission.interval_at(np.array([36.0]), 0.95)[0][0])
    assert list(remission.survival_at(np.array([0.0, 5.9]))) == [1, 1]
    assert np.isnan(remission.interval_at(np.array([5.9]), 0.95)).all()


def test_counts_are_the_same_as_single_spells() -> None:
    single = curve_of([2, 2, 3, 5], [2, 4, 5])
    counted = kaplan_meier(np.array([5.0, 2, 3, 4, 2]), np.array([1.0, 1, 1, 0, 1]), np.array([1.0, 0, 0, 1, 1]))
    for name in ("time", "at_risk", "events", "survival", "cumulated"):
        np.testing.assert_array_equal(getattr(single, name), getattr(counted, name))
    # 7 at risk, 2 end: 5/7; 4 at risk at 3 (one open at 2 has left): 3/4; at 5 one of two ends.
    np.testing.assert_allclose(single.survival, [5 / 7, 15 / 28, 15 / 28, 15 / 56])


def test_without_open_spells_a_quantile_is_that_of_the_sample() -> None:
    curve = curve_of([float(day) for day in range(1, 11)], [])
    assert [curve.quantile(share, 0.95).value for share in (0.05, 0.1, 0.5, 0.9, 0.91)] == [1, 1, 5, 9, 10]
    assert curve.restricted_mean(10, 0.95).value == curve.restricted_mean(30, 0.95).value == 5.5
    assert curve.survival[-1] == 0
    assert np.isnan(curve.interval_at(np.array([10.0]), 0.95)).all()


def test_without_an_end_there_is_no_quantile_and_no_interval() -> None:
    curve = curve_of([], [3, 8])
    assert curve.quantile(0.5, 0.95).value is None
    mean = curve.restricted_mean(8, 0.95)
    assert (mean.value, mean.lower, mean.upper) == (8, None, None)


@pytest.mark.parametrize(
    ("time", "events", "censored"),
    [
        ([], [], []),
        ([1.0], [0.0], [0.0]),
        ([-1.0], [1.0], [0.0]),
        ([1.0], [-1.0], [2.0]),
        ([float("nan")], [1.0], [0.0]),
    ],
)
def test_what_cannot_be_a_count_is_refused(time: list[float], events: list[float], censored: list[float]) -> None:
    with pytest.raises(ValueError, match="time"):
        kaplan_meier(np.array(time), np.array(events), np.array(censored))


def test_open_gaps_lengthen_the_quantile_to_its_true_value() -> None:
    """Half wait 10 days on average, half 100: of the gaps seen within 60 days the closed ones alone look short."""
    random = np.random.default_rng(11)
    mean = np.where(random.random(40_000) < 0.5, 10.0, 100.0)
    gap, seen_for = random.exponential(mean), random.uniform(0, 400, 40_000)
    closed = gap <= seen_for
    curve = kaplan_meier(np.minimum(gap, seen_for), closed.astype(float), (~closed).astype(float))
    found = curve.quantile(0.9, 0.95)
    truth = 160.945  # (exp(-t/10) + exp(-t/100)) / 2 = 0.1
    assert found.value is not None and found.lower is not None and found.upper is not None
    assert found.lower < truth < found.upper
    assert found.upper - found.lower < 12
    assert np.quantile(gap[closed], 0.9) < 0.85 * truth


def observed(lifetimes: np.ndarray, seed: int) -> tuple[SurvivalCurve, float]:
    """Curve of a growing business of 72 months, most customers of which are young; 1 / churn of its last 12 months."""
    random = np.random.default_rng(seed)
    window = np.minimum(random.geometric(0.08, len(lifetimes)), 72).astype(float)
    churned = lifetimes <= window
    curve = kaplan_meier(np.minimum(lifetimes, window), churned.astype(float), (~churned).astype(float))
    last = np.arange(12.0)
    at_risk = sum(((window > k) & (lifetimes > window - k - 1)).sum() for k in last)
    lost = sum(((window > k) & (lifetimes == window - k)).sum() for k in last)
    return curve, float(at_risk / lost)


def test_a_constant_hazard_has_the_mean_of_the_formula() -> None:
    churn = 0.05
    curve, formula = observed(np.random.default_rng(3).geometric(churn, 20_000).astype(float), 4)
    mean = curve.restricted_mean(60, 0.95)
    assert mean.lower is not None and mean.upper is not None
    assert mean.lower < (1 - (1 - churn) ** 60) / churn < mean.upper
    assert mean.upper - mean.lower < 1.5
    assert formula == pytest.approx(1 / churn, rel=0.04)


def test_with_a_falling_hazard_the_formula_is_too_low_and_the_restricted_mean_is_right() -> None:
    a, b = 0.8, 3.0
    random = np.random.default_rng(5)
    curve, formula = observed(random.geometric(random.beta(a, b, 20_000)).astype(float), 6)
    truth = float(np.exp(betaln(a, b + np.arange(60)) - betaln(a, b)).sum())
    mean = curve.restricted_mean(60, 0.95)
    assert mean.lower is not None and mean.upper is not None
    assert mean.lower < truth < mean.upper
    assert formula < 0.85 * mean.lower
