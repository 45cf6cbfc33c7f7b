"""How predictions behave: against simulation and quadrature, at extremes, in SQL and discounted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, special

from clv_lib.models import BgNbd, GammaGamma, MbgNbd, Nbd, TransactionModel, discounted_purchases_if_alive, month_ends
from tests.models.simulation import simulate, simulate_spend

CDNOW_BG = BgNbd(0.242595, 4.413602, 0.792922, 2.425907)
CDNOW_MBG = MbgNbd(0.524843, 6.183085, 0.891359, 1.614002)
BOTH = [CDNOW_BG, CDNOW_MBG]
EXTREMES = [
    (0.25, 4.4, 0.8, 2.4), (1e-3, 1e-2, 0.05, 0.05), (50.0, 0.1, 5.0, 0.1), (5.0, 1e3, 1e-2, 50.0),
    (0.5, 10.0, 1.0, 2.0), (0.5, 10.0, 1.0 + 1e-7, 2.0), (0.5, 10.0, 0.4, 0.6), (0.5, 10.0, 0.3, 0.1),
    (10.465, 0.00798565181, 3.0516, 2.82), (1e3, 1e4, 50.0, 500.0),
]  # fmt: skip


def by_quadrature(t: float, r: float, alpha: float, a: float, b: float) -> float:
    """E[(1 - (1 + p t / alpha)^-r) / p], p ~ Beta(a, b): what a survivor with these parameters buys."""

    def purchases(log_odds: float) -> float:
        log_p, log_rest = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
        bought = -np.expm1(-r * np.log1p(np.exp(log_p) * t / alpha))
        return float(bought * np.exp((a - 1) * log_p + b * log_rest - special.betaln(a, b)))

    centre = np.log(a / b)
    pieces = [(centre - 60 / min(a, 1), centre - 5), (centre - 5, centre + 5), (centre + 5, centre + 30 / min(b, 1))]
    return float(sum(integrate.quad(purchases, low, high, limit=400, epsrel=1e-11)[0] for low, high in pieces))


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize(("x", "age"), [(0, 0.0), (0, 38.86), (2, 38.86), (29, 30.0), (120, 300.0)])
@pytest.mark.parametrize("t", [0.5, 39.0, 260.0])
def test_purchases_of_a_survivor_agree_with_quadrature(model: BgNbd, x: int, age: float, t: float) -> None:
    b = model.b + x + model.first_purchase_may_be_last
    expected = by_quadrature(t, model.r + x, model.alpha + age, model.a, b)
    assert model.expected_purchases_if_alive(t, x, age) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    "parameters",
    [
        (0.5, 10.0, 1.0, 2.0),
        (0.5, 10.0, 1.00005, 2.0),
        (0.5, 10.0, 1.0003, 2.0),
        (0.5, 10.0, 0.9994, 2.0),
        (0.5, 10.0, 0.4, 0.6),
        (5.0, 0.1, 5.0, 500.0),
    ],
)
@pytest.mark.parametrize("t", [1.0, 500.0])
def test_singular_points_of_the_closed_form_agree_with_quadrature(parameters: tuple[float, ...], t: float) -> None:
    assert BgNbd(*parameters).expected_purchases_new(t) == pytest.approx(by_quadrature(t, *parameters), rel=2e-9)


@pytest.mark.parametrize("model", BOTH)
def test_predictions_agree_with_simulation(model: BgNbd) -> None:
    parameters, count = (model.r, model.alpha, model.a, model.b), 400_000
    age = np.full(count, 39.0)
    seen = simulate(parameters, age, 31, horizon=39.0, first_purchase_may_be_last=model.first_purchase_may_be_last)
    history = seen.frequency, seen.recency, seen.age
    alive, forecast = model.probability_alive(*history), model.expected_purchases(39, *history)
    assert model.expected_purchases_new(39) == pytest.approx(seen.frequency.mean(), rel=0.02)
    for x in (0, 1, 2, 5):
        group = seen.frequency == x
        error = seen.future[group].std() / np.sqrt(group.sum())
        assert abs(forecast[group].mean() - seen.future[group].mean()) < 4 * error
        spread = np.sqrt(np.mean(alive[group] * (1 - alive[group])) / group.sum())
        assert abs(alive[group].mean() - seen.alive[group].mean()) <= 4 * spread
        survivors = group & seen.alive
        error = seen.future[survivors].std() / np.sqrt(survivors.sum())
        assert abs(model.expected_purchases_if_alive(39, x, 39.0) - seen.future[survivors].mean()) < 4 * error


@pytest.mark.parametrize("model", BOTH)
def test_silence_lowers_the_probability_of_being_alive(model: BgNbd) -> None:
    age = np.linspace(10, 300, 200)
    for x in (1, 3, 20):
        alive = model.probability_alive(x, 10.0, age)
        assert (np.diff(alive) < 0).all() and alive[-1] > 0 and alive[0] <= 1
    one_timers = model.probability_alive(0, 0.0, age)
    assert (one_timers == 1).all() if model.name == "bg_nbd" else (np.diff(one_timers) < 0).all()


@pytest.mark.parametrize("model_type", [BgNbd, MbgNbd])
@pytest.mark.parametrize("parameters", EXTREMES)
def test_extremes_are_finite_and_within_bounds(model_type: type[BgNbd], parameters: tuple[float, ...]) -> None:
    model = model_type(*parameters)
    cases = [
        (x, share * age, age)
        for x in (0, 1, 7, 150, 1000)
        for age in (0.5, 40.0, 200.0, 2000.0)
        for share in ((0.0,) if x == 0 else (0.01, 0.5, 1.0))
    ]
    x, t_x, age = np.array(cases).T
    alive = model.probability_alive(x, t_x, age)
    assert np.isfinite(model.log_likelihood(x, t_x, age)).all()
    assert ((alive >= 0) & (alive <= 1)).all()
    for t in (0.0, 1e-6, 1.0, 52.0, 1000.0):
        if_alive = model.expected_purchases_if_alive(t, x, age)
        ceiling = t * (model.r + x) / (model.alpha + age)
        assert np.isfinite(if_alive).all() and (if_alive >= 0).all() and (if_alive <= ceiling * (1 + 1e-8)).all()
        assert np.isfinite(model.expected_purchases_new(t))
    assert (model.expected_purchases_if_alive(52.0, x, age) > model.expected_purchases_if_alive(1.0, x, age)).all()


@pytest.mark.parametrize("model", [*BOTH, Nbd(0.38, 12.0)])
def test_arguments_broadcast_and_nan_stays_nan(model: TransactionModel) -> None:
    horizon = np.array([[4.0], [13.0]])
    expected = model.expected_purchases(horizon, [0.0, 2.0, 5.0], [0.0, 8.0, 20.0], 30.0)
    assert expected.shape == (2, 3)
    assert expected[1, 2] == pytest.approx(float(model.expected_purchases(13.0, 5.0, 20.0, 30.0)), rel=1e-14)
    assert np.isnan(model.expected_purchases(4.0, np.nan, 1.0, 30.0))


def test_months_end_with_the_horizon() -> None:
    assert month_ends(90) == [30.4375, 60.875, 90]
    assert len(month_ends(365.25)) == 12
    assert month_ends(10) == [10]
    with pytest.raises(ValueError, match="positive"):
        month_ends(0)


@pytest.mark.parametrize("model", BOTH)
def test_discounting(model: BgNbd) -> None:
    x, age = np.array([0.0, 2.0, 9.0]), np.array([20.0, 38.86, 50.0])
    plain = discounted_purchases_if_alive(model, x, age, horizon_days=365, annual_discount_rate=0)
    np.testing.assert_allclose(plain, model.expected_purchases_if_alive(365 / 7, x, age), rtol=1e-12)
    one_month = discounted_purchases_if_alive(model, x, age, horizon_days=30.4375, annual_discount_rate=0.1)
    np.testing.assert_allclose(
        one_month, model.expected_purchases_if_alive(30.4375 / 7, x, age) * 1.1 ** (-1 / 12), rtol=1e-12
    )
    year = discounted_purchases_if_alive(model, x, age, horizon_days=365, annual_discount_rate=0.1)
    assert (year < plain).all() and (year > plain / 1.1).all()


def test_discounting_does_not_depend_on_the_time_unit() -> None:
    in_days = BgNbd(CDNOW_BG.r, 7 * CDNOW_BG.alpha, CDNOW_BG.a, CDNOW_BG.b)
    weeks = discounted_purchases_if_alive(CDNOW_BG, 2, 38.0, horizon_days=180, annual_discount_rate=0.1)
    days = discounted_purchases_if_alive(
        in_days, 2, 7 * 38.0, horizon_days=180, annual_discount_rate=0.1, time_unit_days=1
    )
    assert days == pytest.approx(float(weeks), rel=1e-12)


def test_expected_spend_is_the_mean_of_simulated_customers_and_lies_between() -> None:
    model = GammaGamma(6.25, 3.74, 15.44)
    mean, true = simulate_spend((model.p, model.q, model.v), np.full(200_000, 3.0), 41)
    expected = model.expected_spend(3.0, mean)
    assert expected.mean() == pytest.approx(true.mean(), rel=0.01)
    top = mean > np.quantile(mean, 0.9)
    assert expected[top].mean() == pytest.approx(true[top].mean(), rel=0.02)
    low, high = np.minimum(mean, model.population_mean), np.maximum(mean, model.population_mean)
    assert ((expected >= low) & (expected <= high)).all()


@pytest.mark.parametrize("bad", [(0, 1, 1, 1), (1, -1, 1, 1), (1, 1, np.nan, 1), (1, 1, 1, np.inf)])
def test_impossible_parameters_are_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="positive finite"):
        BgNbd(*bad)
