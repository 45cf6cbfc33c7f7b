"""What a run would quarantine of the first rows of a source, and which statuses of orders would count."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.inputs import NO_EXCHANGE_RATE, acquisition_rules, counted_reason
from clv_lib.doctor.checks import FAIL, WARN, Check
from clv_lib.errors import ContractError
from clv_lib.experiments.assignments import accountable_assignments, judged_assignments
from clv_lib.orders.acquisitions import uncosted
from clv_lib.orders.attribute_history import with_history_dispositions
from clv_lib.orders.disposition import is_cancelled, with_broken_rules
from clv_lib.orders.intake import judged_orders
from clv_lib.orders.refunds import judged_refunds
from clv_lib.orders.spend import judged_spend
from clv_lib.pipeline.plans import SOURCE as PLANS
from clv_lib.pipeline.plans import plan_after
from clv_lib.pipeline.rates import SOURCE as RATES
from clv_lib.pipeline.rates import refuse_bad_rates
from clv_lib.recurring.subscription_periods import judged_periods

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

    from clv_lib.settings import Settings

ROWS_TO_TRY = 100_000
_MOST_STATUSES = 30
_AS_OF = dt.date.max

_JUDGED: dict[str, Callable[[DataFrame, Settings], DataFrame]] = {
    "orders": lambda rows, settings: judged_orders(
        rows, None, settings, _AS_OF, is_line=settings.sources.orders.grain == "line"
    ),
    "refunds": lambda rows, settings: judged_refunds(rows, None, settings, _AS_OF),
    "marketing_spend": lambda rows, settings: judged_spend(rows, None, settings, _AS_OF),
    "subscriptions": lambda rows, settings: judged_periods(rows, settings, _AS_OF),
    "customer_attributes_history": lambda rows, _: with_history_dispositions(rows, _AS_OF),
    "customer_acquisitions": lambda rows, _: with_broken_rules(uncosted(rows), acquisition_rules()),
    "experiment_assignments": lambda rows, settings: judged_assignments(
        accountable_assignments(rows, settings.reporting.currency), settings, _AS_OF
    ),
}
"""The rows of a source with `reasons`: the rules that each breaks for itself. The other sources have no such rules."""


@dataclass(frozen=True)
class Tried:
    """So many of the first rows have one status, of orders, and break the same rules for themselves."""

    status: str
    is_apart: bool
    reasons: frozenset[str]
    rows: int


def refuse_unusable(mapped: DataFrame, name: str, table: str, today: dt.date) -> None:
    """ContractError where a run would be refused for a bad row of exchange rates, or of the plans from today on."""
    if name == RATES:
        refuse_bad_rates(mapped, table)
    if name == PLANS:
        plan_after(mapped, today, table)


def tried_rows(mapped: DataFrame, name: str, settings: Settings) -> list[Tried]:
    """Mapped rows of a source as a run would judge them, counted in one job; none where rows are not judged.

    What only other rows show is not looked for: versions that contradict each other, the order of a refund, credits
    that do not add up. Nor are rates of exchange, where they are a source.
    """
    if name not in _JUDGED:
        return []
    judged = _JUDGED[name](mapped, settings)
    status, is_apart = F.lit(""), F.lit(False)
    if name == "orders":
        status = F.coalesce("order_status", F.lit("NULL"))
        is_apart = F.coalesce(is_cancelled(settings.orders.exclude_statuses), is_apart)
    counted = judged.groupBy(status.alias("status"), is_apart.alias("is_apart"), "reasons").count()
    ignored = {NO_EXCHANGE_RATE} if settings.sources.exchange_rates is not None else set()
    return [
        Tried(row["status"], row["is_apart"], frozenset(row["reasons"]) - ignored, row["count"])
        for row in counted.collect()
    ]


def statuses(tried: list[Tried]) -> str:
    """Which statuses of orders count, so that one that should not is seen before its money is in every figure."""
    found = sorted({(one.status, one.is_apart) for one in tried})

    def listed(is_apart: bool) -> str:
        return ", ".join(status for status, apart in found[:_MOST_STATUSES] if apart == is_apart) or "none"

    more = " (there are more)" if len(found) > _MOST_STATUSES else ""
    return (
        f"order_status in its first {ROWS_TO_TRY:,} rows{more}: {listed(False)} count;"
        f" {listed(True)} kept apart (orders.exclude_statuses)"
    )


def with_broken_rules_told(check: Check, name: str, tried: list[Tried], settings: Settings) -> Check:
    """The check, and how many of the rows a run would quarantine; graver by the limits of the gate."""
    by_reason: Counter[str] = Counter()
    for one in tried:
        by_reason.update(dict.fromkeys(one.reasons, one.rows))
    rows, bad = sum(one.rows for one in tried), sum(one.rows for one in tried if one.reasons)
    if not bad:
        return check
    most_first = sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(counted_reason(*one) for one in most_first)
    found = f"{check.found}\nof its first {rows:,} rows {bad:,} break a rule and would be quarantined: {listed}"
    if bad <= rows * settings.gate.warn_quarantined_rate:
        return replace(check, found=found)
    step = f"correct sources.{name}.columns, or mend the rows; `clv contract {name}` says what each column is"
    if bad <= rows * settings.gate.max_quarantined_rate:
        return Check(WARN, check.what, found, step)
    return Check(FAIL, check.what, found, step, ContractError.exit_code)
