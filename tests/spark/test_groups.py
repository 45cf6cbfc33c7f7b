"""Groups of customers in Spark: who is in which, and figures by the fits of the groups against plain NumPy."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from clv_lib.contracts.predictions import SEGMENT_PREDICTIONS
from clv_lib.models import (
    BgNbd,
    Fitted,
    FloatArray,
    GammaGamma,
    SpendStatistics,
    TransactionModel,
    TransactionStatistics,
    mean_interval,
    residual_pairs_if_alive,
    residual_purchases_if_alive,
    sum_interval,
)
from clv_lib.scoring import (
    Groupings,
    Scorers,
    Taken,
    assigned,
    counted_by_group,
    customer_predictions,
    forecasts,
    segment_predictions,
    segment_sums,
    with_groups,
)
from clv_lib.scoring.groups import band_cuts, band_limits, counted_later_spend, counted_spend_by_group
from clv_lib.scoring.statistics import SpendRows
from clv_lib.scoring.survivors import distinct_pairs
from clv_lib.settings import Predictions
from clv_lib.settings.segments import AttributeSegments
from tests.models.simulation import simulate, simulate_spend

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

AS_OF = dt.date(2025, 6, 30)
TYPES = {"fast": (2.0, 6.0, 0.5, 6.0), "slow": (0.5, 8.0, 1.0, 2.5)}
SPEND = ((6.0, 6.0, 100.0), (6.0, 4.0, 30.0))
EACH = 300
SETTINGS = Predictions(horizons_days=(90,))
HORIZON, RATE, LEVEL = SETTINGS.horizons_days[0], SETTINGS.annual_discount_rate, SETTINGS.interval_level
FAST = "customer_type:fast"
SCHEMA = (
    "customer_id string, btyd_frequency int, btyd_recency_days int, btyd_age_days int,"
    " btyd_monetary_value decimal(28,8), historic_clv_amount decimal(28,4), value_basis string, last_order_date date"
)


@dataclass(frozen=True)
class Result:
    """The rows of Spark, in one order, by customer or segment, and the fits with which they were made."""

    cuts: tuple[float, ...]
    counted: Any
    grouped: dict[str, Row]
    predictions: list[Row]
    segments: dict[str, dict[str, Any]]
    fits: dict[str, Fitted[TransactionModel]]
    spend: dict[str, Fitted[GammaGamma]]
    spend_counted: Any
    later_counted: Any
    few: list[Row]
    undiscounted: dict[str, dict[str, Any]]

    def scored_by(self, segment_id: str) -> tuple[list[Row], tuple[FloatArray, FloatArray, FloatArray]]:
        """Customers of a fit, and their x, t_x and T in weeks."""
        rows = [row for row in self.predictions if row.fit_segment_id == segment_id]
        past = [self.grouped[row.customer_id] for row in rows]
        x, recency, age = np.array(
            [(row.btyd_frequency, row.btyd_recency_days, row.btyd_age_days) for row in past], dtype=float
        ).T
        return rows, (x, recency / 7, age / 7)


def states() -> list[tuple[Any, ...]]:
    """Rows of SCHEMA: first days are worth 1, 2, 3 or 4 in turn; the last customer's value is not known."""
    rows: list[tuple[Any, ...]] = []
    for number, parameters in enumerate(TYPES.values()):
        age_days = np.random.default_rng(number).integers(100, 500, EACH)
        drawn = simulate(parameters, age_days / 7, number)
        recency = np.minimum(np.ceil(drawn.recency * 7), age_days).astype(int)
        x = np.minimum(drawn.frequency, recency).astype(int)
        spend = simulate_spend(SPEND[number], np.maximum(x, 1).astype(float), number)[0]
        for place in range(EACH):
            mean = Decimal(f"{spend[place]:.4f}") if x[place] else None
            value = Decimal(1 + place % 4) + int(x[place]) * (mean or 0)
            last = AS_OF - dt.timedelta(days=int(age_days[place] - recency[place]))
            history = (int(x[place]), int(recency[place]), int(age_days[place]))
            rows.append((f"{number}-{place:03}", *history, mean, value, "net_revenue", last))
    rows[-1] = (*rows[-1][:5], None, *rows[-1][6:])
    return rows


def fitted(rows: list[tuple[Any, ...]]) -> Fitted[TransactionModel]:
    x, recency, age = np.array([row[1:4] for row in rows], dtype=float).T
    return BgNbd.fit(TransactionStatistics.unweighted(x, recency / 7, age / 7))


def fitted_spend(rows: list[tuple[Any, ...]]) -> Fitted[GammaGamma]:
    repeaters = [row for row in rows if row[1] > 0]
    return GammaGamma.fit(
        SpendStatistics.unweighted([row[1] for row in repeaters], [float(row[4]) for row in repeaters])
    )


def by_segment(rows: list[tuple[object, ...]]) -> dict[str, dict[str, Any]]:
    """Rows of segment_predictions by segment and column."""
    return {str(row[0]): dict(zip(SEGMENT_PREDICTIONS.columns, row, strict=True)) for row in rows}


@pytest.fixture(scope="module")
def result(spark_session: SparkSession) -> Iterator[Result]:
    """Fast customers are scored by their own fit, slow ones and those without a type by the pooled one."""
    rows = states()
    frame = spark_session.createDataFrame(rows, SCHEMA)
    types = [(f"0-{place:03}", "fast") for place in range(EACH)] + [(f"1-{place:03}", "slow") for place in range(10)]
    attributes = spark_session.createDataFrame(types, "customer_id string, customer_type string")
    cuts = band_cuts(frame)
    groupings = Groupings([AttributeSegments(type="attribute", column="customer_type")], cuts)
    grouped = with_groups(frame, attributes, groupings).persist()
    fits = {"all:all": fitted(rows), FAST: fitted(rows[:EACH])}
    spend = {"all:all": fitted_spend(rows), FAST: fitted_spend(rows[:EACH])}
    scorers = Scorers(fits, fits, spend)
    own = assigned(grouped, Taken("customer_type", [FAST]), Taken("customer_type", [FAST]))
    foreseen = forecasts(own, distinct_pairs(own), scorers, (HORIZON,), RATE, LEVEL).persist()
    members = own.selectExpr(
        "customer_id", "explode(array('all:all', concat('scored_by:', fit_segment_id))) segment_id"
    )
    some = own.where("customer_id like '_-00_'").repartition(3)
    few = forecasts(some, distinct_pairs(some), scorers, (HORIZON,), RATE, LEVEL)
    at_once = forecasts(some, distinct_pairs(some), scorers, (HORIZON,), 0.0, LEVEL)
    no_rate = SETTINGS.model_copy(update={"annual_discount_rate": 0.0})
    bought = grouped.selectExpr("*", "2.0D actual_orders", "float(substr(customer_id, 3)) actual_amount")
    yield Result(
        cuts,
        counted_by_group(grouped, groupings),
        {row.customer_id: row for row in grouped.collect()},
        customer_predictions(foreseen, scorers, {}, SETTINGS, AS_OF).collect(),
        by_segment(segment_predictions(segment_sums(foreseen, members).toPandas(), scorers, SETTINGS, AS_OF)),
        fits,
        spend,
        counted_spend_by_group(grouped, groupings),
        counted_later_spend(bought, groupings),
        customer_predictions(few, scorers, {}, SETTINGS, AS_OF).collect(),
        by_segment(segment_predictions(segment_sums(at_once, members).toPandas(), scorers, no_rate, AS_OF)),
    )
    spark_session.catalog.clearCache()


def test_bands_are_quarters_by_the_value_of_the_first_day(result: Result) -> None:
    """Values 1 to 4, each of a quarter: equal ones share a band, and one that is not known is in none."""
    found: dict[int, set[str]] = defaultdict(set)
    for name, row in result.grouped.items():
        if name != f"1-{EACH - 1:03}":
            found[1 + int(name[2:]) % 4].add(row["group_by_first_order_value_band"].partition(":")[2])
    assert found == {value: {f"q{value}"} for value in (1, 2, 3, 4)}
    for value, [band] in found.items():
        lower, upper = band_limits(f"first_order_value_band:{band}", result.cuts)
        assert (lower is None or value > lower) and (upper is None or value <= upper)
    unknown = result.grouped[f"1-{EACH - 1:03}"]["group_by_first_order_value_band"]
    assert unknown == "first_order_value_band:unknown"
    assert band_limits(unknown, result.cuts) == (None, None)


def test_counted_histories_hold_every_customer_once(result: Result) -> None:
    by_type = result.counted.groupby("group_by_customer_type")["customers"].sum().to_dict()
    assert by_type == {FAST: EACH, "customer_type:slow": 10, "customer_type:unknown": EACH - 10}


def test_spend_is_counted_by_group(result: Result) -> None:
    """What each group is fitted to, and what its customers later spent on 2 days, but for those worth 0."""
    fast = result.spend_counted[result.spend_counted["group_by_customer_type"] == FAST]
    rows = SpendRows.of(fast)
    own = [row for name, row in result.grouped.items() if name.startswith("0-") and row.btyd_frequency > 0]
    assert (rows.statistics.customer_count, rows.excluded_customers) == (len(own), 0)
    total = sum(float(row.btyd_monetary_value) for row in own)
    assert rows.statistics.weight @ rows.statistics.mean_spend == pytest.approx(total, rel=1e-9)
    x, m = np.array([(row.btyd_frequency, float(row.btyd_monetary_value)) for row in own]).T
    assert rows.correlation == pytest.approx(np.corrcoef(x, m)[0, 1], rel=1e-9)
    later = result.later_counted
    assert later["customers"].sum() == 2 * EACH - 2 and set(later["later_days"]) == {2.0}
    amount = (later["customers"] * later["later_days"] * later["later_mean_spend"]).sum()
    assert amount == pytest.approx(EACH * (EACH - 1), rel=1e-9)
    before = (later["customers"] * later["mean_spend"]).sum()
    every = [row.btyd_monetary_value for name, row in result.grouped.items() if name[2:] != "000"]
    assert before == pytest.approx(float(sum(value for value in every if value is not None)), rel=1e-9)


@pytest.mark.parametrize("segment_id", ["all:all", FAST])
def test_customers_are_scored_by_the_fit_of_their_group(result: Result, segment_id: str) -> None:
    rows, weeks = result.scored_by(segment_id)
    assert len(rows) == EACH and {row.model_id for row in rows} == {"bg_nbd+gamma_gamma"}
    fit = result.fits[segment_id]
    assert fit.model is not None
    expected = fit.model.expected_purchases(HORIZON / 7, *weeks)
    np.testing.assert_allclose([row.expected_orders for row in rows], expected, rtol=1e-8)
    np.testing.assert_allclose([row.probability_alive for row in rows], fit.model.probability_alive(*weeks), rtol=1e-9)
    m = [float(result.grouped[row.customer_id].btyd_monetary_value or 0) for row in rows]
    spend = result.spend[segment_id].model
    assert spend is not None and {row.spend_fit_segment_id for row in rows} == {segment_id}
    values = [row.expected_order_value for row in rows]
    np.testing.assert_allclose(values, spend.expected_spend(weeks[0], m), rtol=1e-7)
    r, alpha = fit.parameters[:2]
    gaps = np.ceil((alpha + weeks[1]) * (2 ** (1 / (r + weeks[0])) - 1) * 7)
    near = gaps <= 36_500
    last = [result.grouped[row.customer_id].last_order_date for row in rows]
    dates = [day + dt.timedelta(days=int(gap)) for day, gap, ok in zip(last, gaps, near, strict=True) if ok]
    found = [row.expected_next_order_date for row in rows]
    assert [day for day in found if day is not None] == dates


def test_a_prediction_does_not_depend_on_who_else_is_predicted(result: Result) -> None:
    every = {row.customer_id: row.asDict() for row in result.predictions}
    assert len(result.few) == 20 and {row.fit_segment_id for row in result.few} == {"all:all", FAST}
    for row in result.few:
        for name, value in row.asDict().items():
            among = every[row.customer_id][name]
            assert value == (pytest.approx(among, rel=1e-9) if isinstance(value, float) else among), name


def by_parameter(fit: Fitted[TransactionModel], figure: Callable[[TransactionModel], FloatArray]) -> FloatArray:
    """Derivatives in the log-parameters, by differences; one row per parameter."""
    steps = np.eye(4) * 1e-4
    up, down = (
        np.array([figure(BgNbd(*(fit.parameters * np.exp(sign * step)))) for step in steps]) for sign in (1, -1)
    )
    return (up - down) / 2e-4


def test_errors_of_two_fits_add_up_as_independent_ones(result: Result) -> None:
    """The variance that parameters cause in a sum: over the fits, G'VG with G the gradients of the fit's customers."""
    variances = {}
    for segment_id, fit in result.fits.items():
        _, weeks = result.scored_by(segment_id)

        def total(model: TransactionModel, known: Any = weeks) -> Any:
            return model.expected_purchases(HORIZON / 7, *known).sum()

        gradient = by_parameter(fit, total)
        variances[f"scored_by:{segment_id}"] = float(gradient @ fit.log_covariance @ gradient)
    variances["all:all"] = sum(variances.values())
    assert set(result.segments) == set(variances)
    for name, variance in variances.items():
        row = result.segments[name]
        ends = mean_interval(row["expected_orders"], variance, LEVEL)
        assert (row["expected_orders_lower"], row["expected_orders_upper"]) == pytest.approx(ends, rel=1e-5)
    parts = [row for name, row in result.segments.items() if name != "all:all"]
    every = result.segments["all:all"]
    for name in ("customer_count", "predicted_customer_count", "predicted_clv_amount", "residual_clv_amount"):
        assert every[name] == sum(row[name] for row in parts)
    assert every["predicted_customer_count"] == 2 * EACH - 1
    assert every["predicted_clv_amount"] == sum(row.predicted_clv_amount or 0 for row in result.predictions)


def test_residual_value_of_segments_has_the_intervals_of_a_sum(result: Result) -> None:
    """Means and variances by simpler ways: differences of sums by parameter, and own variances customer by customer."""
    every: dict[str, list[float]] = defaultdict(list)
    for segment_id, fit in result.fits.items():
        rows, (x, recency, age) = result.scored_by(segment_id)
        spend = result.spend[segment_id]
        assert fit.model is not None and spend.model is not None
        known = [row.residual_clv_amount is not None for row in rows]
        m = np.array([float(result.grouped[row.customer_id].btyd_monetary_value or 0) for row in rows])
        moments = spend.model.spend_moments(x, m)

        def total(
            model: TransactionModel, mean: FloatArray = moments.mean * known, history: Any = (x, recency, age)
        ) -> Any:
            orders = residual_purchases_if_alive(model, history[0], history[2], annual_discount_rate=RATE)
            return (model.probability_alive(*history) * orders * mean).sum()

        alive = fit.model.probability_alive(x, recency, age)
        once, twice = (
            residual_purchases_if_alive(fit.model, x, age, annual_discount_rate=rate)
            for rate in (RATE, (1 + RATE) ** 2 - 1)
        )
        pairs = residual_pairs_if_alive(fit.model, x, age, annual_discount_rate=RATE)
        each = alive * (twice * moments.purchase_variance + (twice + pairs) * moments.second_moment)
        own = ((each - (alive * once * moments.mean) ** 2) * known).sum()
        by_orders = by_parameter(fit, total)
        by_spend = ((alive * once * known)[:, None] * spend.model.expected_spend_gradient(x, m)).sum(axis=0)
        parameters = by_orders @ fit.log_covariance @ by_orders + by_spend @ spend.log_covariance @ by_spend
        found = [float(total(fit.model)), float(own), float(parameters)]
        every[f"scored_by:{segment_id}"] = found
        every["all:all"] = [a + b for a, b in zip(every["all:all"] or [0.0] * 3, found, strict=True)]
    for name, (mean, own, parameters) in every.items():
        row = result.segments[name]
        assert row["residual_status"] == "ok"
        of_mean, of_sum = mean_interval(mean, parameters, LEVEL), sum_interval(mean, own + parameters, LEVEL)
        ends = (row["residual_clv_mean_lower_amount"], row["residual_clv_mean_upper_amount"])
        assert ends == pytest.approx(of_mean, rel=1e-3)
        ends = (row["residual_clv_lower_amount"], row["residual_clv_upper_amount"])
        wider = [float(min(of_sum[0], of_mean[0])), float(max(of_sum[1], of_mean[1]))]
        assert list(ends) == pytest.approx(wider, rel=1e-3)


def test_without_a_discount_there_is_no_residual_value(result: Result) -> None:
    assert set(result.undiscounted) == set(result.segments)
    names = [name for name in SEGMENT_PREDICTIONS.columns if name.startswith("residual_clv")]
    assert len(names) == 5
    for row in result.undiscounted.values():
        assert (row["residual_status"], row["interval_status"]) == ("no_discount_rate", "ok")
        assert [row[name] for name in names] == [None] * 5
        assert row["predicted_clv_lower_amount"] < row["predicted_clv_amount"] < row["predicted_clv_upper_amount"]


def test_residual_value_has_an_interval_of_its_mean(result: Result) -> None:
    """p R E[M] and its delta method, with differences of the exact sum."""
    fit, spend = result.fits[FAST], result.spend[FAST]
    rows, (x, recency, age) = result.scored_by(FAST)
    assert fit.model is not None and spend.model is not None

    def residual(model: TransactionModel) -> FloatArray:
        orders = residual_purchases_if_alive(model, x, age, annual_discount_rate=RATE)
        return model.probability_alive(x, recency, age) * orders

    m = np.array([float(result.grouped[row.customer_id].btyd_monetary_value or 0) for row in rows])
    mean, orders = spend.model.spend_moments(x, m).mean, residual(fit.model)
    by_orders = (by_parameter(fit, residual) * mean).T
    by_spend = orders[:, None] * spend.model.expected_spend_gradient(x, m)
    variance = np.einsum("ij,jk,ik->i", by_orders, fit.log_covariance, by_orders)
    variance += np.einsum("ij,jk,ik->i", by_spend, spend.log_covariance, by_spend)
    lower, upper = mean_interval(orders * mean, variance, LEVEL)
    found = np.array(
        [
            (row.residual_clv_mean_lower_amount, row.residual_clv_amount, row.residual_clv_mean_upper_amount)
            for row in rows
        ],
        dtype=float,
    )
    np.testing.assert_allclose(found, np.stack([lower, orders * mean, upper], axis=-1), rtol=1e-3, atol=1e-3)
