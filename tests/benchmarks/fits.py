"""Fits of the models to a simulated population on the driver, beside lifetimes on counted tuples and on single rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clv_lib.models import TRANSACTION_MODELS, Fitted, TransactionModel, TransactionStatistics
from clv_lib.scoring.statistics import TIME_UNIT_DAYS
from tests.benchmarks import peers
from tests.benchmarks.measuring import heading, timed
from tests.benchmarks.population import counted, population

if TYPE_CHECKING:
    import pandas as pd

WARM_UP_CUSTOMERS = 2_000


def measure(customers: pd.DataFrame, *, with_peers: bool) -> dict[str, Fitted[TransactionModel]]:
    """Fit each model, print seconds, ratios and how far the optima are apart; the fits by name."""
    held: list[TransactionStatistics] = []
    seconds = timed(lambda: held.append(counted(customers)))
    statistics = held[0]
    heading(f"Fits: {len(customers):,} customers, {len(statistics.weight):,} distinct (x, t_x, T)")
    print(f"{seconds:9.2f} s  counted with NumPy")
    warm_up = counted(population(WARM_UP_CUSTOMERS))
    raw = _rows(customers)
    fits = {}
    for name in TRANSACTION_MODELS:
        TRANSACTION_MODELS[name].fit(warm_up)
        fits[name], seconds = _fit(name, statistics)
        if with_peers and name in peers.FITTED:
            peers.fit(name, warm_up)
            _show_peer("lifetimes on the same weighted tuples", fits[name], seconds, statistics)
            _show_peer("lifetimes on one row per customer", fits[name], seconds, raw)
    return fits


def _fit(name: str, statistics: TransactionStatistics) -> tuple[Fitted[Any], float]:
    held: list[Fitted[Any]] = []
    seconds = timed(lambda: held.append(TRANSACTION_MODELS[name].fit(statistics)))
    fit = held[0]
    estimates = ", ".join(f"{key} {value:.4f}" for key, value in zip(fit.parameter_names, fit.parameters, strict=True))
    print(f"{seconds:9.2f} s  {name}: {fit.status}, {fit.evaluations} evaluations; {estimates}", flush=True)
    return fit, seconds


def _rows(customers: pd.DataFrame) -> TransactionStatistics:
    """One row per customer, as lifetimes is used without counting; its fit then gets weights of 1."""
    recency, age = (customers[f"btyd_{name}_days"] / TIME_UNIT_DAYS for name in ("recency", "age"))
    return TransactionStatistics.unweighted(customers["btyd_frequency"], recency, age)


def _show_peer(what: str, fit: Fitted[TransactionModel], seconds: float, statistics: TransactionStatistics) -> None:
    """Print the fit of lifetimes as a multiple of ours, and both optima by our likelihood."""
    their_seconds, parameters, fault = peers.fit(fit.name, statistics)
    if parameters is None:
        print(f"           {fit.name}: {what} failed, {fault}", flush=True)
        return
    print(f"{their_seconds:9.2f} s  {fit.name}: {what}, {their_seconds / seconds:.1f} times ours", flush=True)
    apart = float(np.max(np.abs(parameters / fit.parameters - 1)))
    columns = (statistics.frequency, statistics.recency, statistics.age)
    theirs = TRANSACTION_MODELS[fit.name](*parameters).log_likelihood(*columns) @ statistics.weight
    better = fit.log_likelihood - theirs
    print(f"           parameters apart by up to {apart:.1e}, log-likelihood ours - theirs {better:.1e}")
