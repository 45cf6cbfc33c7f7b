"""Step intake: sources become silver, bad rows go to quarantine, and every row and cent is accounted for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clv_lib.contracts.silver import (
    CONSERVATION,
    CUSTOMER_MONTHS,
    CUSTOMER_ORDERS,
    CUSTOMER_REFUNDS,
    QUARANTINED_ROWS,
)
from clv_lib.customers.metrics import CONTRIBUTION_MARGIN, NET_REVENUE
from clv_lib.errors import ContractError
from clv_lib.experiments.assignments import ASSIGNMENT_AMOUNT, ASSIGNMENT_KEY, judged_assignments
from clv_lib.orders import refunds as refunding
from clv_lib.orders.acquisitions import CREDIT_KEY, NO_AMOUNT, uncosted
from clv_lib.orders.attribute_history import HISTORY_KEY
from clv_lib.orders.currency import daily_rates, normalised_currency, rate_faults
from clv_lib.orders.disposition import (
    ACCEPTED,
    INPUT,
    counted,
    quarantined,
    repeated_ids,
    totals,
)
from clv_lib.orders.history import customer_orders
from clv_lib.orders.intake import (
    LINE_KEY,
    ORDER_KEY,
    in_reporting_currency,
    judged_orders,
    with_line_dispositions,
    with_order_dispositions,
)
from clv_lib.orders.lines import contradictory_orders, counted_lines, orders_of_lines, refunds_of_lines
from clv_lib.orders.months import customer_months
from clv_lib.orders.spend import SPEND_KEY, judged_spend, with_spend_dispositions
from clv_lib.pipeline.acquisitions import SOURCE as CREDITS_SOURCE
from clv_lib.pipeline.acquisitions import credit_rows, write_acquisition_credits
from clv_lib.pipeline.attributes import attribute_periods
from clv_lib.pipeline.experiments import assignment_inputs
from clv_lib.pipeline.recurring import stored_subscriptions, subscription_rows, write_subscription_periods
from clv_lib.pipeline.workspace import at_once
from clv_lib.recurring.subscription_periods import PERIOD_KEY

if TYPE_CHECKING:
    from clv_lib.pipeline.workspace import Workspace

LINE_REFUNDS = "refund_lines"
"""Name under which the refunds made of negative order lines are accounted for."""


@dataclass(frozen=True)
class Accounted:
    """Rows of one source with their dispositions, and what the source held before anything was judged."""

    name: str
    key: str
    amount: str
    inputs: DataFrame
    rows: DataFrame


def intake(work: Workspace) -> Workspace:
    """Write the silver tables, quarantined_rows and conservation."""
    refuse_bad_rates(work)
    rates = exchange_rates(work)
    rates = None if rates is None else work.keep(rates)
    (of_orders, order_accounts), (beside, other_accounts) = at_once(
        lambda: _states_of_orders(work, rates), lambda: _states_beside_orders(work, rates)
    )
    work = of_orders.with_states_of(beside)
    accounts = [*order_accounts, *other_accounts]
    work.write_all(
        (QUARANTINED_ROWS, _union([quarantined(a.rows, a.name, a.key, a.amount) for a in accounts])),
        (CONSERVATION, _conservation(work, accounts)),
    )
    return replace(work, run=replace(work.run, value_basis=value_basis(work)))


def _states_of_orders(work: Workspace, rates: DataFrame | None) -> tuple[Workspace, list[Accounted]]:
    """Write customer_refunds, customer_orders and customer_months."""
    orders, accounted = _orders(work, rates)
    refunds, refund_accounts = _refunds(work, rates, orders, accounted)
    if refunds is not None:
        work = work.write_state(CUSTOMER_REFUNDS, refunding.customer_refunds(refunds))
    else:
        work = work.write_state(CUSTOMER_REFUNDS, work.frame(CUSTOMER_REFUNDS))
    stored_refunds = work.read(CUSTOMER_REFUNDS) if refunds is not None else None
    accepted = orders.where(F.col("disposition") == ACCEPTED)
    valued = refunding.with_refunds(in_reporting_currency(accepted), stored_refunds)
    ordered = customer_orders(valued).sortWithinPartitions("ordered_month", "customer_id", "order_number")
    work = work.write_state(CUSTOMER_ORDERS, ordered)
    months = customer_months(work.read(CUSTOMER_ORDERS), work.read(CUSTOMER_REFUNDS))
    work = work.write_state(CUSTOMER_MONTHS, months.sortWithinPartitions("month", "customer_id"))
    return work, [accounted, *refund_accounts]


def _states_beside_orders(work: Workspace, rates: DataFrame | None) -> tuple[Workspace, list[Accounted]]:
    """Write subscription_periods and acquisition_credits, and judge the sources that stay sources."""
    subscriptions, credited = subscription_rows(work, rates), credit_rows(work)
    work = write_subscription_periods(work, subscriptions)
    work = write_acquisition_credits(work, credited)
    accounts = [
        *_spend_accounts(work, rates),
        *_subscription_accounts(work, subscriptions),
        *_assignment_accounts(work),
        *_attribute_accounts(work),
        *_credit_accounts(work, credited),
    ]
    return work, accounts


def value_basis(work: Workspace) -> str:
    """Contribution margin if the cost of goods of any order is known, else net revenue."""
    is_unknown = work.read(CUSTOMER_MONTHS).where("margin_order_count > 0").isEmpty()
    return NET_REVENUE if is_unknown else CONTRIBUTION_MARGIN


def exchange_rates(work: Workspace) -> DataFrame | None:
    """Rates per day into the reporting currency, or None without such a source. The intake refuses bad ones."""
    rates = work.mapped("exchange_rates")
    if rates is None:
        return None
    return daily_rates(rates, work.settings.reporting.currency, work.settings.orders.max_rate_age_days, work.as_of)


def refuse_bad_rates(work: Workspace) -> None:
    """ContractError for rates that cannot be used; later steps of the run read the same version unchecked."""
    rates = work.mapped("exchange_rates")
    if rates is None:
        return
    faults = rate_faults(rates).orderBy("rate_date", "from_currency_code").limit(5).collect()
    if faults:
        listed = "; ".join(f"{r.rate_date} {r.from_currency_code}->{r.to_currency_code}: {r.fault}" for r in faults)
        raise ContractError(
            "the exchange rates cannot be trusted",
            where=f"sources.exchange_rates: {work.sources['exchange_rates'].source.table}",
            expected="one positive rate per day and pair of currencies",
            found=listed,
            next_step="correct the table, or leave bad rows out by sources.exchange_rates.filter",
        )


def _orders(work: Workspace, rates: DataFrame | None) -> tuple[DataFrame, Accounted]:
    """Order rows with dispositions, at the grain of orders, and the account of the source's own rows."""
    mapped = work.mapped("orders")
    if mapped is None:
        raise ContractError("no orders", where="sources.orders", next_step="configure the source orders")
    is_line = work.settings.sources.orders.grain == "line"
    repeated = work.keep_any(repeated_ids(mapped, LINE_KEY if is_line else ORDER_KEY))
    judged = judged_orders(mapped, rates, work.settings, work.as_of, is_line=is_line)
    if is_line:
        contradictory = work.keep_any(contradictory_orders(normalised_currency(mapped)))
        rows = work.keep(with_line_dispositions(judged, repeated, contradictory, work.settings, work.as_of))
    else:
        rows = work.keep(with_order_dispositions(judged, repeated, work.settings, work.as_of))
    if not work.settings.gate.allow_empty and rows.isEmpty():
        raise ContractError(
            "the source orders has no rows",
            where=f"sources.orders: {work.sources['orders'].source.table}",
            expected="at least one row",
            next_step="check the table and sources.orders.filter; gate.allow_empty publishes empty tables on purpose",
        )
    account = Accounted("orders", ORDER_KEY, "net_amount", normalised_currency(mapped), rows)
    return (orders_of_lines(rows).withColumn("disposition", F.lit(ACCEPTED)) if is_line else rows), account


def _refunds(
    work: Workspace, rates: DataFrame | None, orders: DataFrame, account: Accounted
) -> tuple[DataFrame | None, list[Accounted]]:
    """Refunds of the source and of negative lines with their orders and dispositions."""
    index = refunding.order_index(orders)
    accounts: list[Accounted] = []
    mapped = work.mapped("refunds")
    if mapped is not None:
        repeated = work.keep_any(repeated_ids(mapped, refunding.REFUND_KEY))
        judged = refunding.judged_refunds(mapped, rates, work.settings, work.as_of)
        resolved = work.keep(refunding.resolved_refunds(judged, repeated))
        found = refunding.with_order(resolved, index, fall_back=False)
        rows = work.keep(refunding.with_refund_dispositions(found, work.as_of))
        accounts.append(Accounted("refunds", refunding.REFUND_KEY, "refund_amount", normalised_currency(mapped), rows))
    if work.settings.sources.orders.grain == "line":
        made = work.keep(refunds_of_lines(account.rows).withColumn("version_disposition", F.lit(None).cast("string")))
        found = refunding.with_order(made, index, fall_back=True)
        rows = work.keep(refunding.with_refund_dispositions(found, work.as_of))
        accounts.append(Accounted(LINE_REFUNDS, refunding.REFUND_KEY, "refund_amount", made, rows))
    if not accounts:
        return None, accounts
    columns = accounts[-1].rows.columns
    return _union([a.rows.select(*columns) for a in accounts]), accounts


def spend_rows(work: Workspace, rates: DataFrame | None) -> DataFrame | None:
    """Marketing spend with dispositions, or None without such a source."""
    mapped = work.mapped("marketing_spend")
    if mapped is None:
        return None
    repeated = work.keep_any(repeated_ids(mapped, SPEND_KEY))
    judged = judged_spend(mapped, rates, work.settings, work.as_of)
    return work.keep(with_spend_dispositions(judged, repeated, work.settings.economics.spend_purposes, work.as_of))


def _spend_accounts(work: Workspace, rates: DataFrame | None) -> list[Accounted]:
    rows, mapped = spend_rows(work, rates), work.mapped("marketing_spend")
    if rows is None or mapped is None:
        return []
    return [Accounted("marketing_spend", SPEND_KEY, "spend_amount", normalised_currency(mapped), rows)]


def _subscription_accounts(work: Workspace, rows: DataFrame | None) -> list[Accounted]:
    mapped = work.mapped("subscriptions")
    if rows is None or mapped is None:
        return []
    return [Accounted("subscriptions", PERIOD_KEY, "recurring_amount", normalised_currency(mapped), rows)]


def _assignment_accounts(work: Workspace) -> list[Accounted]:
    inputs = assignment_inputs(work)
    if inputs is None:
        return []
    rows = work.keep(judged_assignments(inputs, work.settings, work.as_of))
    return [Accounted("experiment_assignments", ASSIGNMENT_KEY, ASSIGNMENT_AMOUNT, inputs, rows)]


def _attribute_accounts(work: Workspace) -> list[Accounted]:
    rows = attribute_periods(work)
    return [] if rows is None else [Accounted("customer_attributes_history", HISTORY_KEY, "amount", rows, rows)]


def _credit_accounts(work: Workspace, rows: DataFrame | None) -> list[Accounted]:
    mapped = work.mapped(CREDITS_SOURCE)
    if rows is None or mapped is None:
        return []
    return [Accounted(CREDITS_SOURCE, CREDIT_KEY, NO_AMOUNT, uncosted(mapped), rows)]


def _conservation(work: Workspace, accounts: list[Accounted]) -> DataFrame:
    """What each source held, what was put aside, and what the stored silver tables hold, in one aggregation."""
    return totals(_union([part for account in accounts for part in _counted(work, account)]))


def _counted(work: Workspace, account: Accounted) -> list[DataFrame]:
    """Accepted orders and refunds are counted where they are stored; lines only add up to orders by their money."""
    held = counted(account.inputs, account.name, account.amount, F.lit(INPUT))
    judged = counted(account.rows, account.name, account.amount, F.col("disposition"))
    stored = _STORED.get(account.name)
    if stored is None:
        return [held, judged]
    accepted = stored(work, account.name)
    if account.name == "orders" and work.settings.sources.orders.grain == "line":
        return [held, counted_lines(judged, accepted)]
    return [held, judged.where(F.col("disposition") != ACCEPTED), accepted]


def _stored_orders(work: Workspace, name: str) -> DataFrame:
    return counted(work.read(CUSTOMER_ORDERS), name, "net_amount_original", F.lit(ACCEPTED))


def _stored_refunds(work: Workspace, name: str) -> DataFrame:
    is_made = F.col("refund_id").endswith("#refund")
    rows = work.read(CUSTOMER_REFUNDS).where(is_made if name == LINE_REFUNDS else ~is_made)
    return counted(rows, name, "refund_amount_original", F.lit(ACCEPTED))


_STORED: dict[str, Callable[[Workspace, str], DataFrame]] = {
    "orders": _stored_orders,
    "refunds": _stored_refunds,
    LINE_REFUNDS: _stored_refunds,
    "subscriptions": stored_subscriptions,
}


def _union(frames: list[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionByName, frames)
