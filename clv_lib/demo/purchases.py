"""Who the demo customers are and on which days they buy for how much: the latent process, before any order row.

Days are whole numbers from `history_start` (0) to `as_of` (`days` - 1).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from clv_lib.demo.parameters import CustomerType, DemoParameters, Region

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_PAUSED_INFLOW = 0.2
_MAXIMUM_DAILY_RATE = 0.5
_MINIMUM_SPEND = 2.0


def month_labels(parameters: DemoParameters) -> npt.NDArray[np.str_]:
    """`YYYY-MM` of each day of the history."""
    return _days(parameters).astype("datetime64[M]").astype(str)


def operational_clock(parameters: DemoParameters) -> FloatArray:
    """Operational days elapsed at the start of each calendar day, shape (days + 1,); season factors of mean 1."""
    factors = np.array(parameters.season) / np.mean(parameters.season)
    month_of_year = _days(parameters).astype("datetime64[M]").astype(np.int64) % 12
    return np.concatenate([[0.0], np.cumsum(factors[month_of_year])])


def draw_customers(parameters: DemoParameters, rng: np.random.Generator) -> pd.DataFrame:
    """One row per buyer: type, region, channel, latent rates, operational time of the first purchase; index 0..n-1."""
    count = parameters.customers
    clock = operational_clock(parameters)
    kind = rng.choice(len(parameters.types), count, p=_weights([t.share for t in parameters.types]))
    region = rng.choice(len(parameters.regions), count, p=_weights([r.share for r in parameters.regions]))
    latent = pd.DataFrame({name: _of_type(parameters, kind, name) for name in ("r", "alpha_days", "a", "b", "p")})
    rate = rng.gamma(latent["r"], 1.0) / latent["alpha_days"]
    started = np.sort(rng.uniform(0.0, clock[-1], count))
    spend_rate = rng.gamma(_of_type(parameters, kind, "q"), 1.0) / _of_type(parameters, kind, "gamma_amount")
    return pd.DataFrame(
        {
            "kind": kind,
            "region": region,
            "channel": draw_channels(parameters, calendar_day(clock, started), rng),
            "purchase_rate": np.minimum(rate, _MAXIMUM_DAILY_RATE),
            "dropout_probability": rng.beta(latent["a"], latent["b"]),
            "mean_spend": latent["p"] / spend_rate,
            "started": started,
        }
    )


def draw_purchases(
    parameters: DemoParameters, customers: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    """Purchase days (customer, day, value in the reporting currency), and who is alive at the end (BG/NBD).

    A customer is alive until the chance to leave after a repeat purchase strikes; one without a repeat is alive.
    """
    clock = operational_clock(parameters)
    moment = customers["started"].to_numpy(np.float64)
    rate = customers["purchase_rate"].to_numpy(np.float64)
    dropout = customers["dropout_probability"].to_numpy(np.float64)
    alive = np.ones(len(customers), dtype=np.bool_)
    active = np.arange(len(customers))
    buyers, moments = [active], [moment]
    while len(active):
        moment = moment + rng.exponential(1.0 / rate[active])
        seen = moment < clock[-1]
        active, moment = active[seen], moment[seen]
        buyers.append(active)
        moments.append(moment)
        leaves = rng.random(len(active)) < dropout[active]
        alive[active[leaves]] = False
        active, moment = active[~leaves], moment[~leaves]
    events = pd.DataFrame(
        {"customer": np.concatenate(buyers), "day": calendar_day(clock, np.concatenate(moments))}
    ).drop_duplicates()
    events = events.sort_values(["day", "customer"], ignore_index=True)
    shape = _of_type(parameters, customers["kind"].to_numpy()[events["customer"]], "p")
    scale = customers["mean_spend"].to_numpy()[events["customer"]] / shape
    events["value"] = np.maximum(rng.gamma(shape, scale), _MINIMUM_SPEND)
    return events, alive


def calendar_day(clock: FloatArray, moment: FloatArray) -> IntArray:
    """The day index in which each operational moment falls."""
    return np.clip(np.searchsorted(clock, moment, side="right") - 1, 0, len(clock) - 2).astype(np.int64)


def draw_channels(parameters: DemoParameters, day: IntArray, rng: np.random.Generator) -> IntArray:
    """The acquisition channel (index) of customers who start on the given days; paused channels bring few."""
    table = channel_inflow(parameters)[day]
    steps = np.cumsum(table / table.sum(axis=1, keepdims=True), axis=1)
    picked = np.sum(rng.random(len(day))[:, None] > steps, axis=1)
    return np.asarray(np.minimum(picked, len(parameters.channels) - 1), dtype=np.int64)


def channel_inflow(parameters: DemoParameters) -> FloatArray:
    """The weight of each channel among new customers on each day, shape (days, channels)."""
    months = month_labels(parameters)
    shares = np.array([channel.first_share for channel in parameters.channels])
    paused = np.column_stack([np.isin(months, channel.paused_months) for channel in parameters.channels])
    return np.asarray(np.where(paused, _PAUSED_INFLOW, 1.0) * shares, dtype=np.float64)


def type_of(parameters: DemoParameters, customers: pd.DataFrame) -> list[CustomerType]:
    """The customer type of each row."""
    return [parameters.types[index] for index in customers["kind"]]


def region_of(parameters: DemoParameters, customers: pd.DataFrame) -> list[Region]:
    """The region of each row."""
    return [parameters.regions[index] for index in customers["region"]]


def _of_type(parameters: DemoParameters, kind: IntArray, name: str) -> FloatArray:
    return np.array([getattr(t, name) for t in parameters.types], dtype=np.float64)[kind]


def _weights(shares: list[float]) -> FloatArray:
    weights = np.array(shares, dtype=np.float64)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _days(parameters: DemoParameters) -> npt.NDArray[np.datetime64]:
    first = np.datetime64(parameters.history_start, "D")
    return np.arange(first, first + np.timedelta64(parameters.days, "D"), dtype="datetime64[D]")
