"""The command `rollback`: readers see an earlier snapshot again, in one compare-and-set."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import TYPE_CHECKING

from clv_lib.cli.context import loaded, published, spark_session, write
from clv_lib.cli.reading import recorded_run
from clv_lib.errors import SUCCESS_EXIT_CODE, LakeError

if TYPE_CHECKING:
    from clv_lib.lake import Lake, Publication


def rollback(arguments: argparse.Namespace) -> int:
    """Publish the snapshot before the published one, or that of `--to`; the records of runs stay as they are."""
    settings = loaded(arguments).settings
    with spark_session(settings, quiet=True) as spark:
        from clv_lib.pipeline import open_lake

        lake = open_lake(spark, settings)
        before = published(lake, arguments)
        now = move_back(lake, before, _target(before, arguments.to), dt.datetime.now(dt.timezone.utc))
    write(f"published now:    {now.snapshot_id}, as of {now.as_of_date}")
    write(f"published before: {before.snapshot_id}, as of {before.as_of_date}")
    write(f"to publish that one again: clv rollback --config {arguments.config}")
    return SUCCESS_EXIT_CODE


def move_back(lake: Lake, before: Publication, run_id: str, published_at: dt.datetime) -> Publication:
    """Point readers to the snapshot of a run that was published once; LakeError if it cannot be read any more.

    ConflictError if something else was published since `before` was read.
    """
    from clv_lib.lake import Pointer, create_catalog_views
    from clv_lib.runs import PUBLISHED, require_stored

    row = recorded_run(lake, run_id)
    if row["status"] != PUBLISHED:
        raise LakeError(
            f"run {run_id} was never published",
            where=lake.root,
            expected=f"status {PUBLISHED}",
            found=f"status {row['status']}",
            next_step="`clv runs` lists the runs",
        )
    versions = {name: int(version) for name, version in row["silver_versions"].items()}
    require_stored(lake, run_id, versions)
    now = Pointer(lake).move(before, run_id, row["as_of_date"], versions, published_at)
    create_catalog_views(lake, now)
    return now


def _target(before: Publication, wanted: str | None) -> str:
    if wanted == before.snapshot_id:
        raise LakeError(f"run {wanted} is what is published now", next_step="`clv runs` lists the runs")
    if wanted is not None:
        return wanted
    if before.previous_snapshot_id is None:
        raise LakeError(
            "there is no snapshot before the published one",
            found=f"{before.snapshot_id} is the first that was published in this lake",
        )
    return before.previous_snapshot_id
