"""Which model is published and why, and what stands for it where nobody is seen to leave."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clv_lib.contracts.accuracy import PREDICTION_ACCURACY
from clv_lib.models import TRANSACTION_MODELS, Fitted, GammaGamma, Nbd, TransactionStatistics, sum_interval
from clv_lib.models.fitting import TOO_FEW_CUSTOMERS, refused
from clv_lib.scoring.accuracy import accuracy_rows, accuracy_table
from clv_lib.scoring.choice import choose
from clv_lib.scoring.fits import Choice, Fits, SpendFit
from clv_lib.scoring.holdout import Holdout
from clv_lib.settings import Predictions
from tests.models.conftest import read_cdnow
from tests.models.simulation import simulate_loyal

HOLDOUT = Holdout(dt.date(2025, 1, 1), 180, 180, 0.95)
AS_OF = dt.date(2025, 6, 30)
NO_SPEND: Fitted[GammaGamma] = refused(GammaGamma.name, GammaGamma.parameter_names, TOO_FEW_CUSTOMERS, 0, 0)


def fits_to(statistics: TransactionStatistics) -> Fits:
    candidates = {name: model.fit(statistics) for name, model in TRANSACTION_MODELS.items()}
    return Fits(candidates, Nbd.fit(statistics), SpendFit(NO_SPEND, 0, None), 1.0)


@pytest.fixture(scope="module")
def cdnow_fits() -> Fits:
    return fits_to(read_cdnow().transactions)


@pytest.fixture(scope="module")
def loyal_fits() -> Fits:
    """Each candidate ends at the bound at which it is the NBD."""
    drawn = simulate_loyal(2_000, 30.0, 3)
    return fits_to(TransactionStatistics.unweighted(drawn.frequency, drawn.recency, drawn.age))


def cells(models: dict[str, float]) -> pd.DataFrame:
    """Counted cells of one segment: 100 customers, of whom 40 have one day with orders and the others none."""
    rows: list[dict[str, Any]] = []
    for model, predicted in models.items():
        for measure in ("orders", "amount", "activity", "frequency"):
            for actual, customers in ((0, 60), (1, 40)):
                known = predicted if measure in ("orders", "frequency", "activity") else np.nan
                rows.append(
                    {
                        "segment_id": "all:all", "model_id": model, "fit_segment_id": "all:all",
                        "spend_fit_segment_id": "all:all", "measure": measure,
                        "predicted_bin": np.nan if measure == "amount" else 0, "actual_bin": actual,
                        "customers": customers, "covered": customers, "absolute_error": customers * abs(known - actual),
                        "squared_error": customers * (known - actual) ** 2, "predicted": customers * known,
                        "actual": customers * actual, "variance": customers * 0.2,
                        **{f"by_{n}": customers * 0.1 for n in range(7)},
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def test_without_anybody_leaving_the_nbd_is_judged_in_the_place_of_the_candidates(loyal_fits: Fits) -> None:
    assert {fit.status for fit in loyal_fits.candidates.values()} == {"at_bound"} and loyal_fits.baseline.converged
    rows = accuracy_rows(cells({"nbd": 0.4, "mean_rate": 0.2}), loyal_fits, HOLDOUT, 1.0, AS_OF)
    found = {row["model_id"]: row for row in rows}
    for name in TRANSACTION_MODELS:
        assert (found[name]["accuracy_status"], found[name]["customer_count"]) == ("model_unusable", 100)
    nbd = found["nbd"]
    assert (nbd["predicted_orders"], nbd["accuracy_status"], nbd["is_baseline"]) == (40, "ok", False)
    assert nbd["beats_baselines"] and nbd["baseline_orders_rmse"] == pytest.approx((0.6 * 0.04 + 0.4 * 0.64) ** 0.5)
    gradient = np.full(2, 10.0)
    variance = 20 + gradient @ loyal_fits.baseline.log_covariance @ gradient
    ends = (nbd["orders_total_lower"], nbd["orders_total_upper"])
    assert list(ends) == pytest.approx([float(end) for end in sum_interval(40.0, variance, 0.95)])


def test_the_likelihood_decides_where_the_holdout_cannot(cdnow_fits: Fits, loyal_fits: Fits) -> None:
    rows = accuracy_rows(cells({"nbd": 0.4, "mean_rate": 0.2}), loyal_fits, HOLDOUT, 1.0, AS_OF)
    chosen = choose(cdnow_fits, rows, Predictions())
    assert chosen.name == "mbg_nbd"
    assert chosen.reasons["mbg_nbd"] == "highest likelihood; no candidate usable on the holdout"
    assert choose(cdnow_fits, [], Predictions()).reasons["bg_nbd"] == "lower likelihood; no holdout to compare on"
    named = choose(cdnow_fits, rows, Predictions(model="pareto_nbd"))
    assert (named.name, named.reasons["pareto_nbd"]) == ("pareto_nbd", "named by the configuration")


def test_the_nbd_is_published_where_nobody_is_seen_to_leave(loyal_fits: Fits, cdnow_fits: Fits) -> None:
    chosen = choose(loyal_fits, [], Predictions())
    assert chosen.name == "nbd" and chosen.reasons["nbd"].startswith("nobody is seen to leave")
    assert {chosen.reasons[name] for name in TRANSACTION_MODELS} == {"not usable: at_bound"}
    named = choose(loyal_fits, [], Predictions(model="bg_nbd"))
    assert named.name == "bg_nbd", "whoever names a model gets no other"
    assert choose(cdnow_fits, [], Predictions()).name in TRANSACTION_MODELS, "a usable candidate is preferred"


@pytest.mark.parametrize(
    ("model", "changes", "is_taken"),
    [
        ("pareto_nbd", {"status": "worse_than_nbd"}, True),
        ("pareto_nbd", {"status": "not_converged"}, False),
        ("pareto_nbd", {"gain": 1.9}, True),
        ("pareto_nbd", {"gain": 2.1}, False),
        ("mbg_nbd", {"gain": 2.1}, False),
        ("bg_nbd", {"gain": 8.0}, True),
        ("bg_nbd", {"status": "not_converged"}, False),
    ],
)
def test_a_candidate_that_describes_more_than_the_nbd_says_that_somebody_leaves(
    loyal_fits: Fits, model: str, changes: dict[str, Any], is_taken: bool
) -> None:
    """Two parameters more may raise the log-likelihood by two; more is another bound than that of the NBD.

    BG/NBD has one where some leave after their second order and nobody later, and cannot say who left after the first.
    """
    own = loyal_fits.candidates[model]
    likelihood = loyal_fits.baseline.log_likelihood + changes.get("gain", 0.0)
    changed = replace(own, status=changes.get("status", own.status), log_likelihood=likelihood)
    fits = replace(loyal_fits, candidates={**loyal_fits.candidates, model: changed})
    assert fits.is_nobody_seen_to_leave == is_taken
    assert (choose(fits, [], Predictions()).name == "nbd") == is_taken


def test_few_customers_are_not_taken_for_loyal_ones() -> None:
    few = simulate_loyal(50, 30.0, 3)
    statistics = TransactionStatistics.unweighted(few.frequency, few.recency, few.age)
    candidates = {name: model.fit(statistics, minimum_customers=100) for name, model in TRANSACTION_MODELS.items()}
    fits = Fits(candidates, Nbd.fit(statistics, minimum_customers=100), SpendFit(NO_SPEND, 0, None), 1.0)
    assert choose(fits, [], Predictions()) == Choice(
        "mbg_nbd", dict.fromkeys(candidates, "not usable: too_few_customers")
    )


def test_the_lowest_error_on_the_holdout_is_chosen_and_ties_prefer_models_with_early_death(cdnow_fits: Fits) -> None:
    def chosen(**predicted: float) -> Choice:
        rows = accuracy_rows(cells({**predicted, "mean_rate": 0.1}), cdnow_fits, HOLDOUT, 1.0, AS_OF)
        return choose(cdnow_fits, rows, Predictions())

    assert chosen(bg_nbd=0.4, mbg_nbd=0.7, pareto_nbd=0.9).name == "bg_nbd"
    alike = chosen(bg_nbd=0.4, mbg_nbd=0.41, pareto_nbd=0.9)
    assert alike.name == "mbg_nbd" and "within 1 % of the lowest" in alike.reasons["mbg_nbd"]
    assert chosen(bg_nbd=0.4, mbg_nbd=0.7).reasons["pareto_nbd"] == "not usable on a holdout"


def test_fits_per_group_are_what_is_published_where_they_were_judged() -> None:
    holdouts = [(HOLDOUT.calibration_end, 180), (HOLDOUT.calibration_end, 90)]
    rows = [
        {"model_id": model, "calibration_end_date": end, "horizon_days": days}
        for end, days in holdouts for model in ("mbg_nbd", "bg_nbd", "by_group") if model != "by_group" or days == 180
    ]  # fmt: skip
    table = [
        dict(zip(PREDICTION_ACCURACY.columns, row, strict=True)) for row in accuracy_table(rows, Choice("mbg_nbd", {}))
    ]
    marked = [(row["model_id"], row["horizon_days"]) for row in table if row["is_published_model"]]
    assert marked == [("by_group", 180), ("mbg_nbd", 90)]
