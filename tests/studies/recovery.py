"""Whether the stated intervals of parameters hold the true ones: simulated customers, one fit per replication."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from clv_lib.models import BgNbd, Fitted, GammaGamma, MbgNbd, ParetoNbd, SpendStatistics, TransactionStatistics
from clv_lib.models.beta_geometric_beta_binomial import BgBb, PeriodStatistics
from clv_lib.models.shifted_beta_geometric import RetentionStatistics, ShiftedBetaGeometric
from clv_lib.models.sufficient_statistics import FloatArray
from tests.models.simulation import simulate, simulate_pareto, simulate_periods, simulate_renewals, simulate_spend
from tests.studies.replication import Coverage, held_parameters


@dataclass(frozen=True)
class Recovery:
    """True parameters, how a number of customers is drawn from a seed and fitted, and what is observed, in words."""

    name: str
    truth: Any
    fit: Callable[[Any, int, int], Fitted[Any]]
    observed: str

    def replicate(self, customers: int, seed: int) -> Coverage | None:
        """Whether each interval held its parameter, at each level; None if the fit is not usable."""
        fitted = self.fit(self.truth, customers, seed)
        return held_parameters(fitted, self.truth) if fitted.converged else None


def _values(model: Any) -> Any:
    return tuple(getattr(model, name) for name in model.parameter_names)


def _ages(customers: int, seed: int) -> FloatArray:
    """Weeks since the first purchase, in whole days."""
    return np.random.default_rng([seed, 1]).integers(140, 700, customers) / 7


def _chances(numbers: tuple[float, ...], customers: int, seed: int) -> FloatArray:
    return np.random.default_rng([seed, 1]).choice(numbers, customers)


def fit_orders(model: BgNbd | MbgNbd, customers: int, seed: int) -> Fitted[Any]:
    """Draw and fit customers of BG/NBD or MBG/NBD."""
    later = model.first_purchase_may_be_last
    seen = simulate(_values(model), _ages(customers, seed), seed, first_purchase_may_be_last=later)
    return type(model).fit(TransactionStatistics.unweighted(seen.frequency, seen.recency, seen.age))


def fit_pareto(model: ParetoNbd, customers: int, seed: int) -> Fitted[Any]:
    """Draw and fit customers of Pareto/NBD."""
    seen = simulate_pareto(_values(model), _ages(customers, seed), seed)
    return ParetoNbd.fit(TransactionStatistics.unweighted(seen.frequency, seen.recency, seen.age))


def fit_spend(model: GammaGamma, customers: int, seed: int) -> Fitted[Any]:
    """Draw and fit customers of Gamma-Gamma, with one repeat purchase or more."""
    frequency = np.random.default_rng([seed, 1]).geometric(0.3, customers).astype(np.float64)
    mean, _ = simulate_spend(_values(model), frequency, seed)
    return GammaGamma.fit(SpendStatistics.unweighted(frequency, mean))


def fit_renewals(model: ShiftedBetaGeometric, customers: int, seed: int) -> Fitted[Any]:
    """Draw and fit customers of sBG in cohorts of 3, 7 and 12 renewals."""
    drawn = simulate_renewals(_values(model), _chances((3.0, 7.0, 12.0), customers, seed), seed)
    return ShiftedBetaGeometric.fit(RetentionStatistics(*drawn))


def fit_periods(model: BgBb, customers: int, seed: int) -> Fitted[Any]:
    """Draw and fit customers of BG/BB with 6, 12 and 20 chances to buy."""
    drawn = simulate_periods(_values(model), _chances((6.0, 12.0, 20.0), customers, seed), seed)
    return BgBb.fit(PeriodStatistics.unweighted(*drawn))


RENEWALS, CHANCES = "cohorts of 3, 7 and 12 renewals", "6, 12 and 20 chances to buy"
APART = (
    Recovery("sBG, regular customers", ShiftedBetaGeometric(0.704, 1.182), fit_renewals, RENEWALS),
    Recovery("sBG, high-end customers", ShiftedBetaGeometric(0.668, 3.806), fit_renewals, RENEWALS),
    Recovery("BG/BB, donations", BgBb(1.204, 0.75, 0.657, 2.783), fit_periods, CHANCES),
    Recovery("BG/BB, sparse", BgBb(0.9, 2.0, 0.7, 4.0), fit_periods, CHANCES),
)
"""The models that no scenario of predictions fits; parameters of the papers, and a sparser population."""
