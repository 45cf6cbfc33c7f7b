"""The one-row pointer to the published snapshot: read, moved by compare-and-set, moved back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clv_lib.contracts.control import PUBLISHED
from clv_lib.errors import ConflictError
from clv_lib.lake.reporting import reported
from clv_lib.lake.tables import checked_snapshot_id

if TYPE_CHECKING:
    from clv_lib.lake.tables import Lake

DATASET = "clv"
_ATTEMPTS = 3


@dataclass(frozen=True)
class Publication:
    """What readers see: a snapshot of the gold tables and the versions of the silver tables that belong to it."""

    snapshot_id: str
    previous_snapshot_id: str | None
    sequence: int
    as_of_date: dt.date
    silver_versions: Mapping[str, int]
    published_at: dt.datetime


class Pointer:
    """Reads and moves the pointer of a lake."""

    def __init__(self, lake: Lake) -> None:
        """Keep the lake; nothing is read yet."""
        self._lake = lake

    def current(self) -> Publication | None:
        """What is published now, or None before the first publication."""
        if not self._lake.exists(PUBLISHED):
            return None
        rows = self._lake.read_rows(PUBLISHED).collect()
        if not rows:
            return None
        row = rows[0]
        return Publication(
            snapshot_id=row["snapshot_id"],
            previous_snapshot_id=row["previous_snapshot_id"],
            sequence=row["sequence"],
            as_of_date=row["as_of_date"],
            silver_versions=dict(row["silver_versions"]),
            published_at=row["published_at"],
        )

    def move(
        self,
        expected: Publication | None,
        snapshot_id: str,
        as_of_date: dt.date,
        silver_versions: Mapping[str, int],
        published_at: dt.datetime,
    ) -> Publication:
        """Publish a snapshot if what is published is still `expected`, in one commit; else ConflictError.

        The expected sequence number stands in the MERGE itself, so of two runs that start from the same publication
        exactly one succeeds. A commit conflict is tried again only while the pointer is still the expected one.
        """
        self._lake.ensure(PUBLISHED)
        target = Publication(
            snapshot_id=checked_snapshot_id(snapshot_id),
            previous_snapshot_id=expected.snapshot_id if expected else None,
            sequence=_sequence_of(expected) + 1,
            as_of_date=as_of_date,
            silver_versions=dict(silver_versions),
            published_at=published_at,
        )
        for _ in range(_ATTEMPTS):
            # After a conflict, what is published now decides whether to try again.
            with suppress(ConflictError):
                self._merge(_sequence_of(expected), target)
            now = self.current()
            if now is not None and (now.sequence, now.snapshot_id) == (target.sequence, target.snapshot_id):
                return now
            if _sequence_of(now) != _sequence_of(expected):
                break
        raise self._lost(expected, self.current(), snapshot_id)

    def refile(self, expected: Publication, silver_versions: Mapping[str, int]) -> bool:
        """Name other versions of the silver tables, which hold the same rows; False if something else was published.

        It is no publication: neither snapshot nor sequence change, and a run that is at work may publish after it.
        """
        for _ in range(_ATTEMPTS):
            now = self.current()
            if now is None or now.sequence != expected.sequence:
                return False
            if now.silver_versions == silver_versions:
                return True
            with suppress(ConflictError), reported(self._lake.place(PUBLISHED), "written"):
                self._lake.spark.sql(
                    f"UPDATE {self._lake.reference(PUBLISHED)} SET silver_versions = {_map_of(silver_versions)}"
                    f" WHERE dataset = '{DATASET}' AND sequence = {int(expected.sequence)}"
                )
        now = self.current()
        return now is not None and (now.sequence, now.silver_versions) == (expected.sequence, silver_versions)

    def _merge(self, expected_sequence: int, target: Publication) -> None:
        previous = f"'{target.previous_snapshot_id}'" if target.previous_snapshot_id else "cast(null as string)"
        row = (
            f"SELECT '{DATASET}' AS dataset, '{target.snapshot_id}' AS snapshot_id,"
            f" {previous} AS previous_snapshot_id, {target.sequence}L AS sequence,"
            f" date'{target.as_of_date.isoformat()}' AS as_of_date,"
            f" {_map_of(target.silver_versions)} AS silver_versions,"
            f" timestamp'{target.published_at.isoformat()}' AS published_at"
        )
        insert = "WHEN NOT MATCHED THEN INSERT *" if expected_sequence == 0 else ""
        with reported(self._lake.place(PUBLISHED), "written"):
            self._lake.spark.sql(
                f"MERGE INTO {self._lake.reference(PUBLISHED)} AS stored USING ({row}) AS target"
                f" ON stored.dataset = target.dataset"
                f" WHEN MATCHED AND stored.sequence = {expected_sequence} THEN UPDATE SET * {insert}"
            )

    def _lost(self, expected: Publication | None, now: Publication | None, snapshot_id: str) -> ConflictError:
        return ConflictError(
            "another run published while this one was working; this run's tables were not published",
            where=self._lake.place(PUBLISHED),
            expected=f"still published: {expected.snapshot_id if expected else 'nothing'}",
            found=f"published now: {now.snapshot_id if now else 'nothing'}",
            next_step=f"nothing is broken; run again if run {snapshot_id} should replace what is published now",
        )


def _sequence_of(publication: Publication | None) -> int:
    """How many publications and rollbacks there were; 0 before the first."""
    return 0 if publication is None else publication.sequence


def _map_of(versions: Mapping[str, int]) -> str:
    listed = ", ".join(f"'{name}', {int(version)}L" for name, version in sorted(versions.items()))
    return f"map({listed})"
