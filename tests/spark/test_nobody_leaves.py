"""A shop whose customers are not seen to leave: orders and value by the NBD, and nothing of churn."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from clv_lib.contracts.accuracy import PREDICTION_GROUPINGS
from clv_lib.contracts.predictions import CUSTOMER_PREDICTIONS, ORDER_MODEL_NAMES, SEGMENT_PREDICTIONS
from clv_lib.models import MODELS_OF_ORDERS
from clv_lib.scoring import (
    Choice,
    Fits,
    OfGroups,
    assigned,
    customer_predictions,
    fit_models,
    forecasts,
    scorers,
    segment_predictions,
    segment_sums,
    spend_tier_cuts,
)
from clv_lib.scoring.choice import choose
from clv_lib.scoring.group_comparison import choose_grouping, compare, fit_groups, grouping_rows
from clv_lib.scoring.holdout import Holdout
from clv_lib.scoring.survivors import distinct_pairs
from clv_lib.settings import Predictions
from tests.models.simulation import simulate_loyal, simulate_spend

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

    from clv_lib.contracts.types import Table

CUSTOMERS, HORIZON, AS_OF = 600, 182, dt.date(2025, 6, 30)
PREDICTIONS = Predictions(horizons_days=(HORIZON,), annual_discount_rate=0.1)
SCHEMA = (
    "customer_id string, btyd_frequency int, btyd_recency_days int, btyd_age_days int,"
    " btyd_monetary_value decimal(28,8), historic_clv_amount decimal(28,4), value_basis string, last_order_date date"
)


@dataclass(frozen=True)
class Result:
    """Past and predictions by customer, the predicted segment, the fits and what was chosen of them."""

    past: dict[str, Row]
    predictions: dict[str, Row]
    broken: set[str]
    broken_by_group: set[str]
    total: dict[str, Any]
    fits: Fits
    choice: Choice


def states() -> list[tuple[Any, ...]]:
    """Rows of SCHEMA; the last customer's value is not known."""
    drawn = simulate_loyal(CUSTOMERS, 52.0, 3)
    spend = simulate_spend((6.0, 4.0, 15.0), np.maximum(drawn.frequency, 1), 4)[0]
    rows: list[tuple[Any, ...]] = []
    for n in range(CUSTOMERS):
        x, recency, age = int(drawn.frequency[n]), round(7 * drawn.recency[n]), round(7 * drawn.age[n])
        mean = Decimal(f"{spend[n]:.4f}") if x else None
        value = None if n == CUSTOMERS - 1 else Decimal(10) + x * (mean or 0)
        rows.append((f"{n:03}", x, recency, age, mean, value, "net_revenue", AS_OF - dt.timedelta(days=age - recency)))
    return rows


def broken_rules(frame: DataFrame, table: Table) -> set[str]:
    """Names of the rules of the contract that some row breaks."""
    counts = [
        F.count_if(~F.coalesce(F.expr(rule.predicate), F.lit(False))).alias(rule.name) for rule in table.all_rules()
    ]
    [row] = frame.agg(*counts).collect()
    return {name for name, count in row.asDict().items() if count}


def by_group(fits: Fits) -> list[tuple[object, ...]]:
    """Rows of prediction_groupings of the NBD in two halves of the customers, none of whom buys in the holdout."""
    columns = ("customer_id", "btyd_frequency", "btyd_recency_days", "btyd_age_days")
    known = pd.DataFrame([row[:4] for row in states()], columns=columns)
    halves = known.assign(
        group_by_half=np.where(known.index % 2, "half:odd", "half:even"),
        later_frequency=known["btyd_frequency"],
        later_recency_days=known["btyd_recency_days"],
        customers=1,
    )
    groups = fit_groups(halves, "half", "nbd", 100)
    assert {fit.status for fit in groups.values()} == {"converged"}
    compared = compare(halves, "half", groups, fits.baseline, Holdout(AS_OF, HORIZON, 180, 0.95))
    rows = grouping_rows(choose_grouping([compared], "auto"), {}, 1.0, AS_OF)
    return [tuple(float(cell) if isinstance(cell, np.floating) else cell for cell in row) for row in rows]


@pytest.fixture(scope="module")
def result(spark_session: SparkSession) -> Iterator[Result]:
    metrics = assigned(spark_session.createDataFrame(states(), SCHEMA)).persist()
    fits = fit_models(metrics, PREDICTIONS)
    choice = choose(fits, [], PREDICTIONS)
    chosen = scorers(fits, choice.name, OfGroups())
    rate, level = PREDICTIONS.annual_discount_rate, PREDICTIONS.interval_level
    foreseen = forecasts(metrics, distinct_pairs(metrics), chosen, (HORIZON,), rate, level).persist()
    cuts = spend_tier_cuts(foreseen, PREDICTIONS)
    predictions = customer_predictions(foreseen, chosen, cuts, PREDICTIONS, AS_OF).persist()
    sums = segment_sums(foreseen, metrics.selectExpr("customer_id", "'all:all' as segment_id")).toPandas()
    [total] = segment_predictions(sums, chosen, PREDICTIONS, AS_OF)
    yield Result(
        {row.customer_id: row for row in metrics.collect()},
        {row.customer_id: row for row in predictions.collect()},
        broken_rules(predictions, CUSTOMER_PREDICTIONS),
        broken_rules(spark_session.createDataFrame(by_group(fits), PREDICTION_GROUPINGS.ddl), PREDICTION_GROUPINGS),
        dict(zip(SEGMENT_PREDICTIONS.columns, total, strict=True)),
        fits,
        choice,
    )
    spark_session.catalog.clearCache()


def test_the_contracts_know_every_model_of_orders() -> None:
    assert set(ORDER_MODEL_NAMES) == set(MODELS_OF_ORDERS)


def test_the_nbd_is_published_with_a_status(result: Result) -> None:
    assert result.choice.name == "nbd" and result.fits.is_nobody_seen_to_leave
    statuses = {name: row.prediction_status for name, row in result.predictions.items()}
    assert set(statuses.values()) == {"no_churn_seen", "margin_unknown"}
    assert [name for name, status in statuses.items() if status == "margin_unknown"] == [f"{CUSTOMERS - 1:03}"]
    assert {row.model_id for row in result.predictions.values()} == {"nbd+gamma_gamma"}
    assert not result.broken and not result.broken_by_group


def test_nothing_is_said_of_churn_and_of_value_without_a_horizon(result: Result) -> None:
    unknown = [
        name for name in CUSTOMER_PREDICTIONS.columns if name.startswith(("probability_alive", "churn", "residual_clv"))
    ]
    assert len(unknown) == 8
    assert not any(row[name] is not None for row in result.predictions.values() for name in unknown)
    residual = [name for name in SEGMENT_PREDICTIONS.columns if name.startswith("residual_clv")]
    assert [result.total[name] for name in residual] == [None] * 5
    assert result.total["residual_status"] == "no_churn_seen"


def test_orders_and_value_are_those_of_customers_who_stay(result: Result) -> None:
    """Expected days with orders are the horizon times (r + x) / (alpha + T); value is that times the spend."""
    model, spend = result.fits.baseline.model, result.fits.spend.fit.model
    assert model is not None and spend is not None
    total = 0.0
    for name, row in result.predictions.items():
        past = result.past[name]
        expected = HORIZON / 7 * (model.r + past.btyd_frequency) / (model.alpha + past.btyd_age_days / 7)
        assert row.expected_orders == pytest.approx(expected, rel=1e-9)
        assert row.expected_orders_lower < expected < row.expected_orders_upper
        assert row.orders_lower <= expected <= row.orders_upper
        total += expected
        if row.prediction_status == "no_churn_seen":
            undiscounted = expected * row.expected_order_value
            assert 0.94 * undiscounted < float(row.predicted_clv_amount) < undiscounted, "half a year at 10 %"
            assert row.predicted_clv_lower_amount <= row.predicted_clv_amount <= row.predicted_clv_upper_amount
            assert row.expected_next_order_date is not None and row.spend_tier is not None
    assert result.total["expected_orders"] == pytest.approx(total)
    assert result.total["orders_lower"] < total < result.total["orders_upper"]
    assert (result.total["interval_status"], result.total["predicted_customer_count"]) == ("ok", CUSTOMERS - 1)
