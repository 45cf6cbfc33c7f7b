"""Commands that read what is published: sql, show, runs and views."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from clv_lib.cli.context import loaded, published, spark_session, write
from clv_lib.cli.describing import known_table
from clv_lib.cli.rendering import OutputFormat, render
from clv_lib.cli.statements import checked_statement, query
from clv_lib.contracts.control import PIPELINE_RUNS
from clv_lib.errors import SUCCESS_EXIT_CODE, LakeError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from clv_lib.contracts.types import Table
    from clv_lib.lake import Lake

_MOST_TABLE_ROWS = 1000
_RUN_COLUMNS = ("run_id", "as_of_date", "status", "code_version", "value_basis", "started_at", "finished_at")


def sql(arguments: argparse.Namespace) -> int:
    """Print the rows of one read-only statement over the published views."""
    settings = loaded(arguments).settings
    statement = checked_statement(arguments.statement)
    with spark_session(settings, quiet=True) as spark:
        from clv_lib.lake import register_views
        from clv_lib.pipeline import open_lake

        lake = open_lake(spark, settings)
        register_views(lake, published(lake, arguments))
        _print_rows(query(spark, statement), arguments, lake.root)
    return SUCCESS_EXIT_CODE


def show(arguments: argparse.Namespace) -> int:
    """Print rows of a table: the published ones, or those of one run."""
    settings = loaded(arguments).settings
    table = known_table(arguments.table)
    with spark_session(settings, quiet=True) as spark:
        from clv_lib.pipeline import open_lake

        lake = open_lake(spark, settings)
        _print_rows(_rows_of(lake, table, arguments), arguments, lake.place(table))
    return SUCCESS_EXIT_CODE


def runs(arguments: argparse.Namespace) -> int:
    """Print the runs of the lake, newest first; the published one is marked."""
    settings = loaded(arguments).settings
    with spark_session(settings, quiet=True) as spark:
        from pyspark.sql import functions as F

        from clv_lib.lake import Pointer
        from clv_lib.pipeline import open_lake

        lake = open_lake(spark, settings)
        rows = recorded_runs(lake)
        now = Pointer(lake).current()
        is_published = F.col("run_id") == F.lit(now.snapshot_id if now else "")
        marked = F.when(is_published, "published now").otherwise("").alias("readers_see")
        silver = F.when(F.col("refreshed_from") != "", "refreshed").when(F.col("rebuild_reason") != "", "made anew")
        listed = ("run_id", marked, *_RUN_COLUMNS[1:], silver.alias("silver"))
        newest = rows.orderBy(F.desc("started_at")).select(*listed)
        _print_rows(newest, arguments, lake.place(PIPELINE_RUNS))
    return SUCCESS_EXIT_CODE


def views(arguments: argparse.Namespace) -> int:
    """Print CREATE VIEW statements: of the catalog's schema, or of a lake by path for a catalog of the user's."""
    settings = loaded(arguments).settings
    with spark_session(settings, quiet=True) as spark:
        from clv_lib.contracts import PUBLISHED_TABLES
        from clv_lib.lake import view_statements
        from clv_lib.lake.views import view_query
        from clv_lib.pipeline import open_lake

        lake = open_lake(spark, settings)
        now = published(lake, arguments)
        if lake.is_path:
            statements = [f"CREATE OR REPLACE VIEW {t.name} AS {view_query(lake, t, now)}" for t in PUBLISHED_TABLES]
        else:
            statements = view_statements(lake, now)
    write("-- views of silver tables name their versions: run these again after each publication and `clv maintain`")
    write("\n".join(f"{statement};" for statement in statements))
    return SUCCESS_EXIT_CODE


def recorded_runs(lake: Lake) -> DataFrame:
    """Rows of pipeline_runs. LakeError if the lake has none yet."""
    if not lake.exists(PIPELINE_RUNS):
        raise LakeError(
            "no run has been started in this lake yet",
            where=lake.root,
            next_step="clv run --config FILE --as-of YYYY-MM-DD",
        )
    return lake.read_rows(PIPELINE_RUNS)


def recorded_run(lake: Lake, run_id: str) -> Any:
    """The row of one run. LakeError if it is not recorded."""
    from clv_lib.errors import did_you_mean

    rows = {row["run_id"]: row for row in recorded_runs(lake).collect()}
    if run_id not in rows:
        raise LakeError(
            f"there is no run {run_id}",
            where=lake.root,
            expected=did_you_mean(run_id, rows),
            next_step="`clv runs` lists the runs",
        )
    return rows[run_id]


def _rows_of(lake: Lake, table: Table, arguments: argparse.Namespace) -> DataFrame:
    from clv_lib.lake import as_read

    if table == PIPELINE_RUNS:
        return recorded_runs(lake)
    if arguments.run_id is None or table.layer == "control":
        now = published(lake, arguments)
        run_id, versions = now.snapshot_id, dict(now.silver_versions)
    else:
        run_id, versions = arguments.run_id, dict(recorded_run(lake, arguments.run_id)["silver_versions"])
    if table.layer == "control":
        return lake.read_rows(table)
    if table.layer == "gold":
        return lake.read_snapshot(table, run_id)
    if table.name not in versions:
        raise LakeError(f"run {run_id} ended before it wrote {table.name}", next_step="`clv runs` lists the runs")
    return as_read(lake.read_state(table, versions[table.name]), table)


def _print_rows(frame: DataFrame, arguments: argparse.Namespace, place: str) -> None:
    """Print the rows in the order that they come in; a table says if there are more."""
    from clv_lib.lake.reporting import reported

    most = arguments.limit or (_MOST_TABLE_ROWS if arguments.format == "table" else None)
    with reported(place, "read"):
        shown = with_utc_text(frame)
        if most is None:
            _write_lines(frame.columns, shown.toLocalIterator(), arguments.format)
            return
        rows = shown.limit(most + 1).collect()
        _write_lines(frame.columns, rows[:most], arguments.format)
    if arguments.format == "table":
        count = "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
        write(f"({count})" if len(rows) <= most else f"(the first {most:,} rows; more with --limit)")


def _write_lines(columns: list[str], rows: Iterable[Row], style: OutputFormat) -> None:
    for line in render(columns, (tuple(row) for row in rows), style):
        write(line)


def with_utc_text(frame: DataFrame) -> DataFrame:
    """Timestamps as text in UTC; collected as they are, they would be in the time of this machine."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import TimestampType

    is_instant = [isinstance(field.dataType, TimestampType) for field in frame.schema.fields]
    names = [f"column_{number}" for number in range(len(is_instant))]
    numbered = frame.toDF(*names)
    columns = [
        F.concat(F.col(name).cast("string"), F.lit("Z")) if instant else F.col(name)
        for name, instant in zip(names, is_instant, strict=True)
    ]
    return numbered.select(*columns)
