"""Silver of orders made anew because the user asked for it, and published only if it equals what a refresh gives.

The refresh is computed first, as on any night. Its tables stay behind as versions that no run names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from clv_lib.contracts.silver import STATE_TABLES
from clv_lib.errors import Fault, LakeError, NotReproduced
from clv_lib.lake import Pointer, Untraceable
from clv_lib.pipeline.accounting import whole_account
from clv_lib.pipeline.comparing import compare
from clv_lib.pipeline.order_states import rebuild
from clv_lib.pipeline.refreshing import published_run, refresh, silver_of, with_source_ids
from clv_lib.quality.comparison import differing_keys
from clv_lib.runs import FOLLOWED_SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

    from clv_lib.contracts.types import Table
    from clv_lib.lake import TableDetail
    from clv_lib.pipeline.workspace import Workspace
    from clv_lib.quality.comparison import Comparison
    from clv_lib.runs import Run

_SHOWN_KEYS = 5
_ACCEPT = "add --accept-differences to publish what the rebuild gives"


@dataclass(frozen=True)
class Reference:
    """Silver tables that a rebuild is compared with, by the versions of a workspace, and what they are.

    `state` is one word for their rows, `meaning` says more.
    """

    work: Workspace
    state: Literal["refreshed", "published"]
    meaning: str


def rebuilt_states(work: Workspace, rates: DataFrame | None) -> tuple[Workspace, list[DataFrame]]:
    """Write the silver tables of orders anew, after those of a refresh, and go on if they hold the same rows.

    Also returns the account of their rows. NotReproduced if the tables differ or there is nothing
    to compare with, unless nothing is published yet or the user accepts it: then it is noted, and is the reason to
    rebuild that is recorded.
    """
    work, tables = with_source_ids(work)
    work.progress.info("silver is to be made anew and compared: what a refresh gives comes first")
    reference = _reference(work, tables, rates)
    work.progress.info("silver is made anew, as asked for")
    rebuilt = rebuild(work, rates)
    found = _judged(reference, rebuilt) if isinstance(reference, Reference) else reference
    run = replace(rebuilt.run, refreshed_from=None, rebuild_reason=f"asked for by --rebuild: {found}")
    return replace(rebuilt, run=run), whole_account(rebuilt)


def _reference(work: Workspace, tables: Mapping[str, TableDetail], rates: DataFrame | None) -> Reference | str:
    """What a refresh gives, else silver of the published run if its inputs are the same; else why there is neither."""
    try:
        refreshed, _ = refresh(work, tables, rates)
    except Untraceable as error:
        reason = str(error)
    except LakeError as error:
        reason = _first_cause(error)
    else:
        return Reference(refreshed, "refreshed", f"a refresh from run {refreshed.run.refreshed_from}")
    if Pointer(work.lake).current() is None:
        return reason
    work.progress.info(f"there can be no refresh: {reason}")
    try:
        return _published(work)
    except Untraceable as error:
        reason += f"; {error}"
    if work.accepts_differences:
        work.progress.note(f"the rebuild is not compared with anything: {reason}")
        return f"not compared, {reason}"
    raise NotReproduced(
        "the rebuild of silver could not be compared with anything, so it was not begun",
        where=f"run {work.run.run_id}",
        expected="a published run from which a refresh can go on, or one of the same day and the same sources",
        found=reason,
        next_step=f"nothing was published; {_ACCEPT}",
    )


def _published(work: Workspace) -> Reference:
    """Silver of the published run; Untraceable if it cannot be read, or is of another day or other sources."""
    base = published_run(work)
    silver_of(work, base)
    others = [name for name in FOLLOWED_SOURCES if not _is_same_source(work.run, base, name)]
    if base.as_of != work.as_of:
        raise Untraceable(f"the published run is of another day, {base.as_of}")
    if others:
        raise Untraceable(f"the published run read other versions of {', '.join(others)}")
    stored = replace(work, run=replace(work.run, silver_versions=base.silver_versions))
    return Reference(stored, "published", f"published run {base.run_id}, of the same day and sources")


def _is_same_source(run: Run, base: Run, name: str) -> bool:
    return all(
        one.get(name) == other.get(name)
        for one, other in ((run.input_versions, base.input_versions), (run.source_ids, base.source_ids))
    )


def _judged(reference: Reference, rebuilt: Workspace) -> str:
    """How the rebuild compares, in words; NotReproduced or LakeError if that is not good enough to go on."""
    try:
        found = compare(reference.work, rebuilt, STATE_TABLES)
    except LakeError as error:
        if not rebuilt.accepts_differences:
            raise
        rebuilt.progress.note(f"the rebuild is not compared with anything: {_first_cause(error)}")
        return f"not compared, {_first_cause(error)}"
    tables = {table.name: table for table in STATE_TABLES}
    differing = [one for one in found if not one.is_same]
    if not differing:
        rebuilt.progress.info(f"the rebuild has the same rows as {reference.meaning}")
        return f"the same rows as {reference.meaning}"
    faults = [_fault(reference, rebuilt, tables[one.table_name], one) for one in differing]
    if not rebuilt.accepts_differences:
        raise _refused(reference, rebuilt, faults)
    for fault in faults:
        rebuilt.progress.note(f"accepted: {fault.what}: " + fault.found.replace("\n", "; "))
    names = ", ".join(one.table_name for one in differing)
    return f"accepted that {names} differ from {reference.meaning}"


def _refused(reference: Reference, rebuilt: Workspace, faults: list[Fault]) -> NotReproduced:
    return NotReproduced(
        f"silver that was made anew differs from {reference.meaning}",
        where=f"run {rebuilt.run.run_id}",
        expected="the same rows",
        faults=faults,
        next_step="nothing was published, readers see what they saw before\n"
        f"the statements above show the rows, in `clv sql`\n{_ACCEPT}\n"
        "a run without --rebuild goes on from what is published",
    )


def _fault(reference: Reference, rebuilt: Workspace, table: Table, found: Comparison) -> Fault:
    """How many keys of a table differ, how, a few of them with their texts hashed, and how to look at the rows."""
    was, now = (work.run.silver_versions[table.name] for work in (reference.work, rebuilt))
    keys = rebuilt.keep(differing_keys(reference.work.read(table), rebuilt.read(table), table))
    count, shown = keys.count(), keys.orderBy(*keys.columns).limit(_SHOWN_KEYS).collect()
    columns = ", ".join(f"{name} ({rows:,})" for name, rows in found.differing.items())
    parts = [
        f"{found.missing:,} only {reference.state}, {found.surplus:,} only rebuilt",
        *([f"other values (keys): {columns}"] if columns else []),
        "keys (texts hashed): " + ", ".join(" ".join(str(value) for value in row) for row in shown),
    ]
    told, others = (now, was) if columns or found.surplus else (was, now)
    rows_of = f"select * from {rebuilt.lake.reference(table)} version as of"
    return Fault(
        f"{table.name}: {count:,} {'keys' if table.key else 'rows'} differ, of {found.row_count:,}",
        where=f"versions {was} ({reference.state}) and {now} (rebuilt)",
        found="\n".join(parts),
        next_step=f"{rows_of} {told} except {rows_of} {others}",
    )


def _first_cause(error: LakeError) -> str:
    return f"{error.what}: {error.found}" if error.found else error.what
