"""Fits for forecasts: published ones are read back, those of earlier days are made anew, and the future is held."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clv_lib.forecasting.backtest import interval
from clv_lib.forecasting.calendar import windows
from clv_lib.forecasting.existing_customers import existing_customers
from clv_lib.forecasting.fits import day_fits
from clv_lib.forecasting.states import ALIVE_GRADIENT, FIT_SEGMENTS, PAIR
from clv_lib.models import GammaGamma, MbgNbd, Nbd
from clv_lib.models.seasonality import no_seasons
from tests.models.simulation import Customers, simulate, simulate_loyal, simulate_spend

TODAY, EARLIER = dt.date(2025, 6, 30), dt.date(2025, 3, 31)
GROUPS = {"kind:even": (1.2, 7.7, 1.1, 8.9), "kind:odd": (0.6, 12.0, 1.1, 4.0)}
AHEAD = windows(EARLIER, 3)
OPTIONS: dict[str, Any] = {"in_margin": True, "minimum_customers": 100}
NO_VALUES = ("unknown_values", "net", "net_second", "net_squared", "margin", "margin_second", "margin_squared")


def counted(drawn: Customers, fit_segment_id: str) -> pd.DataFrame:
    """Customers on EARLIER in the columns of `counted_histories`, one row each."""
    return pd.DataFrame(
        {
            "origin_date": EARLIER,
            "fit_segment_id": fit_segment_id,
            "btyd_frequency": drawn.frequency,
            "btyd_recency_days": drawn.recency * 7,
            "btyd_age_days": drawn.age * 7,
            "customers": 1,
            "orders": drawn.frequency + 1,
            "days": drawn.frequency + 1,
        }
    )


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """Customers of two groups with their purchases in the three months after EARLIER."""
    age = np.random.default_rng(4).integers(30, 700, 2000) / 7
    horizon = (AHEAD[-1].end - EARLIER).days / 7
    frames = []
    for seed, (name, parameters) in enumerate(GROUPS.items()):
        drawn = simulate(parameters, age, seed, horizon=horizon, first_purchase_may_be_last=True)
        frames.append(counted(drawn, name).assign(future=drawn.future))
    return pd.concat(frames, ignore_index=True)


def published(*segments: str, spenders: tuple[str, ...] = ("all:all",)) -> list[dict[str, Any]]:
    model = MbgNbd(*GROUPS["kind:even"])
    orders = [
        {"model_id": "mbg_nbd", "segment_id": segment, "is_published_model": True, "parameter": name,
         "estimate": getattr(model, name), "covariances": {name: 0.01 * getattr(model, name) ** 2}}
        for segment in segments for name in model.parameter_names
    ]  # fmt: skip
    spend = [
        {"model_id": "gamma_gamma", "segment_id": segment, "is_published_model": True, "parameter": name,
         "estimate": value, "covariances": {name: 0.01 * value**2}}
        for segment in spenders for name, value in (("p", 5.0), ("q", 3.5), ("v", 40.0))
    ]  # fmt: skip
    return orders + spend


SPEND = pd.DataFrame(
    {
        "origin_date": [TODAY, TODAY],
        "spend_fit_segment_id": ["all:all", "kind:odd"],
        "btyd_frequency": [1, 3],
        "mean_spend": [10.0, 20.0],
        "customers": [4, 2],
        "value_sum": [40.0, 120.0],
        "net_sum": [100.0, 220.0],
        "square_sum": [400.0, 2400.0],
    }
)


def test_the_published_fits_are_those_of_today(customers: pd.DataFrame) -> None:
    both = ("all:all", "kind:odd")
    rows = [*published(*both, spenders=both), {**published("all:all")[0], "model_id": "bg_nbd"}]
    rows[-1]["is_published_model"] = False
    found = day_fits(rows, customers.assign(origin_date=TODAY, orders=5, days=4), SPEND, (TODAY,), **OPTIONS)[TODAY]
    assert (found.name, found.status) == ("mbg_nbd", "ok")
    assert found.orders_of("kind:odd").model == found.orders_of("kind:new").model == MbgNbd(*GROUPS["kind:even"])
    assert found.orders["all:all"].log_covariance == pytest.approx(0.01 * np.eye(4))
    pooled, odd = found.spend_of("kind:new"), found.spend_of("kind:odd")
    assert pooled.model == odd.model == GammaGamma(5.0, 3.5, 40.0)
    assert pooled.relative_variance == pytest.approx(0.01 * (1 + (3.5 / 2.5) ** 2 + 1))
    assert (found.orders_per_day, pooled.net_per_value) == pytest.approx((1.25, 2.0))
    assert odd.net_per_value == pytest.approx(220 / 120), "of its own customers"
    assert pooled.spread == pytest.approx((2800 / 10) / 16**2)


def test_earlier_days_are_fitted_anew_in_the_same_groups(customers: pd.DataFrame) -> None:
    found = day_fits(published("all:all", "kind:odd"), customers, SPEND, (TODAY, EARLIER), **OPTIONS)[EARLIER]
    assert set(found.orders) == {"all:all", "kind:odd"}
    assert found.orders_of("kind:even") is found.pooled
    rates = {name: fit.model.expected_purchases_new(26.0) for name, fit in found.orders.items()}
    truth = {name: float(MbgNbd(*parameters).expected_purchases_new(26.0)) for name, parameters in GROUPS.items()}
    assert float(rates["kind:odd"]) == pytest.approx(truth["kind:odd"], rel=0.1)
    assert truth["kind:odd"] < float(rates["all:all"]) < truth["kind:even"]
    assert found.status == "spend_model_unusable", "nobody spent on that day"


def test_spend_of_earlier_days_is_fitted_anew_in_its_groups(customers: pd.DataFrame) -> None:
    """Consumers spend 20 a day and companies 60; a group too small for a fit takes the pooled one."""
    x = np.tile(np.arange(1.0, 7.0), 100)
    means = {"kind:odd": 20.0, "kind:even": 60.0}
    spent = pd.concat(
        pd.DataFrame(
            {
                "origin_date": EARLIER,
                "spend_fit_segment_id": name,
                "btyd_frequency": x,
                "mean_spend": simulate_spend((5.0, 6.0, mean), x, 8)[0],
                "customers": 1,
            }
        )
        for name, mean in means.items()
    )
    spent = spent.assign(value_sum=1.0, net_sum=2.0, square_sum=1.0)
    rows = published("all:all", spenders=("all:all", *means, "kind:few"))
    found = day_fits(rows, customers, spent, (TODAY, EARLIER), **OPTIONS)[EARLIER]
    assert set(found.spend) == {"all:all", *means} and found.has_spend
    for name, mean in means.items():
        model = found.spend_of(name).model
        assert model is not None and model.population_mean == pytest.approx(mean, rel=0.1)
    assert found.spend_of("kind:few") is found.spend["all:all"]
    few = day_fits(rows, customers, spent.head(5), (TODAY, EARLIER), **OPTIONS)[EARLIER]
    assert (set(few.spend), few.status) == ({"all:all"}, "spend_model_unusable")


def test_without_a_published_or_usable_fit_there_is_no_forecast(customers: pd.DataFrame) -> None:
    for rows, changes in (([], {}), (published("all:all"), {"minimum_customers": 10_000})):
        found = day_fits(rows, customers, SPEND, (TODAY, EARLIER), **{**OPTIONS, **changes})[EARLIER]
        assert (found.pooled, found.status) == (None, "model_unusable")
        assert existing_customers(pd.DataFrame({"segment_id": []}), found, EARLIER, AHEAD, no_seasons()).figures == {}


def test_intervals_of_groups_hold_what_their_customers_bought(customers: pd.DataFrame) -> None:
    fit = day_fits(published("all:all", *GROUPS), customers, SPEND, (TODAY, EARLIER), **OPTIONS)[EARLIER]
    rows = customers.assign(age_weeks=customers["btyd_age_days"] // 7, segment_id=customers["fit_segment_id"])
    for name, own in rows.groupby("fit_segment_id").indices.items():
        model, cells = fit.orders_of(name).model, rows.iloc[own]
        history = (cells["btyd_frequency"], cells["btyd_recency_days"] / 7, cells["btyd_age_days"] / 7)
        alive = model.probability_alive(*history)
        rows.loc[rows.index[own], ["alive", "alive_squared"]] = np.column_stack([alive, alive**2])
        rows.loc[rows.index[own], list(ALIVE_GRADIENT)] = model.probability_alive_gradient(*history)
    rows = rows.assign(**dict.fromkeys(NO_VALUES, 0.0), spend_fit_segment_id="all:all")
    both = pd.concat([rows, rows.assign(segment_id="all:all")])
    sums = both.groupby(["segment_id", *FIT_SEGMENTS, *PAIR], as_index=False).sum(numeric_only=True)
    found = existing_customers(sums, fit, EARLIER, AHEAD, no_seasons())
    assert found.segments == ("all:all", "kind:even", "kind:odd")
    orders = found.figures["cumulative", "orders"]
    low, high = interval(orders, None, 0.95)
    came = [customers["future"].sum(), *(rows[rows["segment_id"] == name]["future"].sum() for name in GROUPS)]
    for number, bought in enumerate(came):
        assert low[number, -1] < bought < high[number, -1]
        assert high[number, -1] - low[number, -1] < 0.3 * bought
    assert orders.mean[0] == pytest.approx(orders.mean[1] + orders.mean[2])
    assert orders.variance[0] == pytest.approx(orders.variance[1] + orders.variance[2]), "fits of their own"


def test_the_nbd_forecasts_where_nobody_leaves() -> None:
    """Two parameters and no P(alive): the mean is the sum of the customers' own, and its variance holds both errors."""
    drawn = simulate_loyal(2_000, 30.0, 5)
    histories = counted(drawn, "all:all")
    rows = [
        {"model_id": "nbd", "segment_id": "all:all", "is_published_model": True, "parameter": name,
         "estimate": value, "covariances": {name: 0.01 * value**2}}
        for name, value in (("r", 0.8), ("alpha", 9.0))
    ]  # fmt: skip
    fits = day_fits([*rows, *published("all:all")[4:]], histories, SPEND, (TODAY, EARLIER), **OPTIONS)
    assert fits[TODAY].name == "nbd" and fits[TODAY].orders["all:all"].model == Nbd(0.8, 9.0)
    fit = fits[EARLIER].orders["all:all"]
    assert isinstance(fit.model, Nbd) and fit.log_covariance.shape == (2, 2)
    assert (fit.model.r, fit.model.alpha) == pytest.approx((0.8, 9.0), rel=0.1)
    alive = np.column_stack([np.ones(2_000), np.zeros((2_000, len(ALIVE_GRADIENT)))])
    sums = histories.assign(
        segment_id="all:all", spend_fit_segment_id="all:all", age_weeks=30, alive_squared=1.0,
        **dict(zip(("alive", *ALIVE_GRADIENT), alive.T, strict=True)), **dict.fromkeys(NO_VALUES, 0.0),
    ).groupby(["segment_id", *FIT_SEGMENTS, *PAIR], as_index=False).sum(numeric_only=True)  # fmt: skip
    found = existing_customers(sums, fits[EARLIER], EARLIER, AHEAD, no_seasons()).figures["cumulative", "orders"]
    weeks, age = (AHEAD[-1].end - EARLIER).days / 7, 30 + 3 / 7
    means = weeks * (fit.model.r + drawn.frequency) / (fit.model.alpha + age)
    assert found.mean[0, -1] == pytest.approx(float(means.sum()))
    own = np.sum(means + means**2 / (fit.model.r + drawn.frequency))
    waited = fit.model.alpha + age
    gradient = np.array([weeks * 2_000 * fit.model.r, -means.sum() * fit.model.alpha]) / waited
    assert found.variance[0, -1] == pytest.approx(float(own + gradient @ fit.log_covariance @ gradient))
