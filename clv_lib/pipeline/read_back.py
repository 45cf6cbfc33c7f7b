"""What the audit reads back of a stored table: all of it, but of silver that a refresh wrote what is not as it was.

Silver of the run before was read back before it was published, and Delta never changes a file. So where a partition
consists of the same files, its rows are known, and the figures of the table are those of that audit, without what the
other partitions held, with what they hold now. The result is what reading everything would give.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from clv_lib.contracts.control import SILVER_PROFILES
from clv_lib.contracts.silver import STATE_TABLES
from clv_lib.lake import differing_partitions, files_by_partition, reported, selecting
from clv_lib.pipeline.workspace import possible_rows
from clv_lib.quality.profile import (
    DUPLICATE_KEYS,
    TableProfile,
    changed_keys,
    duplicate_keys,
    figure_names,
    profile,
    structure_faults,
    table_profile,
    with_replaced,
)
from clv_lib.runs import recorded

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from clv_lib.contracts.types import Table
    from clv_lib.pipeline.workspace import Workspace

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Audited:
    """Silver tables as the run read them back from whose silver this one goes on: figures and versions by table."""

    figures: Mapping[str, Figures] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)


NOTHING_AUDITED = Audited()


def audited_before(work: Workspace) -> Audited:
    """What the audit of the run before found; nothing if silver was made anew or the figures are gone."""
    before = work.run.refreshed_from
    base = None if before is None else recorded(work.lake, replace(work.run, run_id=before))
    if base is None or not work.lake.exists(SILVER_PROFILES):
        return NOTHING_AUDITED
    figures: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in work.lake.read_snapshot(SILVER_PROFILES, base.run_id).collect():
        figures[row["table_name"]][row["figure"]] = row["counted"] if row["amount"] is None else row["amount"]
    whole = {table.name: figures[table.name] for table in STATE_TABLES if _is_whole(table, figures[table.name])}
    return Audited(whole, base.silver_versions)


def _is_whole(table: Table, figures: Figures) -> bool:
    """Whether a later audit can go on from the figures: all are there, and no key was repeated."""
    return set(figures) == set(figure_names(table)) and figures.get(DUPLICATE_KEYS, 0) == 0


def silver_figures(profiles: Mapping[str, TableProfile]) -> list[tuple[object, ...]]:
    """Rows of `silver_profiles`, of those silver tables of orders that are among the profiles."""
    rows: list[tuple[object, ...]] = []
    for found in (profiles[table.name] for table in STATE_TABLES if table.name in profiles):
        for name, value in found.figures().items():
            is_money = isinstance(value, Decimal)
            rows.append((found.table_name, name, None if is_money else value, value if is_money else None))
    return rows


def stored_profile(work: Workspace, table: Table, before: Audited = NOTHING_AUDITED) -> TableProfile:
    """The profile of the stored rows of a table; LakeError if they cannot be read."""
    with reported(work.lake.place(table), "read back"):
        stored = work.read(table)
        faults = structure_faults(stored.schema, table)
        if faults:
            return table_profile(table, None, faults=faults)
        changed = _changed_partitions(work, table, before)
        return table_profile(table, _all(stored, table) if changed is None else _since(work, table, before, changed))


def _all(stored: DataFrame, table: Table) -> Figures:
    """One pass over the rows, and one group-by for the key, in one query."""
    measured, keys = profile(stored, table), duplicate_keys(stored, table)
    # The hint: to send one row to the executors first would be a job of its own.
    both = measured if keys is None else measured.crossJoin(keys.hint("shuffle_replicate_nl"))
    return both.collect()[0].asDict()


def _changed_partitions(work: Workspace, table: Table, before: Audited) -> list[Row] | None:
    """Partitions that are not as they were when they were read back; None: all is to be read.

    Where most have changed, to read all takes less time.
    """
    if table.name not in before.figures:
        return None
    versions = before.versions[table.name], work.run.silver_versions[table.name]
    if versions[0] == versions[1]:
        return []
    were, are = (files_by_partition(work.lake, table, version) for version in versions)
    changed = differing_partitions(were, are)
    return None if 2 * len(changed) > len(are) else changed


def _since(work: Workspace, table: Table, before: Audited, changed: list[Row]) -> Figures:
    """The figures known before, without those of the changed partitions as they were, with those as they are."""
    known = before.figures[table.name]
    if not changed:
        return known
    stored, is_changed = work.read(table), F.expr(selecting(table, changed))
    were = work.lake.read_state(table, before.versions[table.name]).where(is_changed)
    are = stored.where(is_changed)
    gone, come = (profile(rows, table).collect()[0].asDict() for rows in (were, are))
    figures = with_replaced({name: known[name] for name in known if name != DUPLICATE_KEYS}, gone, come)
    work.progress.info(f"{table.name}: read back {len(changed):,} partitions that were replaced")
    if not table.key:
        return figures
    return {**figures, DUPLICATE_KEYS: _repeated_keys(work, table, changed_keys(were, are, table), changed)}


def _repeated_keys(work: Workspace, table: Table, changed: DataFrame, partitions: list[Row]) -> int:
    """Keys that occur more than once, where none did before: in the changed partitions, or there and elsewhere."""
    keys, count = work.keep_ids(changed)
    if not count:
        return 0
    new, first = keys.where("is_new"), table.key[0]
    elsewhere = work.read(table).where(~F.expr(selecting(table, partitions)))
    for name in set(table.partition_by) & set(table.key):
        elsewhere = elsewhere.where(F.col(name).isin(sorted({partition[name] for partition in partitions})))
    again = possible_rows(elsewhere, first, new, first).join(new, list(table.key), "left_semi").select(*table.key)
    return keys.where("is_repeated").select(*table.key).unionByName(again).distinct().count()
