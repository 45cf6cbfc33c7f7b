"""Step intake: sources become silver, bad rows go to quarantine, and every row and cent is accounted for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.put_aside import ACCEPTED, CONSERVATION, INPUT, QUARANTINED_ROWS, ROWS_PUT_ASIDE
from clv_lib.contracts.silver import CUSTOMER_MONTHS
from clv_lib.customers.metrics import CONTRIBUTION_MARGIN, NET_REVENUE
from clv_lib.errors import ContractError, Fault
from clv_lib.experiments.assignments import ASSIGNMENT_AMOUNT, ASSIGNMENT_KEY, judged_assignments
from clv_lib.orders.acquisitions import CREDIT_KEY, NO_AMOUNT, uncosted
from clv_lib.orders.attribute_history import HISTORY_KEY
from clv_lib.orders.currency import normalised_currency
from clv_lib.orders.disposition import counted, quarantined, repeated_ids, totals
from clv_lib.orders.put_aside import quarantined_of
from clv_lib.orders.spend import SPEND_KEY, judged_spend, with_spend_dispositions
from clv_lib.pipeline.acquisitions import SOURCE as CREDITS_SOURCE
from clv_lib.pipeline.acquisitions import credit_rows, write_acquisition_credits
from clv_lib.pipeline.attributes import attribute_periods
from clv_lib.pipeline.experiments import SOURCE as ASSIGNMENTS_SOURCE
from clv_lib.pipeline.experiments import assignment_inputs
from clv_lib.pipeline.order_states import union
from clv_lib.pipeline.plans import read_plan
from clv_lib.pipeline.rates import SOURCE as RATES
from clv_lib.pipeline.rates import exchange_rates, refuse_bad_rates
from clv_lib.pipeline.rebuilding import rebuilt_states
from clv_lib.pipeline.recurring import stored_subscriptions, subscription_rows, write_subscription_periods
from clv_lib.pipeline.refreshing import states_of_orders
from clv_lib.pipeline.workspace import at_once
from clv_lib.recurring.subscription_periods import PERIOD_KEY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace


@dataclass(frozen=True)
class Accounted:
    """Rows of one source with their dispositions, and what the source held before anything was judged."""

    name: str
    key: str
    amount: str
    inputs: DataFrame
    rows: DataFrame


@dataclass(frozen=True)
class Part:
    """A part of the intake: what it wrote, its quarantined rows, and what `totals` adds up of its rows."""

    work: Workspace
    quarantined: list[DataFrame]
    counted: list[DataFrame]


def intake(work: Workspace) -> Workspace:
    """Write the silver tables, quarantined_rows and conservation."""
    refuse_misfits(work)
    refuse_unusable(work)
    rates = exchange_rates(work)
    rates = None if rates is None else work.keep(rates)
    orders, beside = at_once(lambda: _orders(work, rates), lambda: _beside_orders(work, rates))
    work = orders.work.with_states_of(beside.work)
    work.write_all(
        (QUARANTINED_ROWS, union([*orders.quarantined, *beside.quarantined])),
        (CONSERVATION, totals(union([*orders.counted, *beside.counted])).where("row_count > 0")),
    )
    return replace(work, run=replace(work.run, value_basis=work.run.value_basis or value_basis(work)))


def refuse_misfits(work: Workspace) -> None:
    """ContractError with every source that does not fit its contract, before a row of any is read."""
    errors = [error for error in (_misfit(work, name) for name in work.sources) if error is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        faults = [
            Fault(error.what, error.where, found="\n".join(fault.what for fault in error.faults)) for error in errors
        ]
        step = "map the columns under sources.NAME.columns; `clv contract NAME` lists those of a source"
        raise ContractError(f"{len(errors)} sources do not fit their contracts", next_step=step, faults=faults)


def refuse_unusable(work: Workspace) -> None:
    """ContractError where one bad row would make figures wrong that do not show it: in exchange rates and plans."""
    rates = work.mapped(RATES)
    if rates is not None:
        refuse_bad_rates(rates, work.sources[RATES].source.table)
    read_plan(work)


def _misfit(work: Workspace, name: str) -> ContractError | None:
    try:
        work.mapped(name)
    except ContractError as error:
        return error
    return None


def _orders(work: Workspace, rates: DataFrame | None) -> Part:
    """Write the silver tables of orders and refunds."""
    work, account = (rebuilt_states if work.run.is_rebuild else states_of_orders)(work, rates)
    return Part(work, [quarantined_of(work.read(ROWS_PUT_ASIDE))], account)


def _beside_orders(work: Workspace, rates: DataFrame | None) -> Part:
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
    found = [quarantined(one.rows, one.name, one.key, one.amount) for one in accounts]
    return Part(work, found, [part for one in accounts for part in _counted(work, one)])


def value_basis(work: Workspace) -> str:
    """Contribution margin if the cost of goods of any order is known, else net revenue."""
    is_unknown = work.read(CUSTOMER_MONTHS).where("margin_order_count > 0").isEmpty()
    return NET_REVENUE if is_unknown else CONTRIBUTION_MARGIN


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
    return [Accounted(ASSIGNMENTS_SOURCE, ASSIGNMENT_KEY, ASSIGNMENT_AMOUNT, inputs, rows)]


def _attribute_accounts(work: Workspace) -> list[Accounted]:
    rows = attribute_periods(work)
    return [] if rows is None else [Accounted("customer_attributes_history", HISTORY_KEY, "amount", rows, rows)]


def _credit_accounts(work: Workspace, rows: DataFrame | None) -> list[Accounted]:
    mapped = work.mapped(CREDITS_SOURCE)
    if rows is None or mapped is None:
        return []
    return [Accounted(CREDITS_SOURCE, CREDIT_KEY, NO_AMOUNT, uncosted(mapped), rows)]


def _counted(work: Workspace, account: Accounted) -> list[DataFrame]:
    """What a source held and what became of it; accepted subscriptions are counted where they are stored."""
    held = counted(account.inputs, account.name, account.amount, F.lit(INPUT))
    judged = counted(account.rows, account.name, account.amount, F.col("disposition"))
    if account.name != "subscriptions":
        return [held, judged]
    return [held, judged.where(F.col("disposition") != ACCEPTED), stored_subscriptions(work, account.name)]
