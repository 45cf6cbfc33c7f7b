"""Seasonality against counts with known seasons: found where there are some, not where growth looks like one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clv_lib.demo import DemoParameters, generate
from clv_lib.forecasting.seasons import season_until
from clv_lib.models import MbgNbd, TransactionStatistics, seasonality

FACTORS = np.array([0.8, 0.85, 0.9, 1.0, 1.0, 0.95, 0.9, 0.95, 1.05, 1.1, 1.2, 1.3])
MONTHS_OF_3_YEARS = np.arange(36) % 12 + 1
GROWING = np.linspace(100.0, 1500.0, 36)


def test_known_factors_are_found_beside_growth_and_a_trend() -> None:
    rng = np.random.default_rng(1)
    truth = FACTORS / np.average(FACTORS[MONTHS_OF_3_YEARS - 1], weights=GROWING)
    trend = np.exp(np.linspace(0.1, -0.1, 36))
    found = seasonality(
        rng.poisson(GROWING * trend * FACTORS[MONTHS_OF_3_YEARS - 1]).astype(float), GROWING, MONTHS_OF_3_YEARS
    )
    assert found.status == "seasonal"
    assert found.p_value is not None and found.p_value < 1e-6
    assert np.all(np.abs(np.log(found.factors / truth)) < 4 * found.standard_errors)
    assert np.all(found.standard_errors < 0.05)
    kept = np.sum(GROWING * found.factors[MONTHS_OF_3_YEARS - 1])
    assert kept == pytest.approx(np.sum(GROWING), rel=1e-12)


def test_growth_and_months_of_different_length_are_no_season() -> None:
    days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[MONTHS_OF_3_YEARS - 1]
    expected = np.round(GROWING * days)
    found = seasonality(expected, expected, MONTHS_OF_3_YEARS)
    assert (found.status, found.p_value) == ("not_seasonal", 1.0)
    assert np.all(found.factors == 1) and np.all(found.standard_errors == 0)


def test_chance_is_rarely_taken_for_a_season_even_where_it_is_larger_than_that_of_counts() -> None:
    rng = np.random.default_rng(2)
    expected = np.full(36, 300.0)
    draws = [rng.poisson(expected * rng.gamma(100.0, 0.01, 36)).astype(float) for _ in range(200)]
    seasonal = sum(seasonality(one, expected, MONTHS_OF_3_YEARS).status == "seasonal" for one in draws)
    assert seasonal <= 20


def test_less_than_two_years_or_no_order_tell_nothing() -> None:
    short = seasonality(GROWING[:23], GROWING[:23], MONTHS_OF_3_YEARS[:23])
    assert (short.status, short.p_value) == ("history_too_short", None)
    assert np.all(short.factors == 1)
    assert seasonality(np.zeros(36), GROWING, MONTHS_OF_3_YEARS).status == "history_too_short"
    before_anybody_came = np.concatenate([np.zeros(13), GROWING[13:]])
    assert seasonality(GROWING, before_anybody_came, MONTHS_OF_3_YEARS).status == "history_too_short"


def test_seasons_of_the_demo_are_those_of_its_parameters() -> None:
    """From the true first days and repeat orders of the demo; twelve factors, the standard error of each is 4 %."""
    parameters = DemoParameters()
    data = generate(parameters)
    orders = data.orders[data.orders["order_id"].notna() & data.orders["customer_id"].notna()]
    days = orders.assign(day=orders["ordered_at"].dt.date, month=orders["ordered_at"].dt.strftime("%Y-%m-01"))
    truth = data.truth.customers
    ages = (pd.Timestamp(parameters.as_of) - pd.to_datetime(truth["first_order_date"])).dt.days
    last = (pd.to_datetime(truth["last_order_date"]) - pd.to_datetime(truth["first_order_date"])).dt.days
    repeat = truth["purchase_day_count"].to_numpy(float) - 1
    model = MbgNbd.fit(
        TransactionStatistics(repeat, last.to_numpy(float) / 7, ages.to_numpy(float) / 7, np.ones(len(repeat)))
    ).model
    assert model is not None
    known = days.merge(truth[["customer_id", "first_order_date"]], on="customer_id").drop_duplicates(
        ["customer_id", "day"]
    )
    later = known[(known["day"] > known["first_order_date"]) & (known["day"] <= parameters.as_of)]
    by_month = later.groupby("month").size()
    cohorts = pd.DataFrame(
        {
            "cohort_month": parameters.history_start,
            "period_month": [pd.Timestamp(month).date() for month in by_month.index],
            "months_since_first_order": 1,
            "cohort_size": 0,
            "order_count": by_month.to_numpy(float),
        }
    )
    first_days = ages.value_counts().rename_axis("btyd_age_days").reset_index(name="customers")
    found = season_until(cohorts, first_days, model, parameters.as_of, parameters.as_of)
    assert found.status == "seasonal"
    wanted = np.array(parameters.season) / np.mean(parameters.season)
    assert np.max(np.abs(found.factors - wanted)) < 0.08
    assert np.corrcoef(found.factors, wanted)[0, 1] > 0.85
