"""Silver of orders brought up to date: what changed since the published run is followed, or all is read anew.

A refresh judges again every row of each order and refund that a change concerns, replaces them in silver, and numbers
the histories of their customers again from the first month that changed. What it writes is what a rebuild would write.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.put_aside import ORDERS, REFUNDS, ROWS_PUT_ASIDE
from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS, CUSTOMER_REFUNDS, STATE_TABLES
from clv_lib.errors import ClvError, ContractError, LakeError
from clv_lib.lake import Pointer, TableDetail, Untraceable, changes_since, reported, table_detail
from clv_lib.orders import refresh as concern
from clv_lib.pipeline.accounting import account_since, whole_account
from clv_lib.pipeline.following import Seen, by_files, concerned_ids
from clv_lib.pipeline.order_states import is_by_line, rebuild, required_orders
from clv_lib.pipeline.rates import SOURCE as RATES
from clv_lib.pipeline.rates import rates_as_of
from clv_lib.pipeline.replacing import Concerned, replace_states
from clv_lib.runs import FOLLOWED_SOURCES, Run, recorded

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace


def states_of_orders(work: Workspace, rates: DataFrame | None) -> tuple[Workspace, list[DataFrame]]:
    """Write the silver tables of orders by a refresh or, where that cannot be, anew; the reason is logged.

    Also returns the account of their rows.
    """
    work, tables = with_source_ids(work)
    try:
        if not work.settings.silver.refresh:
            raise Untraceable("silver.refresh is false")
        return refresh(work, tables, rates)
    except Untraceable as error:
        reason = str(error)
    work.progress.info(f"silver is made anew: {reason}")
    work = rebuild(work, rates)
    return replace(work, run=replace(work.run, refreshed_from=None, rebuild_reason=reason)), whole_account(work)


def with_source_ids(work: Workspace) -> tuple[Workspace, Mapping[str, TableDetail]]:
    """The workspace with the ids of the Delta tables that a refresh follows, and their detail by source."""
    required_orders(work)
    followed = [work.sources[name] for name in FOLLOWED_SOURCES if name in work.sources]
    tables = {one.name: table_detail(work.lake.spark, one) for one in followed if one.source.format == "delta"}
    ids = {name: table.table_id for name, table in tables.items()}
    return replace(work, run=replace(work.run, source_ids=ids)), tables


def refresh(
    work: Workspace, tables: Mapping[str, TableDetail], rates: DataFrame | None
) -> tuple[Workspace, list[DataFrame]]:
    """Go on from silver of the published run; Untraceable, before anything is written, where that cannot be.

    Also returns the account of their rows.
    """
    base = _base(work)
    work.progress.info(f"silver goes on from run {base.run_id}: only what changed since is read")
    refreshed, account = _refreshed(replace(work, cuts_plans=True), base, tables, rates)
    run = replace(refreshed.run, refreshed_from=base.run_id, rebuild_reason=None)
    if CUSTOMER_MONTHS.name not in refreshed.replaced:
        run = replace(run, value_basis=base.value_basis)
    return replace(refreshed, run=run, cuts_plans=False), account


def published_run(work: Workspace) -> Run:
    """The record of the published run; Untraceable if there is none."""
    published = Pointer(work.lake).current()
    if published is None:
        raise Untraceable("nothing is published yet")
    base = recorded(work.lake, replace(work.run, run_id=published.snapshot_id, as_of=published.as_of_date))
    if base is None or base.silver_definition is None:
        raise Untraceable(f"the published run {published.snapshot_id} is not recorded")
    return base


def _base(work: Workspace) -> Run:
    """The published run, if its silver is what this run would go on from; else Untraceable."""
    base = published_run(work)
    if base.silver_definition != work.run.silver_definition:
        raise Untraceable("settings of orders, or clv itself, are others than in the published run")
    if work.as_of < base.as_of:
        raise Untraceable(f"as_of {work.as_of} is before that of the published run, {base.as_of}")
    return base


def silver_of(work: Workspace, base: Run) -> concern.Before:
    """Silver of the run before; Untraceable if it has none, or its versions can no longer be read."""
    missing = [table.name for table in STATE_TABLES if table.name not in base.silver_versions]
    if missing:
        raise Untraceable(f"the published run has no {', '.join(missing)}")
    try:
        frames = {table.name: work.lake.read_state(table, base.silver_versions[table.name]) for table in STATE_TABLES}
        for name, frame in frames.items():
            with reported(name, "read"):
                frame.limit(1).count()
    except LakeError as error:
        raise Untraceable(f"silver of run {base.run_id} cannot be read any more") from error
    return concern.Before(
        frames[CUSTOMER_ORDERS.name],
        frames[CUSTOMER_REFUNDS.name],
        frames[CUSTOMER_MONTHS.name],
        frames[ROWS_PUT_ASIDE.name],
    )


def _refreshed(
    work: Workspace, base: Run, tables: Mapping[str, TableDetail], rates: DataFrame | None
) -> tuple[Workspace, list[DataFrame]]:
    before = silver_of(work, base)
    changed = [name for name in FOLLOWED_SOURCES if _is_changed(work, base, name)]
    rows = {name: _changes(work, base, name, tables[name]) for name in changed if name in concern.SOURCES}
    seen = Seen(rows, _changed_rates(work, base) if RATES in changed else None)
    ids = concerned_ids(work, before, seen)
    untouched = {table.name: base.silver_versions[table.name] for table in STATE_TABLES}
    work = replace(work, run=replace(work.run, silver_versions={**work.run.silver_versions, **untouched}))
    if ids.sizes != (0, 0):
        order_rows, months = _rows(work, before, seen, ORDERS, required_orders(work), ids.orders)
        refunds = work.mapped(REFUNDS)
        refund_rows = None if refunds is None else _rows(work, before, seen, REFUNDS, refunds, ids.refunds)[0]
        concerned = Concerned(ids.orders, ids.refunds, order_rows, refund_rows, months)
        work = replace_states(work, before, concerned, rates)
    return work, account_since(work, base, seen.rows)


def _is_changed(work: Workspace, base: Run, name: str) -> bool:
    """Whether a source has another version than in the run before; Untraceable if the way there cannot be followed."""
    pinned, version = work.sources.get(name), base.input_versions.get(name)
    if (pinned is None) != (version is None):
        raise Untraceable(f"the source {name} was not configured before, or is so no more")
    table_ids = base.source_ids.get(name), work.run.source_ids.get(name)
    if pinned is None or version is None or (pinned.version == version and table_ids[0] == table_ids[1]):
        return False
    if pinned.source.format != "delta":
        raise Untraceable(f"{name} is stored as {pinned.source.format}, which keeps no versions")
    if table_ids[0] != table_ids[1]:
        raise Untraceable(f"{name} was made anew")
    if int(pinned.version) < int(version):
        raise Untraceable(f"{name} went back from version {version} to {pinned.version}")
    return True


def _changes(work: Workspace, base: Run, name: str, table: TableDetail) -> DataFrame:
    """`net_changes` of a mapped source since the run before, kept."""
    pinned, version = work.sources[name], base.input_versions[name]
    changes = changes_since(work.lake.spark, pinned, version, table)
    added, removed = work.mapped_rows(pinned, changes.added), work.mapped_rows(pinned, changes.removed)
    try:
        with reported(name, "compared"):
            kept = work.keep(concern.net_changes(added, removed))
            count = kept.count()
    except ClvError as error:
        raise Untraceable(f"what changed in {name} since version {version} cannot be read: {error.found}") from error
    work.progress.info(f"source {name}: {count:,} distinct rows changed since version {version}")
    return kept


def _changed_rates(work: Workspace, base: Run) -> DataFrame | None:
    """Days and currencies up to the day of the run before with another rate, kept; None if there are none."""
    pinned = work.sources[RATES]
    try:
        then = rates_as_of(work, replace(pinned, version=base.input_versions[RATES]), base.as_of)
        return work.keep_any(concern.changed_rates(then, rates_as_of(work, pinned, base.as_of)))
    except ContractError as error:
        raise Untraceable(f"{RATES} cannot be read as they were") from error


def _rows(
    work: Workspace, before: concern.Before, seen: Seen, name: str, mapped: DataFrame, keys: DataFrame
) -> tuple[DataFrame, list[dt.date]]:
    """All rows of a mapped source with one of the keys, kept, and the months in which the run before knew such rows.

    Rows of ids that the run before did not know are among those that changed. For the others the source is read, only
    in the months in which their rows lie. The months that are returned may be more than those that were known.
    """
    changes, of = seen.rows.get(name), concern.SOURCES[name]
    added = mapped.limit(0) if changes is None else concern.with_key(concern.added_rows(changes), of.key, keys)
    possible = concern.known_rows(by_files(before, name, keys), name)
    known = work.keep_any(possible.join(keys, concern.KEY, "left_semi"))
    if known is None:
        return work.keep(added), []
    known_keys, _ = work.keep_ids(known.select(concern.KEY).distinct())
    moved = concern.with_key(added, of.key, known_keys).select(F.to_date(of.instant).alias("row_date"))
    days = known.select("row_date").unionByName(moved).select(F.trunc("row_date", "month").alias("month")).distinct()
    by_line = name == ORDERS and is_by_line(work)
    months = [row["month"] for row in days.collect()]
    inside = concern.within_months(of.instant, months, open_end=by_line)
    found = concern.with_key(mapped if inside is None else mapped.where(inside), of.key, known_keys)
    rows = work.keep(found.unionByName(concern.without(added, of.key, known_keys)))
    return rows, [month for month in months if month is not None]
