"""All 23,570 customers of CDNOW, of whom the sample is every tenth; no estimates of them are published."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from clv_lib.models import BgNbd, GammaGamma, MbgNbd, ParetoNbd, SpendStatistics
from tests.models.conftest import Cdnow, cdnow_lines, read_cdnow

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lifetimes import BetaGeoFitter, ModifiedBetaGeoFitter


@pytest.fixture(scope="module")
def master() -> Cdnow:
    return read_cdnow("CDNOW_master.txt")


def test_the_sample_is_every_tenth_customer_with_the_same_history(master: Cdnow, cdnow: Cdnow) -> None:
    lines = cdnow_lines("CDNOW_master.txt")
    assert (len(master.frequency), master.lines, len(master.transactions.distinct())) == (23_570, 69_659, 8_685)
    place = {customer: number for number, customer in enumerate(dict.fromkeys(line[0] for line in lines))}
    rows = [place[customer] for customer in dict.fromkeys(line[0] for line in cdnow_lines())]
    for column in ("frequency", "recency", "age", "mean_spend", "holdout_purchases"):
        np.testing.assert_array_equal(getattr(master, column)[rows], getattr(cdnow, column))


@pytest.mark.parametrize(("model", "fitter"), [(BgNbd, BetaGeoFitter), (MbgNbd, ModifiedBetaGeoFitter)])
def test_estimates_are_those_of_lifetimes(model: type[BgNbd], fitter: Any, master: Cdnow) -> None:
    fitted, rows = model.fit(master.transactions), master.transactions.distinct()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = fitter().fit(*(column.rows for column in rows.columns), weights=rows.weight)
    np.testing.assert_allclose(fitted.parameters, theirs.params_, rtol=1e-6)
    np.testing.assert_allclose(fitted.standard_errors, theirs.standard_errors_, rtol=1e-5)


@pytest.mark.parametrize("model", [BgNbd, MbgNbd, ParetoNbd])
def test_estimates_of_the_sample_are_as_far_off_as_they_say(model: type[BgNbd], master: Cdnow, cdnow: Cdnow) -> None:
    """Ten times as many customers: standard errors root ten times smaller, estimates within two and a half of them."""
    whole, sample = model.fit(master.transactions), model.fit(cdnow.transactions)
    rows = model(*map(float, whole.parameters)).log_likelihood(master.frequency, master.recency, master.age)
    assert whole.converged and whole.log_likelihood == pytest.approx(rows.sum(), abs=1e-5)
    assert (np.abs(sample.parameters - whole.parameters) < 2.5 * sample.standard_errors).all()
    relative = sample.standard_errors / sample.parameters / (whole.standard_errors / whole.parameters)
    np.testing.assert_allclose(relative, np.sqrt(10), rtol=0.25)


def test_spend_of_the_master(master: Cdnow, cdnow: Cdnow) -> None:
    """One repeat purchase cost nothing, which the density of Gamma-Gamma cannot explain."""
    paid = master.mean_spend > 0
    assert (master.frequency > 0).sum() - paid.sum() == 1
    whole = GammaGamma.fit(SpendStatistics.unweighted(master.frequency[paid], master.mean_spend[paid]))
    sample = GammaGamma.fit(cdnow.spend)
    assert (np.abs(sample.parameters - whole.parameters) < 2.5 * sample.standard_errors).all()
