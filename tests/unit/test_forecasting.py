"""Forecasts without Spark: months, plans, curves, backtest and rounding, on cases computed by hand."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clv_lib.contracts.forecasts import FORECAST_ACCURACY, FORECAST_BACKTEST, REVENUE_FORECASTS
from clv_lib.errors import ContractError
from clv_lib.forecasting.accuracy import accuracy_rows, backtest_rows
from clv_lib.forecasting.backtest import KEYS, PastForecast, error_scale, error_scales, interval, past_forecast
from clv_lib.forecasting.calendar import Window, last_complete_month_end, origins, windows
from clv_lib.forecasting.existing_customers import Figures, Forecast
from clv_lib.forecasting.new_customers import curve, new_customers
from clv_lib.forecasting.plans import PlannedMonth, planned_months
from clv_lib.forecasting.tables import Said, forecast_rows
from clv_lib.models import Seasonality, sum_interval
from clv_lib.models.seasonality import no_seasons
from clv_lib.periods import add_months, month_end

JUNE_30 = dt.date(2025, 6, 30)
TOTAL = "all:all"
JULY, AUGUST, SEPTEMBER = windows(JUNE_30, 3)
FLAT = no_seasons()


def test_months_ahead_begin_on_the_day_after() -> None:
    assert [(JULY.start, JULY.end, JULY.months_ahead)] == [(dt.date(2025, 7, 1), dt.date(2025, 7, 31), 1)]
    rest, first = windows(dt.date(2025, 12, 10), 1)
    assert rest == Window(dt.date(2025, 12, 11), dt.date(2025, 12, 31), 0)
    assert first == Window(dt.date(2026, 1, 1), dt.date(2026, 1, 31), 1)
    assert rest.month == dt.date(2025, 12, 1)


def test_origins_end_months_and_have_a_year_before_them() -> None:
    assert last_complete_month_end(dt.date(2025, 6, 29)) == dt.date(2025, 5, 31)
    first = dt.date(2024, 2, 1)
    assert origins(first, JUNE_30, 4, 2) == (dt.date(2025, 4, 30), dt.date(2025, 2, 28))
    assert origins(dt.date(2024, 5, 1), JUNE_30, 4, 2) == (dt.date(2025, 4, 30),)
    assert origins(first, JUNE_30, 0, 2) == ()


def plan_row(**changes: Any) -> dict[str, Any]:
    known = {
        "period_month": dt.date(2025, 7, 15),
        "channel": None,
        "segment_id": None,
        "planned_new_customers": Decimal("10.0000"),
        "planned_spend_amount": None,
    }
    return {**known, **changes}


def test_plans_name_channels_segments_or_nobody() -> None:
    def names(**changes: Any) -> list[str]:
        return [one.segment_id for one in planned_months([plan_row(**changes)], JUNE_30, "plans")]

    assert names() == names(channel="all") == names(segment_id="all") == [TOTAL]
    assert names(channel="mail") == ["channel:mail"]
    assert names(segment_id="region:North: East") == ["region:North: East"]
    later = plan_row(period_month=dt.date(2025, 6, 1), channel="mail")
    assert planned_months([later], JUNE_30, "plans") == []
    [one] = planned_months([plan_row(planned_spend_amount=Decimal(5))], JUNE_30, "plans")
    assert one == PlannedMonth(TOTAL, dt.date(2025, 7, 1), Decimal(10), Decimal(5))


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([plan_row(period_month=None)], "the month cannot be read"),
        ([plan_row(planned_new_customers=None)], "planned_new_customers is no number"),
        ([plan_row(planned_new_customers=Decimal(-1))], "planned_new_customers is no number"),
        ([plan_row(planned_spend_amount=Decimal(-1))], "planned_spend_amount is negative"),
        ([plan_row(channel="mail", segment_id="region:North")], "both a channel and a segment"),
        ([plan_row(segment_id="North")], "not TYPE:NAME"),
        ([plan_row(), plan_row(period_month=dt.date(2025, 7, 1))], "a month is planned twice"),
        ([plan_row(), plan_row(channel="mail")], "several types of segments"),
    ],
)
def test_plans_that_contradict_themselves_are_refused(rows: list[dict[str, Any]], fault: str) -> None:
    with pytest.raises(ContractError, match=fault):
        planned_months(rows, JUNE_30, "plans")


def cohort(segment: str, month: dt.date, size: int, orders: list[float], margin: float | None = 5.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "segment_id": segment,
            "cohort_month": month,
            "months_since_first_order": range(len(orders)),
            "period_month": [add_months(month, age) for age in range(len(orders))],
            "cohort_size": size,
            "order_count": orders,
            "net_amount": [10.0 * one for one in orders],
            "margin_amount": [np.nan if margin is None else margin * one for one in orders],
        }
    )


COHORTS = pd.concat(
    [
        cohort(TOTAL, dt.date(2025, 4, 1), 10, [12, 4, 2]),
        cohort(TOTAL, dt.date(2025, 5, 1), 20, [22, 6]),
        cohort("channel:mail", dt.date(2025, 5, 1), 5, [5, 1], None),
    ]
)


def test_a_curve_is_a_ratio_of_sums_over_the_cohorts_seen_at_each_age() -> None:
    found = curve(COHORTS[COHORTS["segment_id"] == TOTAL], "orders", 4)
    assert found.mean[:3] == pytest.approx([34 / 30, 10 / 30, 2 / 10])
    assert found.customers.tolist() == [30, 30, 10, 0]
    by_hand = 10 * (1.2 - 34 / 30) ** 2 + 20 * (1.1 - 34 / 30) ** 2
    so_far = 10 * (1.6 - 44 / 30) ** 2 + 20 * (1.4 - 44 / 30) ** 2
    assert found.variance[0] == pytest.approx(by_hand)
    assert found.variance_so_far[1] == pytest.approx(so_far)
    assert np.isnan(found.mean[3]) and np.isnan(found.variance[2:]).all()


def test_planned_customers_follow_the_curve_at_their_age_and_the_seasons() -> None:
    factors = np.ones(12)
    factors[7] = 2.0
    season = Seasonality("seasonal", factors, np.zeros(12), 0.01)
    plan = [
        PlannedMonth(TOTAL, JULY.month, Decimal(30), Decimal(300)),
        PlannedMonth(TOTAL, SEPTEMBER.month, Decimal(15), None),
    ]
    found = new_customers(plan, COHORTS, (JULY, AUGUST, SEPTEMBER), season)
    assert found is not None
    orders = found.forecast.figures["month", "orders"]
    assert orders.mean[0] == pytest.approx([34, 30 / 3 * 2, 30 * 0.2 + 15 * 34 / 30])
    v = curve(COHORTS[COHORTS["segment_id"] == TOTAL], "orders", 2).variance
    assert orders.variance[0][:2] == pytest.approx([v[0] * (30 + 900 / 30), v[1] * (30 + 900 / 30)])
    assert np.isnan(orders.variance[0][2])
    assert found.forecast.figures["cumulative", "net"].mean[0] == pytest.approx([340, 540, 770])
    assert found.customers.tolist() == [[30, 0, 15]]
    assert found.spend_amount[0, 0] == 300 and np.isnan(found.spend_amount[0, 1:]).all()


def test_planned_segments_take_their_own_curve_or_that_of_all() -> None:
    plan = [
        PlannedMonth("channel:mail", JULY.month, Decimal(10), None),
        PlannedMonth("channel:new", JULY.month, Decimal(30), None),
    ]
    found = new_customers(plan, COHORTS, (JULY, AUGUST), FLAT)
    assert found is not None
    assert [window.months_ahead for window in found.forecast.windows] == [1]
    assert found.forecast.figures["month", "orders"].mean[:, 0] == pytest.approx([10, 34])
    margin = found.forecast.figures["month", "margin"].mean[:, 0]
    assert np.isnan(margin[0]) and margin[1] == pytest.approx(170)
    assert new_customers([], COHORTS, (JULY,), FLAT) is None


def figures(mean: list[list[float]], variance: float = 1.0) -> dict[tuple[str, str], Figures]:
    month = np.array(mean)
    both = {"month": month, "cumulative": np.cumsum(month, axis=1)}
    return {(p, m): Figures(both[p], np.full_like(month, variance)) for p, m in KEYS}


def rows_of(existing: Forecast, *, planned: Any = None, status: str = "ok", history: Any = ()) -> list[dict[str, Any]]:
    said = Said(JUNE_30, "mbg_nbd+gamma_gamma", status, FLAT, history)
    return [dict(zip(REVENUE_FORECASTS.columns, row, strict=True)) for row in forecast_rows(existing, planned, said)]


def test_segments_add_up_to_the_rounded_total() -> None:
    names = ("all:all", "type:a", "type:b")
    means = [[2.00008, 3.00012], [1.00004, 1.00004], [1.00004, 2.00008]]
    rows = rows_of(Forecast(names, (JULY, AUGUST), figures(means)))
    for period, month in (("month", JULY), ("month", AUGUST), ("cumulative", AUGUST)):
        own = {r["segment_id"]: r for r in rows if (r["period_type"], r["forecast_month"]) == (period, month.month)}
        for name in ("expected_orders", "expected_net_amount", "expected_margin_amount"):
            assert own["type:a"][name] + own["type:b"][name] == own[TOTAL][name]
    first = rows[0]
    assert first["expected_orders"] == Decimal("2.0001")
    assert (first["period_start_date"], first["period_end_date"]) == (dt.date(2025, 7, 1), dt.date(2025, 7, 31))
    assert rows[3]["expected_orders"] == Decimal("5.0002") and rows[3]["period_start_date"] == dt.date(2025, 7, 1)
    assert first["orders_lower_95"] < first["orders_lower_80"] < Decimal(2) < first["orders_upper_80"]
    assert (first["forecast_status"], first["margin_status"], first["interval_method"]) == ("ok", "ok", "model")


def test_known_and_planned_customers_are_added_up() -> None:
    plan = [PlannedMonth("channel:mail", JULY.month, Decimal(10), Decimal(90))]
    planned = new_customers(plan, COHORTS, (JULY, AUGUST), FLAT)
    existing = Forecast((TOTAL, "channel:mail", "channel:tv"), (JULY, AUGUST), figures([[5, 6], [2, 3], [3, 3]]))
    rows = rows_of(existing, planned=planned)
    groups = {(r["customer_group"], r["segment_id"]): r for r in rows if r["period_type"] == "month"}
    assert {segment for group, segment in groups if group == "new"} == {TOTAL, "channel:mail"}
    both = {(r["customer_group"], r["segment_id"]): r for r in rows if r["forecast_month"] == JULY.month}
    assert both["all", TOTAL]["expected_orders"] == Decimal(15)
    assert both["all", "channel:mail"]["expected_orders"] == Decimal(12)
    assert both["all", TOTAL]["planned_new_customers"] == Decimal(10)
    assert both["new", TOTAL]["planned_spend_amount"] == Decimal(90)
    new = both["new", "channel:mail"]
    assert (new["expected_margin_amount"], new["margin_status"]) == (None, "margin_unknown")
    assert (new["orders_lower_80"], new["interval_method"]) == (None, "not_forecast")
    assert {r["forecast_month"] for r in rows if r["customer_group"] != "existing"} == {JULY.month}


def test_sums_begin_on_the_day_after_also_within_a_month() -> None:
    ahead = windows(dt.date(2025, 6, 20), 1)
    plan = [PlannedMonth(TOTAL, JULY.month, Decimal(30), None)]
    planned = new_customers(plan, COHORTS, ahead, FLAT)
    rows = rows_of(Forecast((TOTAL,), ahead, figures([[5, 6]])), planned=planned)
    found = {(r["customer_group"], r["period_type"], r["months_ahead"]): r["expected_orders"] for r in rows}
    assert found["new", "month", 0] == 0 and found["all", "month", 0] == Decimal(5)
    assert found["new", "cumulative", 1] == Decimal(34) and found["all", "cumulative", 1] == Decimal(45)


def test_what_is_not_forecast_says_why() -> None:
    unusable = rows_of(Forecast((TOTAL,), (JULY,), {}), status="model_unusable")
    assert len(unusable) == 2
    for row in unusable:
        assert row["expected_orders"] is row["expected_net_amount"] is row["net_upper_95"] is None
        assert (row["forecast_status"], row["margin_status"]) == ("model_unusable", "not_forecast")
    found = figures([[4.0]])
    for key in KEYS:
        if key[1] != "orders":
            found[key] = Figures(np.full((1, 1), np.nan), np.full((1, 1), np.nan))
    [row, _] = rows_of(Forecast((TOTAL,), (JULY,), found), status="spend_model_unusable")
    assert (row["expected_orders"], row["expected_net_amount"]) == (Decimal(4), None)
    assert row["orders_upper_80"] is not None and row["forecast_status"] == "spend_model_unusable"
    plan = [PlannedMonth(TOTAL, month.month, Decimal(1), None) for month in windows(JUNE_30, 4)]
    rows = rows_of(
        Forecast((TOTAL,), windows(JUNE_30, 4), figures([[1, 1, 1, 1]])),
        planned=new_customers(plan, COHORTS, windows(JUNE_30, 4), FLAT),
    )
    last = [r for r in rows if r["customer_group"] == "new" and r["months_ahead"] == 4]
    assert {r["forecast_status"] for r in last} == {"curve_too_short"}
    assert {r["expected_orders"] for r in last} == {None}


def past(means: list[float], actual: list[float], variance: float = 1.0, origin: dt.date = JUNE_30) -> PastForecast:
    found = Forecast((TOTAL,), (JULY, AUGUST), figures([means], variance))
    came = {key: np.array([actual if key[0] == "month" else np.cumsum(actual)]) for key in KEYS}
    naive = {key: np.full((1, 2), 10.0) for key in KEYS}
    return PastForecast(origin, found, came, naive, "seasonal_naive", "not_seasonal", "ok")


def test_the_error_scale_is_what_chance_does_not_explain() -> None:
    key = ("month", "net")
    assert error_scale([past([10, 10], [13, 8])], key) == pytest.approx(((9 + 4 - 2) / 200) ** 0.5)
    assert error_scale([past([10, 10], [13, 8], variance=20.0)], key) == 0
    assert error_scale([], key) is None
    narrow, wide = (
        interval(Figures(np.array([[100.0]]), np.array([[9.0]])), s, 0.95) for s in (None, np.array([0.04]))
    )
    assert narrow[1][0, 0] - 100 == pytest.approx(1.96 * 3, rel=0.03)
    assert wide[1][0, 0] - 100 == pytest.approx(1.96 * 5, rel=0.05)


def test_errors_of_the_past_widen_what_is_published() -> None:
    ahead = Forecast((TOTAL,), (JULY, AUGUST), figures([[10.0, 10.0]]))
    planned = new_customers([PlannedMonth(TOTAL, JULY.month, Decimal(30), None)], COHORTS, (JULY, AUGUST), FLAT)
    tested = rows_of(ahead, planned=planned, history=[past([10, 10], [13, 8])])
    assert {row["interval_method"] for row in tested} == {"model_and_backtest"}
    rows = {(r["customer_group"], r["period_type"], r["forecast_month"]): r for r in tested}
    # Squared errors 9 + 4 of months and 9 + 1 of sums, less the variances 1 + 1, over 10^2 + 10^2 and 10^2 + 20^2.
    for period, month, mean, scale in (("month", JULY, 10, 11 / 200), ("cumulative", AUGUST, 20, 8 / 500)):
        row = rows["existing", period, month.month]
        assert row["error_scale"] == pytest.approx(scale**0.5)
        for measure, level in ((measure, level) for measure in ("orders", "net", "margin") for level in (80, 95)):
            low, high = sum_interval(np.array([mean]), np.array([1 + scale * mean**2]), level / 100)
            found = [float(row[f"{measure}_{end}_{level}"]) for end in ("lower", "upper")]
            assert found == pytest.approx([low[0], high[0]], abs=1e-4)
    plain = rows_of(ahead, planned=planned)
    assert {(row["interval_method"], row["error_scale"]) for row in plain} == {("model", None)}
    for narrow, wide in zip(plain, tested, strict=True):
        assert wide["net_lower_80"] < narrow["net_lower_80"] < narrow["net_upper_80"] < wide["net_upper_80"]


def test_errors_of_orders_alone_widen_the_interval_of_orders_alone() -> None:
    one = past([10, 10], [13, 8])
    unknown = Figures(np.full((1, 2), np.nan), np.full((1, 2), np.nan))
    known = {key: found if key[1] == "orders" else unknown for key, found in one.forecast.figures.items()}
    history = [replace(one, forecast=replace(one.forecast, figures=known))]
    ahead = Forecast((TOTAL,), (JULY, AUGUST), figures([[10.0, 10.0]]))
    for wide, narrow in zip(rows_of(ahead, history=history), rows_of(ahead), strict=True):
        assert (wide["interval_method"], wide["error_scale"]) == ("model_and_backtest", None)
        assert wide["orders_upper_80"] > narrow["orders_upper_80"] and wide["net_upper_80"] == narrow["net_upper_80"]


def test_a_segment_that_came_out_worse_than_all_customers_has_its_own_scale() -> None:
    one = past([10, 10], [13, 8])
    both = Forecast((TOTAL, "type:a"), (JULY, AUGUST), figures([[10, 10], [4, 4]]))
    actual = {key: np.vstack([values, values / 2]) for key, values in one.actual.items()}
    history = [PastForecast(JUNE_30, both, actual, one.baseline, "seasonal_naive", "not_seasonal", "ok")]
    key = ("month", "net")
    total, own = (11 / 200) ** 0.5, ((2.5**2 + 0 - 2) / 32) ** 0.5
    assert error_scales(history, key, (TOTAL, "type:a", "rfm:best")) == pytest.approx([total, own, total])
    assert own > total and error_scales([], key, (TOTAL,)) is None


def test_intervals_of_losses_are_symmetric_and_unknown_ones_unknown() -> None:
    means, variances = np.array([[-10.0, 0.0, np.nan, 0.0]]), np.array([[4.0, 0.0, 1.0, 1e-8]])
    low, high = interval(Figures(means, variances), None, 0.8)
    assert (low[0, 0] + high[0, 0]) / 2 == pytest.approx(-10)
    assert high[0, 0] - low[0, 0] == pytest.approx(2 * 1.2816 * 2, rel=1e-4)
    assert (low[0, 1], high[0, 1]) == (0, 0) and np.isnan([low[0, 2], high[0, 2]]).all()
    assert low[0, 3] == 0 < high[0, 3]


MONTHS = [add_months(dt.date(2023, 1, 1), number) for number in range(26)]
HISTORY = pd.concat([cohort(TOTAL, m, 1, [100.0 * i + age for age in range(26 - i)]) for i, m in enumerate(MONTHS)])


def came(known: int, month: int) -> float:
    """Orders of the cohorts 0 to `known` of HISTORY in a month."""
    return float(sum(100 * i + month - i for i in range(known + 1)))


def test_actual_values_and_baselines_are_of_the_customers_of_that_day() -> None:
    origin = month_end(MONTHS[22])
    ahead = windows(origin, 3)
    one = past_forecast(origin, Forecast((TOTAL,), ahead, {}), HISTORY, "not_seasonal", "ok")
    assert one.baseline_name == "seasonal_naive"
    assert one.actual["month", "orders"][0].tolist() == [came(22, t) for t in (23, 24, 25)]
    assert one.baseline["month", "orders"][0].tolist() == [came(10, t) for t in (11, 12, 13)]
    assert one.actual["cumulative", "net"][0, 2] == 10 * sum(came(22, t) for t in (23, 24, 25))
    early = month_end(MONTHS[11])
    one = past_forecast(early, Forecast((TOTAL,), windows(early, 14), {}), HISTORY, "history_too_short", "ok")
    assert one.baseline_name == "last_month"
    assert one.baseline["month", "orders"][0].tolist() == [came(10, 11)] * 14
    year = month_end(MONTHS[12])
    one = past_forecast(year, Forecast((TOTAL,), windows(year, 13), {}), HISTORY, "history_too_short", "ok")
    assert one.baseline["month", "orders"][0, :12].tolist() == [came(0, t) for t in range(1, 13)]
    assert np.isnan(one.baseline["month", "orders"][0, 12])


def test_accuracy_is_made_of_sums_and_says_whether_the_baseline_is_beaten() -> None:
    history = [past([12, 15], [10, 20]), past([12, 15], [10, 20], origin=dt.date(2025, 3, 31))]
    backtest = backtest_rows(history, JUNE_30)
    first = dict(zip(FORECAST_BACKTEST.columns, backtest[0], strict=True))
    assert (first["measure"], first["period_type"], first["actual_value"]) == ("orders", "month", 10)
    assert first["is_within_95"] and first["lower_95"] < first["lower_80"] < 12 < first["upper_80"]
    rows = {
        (row["measure"], row["period_type"]): row
        for row in (dict(zip(FORECAST_ACCURACY.columns, one, strict=True)) for one in accuracy_rows(backtest, JUNE_30))
    }
    assert len(rows) == 6
    row = rows["net", "month"]
    assert (row["origin_count"], row["period_count"]) == (2, 4)
    assert (row["wape"], row["bias_ratio"]) == pytest.approx((7 / 30, 27 / 30))
    assert row["baseline_wape"] == pytest.approx(10 / 30) and row["beats_baseline"] is True
    assert 0 <= row["coverage_80"] <= row["coverage_95"] <= 1


def test_a_past_forecast_without_model_margin_or_order_says_so() -> None:
    origin = month_end(MONTHS[22])
    unknown = HISTORY.assign(margin_amount=np.nan, order_count=0.0, net_amount=0.0)
    lost = past_forecast(origin, Forecast((TOTAL,), windows(origin, 1), {}), unknown, "not_seasonal", "model_unusable")
    rows = [dict(zip(FORECAST_BACKTEST.columns, row, strict=True)) for row in backtest_rows([lost], JUNE_30)]
    assert {row["backtest_status"] for row in rows} == {"model_unusable"}
    assert accuracy_rows(backtest_rows([lost], JUNE_30), JUNE_30) == []
    found = Forecast((TOTAL,), windows(origin, 1), figures([[1.0]]))
    rows = backtest_rows([past_forecast(origin, found, unknown, "not_seasonal", "ok")], JUNE_30)
    named = {row[7]: dict(zip(FORECAST_BACKTEST.columns, row, strict=True)) for row in rows}
    assert named["margin"]["backtest_status"] == "margin_unknown" and named["margin"]["actual_value"] is None
    none_came = {row[4]: row for row in accuracy_rows(rows, JUNE_30)}["orders"]
    figures_of = dict(zip(FORECAST_ACCURACY.columns, none_came, strict=True))
    assert figures_of["wape"] is figures_of["bias_ratio"] is figures_of["beats_baseline"] is None
