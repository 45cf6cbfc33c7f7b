"""What is true of the demo data by construction: the figures that a correct job must find again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from clv_lib.demo.attribute_history import draw_region_moves
from clv_lib.demo.experiments import ExperimentTruth
from clv_lib.demo.marketing import spend_totals
from clv_lib.demo.money import ORDER_AMOUNTS, RATE_DIGITS, REFUND_AMOUNTS, decimal_of_cents
from clv_lib.demo.orders import ACCEPTED, customer_ids
from clv_lib.demo.parameters import CustomerType, DemoParameters
from clv_lib.demo.recurring_truth import RecurringTruth, collect_recurring_truth


@dataclass(frozen=True)
class ChannelTruth:
    """New customers and acquisition spend of a channel over the whole history, in the reporting currency.

    `spend_amount` is of all cost types, `paid_spend_amount` of media only. A CAC is spend over new customers. Amounts
    are None where no such spend is recorded, and a CAC also where nobody came.
    """

    new_customers: int
    spend_amount: Decimal | None
    paid_spend_amount: Decimal | None
    cac_amount: Decimal | None
    paid_cac_amount: Decimal | None


@dataclass(frozen=True)
class DemoTruth:
    """The truth behind the demo data; money is exact, in the currency of the rows unless named otherwise.

    - `types`: customer type to its BG/NBD and Gamma-Gamma parameters.
    - `order_rows_by_fault`, `refund_rows_by_fault`: reason (`accepted` among them) to rows; they add up to the tables.
    - `order_money`: one row per fault and currency: `row_count` and the sum of each amount column.
    - `accepted_money`, `accepted_refund_money`: currency to amount column to sum over the accepted rows.
    - `accepted_net_amount`: gross - discount of accepted orders in the reporting currency, each at the last known
      rate of its day, not rounded.
    - `alive_customers`: customer type to buyers who have not left at the end.
    - `customers`: one row per buyer: the latent rates (per operational day), mean spend per purchase day, whether
      alive, orders, purchase days, first and last order date (`left_date`: the last order of those who left).
    - `prospects`: registered customers without an order.
    - `cac_amount`: acquisition spend over new customers, all channels.
    - `recurring`: what is true of the subscriptions.
    - `experiments`: experiment to what is true of it; latent figures above are those without it.
    - `region_moves`: one row per buyer who moved: `customer_id, moved_date, from_region, to_region`.
    """

    types: Mapping[str, CustomerType]
    order_rows_by_fault: Mapping[str, int]
    refund_rows_by_fault: Mapping[str, int]
    order_money: pd.DataFrame
    accepted_orders: int
    accepted_refunds: int
    accepted_customers: int
    prospects: int
    accepted_money: Mapping[str, Mapping[str, Decimal]]
    accepted_refund_money: Mapping[str, Mapping[str, Decimal]]
    accepted_net_amount: Decimal
    alive_customers: Mapping[str, int]
    customers: pd.DataFrame
    channels: Mapping[str, ChannelTruth]
    new_customers_by_month: Mapping[str, int]
    cac_amount: Decimal
    recurring: RecurringTruth
    region_moves: pd.DataFrame
    experiments: Mapping[str, ExperimentTruth] = field(default_factory=dict)


def collect_truth(
    parameters: DemoParameters,
    buyers: pd.DataFrame,
    is_alive: npt.NDArray[np.bool_],
    order_rows: pd.DataFrame,
    refund_rows: pd.DataFrame,
    spend: pd.DataFrame,
    subscription_rows: pd.DataFrame,
    prospects: int,
) -> DemoTruth:
    """Derive the truth from the frames in cents with their `fault` column."""
    accepted = order_rows[order_rows["fault"] == ACCEPTED]
    accepted_refunds = refund_rows[refund_rows["fault"] == ACCEPTED]
    customers = _customer_truth(parameters, buyers, is_alive, accepted)
    channels = _channel_truth(parameters, buyers, spend)
    known = [channel.spend_amount for channel in channels.values() if channel.spend_amount is not None]
    first_months = customers["first_order_date"].map(lambda day: f"{day:%Y-%m}")
    alive = customers.groupby("customer_type")["is_alive"].sum()
    return DemoTruth(
        types=MappingProxyType({kind.name: kind for kind in parameters.types}),
        order_rows_by_fault=_counts(order_rows["fault"]),
        refund_rows_by_fault=_counts(refund_rows["fault"]),
        order_money=_order_money(order_rows),
        accepted_orders=len(accepted),
        accepted_refunds=len(accepted_refunds),
        accepted_customers=len(customers),
        prospects=prospects,
        accepted_money=_sums(accepted, ORDER_AMOUNTS),
        accepted_refund_money=_sums(accepted_refunds, REFUND_AMOUNTS),
        accepted_net_amount=_net_amount(accepted),
        alive_customers=MappingProxyType({str(name): int(count) for name, count in alive.items()}),
        customers=customers,
        channels=channels,
        new_customers_by_month=_counts(first_months),
        cac_amount=sum(known, Decimal(0)) / len(customers),
        recurring=collect_recurring_truth(parameters, subscription_rows),
        region_moves=draw_region_moves(parameters, buyers),
    )


def _counts(values: pd.Series[str]) -> Mapping[str, int]:
    counts = values.value_counts().sort_index()
    return MappingProxyType({str(name): int(count) for name, count in counts.items()})


def _sums(rows: pd.DataFrame, columns: tuple[str, ...]) -> Mapping[str, Mapping[str, Decimal]]:
    sums = rows.groupby("currency_code")[list(columns)].sum()
    return MappingProxyType(
        {
            str(currency): MappingProxyType({name: decimal_of_cents(int(line[name])) for name in columns})
            for currency, line in sums.iterrows()
        }
    )


def _order_money(rows: pd.DataFrame) -> pd.DataFrame:
    groups = rows.groupby(["fault", "currency_code"])
    sums = groups[list(ORDER_AMOUNTS)].sum().map(decimal_of_cents)
    sums.insert(0, "row_count", groups.size())
    return sums.reset_index()


def _net_amount(accepted: pd.DataFrame) -> Decimal:
    net = (accepted["gross_amount"] - accepted["discount_amount"]) * accepted["rate_units"]
    return Decimal(int(net.sum())).scaleb(-2 - RATE_DIGITS)


def _customer_truth(
    parameters: DemoParameters, buyers: pd.DataFrame, is_alive: npt.NDArray[np.bool_], accepted: pd.DataFrame
) -> pd.DataFrame:
    by_customer = accepted.groupby("customer")
    dates = accepted["ordered_at"].dt.date.groupby(accepted["customer"])
    channels = np.array([channel.name for channel in parameters.channels], dtype=object)
    last = dates.max()
    return pd.DataFrame(
        {
            "customer_id": customer_ids(len(buyers)),
            "customer_type": np.array([kind.name for kind in parameters.types], dtype=object)[buyers["kind"]],
            "acquisition_channel": channels[buyers["channel"]],
            "purchase_rate_per_day": buyers["purchase_rate"],
            "dropout_probability": buyers["dropout_probability"],
            "mean_spend": buyers["mean_spend"],
            "is_alive": is_alive,
            "order_count": by_customer.size(),
            "purchase_day_count": by_customer["day"].nunique(),
            "first_order_date": dates.min(),
            "last_order_date": last,
            "left_date": last.where(~is_alive, None),
        }
    )


def _channel_truth(parameters: DemoParameters, buyers: pd.DataFrame, spend: pd.DataFrame) -> Mapping[str, ChannelTruth]:
    counts = np.bincount(buyers["channel"], minlength=len(parameters.channels))
    found = {}
    for channel, count in zip(parameters.channels, counts.tolist(), strict=True):
        if channel.cac_amount is None:
            found[channel.name] = ChannelTruth(count, None, None, None, None)
            continue
        total, paid = spend_totals(spend, channel.name, parameters.reporting_currency)
        found[channel.name] = ChannelTruth(count, total, paid, _per(total, count), _per(paid, count))
    return MappingProxyType(found)


def _per(amount: Decimal | None, count: int) -> Decimal | None:
    return None if amount is None or count == 0 else amount / count
