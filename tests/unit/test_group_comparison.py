"""Fits per group beside the pooled fit, on simulated customers: two types that differ, and halves that do not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clv_lib.contracts.accuracy import PREDICTION_GROUPINGS
from clv_lib.models import BgNbd, Fitted, GammaGamma, ParetoNbd, SpendStatistics, TransactionStatistics
from clv_lib.scoring.group_comparison import (
    Comparison,
    choose_grouping,
    compare,
    compare_spend,
    fit_groups,
    fit_spend_groups,
    grouping_rows,
)
from clv_lib.scoring.holdout import Holdout
from tests.models.simulation import simulate, simulate_spend

HOLDOUT = Holdout(dt.date(2025, 1, 1), 182, 180, 0.95)
WEEKS = HOLDOUT.days / 7
TYPES = {"fast": (2.0, 6.0, 0.5, 6.0), "slow": (0.5, 8.0, 1.0, 2.5)}
EACH = 1_500
GROUPINGS = ("type", "half")


def histories() -> pd.DataFrame:
    """Customers at the end of calibration and after the holdout, in the columns of `counted_by_group`."""
    parts = []
    for number, (name, parameters) in enumerate(TYPES.items()):
        age = np.random.default_rng(number).integers(140, 700, EACH) / 7
        before = simulate(parameters, age, number, horizon=WEEKS)
        after = simulate(parameters, age + WEEKS, number)
        assert (after.frequency == before.frequency + before.future).all()
        parts.append(
            pd.DataFrame(
                {
                    "group_by_type": f"type:{name}",
                    "group_by_half": np.where(np.arange(EACH) % 2, "half:odd", "half:even"),
                    "btyd_frequency": before.frequency,
                    "btyd_recency_days": before.recency * 7,
                    "btyd_age_days": age * 7,
                    "later_frequency": after.frequency,
                    "later_recency_days": after.recency * 7,
                    "customers": 1,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_who_buys_on_the_last_day_of_the_holdout_has_a_score() -> None:
    holdout, age = Holdout(dt.date(2025, 1, 1), 180, 180, 0.95), np.arange(90, 1_200)
    columns = {"group_by_type": "type:a", "btyd_frequency": 3, "btyd_recency_days": 80, "btyd_age_days": age}
    later = {"later_frequency": 4, "later_recency_days": age + holdout.days, "customers": 1}
    rows = pd.DataFrame({**columns, **later})
    before = rows["btyd_frequency"], rows["btyd_recency_days"] / 7, age / 7
    pooled = ParetoNbd.fit(TransactionStatistics.unweighted(*before))
    model, end = ParetoNbd(0.8, 10.0, 0.6, 12.0), (age + holdout.days) / 7
    found = compare(rows, "type", {}, replace(pooled, model=model), holdout)
    scores = model.log_likelihood(4, end, end) - model.log_likelihood(*before)
    assert found.total["pooled_log_score"] == pytest.approx(scores.mean())


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    return histories()


def fit(rows: pd.DataFrame) -> Fitted[BgNbd]:
    columns = (rows["btyd_frequency"], rows["btyd_recency_days"] / 7, rows["btyd_age_days"] / 7)
    return BgNbd.fit(TransactionStatistics.unweighted(*columns))


def compared(customers: pd.DataFrame, grouping: str, minimum: int = 500) -> Comparison:
    return compare(customers, grouping, fit_groups(customers, grouping, "bg_nbd", minimum), fit(customers), HOLDOUT)


def test_two_types_of_customers_are_taken_apart_and_their_parameters_found(customers: pd.DataFrame) -> None:
    fits = fit_groups(customers, "type", "bg_nbd", 500)
    for name, truth in TYPES.items():
        own = fits[f"type:{name}"]
        assert own.converged and own.customer_count == EACH
        errors = np.log(own.parameters / truth) / np.sqrt(np.diag(own.log_covariance))
        assert np.abs(errors).max() < 2.6
    by_type, by_half = choose_grouping([compared(customers, name) for name in GROUPINGS], "auto")
    assert by_type.is_taken and by_type.total["beats_pooled"]
    assert by_type.reason.startswith("beats the pooled fit on the holdout: log score per customer +")
    for row in by_type.rows[1:]:
        assert row["log_score_gain"] > 0 and abs(row["grouped_bias_ratio"] - 1) < 0.1
        assert (row["fit_used"], row["fit_status"], row["customer_count"]) == ("own", "converged", EACH)
    assert not by_half.is_taken and not by_half.total["beats_pooled"]
    assert by_half.reason.startswith(("no more than chance", "no better than the pooled fit"))


def test_figures_are_those_of_the_models(customers: pd.DataFrame) -> None:
    """Each by its definition, from the fits alone; the log score is that of the whole history less what was known."""
    total, slow = (compared(customers, "type").rows[number] for number in (0, 2))
    own = customers[customers["group_by_type"] == "type:slow"]
    before = (own["btyd_frequency"], own["btyd_recency_days"] / 7, own["btyd_age_days"] / 7)
    after = (own["later_frequency"], own["later_recency_days"] / 7, own["btyd_age_days"] / 7 + WEEKS)
    actual = (own["later_frequency"] - own["btyd_frequency"]).to_numpy()
    scores = {}
    for who, model in (("grouped", fit(own).model), ("pooled", fit(customers).model)):
        expected = model.expected_purchases(WEEKS, *before)
        scores[who] = model.log_likelihood(*after) - model.log_likelihood(*before)
        assert slow[f"{who}_rmse"] == pytest.approx(np.sqrt(np.mean((expected - actual) ** 2)), rel=1e-6)
        assert slow[f"{who}_mae"] == pytest.approx(np.mean(np.abs(expected - actual)), rel=1e-6)
        assert slow[f"{who}_wape"] == pytest.approx(np.abs(expected - actual).sum() / actual.sum(), rel=1e-6)
        assert slow[f"{who}_bias_ratio"] == pytest.approx(expected.sum() / actual.sum(), rel=1e-6)
        assert slow[f"{who}_log_score"] == pytest.approx(scores[who].mean(), rel=1e-6)
    gain = scores["grouped"] - scores["pooled"]
    assert slow["log_score_gain"] == pytest.approx(gain.mean(), rel=1e-5)
    assert slow["log_score_gain_standard_error"] == pytest.approx(gain.std(ddof=1) / np.sqrt(EACH), rel=1e-5)
    assert (total["segment_id"], total["customer_count"]) == ("all:all", 2 * EACH)


def test_counted_rows_weigh_as_much_as_single_ones(customers: pd.DataFrame) -> None:
    few = customers[::10]
    twice = few.assign(customers=2)
    single, double = (compared(rows, "type", 10).total for rows in (pd.concat([few, few]), twice))
    for name in ("customer_count", "grouped_rmse", "log_score_gain", "log_score_gain_standard_error"):
        assert double[name] == pytest.approx(single[name], rel=1e-9)


def test_groups_without_a_usable_fit_take_the_pooled_one(customers: pd.DataFrame) -> None:
    """One group is too small; in another nobody ever came back."""
    group = np.where(np.arange(len(customers)) < 40, "type:small", customers["group_by_type"])
    never = (group == "type:slow") & (customers["btyd_frequency"] == 0)
    rows = customers.assign(group_by_type=np.where(never, "type:never", group))
    found = {row["segment_id"]: row for row in compared(rows, "type").rows}
    for name, status in (("type:small", "too_few_customers"), ("type:never", "no_repeat_purchases")):
        row = found[name]
        assert (row["fit_used"], row["fit_status"], row["beats_pooled"]) == ("pooled", status, False)
        assert (row["log_score_gain"], row["grouped_rmse"]) == (0.0, row["pooled_rmse"])
    assert found["all:all"]["fit_used"] == "mixed"
    [alone] = choose_grouping([compared(rows[group == "type:small"], "type")], "type")
    assert not alone.is_taken and "no group has a usable fit of its own (small too_few_customers)" in alone.reason


def test_the_configuration_decides_first(customers: pd.DataFrame) -> None:
    both = [compared(customers, name) for name in GROUPINGS]
    by_type, by_half = choose_grouping(both, "half")
    assert by_half.is_taken and by_half.reason.startswith("named by the configuration; ")
    assert not by_type.is_taken and by_type.reason.startswith("the configuration names half; beats the pooled fit")
    assert not any(one.is_taken for one in choose_grouping(both, "none"))
    again = [both[0], Comparison("orders", "copy", both[0].rows, both[0].reason)]
    assert [one.is_taken for one in choose_grouping(again, "auto")] == [True, False]
    assert choose_grouping(again, "auto")[1].reason.startswith("type did better still; ")


def test_rows_have_the_columns_of_the_contract(customers: pd.DataFrame) -> None:
    judged = choose_grouping([compared(customers, "type")], "auto")
    rows = grouping_rows(judged, {"type:slow": (None, 12.5)}, 1.0, dt.date(2025, 7, 1))
    named = [dict(zip(PREDICTION_GROUPINGS.columns, row, strict=True)) for row in rows]
    assert [row["segment_id"] for row in named] == ["all:all", "type:fast", "type:slow"]
    assert [row["upper_value"] for row in named] == [None, None, 12.5]
    assert {row["is_taken"] for row in named} == {True}
    unusable = BgNbd.fit(TransactionStatistics.unweighted([0], [0], [5]))
    with pytest.raises(ValueError, match="usable pooled fit"):
        compare(customers, "type", {}, unusable, HOLDOUT)


SPEND = {"fast": (5.0, 4.5, 210.0), "slow": (6.0, 4.0, 60.0)}


@pytest.fixture(scope="module")
def spenders() -> pd.DataFrame:
    """Customers of two types with what they spent before and after, in the columns of `counted_later_spend`."""
    parts = []
    for number, (name, parameters) in enumerate(SPEND.items()):
        random = np.random.default_rng(number)
        x, later = random.integers(0, 5, 400).astype(float), random.integers(1, 4, 400).astype(float)
        mean, true_mean = simulate_spend(parameters, np.maximum(x, 1), number)
        later_mean = random.gamma(parameters[0] * later, true_mean / (parameters[0] * later))
        half = np.where(np.arange(400) % 2, "half:odd", "half:even")
        parts.append(
            pd.DataFrame(
                {
                    "group_by_type": f"type:{name}",
                    "group_by_half": half,
                    "btyd_frequency": x,
                    "mean_spend": np.where(x > 0, mean, 0.0),
                    "later_days": later,
                    "later_mean_spend": later_mean,
                    "customers": 1,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def spend_fit(rows: pd.DataFrame) -> Fitted[GammaGamma]:
    known = rows[rows["btyd_frequency"] > 0]
    return GammaGamma.fit(SpendStatistics.unweighted(known["btyd_frequency"], known["mean_spend"]))


def compared_spend(spenders: pd.DataFrame, grouping: str) -> Comparison:
    repeaters = spenders[spenders["btyd_frequency"] > 0]
    fits = fit_spend_groups(spenders, repeaters, grouping, 300)
    return compare_spend(spenders, grouping, fits, spend_fit(spenders), HOLDOUT)


def test_types_that_spend_differently_are_taken_apart(spenders: pd.DataFrame) -> None:
    """Each figure by its definition: the value of the days that came, and its log-density given what was spent."""
    by_type, by_half = choose_grouping([compared_spend(spenders, name) for name in GROUPINGS], "auto")
    assert by_type.is_taken and not by_half.is_taken
    assert "error of value" in by_type.reason
    for name, row in zip(SPEND, by_type.rows[1:], strict=True):
        own = spenders[spenders["group_by_type"] == f"type:{name}"]
        before = (own["btyd_frequency"].to_numpy(), own["mean_spend"].to_numpy())
        days, mean = own["later_days"].to_numpy(), own["later_mean_spend"].to_numpy()
        for who, model in (("grouped", spend_fit(own).model), ("pooled", spend_fit(spenders).model)):
            expected = days * model.expected_spend(*before)
            assert row[f"{who}_rmse"] == pytest.approx(np.sqrt(np.mean((expected - days * mean) ** 2)), rel=1e-6)
            assert row[f"{who}_bias_ratio"] == pytest.approx(expected.sum() / (days * mean).sum(), rel=1e-6)
            score = model.later_log_likelihood(*before, days, mean).mean()
            assert row[f"{who}_log_score"] == pytest.approx(score, rel=1e-6)
        assert abs(row["grouped_bias_ratio"] - 1) < abs(row["pooled_bias_ratio"] - 1)
        assert (row["measure"], row["model_id"], row["fit_used"]) == ("order_value", "gamma_gamma", "own")
        assert row["actual_value"] == pytest.approx((days * mean).sum(), rel=1e-9)
    assert by_type.rows[0]["fitted_customer_count"] == (spenders["btyd_frequency"] > 0).sum()
    assert len(grouping_rows([by_type], {}, 1.0, dt.date(2025, 7, 1))) == 3


def test_spend_is_fitted_in_groups_with_enough_customers_and_repeat_values(spenders: pd.DataFrame) -> None:
    few = spenders.assign(group_by_type=np.where(np.arange(len(spenders)) < 290, "type:few", "type:many"))
    no_value = few["group_by_type"].eq("type:many") & (np.arange(len(few)) > 300)
    values = few[few["btyd_frequency"] > 0].assign(mean_spend=lambda rows: rows["mean_spend"].where(~no_value))
    fits = fit_spend_groups(few, values, "type", 300)
    assert {name: one.fit.status for name, one in fits.items()} == dict.fromkeys(fits, "too_few_customers")
    assert fits["type:many"].excluded_customers == (no_value & (few["btyd_frequency"] > 0)).sum()
    with_values = fit_spend_groups(few, few[few["btyd_frequency"] > 0], "type", 300)
    assert (with_values["type:few"].fit.status, with_values["type:many"].fit.converged) == ("too_few_customers", True)
    correlation = with_values["type:many"].correlation
    many = few[few["group_by_type"].eq("type:many") & (few["btyd_frequency"] > 0)]
    assert correlation == pytest.approx(np.corrcoef(many["btyd_frequency"], many["mean_spend"])[0, 1])
