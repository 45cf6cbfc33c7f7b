"""Commands that compute: run, step and demo. The clock is read here, for stamps of start and publication only."""

from __future__ import annotations

import argparse
import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clv_lib.cli import outcomes
from clv_lib.cli.context import LOGGER, loaded, spark_session, write
from clv_lib.cli.logs import Journal
from clv_lib.cli.rendering import table_lines
from clv_lib.errors import SUCCESS_EXIT_CODE, ConfigurationError, QualityGateFailed
from clv_lib.periods import days_from

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.pipeline import Outcome
    from clv_lib.pipeline.progress import StepRecord
    from clv_lib.settings import Settings


def run(arguments: argparse.Namespace) -> int:
    """Run every step and publish; print the steps and what the published tables say."""
    journal = _journal()
    with outcomes.recorded(arguments.summary_json, arguments.as_of, journal):
        _require_rebuild(arguments)
        settings = loaded(arguments).settings
        with spark_session(settings) as spark, _pointed_to_results(arguments.config, journal):
            _run_and_report(spark, settings, arguments, arguments.as_of)
    return SUCCESS_EXIT_CODE


def backfill(arguments: argparse.Namespace) -> int:
    """Run and publish one day after the other; the first that fails ends it, and those before it stay published."""
    if arguments.last < arguments.first:
        expected = f"{arguments.first} or later"
        step = "name the earlier day with --from"
        raise ConfigurationError("--to is before --from", expected=expected, found=f"{arguments.last}", next_step=step)
    settings, days = loaded(arguments).settings, days_from(arguments.first, arguments.last, arguments.every)
    with spark_session(settings) as spark:
        from clv_lib.pipeline import run_all

        for number, day in enumerate(days, start=1):
            outcome = run_all(spark, settings, day, clock=_now, allow_older=arguments.allow_older)
            seconds = sum(record.seconds for record in outcome.progress.steps)
            write(f"{number} of {len(days)}: as of {day} {outcome.status}, run {outcome.run.run_id}, {seconds:.0f} s")
    return SUCCESS_EXIT_CODE


def step(arguments: argparse.Namespace) -> int:
    """Run one step; the steps before it have been run with the same configuration and day."""
    _require_rebuild(arguments)
    settings = loaded(arguments).settings
    with spark_session(settings) as spark:
        from clv_lib.pipeline import run_step

        work = run_step(spark, settings, arguments.as_of, arguments.name, clock=_now, **_asked(arguments))
        write(f"run {work.run.run_id}")
        if work.progress.steps:
            write(step_table(work.progress.steps))
    return SUCCESS_EXIT_CODE


def demo(arguments: argparse.Namespace) -> int:
    """Write the demo data where the configuration names its sources, run everything, and say what to type next."""
    from clv_lib.demo.parameters import DemoParameters

    parameters = DemoParameters(customers=arguments.customers) if arguments.customers else DemoParameters()
    as_of = arguments.as_of or parameters.as_of
    journal = _journal()
    with outcomes.recorded(arguments.summary_json, as_of, journal):
        settings = loaded(arguments).settings
        with spark_session(settings) as spark:
            from clv_lib.demo.tables import write_sources

            write_sources(spark, settings.sources, parameters, fresh=arguments.fresh)
            with _pointed_to_results(arguments.config, journal):
                _run_and_report(spark, settings, arguments, as_of)
    write(_next_commands(arguments.config))
    return SUCCESS_EXIT_CODE


def step_table(steps: list[StepRecord]) -> str:
    """Steps with their seconds and the tables that they wrote, with rows."""
    rows: list[tuple[str, str, str, str]] = []
    for record in steps:
        cells = [(table, "" if count is None else f"{count:,}") for table, count in record.rows.items()] or [("", "")]
        for number, (table, count) in enumerate(cells):
            rows.append(
                (record.name if not number else "", f"{record.seconds:.1f}" if not number else "", table, count)
            )
    rows.append(("all", f"{sum(record.seconds for record in steps):.1f}", "", ""))
    widest = [max(len(row[index]) for row in rows) for index in range(4)]
    aligned = [(name, seconds.rjust(widest[1]), table, count.rjust(widest[3])) for name, seconds, table, count in rows]
    return "\n".join(table_lines(("step", "seconds", "table", "rows"), aligned))


def _require_rebuild(arguments: argparse.Namespace) -> None:
    """ConfigurationError where differences are accepted that nothing looks for."""
    if arguments.accept_differences and not arguments.rebuild:
        raise ConfigurationError(
            "--accept-differences says nothing without --rebuild",
            expected="--rebuild --accept-differences",
            next_step="add --rebuild to make silver anew, or leave out --accept-differences",
        )


def _asked(arguments: argparse.Namespace) -> dict[str, bool]:
    """What the user allows and asks for, as `run_all` and `run_step` take it."""
    return {name: getattr(arguments, name) for name in ("allow_older", "rebuild", "accept_differences")}


def _run_and_report(spark: SparkSession, settings: Settings, arguments: argparse.Namespace, as_of: dt.date) -> None:
    from clv_lib.lake import register_views
    from clv_lib.pipeline import open_lake, run_all
    from clv_lib.report import headline, summary

    outcome = run_all(spark, settings, as_of, clock=_now, **_asked(arguments))
    lake = open_lake(spark, settings)
    register_views(lake, outcome.publication)
    if outcome.status == "unchanged":
        LOGGER.info(
            "unchanged: this run is published already, nothing was computed", extra={"run_id": outcome.run.run_id}
        )
    _print_end(outcome)
    figures = headline(spark, settings)
    write(summary(spark, settings, outcome, figures))
    if arguments.summary_json:
        outcomes.write_finished(arguments.summary_json, outcome, figures)


@contextmanager
def _pointed_to_results(config: str, journal: Journal) -> Iterator[None]:
    """Where the gate refuses, say how to look at everything that it found."""
    try:
        yield
    except QualityGateFailed:
        context = {"run_id": journal.run_id or "", "step": journal.last_step or ""}
        command = f"clv show data_quality_results --config {config} --run-id {journal.run_id} --limit 1000"
        LOGGER.error("refused; every result of the gate: %s", command, extra=context)
        raise


def _print_end(outcome: Outcome) -> None:
    if outcome.status == "published":
        write(f"\n{step_table(outcome.progress.steps)}\n")
    else:
        run, same = outcome.run, "same inputs, settings, day and version of clv"
        again = f"; to compute it again and compare: clv reproduce {run.run_id}" if run.is_rebuild else ""
        write(f"\nunchanged: run {run.run_id} is published already ({same}){again}\n")


def _next_commands(config: str) -> str:
    return f"""
What to type next (.venv/bin/clv if clv is not on PATH):
  clv tables                                    # what was published; clv tables segment_metrics: its columns
  clv show customer_predictions --config {config}
  clv sql --config {config} "select segment_name, customer_count, churn_rate_12m, historic_clv_avg,
      predicted_clv_avg from segment_metrics natural join segments
      where is_latest and segment_type = 'rfm' order by clv_rank"
  clv runs --config {config}
For your own tables, copy {config}, name your sources in it, and check it with: clv doctor --config FILE (README.md)"""


def _journal() -> Journal:
    """A fresh journal on the log of clv."""
    logger = logging.getLogger("clv")
    logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, Journal)]
    journal = Journal()
    logger.addHandler(journal)
    return journal


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)
