"""Step predictions: fit the models, compare them on what they had not seen, choose one, and score with it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as F

from clv_lib.contracts.accuracy import (
    PREDICTION_ACCURACY,
    PREDICTION_CALIBRATION,
    PREDICTION_GROUPINGS,
    PREDICTION_TRACKING,
)
from clv_lib.contracts.customers import CUSTOMER_METRICS
from clv_lib.contracts.predictions import (
    CUSTOMER_PREDICTIONS,
    MODEL_FITS,
    PREDICTION_BANDS,
    SEGMENT_PREDICTIONS,
)
from clv_lib.contracts.segments import CUSTOMER_SEGMENTS
from clv_lib.contracts.silver import CUSTOMER_MONTHS
from clv_lib.contracts.types import Table
from clv_lib.metrics.segment_ids import ids_of_customers
from clv_lib.pipeline.grouping import LatestHoldout, assign, compare_groups
from clv_lib.pipeline.states import customers_as_of, segments_as_of
from clv_lib.scoring import (
    SCORED,
    Fits,
    customer_predictions,
    fit_models,
    forecasts,
    model_fits,
    prediction_bands,
    scorers,
    segment_predictions,
    segment_sums,
    spend_tier_cuts,
)
from clv_lib.scoring.accuracy import accuracy_rows, accuracy_table, calibration_rows
from clv_lib.scoring.choice import choose
from clv_lib.scoring.holdout import Holdout, cells, outcomes, said
from clv_lib.scoring.statistics import sampled
from clv_lib.scoring.survivors import distinct_pairs
from clv_lib.scoring.tracking import repeat_orders_by_month, tracking_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace

_CUSTOMERS_PER_TASK = 50_000


def predictions(work: Workspace) -> Workspace:
    """Write the fits, the predictions of customers and segments with their bands, and how accurate the models are."""
    settings, metrics = work.settings.predictions, work.read(CUSTOMER_METRICS)
    with ThreadPoolExecutor(max_workers=1) as beside:
        comparing = beside.submit(compare_models, work, metrics)
        fits = fit_models(metrics, settings)
        compared = comparing.result()
    whole = [row for row in compared.accuracy if row["horizon_days"] == settings.holdout_days]
    choice = choose(fits, whole, settings)
    work.progress.info(f"model of orders: {choice.name} ({choice.reasons[choice.name]})")
    verdict = compare_groups(work, compared.latest, choice.name)
    own = assign(work, metrics, fits, verdict, choice.name)
    chosen = scorers(fits, choice.name, own.fits)
    rate, level = settings.annual_discount_rate, settings.interval_level
    pairs = distinct_pairs(own.states)
    foreseen = work.keep(forecasts(own.states.select(*SCORED), pairs, chosen, settings.horizons_days, rate, level))
    cuts = spend_tier_cuts(foreseen, settings)
    work.write(CUSTOMER_PREDICTIONS, customer_predictions(foreseen, chosen, cuts, settings, work.as_of))
    sums = segment_sums(foreseen, work.read(CUSTOMER_SEGMENTS)).toPandas()
    work.write_all(
        (PREDICTION_BANDS, prediction_bands(work.read(CUSTOMER_PREDICTIONS), cuts, settings, work.as_of)),
        *(
            (table, _frame(work, table, rows))
            for table, rows in (
                (SEGMENT_PREDICTIONS, segment_predictions(sums, chosen, settings, work.as_of)),
                (MODEL_FITS, model_fits(fits, choice, work.as_of, own.fits)),
                (PREDICTION_ACCURACY, accuracy_table([*compared.accuracy, *verdict.accuracy], choice)),
                (PREDICTION_CALIBRATION, [*compared.calibration, *verdict.calibration]),
                (PREDICTION_TRACKING, compared.tracking),
                (PREDICTION_GROUPINGS, verdict.rows),
            )
        ),
    )
    return work


@dataclass
class Compared:
    """Rows of the tables of accuracy, those of `accuracy` by column name, and the holdout that ends at as_of."""

    accuracy: list[dict[str, Any]] = field(default_factory=list)
    calibration: list[tuple[object, ...]] = field(default_factory=list)
    tracking: list[tuple[object, ...]] = field(default_factory=list)
    latest: LatestHoldout | None = None


def compare_models(work: Workspace, metrics: DataFrame) -> Compared:
    """Every model and baseline on every holdout, the latest first, as far as the history reaches."""
    settings = work.settings.predictions
    compared, after = Compared(), metrics
    for end in _calibration_ends(work):
        before = work.keep(customers_as_of(work, end))
        fits = fit_models(before, settings)
        if not any(fit.model for fit in fits.candidates.values()):
            why = ", ".join(f"{name} {fit.status}" for name, fit in fits.candidates.items())
            instead = "; nbd, which knows no death, stands for them" if fits.baseline.converged else ""
            work.progress.note(f"no model is usable at {end}, the end of calibration: {why}{instead}")
        if not fits.baseline.converged:
            break
        with ThreadPoolExecutor(max_workers=1) as beside:
            tracking = beside.submit(_tracked, work, before, fits, end)
            origin = _origin(work, before, fits, end)
            whole = _judge(work, compared, origin, settings.holdout_days, after)
            for days in settings.holdout_horizons_days:
                _judge(work, compared, origin, days, customers_as_of(work, end + dt.timedelta(days=days)))
            compared.tracking += tracking.result()
        compared.latest = compared.latest or whole
        after = before
    return compared


@dataclass(frozen=True)
class _Origin:
    """Customers and the pooled fits at the end of a calibration, and the segments of the share that is compared."""

    before: DataFrame
    fits: Fits
    end: dt.date
    sampled_share: float
    segment_ids: DataFrame


def _origin(work: Workspace, before: DataFrame, fits: Fits, end: dt.date) -> _Origin:
    share = min(1.0, work.settings.predictions.max_accuracy_customers / fits.customer_count)
    ids = sampled(ids_of_customers(segments_as_of(work, before, end)), share)
    return _Origin(before, fits, end, share, work.keep(ids))


def _judge(work: Workspace, compared: Compared, origin: _Origin, days: int, after: DataFrame) -> LatestHoldout:
    """Add what the fits said of the days after the calibration to `compared`; `after` are customers at their end."""
    settings, fits = work.settings.predictions, origin.fits
    holdout = Holdout(origin.end, days, work.settings.churn.inactivity_days, settings.interval_level)
    earlier = customers_as_of(work, origin.end - dt.timedelta(days=days))
    compared_share = (sampled(frame, origin.sampled_share) for frame in (origin.before, after, earlier))
    joined = outcomes(*compared_share).join(origin.segment_ids, "customer_id")
    # Every model scores these rows in tasks of Python, of which each takes as long to begin as thousands of rows.
    tasks = math.ceil(fits.customer_count * origin.sampled_share / _CUSTOMERS_PER_TASK)
    known = work.keep(joined.repartition(tasks, "customer_id"))
    counted = cells(said(known, fits, holdout)).toPandas()
    rows = accuracy_rows(counted, fits, holdout, origin.sampled_share, work.as_of)
    compared.accuracy += rows
    compared.calibration += calibration_rows(counted, holdout, work.as_of)
    return LatestHoldout(holdout, origin.before, known, origin.sampled_share, fits, rows)


def _calibration_ends(work: Workspace) -> list[dt.date]:
    """Ends of calibration, the latest first; none without a holdout."""
    settings = work.settings.predictions
    if settings.holdout_days == 0:
        work.progress.note("models are not compared: predictions.holdout_days is 0")
        return []
    return [
        work.as_of - dt.timedelta(days=settings.holdout_days * number)
        for number in range(1, settings.holdout_origins + 1)
    ]


def _tracked(work: Workspace, before: DataFrame, fits: Fits, end: dt.date) -> list[tuple[object, ...]]:
    first_days = before.select("customer_id", "first_order_date")
    by_day = first_days.groupBy("first_order_date").agg(F.count(F.lit(1)).alias("customers"))
    actual = repeat_orders_by_month(work.read(CUSTOMER_MONTHS), first_days).toPandas()
    return tracking_rows(actual, by_day.orderBy("first_order_date").toPandas(), fits, end, work.as_of)


def _frame(work: Workspace, table: Table, rows: list[tuple[object, ...]]) -> DataFrame:
    """Rows made on the driver as a frame of the contract's columns; money that came as doubles is cast when written."""
    plain = [tuple(_plain(cell) for cell in row) for row in rows]
    columns = zip(*plain, strict=True) if plain else ((),) * len(table.columns)
    kinds = zip(table.schema.items(), columns, strict=True)
    schema = ", ".join(f"{name} {_kind(kind, cells)}" for (name, kind), cells in kinds)
    return work.lake.spark.createDataFrame(plain, schema)


def _plain(cell: Any) -> Any:
    """A Python value where NumPy gave one of its own."""
    return float(cell) if isinstance(cell, np.floating) else cell


def _kind(kind: str, cells: Iterable[object]) -> str:
    """Sums of money that Spark made stay exact decimals; ends of intervals are doubles."""
    is_double = kind.startswith("decimal") and any(isinstance(cell, float) for cell in cells)
    return "double" if is_double else kind
