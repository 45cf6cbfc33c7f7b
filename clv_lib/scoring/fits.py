"""Fitted models of a run: the candidates, the baseline without death, spend, and which of them is published."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clv_lib.contracts.predictions import MODEL_FITS
from clv_lib.models import (
    TRANSACTION_MODELS,
    BgNbd,
    Fitted,
    GammaGamma,
    MbgNbd,
    Nbd,
    TransactionModel,
)
from clv_lib.models.fitting import AT_BOUND, WORSE_THAN_NBD
from clv_lib.scoring.statistics import (
    TIME_UNIT_DAYS,
    SpendRows,
    counted_spend,
    sampled,
    share_to_fit,
    transaction_statistics,
)
from clv_lib.settings.predictions import AUTO

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.settings.predictions import Predictions

POOLED_SEGMENT = "all:all"

PARAMETERS_OF_LEAVING = 2
"""What a model with death has more than the NBD: its log-likelihood is higher by as much by chance alone (Akaike)."""

GroupFits = Mapping[str, Fitted[TransactionModel]]
"""Fits of one model of orders by segment_id, those included that are not usable."""


@dataclass(frozen=True)
class SpendFit:
    """A fit of Gamma-Gamma, with what `statistics.SpendRows` says of its customers."""

    fit: Fitted[GammaGamma]
    excluded_customers: int
    correlation: float | None

    @classmethod
    def to(cls, rows: SpendRows, minimum_customers: int) -> SpendFit:
        """Fit counted spend; with fewer repeat customers than the minimum it is a fit with that status."""
        fit = GammaGamma.fit(rows.statistics, minimum_customers=minimum_customers)
        return cls(fit, rows.excluded_customers, rows.correlation)


GroupSpend = Mapping[str, SpendFit]
"""Fits of spend by segment_id, those included that are not usable."""


@dataclass(frozen=True)
class Fits:
    """The pooled fits at one day. A fit without `model` is published with its status and not scored."""

    candidates: Mapping[str, Fitted[TransactionModel]]
    baseline: Fitted[Nbd]
    spend: SpendFit
    sampled_share: float

    @property
    def customer_count(self) -> float:
        """All customers, also those outside the sample that is fitted."""
        return self.baseline.customer_count / self.sampled_share

    @property
    def compared(self) -> Mapping[str, Fitted[TransactionModel]]:
        """What is judged on a holdout: the candidates, and the NBD, which they become where nobody seems to leave."""
        return {**self.candidates, self.baseline.name: self.baseline}

    @property
    def is_nobody_seen_to_leave(self) -> bool:
        """Whether no candidate is usable, and the NBD describes the customers as well as those in which anybody leaves.

        These end at the bound at which they are the NBD, or their search ends below it; one whose log-likelihood is
        higher by PARAMETERS_OF_LEAVING ended at another bound. BG/NBD, in which a one-time buyer cannot have left, does
        not count: it has bounds of its own.
        """
        if not self.baseline.converged:
            return False
        most = self.baseline.log_likelihood + PARAMETERS_OF_LEAVING
        return all(
            fit.status in (AT_BOUND, WORSE_THAN_NBD) and (name == BgNbd.name or fit.log_likelihood < most)
            for name, fit in self.candidates.items()
        )


@dataclass(frozen=True)
class OfGroups:
    """Fits per group where a grouping is taken: of orders by the name of the model, and of spend; each may be empty."""

    orders: Mapping[str, GroupFits] = field(default_factory=dict)
    spend: GroupSpend = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """The model that is published, and why each candidate was taken or not, by name."""

    name: str
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Scorers:
    """What scoring needs: the published fits of orders, those that say who may have left, and the one of spend.

    Each by segment_id: the usable fits of groups, and the pooled one, usable or not, as POOLED_SEGMENT: that is all of
    them where no grouping is taken.
    """

    transactions: GroupFits
    churn: GroupFits
    spend: Mapping[str, Fitted[GammaGamma]]

    @classmethod
    def of_pooled(
        cls, transactions: Fitted[TransactionModel], churn: Fitted[TransactionModel], spend: Fitted[GammaGamma]
    ) -> Scorers:
        """One fit of each for everybody."""
        return cls({POOLED_SEGMENT: transactions}, {POOLED_SEGMENT: churn}, {POOLED_SEGMENT: spend})

    @property
    def pooled(self) -> Fitted[TransactionModel]:
        """The fit of orders of all customers."""
        return self.transactions[POOLED_SEGMENT]

    @property
    def pooled_spend(self) -> Fitted[GammaGamma]:
        """The fit of spend of all customers."""
        return self.spend[POOLED_SEGMENT]

    @property
    def knows_churn(self) -> bool:
        """Whether customers leave in the published model; False also without a usable one."""
        return self.pooled.model is not None and self.pooled.model.knows_churn

    def churn_of(self, segment_id: str) -> Fitted[TransactionModel]:
        """The fit that says which customers of a group may have left."""
        return self.churn.get(segment_id, self.churn[POOLED_SEGMENT])

    @property
    def model_id(self) -> str:
        """Name of the combined model in `customer_predictions`."""
        return f"{self.pooled.name}+{self.pooled_spend.name}"


def candidate_names(settings: Predictions) -> tuple[str, ...]:
    """Models of orders to fit: all of them for `auto`; beside BG/NBD its modification, which tells who has left."""
    if settings.model == AUTO:
        return tuple(TRANSACTION_MODELS)
    return (BgNbd.name, MbgNbd.name) if settings.model == BgNbd.name else (settings.model,)


def fit_models(states: DataFrame, settings: Predictions) -> Fits:
    """Fit the models on the driver, on distinct statistics with their counts.

    `states` has `btyd_frequency`, `btyd_recency_days`, `btyd_age_days` and `btyd_monetary_value` per customer, as in
    `customer_metrics`. With more than `max_fit_rows` distinct (x, t_x, T) a sample of customers by hash of their id is
    fitted, the same one in every run; its share is kept. Collects two small tables.
    """
    share = share_to_fit(states, settings.max_fit_rows)
    sample = sampled(states, share)
    transactions = transaction_statistics(sample)
    spend = SpendRows.of(counted_spend(sample))
    enough = settings.minimum_customers
    return Fits(
        candidates={
            name: TRANSACTION_MODELS[name].fit(transactions, minimum_customers=enough)
            for name in candidate_names(settings)
        },
        baseline=Nbd.fit(transactions, minimum_customers=enough),
        spend=SpendFit.to(spend, enough_spenders(enough)),
        sampled_share=share,
    )


def enough_spenders(minimum_customers: int) -> int:
    """How many customers with a repeat value Gamma-Gamma needs where a model of orders needs `minimum_customers`."""
    return max(2, minimum_customers // 10)


def churn_model(chosen: str) -> str:
    """The model that says who may have left: MBG/NBD where the chosen one is BG/NBD, else the chosen one."""
    return MbgNbd.name if chosen == BgNbd.name else chosen


def scorers(fits: Fits, chosen: str, groups: OfGroups) -> Scorers:
    """The fits that score: those of the chosen model, of its `churn_model` for churn, and of spend.

    Of `groups` those that are not usable are left out.
    """

    def by_group(name: str) -> GroupFits:
        own = {key: fit for key, fit in groups.orders.get(name, {}).items() if fit.model is not None}
        return {POOLED_SEGMENT: fits.compared[name], **own}

    spend = {key: one.fit for key, one in groups.spend.items() if one.fit.model is not None}
    return Scorers(by_group(chosen), by_group(churn_model(chosen)), {POOLED_SEGMENT: fits.spend.fit, **spend})


def model_fits(fits: Fits, choice: Choice, as_of: dt.date, groups: OfGroups) -> list[tuple[object, ...]]:
    """Rows of contract `model_fits`. Grain: model, segment and parameter."""
    pooled: list[Fitted[Any]] = [*fits.candidates.values(), fits.baseline]
    found: list[tuple[Fitted[Any], str, str | None, SpendFit | None]]
    found = [(fit, POOLED_SEGMENT, choice.reasons.get(fit.name), None) for fit in pooled]
    found.append((fits.spend.fit, POOLED_SEGMENT, None, fits.spend))
    for by_group in groups.orders.values():
        found += [(fit, segment_id, _use(fit), None) for segment_id, fit in by_group.items()]
    found += [(one.fit, segment_id, _use(one.fit), one) for segment_id, one in groups.spend.items()]
    published = (choice.name, GammaGamma.name)
    return [
        row
        for fit, segment_id, reason, spend in found
        for row in _fit_rows(
            fit,
            {
                "segment_id": segment_id,
                "excluded_customer_count": 0 if spend is None else spend.excluded_customers,
                "sampled_share": fits.sampled_share,
                "spend_correlation": None if spend is None else spend.correlation,
                "is_published_model": fit.name in published and fit.converged,
                "selection_reason": reason,
                "time_unit_days": TIME_UNIT_DAYS,
                "as_of_date": as_of,
            },
        )
    ]


def _use(fit: Fitted[Any]) -> str:
    return "scores its group" if fit.converged else "not usable: its group is scored by the pooled fit"


def _fit_rows(fit: Fitted[Any], shared: Mapping[str, object]) -> list[tuple[object, ...]]:
    """One row per parameter, in the order of the contract's columns."""
    rows = []
    for number, (parameter, (estimate, error)) in enumerate(fit.estimates().items()):
        cells = {
            **shared,
            "model_id": fit.name,
            "parameter": parameter,
            "estimate": estimate,
            "standard_error": error,
            "covariances": _covariances(fit, number),
            "log_likelihood": finite(fit.log_likelihood),
            "customer_count": fit.customer_count,
            "distinct_statistics_count": fit.distinct_statistics_count,
            "is_converged": fit.converged,
            "gradient_norm": finite(fit.gradient_norm),
            "fit_status": fit.status,
        }
        rows.append(tuple(cells[name] for name in MODEL_FITS.columns))
    return rows


def _covariances(fit: Fitted[Any], number: int) -> dict[str, float]:
    pairs = zip(fit.parameter_names, fit.covariance[number], strict=True)
    return {name: float(value) for name, value in pairs if finite(value) is not None}


def finite(value: float) -> float | None:
    """The number, or None where it is infinite or not a number."""
    return float(value) if abs(value) < float("inf") else None
