"""The command `reproduce`: a recorded run computed again from the same inputs, and compared table by table."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import TYPE_CHECKING

from clv_lib.cli.context import LOGGER, loaded, spark_session, write
from clv_lib.cli.reading import recorded_run
from clv_lib.cli.rendering import table_lines
from clv_lib.code_version import code_version
from clv_lib.errors import SUCCESS_EXIT_CODE, NotReproduced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clv_lib.quality.comparison import Comparison

_SUFFIX = "_reproduced"


def reproduce(arguments: argparse.Namespace) -> int:
    """Compute a run again in a lake of its own; print what differs. NotReproduced if anything does."""
    settings = loaded(arguments).settings
    place = arguments.into or f"{settings.lake.rstrip('/')}{_SUFFIX}"
    with spark_session(settings) as spark:
        from clv_lib.pipeline import open_lake
        from clv_lib.pipeline.reproducing import reproduce as computed_again

        row = recorded_run(open_lake(spark, settings), arguments.run_id)
        if row["code_version"] != code_version():
            LOGGER.warning("computed by %s, reproduced by %s", row["code_version"], code_version())
        found = computed_again(spark, settings, row, place, lambda: dt.datetime.now(dt.timezone.utc))
    write("\n".join(comparison_lines(found)))
    write(f"computed again in {place}; delete it when you have looked at it")
    _require_same(found, arguments.run_id, place)
    write(f"run {arguments.run_id} is reproduced: {len(found)} tables are the same")
    return SUCCESS_EXIT_CODE


def comparison_lines(found: Sequence[Comparison]) -> list[str]:
    """A line per table, those that differ first."""
    rows = [
        (
            one.table_name,
            f"{one.row_count:,}",
            f"{one.missing:,}",
            f"{one.surplus:,}",
            ", ".join(f"{name} ({count:,})" for name, count in one.differing.items()) or "-",
        )
        for one in sorted(found, key=lambda one: one.is_same)
    ]
    return table_lines(("table", "rows", "missing", "surplus", "columns that differ (rows)"), rows)


def _require_same(found: Sequence[Comparison], run_id: str, place: str) -> None:
    differing = [one.table_name for one in found if not one.is_same]
    if differing:
        raise NotReproduced(
            f"run {run_id} gave other figures when it was computed again",
            where=", ".join(differing),
            expected="the same rows; doubles within 1e-9",
            found="see the table above",
            next_step=f"compare the tables in {place} with those of the run; another version of clv explains"
            " a difference (`clv runs` shows code_version), the same version does not: please report it",
        )
