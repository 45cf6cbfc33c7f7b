"""Contract retention on the driver: published cohorts, values by brute force, recovery, and each status."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clv_lib.contracts.contract_retention import CONTRACT_RETENTION
from clv_lib.models.shifted_beta_geometric import RetentionStatistics, ShiftedBetaGeometric
from clv_lib.recurring.contract_retention import RetentionTerms, last_complete_month, observed_survival, retention_rows

AS_OF = dt.date(2025, 6, 30)
TERMS = RetentionTerms(minimum_lifetimes=30, annual_discount_rate=1.01**12 - 1, cap_months=60)
PUBLISHED = json.loads((Path(__file__).parents[1] / "models" / "published.json").read_text())["sbg"]

Counts = Sequence[tuple[int, int, int]]


def figures(counts: Counts, terms: RetentionTerms = TERMS, mrr: int = 50) -> dict[str, Any]:
    """The row of a segment of which so many (lost, active) of an age are known, each active one paying `mrr`."""
    rows = [
        {
            "segment_id": "region:a:b",
            "age_months": age,
            "lost_count": lost,
            "active_count": active,
            "mrr_amount": Decimal(mrr * active),
        }
        for age, lost, active in counts
    ]
    [row] = retention_rows(rows, terms, AS_OF)
    return dict(zip(CONTRACT_RETENTION.own_columns, row, strict=True))


def cohort(survivors: Sequence[int]) -> Counts:
    lost = [0, *(int(number) for number in -np.diff(survivors))]
    return [(age, lost[age], survivors[age] if age == len(survivors) - 1 else 0) for age in range(len(survivors))]


def present_value(model: ShiftedBetaGeometric, age: int, rate: float) -> float:
    """Renewals to come of a subscriber of that age, summed one by one: the next one is not discounted."""
    t = np.arange(1, 4000)
    return float(np.sum(model.survival(t, age) / (1 + rate) ** (t - 1)))


@pytest.mark.parametrize("name", ["regular", "high_end"])
def test_published_cohorts(name: str) -> None:
    survivors = PUBLISHED[name]["survivors"][:8]
    row = figures(cohort(survivors))
    assert (row["alpha"], row["beta"]) == pytest.approx(PUBLISHED[name]["parameters"], rel=2e-7)
    assert row["log_likelihood"] == pytest.approx(PUBLISHED[name]["log_likelihood"], abs=1e-6)
    assert row["survival_12m"] == pytest.approx(PUBLISHED[name]["survival_12"], abs=5e-4)
    assert (row["lifetime_count"], row["subscriber_count"]) == (1000, survivors[-1])
    assert (row["segment_type"], row["segment_name"]) == ("region", "a:b")
    assert (row["fit_status"], row["lifetime_status"], row["clv_status"]) == ("converged", "infinite_mean", "ok")
    assert row["expected_lifetime_months"] is row["residual_lifetime_months"] is None
    model = ShiftedBetaGeometric(row["alpha"], row["beta"])
    assert row["capped_lifetime_months"] == pytest.approx(model.survival(np.arange(60)).sum())
    assert float(row["residual_value_amount"]) == pytest.approx(50 * present_value(model, 7, 0.01), abs=1e-3)
    new = 50 * (1 + present_value(model, 0, 0.01) / 1.01)
    assert float(row["new_subscriber_clv_amount"]) == pytest.approx(new, abs=1e-3)


def test_value_of_present_subscribers_counts_their_own_age_and_charge() -> None:
    rows = [
        {"segment_id": "all:all", "age_months": age, "lost_count": lost, "active_count": active, "mrr_amount": mrr}
        for age, lost, active, mrr in ((1, 60, 0, Decimal(0)), (2, 25, 10, Decimal(90)), (6, 30, 40, Decimal(4000)))
    ]
    row = dict(zip(CONTRACT_RETENTION.own_columns, retention_rows(rows, TERMS, AS_OF)[0], strict=True))
    model = ShiftedBetaGeometric(row["alpha"], row["beta"])
    total = 90 * present_value(model, 2, 0.01) + 4000 * present_value(model, 6, 0.01)
    assert float(row["residual_value_amount"]) == pytest.approx(total / 50, abs=1e-3)
    assert float(row["simple_clv_amount"]) == pytest.approx(81.8 * row["renewal_count"] / row["lost_count"], abs=1e-3)


def test_parameters_of_simulated_lifetimes_are_found_again() -> None:
    rng = np.random.default_rng(3)
    lifetime = rng.geometric(rng.beta(2.0, 30.0, 20_000))
    observed = rng.integers(0, 60, 20_000)
    ended = lifetime <= observed
    age = np.where(ended, lifetime, observed)
    lost, active = (np.bincount(age, weights) for weights in (ended, ~ended))
    row = figures([(t, int(lost[t]), int(active[t])) for t in range(len(lost))])
    for name, truth in (("alpha", 2.0), ("beta", 30.0)):
        assert abs(row[name] - truth) < 3 * row[f"{name}_standard_error"] < 0.2 * truth
    assert row["survival_12m"] == pytest.approx(np.mean(lifetime > 12), abs=0.01)
    assert row["observed_survival_12m"] == pytest.approx(np.mean(lifetime > 12), abs=0.015)
    assert row["expected_lifetime_months"] == pytest.approx(31, rel=0.1)
    own = np.average(30.0 + np.arange(len(active)), weights=active)
    assert row["residual_lifetime_months"] == pytest.approx(own, rel=0.1)


def test_the_formula_by_hand() -> None:
    row = figures([(25, 40, 40)])
    assert (row["renewal_count"], row["lost_count"]) == (2000, 40)
    # 50 / 0.02, and discounted by 1 % a month 50 x 1.01 / 0.03
    assert (row["simple_clv_amount"], row["simple_discounted_clv_amount"]) == (2500, Decimal("1683.3333"))


@pytest.mark.parametrize(
    ("counts", "fit", "clv", "simple"),
    [
        ([(1, 5, 0), (2, 3, 20)], "too_few_customers", "no_model", "ok"),
        ([(3, 0, 40)], "no_losses", "no_model", "zero_churn"),
        ([(1, 40, 0)], "no_renewals", "no_model", "no_subscribers"),
        ([(1, 20, 30)], "too_few_renewals", "no_model", "ok"),
        ([(0, 0, 40)], "too_few_renewals", "no_model", "no_renewals_due"),
        (
            [(t, n, 0) for t, n in ((1, 60), (2, 15), (3, 9), (5, 6), (12, 6), (25, 4))],
            "converged",
            "no_subscribers",
            "no_subscribers",
        ),
        ([(1, 100, 0), (2, 90, 0), (3, 81, 0), (4, 73, 656)], "at_bound", "no_model", "ok"),
    ],
)
def test_what_is_not_defined_says_why(counts: Counts, fit: str, clv: str, simple: str) -> None:
    row = figures(counts)
    assert (row["fit_status"], row["clv_status"], row["simple_clv_status"]) == (fit, clv, simple)
    assert (row["survival_1m"] is None) == (row["lifetime_status"] == "no_model") == (fit != "converged")
    for status, names in (
        (clv, ("residual_value_amount", "new_subscriber_clv_amount")),
        (simple, ("simple_clv_amount", "simple_discounted_clv_amount")),
    ):
        assert all((row[name] is None) == (status != "ok") for name in names)


def test_without_discount_a_mean_that_is_infinite_gives_no_value() -> None:
    plain = RetentionTerms(30, 0.0, 60)
    assert figures(cohort(PUBLISHED["regular"]["survivors"]), plain)["clv_status"] == "infinite_lifetime"
    finite = figures([(1, 100, 0), (2, 85, 0), (3, 75, 0), (4, 66, 0), (5, 55, 619)], plain)
    assert finite["lifetime_status"] == "ok"
    assert float(finite["new_subscriber_clv_amount"]) == pytest.approx(50 * finite["expected_lifetime_months"])
    assert float(finite["residual_value_amount"]) == pytest.approx(50 * finite["residual_lifetime_months"], rel=1e-5)


def test_observed_survival_by_hand() -> None:
    statistics = RetentionStatistics(*np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 0.0], [4.0, 0.0, 3.0]]))
    # of 10 two are lost, four not seen further; of 4 one is lost; of 3 none
    assert observed_survival(statistics, 2) == pytest.approx(0.8 * 0.75)
    assert observed_survival(statistics, 3) == pytest.approx(0.8 * 0.75)
    assert observed_survival(statistics, 4) is None


@pytest.mark.parametrize(
    ("as_of", "month"), [(AS_OF, dt.date(2025, 6, 1)), (dt.date(2025, 1, 30), dt.date(2024, 12, 1))]
)
def test_the_month_of_as_of_counts_when_it_is_over(as_of: dt.date, month: dt.date) -> None:
    assert last_complete_month(as_of) == month
