"""The command `maintain`: the tables of the lake kept up, and what was done to each."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import TYPE_CHECKING

from clv_lib.cli.context import loaded, published, spark_session, write
from clv_lib.cli.rendering import render
from clv_lib.errors import SUCCESS_EXIT_CODE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clv_lib.pipeline.maintaining import Maintained

COLUMNS = ("table", "files_before", "files_after", "partitions_compacted", "runs_removed", "bytes_freed", "left_alone")
_MEGABYTE = 1024 * 1024


def maintain(arguments: argparse.Namespace) -> int:
    """Keep up every table by the policy of the configuration; print what was done to each, and the sum."""
    settings = loaded(arguments).settings
    with spark_session(settings) as spark:
        from clv_lib.pipeline import open_lake
        from clv_lib.pipeline.maintaining import maintain as maintained
        from clv_lib.pipeline.progress import Progress

        lake = open_lake(spark, settings)
        publication, progress = published(lake, arguments), Progress("")
        with progress.step("maintain"):
            done = maintained(lake, settings, publication, dt.datetime.now(dt.timezone.utc), progress)
    rows = [tuple(vars(one).values()) for one in done]
    for line in render(COLUMNS, rows[: arguments.limit], arguments.format):
        write(line)
    if arguments.format == "table":
        write(summary(done))
    return SUCCESS_EXIT_CODE


def summary(done: Sequence[Maintained]) -> str:
    """One line over all tables."""
    before, after = sum(one.files_before for one in done), sum(one.files_after for one in done)
    freed = sum(one.bytes_freed or 0 for one in done) / _MEGABYTE
    alone = sum(bool(one.left_alone) for one in done)
    said = f"({len(done)} tables: {before:,} files, now {after:,}; {freed:,.1f} MB freed"
    return said + (f"; {alone} left alone)" if alone else ")")
