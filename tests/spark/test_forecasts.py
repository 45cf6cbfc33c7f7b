"""What a forecast needs of the customers, added up by Spark, against plain Python over the same few customers."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from clv_lib.forecasting.calendar import windows
from clv_lib.forecasting.existing_customers import Forecast, existing_customers
from clv_lib.forecasting.fits import DayFit, OrdersFit, SpendFit
from clv_lib.forecasting.states import counted_histories, counted_spend, member_sums, states_at
from clv_lib.models import GammaGamma, MbgNbd, Seasonality
from clv_lib.models.seasonality import no_seasons
from tests.spark.activity import packed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TODAY, EARLIER = dt.date(2025, 6, 30), dt.date(2025, 3, 31)
MODEL, SPEND, SPEND_OF_FEW = MbgNbd(1.2, 7.7, 1.1, 8.9), GammaGamma(5.0, 3.5, 40.0), GammaGamma(4.0, 5.0, 90.0)
COVARIANCE = np.diag([0.01, 0.02, 0.04, 0.03])
FITTED, OF_ODD = OrdersFit(MODEL, COVARIANCE), OrdersFit(MbgNbd(0.8, 12.0, 1.1, 4.0), COVARIANCE)
SPENDS = {"all:all": SpendFit(SPEND, 0.0004, 2.0, 1.4), "tenth:few": SpendFit(SPEND_OF_FEW, 0.0009, 3.0, 1.2)}
FIT = DayFit("mbg_nbd", {"all:all": FITTED, "kind:odd": OF_ODD}, SPENDS, True, 1.25)
NO_SPEND = DayFit("mbg_nbd", {"all:all": FITTED}, {"all:all": SpendFit(None)}, True, 1.0)
MONTHS = (
    "customer_id string, month date, order_count bigint, active_day_count bigint, margin_order_count bigint,"
    " net_amount decimal(28,4), margin_amount decimal(28,4), first_day_net_amount decimal(28,4),"
    " first_day_margin_amount decimal(28,4), first_ordered_date date, last_ordered_date date"
)
UNKNOWN = "c07"

Order = tuple[dt.date, Decimal, Decimal | None]


def histories() -> dict[str, list[Order]]:
    """One order a day: day, net revenue and margin; the margin of one order of UNKNOWN is not known."""
    draw = random.Random(5)
    orders: dict[str, list[Order]] = {}
    for number in range(40):
        name = f"c{number:02d}"
        span = draw.randint(1, 540)
        days = sorted({TODAY - dt.timedelta(days=draw.randint(0, span)) for _ in range(draw.randint(1, 9))})
        orders[name] = [(day, Decimal(draw.randint(10, 90)), Decimal(draw.randint(5, 40))) for day in days]
    first = orders[UNKNOWN][0]
    orders[UNKNOWN] = [(dt.date(2025, 1, 5), first[1], None), (dt.date(2025, 2, 5), Decimal(20), Decimal(9))]
    return orders


def month_rows(orders: dict[str, list[Order]]) -> list[tuple[Any, ...]]:
    rows = []
    for name, own in orders.items():
        by_month = defaultdict(list)
        for order in own:
            by_month[order[0].replace(day=1)].append(order)
        for month, some in by_month.items():
            first = [one for one in some if one[0] == own[0][0]]
            days = [one[0] for one in some]
            known = [one[2] for one in some if one[2] is not None]
            rows.append(
                (name, month, len(some), len(some), len(known), sum(one[1] for one in some), sum(known, Decimal(0)),
                 sum((one[1] for one in first), Decimal(0)), sum((one[2] or Decimal(0) for one in first), Decimal(0)),
                 min(days), max(days))
            )  # fmt: skip
    return rows


def segment_of(name: str) -> str:
    return f"kind:{'even' if int(name[1:]) % 2 == 0 else 'odd'}"


def spend_group_of(name: str) -> str:
    """Not the group of the fit of orders: customers 20 to 29 spend otherwise."""
    return "tenth:few" if name.startswith("c2") else "all:all"


@pytest.fixture(scope="module")
def collected(spark_session: SparkSession) -> dict[str, pd.DataFrame]:
    months = spark_session.createDataFrame(month_rows(histories()), MONTHS)
    groups = spark_session.createDataFrame(
        [(name, segment_of(name), spend_group_of(name)) for name in histories()],
        "customer_id string, fit_segment_id string, spend_fit_segment_id string",
    )
    states = states_at(months, (TODAY, EARLIER), in_margin=True, groups=groups).cache()
    members = [(name, segment, kind) for name in histories() for segment, kind in
               (("all:all", "all"), (segment_of(name), "kind"), ("rfm:best", "rfm"))]  # fmt: skip
    segments = spark_session.createDataFrame(members, "customer_id string, segment_id string, segment_type string")
    fits = {TODAY: FIT, EARLIER: NO_SPEND}
    found = {
        "states": states,
        "histories": counted_histories(states),
        "spend": counted_spend(states),
        "sums": member_sums(states, packed(segments), fits, TODAY, ["all", "kind"]),
    }
    return {name: frame.toPandas() for name, frame in found.items()}


def known(day: dt.date) -> dict[str, list[Order]]:
    past = {name: [order for order in own if order[0] <= day] for name, own in histories().items()}
    return {name: own for name, own in past.items() if own}


def forecast_of(sums: pd.DataFrame, fit: DayFit, day: dt.date, season: Seasonality) -> Forecast:
    return existing_customers(sums[sums["origin_date"] == day], fit, day, windows(day, 3), season)


@pytest.mark.parametrize("day", [TODAY, EARLIER])
def test_customers_are_as_they_were_on_the_day(collected: dict[str, pd.DataFrame], day: dt.date) -> None:
    states = collected["states"]
    rows = {row.customer_id: row for row in states[states["origin_date"] == day].itertuples()}
    assert set(rows) == set(known(day))
    for name, own in known(day).items():
        row, days = rows[name], [order[0] for order in own]
        assert (row.btyd_frequency, row.btyd_recency_days, row.btyd_age_days) == (
            len(own) - 1,
            (days[-1] - days[0]).days,
            (day - days[0]).days,
        )
        assert row.net_mean == pytest.approx(float(sum(order[1] for order in own)) / len(own))
        if name == UNKNOWN:
            assert not row.is_value_known and pd.isna(row.value_mean)
        elif len(own) > 1:
            repeat = [float(order[2] or 0) for order in own[1:]]
            assert row.value_mean == pytest.approx(sum(repeat) / len(repeat))
        else:
            assert pd.isna(row.value_mean)


def test_models_are_fitted_on_counts_of_each_day(collected: dict[str, pd.DataFrame]) -> None:
    for day in (TODAY, EARLIER):
        rows = collected["histories"][collected["histories"]["origin_date"] == day]
        assert rows["customers"].sum() == len(known(day))
        assert rows["days"].sum() == rows["orders"].sum() == sum(map(len, known(day).values()))
    spent = collected["spend"][collected["spend"]["origin_date"] == TODAY]
    repeaters = {name: own for name, own in known(TODAY).items() if len(own) > 1 and name != UNKNOWN}
    assert spent["customers"].sum() == len(repeaters)
    margin = sum(float(order[2] or 0) for own in repeaters.values() for order in own[1:])
    assert spent["value_sum"].sum() == pytest.approx(margin)


def test_expected_orders_and_amounts_are_sums_over_the_members(collected: dict[str, pd.DataFrame]) -> None:
    """But for the ages within a week, which are taken at its middle: up to 1 % with 40 customers."""
    found = forecast_of(collected["sums"], FIT, TODAY, no_seasons())
    assert found.segments == ("all:all", "kind:even", "kind:odd", "rfm:best")
    ends = np.array([31, 62, 92]) / 7
    orders, net, margin, square = (defaultdict(lambda: np.zeros(3)) for _ in range(4))
    for name, own in known(TODAY).items():
        days = [order[0] for order in own]
        x, recency, age = len(own) - 1, (days[-1] - days[0]).days / 7, (TODAY - days[0]).days / 7
        model = (OF_ODD if segment_of(name) == "kind:odd" else FITTED).model
        alive = float(model.probability_alive(x, recency, age))
        mean = alive * model.expected_purchases_if_alive(ends, x, age)
        value = sum(float(order[2] or 0) for order in own[1:]) / x if x else 0.0
        spend, ratio = (SPEND_OF_FEW, 3) if spend_group_of(name) == "tenth:few" else (SPEND, 2)
        weight = spend.p * x / (spend.p * x + spend.q - 1)
        mean_net = float(sum(order[1] for order in own)) / len(own)
        per_day = weight * mean_net + (1 - weight) * spend.population_mean * ratio
        for segment in ("all:all", segment_of(name)):
            orders[segment] += 1.25 * mean
            net[segment] += mean * per_day
            margin[segment] += mean * float(spend.expected_spend(x, value))
            square[segment] += alive * model.second_moment_if_alive(ends, x, age) - mean**2
    for number, segment in enumerate(found.segments[:3]):
        assert found.figures["cumulative", "orders"].mean[number] == pytest.approx(orders[segment], rel=1e-2)
        assert found.figures["cumulative", "net"].mean[number] == pytest.approx(net[segment], rel=1e-2)
        month = found.figures["month", "orders"].mean[number]
        assert np.cumsum(month) == pytest.approx(found.figures["cumulative", "orders"].mean[number])
        of_chance = 1.25**2 * square[segment]
        assert np.all(found.figures["cumulative", "orders"].variance[number] > 0.98 * of_chance)
    parts = found.figures["month", "net"].mean
    assert parts[0] == pytest.approx(parts[1] + parts[2], rel=1e-12)
    even = found.figures["cumulative", "margin"].mean[1]
    assert even == pytest.approx(margin["kind:even"], rel=1e-2)
    hidden = found.figures["cumulative", "margin"].mean[[0, 2]]
    assert np.isnan(hidden).all(), "a member's margin is not known"


def test_estimated_parameters_seasons_and_spend_widen_the_intervals(collected: dict[str, pd.DataFrame]) -> None:
    factors, errors = np.ones(12), np.zeros(12)
    factors[6], errors[6] = 1.5, 0.1
    plain = forecast_of(collected["sums"], FIT, TODAY, no_seasons()).figures
    seasonal = forecast_of(collected["sums"], FIT, TODAY, Seasonality("seasonal", factors, errors, 0.01)).figures
    means = plain["month", "orders"].mean
    assert seasonal["month", "orders"].mean == pytest.approx(means * np.array([1.5, 1, 1]))
    more = seasonal["cumulative", "orders"].mean - plain["cumulative", "orders"].mean
    assert more == pytest.approx(np.repeat(0.5 * means[:, :1], 3, axis=1))
    by_season = (0.1 * 1.5 * means[:, 0]) ** 2
    assert np.all(
        seasonal["month", "orders"].variance[:, 0] > 1.5 * plain["month", "orders"].variance[:, 0] + by_season
    )
    certain = DayFit(
        "mbg_nbd",
        {name: OrdersFit(fit.model, 0 * COVARIANCE) for name, fit in FIT.orders.items()},
        {name: replace(fit, relative_variance=0.0) for name, fit in SPENDS.items()},
        True,
        1.25,
    )
    sure = forecast_of(collected["sums"], certain, TODAY, no_seasons()).figures
    for measure in ("orders", "net"):
        assert np.all(sure["month", measure].variance < plain["month", measure].variance)
        assert sure["month", measure].mean == pytest.approx(plain["month", measure].mean)
    assert np.all(np.isfinite(plain["month", "net"].variance))


def test_without_spend_model_orders_alone_and_of_types_that_are_known(collected: dict[str, pd.DataFrame]) -> None:
    found = forecast_of(collected["sums"], NO_SPEND, EARLIER, no_seasons())
    assert found.segments == ("all:all", "kind:even", "kind:odd")
    assert np.all(found.figures["month", "orders"].mean > 0)
    assert np.isnan(found.figures["month", "net"].mean).all() and np.isnan(found.figures["month", "margin"].mean).all()
    assert (NO_SPEND.status, FIT.status) == ("spend_model_unusable", "ok")
