"""Silver of orders brought up to date: what changed since the published run is followed, or all is read anew.

A refresh judges again every row of each order and refund that a change concerns, replaces them in silver, and numbers
the histories of their customers again from the first month that changed. What it writes is what a rebuild would write.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.inputs import CONTRACTS
from clv_lib.contracts.silver import (
    CONSERVATION,
    CUSTOMER_MONTHS,
    CUSTOMER_ORDERS,
    CUSTOMER_REFUNDS,
    ROWS_PUT_ASIDE,
    STATE_TABLES,
)
from clv_lib.errors import ContractError, LakeError
from clv_lib.lake import Pointer, Untraceable, changes_since, read_source, reported, table_detail
from clv_lib.orders import refresh as concern
from clv_lib.orders.disposition import INPUT
from clv_lib.orders.intake import LINE_KEY, ORDER_KEY
from clv_lib.orders.lines import LINE_REFUND_ENDING
from clv_lib.orders.mapping import contract_expressions
from clv_lib.orders.refunds import REFUND_KEY
from clv_lib.pipeline.order_states import ORDERS, REFUNDS, is_by_line, rebuild, required_orders, union
from clv_lib.pipeline.rates import SOURCE as RATES
from clv_lib.pipeline.rates import rates_as_of
from clv_lib.pipeline.replacing import Concerned, replace_states
from clv_lib.runs import FOLLOWED_SOURCES, Run, recorded, silver_definition

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace

_MOST_STEPS = 5
_GONE = ("FILE_NOT_EXIST", "FileNotFound", "PATH_NOT_FOUND")


@dataclass(frozen=True)
class _Columns:
    """Columns of a source: its id, its time, its money."""

    key: str
    instant: str
    amount: str


_SOURCES = {
    ORDERS: _Columns(ORDER_KEY, "ordered_at", "net_amount"),
    REFUNDS: _Columns(REFUND_KEY, "refunded_at", "refund_amount"),
}


@dataclass(frozen=True)
class Seen:
    """What changed in the sources since the run before: rows by source, and days with other exchange rates."""

    rows: dict[str, DataFrame]
    rates: DataFrame | None


def states_of_orders(work: Workspace, rates: DataFrame | None) -> tuple[Workspace, DataFrame]:
    """Write the silver tables of orders by a refresh or, where that cannot be, anew; the reason is noted.

    Also returns what the sources hold, as `totals` adds it up.
    """
    definition = silver_definition(work.settings)
    ids = {
        name: table_detail(work.lake.spark, work.sources[name]).table_id
        for name in FOLLOWED_SOURCES
        if name in work.sources and work.sources[name].source.format == "delta"
    }
    work = replace(work, run=replace(work.run, silver_definition=definition, source_ids=ids))
    required_orders(work)
    try:
        base = _base(work)
        work.progress.info(f"silver goes on from run {base.run_id}: only what changed since is read")
        refreshed, held = _refreshed(work, base, rates)
        refreshed = replace(refreshed, cuts_plans=False)
    except Untraceable as error:
        reason = str(error)
    else:
        return replace(refreshed, run=replace(refreshed.run, refreshed_from=base.run_id, rebuild_reason=None)), held
    work.progress.info(f"silver is made anew: {reason}")
    work, held = rebuild(work, rates)
    return replace(work, run=replace(work.run, refreshed_from=None, rebuild_reason=reason)), held


def _base(work: Workspace) -> Run:
    """The published run, if its silver is what this run would go on from; else Untraceable."""
    if not work.settings.silver.refresh:
        raise Untraceable("silver.refresh is false")
    published = Pointer(work.lake).current()
    if published is None:
        raise Untraceable("nothing is published yet")
    base = recorded(work.lake, replace(work.run, run_id=published.snapshot_id, as_of=published.as_of_date))
    if base is None or base.silver_definition is None:
        raise Untraceable(f"the published run {published.snapshot_id} is not recorded")
    if base.silver_definition != work.run.silver_definition:
        raise Untraceable("settings of orders, or clv itself, are others than in the published run")
    if work.as_of < base.as_of:
        raise Untraceable(f"as_of {work.as_of} is before that of the published run, {base.as_of}")
    missing = [table.name for table in STATE_TABLES if table.name not in base.silver_versions]
    if missing:
        raise Untraceable(f"the published run has no {', '.join(missing)}")
    return base


def _before(work: Workspace, base: Run) -> concern.Before:
    """Silver of the run before; Untraceable if its versions can no longer be read."""
    try:
        frames = {table.name: work.lake.read_state(table, base.silver_versions[table.name]) for table in STATE_TABLES}
        for name, frame in frames.items():
            with reported(name, "read"):
                frame.limit(1).count()
    except LakeError as error:
        raise Untraceable(f"silver of run {base.run_id} cannot be read any more") from error
    return concern.Before(
        base.as_of,
        frames[CUSTOMER_ORDERS.name],
        frames[CUSTOMER_REFUNDS.name],
        frames[CUSTOMER_MONTHS.name],
        frames[ROWS_PUT_ASIDE.name],
    )


def _refreshed(work: Workspace, base: Run, rates: DataFrame | None) -> tuple[Workspace, DataFrame]:
    before, work = _before(work, base), replace(work, cuts_plans=True)
    seen = Seen(
        {name: rows for name in (ORDERS, REFUNDS) if (rows := _changes(work, base, name)) is not None},
        _changed_rates(work, base),
    )
    held = _held(work, base, seen)
    orders, refunds = _concerned(work, before, seen)
    untouched = {table.name: base.silver_versions[table.name] for table in STATE_TABLES}
    work = replace(work, run=replace(work.run, silver_versions={**work.run.silver_versions, **untouched}))
    if orders.isEmpty() and refunds.isEmpty():
        return work, held
    rows = _rows(work, before, seen, ORDERS, orders)
    concerned = Concerned(
        orders, refunds, required_orders(work) if rows is None else rows, _rows(work, before, seen, REFUNDS, refunds)
    )
    return replace_states(work, before, concerned, rates), held


def _changes(work: Workspace, base: Run, name: str) -> DataFrame | None:
    """`net_changes` of a mapped source since the run before, kept; None if there are none."""
    if _is_as_before(work, base, name):
        return None
    pinned, version = work.sources[name], base.input_versions[name]
    changes = changes_since(work.lake.spark, pinned, version, base.source_ids.get(name, ""))
    if "map<" in changes.added.schema.simpleString():
        raise Untraceable(f"{name} has a column of type map, whose rows cannot be compared")
    added, removed = work.mapped_rows(pinned, changes.added), work.mapped_rows(pinned, changes.removed)
    try:
        kept = work.keep(concern.net_changes(added, removed))
        count = kept.count()
    except Exception as error:
        if any(sign in str(error) for sign in _GONE):
            raise Untraceable(f"files of {name} that were removed since version {version} are gone") from error
        raise
    work.progress.info(f"source {name}: {count:,} distinct rows changed since version {version}")
    return kept if count else None


def _is_as_before(work: Workspace, base: Run, name: str) -> bool:
    """Whether a source is absent then and now, or the same version of one table; Untraceable if it came or went."""
    pinned, version = work.sources.get(name), base.input_versions.get(name)
    if (pinned is None) != (version is None):
        raise Untraceable(f"the source {name} was not configured before, or is so no more")
    if pinned is None:
        return True
    return pinned.version == version and base.source_ids.get(name) == work.run.source_ids.get(name)


def _changed_rates(work: Workspace, base: Run) -> DataFrame | None:
    """Days and currencies up to the day of the run before with another rate, kept; None if there are none."""
    if _is_as_before(work, base, RATES):
        return None
    pinned = work.sources[RATES]
    if pinned.source.format != "delta" or base.source_ids.get(RATES) != work.run.source_ids.get(RATES):
        raise Untraceable(f"{RATES} is another table, or keeps no versions")
    try:
        then = rates_as_of(work, replace(pinned, version=base.input_versions[RATES]), base.as_of)
        return work.keep_any(concern.changed_rates(then, rates_as_of(work, pinned, base.as_of)))
    except ContractError as error:
        raise Untraceable(f"{RATES} cannot be read as they were") from error


def _held(work: Workspace, base: Run, seen: Seen) -> DataFrame:
    """What the sources hold: what the run before found, and the rows that came and went since."""
    stored = work.lake.read_snapshot(CONSERVATION, base.run_id)
    known = stored.where((F.col("disposition") == INPUT) & F.col("source_name").isin(list(_SOURCES)))
    parts = [concern.counted_changes(rows, name, _SOURCES[name].amount) for name, rows in seen.rows.items()]
    return union([known, *parts])


def _concerned(work: Workspace, before: concern.Before, seen: Seen) -> tuple[DataFrame, DataFrame]:
    """Keys of the orders and refunds that must be judged again, kept.

    An order concerns the refunds that name it, a refund its order; an order whose customer has refunds without one may
    become or cease to be their latest order. This is followed until nothing is added.
    """
    orders, refunds = (_changed_keys(work, before, seen, name) for name in _SOURCES)
    if REFUNDS not in work.sources and not is_by_line(work):
        return orders, refunds
    sizes = (-1, -1)
    for _ in range(_MOST_STEPS):
        orders, refunds = _with_neighbours(work, before, seen, orders, refunds)
        now = (orders.count(), refunds.count())
        if now == sizes:
            return orders, refunds
        sizes = now
    raise Untraceable("the changed rows concern others in too long a chain")


def _changed_keys(work: Workspace, before: concern.Before, seen: Seen, name: str) -> DataFrame:
    """Keys of the rows of a source that changed, that are not in the future any more, or that are converted anew."""
    keys = concern.due(before, name, work.as_of)
    if name in seen.rows:
        keys = keys.unionByName(seen.rows[name].select(concern.key_of(_SOURCES[name].key)))
    if seen.rates is not None:
        keys = keys.unionByName(concern.converted_anew(before, name, seen.rates))
    return work.keep_for_joins(keys.distinct())


def _with_neighbours(
    work: Workspace, before: concern.Before, seen: Seen, orders: DataFrame, refunds: DataFrame
) -> tuple[DataFrame, DataFrame]:
    found = [orders]
    if REFUNDS in work.sources:
        found.append(concern.orders_named(before, refunds, seen.rows.get(REFUNDS)))
    if is_by_line(work) and _has_line_ids(work):
        lines = required_orders(work).select("order_id", LINE_KEY)
        found.append(concern.orders_sharing_lines(lines, orders, seen.rows.get(ORDERS)))
    orders = work.keep_for_joins(union(found).distinct())
    customers = work.keep_for_joins(concern.customers_of(before, orders, seen.rows.get(ORDERS)))
    if is_by_line(work):
        orders = work.keep_for_joins(orders.unionByName(concern.credit_notes_concerned(before, customers)).distinct())
        of_lines = orders.where(F.col(concern.KEY) != "").select(F.concat(concern.KEY, F.lit(LINE_REFUND_ENDING)))
        refunds = refunds.union(of_lines)
    if REFUNDS in work.sources:
        refunds = refunds.unionByName(concern.refunds_concerned(before, orders, customers))
    return orders, work.keep_for_joins(refunds.distinct())


def _has_line_ids(work: Workspace) -> bool:
    pinned = work.sources[ORDERS]
    raw = read_source(work.lake.spark, pinned)
    return LINE_KEY in contract_expressions(raw, CONTRACTS[ORDERS], pinned.source.columns)


def _rows(work: Workspace, before: concern.Before, seen: Seen, name: str, keys: DataFrame) -> DataFrame | None:
    """All rows of the source with one of the keys, kept; None without such a source.

    Rows of ids that the run before did not know are among those that changed. For the others the source is read, only
    in the months in which their rows lie.
    """
    mapped, of = work.mapped(name), _SOURCES[name]
    if mapped is None:
        return None
    changes = seen.rows.get(name)
    added = mapped.limit(0) if changes is None else concern.with_key(concern.added_rows(changes), of.key, keys)
    known = work.keep_any(concern.known_rows(before, name, keys))
    if known is None:
        return work.keep(added)
    known_keys = work.keep_for_joins(known.select(concern.KEY).distinct())
    moved = concern.with_key(added, of.key, known_keys).select(F.to_date(of.instant).alias("row_date"))
    days = known.select("row_date").unionByName(moved).select(F.trunc("row_date", "month").alias("month")).distinct()
    by_line = name == ORDERS and is_by_line(work)
    inside = concern.within_months(of.instant, [row["month"] for row in days.collect()], open_end=by_line)
    read = mapped if inside is None else mapped.where(inside)
    found = concern.with_key(read, of.key, known_keys)
    return work.keep(found.unionByName(concern.without(added, of.key, known_keys)))
