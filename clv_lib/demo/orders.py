"""Clean orders, refunds and customer rows of the demo, made from the purchase days; money in cents."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from clv_lib.demo.money import RATE_DIGITS
from clv_lib.demo.parameters import UNATTRIBUTED, DemoParameters
from clv_lib.demo.purchases import FloatArray, IntArray, draw_channels, region_of, type_of

ACCEPTED = "accepted"

_DAY_SECONDS = 86_400
# Between 06:00 and 22:00 UTC the date is the same in UTC and in the time zone of the reporting currency.
_OPENING, _CLOSING = 6 * 3600, 22 * 3600
_LAST_UPDATE = 22 * 3600 + 1800
_DISCOUNTS = (0.05, 0.10, 0.15, 0.20)
_INDUSTRIES = ("hospitality", "offices", "education", "healthcare", "construction")
_EMPLOYEE_BANDS = ("1-9", "10-49", "50-249", "250+")
_REFUND_REASONS = ("damaged", "wrong_size", "late_delivery", "changed_mind")


def utc(seconds: npt.ArrayLike) -> pd.DatetimeIndex:
    """Seconds since 1970 as UTC timestamps."""
    return pd.DatetimeIndex(np.asarray(seconds, dtype="datetime64[s]").astype("datetime64[ns]"), tz="UTC")


def seconds_of(times: pd.Series[pd.Timestamp]) -> IntArray:
    """Seconds since 1970 of UTC timestamps."""
    return np.asarray(times.astype("int64").to_numpy() // 10**9, dtype=np.int64)


def day_seconds(parameters: DemoParameters, day: IntArray) -> IntArray:
    """Seconds since 1970 of the start of each day of the history."""
    first = int(np.datetime64(parameters.history_start, "D").astype(np.int64))
    return (first + day) * _DAY_SECONDS


def customer_ids(count: int) -> npt.NDArray[np.object_]:
    """`C00001` and so on."""
    return np.array([f"C{number:05d}" for number in range(1, count + 1)], dtype=object)


def make_orders(
    parameters: DemoParameters,
    customers: pd.DataFrame,
    purchases: pd.DataFrame,
    rate_units: IntArray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One row per accepted order; a share of purchase days is split into two orders of the same value in all."""
    split = rng.random(len(purchases)) < parameters.same_day_share
    part = np.where(split, rng.uniform(0.3, 0.7, len(purchases)), 1.0)
    rest = purchases[split].assign(value=purchases["value"][split] * (1 - part[split]), is_rest=True)
    frame = pd.concat([purchases.assign(value=purchases["value"] * part, is_rest=False), rest], ignore_index=True)
    frame = frame.merge(customers[["channel"]], left_on="customer", right_index=True, how="left")
    frame["channel"] = _order_channels(parameters, frame, rng)
    frame = _with_times(parameters, frame, rng)
    frame = _with_amounts(parameters, frame, customers, rate_units, rng)
    return _with_flags(parameters, frame, rng)


def make_refunds(parameters: DemoParameters, orders: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Refunds of accepted orders up to the end of the history: whole ones, and partial ones (some twice)."""
    chosen = orders[rng.random(len(orders)) < parameters.refund_rate]
    partial = rng.random(len(chosen)) < parameters.partial_refund_share
    fraction = np.where(partial, rng.uniform(0.15, 0.45, len(chosen)), 1.0)
    again = partial & (rng.random(len(chosen)) < 0.15)
    chosen = pd.concat([chosen, chosen[again]], ignore_index=True)
    fraction = np.concatenate([fraction, fraction[again]])
    delay = rng.integers(2, 29, len(chosen)) * _DAY_SECONDS
    frame = refund_rows(chosen, fraction, chosen["day_start"].to_numpy() + delay + _clock_times(len(chosen), rng), rng)
    end = day_seconds(parameters, np.array([parameters.days]))[0]
    return frame[frame["refunded_at"] < utc([end])[0]].reset_index(drop=True)


def refund_rows(
    orders: pd.DataFrame, fraction: FloatArray, refunded: IntArray, rng: np.random.Generator
) -> pd.DataFrame:
    """One refund per given order over a fraction of its net value and tax; two thirds of the goods are sold again."""
    net = (orders["gross_amount"] - orders["discount_amount"]).to_numpy()
    restocked = np.where(rng.random(len(orders)) < 2 / 3, fraction, 0.0)
    return pd.DataFrame(
        {
            "order_id": orders["order_id"].to_numpy(),
            "customer_id": orders["customer_id"].to_numpy(),
            "currency_code": orders["currency_code"].to_numpy(),
            "refund_amount": np.maximum(np.floor(net * fraction), 1).astype(np.int64),
            "tax_amount": np.floor(orders["tax_amount"].to_numpy() * fraction).astype(np.int64),
            "cost_recovered_amount": np.floor(orders["cost_amount"].to_numpy() * restocked).astype(np.int64),
            "reason": rng.choice(np.array(_REFUND_REASONS, dtype=object), len(orders)),
            "refunded_at": utc(refunded),
            "updated_at": utc(refunded + 60),
        }
    )


def make_customers(
    parameters: DemoParameters, customers: pd.DataFrame, first_ordered: IntArray, rng: np.random.Generator
) -> pd.DataFrame:
    """One row per buyer and per prospect (registered, never ordered); industry and size only for companies."""
    prospects = max(1, round(parameters.customers * parameters.prospect_share))
    sample = customers.sample(prospects, random_state=rng)
    day = rng.integers(0, parameters.days, prospects)
    sample = sample.assign(channel=draw_channels(parameters, day, rng))
    both = pd.concat([customers, sample], ignore_index=True)
    registered = np.concatenate([first_ordered, day_seconds(parameters, day) + _OPENING])
    created = utc(registered - rng.integers(120, 5 * 3600, len(both)))
    kinds = np.array([kind.name for kind in type_of(parameters, both)], dtype=object)
    regions = region_of(parameters, both)
    channel = channel_names(parameters, both["channel"].to_numpy())
    campaign = [None if name is None else f"{name}_{kind}" for name, kind in zip(channel, kinds, strict=True)]
    return pd.DataFrame(
        {
            "customer_id": customer_ids(len(both)),
            "customer_type": kinds,
            "industry": _companies_only(kinds, _INDUSTRIES, (0.3, 0.25, 0.2, 0.15, 0.1), rng),
            "employee_band": _companies_only(kinds, _EMPLOYEE_BANDS, (0.5, 0.3, 0.15, 0.05), rng),
            "region": [region.name for region in regions],
            "country_code": [region.country_code for region in regions],
            "acquisition_channel": channel,
            "acquisition_campaign": campaign,
            "created_at": created,
            "updated_at": created,
            "is_deleted": False,
        }
    )


def channel_names(parameters: DemoParameters, channel: IntArray) -> npt.NDArray[np.object_]:
    """Names of channel indices; the unattributed ones as None, as a shop would store them."""
    names = [None if channel.name == UNATTRIBUTED else channel.name for channel in parameters.channels]
    return np.array(names, dtype=object)[channel]


def _order_channels(
    parameters: DemoParameters, frame: pd.DataFrame, rng: np.random.Generator
) -> npt.NDArray[np.object_]:
    weights = np.array([channel.repeat_share for channel in parameters.channels])
    repeat = rng.choice(len(weights), len(frame), p=weights / weights.sum())
    is_first_day = frame["day"] == frame.groupby("customer")["day"].transform("min")
    return channel_names(parameters, np.where(is_first_day, frame["channel"], repeat))


def _with_times(parameters: DemoParameters, frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Ordered, updated (1 to 72 hours later, within the history) and ingested times, in seconds; sorted by time."""
    start = day_seconds(parameters, frame["day"].to_numpy())
    ordered = start + _clock_times(len(frame), rng)
    end = day_seconds(parameters, np.array([parameters.days - 1]))[0] + _LAST_UPDATE
    updated = np.minimum(ordered + rng.integers(3600, 72 * 3600, len(frame)), end)
    ingested = updated + rng.integers(30, 1200, len(frame))
    timed = frame.assign(day_start=start, ordered_at=utc(ordered), updated_at=utc(updated), ingested_at=utc(ingested))
    return timed.sort_values(["ordered_at", "customer", "is_rest"], ignore_index=True)


def _with_amounts(
    parameters: DemoParameters,
    frame: pd.DataFrame,
    customers: pd.DataFrame,
    rate_units: IntArray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Amounts in cents of the order's currency; total = gross - discount + tax + shipping holds to the cent."""
    buyers = customers.iloc[frame["customer"].to_numpy()]
    kinds, regions = type_of(parameters, buyers), region_of(parameters, buyers)
    currency = np.array([region.currency_code for region in regions], dtype=object)
    is_foreign = currency == parameters.foreign_currency
    rate = np.where(is_foreign, rate_units[frame["day"]] / 10.0**RATE_DIGITS, 1.0)
    value = frame["value"].to_numpy()
    share = np.where(rng.random(len(frame)) < parameters.discount_share, rng.choice(_DISCOUNTS, len(frame)), 0.0)
    gross = np.rint(100 * value / rate / (1 - share)).astype(np.int64)
    discount = np.rint(gross * share).astype(np.int64)
    net = gross - discount
    tax = np.rint(net * np.array([region.tax_rate for region in regions])).astype(np.int64)
    is_charged = value < np.array([kind.free_shipping_from for kind in kinds])
    shipping = np.where(is_charged, [round(100 * kind.shipping_amount) for kind in kinds], 0).astype(np.int64)
    cost_share = np.array([kind.cost_share for kind in kinds]) + rng.normal(0.0, 0.02, len(frame))
    total = net + tax + shipping
    return frame.assign(
        customer_id=customer_ids(len(customers))[frame["customer"]],
        currency_code=currency,
        gross_amount=gross,
        discount_amount=discount,
        tax_amount=tax,
        shipping_amount=shipping,
        total_amount=total,
        cost_amount=np.rint(net * np.clip(cost_share, 0.05, 0.95)).astype(np.int64),
        payment_fee_amount=np.rint(total * parameters.payment_fee_rate + 100 * parameters.payment_fee_amount).astype(
            np.int64
        ),
        rate_units=np.where(is_foreign, rate_units[frame["day"]], 10**RATE_DIGITS),
    )


def _with_flags(parameters: DemoParameters, frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    age = parameters.days - 1 - frame["day"]
    status = np.select([age < 1, age < 3], ["placed", "paid"], "fulfilled").astype(object)
    in_store = rng.random(len(frame)) < 0.2
    store = rng.choice(np.array(["S01", "S02", "S03", "S04"], dtype=object), len(frame))
    return frame.assign(
        order_status=status,
        store_id=np.where(in_store, store, "ONLINE"),
        source_system=np.where(in_store, "tills", "web_shop"),
        item_count=(1 + rng.poisson(1.4, len(frame))).astype(np.int32),
        is_test_order=False,
        is_gift_card_order=False,
        is_deleted=False,
        fault=ACCEPTED,
    )


def _clock_times(count: int, rng: np.random.Generator) -> IntArray:
    return rng.integers(_OPENING, _CLOSING, count)


def _companies_only(
    kinds: npt.NDArray[np.object_], values: tuple[str, ...], weights: tuple[float, ...], rng: np.random.Generator
) -> npt.NDArray[np.object_]:
    drawn = rng.choice(np.array(values, dtype=object), len(kinds), p=weights)
    return np.where(kinds == "b2b", drawn, np.array(None, dtype=object))
