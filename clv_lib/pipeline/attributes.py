"""Attributes of customers in a run: which the sources offer, and which were valid on a day."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from clv_lib.contracts.attributes import CUSTOMER_ATTRIBUTES
from clv_lib.contracts.inputs import CONTRACTS
from clv_lib.customers.attributes import attributes_on, current_attributes
from clv_lib.lake import read_source
from clv_lib.orders.attribute_history import with_history_dispositions
from clv_lib.orders.mapping import contract_expressions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace


def attribute_periods(work: Workspace) -> DataFrame | None:
    """Rows of the source customer_attributes_history with dispositions, or None without such a source."""
    mapped = work.mapped("customer_attributes_history")
    return None if mapped is None else with_history_dispositions(mapped, work.as_of)


def attributes(work: Workspace, day: dt.date) -> DataFrame | None:
    """One row per customer with the attributes valid on a day, or None without a source of attributes."""
    mapped, periods = work.mapped("customers"), attribute_periods(work)
    current = None if mapped is None else current_attributes(mapped)
    if periods is None:
        return current
    return attributes_on(current, periods.where("size(reasons) = 0"), day)


def attribute_columns(work: Workspace) -> set[str] | None:
    """Attributes that the sources offer, or None without a source of attributes; a history may hold any of them."""
    if "customer_attributes_history" in work.sources:
        return set(CUSTOMER_ATTRIBUTES)
    pinned = work.sources.get("customers")
    if pinned is None:
        return None
    raw = read_source(work.lake.spark, pinned)
    return set(contract_expressions(raw, CONTRACTS["customers"], pinned.source.columns))
