"""lifetimes beside clv: the same tuples to fit, the same parameters to score with; its failures are results."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tests.benchmarks.measuring import timed

if TYPE_CHECKING:
    from pathlib import Path

    from clv_lib.models import FloatArray, TransactionModel, TransactionStatistics

FITTED = ("bg_nbd", "mbg_nbd")
"""Models whose fit by lifetimes is measured; that of Pareto/NBD, by Nelder and Mead, takes hours for a million."""


def fit(name: str, statistics: TransactionStatistics) -> tuple[float, FloatArray | None, str]:
    """Seconds of the weighted fit, its parameters, and why there are none."""
    fitter = _fitter(name)
    columns = (statistics.frequency, statistics.recency, statistics.age)
    with _quiet():
        try:
            seconds = timed(lambda: fitter.fit(*columns, weights=statistics.weight))
        except Exception as fault:  # noqa: BLE001 whatever it raises is what was measured
            lines = str(fault).strip().splitlines() or [""]
            return np.nan, None, f"{type(fault).__name__}: {lines[0]}"
    return seconds, fitter.params_.to_numpy(float), ""


def score(model: TransactionModel, horizon: float, rows: pd.DataFrame, time_unit_days: float) -> pd.DataFrame:
    """Expected orders and P(alive) of customers, by the formulas of lifetimes with the parameters of our model."""
    fitter = _fitter(model.name)
    fitter.params_ = pd.Series({name: getattr(model, name) for name in model.parameter_names})
    x = rows["btyd_frequency"].to_numpy(float)
    recency, age = (rows[f"btyd_{name}_days"].to_numpy(float) / time_unit_days for name in ("recency", "age"))
    with _quiet():
        expected = fitter.conditional_expected_number_of_purchases_up_to_time(horizon, x, recency, age)
        alive = fitter.conditional_probability_alive(x, recency, age)
    return pd.DataFrame({"expected_orders": np.asarray(expected), "probability_alive": np.asarray(alive)})


def values(customers: pd.DataFrame, file: Path) -> dict[str, float]:
    """Seconds of what its documentation shows: both fits, orders and P(alive) of a year, its value, written to a file.

    `customers` has its four columns, a row each, times in weeks. What comes after a failure is NaN; the error is shown.
    """
    with _quiet():
        from lifetimes import BetaGeoFitter, GammaGammaFitter

    orders, spend = BetaGeoFitter(), GammaGammaFitter()
    x, recency, age, mean = (customers[name] for name in ("frequency", "recency", "T", "monetary_value"))
    repeated = (x > 0) & (mean > 0)

    def scored() -> None:
        foreseen = customers.assign(
            expected_orders=orders.conditional_expected_number_of_purchases_up_to_time(365 / 7, x, recency, age),
            probability_alive=orders.conditional_probability_alive(x, recency, age),
            predicted_value=spend.customer_lifetime_value(orders, x, recency, age, mean, time=12, freq="W"),
        )
        foreseen.to_parquet(file)

    parts: dict[str, Callable[[], object]] = {
        "fit of BG/NBD": lambda: orders.fit(x, recency, age),
        "fit of Gamma-Gamma": lambda: spend.fit(x[repeated], mean[repeated]),
        "scores of a year, to Parquet": scored,
    }
    seconds = dict.fromkeys(parts, np.nan)
    fault: Exception | None = None
    with _quiet():
        try:
            for name, part in parts.items():
                seconds[name] = timed(part)
        except Exception as raised:  # noqa: BLE001 whatever it raises is what was measured
            fault = raised
    if fault is not None:
        print(f"             lifetimes failed: {type(fault).__name__}: {fault}")
    return seconds


def _fitter(name: str) -> Any:
    with _quiet():
        from lifetimes import BetaGeoFitter, ModifiedBetaGeoFitter, ParetoNBDFitter
    return {"bg_nbd": BetaGeoFitter, "mbg_nbd": ModifiedBetaGeoFitter, "pareto_nbd": ParetoNBDFitter}[name]()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without its warnings of overflow, and without what it prints of a search that failed."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
