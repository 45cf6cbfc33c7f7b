"""Recovery: of many small fits to simulated customers, how many intervals held the parameters that made the data."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy import stats

from clv_lib.models import BgNbd, Fitted, GammaGamma, MbgNbd, ParetoNbd
from clv_lib.models.beta_geometric_beta_binomial import BgBb
from clv_lib.models.shifted_beta_geometric import ShiftedBetaGeometric
from tests.studies.coverage import LEVELS, Shares, recovery
from tests.studies.recovery import Recovery, fit_orders, fit_pareto, fit_periods, fit_renewals, fit_spend

REPLICATIONS = 200
MODELS = [
    Recovery("bg_nbd", BgNbd(0.6, 8.0, 0.9, 2.0), fit_orders, ""),
    Recovery("mbg_nbd", MbgNbd(0.6, 8.0, 0.9, 2.0), fit_orders, ""),
    Recovery("pareto_nbd", ParetoNbd(0.6, 8.0, 0.6, 20.0), fit_pareto, ""),
    Recovery("gamma_gamma", GammaGamma(6.0, 4.0, 15.0), fit_spend, ""),
    Recovery("sbg", ShiftedBetaGeometric(0.8, 2.5), fit_renewals, ""),
    Recovery("bg_bb", BgBb(0.9, 2.0, 0.7, 4.0), fit_periods, ""),
]


def likely(level: float) -> tuple[float, float]:
    """Shares of REPLICATIONS that a right interval holds but once in 1,000 times."""
    low, high = stats.binom.interval(0.999, REPLICATIONS, level)
    return float(low) / REPLICATIONS, float(high) / REPLICATIONS


def outside(shares: dict[str, Shares]) -> dict[tuple[str, float], float]:
    """Coverage that chance does not explain, by quantity and level."""
    found = {
        (name, level): float(share)
        for name, held in shares.items()
        for level, share in zip(LEVELS, held.mean, strict=True)
    }
    return {key: share for key, share in found.items() if not likely(key[1])[0] <= share <= likely(key[1])[1]}


@pytest.mark.parametrize("model", MODELS, ids=lambda one: one.name)
def test_intervals_of_parameters_hold_them_as_often_as_stated(model: Recovery) -> None:
    customers = 1_000 if model.name == "pareto_nbd" else 2_000  # its fits take the longest
    shares, failed = recovery(model, customers, REPLICATIONS, 500_000)
    assert failed == 0
    assert len(shares) == len(model.truth.parameter_names) + 1
    assert outside(shares) == {}


@pytest.mark.parametrize("factor", [0.75, 1.4])
def test_standard_errors_that_are_too_small_or_too_large_would_show(factor: float) -> None:
    def wrong(truth: ShiftedBetaGeometric, customers: int, seed: int) -> Fitted[ShiftedBetaGeometric]:
        fitted = fit_renewals(truth, customers, seed)
        return replace(fitted, covariance=factor**2 * fitted.covariance)

    shares, _ = recovery(Recovery("sbg", ShiftedBetaGeometric(0.8, 2.5), wrong, ""), 2_000, REPLICATIONS, 500_000)
    assert {name for name, _ in outside(shares)} == set(shares)
