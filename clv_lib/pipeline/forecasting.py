"""The forecast of a run: customers and cohorts added up by Spark, months and intervals computed on the small result."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import functions as F

from clv_lib.contracts.cohorts import COHORT_METRICS
from clv_lib.contracts.forecasts import FORECAST_ACCURACY, FORECAST_BACKTEST, REVENUE_FORECASTS
from clv_lib.contracts.predictions import CUSTOMER_PREDICTIONS, MODEL_FITS
from clv_lib.contracts.segments import SEGMENTS
from clv_lib.contracts.silver import CUSTOMER_MONTHS
from clv_lib.customers.metrics import CONTRIBUTION_MARGIN
from clv_lib.forecasting.accuracy import accuracy_rows, backtest_rows
from clv_lib.forecasting.backtest import PastForecast, past_forecast
from clv_lib.forecasting.calendar import last_complete_month_end, origins, windows
from clv_lib.forecasting.existing_customers import Forecast, existing_customers
from clv_lib.forecasting.fits import DayFit, day_fits
from clv_lib.forecasting.new_customers import new_customers
from clv_lib.forecasting.seasons import season_until
from clv_lib.forecasting.states import (
    FIT_SEGMENTS,
    HISTORY,
    PAIR,
    counted_histories,
    counted_spend,
    member_sums,
    states_at,
)
from clv_lib.forecasting.tables import Said, forecast_rows
from clv_lib.models import GammaGamma, Seasonality
from clv_lib.models.seasonality import no_seasons
from clv_lib.periods import add_months, month_start
from clv_lib.pipeline.plans import read_plan
from clv_lib.scoring.fits import POOLED_SEGMENT
from clv_lib.scoring.statistics import sampled
from clv_lib.settings.segments import AttributeSegments, ChannelSegments

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.forecasting.plans import PlannedMonth
    from clv_lib.pipeline.workspace import Workspace


def write_forecasts(work: Workspace, members: DataFrame) -> None:
    """Write revenue_forecasts, forecast_backtest and forecast_accuracy; without rows where nothing is asked for.

    `members` are `packed_members`.
    """
    settings = work.settings.forecasts
    plan = read_plan(work)
    cohorts = _cohorts(work, plan)
    if settings.months == 0 or cohorts.empty:
        parts: list[list[tuple[object, ...]]] = [[], [], []]
    else:
        parts = _forecasts(work, members, cohorts, plan)
    tables = (REVENUE_FORECASTS, FORECAST_BACKTEST, FORECAST_ACCURACY)
    work.write_all(*((table, work.frame(table, rows)) for table, rows in zip(tables, parts, strict=True)))


def _forecasts(
    work: Workspace, members: DataFrame, cohorts: pd.DataFrame, plan: list[PlannedMonth]
) -> list[list[tuple[object, ...]]]:
    """Rows of the three tables."""
    settings, today = work.settings.forecasts, work.as_of
    total = cohorts[cohorts["segment_id"] == POOLED_SEGMENT]
    earlier = origins(min(total["cohort_month"]), today, settings.backtest_origins, settings.backtest_step_months)
    known = _Known(work, members, (today, *earlier))
    season = known.season(total, today)
    history = [_tested(known, cohorts, day, settings.months) for day in earlier]
    ahead = windows(today, settings.months)
    fit = known.fits[today]
    if fit.pooled is None:
        work.progress.note(f"no orders are forecast: {fit.status}")
        segments = tuple(row["segment_id"] for row in work.read(SEGMENTS).orderBy("segment_id").collect())
        existing = Forecast(segments, ahead, {})
    else:
        existing = existing_customers(known.sums_of(today), fit, today, ahead, season)
    since = add_months(month_start(last_complete_month_end(today)), -settings.cohort_months + 1)
    planned = new_customers(plan, cohorts[cohorts["cohort_month"] >= since], ahead, season)
    said = Said(today, f"{fit.name}+{GammaGamma.name}", fit.status, season, history)
    compared = backtest_rows(history, today)
    return [forecast_rows(existing, planned, said), compared, accuracy_rows(compared, today)]


class _Known:
    """Fits of each day, and what their forecasts need of the customers: small tables, each collected once."""

    def __init__(self, work: Workspace, members: DataFrame, days: tuple[dt.date, ...]) -> None:
        self.today = days[0]
        published = [row.asDict() for row in work.read(MODEL_FITS).collect()]
        in_margin = work.run.value_basis == CONTRIBUTION_MARGIN
        groups = _fit_groups(work) if any(row["segment_id"] != POOLED_SEGMENT for row in published) else None
        states = work.keep(states_at(work.read(CUSTOMER_MONTHS), days, in_margin=in_margin, groups=groups))
        sample = sampled(states, min((row["sampled_share"] for row in published), default=1.0))
        histories = _sorted(counted_histories(sample), "origin_date", *HISTORY)
        self.histories = histories[histories["origin_date"] == self.today]
        self.fits: dict[dt.date, DayFit] = day_fits(
            published,
            histories,
            _sorted(counted_spend(sample), "origin_date", FIT_SEGMENTS[1], "btyd_frequency", "mean_spend"),
            days,
            in_margin=in_margin,
            minimum_customers=work.settings.predictions.minimum_customers,
        )
        sums = member_sums(states, members, self.fits, self.today, tested_types(work))
        is_any = any(fit.pooled for fit in self.fits.values())
        self._sums = _sorted(sums, "origin_date", "segment_id", *FIT_SEGMENTS, *PAIR) if is_any else pd.DataFrame()

    def sums_of(self, day: dt.date) -> pd.DataFrame:
        """The `member_sums` of a day with a usable fit."""
        return self._sums[self._sums["origin_date"] == day]

    def season(self, cohorts: pd.DataFrame, day: dt.date) -> Seasonality:
        """The seasons as they could be known on a day; none without a model."""
        pooled = self.fits[day].pooled
        if pooled is None:
            return no_seasons()
        return season_until(cohorts, self.histories, pooled.model, day, self.today)


def _fit_groups(work: Workspace) -> DataFrame:
    """Whose fits scored each customer; the groups do not change with what a customer does. Grain: customer."""
    predicted = work.read(CUSTOMER_PREDICTIONS)
    one_horizon = predicted.where(F.col("horizon_days") == work.settings.predictions.horizons_days[0])
    return one_horizon.select("customer_id", *FIT_SEGMENTS)


def _tested(known: _Known, cohorts: pd.DataFrame, day: dt.date, months: int) -> PastForecast:
    """The forecast of an earlier day beside the complete months after it."""
    until = month_start(last_complete_month_end(known.today))
    after = tuple(window for window in windows(day, months) if window.month <= until)
    fit = known.fits[day]
    season = known.season(cohorts[cohorts["segment_id"] == POOLED_SEGMENT], day)
    if fit.pooled is None:
        forecast = Forecast((POOLED_SEGMENT,), after, {})
    else:
        forecast = existing_customers(known.sums_of(day), fit, day, after, season)
    return past_forecast(day, forecast, cohorts, season.status, fit.status)


def tested_types(work: Workspace) -> list[str]:
    """Segment types whose members of an earlier day are known: not formed from what customers did."""
    kinds = [kind.name for kind in work.settings.segments if isinstance(kind, AttributeSegments | ChannelSegments)]
    return ["all", *kinds]


def _cohorts(work: Workspace, plan: list[PlannedMonth]) -> pd.DataFrame:
    """Complete months of `cohort_metrics` of the segments that are tested or may be planned, amounts as doubles."""
    planned = {one.segment_id.partition(":")[0] for one in plan}
    rows = work.read(COHORT_METRICS).where(
        F.col("is_complete") & F.col("segment_type").isin(sorted({*tested_types(work), *planned}))
    )
    selected = rows.select(
        "segment_id",
        "cohort_month",
        "months_since_first_order",
        "period_month",
        "cohort_size",
        "order_count",
        F.col("net_amount").cast("double").alias("net_amount"),
        F.col("margin_amount").cast("double").alias("margin_amount"),
    )
    return _sorted(selected, "segment_id", "cohort_month", "months_since_first_order")


def _sorted(frame: DataFrame, *columns: str) -> pd.DataFrame:
    """The rows on the driver in one order, so that sums of doubles are the same in every run."""
    return frame.toPandas().sort_values(list(columns), ignore_index=True)
