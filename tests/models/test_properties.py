"""What must hold of every model of orders, whatever its parameters; and what a careless fit of them costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_lib.models import BgNbd, MbgNbd, ParetoNbd, TransactionModel, TransactionStatistics
from clv_lib.models.beta_geometric_beta_binomial import BgBb
from tests.models.simulation import simulate

KINDS = [BgNbd, MbgNbd, ParetoNbd]
log_parameters = st.tuples(*[st.floats(-3.0, 3.0)] * 4)
factors = st.floats(0.01, 100.0)


@settings(max_examples=25, deadline=None)
@given(log_parameters)
@pytest.mark.parametrize("kind", KINDS)
def test_silence_never_raises_the_hope(kind: type[BgNbd], logs: tuple[float, ...]) -> None:
    """P(alive) and the expected orders of a customer fall with every further week without an order."""
    model, age = kind(*np.exp(logs)), np.linspace(20, 400, 60)
    for x, t_x in ((1, 5.0), (4, 20.0), (60, 20.0)):
        for figure in (model.probability_alive(x, t_x, age), model.expected_purchases(26.0, x, t_x, age)):
            assert (np.diff(figure) <= 1e-9 * figure[1:]).all() and figure[0] > figure[-1]


@settings(max_examples=25, deadline=None)
@given(log_parameters)
def test_silence_never_raises_the_hope_of_period_customers(logs: tuple[float, ...]) -> None:
    model, periods = BgBb(*np.exp(logs)), np.arange(4, 40)
    for x, t_x in ((0, 0), (1, 4), (3, 4)):
        for figure in (model.probability_alive(x, t_x, periods), model.expected_purchases(6, x, t_x, periods)):
            assert (np.diff(figure) < 0).all()


@settings(max_examples=25, deadline=None)
@given(log_parameters, factors)
@pytest.mark.parametrize("kind", KINDS)
def test_the_unit_of_time_does_not_matter(kind: type[TransactionModel], logs: tuple[float, ...], factor: float) -> None:
    r, alpha, third, fourth = np.exp(logs)
    with_time = kind is ParetoNbd
    model = kind(r, alpha, third, fourth)  # type: ignore[call-arg]
    scaled = kind(r, factor * alpha, third, fourth * (factor if with_time else 1.0))  # type: ignore[call-arg]
    x, t_x, age = np.array([(0, 0.0, 30.0), (1, 2.0, 40.0), (7, 35.0, 36.0), (90, 50.0, 80.0)]).T
    alive, then = model.probability_alive(x, t_x, age), scaled.probability_alive(x, factor * t_x, factor * age)
    np.testing.assert_allclose(then, alive, rtol=1e-9, atol=1e-300)
    orders = model.expected_purchases(26.0, x, t_x, age)
    then = scaled.expected_purchases(factor * 26.0, x, factor * t_x, factor * age)
    np.testing.assert_allclose(then, orders, rtol=1e-8, atol=1e-300)


def test_customers_who_bought_once_belong_to_the_fit_and_rows_have_weights() -> None:
    """The total of the repeat customers' next 39 weeks; and from fits without one-time buyers or without weights."""
    age = np.random.default_rng(3).integers(190, 273, 40_000) / 7
    drawn = simulate((0.243, 4.414, 0.793, 2.426), age, 4, horizon=39.0)
    recency = np.minimum(np.ceil(7 * drawn.recency) / 7, age)
    history, repeated = (drawn.frequency, recency, age), drawn.frequency > 0
    tuples = np.unique(np.array(history)[:, repeated], axis=1)
    fits = {
        "all": TransactionStatistics.unweighted(*history),
        "repeaters": TransactionStatistics.unweighted(*(column[repeated] for column in history)),
        "distinct repeaters": TransactionStatistics.unweighted(*tuples),
    }
    ratio = {}
    for name, statistics in fits.items():
        model = BgNbd.fit(statistics).model
        assert model is not None
        predicted = model.expected_purchases(39.0, *history)[repeated].sum()
        ratio[name] = predicted / drawn.future[repeated].sum()
    assert ratio["all"] == pytest.approx(1.0, abs=0.02)
    assert ratio["repeaters"] > 1.01 and ratio["distinct repeaters"] > 1.04, ratio
